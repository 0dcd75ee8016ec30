"""Whatever commits while a batch is closed is in exactly one; two who close at once close one, and never a half."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import pytest

from authz_service.orders import OrderRefused
from tests.harm import address_of
from tests.settling import batch_closed, batches, instructions
from tests.world import WITA, World

CUT_OFF: Final = datetime(2024, 10, 7, 15, 0, tzinfo=WITA)
"""Of the Monday on which the tests begin."""


@pytest.mark.parametrize("seed", range(6))
async def test_sales_that_commit_while_batches_are_closed_are_in_exactly_one(world: World, seed: int) -> None:
    """Tills sell, capture, refund and reverse; two desks close one batch after the other meanwhile."""
    other = await asyncpg.connect(address_of(world))

    async def sell(n: int) -> None:
        card, till = world.tills.cards[n].card_number, world.tills.terminals[n % 5]
        await asyncio.sleep((n * (seed + 1)) % 13 / 400)
        reply = await world.authorise(card_number=card, amount=10_000 + n, capture=n % 3 > 0, key=f"s{n}", till=till)
        if n % 3 == 0:
            await world.capture(reply["id"], till=till)
        if n % 4 == 1:
            await world.refund(reply["id"], 1_000, till=till)
        if n % 4 == 2:
            await world.reverse(idempotency_key=f"s{n}", till=till)

    async def close(connection: Any) -> None:
        for _ in range(8):
            await batch_closed(world, connection=connection)
            await asyncio.sleep(0.002 * seed)

    await asyncio.gather(close(world.database), close(other), *(sell(n) for n in range(40)))
    await other.close()
    await batch_closed(world)
    assert await world.database.fetchval("SELECT count(*) FROM settlement_batch") == 17
    assert await world.database.fetchval(
        "SELECT count(*) FROM transfer WHERE kind IN ('post', 'refund')"
    ) == await world.database.fetchval("SELECT count(*) FROM settlement_item")
    await world.books_balance()


async def test_a_transaction_that_commits_after_the_batch_looked_is_in_the_next_one_whatever_its_date(
    world: World,
) -> None:
    """Its rows carry ids and instants of before the batch; only that nobody could see them decides."""
    sold = await world.authorise(capture=True)
    late = await asyncpg.connect(address_of(world))
    transaction = late.transaction()
    await transaction.start()
    await late.execute(
        "INSERT INTO transfer SELECT programme_id, 'cap_0', kind, cause, debit_account_id, credit_account_id, 7,"
        " authorisation_id, reason, created_at - interval '1 hour', recorded_at - interval '1 hour'"
        " FROM transfer WHERE kind = 'post' AND authorisation_id = $1",
        sold["id"],
    )
    await batch_closed(world)
    await transaction.commit()
    await late.close()
    await batch_closed(world)
    assert [batch["items"] for batch in await batches(world)] == [1, 1]
    assert [rupiah for *_, rupiah in await instructions(world)] == [150_000, 7]


async def test_two_who_close_the_same_cut_off_at_once_close_one_batch(world: World) -> None:
    await world.authorise(capture=True)
    world.at(CUT_OFF + timedelta(minutes=1))
    others = [await asyncpg.connect(address_of(world)) for _ in range(5)]
    done = await asyncio.gather(*(batch_closed(world, CUT_OFF, connection=each) for each in others))
    for each in others:
        await each.close()
    assert sorted(each.now for each in done) == [False] * 4 + [True]
    assert len({each.batch_id for each in done}) == 1
    assert len(await instructions(world)) == 1
    await world.books_balance()


@pytest.mark.parametrize(
    "step", ["settlement_item", "settlement_position", "payout_instruction", "transfer", "settlement_batch"]
)
async def test_a_close_that_dies_at_any_point_has_written_nothing(world: World, step: str) -> None:
    await world.authorise(capture=True)
    other = await asyncpg.connect(address_of(world))
    async with other.transaction():
        await other.execute(f"LOCK TABLE {step} IN SHARE MODE")
        dying = await asyncpg.connect(address_of(world))
        closing = asyncio.create_task(batch_closed(world, connection=dying))
        await _until_it_waits(world, dying.get_server_pid())
        await world.database.execute("SELECT pg_terminate_backend($1)", dying.get_server_pid())
        with pytest.raises(Exception, match="connection to PostgreSQL was lost"):
            await closing
    await other.close()
    for table in ("settlement_batch", "settlement_item", "settlement_position", "payout_instruction", "office_order"):
        assert not await world.database.fetchval(f"SELECT count(*) FROM {table}")
    await batch_closed(world)
    assert [rupiah for *_, rupiah in await instructions(world)] == [150_000]
    await world.books_balance()


async def _until_it_waits(world: World, pid: int) -> None:
    for _ in range(500):
        if await world.database.fetchval("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1", pid) == "Lock":
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never waited")


async def test_an_order_that_names_nobody_closes_nothing(world: World) -> None:
    await world.authorise(capture=True)
    with pytest.raises(OrderRefused):
        await batch_closed(world, actor=" ")
    assert await batches(world) == []
