"""A batch has every capture and refund that is committed and in no batch yet, once, and pays what it comes to."""

import hashlib
import os
from datetime import datetime
from typing import Any, Final

import pytest

from authz_service.settlement.batches import BatchRefused, close_batch
from authz_service.settlement.waits import WaitRefused, unwait, wait
from authz_service.vocabulary import ProgrammeId
from tests.settling import SAMARINDA, batch_closed, batches, instructions, said, settled
from tests.world import WITA, World

CUT_OFF: Final = datetime(2024, 10, 7, 15, 0, tzinfo=WITA)
"""Of the Monday on which the tests begin."""
OF_BATCH: Final = """
SELECT instruction_id, merchant_id, amount_rupiah, bank_code, account_number, holder
  FROM payout_instruction WHERE batch_id = $1
"""
OF_A_SHOP: Final = """
SELECT p.brought_rupiah, p.captured_rupiah, p.refunded_rupiah, p.returned_rupiah, p.instructed_rupiah,
       p.carried_rupiah, p.carried_because
  FROM settlement_position p JOIN settlement_batch b USING (programme_id, batch_id)
 WHERE p.merchant_id = $1 ORDER BY b.number
"""


async def positions(world: World, merchant_id: str | None = None) -> list[tuple[Any, ...]]:
    """(brought, captured, refunded, returned, instructed, carried, why) of the shop, batch by batch."""
    return [tuple(row) for row in await world.database.fetch(OF_A_SHOP, merchant_id or world.till.merchant_id)]


async def test_a_batch_has_what_was_sold_and_pays_each_shop_its_net(world: World) -> None:
    first = await world.authorise(capture=True)
    await world.authorise(
        amount=20_000, capture=True, till=world.other_till, card_number=world.tills.cards[1].card_number
    )
    await world.authorise(amount=5_000, card_number=world.tills.cards[2].card_number)
    await world.refund(first["id"], 10_000)
    assert (await batch_closed(world)).now
    assert await positions(world) == [(0, 150_000, 10_000, 0, 140_000, 0, None)]
    assert await positions(world, world.other_till.merchant_id) == [(0, 20_000, 0, 0, 20_000, 0, None)]
    (batch,) = await batches(world)
    assert (batch["number"], batch["items"], batch["instructed_rupiah"], batch["carried_rupiah"]) == (1, 3, 160_000, 0)
    assert sum(rupiah for *_, rupiah in await instructions(world)) == 160_000
    await world.books_balance()
    await said(world, "settled", batch["batch_id"])
    assert (
        await world.database.fetchval("SELECT sum(amount_rupiah) FROM transfer WHERE kind = 'payout_settled'")
        == 160_000
    )
    await world.books_balance()


async def test_the_hash_is_over_lines_that_anybody_can_write_again(world: World) -> None:
    await world.authorise(capture=True)
    await batch_closed(world)
    await world.authorise(amount=1_000, capture=True)
    await batch_closed(world)
    before = b""
    for batch in await batches(world):
        fields = ["batch", batch["programme_id"], batch["batch_id"], batch["number"]]
        fields += [batch[name].strftime("%Y-%m-%dT%H:%M:%S.%fZ") for name in ("cut_off_at", "closed_at")]
        names = (
            "items",
            "brought_rupiah",
            "captured_rupiah",
            "refunded_rupiah",
            "returned_rupiah",
            "instructed_rupiah",
        )
        lines = [[*fields, *(batch[name] for name in names), batch["carried_rupiah"]]]
        for kind, statement in (
            ("item", "SELECT transfer_id, merchant_id, amount_rupiah FROM settlement_item WHERE batch_id = $1"),
            ("pay", OF_BATCH),
        ):
            rows = await world.database.fetch(f"{statement} ORDER BY 1", batch["batch_id"])
            lines += [[kind, *row] for row in rows]
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        before = hashlib.sha256(before + text.encode()).digest()
        assert batch["hash"] == before


async def test_refunds_of_later_are_in_a_later_batch_and_a_net_below_nothing_is_carried(world: World) -> None:
    sold = await world.authorise(capture=True)
    await settled(world)
    await world.refund(sold["id"], 60_000)
    await settled(world)
    await world.authorise(amount=50_000, capture=True, card_number=world.tills.cards[1].card_number)
    await settled(world)
    await world.authorise(amount=30_000, capture=True, card_number=world.tills.cards[2].card_number)
    await settled(world)
    assert await positions(world) == [
        (0, 150_000, 0, 0, 150_000, 0, None),
        (0, 0, 60_000, 0, 0, -60_000, "below_nothing"),
        (-60_000, 50_000, 0, 0, 0, -10_000, "below_nothing"),
        (-10_000, 30_000, 0, 0, 20_000, 0, None),
    ]
    assert [rupiah for *_, rupiah in await instructions(world)] == [150_000, 20_000]
    await world.books_balance()


async def test_a_sale_and_its_refund_in_one_batch_come_to_nothing_and_nobody_is_paid(world: World) -> None:
    sold = await world.authorise(capture=True)
    await world.refund(sold["id"], 150_000)
    await batch_closed(world)
    await batch_closed(world)
    assert await positions(world) == [(0, 150_000, 150_000, 0, 0, 0, None)]
    assert await instructions(world) == []
    await world.books_balance()


async def test_an_empty_batch_keeps_the_chain_of_days(world: World) -> None:
    world.at(CUT_OFF)
    await batch_closed(world, CUT_OFF)
    (batch,) = await batches(world)
    assert (batch["number"], batch["items"], batch["cut_off_at"], batch["closed_by"]) == (
        1,
        0,
        CUT_OFF,
        "meja kartu bank",
    )
    await world.books_balance()


async def test_what_was_paid_by_hand_before_there_were_batches_is_not_paid_again(world: World) -> None:
    """As `authz programme settle` of earlier versions has left it."""
    await world.authorise(capture=True)
    shop, other = world.till.merchant_id, world.other_till.merchant_id
    await world.authorise(
        amount=20_000, capture=True, till=world.other_till, card_number=world.tills.cards[1].card_number
    )
    for n, (kind, debit, credit) in enumerate((("payout", shop, "clearing"), ("payout_settled", "clearing", "fund"))):
        await world.database.execute(
            "INSERT INTO transfer VALUES ($1, $2, $3, 'settle', $4, $5, 150000, NULL, 'BKT-0', $6)",
            *(SAMARINDA, f"trf_{n}", kind, debit, credit, world.now),
        )
    await world.database.execute(
        "INSERT INTO office_order VALUES ($1, 'ord_0', 'shops_paid', 'bank', NULL, '{\"reference\": \"BKT-0\"}', $2)",
        *(SAMARINDA, world.now),
    )
    await world.books_balance()
    await world.authorise(amount=5_000, capture=True, card_number=world.tills.cards[2].card_number)
    await batch_closed(world)
    assert await positions(world) == [(-150_000, 155_000, 0, 0, 5_000, 0, None)]
    assert {row[1:] for row in await instructions(world)} == {(shop, 5_000), (other, 20_000)}
    await world.books_balance()


async def test_a_flagged_purchase_and_its_refunds_wait_until_they_are_released(world: World) -> None:
    odd, held = await world.authorise(capture=True), await world.authorise(amount=40_000)
    why: dict[str, Any] = {"actor": "dinsos", "clock": world.clock, "chance": os.urandom}
    for each in (odd["id"], held["id"]):
        await wait(world.database, world.settings, SAMARINDA, each, reason="tiga kartu sekaligus", **why)
    with pytest.raises(WaitRefused, match="waits already: dinsos flagged it"):
        await wait(world.database, world.settings, SAMARINDA, odd["id"], reason="lagi", **why)
    await world.refund(odd["id"], 50_000)
    await world.capture(held["id"])
    await world.authorise(amount=7_000, capture=True, card_number=world.tills.cards[1].card_number)
    await batch_closed(world)
    assert await positions(world) == [(0, 7_000, 0, 0, 7_000, 0, None)]
    await world.books_balance()
    await unwait(world.database, world.settings, SAMARINDA, odd["id"], reason="ternyata arisan", **why)
    await batch_closed(world)
    assert (await positions(world))[1] == (0, 150_000, 50_000, 0, 100_000, 0, None)
    await world.books_balance()
    for refused, said_ in (
        (unwait, "does not wait"),
        (wait, "left to wait: all of it is in a batch"),
    ):
        with pytest.raises(WaitRefused, match=said_):
            await refused(world.database, world.settings, SAMARINDA, odd["id"], reason="x", **why)
    with pytest.raises(WaitRefused, match="no approved purchase auth_nobody"):
        await wait(world.database, world.settings, SAMARINDA, "auth_nobody", reason="x", **why)
    assert await world.database.fetchval("SELECT count(*) FROM office_order WHERE kind LIKE 'purchase_waits%'") == 3


async def test_a_batch_of_a_closed_or_unknown_programme_is_refused(world: World) -> None:
    await world.database.execute("UPDATE programme SET closed_at = ends_at")
    with pytest.raises(BatchRefused, match="samarinda-2024 is closed"):
        await batch_closed(world)
    nowhere = ProgrammeId("nowhere")
    with pytest.raises(BatchRefused, match="no programme nowhere"):
        await close_batch(
            *(world.database, world.settings, nowhere),
            cut_off_at=None,
            actor="x",
            clock=world.clock,
            chance=os.urandom,
        )
