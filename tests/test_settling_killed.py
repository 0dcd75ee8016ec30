"""Killed at any point of a batch's close or of following a notice: nothing is lost, nothing is there twice.

Systematically, a connection that is cut at each statement in turn; and a process that is killed at random moments.
"""

import asyncio
import os
import random
import sys
from typing import Any, Final

import pytest

from authz_service.bank.following import follow
from authz_service.bank.funding import expect_funding
from authz_service.bank.inbox import Received
from authz_service.settlement.waits import wait
from tests.bank import SAMARINDA, became, followed, kept_notice
from tests.cutting import CutConnection, cut_at_each_statement
from tests.harm import Premises, address_of
from tests.reconciling import counts
from tests.settling import CARD_DESK, batch_closed, batches, instructions, said
from tests.test_settlement_races import CUT_OFF
from tests.world import World

KILLS: Final = 8
FAR: Final = 3600.0
"""Seconds: the service of these tests looks for no notices itself."""


async def a_second_day(world: World) -> dict[str, int]:
    """Shop 1 came back and is released, and has sold; 2 is below nothing; 3 waits. Shop → its next instruction."""
    tills, cards = world.tills.terminals, world.tills.cards
    shops = {till.merchant_id: till for till in tills}
    one, two, three = list(shops.values())[:3]
    await world.authorise(amount=50_000, capture=True, till=one)
    refunded = await world.authorise(amount=20_000, capture=True, till=two, card_number=cards[1].card_number)
    await batch_closed(world)
    paid = {shop: reference for reference, shop, _ in await instructions(world)}
    await said(world, "failed", paid[one.merchant_id], reason="rekening ditutup")
    await said(world, "released", paid[one.merchant_id], reason="rekening baru")
    await said(world, "settled", paid[two.merchant_id], bank_reference="BKT-1")
    await world.refund(refunded["id"], 20_000, till=two)
    await world.authorise(amount=7_000, capture=True, till=one, card_number=cards[2].card_number)
    waits = await world.authorise(amount=9_000, capture=True, till=three, card_number=cards[3].card_number)
    how: dict[str, Any] = {"actor": CARD_DESK, "clock": world.clock, "chance": os.urandom}
    await wait(world.database, world.settings, SAMARINDA, waits["id"], reason="diperiksa", **how)
    world.at(CUT_OFF.replace(minute=1))
    return {one.merchant_id: 57_000}


@pytest.mark.parametrize("is_heard", [False, True])
async def test_a_close_that_is_cut_at_any_statement_is_whole_or_not_at_all(world: World, *, is_heard: bool) -> None:
    """`is_heard`: the server does the statement, and its answer is lost; so also that of the COMMIT."""
    expected = await a_second_day(world)

    async def close(connection: CutConnection) -> None:
        assert (await batch_closed(world, CUT_OFF, connection=connection)).now

    statements = await cut_at_each_statement(world, close, is_heard=is_heard)
    assert len(statements) >= 15
    before = await counts(world)
    assert not (await batch_closed(world, CUT_OFF)).now
    assert await counts(world) == before
    second = await batches(world)
    assert [batch["items"] for batch in second] == [2, 3]
    assert {shop: rupiah for _, shop, rupiah in (await instructions(world))[2:]} == expected
    assert second[1]["carried_rupiah"] == -20_000
    await world.books_balance()


@pytest.mark.parametrize("is_heard", [False, True])
async def test_a_notice_whose_following_is_cut_at_any_statement_is_followed_once(
    premises: Premises, *, is_heard: bool
) -> None:
    async with premises.service(notice_seconds=FAR) as world:
        await world.authorise(amount=50_000, capture=True)
        await batch_closed(world)
        ((reference, _, amount),) = await instructions(world)
        for told in ("returned", "success", "success", "pending"):
            assert await kept_notice(world, reference, told, amount) is Received.KEPT
        statements = await cut_at_each_statement(world, _following(world), is_heard=is_heard)
        assert len(statements) >= 15
        before = await counts(world)
        await followed(world)
        assert await counts(world) == before
        assert [event[0] for event in await world.database.fetch("SELECT event FROM payout_event ORDER BY 1")] == [
            *("returned", "settled")
        ]
        assert {standing for _, standing, _ in await became(world)} == {"followed"}
        await world.books_balance()


@pytest.mark.parametrize("is_heard", [False, True])
async def test_money_that_came_is_booked_once_wherever_its_following_is_cut(
    premises: Premises, *, is_heard: bool
) -> None:
    async with premises.service(notice_seconds=FAR) as world:
        how: dict[str, Any] = {"actor": "Dinsos", "now": world.now, "chance": os.urandom}
        await expect_funding(world.database, SAMARINDA, "SP2D-7", 5_000_000, **how)
        for _ in range(2):
            await kept_notice(world, "SP2D-7", "success", 5_000_000)
        await cut_at_each_statement(world, _following(world), is_heard=is_heard)
        await followed(world)
        assert await world.database.fetchval("SELECT count(*) FROM transfer WHERE reason = 'SP2D-7'") == 1
        await world.books_balance()


def _following(world: World) -> Any:
    async def work(connection: CutConnection) -> None:
        await follow(connection, world.settings, SAMARINDA, clock=world.clock, chance=os.urandom)

    return work


_SETTLER: Final = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from authz_service.clock import clock_from
from authz_service.settings import Settings
from authz_service.settlement.batches import close_batch
from authz_service.bank.following import follow

async def settle():
    connection, settings = await asyncpg.connect(sys.argv[1]), Settings()
    how = {"clock": clock_from(Path(sys.argv[2])), "chance": os.urandom}
    print("ready", flush=True)
    while True:
        await close_batch(connection, settings, "samarinda-2024", cut_off_at=None, actor="desk", **how)
        await follow(connection, settings, "samarinda-2024", **how)

asyncio.run(settle())
"""


async def test_a_process_that_is_killed_while_it_closes_batches_and_follows_notices_loses_and_doubles_nothing(
    premises: Premises,
) -> None:
    """SIGKILL at a random moment, again and again, while tills sell and the bank tells of every payout twice."""
    chance = random.Random(5)
    async with premises.service(notice_seconds=FAR) as world:
        selling = asyncio.create_task(_sold(world))
        for _ in range(KILLS):
            settler = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _SETTLER, address_of(world), str(world.settings.clock_offset_file)),
                stdout=asyncio.subprocess.PIPE,
            )
            assert settler.stdout is not None
            assert await settler.stdout.readline() == b"ready\n"
            await asyncio.sleep(chance.uniform(0, 0.3))
            await _told(world)
            await asyncio.sleep(chance.uniform(0, 0.1))
            assert settler.returncode is None
            settler.kill()
            await settler.wait()
        sold = await selling
        assert len(await batches(world)) > KILLS
        await batch_closed(world)
        await _told(world)
        await followed(world)
        assert await world.database.fetchval("SELECT sum(amount_rupiah) FROM settlement_item") == sold
        assert sum(rupiah for *_, rupiah in await instructions(world)) == sold
        moved = "SELECT sum(amount_rupiah) FROM transfer WHERE kind = $1"
        assert await world.database.fetchval(moved, "payout") == sold
        assert await world.database.fetchval(moved, "payout_settled") == sold
        assert {standing for _, standing, _ in await became(world)} == {"followed"}
        await world.books_balance()


async def _sold(world: World) -> int:
    """What all shops sold (rupiah), a little at a time."""
    for n in range(60):
        till, card = world.tills.terminals[n % 5], world.tills.cards[n].card_number
        reply = await world.authorise(amount=10_000 + n, capture=True, card_number=card, till=till)
        assert reply["decision"] == "approved"
        await asyncio.sleep(0.05)
    return sum(10_000 + n for n in range(60))


async def _told(world: World) -> None:
    """The bank tells twice of all that it was told to pay and has not been heard of."""
    rows = await world.database.fetch(
        "SELECT instruction_id, amount_rupiah FROM payout_instruction"
        " WHERE instruction_id NOT IN (SELECT reference FROM bank_notice)"
    )
    for reference, amount in rows:
        for _ in range(2):
            await kept_notice(world, reference, "success", amount)
