"""Who may sell: an order holds for the very next purchase, and a shop that says nothing is noticed."""

import os
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from authz_service.orders import OrderRefused, kept_orders
from authz_service.reports.silence import last_hours_began, silent_shops
from authz_service.shops import ShopRefused, set_shop_status, set_terminal_status, terminals
from authz_service.vocabulary import MerchantStatus, TerminalStatus
from tests.settling import batch_closed
from tests.world import PROGRAMME, WITA, World

FOUR_HOURS = timedelta(hours=4)


async def shop_is(world: World, status: MerchantStatus, **more: Any) -> str:
    how = {"reason": "laporan warga", "actor": "dinsos", "now": world.now, "chance": os.urandom, **more}
    return await set_shop_status(world.database, PROGRAMME, how.pop("shop", world.till.merchant_id), status, **how)


async def till_is(world: World, status: TerminalStatus, **more: Any) -> str:
    how = {"reason": "mesin dipinjam", "actor": "dinsos", "now": world.now, "chance": os.urandom, **more}
    return await set_terminal_status(world.database, PROGRAMME, how.pop("till", world.till.terminal_id), status, **how)


async def test_a_suspended_shop_or_till_sells_nothing_from_the_next_purchase_on(world: World) -> None:
    held = await world.authorise(amount=50_000)
    assert held["decision"] == "approved"
    assert await shop_is(world, MerchantStatus.SUSPENDED) == world.till.name
    assert (await world.authorise(amount=10_000))["reason"] == "merchant_suspended"
    assert (await world.authorise(amount=10_000, till=world.other_till))["decision"] == "approved"
    # What is held is honoured.
    assert (await world.capture(held["id"])).status == 201
    await shop_is(world, MerchantStatus.ACTIVE)
    await till_is(world, TerminalStatus.SUSPENDED)
    card = world.tills.cards[1].card_number
    assert (await world.authorise(amount=10_000, card_number=card))["reason"] == "terminal_not_permitted"
    assert await till_is(world, TerminalStatus.ACTIVE) == world.till.merchant_id
    assert (await world.authorise(amount=10_000, card_number=card))["decision"] == "approved"
    orders = [(order.kind, order.actor, order.reason) for order in await kept_orders(world.database, PROGRAMME)]
    assert orders == [
        ("merchant_suspended", "dinsos", "laporan warga"),
        ("merchant_resumed", "dinsos", "laporan warga"),
        ("terminal_suspended", "dinsos", "mesin dipinjam"),
        ("terminal_resumed", "dinsos", "mesin dipinjam"),
    ]
    await world.books_balance()


async def test_an_order_that_cannot_be_is_one_sentence_and_changes_nothing(world: World) -> None:
    with pytest.raises(ShopRefused, match="is active already"):
        await shop_is(world, MerchantStatus.ACTIVE)
    with pytest.raises(ShopRefused, match="has no shop mrc_nobody"):
        await shop_is(world, MerchantStatus.SUSPENDED, shop="mrc_nobody")
    with pytest.raises(ShopRefused, match="has no terminal trm_nobody"):
        await till_is(world, TerminalStatus.SUSPENDED, till="trm_nobody")
    with pytest.raises(OrderRefused):
        await shop_is(world, MerchantStatus.SUSPENDED, reason=" ")
    with pytest.raises(OrderRefused):
        await shop_is(world, MerchantStatus.SUSPENDED, actor=" ")
    await world.database.execute(
        "UPDATE terminal SET status = 'unbound' WHERE terminal_id = $1", world.till.terminal_id
    )
    with pytest.raises(ShopRefused, match="is unbound already"):
        await till_is(world, TerminalStatus.ACTIVE)
    assert await kept_orders(world.database, PROGRAMME) == []
    (till,) = await terminals(world.database, PROGRAMME, merchant_id=world.till.merchant_id)
    assert till.status is TerminalStatus.UNBOUND


@pytest.mark.parametrize(
    ("opens", "closes", "now", "began"),
    [
        ("07:00", "21:00", "2024-10-08T12:00", "2024-10-08T08:00"),
        # Two hours of today and two of yesterday.
        ("07:00", "21:00", "2024-10-08T09:00", "2024-10-07T19:00"),
        ("07:00", "21:00", "2024-10-08T21:00", None),
        ("07:00", "21:00", "2024-10-08T06:59", None),
        # Without hours of its own from 08 to 18.
        (None, None, "2024-10-08T09:00", "2024-10-07T15:00"),
        # Past midnight, and all day.
        ("20:00", "02:00", "2024-10-08T01:00", "2024-10-07T21:00"),
        ("20:00", "02:00", "2024-10-08T21:00", "2024-10-07T23:00"),
        ("00:00", "00:00", "2024-10-08T01:00", "2024-10-07T21:00"),
        # Ten minutes a day: fourteen days are not four hours.
        ("09:00", "09:10", "2024-10-08T09:05", None),
    ],
)
def test_the_last_hours_of_a_shop_are_hours_in_which_it_was_open(
    opens: str | None, closes: str | None, now: str, began: str | None
) -> None:
    found = last_hours_began(
        None if opens is None else time.fromisoformat(opens),
        None if closes is None else time.fromisoformat(closes),
        FOUR_HOURS,
        datetime.fromisoformat(now).replace(tzinfo=WITA),
        WITA,
    )
    assert found == (None if began is None else datetime.fromisoformat(began).replace(tzinfo=WITA))


async def silent(world: World) -> set[str]:
    return {each.shop.merchant_id for each in await silent_shops(world.database, world.settings, PROGRAMME, world.now)}


async def test_a_shop_is_silent_that_sells_usually_and_said_nothing_in_its_last_hours(world: World) -> None:
    every = {till.merchant_id for till in world.tills.terminals}
    world.at(datetime(2024, 10, 7, 12, tzinfo=WITA))
    # A decline is a sign of life, too; until there are batches every open shop should give one.
    assert (await world.authorise(amount=999_000))["decision"] == "declined"
    world.at(datetime(2024, 10, 7, 14, tzinfo=WITA))
    assert await silent(world) == every - {world.till.merchant_id}
    world.at(datetime(2024, 10, 7, 16, 1, tzinfo=WITA))
    assert await silent(world) == every
    await shop_is(world, MerchantStatus.SUSPENDED, shop=world.other_till.merchant_id)
    assert await silent(world) == every - {world.other_till.merchant_id}
    # Two of three batches have a sale of the first shop, one has one of the second.
    await shop_is(world, MerchantStatus.ACTIVE, shop=world.other_till.merchant_id)
    for day, tills in ((8, [world.till, world.other_till]), (9, [world.till]), (10, [])):
        world.at(datetime(2024, 10, day, 9, tzinfo=WITA))
        for till in tills:
            card = world.tills.cards[day].card_number
            assert (await world.authorise(amount=20_000, capture=True, till=till, card_number=card))["status"] == (
                "captured"
            )
        await batch_closed(world)
    world.at(datetime(2024, 10, 10, 14, tzinfo=WITA))
    assert await silent(world) == {world.till.merchant_id}
    world.at(datetime(2025, 1, 1, 14, tzinfo=WITA))
    assert await silent(world) == set()


async def test_a_shop_is_not_asked_for_hours_before_it_was_there(world: World) -> None:
    world.at(datetime(2024, 10, 1, 9, 30, tzinfo=WITA))
    assert await silent(world) == set()
    await world.database.execute(
        "UPDATE merchant SET admitted_on = $2 WHERE merchant_id = $1", world.till.merchant_id, date(2024, 10, 8)
    )
    world.at(datetime(2024, 10, 8, 9, 30, tzinfo=WITA))
    assert world.till.merchant_id not in await silent(world)
