"""Lists that were imported: what they would do or have done, who approved them; and withdrawing one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

import asyncpg

from authz_service.database import Connection
from authz_service.ledger.bookings import look_at_unallocated
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order
from authz_service.roll.importing.comparing import require_money
from authz_service.roll.importing.looks import SEEN
from authz_service.roll.orders import RollRefused
from authz_service.settings import Settings
from authz_service.vocabulary import Chance, ProgrammeId, several

_LISTS: Final = """
SELECT * FROM roll_import WHERE programme_id = $1 ORDER BY import_id DESC LIMIT $2
"""
_LIST: Final = "SELECT * FROM roll_import WHERE programme_id = $1 AND import_id = $2"
_ROWS: Final = """
-- Families of one list whose place on the roll changes, the first of each kind; ids alone.
SELECT kind, beneficiary_id, row_number, changes, survivor_id, companion_id, district_code, amount_rupiah
  FROM (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY row_number, beneficiary_id) AS place
          FROM roll_import_row WHERE programme_id = $1 AND import_id = $2 AND kind <> 'same') numbered
 WHERE place <= $3
 ORDER BY array_position(ARRAY['enter', 'change', 'merge', 'leave'], kind), place
"""
_CHANGED: Final = f"""
-- Where the roll is another one than that which the list was compared with.
SELECT b.beneficiary_id, 'has entered' AS what
  FROM beneficiary b
 WHERE b.programme_id = $1 AND b.status <> 'removed'
   AND NOT EXISTS (SELECT FROM roll_import_row r
                    WHERE r.programme_id = $1 AND r.import_id = $2 AND r.beneficiary_id = b.beneficiary_id)
 UNION ALL
SELECT b.beneficiary_id,
       CASE WHEN b.status = 'removed' OR b.leaves_at IS NOT NULL THEN 'has left'
            WHEN b.next_status IS NOT NULL AND r.kind IN ('leave', 'merge') THEN 'has a change that waits'
            WHEN r.seen <> {SEEN} THEN 'was changed'
            ELSE 'is to be merged into another' END
  FROM roll_import_row r
  JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = r.beneficiary_id
 WHERE r.programme_id = $1 AND r.import_id = $2
   AND (b.status = 'removed' OR b.leaves_at IS NOT NULL OR r.seen <> {SEEN}
        OR r.kind IN ('leave', 'merge') AND b.next_status IS NOT NULL
        OR b.merged_into IS NOT NULL AND b.beneficiary_id IN (
               SELECT m.survivor_id FROM roll_import_row m WHERE m.programme_id = $1 AND m.import_id = $2))
 UNION ALL
SELECT b.beneficiary_id, 'is to receive a family that leaves, or has'
  FROM roll_import_row r
  JOIN beneficiary m ON m.programme_id = $1 AND m.merged_into = r.beneficiary_id
  JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = r.beneficiary_id
 WHERE r.programme_id = $1 AND r.import_id = $2
   AND (r.kind = 'merge' OR r.kind = 'leave' AND m.status <> 'removed')
 UNION ALL
SELECT b.beneficiary_id, 'has the NIK of a newcomer'
  FROM roll_import_row r
  JOIN beneficiary b ON b.programme_id = $1 AND b.nik_digest = r.nik_digest
 WHERE r.programme_id = $1 AND r.import_id = $2 AND r.kind = 'enter'
 UNION ALL
SELECT c.beneficiary_id, 'has a card of the list'
  FROM roll_import_row r
  JOIN card c ON c.programme_id = $1 AND c.card_digest = r.card_digest
 WHERE r.programme_id = $1 AND r.import_id = $2
 ORDER BY 1, 2
"""  # noqa: S608  (an expression of ours)
_TO_APPROVE: Final = """
SELECT count(*) FROM roll_import WHERE programme_id = $1 AND approved_at IS NULL AND withdrawn_at IS NULL
"""
_APPROVE: Final = """
UPDATE roll_import SET approved_at = $3, approved_by = $4 WHERE programme_id = $1 AND import_id = $2
"""
_WITHDRAW: Final = """
UPDATE roll_import SET withdrawn_at = $3, withdrawn_by = $4, finished_at = $3 WHERE programme_id = $1 AND import_id = $2
"""
FORGET: Final = """
-- What was read of the list is gone: names and numbers are on the roll, or nowhere.
DELETE FROM roll_import_row WHERE programme_id = $1 AND import_id = $2
"""
_SAID: Final = 5


class Standing(StrEnum):
    """Where a list stands; the order is its life's."""

    WAITS = "waits for approval"
    APPROVED = "approved"
    APPLIED = "being written"
    FINISHED = "applied"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptList:
    """One row of `roll_import`: families and rupiah as they were when it was imported."""

    import_id: str
    imported_at: datetime
    imported_by: str
    reason: str
    effective_on: date | None
    unchanged: int
    entering: int
    changing: int
    merging: int
    leaving: int
    granting_rupiah: int
    returning_rupiah: int
    unallocated_rupiah: int
    approved_at: datetime | None
    approved_by: str | None
    applied_at: datetime | None
    applied_by: str | None
    effective_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    finished_at: datetime | None

    @property
    def standing(self) -> Standing:
        if self.withdrawn_at is not None:
            return Standing.WITHDRAWN
        if self.applied_at is not None:
            return Standing.APPLIED if self.finished_at is None else Standing.FINISHED
        return Standing.WAITS if self.approved_at is None else Standing.APPROVED


async def lists(connection: Connection, programme_id: str, *, limit: int) -> list[KeptList]:
    """The newest so many, the newest first."""
    return [_kept(row) for row in await connection.fetch(_LISTS, programme_id, limit)]


async def lists_to_approve(connection: Connection, programme_id: str) -> int:
    """That somebody else than who imported them has to look at."""
    count: int = await connection.fetchval(_TO_APPROVE, programme_id)
    return count


async def kept_list(connection: Connection, programme_id: str, import_id: str) -> KeptList:
    row = await connection.fetchrow(_LIST, programme_id, import_id)
    if row is None:
        raise RollRefused(f"{programme_id} has no list {import_id}.")
    return _kept(row)


async def rows_of(connection: Connection, programme_id: str, import_id: str, *, limit: int) -> list[asyncpg.Record]:
    """At most so many families of each kind; none any more of a list that is applied or withdrawn."""
    return list(await connection.fetch(_ROWS, programme_id, import_id, limit))


async def approve(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    import_id: str,
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> KeptList:
    """A second person has approved the list, and it may be applied; nothing else is other than it was.

    Refused where the roll is not the one any more with which the list was compared: nobody approves what was not shown.
    """
    async with alone_with(connection, settings, programme_id):
        found = await kept_list(connection, programme_id, import_id)
        if found.standing is not Standing.WAITS:
            raise RollRefused(f"{import_id} does not wait for approval: it is {found.standing}.")
        if actor.strip().casefold() == found.imported_by.strip().casefold():
            raise RollRefused(f"{import_id} was imported by {found.imported_by}: somebody else has to approve it.")
        await require_still_so(connection, programme_id, found)
        # Nothing stands against it. From here on it is only written.
        await connection.execute(_APPROVE, programme_id, import_id, now, actor)
        await _keep(connection, programme_id, OrderKind.ROLL_APPROVED, found, actor, now, chance)
    return await kept_list(connection, programme_id, import_id)


async def withdraw(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    import_id: str,
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    """The list does nothing, and nothing personal of it is left."""
    async with alone_with(connection, settings, programme_id):
        found = await kept_list(connection, programme_id, import_id)
        if found.standing not in {Standing.WAITS, Standing.APPROVED}:
            raise RollRefused(f"{import_id} cannot be withdrawn: it is {found.standing}.")
        await connection.execute(FORGET, programme_id, import_id)
        await connection.execute(_WITHDRAW, programme_id, import_id, now, actor)
        await _keep(connection, programme_id, OrderKind.ROLL_WITHDRAWN, found, actor, now, chance)


async def require_still_so(connection: Connection, programme_id: str, found: KeptList) -> None:
    """The roll is still the one with which the list was compared, and the money for its newcomers is there."""
    changed = await connection.fetch(_CHANGED, programme_id, found.import_id)
    if changed:
        raise RollRefused(_since(found.import_id, changed))
    unallocated = await look_at_unallocated(connection, programme_id)
    require_money(found.granting_rupiah, unallocated, found.entering, found.returning_rupiah)


def _since(import_id: str, changed: Sequence[asyncpg.Record]) -> str:
    said = "; ".join(f"{row['beneficiary_id']} {row['what']}" for row in changed[:_SAID])
    more = f" and {len(changed) - _SAID} more" if len(changed) > _SAID else ""
    return (
        f"The roll has changed since {import_id} was compared with it, in"
        f" {several(len({row['beneficiary_id'] for row in changed}), 'family', 'families')}: {said}{more}. Withdraw it"
        " and import the list again."
    )


async def _keep(
    connection: Connection,
    programme_id: str,
    kind: OrderKind,
    found: KeptList,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    detail = {"import_id": found.import_id}
    await keep_order(
        connection, programme_id, kind, actor=actor, reason=found.reason, now=now, chance=chance, detail=detail
    )


def _kept(row: asyncpg.Record) -> KeptList:
    values = {name: row[name] for name in KeptList.__slots__}
    return KeptList(**values)
