"""An approved list becomes the roll: in one commit, at one instant.

That one transaction gives newcomers their place, money and cards, marks those who leave (`beneficiary.leaves_at`), and
names the list in `programme`, which raises the version of the reference data. It locks the programme against other
orders of the office, and not one wallet of a family that is there: tills go on, and a decision that was made of the old
roll is either committed before it or made again. Killed before its commit, nothing has happened; killed after it, the
new roll is in force and what follows from it, family by family, is written by whoever comes next (`writing.py`).
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.ledger.bookings import claim_unallocated
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order
from authz_service.roll.cards import CardForFamily, last_day_of_cards
from authz_service.roll.entering import Entrant, enter_all
from authz_service.roll.importing.comparing import require_money
from authz_service.roll.importing.lists import KeptList, Standing, kept_list, require_still_so
from authz_service.roll.opened import Roll, roll_here
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollRefused
from authz_service.settings import Settings
from authz_service.vocabulary import BeneficiaryId, CardStatus, Chance, CompanionId, ProgrammeId

_BATCH: Final = 1_000
_NOW: Final = "SELECT clock_timestamp()"
_ENTERING: Final = """
SELECT beneficiary_id, companion_id, district_code, name_sealed, name_words, nik_sealed, nik_digest, kk_digest,
       card_digest, last_four, amount_rupiah
  FROM roll_import_row
 WHERE programme_id = $1 AND import_id = $2 AND kind = 'enter' AND beneficiary_id > $3
 ORDER BY beneficiary_id
 LIMIT $4
"""
_LEAVING: Final = """
SELECT beneficiary_id, kind, survivor_id
  FROM roll_import_row
 WHERE programme_id = $1 AND import_id = $2 AND kind IN ('leave', 'merge') AND beneficiary_id > $3
 ORDER BY beneficiary_id
 LIMIT $4
"""
_MARK: Final = """
-- No trigger follows this column, so no wallet is locked: the programme's row, below, stands in for all of them.
UPDATE beneficiary b SET leaves_at = $3, merged_into = coalesce(r.survivor_id, b.merged_into)
  FROM roll_import_row r
 WHERE r.programme_id = $1 AND r.import_id = $2 AND r.kind IN ('leave', 'merge')
   AND b.programme_id = $1 AND b.beneficiary_id = r.beneficiary_id
"""
_POINT: Final = """
-- The list is the roll. A trigger raises the version of the reference data: what was decided before is decided again.
UPDATE programme SET roll_import_id = $2 WHERE programme_id = $1
"""
_APPLIED: Final = """
UPDATE roll_import SET applied_at = $3, applied_by = $4, effective_at = $5 WHERE programme_id = $1 AND import_id = $2
"""
_WRITTEN: Final = """
-- They are on the roll, or marked; what is left are the changes of those who stay.
DELETE FROM roll_import_row
 WHERE programme_id = $1 AND import_id = $2
   AND (kind IN ('enter', 'leave', 'merge') OR kind = 'same' AND kk_digest IS NULL)
"""


async def apply(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    import_id: str,
    *,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> KeptList:
    """The list is the roll, now or before; from `effective_at` on decisions follow it."""
    async with alone_with(connection, settings, programme_id):
        found = await kept_list(connection, programme_id, import_id)
        if found.applied_at is not None:
            return found
        if found.standing is not Standing.APPROVED:
            raise RollRefused(f"{import_id} cannot be applied: it is {found.standing}.")
        roll = await roll_here(connection, programme_id, clock.at(await connection.fetchval(_NOW)), chance)
        if roll.now >= roll.ends_at:
            raise RollRefused("The programme has ended: nobody enters any more.")
        await require_still_so(connection, programme_id, found)
        unallocated = await claim_unallocated(connection, programme_id)
        require_money(found.granting_rupiah, unallocated, found.entering, found.returning_rupiah)

        # Nothing stands against it. From here on it is only written.
        order = Order(actor=found.imported_by, reason=found.reason, on=found.effective_on)
        await _enter(roll, found, order)
        # As late as can be: what tills decide until the commit is of the old roll.
        now = clock.at(await connection.fetchval(_NOW))
        at = effective_at(found, roll.zone, now)
        await _leave(replace(roll, now=now), found, order, at)
        await connection.execute(_MARK, programme_id, import_id, at)
        await connection.execute(_WRITTEN, programme_id, import_id)
        detail = {"import_id": import_id, "approved_by": found.approved_by}
        await keep_order(
            connection,
            programme_id,
            OrderKind.ROLL_APPLIED,
            actor=actor,
            reason=found.reason,
            now=now,
            chance=chance,
            detail=detail,
        )
        await connection.execute(_APPLIED, programme_id, import_id, now, actor, at)
        await connection.execute(_POINT, programme_id, import_id)
    return await kept_list(connection, programme_id, import_id)


def effective_at(found: KeptList, zone: ZoneInfo, now: datetime) -> datetime:
    """Midnight of its day, where that is still to come; else now."""
    if found.effective_on is None:
        return now
    return max(now, datetime.combine(found.effective_on, time(), tzinfo=zone))


async def _enter(roll: Roll, found: KeptList, order: Order) -> None:
    """Newcomers have place, money and cards; those of a coming day are suspended until then."""
    if not found.entering:
        return
    at = effective_at(found, roll.zone, roll.now)
    expires_on = await last_day_of_cards(roll.connection, roll.programme_id)
    if expires_on is None or expires_on < roll.today:
        raise RollRefused("The programme's cards are not good any more: give a family a new one first.")
    async for rows in _batches(roll, _ENTERING, found):
        entrants = [
            Entrant(
                beneficiary_id=BeneficiaryId(row["beneficiary_id"]),
                companion_id=CompanionId(row["companion_id"]),
                district_code=row["district_code"],
                name_sealed=row["name_sealed"],
                name_words=row["name_words"],
                nik_sealed=row["nik_sealed"],
                nik_digest=row["nik_digest"],
                kk_digest=row["kk_digest"],
                card=CardForFamily(
                    beneficiary_id=BeneficiaryId(row["beneficiary_id"]),
                    digest=row["card_digest"],
                    last_four=row["last_four"],
                    status=CardStatus.ACTIVE,
                    expires_on=expires_on,
                ),
                amount_rupiah=row["amount_rupiah"],
            )
            for row in rows
        ]
        on = at.astimezone(roll.zone).date()
        await roll.keep_all(await enter_all(roll, entrants, at=at, on=on, import_id=found.import_id), order)


async def _leave(roll: Roll, found: KeptList, order: Order, at: datetime) -> None:
    """It is on record who leaves and why; what became of each is told when it is written."""
    async for rows in _batches(roll, _LEAVING, found):
        await roll.keep_all([_leaving(roll, row, at, found) for row in rows], order, is_told=at > roll.now)


def _leaving(roll: Roll, row: asyncpg.Record, at: datetime, found: KeptList) -> Change:
    kind = ChangeKind.MERGE if row["survivor_id"] else ChangeKind.REMOVE
    effects = Effects(survivor_id=row["survivor_id"], import_id=found.import_id)
    return roll.change(kind, BeneficiaryId(row["beneficiary_id"]), at, effects)


async def _batches(roll: Roll, query: str, found: KeptList) -> AsyncIterator[Sequence[Any]]:
    last = ""
    while True:
        rows = await roll.connection.fetch(query, roll.programme_id, found.import_id, last, _BATCH)
        if not rows:
            return
        yield rows
        last = rows[-1]["beneficiary_id"]
