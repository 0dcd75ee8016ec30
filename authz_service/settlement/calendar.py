"""When shops are paid, which days are holidays, and how much one payout may be: changed by order, for days to come.
What is due already stays due when it was.

CalendarRefused    nothing was changed
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order
from authz_service.settings import Settings
from authz_service.settlement.batches import schedule_of
from authz_service.settlement.cut_offs import CutOff
from authz_service.vocabulary import (
    MONEY_LIMIT_RUPIAH,
    PAYOUT_LIMIT_FLOOR_RUPIAH,
    Chance,
    ProgrammeId,
    in_rupiah,
)

_PROGRAMME: Final = """
SELECT zone, ends_at, closed_at, coalesce(holidays, '{}') AS holidays, payout_limit_rupiah
  FROM programme WHERE programme_id = $1
"""
_SET_CUT_OFF: Final = """
-- In the place of another one that was ordered for that day and has not begun.
INSERT INTO settlement_schedule (programme_id, valid_from, cut_off, days) VALUES ($1, $2, $3, $4)
    ON CONFLICT (programme_id, valid_from) DO UPDATE SET cut_off = excluded.cut_off, days = excluded.days
"""
_SET_HOLIDAYS: Final = "UPDATE programme SET holidays = $2 WHERE programme_id = $1"
_SET_LIMIT: Final = "UPDATE programme SET payout_limit_rupiah = $2 WHERE programme_id = $1"


class CalendarRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


async def change_cut_off(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    cut_off: CutOff | None,
    *,
    on: date | None,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> tuple[date, CutOff | None]:
    """From `on` (None: tomorrow) until the next change that is there already it is so; since when, and what was before.

    None is no scheduled settlement. A day that has begun keeps its cut-off: it may have passed.
    """
    async with alone_with(connection, settings, programme_id):
        now, row = await _programme(connection, programme_id, clock)
        today = _today(row, now)
        day = on or date.fromordinal(today.toordinal() + 1)
        _require_to_come(day, today)
        before = (await schedule_of(connection, programme_id)).cut_off_of(day)
        if cut_off == before:
            raise CalendarRefused(f"{day} has this cut-off already; nothing was changed.")
        at, days = (None, None) if cut_off is None else (cut_off.at, sorted(cut_off.days))
        await connection.execute(_SET_CUT_OFF, programme_id, day, at, days)
        detail = {"from": f"{day}", "cut_off": _said(cut_off), "before": _said(before)}
        kind = OrderKind.CUT_OFF_SET
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return day, before


async def change_holidays(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    *,
    added: Iterable[date] = (),
    removed: Iterable[date] = (),
    actor: str,
    clock: Clock,
    chance: Chance,
) -> list[date]:
    """On a holiday no batch is due, and it is no working day of a claim that comes later; all of them.

    What was promised for a claim that is open stays promised.
    """
    more, fewer = set(added), set(removed)
    async with alone_with(connection, settings, programme_id):
        now, row = await _programme(connection, programme_id, clock)
        for day in sorted(more | fewer):
            _require_to_come(day, _today(row, now))
        known = set(row["holidays"])
        if more & known or fewer - known:
            day = min(more & known or fewer - known)
            raise CalendarRefused(f"{day} is {'a' if day in known else 'no'} holiday already; nothing was changed.")
        holidays = sorted((known | more) - fewer)
        await connection.execute(_SET_HOLIDAYS, programme_id, holidays)
        detail = {"added": [f"{day}" for day in sorted(more)], "removed": [f"{day}" for day in sorted(fewer)]}
        kind = OrderKind.HOLIDAYS_CHANGED
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return holidays


async def change_payout_limit(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    limit_rupiah: int | None,
    *,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> int | None:
    """From the next batch on no instruction is above it, and a larger sum is several; what the limit was before."""
    if limit_rupiah is not None and not PAYOUT_LIMIT_FLOOR_RUPIAH <= limit_rupiah <= MONEY_LIMIT_RUPIAH:
        floor = in_rupiah(PAYOUT_LIMIT_FLOOR_RUPIAH)
        raise CalendarRefused(f"A limit is a whole number of rupiah, at least {floor}, or there is none.")
    async with alone_with(connection, settings, programme_id):
        now, row = await _programme(connection, programme_id, clock)
        before: int | None = row["payout_limit_rupiah"]
        if limit_rupiah == before:
            raise CalendarRefused("That is the limit already; nothing was changed.")
        await connection.execute(_SET_LIMIT, programme_id, limit_rupiah)
        detail = {"limit_rupiah": limit_rupiah, "before_rupiah": before}
        kind = OrderKind.PAYOUT_LIMIT_SET
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return before


async def _programme(
    connection: Connection, programme_id: ProgrammeId, clock: Clock
) -> tuple[datetime, asyncpg.Record]:
    row = await connection.fetchrow(_PROGRAMME, programme_id)
    if row is None:
        raise CalendarRefused(f"There is no programme {programme_id}.")
    if row["closed_at"] is not None:
        raise CalendarRefused(f"{programme_id} is closed: its shops were paid before.")
    return clock.at(await connection.fetchval("SELECT clock_timestamp()")), row


def _today(row: asyncpg.Record, now: datetime) -> date:
    return now.astimezone(ZoneInfo(row["zone"])).date()


def _require_to_come(day: date, today: date) -> None:
    if day <= today:
        raise CalendarRefused(f"{day} has begun: an order is for a day to come; nothing was changed.")


def _said(cut_off: CutOff | None) -> str | None:
    return None if cut_off is None else str(cut_off)
