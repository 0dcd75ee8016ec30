"""How far the books of a programme have been checked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from authz_service.database import Connection

_SETTLED: Final = """
-- Whatever began before this is visible to who looks now; later transactions, and those that are still open, are not.
SELECT least(clock_timestamp(), min(xact_start))
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_CLEAN: Final = """
-- The furthest check that found nothing: what one has found is asked again until it is gone.
SELECT checked_at, checked_from, checked_until, violations
  FROM audit_checkpoint
 WHERE programme_id = $1 AND violations = 0
 ORDER BY checked_until DESC
 LIMIT 1
"""
_IN_FULL: Final = """
-- When all was last found in order.
SELECT max(checked_at) FROM audit_checkpoint WHERE programme_id = $1 AND violations = 0 AND checked_from IS NULL
"""
_KEEP: Final = """
INSERT INTO audit_checkpoint (programme_id, checked_at, checked_from, checked_until, violations)
VALUES ($1, $2, $3, $4, $5)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A check at `checked_at` found so many violations in what was written until `checked_until`."""

    checked_at: datetime
    checked_from: datetime | None
    """None where all was checked."""
    checked_until: datetime
    violations: int


async def settled_at(connection: Connection) -> datetime:
    """The database's time before which nothing can appear any more that a snapshot taken now does not show.

    Of transactions of other roles PostgreSQL may hide the beginning: the check works as the role that writes.
    """
    settled: datetime = await connection.fetchval(_SETTLED)
    return settled


async def last_clean(connection: Connection, programme_id: str) -> Checkpoint | None:
    row = await connection.fetchrow(_CLEAN, programme_id)
    return None if row is None else Checkpoint(**row)


async def last_in_full(connection: Connection, programme_id: str) -> datetime | None:
    checked_at: datetime | None = await connection.fetchval(_IN_FULL, programme_id)
    return checked_at


async def keep(connection: Connection, programme_id: str, checkpoint: Checkpoint) -> bool:
    """The checkpoint is written; False on a server that only follows another one."""
    try:
        await connection.execute(
            _KEEP,
            programme_id,
            checkpoint.checked_at,
            checkpoint.checked_from,
            checkpoint.checked_until,
            checkpoint.violations,
        )
    except asyncpg.ReadOnlySQLTransactionError:
        return False
    return True
