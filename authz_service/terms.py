"""A programme's caps change with a month, never within one (programme.md: a lowered cap takes effect from the next)."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.clock import month_of
from authz_service.database import Connection, limit_waits
from authz_service.orders import OrderKind, keep_order
from authz_service.settings import settings_from_environment
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH, Chance, in_rupiah

CAP_LIMIT_RUPIAH: Final = MONEY_LIMIT_RUPIAH
CAP_LIMIT_PACKAGES: Final = 1_000_000
"""Far below what the column holds: what vouchers cover is added to it there."""

_PROGRAMME: Final = """
-- Two changes of the same caps come one after the other, and none after the close.
SELECT zone, ends_at, closed_at, month_cap_rupiah, month_packages FROM programme WHERE programme_id = $1
   FOR NO KEY UPDATE
"""
_IN_FORCE: Final = """
-- The last change that is for `$2` or an earlier month.
SELECT cap_rupiah, packages_cap FROM month_cap
 WHERE programme_id = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1
"""
_SET: Final = """
-- The trigger raises the reference's version and keeps what stood here before.
INSERT INTO month_cap (programme_id, valid_from, cap_rupiah, packages_cap) VALUES ($1, $2, $3, $4)
    ON CONFLICT (programme_id, valid_from) DO UPDATE
   SET cap_rupiah = excluded.cap_rupiah, packages_cap = excluded.packages_cap
"""


class TermsRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """The programme's terms cannot change so; the message is one sentence, and nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What a family may spend in a month; None is no limit."""

    cap_rupiah: int | None
    packages_cap: int | None


async def change_cap(
    connection: Connection, *, programme_id: str, month: date, caps: Caps, actor: str, now: datetime, chance: Chance
) -> Caps:
    """`month` and those after it have the caps, up to the next change that is there already; the caps before it.

    A month that has begun keeps its caps, also for families that have not bought in it yet.
    """
    async with connection.transaction():
        await limit_waits(connection, settings_from_environment())
        programme = await connection.fetchrow(_PROGRAMME, programme_id)
        if programme is None:
            raise TermsRefused(f"There is no programme {programme_id}.")
        if programme["closed_at"] is not None:
            raise TermsRefused(f"{programme_id} is closed.")
        if month.day != 1:
            raise TermsRefused("A month is named by its first day.")
        zone = ZoneInfo(programme["zone"])
        if month <= month_of(now, zone):
            raise TermsRefused(f"{month:%Y-%m} has begun: a cap changes from the next month on.")
        if datetime(month.year, month.month, 1, tzinfo=zone) >= programme["ends_at"]:
            raise TermsRefused(f"The programme ends before {month:%Y-%m}.")
        if any(cap is not None and cap <= 0 for cap in (caps.cap_rupiah, caps.packages_cap)):
            raise TermsRefused("A cap is at least 1, or there is none.")
        if (caps.cap_rupiah or 0) > CAP_LIMIT_RUPIAH or (caps.packages_cap or 0) > CAP_LIMIT_PACKAGES:
            most = f"{in_rupiah(CAP_LIMIT_RUPIAH)} and {CAP_LIMIT_PACKAGES} packages"
            raise TermsRefused(f"A cap is at most {most}, or there is none.")
        row = await connection.fetchrow(_IN_FORCE, programme_id, month)
        before = Caps(cap_rupiah=programme["month_cap_rupiah"], packages_cap=programme["month_packages"])
        if row is not None:
            before = Caps(cap_rupiah=row["cap_rupiah"], packages_cap=row["packages_cap"])
        if caps == before:
            raise TermsRefused(f"These are the caps of {month:%Y-%m} already.")
        await connection.execute(_SET, programme_id, month, caps.cap_rupiah, caps.packages_cap)
        detail = {"from": f"{month:%Y-%m}", **asdict(caps), "before": asdict(before)}
        kind = OrderKind.CAP_SET
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return before
