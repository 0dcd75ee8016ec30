"""Purchases are told from the books: each transfer once, whatever commits when, and at no cost to a till."""

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from authz_service.events.endpoints import disable, enable
from authz_service.events.purchases import forget_purchases
from authz_service.ledger.statements import PARTS, record_statement
from authz_service.vocabulary import CHANCE_BYTES, new_id
from tests.events import SAMARINDA, an_endpoint, numbered, told
from tests.harm import address_of
from tests.world import PROGRAMME, World

ONCE = """
SELECT count(*) FROM transfer t
 WHERE t.authorisation_id IS NOT NULL
   AND 1 <> (SELECT count(*) FROM event e WHERE e.data ->> 'transfer_id' = t.transfer_id)
"""
"""Transfers of purchases that are not exactly one event."""
COPY = """
INSERT INTO transfer SELECT programme_id, $1, kind, cause, debit_account_id, credit_account_id, 7, authorisation_id,
                            reason, created_at, recorded_at
  FROM transfer WHERE kind = 'post' LIMIT 1
"""


async def wanted(world: World) -> None:
    """Somebody wants purchases from now on."""
    await an_endpoint(world, "http://127.0.0.1:9/", "purchase.*")
    await numbered(world)


async def test_the_life_of_a_purchase_is_told_in_its_order(world: World) -> None:
    await wanted(world)
    sold = await world.authorise()
    await world.capture(sold["id"], amount=100_000)
    await world.refund(sold["id"], 30_000)
    at_once = await world.authorise(capture=True, amount=10_000, key="k")
    await world.reverse(idempotency_key="k")
    voided = await world.authorise(amount=5_000, card_number=world.tills.cards[1].card_number)
    await world.void(voided["id"])
    await numbered(world)
    events = [(kind, data["authorization_id"], data["amount"], data["cause"]) for kind, data in await told(world)]
    assert events == [
        ("purchase.approved", sold["id"], 150_000, "authorise"),
        ("purchase.captured", sold["id"], 100_000, "capture"),
        ("purchase.released", sold["id"], 50_000, "capture"),
        ("purchase.refunded", sold["id"], 30_000, "refund"),
        ("purchase.approved", at_once["id"], 10_000, "authorise"),
        ("purchase.captured", at_once["id"], 10_000, "capture"),
        ("purchase.refunded", at_once["id"], 10_000, "reverse"),
        ("purchase.approved", voided["id"], 5_000, "authorise"),
        ("purchase.released", voided["id"], 5_000, "void"),
    ]
    for _, data in await told(world):
        assert data["merchant_id"] == world.till.merchant_id
        assert data["beneficiary_id"] in {card.beneficiary_id for card in world.tills.cards[:2]}
        assert data["currency"] == "IDR"
    assert await world.database.fetchval(ONCE) == 0


async def test_a_purchase_is_one_event_however_often_the_books_are_read(world: World) -> None:
    await wanted(world)
    await world.authorise(capture=True)
    for _ in range(4):
        await numbered(world)
    assert len(await told(world)) == 2


async def test_nothing_is_read_where_nobody_wants_purchases(world: World) -> None:
    await an_endpoint(world, "http://127.0.0.1:9/", "payout.*", "settlement.*")
    await world.authorise(capture=True)
    await numbered(world)
    assert await told(world) == []
    await wanted(world)
    await numbered(world)
    assert await told(world) == [], "what was before somebody wanted it is not told"
    await world.database.execute("UPDATE event_endpoint SET disabled_at = now(), disabled_because = 'ordered'")
    await numbered(world)
    assert await world.database.fetchval("SELECT purchases_from FROM event_head") is None


async def test_a_sale_is_told_from_the_moment_on_in_which_somebody_wants_it(world: World) -> None:
    """Also before anything was read."""
    await an_endpoint(world, "http://127.0.0.1:9/", "purchase.*")
    await world.authorise()
    await numbered(world)
    assert [kind for kind, _ in await told(world)] == ["purchase.approved"]


@pytest.mark.parametrize("quiet", [timedelta(seconds=90), timedelta(hours=5), timedelta(days=3)])
async def test_what_is_sold_after_an_endpoint_was_added_is_told_however_late_the_books_are_read_first(
    world: World, quiet: timedelta
) -> None:
    """As when no process of the service was there, or none had a round for so long."""
    await world.authorise(capture=True)
    world.later(seconds=1)
    await an_endpoint(world, "http://127.0.0.1:9/", "payout.*", "purchase.captured")
    sold = await world.authorise(capture=True, card_number=world.tills.cards[1].card_number)
    world.later(seconds=quiet.total_seconds())
    for _ in range(2):
        await numbered(world)
    assert [(kind, data["authorization_id"]) for kind, data in await told(world)] == [
        ("purchase.approved", sold["id"]),
        ("purchase.captured", sold["id"]),
    ], "and nothing of before it was added"


async def test_from_the_moment_it_is_enabled_again_an_endpoint_is_told_of_purchases(world: World) -> None:
    how: Any = {"actor": "dinsos", "chance": os.urandom}
    endpoint_id = await an_endpoint(world, "http://127.0.0.1:9/", "*")
    await disable(world.database, SAMARINDA, endpoint_id, now=world.now, **how)
    await numbered(world)
    await world.authorise(capture=True)
    world.later(seconds=1)
    await enable(world.database, SAMARINDA, endpoint_id, now=world.now, **how)
    sold = await world.authorise(capture=True, card_number=world.tills.cards[1].card_number)
    world.later(minutes=10)
    await numbered(world)
    assert {data["authorization_id"] for _, data in await told(world)} == {sold["id"]}
    assert len(await told(world)) == 2


async def test_who_begins_to_want_purchases_while_they_are_forgotten_loses_none(world: World) -> None:
    """The reader has seen that nobody wants them, and forgets; the endpoint is added before, or meanwhile."""
    other = await asyncpg.connect(address_of(world))
    await wanted(world)
    await world.database.execute("UPDATE event_endpoint SET disabled_at = now(), disabled_because = 'ordered'")
    async with world.database.transaction():
        await an_endpoint(world, "http://127.0.0.1:9/", "purchase.*")
        forgetting = asyncio.create_task(numbered(replace(world, database=other)))
        await asyncio.wait_for(forgetting, timeout=5)
    assert await world.database.fetchval("SELECT purchases_from FROM event_head") is not None, "the reader passed by"
    await world.database.execute("UPDATE event_endpoint SET disabled_at = now(), disabled_because = 'ordered'")
    async with other.transaction():
        await other.execute("SELECT FROM event_head FOR UPDATE")
        adding = asyncio.create_task(an_endpoint(world, "http://127.0.0.1:9/", "purchase.*"))
        await asyncio.sleep(0.2)
        assert not adding.done(), "it waits for the head"
        await forget_purchases(other, SAMARINDA)
        assert await other.fetchval("SELECT purchases_from FROM event_head") is None
    await adding
    assert await world.database.fetchval("SELECT purchases_from FROM event_head") is not None
    async with other.transaction():
        await other.execute("SELECT FROM event_head FOR UPDATE")
        await forget_purchases(other, SAMARINDA)
    assert await other.fetchval("SELECT purchases_from FROM event_head") is not None, "somebody wants them by now"
    await other.close()


async def test_a_sale_that_commits_much_later_than_others_is_told(world: World) -> None:
    """Its ids are as old as the others', its transaction stays open while the books are read on and on."""
    await wanted(world)
    await world.authorise(capture=True)
    late = await asyncpg.connect(address_of(world))
    transaction = late.transaction()
    await transaction.start()
    await late.execute(COPY, new_id("cap", world.now, bytes(CHANCE_BYTES)))
    for _ in range(6):
        world.later(minutes=20)
        await world.authorise(amount=1_000, card_number=world.tills.cards[1].card_number)
        await numbered(world)
    before = len(await told(world))
    await transaction.commit()
    await late.close()
    await numbered(world)
    await numbered(world)
    assert len(await told(world)) == before + 1
    assert await world.database.fetchval(ONCE) == 0


async def test_how_far_the_books_are_read_moves_on_once_nothing_older_is_open(world: World) -> None:
    await wanted(world)
    far = []
    for _ in range(4):
        world.later(minutes=10)
        await numbered(world)
        far.append(await world.database.fetchval("SELECT purchases_through FROM event_head"))
    assert far == sorted(set(far))
    assert world.now - far[-1] < timedelta(minutes=11)


async def test_a_row_that_is_older_than_any_margin_is_found_by_the_look_back(world: World) -> None:
    """As when a process slept for an hour between deciding and writing."""
    await wanted(world)
    await world.authorise(capture=True)
    world.later(hours=3)
    for _ in range(3):
        await numbered(world)
    await world.database.execute(COPY, new_id("cap", world.now - timedelta(hours=1), bytes(CHANCE_BYTES)))
    await numbered(world)
    assert await world.database.fetchval(ONCE) == 1
    world.later(days=1)
    await numbered(world)
    assert await world.database.fetchval(ONCE) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_tills_sell_while_the_books_are_read_and_every_transfer_is_one_event(world: World, seed: int) -> None:
    """Two readers with a margin of nothing, in rounds of seven rows; transactions commit in any order."""
    await wanted(world)
    others = [await asyncpg.connect(address_of(world)) for _ in range(2)]

    async def sell(n: int) -> None:
        card, till = world.tills.cards[n].card_number, world.tills.terminals[n % 5]
        await asyncio.sleep((n * (seed + 1)) % 13 / 200)
        reply = await world.authorise(card_number=card, amount=10_000 + n, capture=n % 3 > 0, key=f"s{n}", till=till)
        if n % 3 == 0:
            await world.capture(reply["id"], till=till)
        if n % 4 == 1:
            await world.refund(reply["id"], 1_000, till=till)
        if n % 4 == 2:
            await world.reverse(idempotency_key=f"s{n}", till=till)

    async def read(connection: Any) -> None:
        reader = replace(world, database=connection)
        for _ in range(30):
            await numbered(reader, events_in_a_round=7, event_journal_margin_seconds=2.0)
            await asyncio.sleep(0.003 * (seed + 1))

    await asyncio.gather(*(sell(n) for n in range(40)), *map(read, others))
    for each in others:
        await each.close()
    await numbered(world, events_in_a_round=7)
    assert await world.database.fetchval(ONCE) == 0
    numbers = [row[0] for row in await world.database.fetch("SELECT number FROM event ORDER BY number")]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_till_writes_what_it_wrote_before_there_were_events(world: World) -> None:
    """No table of the events is in a hot statement, and no trigger or index of them on a hot table."""
    assert "event" not in record_statement(tuple(PARTS))
    hot = ("authorisation", "hold", "transfer", "wallet", "allowance", "request_key", "voucher_movement")
    rows = await world.database.fetch(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = ANY ($1::text[]::regclass[]) AND tgtype & 4 > 0"
        " AND NOT tgisinternal",
        hot,
    )
    assert [row for row in rows if "kept" not in row[0]] == []
    await wanted(world)
    await world.authorise(capture=True)
    assert await told(world) == []
    assert await world.database.fetchval("SELECT programme_id FROM event_head") == PROGRAMME
