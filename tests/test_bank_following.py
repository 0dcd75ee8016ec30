"""The books follow what the bank told, once, in whatever order it came; what they do not follow waits for people."""

import asyncio
import os
from collections import Counter
from itertools import permutations, product
from typing import Any

import asyncpg
import pytest

from authz_service.bank.following import follow
from authz_service.bank.funding import expect_funding
from authz_service.bank.inbox import InboxRefused, approve, resolve
from authz_service.bank.partners import SignatureStyle
from authz_service.settlement.batches import close_batch
from authz_service.settlement.instructions import PayoutEvent
from tests.bank import SAMARINDA, Bank, a_bank, became, followed
from tests.harm import address_of
from tests.settling import batch_closed, said
from tests.world import World

A_SALE = 1_000
EVENTS = """
SELECT i.instruction_id, array_agg(e.event ORDER BY array_position(ARRAY['settled', 'failed', 'returned'], e.event))
       FILTER (WHERE e.event IS NOT NULL) AS events
  FROM payout_instruction i LEFT JOIN payout_event e USING (programme_id, instruction_id)
 GROUP BY i.instruction_id ORDER BY i.instruction_id
"""


@pytest.fixture
async def bank(world: World) -> Bank:
    return await a_bank(world, SignatureStyle.WITHOUT_TOKEN)


async def payouts(world: World, number: int) -> list[str]:
    """So many shops have sold for Rp1.000 each, and the bank has been told to pay them."""
    for till, card in zip(world.tills.terminals[:number], world.tills.cards, strict=False):
        sold = await world.authorise(amount=A_SALE, capture=True, till=till, card_number=card.card_number)
        assert sold["decision"] == "approved"
    await batch_closed(world)
    rows = await world.database.fetch("SELECT instruction_id FROM payout_instruction ORDER BY instruction_id")
    assert len(rows) == number
    return [row[0] for row in rows]


async def events(world: World) -> list[list[str] | None]:
    return [row["events"] for row in await world.database.fetch(EVENTS)]


async def money(world: World) -> Counter[str]:
    rows = await world.database.fetch("SELECT kind, sum(amount_rupiah)::bigint FROM transfer GROUP BY kind")
    return Counter({kind: rupiah for kind, rupiah in rows if kind.startswith("payout") or kind == "return"})


@pytest.mark.parametrize(
    ("told", "expected", "parked"),
    [
        (["success"], ["settled"], {}),
        (["failed"], ["failed"], {}),
        (["pending"], None, {}),
        (["success", "pending"], ["settled"], {}),
        (["success", "returned"], ["settled", "returned"], {}),
        (["returned"], None, {"returned": "return_before_success"}),
        (["returned", "success"], ["settled", "returned"], {}),
        (["success", "failed"], ["settled"], {"failed": "failed_after_success"}),
        (["failed", "success"], ["failed"], {"success": "success_after_failed"}),
        (["failed", "returned"], ["failed"], {"returned": "return_of_a_failed_payment"}),
        (["unknown"], None, {"unknown": "payment_not_found"}),
    ],
)
async def test_what_the_bank_told_is_what_the_books_say(
    bank: Bank, told: list[str], expected: list[str] | None, parked: dict[str, str]
) -> None:
    world = bank.world
    (reference,) = await payouts(world, 1)
    for each in told:
        assert (await bank.tell(reference, each, A_SALE)).status == 200
        await followed(world)
    assert await events(world) == [expected]
    assert {status: why for status, _, why in await became(world) if why} == parked
    await world.books_balance()


@pytest.mark.parametrize("all_at_once", [False, True])
async def test_every_order_of_a_set_without_contradiction_ends_in_the_same_books(
    bank: Bank, *, all_at_once: bool
) -> None:
    """Incident 22. Twice pending, a success twice and its return, in all their twelve orders; a shop for each."""
    world = bank.world
    orders = sorted(set(permutations(["pending", "success", "success", "returned"])))
    references = await payouts(world, len(orders))
    for turn in range(4):
        for reference, order in zip(references, orders, strict=True):
            assert (await bank.tell(reference, order[turn], A_SALE)).status == 200
        if not all_at_once:
            await followed(world)
    await followed(world)
    assert await events(world) == [["settled", "returned"]] * len(orders)
    assert {standing for _, standing, _ in await became(world)} == {"followed"}
    moved = await money(world)
    assert moved["payout"] == moved["payout_settled"] == moved["return"] == A_SALE * len(orders)
    await world.books_balance()


async def test_a_notice_may_come_before_its_batch_is_known(bank: Bank) -> None:
    """The bank was faster than our commit: the notice waits, and is followed when the batch is there."""
    world = bank.world
    await world.authorise(amount=A_SALE, capture=True)
    other = await asyncpg.connect(address_of(world))
    transaction = other.transaction()
    await transaction.start()
    await close_batch(
        other, world.settings, SAMARINDA, cut_off_at=None, actor="Dinsos", clock=world.clock, chance=os.urandom
    )
    reference = await other.fetchval("SELECT instruction_id FROM payout_instruction")
    assert (await bank.tell(reference, "success", A_SALE)).status == 200
    await asyncio.sleep(0.2)
    assert [standing for _, standing, _ in await became(world)] in (["new"], ["parked"])
    await transaction.commit()
    await other.close()
    await followed(world)
    assert await events(world) == [["settled"]]
    assert await became(world) == [("success", "followed", None)]


async def test_an_unknown_reference_and_another_amount_are_kept_and_wait_for_two_people(bank: Bank) -> None:
    world = bank.world
    (reference,) = await payouts(world, 1)
    assert (await bank.tell("pay_of_somebody_else", "success", A_SALE)).status == 200
    assert (await bank.tell(reference, "success", A_SALE + 1)).status == 200
    await followed(world)
    assert [why for *_, why in await became(world)] == ["reference_unknown", "amount_differs"]
    assert await events(world) == [None]
    notice_id = await world.database.fetchval("SELECT min(notice_id) FROM bank_notice")
    how: dict[str, Any] = {"now": world.now, "chance": os.urandom}
    with pytest.raises(InboxRefused):
        await approve(world.database, SAMARINDA, notice_id, actor="Dinsos", **how)
    await resolve(world.database, SAMARINDA, notice_id, resolution="not ours", actor="Dinsos", **how)
    with pytest.raises(InboxRefused):
        await approve(world.database, SAMARINDA, notice_id, actor="Dinsos", **how)
    await approve(world.database, SAMARINDA, notice_id, actor="Inspektorat", **how)
    assert [standing for _, standing, _ in await became(world)] == ["resolved", "parked"]
    await bank.tell("pay_of_somebody_else", "failed", A_SALE)
    await followed(world)
    assert [standing for _, standing, _ in await became(world)] == ["resolved", "parked", "parked"]


async def test_a_return_that_waited_is_followed_when_an_operator_says_that_it_was_paid(bank: Bank) -> None:
    world = bank.world
    (reference,) = await payouts(world, 1)
    await bank.tell(reference, "returned", A_SALE)
    await followed(world)
    await said(world, "settled", reference)
    await followed(world)
    assert await events(world) == [["settled", "returned"]]
    await world.books_balance()


async def test_announced_money_is_the_programmes_once_the_bank_tells_that_it_came(bank: Bank) -> None:
    world = bank.world
    before = await world.database.fetchval("SELECT sum(amount_rupiah) FROM transfer WHERE kind = 'fund'")
    await bank.tell("SP2D-7", "success", 5_000_000)
    await followed(world)
    assert [why for *_, why in await became(world)] == ["reference_unknown"]
    how: dict[str, Any] = {"actor": "Dinsos", "now": world.now, "chance": os.urandom}
    await expect_funding(world.database, SAMARINDA, "SP2D-7", 5_000_000, **how)
    for told in ("success", "pending", "failed"):
        await bank.tell("SP2D-7", told, 5_000_000)
    await bank.tell("SP2D-7", "success", 5_000_001)
    await followed(world)
    after = await world.database.fetchval("SELECT sum(amount_rupiah) FROM transfer WHERE kind = 'fund'")
    assert after - before == 5_000_000
    assert [why for *_, why in await became(world)] == [
        None, None, None, "funding_has_not_come", "amount_differs"
    ]  # fmt: skip
    await world.books_balance()


async def test_two_processes_that_follow_at_once_book_everything_once(bank: Bank) -> None:
    world = bank.world
    references = await payouts(world, 6)
    for reference, told in product(references, ("success", "returned")):
        await bank.tell(reference, told, A_SALE)
    await asyncio.gather(*(_follows(world) for _ in range(3)))
    assert await events(world) == [["settled", "returned"]] * 6
    assert (await money(world))[PayoutEvent.RETURNED.removesuffix("ed")] == 6 * A_SALE
    await world.books_balance()


async def _follows(world: World) -> None:
    other = await asyncpg.connect(address_of(world))
    while (await follow(other, world.settings, SAMARINDA, clock=world.clock, chance=os.urandom)).references:
        pass
    await other.close()
