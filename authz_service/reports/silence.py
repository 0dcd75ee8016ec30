"""Shops that say nothing though they should: active, usually selling, and without any request in their last hours.

A shop is silent when no authorisation, declined or approved, came from it in its last `silent_hours` opening hours; of
a shop without hours of its own these are 08 to 18. It usually sells when it sold something in at least half of the last
`silent_batches` settlement batches; while there are fewer than three of them, every shop does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.database import Connection
from authz_service.settings import Settings
from authz_service.shops import KnownShop, shops
from authz_service.vocabulary import MerchantStatus, time_part

OPENS_AT: Final = time(8)
CLOSES_AT: Final = time(18)
"""Where the programme knows no hours of a shop."""
ENOUGH_BATCHES: Final = 3
_DAYS_BACK: Final = 14
"""Opening hours are counted no further back: a shop that is open ten minutes a day is no shop."""
_PROGRAMME: Final = "SELECT zone, starts_at, ends_at, closed_at FROM programme WHERE programme_id = $1"
_SELLS: Final = """
-- In how many of the last $2 batches each shop has sold something, and how many there are.
WITH last AS (
       SELECT batch_id FROM settlement_batch WHERE programme_id = $1 ORDER BY number DESC LIMIT $2)
SELECT p.merchant_id, count(*) FILTER (WHERE p.captured_rupiah > 0) AS sold, (SELECT count(*) FROM last) AS batches
  FROM settlement_position p
 WHERE p.programme_id = $1 AND p.batch_id IN (SELECT batch_id FROM last)
 GROUP BY p.merchant_id
"""
_HEARD: Final = """
-- When each shop was last heard of since $2; ids begin with their time ($3), so no more than that is read.
SELECT merchant_id, max(created_at) AS at
  FROM authorisation
 WHERE programme_id = $1 AND authorisation_id >= 'auth_' || $3 AND created_at >= $2
 GROUP BY merchant_id
"""
_SLACK: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentShop:
    """Nothing was heard of it since `since`, the beginning of its last hours."""

    shop: KnownShop
    since: datetime


async def silent_shops(
    connection: Connection, settings: Settings, programme_id: str, now: datetime
) -> Sequence[SilentShop]:
    """By kecamatan and name; none before the programme has begun or once it has ended."""
    programme = await connection.fetchrow(_PROGRAMME, programme_id)
    if programme is None or not programme["starts_at"] <= now < (programme["closed_at"] or programme["ends_at"]):
        return []
    zone, starts_at = ZoneInfo(programme["zone"]), programme["starts_at"]
    hours = timedelta(hours=settings.silent_hours)
    expected = {}
    for shop in await _that_sell(connection, settings, programme_id, now.astimezone(zone).date()):
        since = last_hours_began(shop.opens_at, shop.closes_at, hours, now, zone)
        # A shop is not asked for hours before it, or the programme, was there.
        admitted = datetime.combine(shop.admitted_on, time(), tzinfo=zone)
        if since is not None and since >= max(starts_at, admitted):
            expected[shop.merchant_id] = SilentShop(shop=shop, since=since)
    if not expected:
        return []
    earliest = min(each.since for each in expected.values())
    rows = await connection.fetch(_HEARD, programme_id, earliest, time_part(earliest - _SLACK))
    heard = {row["merchant_id"]: row["at"] for row in rows}
    return [each for key, each in expected.items() if key not in heard or heard[key] < each.since]


def last_hours_began(
    opens_at: time | None, closes_at: time | None, hours: timedelta, now: datetime, zone: ZoneInfo
) -> datetime | None:
    """Since when the shop has been open for `hours` in all; None while it is closed, or where that is too long ago."""
    opens, closes = (OPENS_AT, CLOSES_AT) if opens_at is None or closes_at is None else (opens_at, closes_at)
    today, left = now.astimezone(zone).date(), hours
    for back in range(-1, _DAYS_BACK):
        began, ended = _opening(today - timedelta(days=back), opens, closes, zone)
        if began > now:
            continue
        if left == hours and not began <= now < ended:
            return None
        open_for = min(ended, now) - began
        if open_for >= left:
            return min(ended, now) - left
        left -= open_for
    return None


def _opening(day: date, opens: time, closes: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Of the shop that opens on that day: past midnight where it closes before it opens, all day where both are equal
    (`rules/shop.py`)."""
    last = day if opens < closes else day + timedelta(days=1)
    return datetime.combine(day, opens, tzinfo=zone), datetime.combine(last, closes, tzinfo=zone)


async def _that_sell(connection: Connection, settings: Settings, programme_id: str, today: date) -> Sequence[KnownShop]:
    rows = {row["merchant_id"]: row for row in await connection.fetch(_SELLS, programme_id, settings.silent_batches)}
    batches = max((row["batches"] for row in rows.values()), default=0)
    return [
        shop
        for shop in await shops(connection, programme_id)
        if shop.status is MerchantStatus.ACTIVE
        and shop.admitted_on <= today
        and (shop.leaves_on is None or today <= shop.leaves_on)
        and (batches < ENOUGH_BATCHES or (shop.merchant_id in rows and 2 * rows[shop.merchant_id]["sold"] >= batches))
    ]
