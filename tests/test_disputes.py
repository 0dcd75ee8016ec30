"""Disputes have clocks of the programme: the last day still counts, weekends and holidays do not; no money moves."""

import asyncio
import os
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st

from authz_service.closing import what_is_open
from authz_service.database import migrate, migration_config
from authz_service.reconciliation.disputes import (
    Dispute,
    DisputeRefused,
    DisputeStatus,
    Opened,
    answer_dispute,
    disputes,
    open_dispute,
)
from authz_service.reconciliation.working_days import DisputeClocks
from tests.harm import address_of
from tests.settling import SAMARINDA
from tests.test_reference_history import A_PROGRAMME
from tests.world import A_MORNING, WITA, World

A_SECOND: Final = timedelta(seconds=1)


def clocks(*holidays: date, claim_days: int = 90, answer_days: int = 10) -> DisputeClocks:
    return DisputeClocks(zone=WITA, claim_days=claim_days, answer_days=answer_days, holidays=holidays)


def midnight(year: int, month: int, day: int, zone: ZoneInfo = WITA) -> datetime:
    """At which that day begins."""
    return datetime(year, month, day, tzinfo=zone)


@pytest.mark.parametrize(
    ("claimed", "due"),
    [
        (datetime(2024, 10, 7, 9, tzinfo=WITA), midnight(2024, 10, 22)),  # Monday: the tenth is Monday in two weeks
        (datetime(2024, 10, 4, 23, 59, tzinfo=WITA), midnight(2024, 10, 19)),  # Friday → Friday in two weeks
        (datetime(2024, 10, 5, 9, tzinfo=WITA), midnight(2024, 10, 19)),  # Saturday, Sunday: as on Friday
        (datetime(2024, 10, 6, 23, 59, 59, tzinfo=WITA), midnight(2024, 10, 19)),
        (datetime(2024, 10, 6, 16, 0, tzinfo=UTC), midnight(2024, 10, 22)),  # Monday already in WITA
        (datetime(2024, 12, 20, 9, tzinfo=WITA), midnight(2025, 1, 4)),
    ],
)
def test_an_answer_is_due_at_the_end_of_the_tenth_working_day(claimed: datetime, due: datetime) -> None:
    assert clocks().answer_due_at(claimed) == due


def test_holidays_are_no_working_days_and_one_on_a_weekend_makes_no_difference() -> None:
    claimed = datetime(2024, 12, 20, 9, tzinfo=WITA)
    holidays = (date(2024, 12, 25), date(2024, 12, 26), date(2025, 1, 1), date(2024, 12, 28))
    assert clocks(*holidays).answer_due_at(claimed) == midnight(2025, 1, 9)


@given(
    st.integers(0, 2 * 365 * 86_400),
    st.integers(1, 30),
    st.frozensets(st.dates(date(2024, 1, 1), date(2026, 3, 1)), max_size=40),
)
def test_between_claim_and_due_there_are_exactly_so_many_working_days(
    seconds: int, days: int, holidays: frozenset[date]
) -> None:
    claimed = midnight(2024, 1, 1) + timedelta(seconds=seconds)
    due = clocks(*holidays, answer_days=days).answer_due_at(claimed).astimezone(WITA)
    last = due.date() - timedelta(days=1)
    between = [claimed.date() + timedelta(days=n) for n in range(1, (last - claimed.date()).days + 1)]
    working = [day for day in between if day.weekday() < 5 and day not in holidays]
    assert (due.hour, due.minute, len(working), working[-1]) == (0, 0, days, last)


async def opened(world: World, authorisation_id: str, *, connection: Any = None, **changes: Any) -> Opened:
    how: dict[str, Any] = {"reason": "barang kurang", "actor": "Posko", "now": world.now, "chance": os.urandom}
    return await open_dispute(connection or world.database, SAMARINDA, authorisation_id, **how | changes)


async def answered(world: World, dispute_id: str, **changes: Any) -> None:
    how: dict[str, Any] = {"answer": "benar", "actor": "Dinsos", "now": world.now, "chance": os.urandom}
    await answer_dispute(world.database, SAMARINDA, dispute_id, **how | changes)


async def all_of_them(world: World) -> list[Dispute]:
    return list(await disputes(world.database, SAMARINDA, with_answered=True, limit=10))


async def test_a_purchase_may_be_disputed_until_the_end_of_the_ninetieth_day(world: World) -> None:
    sold = await world.authorise(capture=True)
    ends = midnight(2025, 1, 6)  # 7 October and 90 days are 5 January, which still counts
    with pytest.raises(DisputeRefused, match="for 90 days, this one until 6 January 2025 00:00 WITA"):
        await opened(world, sold["id"], now=ends)
    assert await all_of_them(world) == []
    assert (await opened(world, sold["id"], now=ends - A_SECOND)).answer_due_at == midnight(2025, 1, 18)


async def test_a_dispute_is_open_then_late_and_answered_once(world: World) -> None:
    sold = await world.authorise(capture=True)
    done = await opened(world, sold["id"])
    assert done.answer_due_at == midnight(2024, 10, 22)
    (dispute,) = await all_of_them(world)
    assert dispute.status(done.answer_due_at - A_SECOND) is DisputeStatus.OPEN
    assert dispute.status(done.answer_due_at) is DisputeStatus.LATE
    with pytest.raises(DisputeRefused, match=f"{done.dispute_id} of this purchase waits"):
        await opened(world, sold["id"])
    await answered(world, done.dispute_id, now=done.answer_due_at + timedelta(days=3))
    (dispute,) = await all_of_them(world)
    assert dispute.status(done.answer_due_at + timedelta(days=9)) is DisputeStatus.ANSWERED
    with pytest.raises(DisputeRefused, match="no dispute that waits"):
        await answered(world, done.dispute_id)
    again = await opened(world, sold["id"])
    assert again.dispute_id != done.dispute_id
    kinds = await world.database.fetch("SELECT kind FROM office_order ORDER BY recorded_at, order_id")
    assert [row[0] for row in kinds] == ["dispute_opened", "dispute_opened", "dispute_answered"]


async def test_a_dispute_moves_no_money_and_keeps_no_programme_open(world: World) -> None:
    sold = await world.authorise(capture=True)
    transfers = await world.database.fetchval("SELECT count(*) FROM transfer")
    open_before = await what_is_open(world.database, SAMARINDA, world.now)
    done = await opened(world, sold["id"])
    assert await what_is_open(world.database, SAMARINDA, world.now) == open_before
    await answered(world, done.dispute_id)
    assert await world.database.fetchval("SELECT count(*) FROM transfer") == transfers
    await world.books_balance()


async def test_what_cannot_be_disputed_is_refused(world: World) -> None:
    declined = await world.authorise(amount=300_001)
    sold = await world.authorise(capture=True)
    for named in (declined["id"], "auth_nobody"):
        with pytest.raises(DisputeRefused, match="no approved purchase"):
            await opened(world, named)
    for reason in ("", " ", "a\nb", "x" * 201):
        with pytest.raises(DisputeRefused, match="printable"):
            await opened(world, sold["id"], reason=reason)
    await world.database.execute("UPDATE programme SET dispute_claim_days = NULL, dispute_answer_days = NULL")
    with pytest.raises(DisputeRefused, match="takes no disputes"):
        await opened(world, sold["id"])
    assert await all_of_them(world) == []


async def test_clocks_are_the_programmes_data(world: World) -> None:
    await world.change(dispute_claim_days=1, dispute_answer_days=1, holidays=[date(2024, 10, 8)])
    sold = await world.authorise(capture=True)
    with pytest.raises(DisputeRefused, match="until 9 October"):
        await opened(world, sold["id"], now=midnight(2024, 10, 9))
    assert (await opened(world, sold["id"], now=A_MORNING)).answer_due_at == midnight(2024, 10, 10)


async def test_two_who_dispute_one_purchase_at_once_open_one(world: World) -> None:
    sold = await world.authorise(capture=True)
    others = [await asyncpg.connect(address_of(world)) for _ in range(4)]
    done = await asyncio.gather(
        *(opened(world, sold["id"], connection=each) for each in others), return_exceptions=True
    )
    for each in others:
        await each.close()
    assert sorted(type(each).__name__ for each in done) == ["DisputeRefused"] * 3 + ["Opened"]
    assert len(await all_of_them(world)) == 1


async def test_programmes_that_ran_before_have_the_first_editions_clocks(empty_database_url: str) -> None:
    """And no decision has to be made again for it: the version of their reference data stays."""
    await asyncio.to_thread(command.upgrade, migration_config(empty_database_url), "0007")
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("INSERT INTO reference VALUES ('p', 1)")
    await connection.execute(A_PROGRAMME)
    version = await connection.fetchval("SELECT version FROM reference")
    migrate(empty_database_url)
    clocks_ = await connection.fetchrow("SELECT dispute_claim_days, dispute_answer_days, holidays FROM programme")
    assert tuple(clocks_ or ()) == (90, 10, [])
    assert await connection.fetchval("SELECT version FROM reference") == version
    await connection.close()
