"""Notices of the bank that are not at their end, for whoever watches."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.bank.inbox import Kept
from authz_service.database import Connection
from authz_service.vocabulary import ProgrammeId

OPEN: Final = """
-- Notices that nobody has followed, or that wait for people, and when the first of each came.
SELECT s.standing, count(*) AS notices, min(n.received_at) AS oldest_at
  FROM notice_standing s
  JOIN bank_notice n USING (programme_id, notice_id)
 WHERE s.programme_id = $1 AND s.standing IN ('new', 'parked')
 GROUP BY s.standing
"""
_RESOLVED: Final = "SELECT count(*) FROM notice_standing WHERE programme_id = $1 AND standing = 'resolved'"
WAIT: Final = (Kept.NEW, Kept.PARKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    notices: int = 0
    oldest_at: datetime | None = None


async def open_notices(connection: Connection, programme_id: ProgrammeId) -> dict[Kept, Notices]:
    """Those that are new, and those that are parked."""
    rows = await connection.fetch(OPEN, programme_id)
    found = {row["standing"]: Notices(notices=row["notices"], oldest_at=row["oldest_at"]) for row in rows}
    return {standing: found.get(standing, Notices()) for standing in WAIT}


async def resolved_notices(connection: Connection, programme_id: ProgrammeId) -> int:
    """Of which two people have said what became of them."""
    notices: int = await connection.fetchval(_RESOLVED, programme_id)
    return notices
