"""A programme's books are checked, in full or from where the last check ended, and how far that reached is kept.

The same for who types `authz ledger check` and for the check in the background.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.ledger.audit import Finding, check, check_since
from authz_service.ledger.checkpoints import Checkpoint, keep, settled_at
from authz_service.ledger.recent import Recent
from authz_service.settings import Settings


class Kept(Enum):
    """Whether the next check may begin where this one ended."""

    YES = auto()
    HIDDEN = auto()
    """Others' transactions may be open, and this role may not see them."""
    READ_ONLY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`recent` is what was new, None where all was checked."""

    findings: Sequence[Finding]
    recent: Recent | None
    kept: Kept


async def check_and_keep(
    connection: Connection, settings: Settings, programme_id: str, clock: Clock, last: Checkpoint | None
) -> Checked:
    """Of all, or of what is new since `last`."""
    # Before the snapshot: what the snapshot does not show has ids of a later time than this.
    settled = await settled_at(connection)
    now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
    recent = None
    if last is None:
        findings = await check(connection, programme_id, now=now)
    else:
        found = await check_since(connection, programme_id, now=now, since=last.checked_until)
        findings, recent = found.findings, found.recent
    if settled is None:
        return Checked(findings=findings, recent=recent, kept=Kept.HIDDEN)
    checkpoint = Checkpoint(
        checked_at=now,
        checked_from=None if last is None else last.checked_until,
        checked_until=_until(clock.at(settled), settings, now),
        violations=sum(finding.violations for finding in findings),
    )
    is_kept = await keep(connection, programme_id, checkpoint)
    return Checked(findings=findings, recent=recent, kept=Kept.YES if is_kept else Kept.READ_ONLY)


def _until(settled: datetime, settings: Settings, now: datetime) -> datetime:
    return min(settled - timedelta(seconds=settings.audit_margin_seconds), now)
