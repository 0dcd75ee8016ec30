"""A reconciliation as a file, CSV or JSON by its name: each payout, all expected money, each line; the same each time.

ReportNotWritten    the file is not there
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Final

import orjson

from authz_service.reconciliation.findings import Finding, State

_FORMATS: Final = (".csv", ".json")
_WOULD_BE_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class ReportNotWritten(Exception):  # noqa: N818 - it says what is so, as declines do
    """The report is not in its file; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """All findings of one state: how many, what we say and what the bank says (rupiah), the age of the oldest."""

    state: State
    count: int
    ours_rupiah: int
    theirs_rupiah: int
    oldest_days: int


def sums_of(findings: Sequence[Finding], today: date) -> list[Sums]:
    """Of each state that anything is in, in their order."""
    found = []
    for state in State:
        of_it = [each for each in findings if each.state is state]
        if of_it:
            found.append(
                Sums(
                    state=state,
                    count=len(of_it),
                    ours_rupiah=sum(each.ours_rupiah or 0 for each in of_it),
                    theirs_rupiah=sum(each.theirs_rupiah or 0 for each in of_it),
                    oldest_days=max(each.age_days(today) for each in of_it),
                )
            )
    return found


def require_format(path: Path) -> None:
    if path.suffix not in _FORMATS:
        raise ReportNotWritten(f"A report is written as {' or '.join(_FORMATS)}, not as {path.name!r}.")


def write_report(findings: Iterable[Finding], today: date, path: Path) -> None:
    """The file has a row for each finding, in their order."""
    require_format(path)
    rows = [_row(each, today) for each in findings]
    content = orjson.dumps(rows, option=orjson.OPT_INDENT_2) if path.suffix == ".json" else _csv(rows)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ReportNotWritten(f"{path} cannot be written: {error.strerror}.") from None


def _row(finding: Finding, today: date) -> dict[str, object]:
    return {
        "state": finding.state,
        "reference": finding.reference,
        "merchant_id": finding.merchant_id,
        "ours_rupiah": finding.ours_rupiah,
        "theirs_rupiah": finding.theirs_rupiah,
        "since": finding.since_on.isoformat(),
        "age_days": finding.age_days(today),
        "booked": " ".join(f"{line.booked_on}:{line.amount_rupiah}" for line in finding.lines),
        "bank_references": " ".join(line.bank_reference for line in finding.lines if line.bank_reference),
        "steps": " ".join(finding.steps),
        "proposal": finding.proposal,
        "detail": finding.detail,
    }


def _csv(rows: Sequence[dict[str, object]]) -> bytes:
    file = StringIO(newline="")
    names = list(_row(_NOTHING, date.min))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    return file.getvalue().encode()


_NOTHING: Final = Finding(
    state=State.MATCHED, subject="", reference="", ours_rupiah=None, theirs_rupiah=None, since_on=date.min
)


def _harmless(value: object) -> object:
    """What others have written is no formula of the spreadsheet that opens the file."""
    if isinstance(value, str) and value.startswith(_WOULD_BE_A_FORMULA):
        return f"'{value}"
    return value
