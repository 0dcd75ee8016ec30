"""A bank that misbehaves in every way ends in the same books as a good one, and its statement is these books."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from authz_service.settlement.partners import SignatureStyle
from authz_service.simulation.bank import Bank
from authz_service.simulation.end import differences, end_play
from authz_service.simulation.misbehaviour import Behaviour, Misbehaviour, behaviour_of
from authz_service.simulation.play import known_bank, opened_statement, ordered, play_bank
from authz_service.simulation.statement import Statement
from tests.bank import followed
from tests.conftest import Cluster, EnrolledTemplate, _database
from tests.harm import Premises
from tests.settling import batch_closed
from tests.simulated import books, key_files, orders_file, parked, simulated_bank, stage_of, typed
from tests.world import A_MORNING, World

DAYS, SHOPS, SEED = 3, 6, 7
EVERY_WAY = behaviour_of(
    "late=0.3,twice=0.3,out-of-order=0.3,wrong-amount=0.3,wrong-signature=0.3,silent=0.2,error-500=0.3,"
    "fails=0.25,returns=0.25,pending=0.3",
    SEED,
)


@pytest.fixture
async def another_world(
    cluster: Cluster, enrolled: EnrolledTemplate, redis_url: str, tmp_path: Path
) -> AsyncIterator[World]:
    """The same programme on a database of its own."""
    (tmp_path / "another").mkdir()
    async for url in _database(cluster, f"TEMPLATE {enrolled.database}"):
        async with Premises(url, redis_url, enrolled.tills, tmp_path / "another").service() as world:
            yield world


async def sold(world: World, day: int, shops: int = SHOPS) -> None:
    """Each shop has sold something to a family of its own, and the first one has taken something back."""
    for shop, till in enumerate(world.tills.terminals[:shops]):
        card = world.tills.cards[day * shops + shop].card_number
        reply = await world.authorise(amount=10_000 * (shop + 1) + day, capture=True, till=till, card_number=card)
        assert reply["decision"] == "approved"
        if shop == 0:
            await world.refund(reply["id"], 1_000, till=till)


async def a_short_quarter(world: World, style: SignatureStyle, behaviour: Behaviour) -> Bank:
    """Some days of sales, a batch each evening, and the end."""
    async with simulated_bank(world, style, behaviour) as bank:
        for day in range(DAYS):
            world.at(A_MORNING + timedelta(days=day))
            await sold(world, day)
            await batch_closed(world)
            await play_bank(bank, stage_of(world))
        await end_play(bank, stage_of(world))
        assert await differences(bank, stage_of(world)) == []
    return bank


@pytest.mark.parametrize("style", SignatureStyle)
async def test_a_bank_that_misbehaves_in_every_way_ends_in_the_same_books_as_a_good_one(
    world: World, another_world: World, style: SignatureStyle
) -> None:
    good = await a_short_quarter(world, style, EVERY_WAY.told_well())
    bad = await a_short_quarter(another_world, style, EVERY_WAY)
    assert await books(another_world) == await books(world)
    assert bad.statement.balance_rupiah == good.statement.balance_rupiah
    for each in (world, another_world):
        await each.books_balance()
    # Both were what they are said to be.
    assert await parked(world) == Counter()
    assert (await parked(another_world))["amount_differs"] > 0
    assert good.tally.forged == 0 < bad.tally.forged
    events = Counter(event for _, event, _ in (await books(world))[1].elements())
    assert min(events[each] for each in ("settled", "failed", "returned", "released")) > 0


@pytest.mark.parametrize("what", Misbehaviour)
async def test_each_misbehaviour_alone_also_ends_with_nothing_owed_and_nothing_on_its_way(
    world: World, what: Misbehaviour
) -> None:
    """Of a third of the payments, since a bank that never pays leaves shops unpaid."""
    bank = await a_short_quarter(world, SignatureStyle.WITHOUT_TOKEN, Behaviour(seed=SEED, shares={what: 1 / 3}))
    assert bank.tally.given_up == []
    await world.books_balance()


@pytest.mark.timeout(240)
async def test_a_service_that_is_killed_while_the_bank_tells_loses_and_doubles_nothing(premises: Premises) -> None:
    """SIGKILL after every few notices: while one is kept, acknowledged or followed."""
    chance = Random(SEED)
    shares = dict.fromkeys((Misbehaviour.TWICE, Misbehaviour.OUT_OF_ORDER, Misbehaviour.ERROR_500), 0.5)
    behaviour = Behaviour(seed=SEED, shares={**shares, Misbehaviour.RETURNS: 0.3})
    async with (
        premises.child(sweep_seconds=3600, notice_seconds=0.1) as (world, child),
        simulated_bank(world, SignatureStyle.WITH_TOKEN, behaviour) as bank,
    ):
        stage = stage_of(world)
        await sold(world, 0, shops=20)
        await batch_closed(world)
        bank.take(await ordered(stage))
        kills = 0
        while not bank.is_idle:
            bank.pay()
            telling = asyncio.create_task(bank.tell())
            while not telling.done():
                heard = bank.tally.acknowledged + chance.randint(1, 4)
                while bank.tally.acknowledged < heard and not telling.done():
                    await asyncio.sleep(0.001)
                await asyncio.sleep(chance.uniform(0, 0.03))
                if not telling.done():
                    child.kill_and_restart()
                    kills += 1
            await telling
        assert kills >= 2
        assert bank.tally.sent_again > 0
        await followed(world)
        sent_twice = await world.database.fetchval(
            "SELECT count(*) - count(DISTINCT (external_id, body)) FROM bank_notice"
        )
        assert sent_twice == 0
        events = Counter(event for _, event, _ in (await books(world))[1].elements())
        returned = sum(1 for row in bank.statement.rows if row.credit)
        assert (events["settled"], events["returned"]) == (20, returned)
        assert returned > 0
        owed = [each for each in await differences(bank, stage) if "is owed" not in each]
        assert owed == []
        await world.books_balance()


async def test_the_command_pays_a_file_tells_it_and_started_again_pays_nothing_twice(
    world: World, tmp_path: Path
) -> None:
    stage, directory = stage_of(world), tmp_path / "orders"
    directory.mkdir()
    identity = await known_bank(stage, SignatureStyle.WITH_TOKEN)
    key, secret = key_files(tmp_path, identity.private_key, identity.secret)
    statement, opening = tmp_path / "statement.csv", (await opened_statement(stage)).opening_rupiah
    await sold(world, 0)
    await batch_closed(world)
    orders = await ordered(stage)
    (directory / "batch-1.csv").write_text(orders_file(*orders))
    (directory / "batch-2.csv").write_text(orders_file(*orders, count=7))
    command = ["simulate", "bank", "--base-url", world.base_url, "--partner", identity.partner_id]
    command += ["--private-key", str(key), "--secret-file", str(secret), "--orders", str(directory)]
    command += ["--statement", str(statement), "--opening-balance", str(opening), "--until-idle"]
    command += ["--pace-seconds", "0.05", "--misbehave", "twice=0.5,late=0.5,wrong-signature=0.5", "--seed", "1"]
    for _ in range(2):
        status, printed = await typed(world, *command)
        assert status == 0, printed
        assert "6 new payment orders" in printed
        assert "batch-2.csv is not paid: The last line has another count" in printed
    read = Statement.read(statement.read_text())
    assert Counter({row.reference: row.debit for row in read.rows}) == {
        each.reference: each.amount_rupiah for each in orders
    }
    await followed(world)
    assert Counter(event for _, event, _ in (await books(world))[1].elements()) == {"settled": len(orders)}
    assert (await opened_statement(stage)).opening_rupiah == read.balance_rupiah
