"""What follows from a list that was applied, family by family: leavers' money and vouchers, and who has changed.

Decisions do not wait for it where somebody left or entered. A family that stays and has another companion, card or
name has it from here on, whole: all that a list changes of one family is one transaction.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import Connection
from authz_service.roll.cards import CardForFamily, give_all, last_day_of_cards
from authz_service.roll.due import apply_leaving
from authz_service.roll.importing.lists import FORGET
from authz_service.roll.moving import Move, move_all
from authz_service.roll.opened import LockedFamily, Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Effects, Order
from authz_service.settings import Settings
from authz_service.vocabulary import BeneficiaryStatus, CardStatus, Chance, CompanionId

_OPEN: Final = """
-- The list that was applied, whose instant has come, and that is not written yet.
SELECT i.import_id, i.imported_by, i.reason, i.effective_at
  FROM roll_import i JOIN programme p USING (programme_id)
 WHERE i.programme_id = $1 AND i.finished_at IS NULL AND i.effective_at <= $2 AND p.closed_at IS NULL
"""
_FAMILY_CARDS: Final = """
-- The numbers of family cards that nobody knew: so many at a time.
WITH known AS (
       DELETE FROM roll_import_row
        WHERE programme_id = $1 AND import_id = $2
          AND beneficiary_id = ANY (ARRAY(SELECT beneficiary_id FROM roll_import_row
                                           WHERE programme_id = $1 AND import_id = $2 AND kind = 'same'
                                           ORDER BY beneficiary_id LIMIT $3))
       RETURNING beneficiary_id, kk_digest)
UPDATE beneficiary b SET kk_digest = known.kk_digest
  FROM known
 WHERE b.programme_id = $1 AND b.beneficiary_id = known.beneficiary_id AND known.kk_digest IS NOT NULL
"""
_CHANGING: Final = """
SELECT r.beneficiary_id, r.changes, r.companion_id, companion.label, r.district_code, r.name_sealed, r.kk_digest,
       r.card_digest, r.last_four,
       EXISTS (SELECT FROM card c WHERE c.programme_id = $1 AND c.card_digest = r.card_digest) AS card_is_taken
  FROM roll_import_row r
  LEFT JOIN companion ON companion.programme_id = $1 AND companion.companion_id = r.companion_id
 WHERE r.programme_id = $1 AND r.import_id = $2 AND r.kind = 'change'
 ORDER BY r.beneficiary_id
 LIMIT $3
"""
_DETAILS: Final = """
UPDATE beneficiary b
   SET name_sealed = coalesce(r.name_sealed, b.name_sealed), name_words = coalesce(r.name_words, b.name_words),
       district_code = coalesce(r.district_code, b.district_code),
       kk_digest = coalesce(r.kk_digest, b.kk_digest)
  FROM roll_import_row r
 WHERE r.programme_id = $1 AND r.import_id = $2 AND r.beneficiary_id = ANY ($3)
   AND b.programme_id = $1 AND b.beneficiary_id = r.beneficiary_id AND b.beneficiary_id = ANY ($3)
"""
_DONE: Final = """
DELETE FROM roll_import_row WHERE programme_id = $1 AND import_id = $2 AND beneficiary_id = ANY ($3)
"""
_LEFT: Final = """
SELECT (SELECT count(*) FROM beneficiary WHERE programme_id = $1 AND leaves_at IS NOT NULL)
     + (SELECT count(*) FROM roll_import_row WHERE programme_id = $1 AND import_id = $2 AND kind IN ('same', 'change'))
"""
_FINISH: Final = """
UPDATE roll_import SET finished_at = $3 WHERE programme_id = $1 AND import_id = $2 AND finished_at IS NULL
"""
_NOW: Final = "SELECT clock_timestamp()"
_BUSY_SECONDS: Final = 0.1
"""Families that somebody is at work on are tried again after so long."""
_MANY: Final = 5_000
_DETAIL_WORDS: Final = ("name", "district", "family card")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How many families were written, and how many are left, because somebody is at work on them or time is up.

    `cards_taken` are families whose new card another one was given meanwhile: they keep theirs.
    """

    families: int = 0
    left: int = 0
    cards_taken: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Work:
    connection: Connection
    settings: Settings
    programme_id: str
    clock: Clock
    chance: Chance
    families: int = 0
    cards_taken: list[str] = field(default_factory=list)

    async def now(self) -> datetime:
        return self.clock.at(await self.connection.fetchval(_NOW))


async def write_applied(
    connection: Connection,
    settings: Settings,
    programme_id: str,
    *,
    clock: Clock,
    chance: Chance,
    limit_seconds: float,
) -> Written | None:
    """What the list that is in force changes is written, as far as the time goes; None where there is no such list.

    May be run by several at once, and again: each family is written once.
    """
    until = monotonic_seconds() + limit_seconds
    work = _Work(connection=connection, settings=settings, programme_id=programme_id, clock=clock, chance=chance)
    found = await connection.fetchrow(_OPEN, programme_id, await work.now())
    if found is None:
        return None
    while monotonic_seconds() < until:
        done = await _some(work, found)
        work.families += done
        if done:
            continue
        left: int = await connection.fetchval(_LEFT, programme_id, found["import_id"])
        if not left:
            async with connection.transaction():
                await connection.execute(FORGET, programme_id, found["import_id"])
                await connection.execute(_FINISH, programme_id, found["import_id"], await work.now())
            return Written(families=work.families, cards_taken=tuple(work.cards_taken))
        await asyncio.sleep(_BUSY_SECONDS)
    left = await connection.fetchval(_LEFT, programme_id, found["import_id"])
    return Written(families=work.families, left=left, cards_taken=tuple(work.cards_taken))


async def _some(work: _Work, found: asyncpg.Record) -> int:
    """Some families, in one transaction each kind; how many."""
    programme_id, limit = work.programme_id, work.settings.roll_settled_at_once
    now = await work.now()
    done = await apply_leaving(work.connection, programme_id=programme_id, now=now, chance=work.chance, limit=limit)
    done += await _change_some(work, found, now, limit)
    if not done:
        status = await work.connection.execute(_FAMILY_CARDS, programme_id, found["import_id"], _MANY)
        done = int(status.rpartition(" ")[2])
    return done


async def _change_some(work: _Work, found: asyncpg.Record, now: datetime, limit: int) -> int:
    opened = opened_roll(work.connection, programme_id=work.programme_id, now=now, chance=work.chance)
    async with opened as roll:
        rows = await work.connection.fetch(_CHANGING, work.programme_id, found["import_id"], limit)
        if not rows:
            return 0
        free = {each.beneficiary_id: each for each in await roll.lock_free([row["beneficiary_id"] for row in rows])}
        # Somebody else may have written one of them while this waited.
        again = await work.connection.fetch(_CHANGING, work.programme_id, found["import_id"], limit)
        mine = [(row, free[row["beneficiary_id"]]) for row in again if row["beneficiary_id"] in free]
        await _change(work, roll, [pair for pair in mine if _is_there(pair[1], now)], found)
        await work.connection.execute(
            _DONE, work.programme_id, found["import_id"], [family.beneficiary_id for _, family in mine]
        )
    return len(mine)


def _is_there(family: LockedFamily, now: datetime) -> bool:
    """Who left meanwhile by an order of its own is not changed any more."""
    leaves = family.waiting is not None and family.waiting.status is BeneficiaryStatus.REMOVED
    return family.status is not BeneficiaryStatus.REMOVED and not (
        leaves and family.waiting is not None and family.waiting.at <= now
    )


async def _change(
    work: _Work, roll: Roll, rows: Sequence[tuple[asyncpg.Record, LockedFamily]], found: asyncpg.Record
) -> None:
    import_id, at = found["import_id"], found["effective_at"]
    order = Order(actor=found["imported_by"], reason=found["reason"])
    changes: list[Change] = []
    details = [(row, tuple(word for word in _DETAIL_WORDS if word in row["changes"])) for row, _ in rows]
    details = [(row, words) for row, words in details if words]
    if details:
        ids = [row["beneficiary_id"] for row, _ in details]
        await work.connection.execute(_DETAILS, work.programme_id, import_id, ids)
        changes += [
            roll.change(ChangeKind.DETAILS, row["beneficiary_id"], at, Effects(details=words, import_id=import_id))
            for row, words in details
        ]
    moves = [
        Move(family=family, companion_id=CompanionId(row["companion_id"]), label=row["label"])
        for row, family in rows
        if row["companion_id"] is not None and row["companion_id"] != family.companion_id
    ]
    if moves:
        changes += await move_all(roll, moves, at=at, order=order, import_id=import_id)
    changes += await _cards(work, roll, [row for row, _ in rows if row["card_digest"] is not None], found)
    await roll.keep_all(changes, order)


async def _cards(work: _Work, roll: Roll, rows: Sequence[asyncpg.Record], found: asyncpg.Record) -> list[Change]:
    work.cards_taken += [row["beneficiary_id"] for row in rows if row["card_is_taken"]]
    expires_on = await last_day_of_cards(roll.connection, roll.programme_id)
    cards = [
        CardForFamily(
            beneficiary_id=row["beneficiary_id"],
            digest=row["card_digest"],
            last_four=row["last_four"],
            status=CardStatus.ACTIVE,
            expires_on=expires_on,
        )
        for row in rows
        if not row["card_is_taken"] and expires_on is not None
    ]
    return await give_all(roll, cards, at=found["effective_at"], import_id=found["import_id"]) if cards else []
