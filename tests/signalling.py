"""Days as the signals see them: a good one for each test to spoil; and how tests watch a served programme."""

import os
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any, Final

from msgspec.structs import replace

from authz_service.database import OfficePool, open_office_pool
from authz_service.signals.facts import BasketLine, Day, Decided, PriceSeen, ShopThen
from authz_service.signals.keeping import Kept
from authz_service.signals.watching import SignalWatcher, compute_day
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME, WITA, World

SAMARINDA: Final = ProgrammeId(PROGRAMME)
A_DAY: Final = date(2024, 10, 7)
PACKAGE: Final = 300_000
FISH: Final = BasketLine(category="ikan_kaleng", amount_rupiah=100_000)
RICE: Final = BasketLine(
    category="beras", amount_rupiah=77_000, product="beras premium", unit="kg", quantity="5", unit_price_rupiah=15_400
)
_numbers = count(1)


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """On A_DAY, in the programme's zone."""
    return datetime(A_DAY.year, A_DAY.month, A_DAY.day, hour, minute, second, tzinfo=WITA)


def a_decision(family: int | str | None = None, **changes: Any) -> Decided:
    """A purchase that was approved, of a family that no other has, with its own card."""
    who = next(_numbers) if family is None else family
    lines: tuple[BasketLine, ...] = changes.pop("lines", (replace(FISH, amount_rupiah=50_000 + 37 * next(_numbers)),))
    whole = Decided(
        authorisation_id=f"auth_{next(_numbers):06d}",
        at=at(10),
        merchant_id="mrc_1",
        terminal_id="trm_1",
        card_id=f"crd_{who}",
        beneficiary_id=f"ben_{who}",
        companion="P-001",
        reason="approved",
        approved_rupiah=sum(line.amount_rupiah for line in lines),
        lines=lines,
    )
    return replace(whole, **changes)


def refused(reason: str, **changes: Any) -> Decided:
    return replace(a_decision(**changes), reason=reason, approved_rupiah=0)


def in_a_row(number: int, seconds: float, start: datetime | None = None, **changes: Any) -> list[Decided]:
    """So many families, so many seconds apart."""
    begin = start or at(10)
    return [a_decision(at=begin + timedelta(seconds=seconds * place), **changes) for place in range(number)]


def a_day(decided: Iterable[Decided] = (), **changes: Any) -> Day:
    """Ten shops in two kecamatan, open from 7 to 21."""
    shops = {
        f"mrc_{number}": ShopThen(district_code=f"d{number % 2}", opens_at=time(7), closes_at=time(21))
        for number in range(1, 11)
    }
    day = Day(
        on=A_DAY,
        package_rupiah=PACKAGE,
        shops=shops,
        decided=tuple(sorted(decided, key=lambda each: each.at)),
        companion_ids={"P-001": "cmp_1", "P-002": "cmp_2"},
        companion_families={"P-001": 7, "P-002": 8},
    )
    return replace(day, **changes)


def prices(product: str, unit: str, *rupiah: int) -> tuple[PriceSeen, ...]:
    """Of the second shop, the third and so on."""
    return tuple(
        PriceSeen(merchant_id=f"mrc_{number}", product=product, unit=unit, unit_price_rupiah=price)
        for number, price in enumerate(rupiah, start=2)
    )


async def watcher_of(world: World) -> tuple[SignalWatcher, OfficePool]:
    """As the service has one; the pool is the caller's to close."""
    assert world.settings.database_url is not None
    pool = await open_office_pool(world.settings, world.settings.database_url.get_secret_value())
    return SignalWatcher(settings=world.settings, pool=pool, clock=world.clock, chance=os.urandom), pool


async def night_of(world: World, on: date) -> Kept:
    """The signals of the day have been computed."""
    return await compute_day(world.database, world.settings, SAMARINDA, on, clock=world.clock, chance=os.urandom)
