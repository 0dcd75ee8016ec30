"""Differences that nothing explains yet, and how far the bank's statements reach, for whoever watches."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.reconciliation.findings import State
from authz_service.vocabulary import ProgrammeId

OPEN: Final = """
-- Open exceptions of each kind, and the first moment of the day on which the oldest began.
SELECT e.kind, count(*) AS exceptions, min(e.since_on)::timestamp AT TIME ZONE p.zone AS since
  FROM reconciliation_exception e
  JOIN programme p USING (programme_id)
 WHERE e.programme_id = $1 AND e.closed_at IS NULL
 GROUP BY e.kind, p.zone
"""
_COVERED: Final = """
-- The end of the last day that a statement covers: a row for each file that was read.
SELECT (max(s.to_on) + 1)::timestamp AT TIME ZONE p.zone
  FROM programme p
  JOIN bank_statement s USING (programme_id)
 WHERE p.programme_id = $1
 GROUP BY p.zone
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceptions:
    of_kind: dict[State, int]
    """For each kind that there is, also those that have none."""
    since: datetime | None


async def open_exceptions(connection: Connection, programme_id: ProgrammeId) -> Exceptions:
    rows = await connection.fetch(OPEN, programme_id)
    found = {row["kind"]: row["exceptions"] for row in rows}
    return Exceptions(
        of_kind={state: found.get(state, 0) for state in State if state.is_exception},
        since=min((row["since"] for row in rows), default=None),
    )


async def covered_until(connection: Connection, programme_id: ProgrammeId) -> datetime | None:
    """None where no statement was ever read."""
    until: datetime | None = await connection.fetchval(_COVERED, programme_id)
    return until
