"""Whatever the whole run has written is searched for what must never be written (incident 20), at its end.

Searched are the standard error and the log of every test, and every file *.log below the run's temporary directory:
those of served processes, of PostgreSQL and Valkey, and what `keep` was given: problem documents, metrics, what Valkey
holds, the tables in which operators read. A finding makes the run fail and says where it is, never what it is.

What is looked for is what synthetic families, shops and operators have, and nobody else. What hypothesis makes up is
neither. Hooks of pytest: `conftest.py` imports them.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from authz_service.exposition import exposition
from authz_service.personal_numbers import is_shaped_like_a_nik
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import luhn_is_valid

_NUMBERS: Final = re.compile(rb"(?<![0-9A-Za-z])(?:9360[0-9]{12,15}|6472[0-9]{12})(?![0-9A-Za-z])")
_GROUPED: Final = re.compile(rb"(?<![0-9])9360([ .-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?![0-9])")
_WORDS: Final = {
    "a name": re.compile(rb"KELUARGA (?:SINTETIS|BARU)|PENDAMPING SINTETIS"),
    "a key": re.compile(
        rb"sandbox_[a-z0-9-]+_[0-9a-f]{32}|whsec_[A-Za-z0-9+/]{16}|PRIVATE KEY-----|" + SANDBOX_ROOT_KEY.encode()
    ),
}
_STREAMS: Final = ("stderr", "log")
_LINE_LIMIT: Final = 20
_directory: list[Path] = []
_found: list[str] = []


def findings(text: bytes) -> Iterator[str]:
    """What stands in the text that must not."""
    for number in _NUMBERS.findall(text):
        digits = number.decode()
        if digits.startswith("9360") and luhn_is_valid(digits):
            yield "a card number"
        elif is_shaped_like_a_nik(digits):
            yield "a NIK"
    yield from ("a card number" for _ in _GROUPED.findall(text))
    for what, form in _WORDS.items():
        if form.search(text):
            yield what


def keep(kind: str, *texts: bytes) -> None:
    """These are searched at the end; nothing is kept of a run that does not search."""
    if _directory:
        with (_directory[0] / f"written-{kind}.log").open("ab") as file:
            file.writelines(text.replace(b"\n", b" ") + b"\n" for text in texts)


def search(place: str, lines: Iterable[bytes]) -> None:
    """Each finding is noted with its place, never with what it is."""
    for number, line in enumerate(lines, start=1):
        _found.extend(f"{what} in {place}, line {number}" for what in findings(line))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    _directory.append(factory.getbasetemp())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Of every worker's tests; the controller is told of all of them. The last report of a test has all its parts."""
    if report.when != "teardown":
        return
    for title, text in report.sections:
        if any(stream in title for stream in _STREAMS):
            search(f"{report.nodeid} ({title})", text.encode(errors="replace").splitlines())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A worker keeps its metrics; whoever has started the workers searches when all have ended."""
    keep("metrics", *exposition().splitlines())
    if hasattr(session.config, "workerinput") or not _directory:
        return
    for file in sorted(_directory[0].rglob("*.log")):
        with file.open("rb") as lines:
            search(str(file.relative_to(_directory[0])), lines)
    if _found and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def summary(terminalreporter: pytest.TerminalReporter) -> None:
    """For `pytest_terminal_summary`."""
    if not _found:
        return
    terminalreporter.section("written and must not be", red=True)
    for each in _found[:_LINE_LIMIT]:
        terminalreporter.write_line(each)
    if len(_found) > _LINE_LIMIT:
        terminalreporter.write_line(f"and {len(_found) - _LINE_LIMIT} more")
    terminalreporter.write_line(f"below {_directory[0]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    summary(terminalreporter)
