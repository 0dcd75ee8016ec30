"""Caps change with a month that has not begun; the running month keeps its own."""

import os
from collections.abc import AsyncIterator
from datetime import date, datetime

import asyncpg
import orjson
import pytest

from authz_service.terms import Caps, TermsRefused, change_cap
from tests.world import A_MORNING, PROGRAMME, WITA, World

NOVEMBER, DECEMBER = date(2024, 11, 1), date(2024, 12, 1)
AS_ENROLLED = Caps(cap_rupiah=600_000, packages_cap=2)
LOWER = Caps(cap_rupiah=300_000, packages_cap=1)
NO_LIMIT = Caps(cap_rupiah=None, packages_cap=None)


@pytest.fixture
async def programme(enrolled_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(enrolled_url)
    yield connection
    await connection.close()


async def changed(
    connection: "asyncpg.Connection[asyncpg.Record]", month: date, caps: Caps, now: datetime = A_MORNING
) -> Caps:
    return await change_cap(
        connection, programme_id=PROGRAMME, month=month, caps=caps, actor="dinsos", now=now, chance=os.urandom
    )


async def test_a_lowered_cap_takes_effect_from_the_next_month(world: World) -> None:
    assert await changed(world.database, NOVEMBER, LOWER) == AS_ENROLLED
    assert (await world.authorise(capture=True))["remaining"]["month"] == 450000
    world.at(datetime(2024, 10, 31, 20, tzinfo=WITA))
    assert (await world.balance())["remaining"]["packages_this_month"] == 1
    world.at(datetime(2024, 11, 1, 9, tzinfo=WITA))
    november = await world.authorise()
    assert (november["remaining"]["month"], november["remaining"]["packages_this_month"]) == (150000, 0)
    await world.books_balance()


async def test_a_change_counts_until_the_next_one(programme: "asyncpg.Connection[asyncpg.Record]") -> None:
    assert await changed(programme, DECEMBER, NO_LIMIT) == AS_ENROLLED
    assert await changed(programme, NOVEMBER, LOWER) == AS_ENROLLED
    assert await changed(programme, DECEMBER, AS_ENROLLED) == NO_LIMIT
    rows = await programme.fetch("SELECT valid_from, cap_rupiah, packages_cap FROM month_cap ORDER BY valid_from")
    assert [tuple(row) for row in rows] == [(NOVEMBER, 300000, 1), (DECEMBER, 600000, 2)]


async def test_what_stood_before_is_kept(programme: "asyncpg.Connection[asyncpg.Record]") -> None:
    await changed(programme, NOVEMBER, LOWER)
    await changed(programme, NOVEMBER, NO_LIMIT)
    rows = await programme.fetch("SELECT row FROM reference_history WHERE relation = 'month_cap' ORDER BY version")
    assert [orjson.loads(row[0])["cap_rupiah"] for row in rows] == [300000, None]


@pytest.mark.parametrize(
    ("month", "now", "said"),
    [
        (date(2024, 10, 1), A_MORNING, "2024-10 has begun"),
        (date(2024, 9, 1), A_MORNING, "2024-09 has begun"),
        (NOVEMBER, datetime(2024, 11, 1, tzinfo=WITA), "2024-11 has begun"),
        (date(2024, 11, 2), A_MORNING, "named by its first day"),
        (date(2025, 1, 1), A_MORNING, "ends before 2025-01"),
    ],
)
async def test_only_a_month_to_come_can_change(
    programme: "asyncpg.Connection[asyncpg.Record]", month: date, now: datetime, said: str
) -> None:
    with pytest.raises(TermsRefused, match=said):
        await changed(programme, month, LOWER, now)
    assert await programme.fetchval("SELECT count(*) FROM month_cap") == 0


async def test_a_month_in_wita_has_not_begun_at_the_last_instant_before_it(
    programme: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await changed(programme, NOVEMBER, LOWER, datetime(2024, 10, 31, 23, 59, 59, 999999, tzinfo=WITA))


async def test_under_the_largest_caps_families_buy(world: World) -> None:
    await changed(world.database, NOVEMBER, Caps(cap_rupiah=2**53 - 1, packages_cap=1_000_000))
    world.at(datetime(2024, 11, 1, 9, tzinfo=WITA))
    assert (await world.authorise(capture=True))["remaining"]["month"] == 2**53 - 1 - 150_000
    await world.books_balance()


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        (Caps(cap_rupiah=0, packages_cap=1), "at least 1"),
        (Caps(cap_rupiah=300_000, packages_cap=-1), "at least 1"),
        (Caps(cap_rupiah=2**53, packages_cap=2), "at most"),
        (Caps(cap_rupiah=10**30, packages_cap=2), "at most"),
        (Caps(cap_rupiah=None, packages_cap=1_000_001), "at most"),
        (Caps(cap_rupiah=500_000, packages_cap=10**12 - 1), "at most"),
        (AS_ENROLLED, "the caps of 2024-11 already"),
    ],
)
async def test_caps_that_are_none_or_no_change_are_refused(
    programme: "asyncpg.Connection[asyncpg.Record]", caps: Caps, said: str
) -> None:
    with pytest.raises(TermsRefused, match=said):
        await changed(programme, NOVEMBER, caps)


async def test_a_programme_that_is_closed_or_not_there_has_no_caps_to_change(
    programme: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    with pytest.raises(TermsRefused, match="no programme nowhere"):
        await change_cap(
            programme,
            programme_id="nowhere",
            month=NOVEMBER,
            caps=LOWER,
            actor="dinsos",
            now=A_MORNING,
            chance=os.urandom,
        )
    await programme.execute("UPDATE programme SET closed_at = '2025-02-01'")
    with pytest.raises(TermsRefused, match="is closed"):
        await changed(programme, NOVEMBER, LOWER)
