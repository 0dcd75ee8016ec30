"""A sale that was captured in the same step can be undone until it is in a batch; then what was captured stands."""

import asyncio
from typing import Any

import pytest

from tests.settling import SAMARINDA, batch_closed, batches, instructions
from tests.world import World, by_stan


@pytest.mark.parametrize("by_key", [True, False])
async def test_a_reversal_before_the_batch_undoes_whole_and_after_it_what_was_captured_stands(
    world: World, by_key: bool
) -> None:
    early, late = (world.a_purchase(capture=True, card_number=card.card_number) for card in world.tills.cards[:2])
    await world.sell(early, "early")
    sold = await world.sell(late, "late")
    undone = await world.reverse(**({"idempotency_key": "early"} if by_key else by_stan(early)))
    assert (undone["status"], undone["undone"], undone["reversed_amount"]) == ("reversed", True, 150_000)
    await batch_closed(world)
    name: dict[str, Any] = {"idempotency_key": "late"} if by_key else by_stan(late)
    stands = await world.reverse(**name)
    assert (stands.status, stands["status"], stands["undone"], stands["reversed_amount"]) == (201, "captured", False, 0)
    assert (await world.reverse(**name)).raw == stands.raw
    assert (await world.sell(late, "late"))["code"] == "request_reversed"
    assert (await world.refund(sold["id"], 150_000)).status == 201, "a refund is how it is taken back then"
    assert (await world.metrics())['authz_alerts_total{kind="reversal_not_undone"}'] >= 1
    await batch_closed(world)
    assert [rupiah for *_, rupiah in await instructions(world)] == [150_000]
    await world.books_balance()


async def test_a_flagged_sale_is_in_no_batch_and_can_still_be_undone(world: World) -> None:
    sold = await world.authorise(capture=True, key="odd")
    await world.database.execute(
        "INSERT INTO settlement_wait VALUES ($1, $2, $3, 'dinsos', 'janggal')", SAMARINDA, sold["id"], world.now
    )
    await batch_closed(world)
    assert (await world.reverse(idempotency_key="odd"))["undone"] is True
    await world.books_balance()


async def test_a_reversal_that_was_decided_before_the_batch_and_written_after_it_is_in_the_next_one(
    world: World,
) -> None:
    """However a close and reversals race, no rupiah is lost: an undo of a batched sale is an item of the next batch."""
    for n, card in enumerate(world.tills.cards[:24]):
        await world.authorise(
            capture=True, key=f"s{n}", card_number=card.card_number, till=world.tills.terminals[n % 6]
        )

    async def reverse(n: int) -> bool:
        await asyncio.sleep(n / 600)
        reply = await world.reverse(idempotency_key=f"s{n}", till=world.tills.terminals[n % 6])
        assert reply["reversed_amount"] == (150_000 if reply["undone"] else 0)
        return bool(reply["undone"])

    undone = sum((await asyncio.gather(batch_closed(world), *(reverse(n) for n in range(24))))[1:])  # type: ignore[arg-type]
    await batch_closed(world)
    first, second = await batches(world)
    refunded = first["refunded_rupiah"] + second["refunded_rupiah"]
    assert (first["captured_rupiah"], second["captured_rupiah"], refunded) == (24 * 150_000, 0, undone * 150_000)
    await world.books_balance()
