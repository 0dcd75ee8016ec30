"""Incident 20, over the whole run: that the search at its end finds what it should, and that it can fail a run."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authz_service.enrolment.edition import load_edition
from authz_service.enrolment.synthetic import draw
from authz_service.vocabulary import ProgrammeId, with_luhn
from tests.operators import a_card_number, a_newcomer
from tests.written import findings

CARD = with_luhn("936000000471100")
PLANTS = f"""
import logging, sys
from tests.written import keep

def test_in_stderr():
    print("sold with {CARD}", file=sys.stderr)

def test_in_the_log():
    logging.getLogger("x").warning("KELUARGA " + "SINTETIS 0001")

def test_in_a_log_file(tmp_path):
    (tmp_path / "service.log").write_text("fine\\nNIK 6472050000000001\\n")

def test_in_what_was_kept():
    keep("answers", b"sandbox_mars_" + b"0123456789abcdef" * 2)
"""
HARMLESS = """
import sys
from tests.written import keep

def test_nothing(tmp_path):
    print("Rp1776600000 1732492800123456 9360000047110000 req_0000000000000001", file=sys.stderr)
    (tmp_path / "service.log").write_text("6472999999999999\\n")
"""


@pytest.fixture
def apart() -> Iterator[Path]:
    """Not below this run's directory: what is planted in it is not this run's."""
    with tempfile.TemporaryDirectory(prefix="authz-planted-") as directory:
        yield Path(directory)


def run(directory: Path, tests: str, *options: str) -> tuple[int, str]:
    """A run of its own, of these tests."""
    (directory / "pytest.ini").write_text("[pytest]\n")
    (directory / "test_planted.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.written", "-p", "no:cacheprovider", *options, "test_planted.py"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", [("-n", "1"), ()])
def test_a_run_that_wrote_something_fails_and_says_where_and_not_what(apart: Path, options: tuple[str, ...]) -> None:
    code, said = run(apart, PLANTS, f"--basetemp={apart / 'made'}", *options)
    assert code == 1
    assert "4 passed" in said
    found = said.partition("written and must not be")[2]
    assert "a card number in test_planted.py::test_in_stderr (Captured stderr call), line 1" in found
    assert "a name in test_planted.py::test_in_the_log (Captured log call), line 1" in found
    assert re.search(r"a NIK in \S*service\.log, line 2", found)
    assert re.search(r"a key in \S*written-answers\.log, line 1", found)
    assert CARD not in said
    assert "6472050000000001" not in said
    assert "0123456789abcdef" not in said


def test_a_run_that_wrote_nothing_of_it_passes(apart: Path) -> None:
    code, said = run(apart, HARMLESS, f"--basetemp={apart / 'made'}")
    assert (code, "must not be" in said) == (0, False), said


def test_all_that_the_world_of_the_tests_has_would_be_found() -> None:
    at = datetime(2024, 9, 25, tzinfo=UTC)
    roll = draw(load_edition("samarinda-2024"), ProgrammeId("samarinda-2024"), seed=1, at=at)
    assert len(roll.families) == 987
    newcomer = a_newcomer()
    expected = {
        "a card number": [*(each.card_number for each in roll.families), a_card_number()],
        "a NIK": [*(each.nik for each in roll.families), newcomer.nik],
        "a name": [*(each.name for each in roll.families), *(each.name for each in roll.companions), newcomer.name],
        "a key": [
            *(each.terminal_key for each in roll.shops),
            *(each.access_key for each in roll.companions),
            *(each.access_key for each in roll.operators),
        ],
    }
    for what, values in expected.items():
        missed = [value for value in values if list(findings(f'{{"x":"{value}"}}'.encode())) != [what]]
        assert not missed, (what, len(missed))
