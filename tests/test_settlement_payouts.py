"""The life of a payout instruction: on its way, settled or failed, perhaps back again, and then in the next batch."""

import asyncio
import os
from itertools import permutations
from typing import Final

import asyncpg
import pytest

from authz_service.ledger.entries import alone_with
from authz_service.settlement.instructions import (
    AFTER,
    InstructionUnknown,
    PayoutContradicted,
    PayoutEvent,
    PayoutRefused,
    Source,
    Told,
    fail_payout,
    release_payout,
    settle_payout,
)
from tests.harm import address_of
from tests.settling import SAMARINDA, batch_closed, batches, instructions, said, settled
from tests.world import World


@pytest.fixture
async def instruction(world: World) -> str:
    """Of Rp150.000, on its way."""
    await world.authorise(capture=True)
    await batch_closed(world)
    [(instruction_id, *_)] = await instructions(world)
    return instruction_id


async def payable_and_clearing(world: World) -> tuple[int, int]:
    """Of the shop."""
    row = await world.database.fetchrow(
        "SELECT coalesce(sum(side.rupiah) FILTER (WHERE side.id = $1), 0)::bigint,"
        "        coalesce(sum(side.rupiah) FILTER (WHERE side.id = 'clearing'), 0)::bigint"
        "  FROM transfer, LATERAL (VALUES (debit_account_id, -amount_rupiah), (credit_account_id, amount_rupiah))"
        "       AS side(id, rupiah) WHERE kind NOT IN ('hold', 'release')",
        world.till.merchant_id,
    )
    assert row is not None
    return row[0], row[1]


async def test_what_failed_waits_until_it_is_released_and_is_in_the_next_batch(world: World, instruction: str) -> None:
    assert await payable_and_clearing(world) == (0, 150_000)
    await said(world, "failed", instruction, reason="rekening ditutup")
    assert await payable_and_clearing(world) == (150_000, 0)
    await batch_closed(world)
    assert len(await instructions(world)) == 1, "nothing pays it again by itself"
    await world.books_balance()
    await said(world, "released", instruction, reason="rekening baru")
    await batch_closed(world)
    *_, (again, _, rupiah) = await instructions(world)
    assert (again != instruction, rupiah) == (True, 150_000)
    assert [(each["items"], each["returned_rupiah"]) for each in await batches(world)] == [(1, 0), (0, 0), (1, 150_000)]
    await said(world, "settled", again)
    await batch_closed(world)
    assert await payable_and_clearing(world) == (0, 0)
    assert len(await instructions(world)) == 2
    await world.books_balance()


async def test_what_came_back_after_it_was_paid_is_paid_again_once(world: World, instruction: str) -> None:
    await said(world, "settled", instruction, bank_reference="BKT-7")
    await said(world, "returned", instruction, reason="nama tidak cocok")
    assert await payable_and_clearing(world) == (150_000, 0)
    await world.books_balance()
    await said(world, "released", instruction)
    assert await settled(world) == 150_000
    assert await settled(world) == 0
    assert await payable_and_clearing(world) == (0, 0)
    await world.books_balance()


EVERY_STEP: Final = ("settled", "failed", "returned", "released")


@pytest.mark.parametrize("order", [each for size in (2, 3, 4) for each in permutations(EVERY_STEP, size)])
async def test_a_step_happens_where_it_may_and_is_else_refused_in_a_sentence(
    world: World, instruction: str, order: tuple[str, ...]
) -> None:
    known: tuple[PayoutEvent, ...] = ()
    for name in order:
        event = PayoutEvent(name)
        if known in AFTER[event]:
            assert [each.changed for each in await said(world, name, instruction)] == [True]
            known = (*known, event)
        else:
            with pytest.raises(PayoutContradicted, match=rf"{instruction} of Rp150\.000 .*; nothing was changed"):
                await said(world, name, instruction)
        repeated = [each.changed for name in known for each in await said(world, name, instruction)]
        assert not any(repeated), "said twice, done once"
    kept = await world.database.fetch("SELECT event FROM payout_event")
    assert {row["event"] for row in kept} == set(known)
    await world.books_balance()


async def test_the_same_payout_settled_by_many_at_once_is_settled_once(world: World, instruction: str) -> None:
    others = [await asyncpg.connect(address_of(world)) for _ in range(5)]
    done = await asyncio.gather(*(said(world, "settled", instruction, connection=each) for each in others))
    for each in others:
        await each.close()
    assert sorted(applied.changed for [applied] in done) == [False] * 4 + [True]
    assert await payable_and_clearing(world) == (0, 0)
    assert await world.database.fetchval("SELECT count(*) FROM office_order WHERE kind = 'payout_settled'") == 1


async def test_a_part_of_a_batch_may_fail(world: World) -> None:
    for n, till in enumerate(world.tills.terminals[:3]):
        await world.authorise(
            amount=10_000 * (n + 1), capture=True, till=till, card_number=world.tills.cards[n].card_number
        )
    batch = await batch_closed(world)
    one, *_ = await instructions(world)
    await said(world, "failed", one[0])
    paid = await said(world, "settled", batch.batch_id)
    assert {each.instruction_id for each in paid} == {each[0] for each in await instructions(world)} - {one[0]}
    assert await said(world, "settled", batch.batch_id) == []
    await world.books_balance()


async def test_several_are_said_of_all_or_of_none(world: World, instruction: str) -> None:
    with pytest.raises(InstructionUnknown, match="No batch has an instruction pay_nobody"):
        await said(world, "settled", instruction, "pay_nobody")
    assert not await world.database.fetchval("SELECT count(*) FROM payout_event")
    with pytest.raises(PayoutRefused, match="There is no batch set_nobody"):
        await said(world, "settled", "set_nobody")
    with pytest.raises(PayoutRefused, match="instruction by instruction"):
        await said(world, "released", "set_nobody")
    for wrong in ("", " ", "x" * 141, "a\nb"):
        with pytest.raises(PayoutRefused, match="1 to 140 printable"):
            await said(world, "settled", instruction, bank_reference=wrong)


async def test_a_notice_says_so_in_a_transaction_of_its_own_and_releases_nothing(
    world: World, instruction: str
) -> None:
    """As the bank's notices will: several steps, or none, with what else their transaction does."""
    told = Told(source=Source.NOTICE, actor="bankaltimtara", at=world.now, bank_reference="20241007-1")

    async def contradictory() -> None:
        async with alone_with(world.database, world.settings, SAMARINDA):
            await fail_payout(world.database, SAMARINDA, instruction, told=told, chance=os.urandom)
            await settle_payout(world.database, SAMARINDA, instruction, told=told, chance=os.urandom)

    with pytest.raises(PayoutContradicted):
        await contradictory()
    assert not await world.database.fetchval("SELECT count(*) FROM payout_event")
    async with alone_with(world.database, world.settings, SAMARINDA):
        done = await fail_payout(world.database, SAMARINDA, instruction, told=told, chance=os.urandom)
        with pytest.raises(PayoutRefused, match="releases nothing"):
            await release_payout(world.database, SAMARINDA, instruction, told=told, chance=os.urandom)
    assert (done.changed, done.amount_rupiah, done.merchant_id) == (True, 150_000, world.till.merchant_id)
    row = await world.database.fetchrow("SELECT source, actor, bank_reference FROM payout_event")
    assert row is not None
    assert tuple(row) == ("notice", "bankaltimtara", "20241007-1")
    await world.books_balance()


async def test_after_the_close_of_the_programme_no_payout_moves(world: World, instruction: str) -> None:
    await said(world, "settled", instruction)
    await world.database.execute("UPDATE programme SET closed_at = ends_at")
    with pytest.raises(PayoutRefused, match="samarinda-2024 is closed and no money moves"):
        await said(world, "returned", instruction)
    assert [each.changed for each in await said(world, "settled", instruction)] == [False]
