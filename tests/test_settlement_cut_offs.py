"""A batch is due at the programme's wall clock on its days; one that was missed is made up for, once."""

import os
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from authz_service.settlement.batches import BatchRefused, due
from authz_service.settlement.cut_offs import CutOff, Schedule, days_in_words
from authz_service.settlement.scheduler import Scheduler
from tests.settling import SAMARINDA, batch_closed, batches, instructions
from tests.world import WITA, World

A_SECOND: Final = timedelta(seconds=1)
AT_THREE: Final = CutOff(at=time(15), days=frozenset({1, 2, 3, 4, 5}))
WEEKDAYS: Final = Schedule(zone=WITA, starts_at=datetime(2024, 10, 1, tzinfo=WITA), first=AT_THREE)


def wita(day: int, hour: int = 15, minute: int = 0, second: int = 0) -> datetime:
    """Of October 2024: the 4th is a Friday, the 7th a Monday."""
    return datetime(2024, 10, day, hour, minute, second, tzinfo=WITA)


@pytest.mark.parametrize(
    ("now", "cut_off"),
    [
        (wita(7), wita(7)),
        (wita(7) - timedelta(microseconds=1), wita(4)),
        (wita(7, 23, 59, 59), wita(7)),
        (wita(5), wita(4)),
        (wita(6, 23), wita(4)),
        (datetime(2024, 10, 7, 7, 0, tzinfo=UTC), wita(7)),
        (datetime(2024, 10, 7, 6, 59, 59, tzinfo=UTC), wita(4)),
        (wita(1), wita(1)),
        (wita(1, 14, 59), None),
    ],
)
def test_the_last_cut_off_is_by_the_clock_of_the_zone(now: datetime, cut_off: datetime | None) -> None:
    assert WEEKDAYS.last_before(now) == cut_off


def test_once_a_week_is_a_week_ago_at_the_most() -> None:
    mondays = replace(WEEKDAYS, first=CutOff(at=time(15), days=frozenset({1})))
    assert mondays.last_before(wita(14, 14, 59)) == wita(7)


def test_a_holiday_has_no_cut_off_and_the_next_one_has_everything() -> None:
    """The bank settles nothing on it; its sales are in the batch of the next day that has one."""
    with_holidays = replace(WEEKDAYS, holidays=frozenset({wita(7).date(), wita(8).date()}))
    assert with_holidays.last_before(wita(8, 23)) == wita(4)
    assert with_holidays.last_before(wita(9)) == wita(9)
    assert (with_holidays.has(wita(7)), with_holidays.has(wita(9))) == (False, True)


def test_a_cut_off_that_changes_from_a_day_on_is_the_old_one_until_then() -> None:
    earlier = CutOff(at=time(12, 30), days=frozenset({1, 2, 3, 4, 5, 6}))
    changed = replace(WEEKDAYS, changes={wita(8).date(): earlier, wita(16).date(): None})
    assert changed.last_before(wita(8, 12)) == wita(7)
    assert changed.last_before(wita(8, 12, 30)) == wita(8, 12, 30)
    assert changed.last_before(wita(13)) == wita(12, 12, 30), "a Saturday"
    assert changed.last_before(wita(30)) == wita(15, 12, 30), "since then none is ordered"
    assert [changed.has(wita(day)) for day in (7, 8, 16)] == [True, False, False]
    assert [changed.has(wita(day, 12, 30)) for day in (7, 8, 16)] == [False, True, False]
    assert [changed.cut_off_of(wita(day).date()) for day in (7, 8, 16)] == [AT_THREE, earlier, None]


def test_a_programme_that_had_no_cut_off_may_get_one() -> None:
    enrolled_before = replace(WEEKDAYS, first=None)
    assert enrolled_before.last_before(wita(30)) is None
    assert replace(enrolled_before, changes={wita(8).date(): AT_THREE}).last_before(wita(9, 14)) == wita(8)


def test_a_clock_that_is_put_back_has_one_cut_off_a_day() -> None:
    lisbon = ZoneInfo("Europe/Lisbon")
    every_day = Schedule(
        zone=lisbon,
        starts_at=datetime(2024, 10, 1, tzinfo=lisbon),
        first=CutOff(at=time(1, 30), days=frozenset(range(1, 8))),
    )
    first = every_day.last_before(datetime(2024, 10, 27, 12, tzinfo=UTC))
    assert first == datetime(2024, 10, 27, 1, 30, tzinfo=lisbon)
    assert every_day.has(first)


def test_days_are_said_in_words() -> None:
    assert (days_in_words([1, 2, 3, 4, 5]), days_in_words([6]), days_in_words([1, 3])) == (
        *("Monday to Friday", "Saturday"),
        "Monday, Wednesday",
    )
    assert str(AT_THREE) == "15:00 on Monday to Friday"


@pytest.fixture
def scheduler(world: World) -> Scheduler:
    """That of the running service, which is told when to look."""
    assert world.service is not None
    assert world.service._running is not None
    return Scheduler(settings=world.settings, pool=world.service._running.pool, clock=world.clock, chance=os.urandom)


async def test_the_scheduler_closes_the_batch_once_the_cut_off_has_passed(world: World, scheduler: Scheduler) -> None:
    await world.authorise(capture=True)
    await scheduler.settle()
    assert [batch["cut_off_at"] for batch in await batches(world)] == [wita(4)], "that of Friday was missed"
    assert (await batches(world))[0]["items"] == 1, "by membership, not by time"
    world.at(wita(7) - A_SECOND)
    await scheduler.settle()
    assert len(await batches(world)) == 1
    await world.authorise(amount=1_000, capture=True)
    world.at(wita(7))
    for _ in range(3):
        await scheduler.settle()
    assert [(each["cut_off_at"], each["closed_by"], each["items"]) for each in await batches(world)][1:] == [
        (wita(7), "scheduler", 1)
    ]
    assert [rupiah for *_, rupiah in await instructions(world)] == [150_000, 1_000]
    await world.books_balance()


async def test_a_weekend_and_three_missed_days_are_one_batch(world: World, scheduler: Scheduler) -> None:
    world.at(wita(10))
    await scheduler.settle()
    await world.authorise(capture=True)
    world.at(wita(16, 9))
    await scheduler.settle()
    assert [batch["cut_off_at"] for batch in await batches(world)] == [wita(10), wita(15)]
    with pytest.raises(BatchRefused, match="Batch 2 of 2024-10-15 15:00 WITA has what was sold until then"):
        await batch_closed(world, wita(14))


async def test_a_programme_without_a_cut_off_or_closed_is_never_due(world: World, scheduler: Scheduler) -> None:
    world.at(wita(7))
    await world.database.execute("UPDATE programme SET settlement_cut_off = NULL, settlement_days = NULL")
    await scheduler.settle()
    assert await batches(world) == []
    with pytest.raises(BatchRefused, match="it has none"):
        await batch_closed(world, wita(7))
    assert (await batch_closed(world)).now


async def test_a_fault_of_one_programme_keeps_the_others_shops_from_nothing(
    world: World, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.database.execute(
        'INSERT INTO programme SELECT (jsonb_populate_record(p, \'{"programme_id": "a-broken-one", "zone": "x"}\')).*'
        " FROM programme p"
    )
    world.at(wita(7))
    await scheduler.settle()
    assert [batch["programme_id"] for batch in await batches(world)] == [SAMARINDA]


async def test_by_hand_a_cut_off_is_one_that_has_passed(world: World) -> None:
    with pytest.raises(BatchRefused, match="still to come"):
        await batch_closed(world, wita(7))
    for no_cut_off in (wita(5), wita(4, 14), datetime(2024, 9, 30, 15, tzinfo=WITA)):
        with pytest.raises(BatchRefused, match="no cut-off of samarinda-2024: they are at 15:00 on Monday to Friday"):
            await batch_closed(world, no_cut_off)
    assert (await batch_closed(world, wita(4))).now
    assert not (await batch_closed(world, wita(4))).now
    assert await due(world.database, SAMARINDA, world.now) is None
    assert (await batch_closed(world)).now, "an extra one, at this instant"
    world.at(wita(7))
    assert await due(world.database, SAMARINDA, world.now) == wita(7)
