"""Money that others moved twice, because two decisions were made on the same facts (rows 1, 3, 4 and 11).

Nothing is left to chance here: the first decision is held on its way to the books until the second, made of the same
facts at another instance, is written. No lock is held any more when the first arrives; it must not be written.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.harm import A_RECORD, Premises, is_state_conflict
from tests.world import Reply, World, answered

Call = Callable[[World, str], Awaitable[Reply]]


async def test_01_a_hold_was_accepted_on_a_balance_that_was_gone(premises: Premises) -> None:
    """Row 1: two purchases were decided on a balance that has room for one; the one that comes too late is decided
    again."""
    async with premises.overtaking() as (first, second, wire):
        await first.change(package_rupiah=None, month_cap_rupiah=None)
        wire.trigger = A_RECORD
        overtaken = asyncio.create_task(first.sell(first.a_purchase(amount=1000000), "k"))
        await wire.stopped.wait()
        assert (await answered(second.sell, second.a_purchase(amount=900000), "other"))["decision"] == "approved"
        wire.let_go.set()
        assert (await overtaken)["reason"] == "entitlement_exceeded"
        assert await first.wallet() == (900000, 900000, 0)
        await first.books_balance()


async def test_03_a_commit_was_posted_on_a_remainder_that_was_gone(premises: Premises) -> None:
    """Row 3: two captures of two thirds were decided on the same hold."""
    late, early, shown = await overtaken(
        premises,
        b"cap_0",
        lambda world, held: world.capture(held, amount=100000, final=False),
        lambda world, held: world.capture(held, amount=100000, final=False),
    )
    assert (early.status, late.status, late["code"], late["held_amount"]) == (201, 422, "capture_exceeds_hold", 50000)
    assert (shown["captured_amount"], shown["held_amount"]) == (100000, 50000)


CLOSING: dict[str, tuple[bytes, Call]] = {
    "captured": (b"cap_0", lambda world, held: world.capture(held)),
    "voided": (b"trf_0", lambda world, held: world.void(held)),
    "reversed": (b"rev_0", lambda world, _: world.reverse(idempotency_key="held")),
}


@pytest.mark.parametrize("late", CLOSING)
@pytest.mark.parametrize("early", CLOSING)
async def test_04_a_commit_and_a_cancel_were_decided_on_the_same_hold(
    premises: Premises, late: str, early: str
) -> None:
    """Row 4: two ways to close one hold were decided on the same facts."""
    written, call = CLOSING[late]
    got_late, got_early, shown = await overtaken(premises, written, call, CLOSING[early][1])
    assert got_early.status in {200, 201}
    assert [event["type"] for event in shown["events"]] == ["authorised", early]
    assert shown["status"] == early
    if late != "reversed":
        assert is_state_conflict(got_late, early)
    elif early == "reversed":
        assert got_late.raw == got_early.raw
    else:
        assert (got_late["status"], got_late["reversed_amount"]) == (early, 0)


async def test_11_a_refund_was_paid_on_a_sale_that_was_refunded_already(premises: Premises) -> None:
    """Row 11: two refunds of two thirds were decided on the same sale."""
    async with premises.overtaking() as (first, second, wire):
        bought = await first.authorise(capture=True)
        wire.trigger = b"ref_0"
        overtaken = asyncio.create_task(first.refund(bought["id"], 100000))
        await wire.stopped.wait()
        assert (await second.refund(bought["id"], 100000)).status == 201
        wire.let_go.set()
        late = await overtaken
        assert (late.status, late["code"], late["refundable_amount"]) == (422, "refund_exceeds_captured", 50000)
        assert await first.wallet() == (1750000, 0, 50000)
        await first.books_balance()


async def overtaken(premises: Premises, written: bytes, late: Call, early: Call) -> tuple[Reply, Reply, Reply]:
    """Of a sale that is held: what the late call gets, and the early one, which was decided after it and written before
    it; and the authorisation in the end."""
    async with premises.overtaking() as (first, second, wire):
        held = await first.authorise(key="held")
        wire.trigger = written
        waiting = asyncio.ensure_future(late(first, held["id"]))
        await wire.stopped.wait()
        got_early = await early(second, held["id"])
        wire.let_go.set()
        got_late = await waiting
        await first.books_balance()
        return got_late, got_early, await first.get(f"/v1/authorizations/{held['id']}")
