"""How far the books of a programme have been checked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from authz_service.database import Connection

_SETTLED: Final = """
-- Whatever began before this is visible to who looks now; later transactions, and those that are still open, are not.
-- Nothing where one may be open whose beginning is hidden: of another role, not tracked, or prepared.
SELECT CASE WHEN count(*) FILTER (WHERE state IS NULL OR state = 'disabled') = 0
             AND NOT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
            THEN least(clock_timestamp(), min(xact_start)) END
  FROM pg_stat_activity
 WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend'  -- hidden, too
   AND pid <> pg_backend_pid()
"""
_CLEAN: Final = """
-- The furthest check that found nothing; none while the last check of all had found something: what one has found is
-- asked again until it is gone, wherever it is.
SELECT checked_at, checked_from, checked_until, violations
  FROM audit_checkpoint
 WHERE programme_id = $1 AND violations = 0
   AND (SELECT violations FROM audit_checkpoint
         WHERE programme_id = $1 AND checked_from IS NULL
         ORDER BY checked_at DESC LIMIT 1) = 0
 ORDER BY checked_until DESC
 LIMIT 1
"""
_IN_FULL: Final = """
-- When all was last found in order.
SELECT max(checked_at) FROM audit_checkpoint WHERE programme_id = $1 AND violations = 0 AND checked_from IS NULL
"""
_LAST: Final = """
-- The newest checks, whatever they found.
SELECT checked_at, checked_from, checked_until, violations
  FROM audit_checkpoint WHERE programme_id = $1 ORDER BY checked_at DESC LIMIT $2
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


async def settled_at(connection: Connection) -> datetime | None:
    """The database's time before which nothing can appear any more that a snapshot taken now does not show.

    None where that cannot be known: PostgreSQL hides from most roles when the transactions of others began.
    """
    settled: datetime | None = await connection.fetchval(_SETTLED)
    return settled


async def last_clean(connection: Connection, programme_id: str) -> Checkpoint | None:
    """From where a check of what is new may go on; None where all must be checked."""
    row = await connection.fetchrow(_CLEAN, programme_id)
    return None if row is None else Checkpoint(**row)


async def last_checks(connection: Connection, programme_id: str, limit: int) -> list[Checkpoint]:
    """The newest first."""
    return [Checkpoint(**row) for row in await connection.fetch(_LAST, programme_id, limit)]


async def last_in_full(connection: Connection, programme_id: str) -> datetime | None:
    checked_at: datetime | None = await connection.fetchval(_IN_FULL, programme_id)
    return checked_at


async def keep(connection: Connection, programme_id: str, checkpoint: Checkpoint) -> bool:
    """The checkpoint is written; False where this role, or this server, only reads."""
    try:
        await connection.execute(
            _KEEP,
            programme_id,
            checkpoint.checked_at,
            checkpoint.checked_from,
            checkpoint.checked_until,
            checkpoint.violations,
        )
    except (asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError):
        return False
    return True
