"""A refund goes back to the card, to the month that was charged, and never to cash."""

from datetime import UTC, datetime
from typing import Any

from authz_service.vouching import vouch
from tests.world import PROGRAMME, World


async def sale(world: World, **changes: Any) -> str:
    authorisation_id: str = (await world.authorise(capture=True, **changes))["id"]
    return authorisation_id


async def packages(world: World) -> int:
    left: int = (await world.balance())["remaining"]["packages_this_month"]
    return left


async def test_a_refund_returns_to_the_entitlement_and_the_month_and_says_so(world: World) -> None:
    bought = await sale(world)
    reply = await world.refund(bought, 60000)
    assert (reply.status, reply["refund"]["amount"]) == (201, 60000)
    assert reply["refund"]["id"].startswith("ref_")
    shown = reply["authorization"]
    assert (shown["status"], shown["captured_amount"], shown["refunded_amount"]) == ("captured", 150000, 60000)
    assert await world.wallet() == (1710000, 0, 90000)
    assert (await world.balance())["remaining"]["month"] == 510000
    await world.books_balance()


async def test_a_partial_refund_keeps_the_package_and_the_last_rupiah_gives_it_back(world: World) -> None:
    bought = await sale(world)
    await world.refund(bought, 149999)
    assert await packages(world) == 1
    await world.refund(bought, 1)
    assert await packages(world) == 2
    await world.books_balance()


async def test_more_than_was_captured_is_422_and_changes_nothing(world: World) -> None:
    bought = await sale(world)
    await world.refund(bought, 100000)
    before = await world.wallet()
    reply = await world.refund(bought, 50001, key="much")
    assert (reply.status, reply["code"], reply["refundable_amount"]) == (422, "refund_exceeds_captured", 50000)
    again = await world.refund(bought, 50001, key="much")
    assert (again.raw, again.headers["idempotent-replayed"]) == (reply.raw, "true")
    assert await world.wallet() == before


async def test_a_decline_and_a_voided_sale_have_nothing_to_refund(world: World) -> None:
    declined = await world.authorise(amount=300001)
    assert (await world.refund(declined["id"], 1))["authorization_status"] == "declined"
    held = await world.authorise()
    await world.void(held["id"])
    assert (await world.refund(held["id"], 1))["code"] == "refund_exceeds_captured"


async def test_a_captured_part_is_refunded_while_the_rest_is_still_held(world: World) -> None:
    held = await world.authorise()
    await world.capture(held["id"], amount=50000, final=False)
    reply = await world.refund(held["id"], 50000)
    assert (reply["authorization"]["status"], reply["authorization"]["held_amount"]) == ("partly_captured", 100000)
    assert await packages(world) == 1
    await world.void(held["id"])
    assert await packages(world) == 2
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_an_october_refund_in_november_helps_october_and_the_entitlement_only(world: World) -> None:
    bought = await sale(world)
    world.at(datetime(2024, 11, 5, 2, 0, tzinfo=UTC))
    await world.refund(bought, 150000)
    remaining = (await world.balance())["remaining"]
    assert (remaining["month"], remaining["programme"], remaining["packages_this_month"]) == (600000, 1800000, 2)
    await world.books_balance()


async def test_a_refund_gives_the_voucher_its_part_back_first(world: World) -> None:
    for _ in range(2):
        await sale(world, amount=300000)
    await vouch(
        world.database,
        programme_id=PROGRAMME,
        beneficiary_id=world.card.beneficiary_id,
        month=datetime(2024, 10, 1, tzinfo=UTC).date(),
        extra_rupiah=100000,
        extra_packages=1,
        reason="sakit",
        now=world.now,
        chance=lambda n: b"0123456789"[:n],
    )
    bought = await sale(world, amount=100000)
    await world.refund(bought, 40000)
    used = await world.database.fetchrow("SELECT used_rupiah, packages_used FROM voucher")
    assert used is not None
    assert tuple(used) == (60000, 1)
    await world.refund(bought, 60000)
    used = await world.database.fetchrow("SELECT used_rupiah, packages_used FROM voucher")
    assert used is not None
    assert tuple(used) == (0, 0)
    await world.books_balance()


async def test_what_a_removed_family_gets_back_is_unallocated(world: World) -> None:
    bought = await sale(world)
    await world.database.execute(
        "UPDATE beneficiary SET status = 'removed' WHERE beneficiary_id = $1", world.card.beneficiary_id
    )
    reply = await world.refund(bought, 150000)
    assert reply["authorization"]["refunded_amount"] == 150000
    assert await world.wallet() == (0, 0, 0)
    await world.books_balance()


async def test_another_shops_sale_is_not_found(world: World) -> None:
    bought = await sale(world, till=world.other_till)
    assert (await world.refund(bought, 1000)).status == 404


async def test_a_refund_without_a_reason_is_refused_and_burns_no_key(world: World) -> None:
    bought = await sale(world)
    reply = await world.post(f"/v1/authorizations/{bought}/refunds", {"amount": 1000}, key="r")
    assert (reply.status, reply["errors"][0]["field"]) == (422, "reason")
    assert (await world.refund(bought, 1000, key="r")).status == 201
