"""A day of a programme from the journal and the books, in one snapshot, for the signals that need it.

Purchases are found by their ids, which begin with their time: no index is there for the signals alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from authz_service.database import Connection
from authz_service.ledger.entries import one_snapshot
from authz_service.settings import Settings
from authz_service.signals.facts import (
    BasketLine,
    Day,
    Decided,
    PriceSeen,
    ShopSales,
    ShopThen,
    TakenBack,
    Vouched,
)
from authz_service.signals.kinds import Signal
from authz_service.signals.prices import is_by_piece
from authz_service.signals.thresholds import FarPrices, FarSales, OneCompanion, OneEvening, Rule, Thresholds
from authz_service.signals.thresholds import TakenBack as TakenBackWithin
from authz_service.vocabulary import CHANCE_BYTES, ProgrammeId, new_id

_PROGRAMME: Final = "SELECT zone, package_rupiah FROM programme WHERE programme_id = $1"
_SHOPS: Final = "SELECT merchant_id, district_code, opens_at, closes_at FROM merchant WHERE programme_id = $1"
_DECIDED: Final = """
-- Decisions from id $2 to before id $3, of the shops $4 or of all. What was declined for a signal is no sign of one.
SELECT authorisation_id, created_at, merchant_id, terminal_id, card_id, beneficiary_id, reason, approved_rupiah,
       journal #>> '{facts,companion}' AS companion, (journal -> 'lines')::text AS lines
  FROM authorisation
 WHERE programme_id = $1 AND authorisation_id >= $2 AND authorisation_id < $3
   AND ($4::text[] IS NULL OR merchant_id = ANY ($4)) AND reason <> 'suspected_misuse'
 ORDER BY created_at, authorisation_id
"""
_PRICES: Final = """
-- The median price of each product and unit at each shop, of what was approved from id $2 to before id $3.
SELECT a.merchant_id, line ->> 5 AS product, line ->> 6 AS unit,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY (line ->> 8)::bigint) AS unit_price_rupiah
  FROM authorisation a
 CROSS JOIN LATERAL jsonb_array_elements(a.journal -> 'lines') AS line
 WHERE a.programme_id = $1 AND a.authorisation_id >= $2 AND a.authorisation_id < $3 AND a.approved_rupiah > 0
   AND line ->> 8 IS NOT NULL
 GROUP BY a.merchant_id, line ->> 5, line ->> 6
"""
_TAKEN_BACK: Final = """
-- Refunds from id $2 to before id $3, with what is captured and refunded of their purchases.
SELECT a.authorisation_id, a.merchant_id, a.card_id, a.beneficiary_id, h.captured_rupiah, h.refunded_rupiah,
       a.created_at, max(t.created_at) AS refunded_at
  FROM transfer t
  JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = t.authorisation_id
  JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = t.authorisation_id
 WHERE t.programme_id = $1 AND t.transfer_id >= $2 AND t.transfer_id < $3 AND t.cause = 'refund'
 GROUP BY a.authorisation_id, a.merchant_id, a.card_id, a.beneficiary_id, h.captured_rupiah, h.refunded_rupiah,
          a.created_at
 ORDER BY refunded_at, a.authorisation_id
"""
_VOUCHED: Final = """
-- Purchases from id $2 to before id $3 that used a voucher, and whose it was.
SELECT DISTINCT a.authorisation_id, a.merchant_id, v.beneficiary_id, v.companion_id, c.label, a.created_at
  FROM voucher_movement m
  JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = m.voucher_id
  JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = m.authorisation_id
  JOIN companion c ON c.programme_id = $1 AND c.companion_id = v.companion_id
 WHERE m.programme_id = $1 AND m.authorisation_id >= $2 AND m.authorisation_id < $3
   AND (m.used_rupiah > 0 OR m.packages_used > 0)
 ORDER BY a.created_at, a.authorisation_id
"""
_SALES: Final = """
-- What each shop sold from id $2 to before id $3, and to how many families.
SELECT merchant_id, count(DISTINCT beneficiary_id)::int AS families,
       sum(held_rupiah + captured_rupiah - refunded_rupiah)::bigint AS rupiah
  FROM hold
 WHERE programme_id = $1 AND authorisation_id >= $2 AND authorisation_id < $3
   AND held_rupiah + captured_rupiah - refunded_rupiah > 0
 GROUP BY merchant_id
"""
_COMPANIONS: Final = """
-- Each companion, and how many families it looks after.
SELECT c.companion_id, c.label, count(b.beneficiary_id)::int AS families
  FROM companion c
  LEFT JOIN beneficiary b ON b.programme_id = $1 AND b.companion_id = c.companion_id AND b.status <> 'removed'
 WHERE c.programme_id = $1
 GROUP BY c.companion_id, c.label
"""
_NEEDS_PRICES: Final = frozenset({Signal.FAR_PRICES, Signal.FIXED_BAGS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What of a day is read: up to `until`, where the day is not over; of `shops`, from `since` on, by the watcher."""

    on: date
    signals: Collection[Signal] = tuple(Signal)
    since: datetime | None = None
    until: datetime | None = None
    shops: Sequence[str] | None = None


async def read_day(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    scope: Scope,
    rules: Mapping[Signal, Rule],
) -> Day:
    """All that `scope.signals` look at, of one instant."""
    async with one_snapshot(connection, settings):
        return await _day(connection, programme_id, scope, rules)


async def zone_of(connection: Connection, programme_id: ProgrammeId) -> ZoneInfo:
    return ZoneInfo(await connection.fetchval("SELECT zone FROM programme WHERE programme_id = $1", programme_id))


async def _day(connection: Connection, programme_id: ProgrammeId, scope: Scope, rules: Mapping[Signal, Rule]) -> Day:
    programme = await connection.fetchrow(_PROGRAMME, programme_id)
    if programme is None:
        raise LookupError(f"there is no programme {programme_id}")
    zone, wanted = ZoneInfo(programme["zone"]), {each for each in scope.signals if rules[each].enabled}
    begins = datetime.combine(scope.on, time(), tzinfo=zone)
    ends = min(begins + timedelta(days=1), scope.until or datetime.max.replace(tzinfo=UTC))

    async def between(statement: str, prefix: str, since: datetime, *more: Any) -> list[asyncpg.Record]:
        ids = (id_from(prefix, since), id_from(prefix, ends))
        return list(await connection.fetch(statement, programme_id, *ids, *more))

    def days_back(signal: Signal) -> datetime:
        """The first instant of so many local days, this one counted."""
        back = timedelta(days=_days(rules[signal].thresholds) - 1)
        return datetime.combine(scope.on - back, time(), tzinfo=zone)

    shops = list(scope.shops) if scope.shops is not None else None
    rows = await between(_DECIDED, "auth", max(begins, scope.since or begins), shops)
    decided = tuple(_decided(row, zone) for row in rows)
    facts: dict[str, Any] = {}
    pieces = Signal.EGGS_BY_PIECE in wanted and any(is_by_piece(line) for each in decided for line in each.lines)
    if wanted & _NEEDS_PRICES or pieces:
        facts["prices"] = tuple(
            PriceSeen(**dict(row)) for row in await between(_PRICES, "auth", days_back(Signal.FAR_PRICES))
        )
    if Signal.TAKEN_BACK in wanted:
        refunds = await between(_TAKEN_BACK, "ref", days_back(Signal.TAKEN_BACK))
        facts["taken_back"] = tuple(
            _taken_back(row, zone) for row in refunds if shops is None or row["merchant_id"] in shops
        )
    if Signal.ONE_COMPANION in wanted:
        vouched = await between(_VOUCHED, "auth", days_back(Signal.ONE_COMPANION))
        facts["vouched"] = tuple(_vouched(row, zone) for row in vouched)
    if wanted & {Signal.FAR_SALES, Signal.ONE_EVENING}:
        since = min(days_back(signal) for signal in (Signal.FAR_SALES, Signal.ONE_EVENING) if signal in wanted)
        facts["sales"] = tuple(ShopSales(**dict(row)) for row in await between(_SALES, "auth", since))
    if Signal.ONE_EVENING in wanted:
        companions = await connection.fetch(_COMPANIONS, programme_id)
        facts["companion_families"] = {each["label"]: each["families"] for each in companions}
        facts["companion_ids"] = {each["label"]: each["companion_id"] for each in companions}
    return Day(
        on=scope.on,
        package_rupiah=programme["package_rupiah"],
        shops={row["merchant_id"]: _shop(row) for row in await connection.fetch(_SHOPS, programme_id)},
        decided=decided,
        **facts,
    )


def _days(thresholds: Thresholds) -> int:
    match thresholds:
        case FarPrices() | TakenBackWithin() | OneCompanion() | OneEvening() | FarSales():
            return thresholds.days
        case _:
            raise TypeError("this signal looks at one day")


def id_from(prefix: str, instant: datetime) -> str:
    """Ids of this millisecond and later ones are not smaller."""
    return new_id(prefix, max(instant, _FIRST_ID), bytes(CHANCE_BYTES))


_FIRST_ID: Final = datetime(1970, 1, 2, tzinfo=UTC)


def _shop(row: asyncpg.Record) -> ShopThen:
    return ShopThen(district_code=row["district_code"], opens_at=row["opens_at"], closes_at=row["closes_at"])


def _decided(row: asyncpg.Record, zone: ZoneInfo) -> Decided:
    return Decided(
        authorisation_id=row["authorisation_id"],
        at=row["created_at"].astimezone(zone),
        merchant_id=row["merchant_id"],
        terminal_id=row["terminal_id"],
        card_id=row["card_id"],
        beneficiary_id=row["beneficiary_id"],
        companion=row["companion"],
        reason=row["reason"],
        approved_rupiah=row["approved_rupiah"],
        lines=tuple(
            BasketLine(
                category=category,
                amount_rupiah=amount,
                product=product,
                unit=unit,
                quantity=quantity,
                unit_price_rupiah=unit_price,
            )
            for category, amount, _, _, _, product, unit, quantity, unit_price in orjson.loads(row["lines"])
        ),
    )


def _taken_back(row: asyncpg.Record, zone: ZoneInfo) -> TakenBack:
    return TakenBack(
        authorisation_id=row["authorisation_id"],
        merchant_id=row["merchant_id"],
        card_id=row["card_id"],
        beneficiary_id=row["beneficiary_id"],
        captured_rupiah=row["captured_rupiah"],
        refunded_rupiah=row["refunded_rupiah"],
        decided_at=row["created_at"].astimezone(zone),
        refunded_at=row["refunded_at"].astimezone(zone),
    )


def _vouched(row: asyncpg.Record, zone: ZoneInfo) -> Vouched:
    return Vouched(
        authorisation_id=row["authorisation_id"],
        merchant_id=row["merchant_id"],
        beneficiary_id=row["beneficiary_id"],
        companion_id=row["companion_id"],
        companion=row["label"],
        decided_at=row["created_at"].astimezone(zone),
    )
