"""A bank that misbehaves in every way ends in the same books as a good one, and its statement is these books."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from authz_service.bank.funding import expect_funding
from authz_service.bank.partners import SignatureStyle
from authz_service.simulation.bank import Bank
from authz_service.simulation.end import differences, end_play
from authz_service.simulation.identity import Identity
from authz_service.simulation.misbehaviour import Behaviour, Misbehaviour, behaviour_of
from authz_service.simulation.orders import OrdersRefused, read_deposit, read_orders
from authz_service.simulation.play import announced, known_bank, opened_statement, ordered, play_bank
from authz_service.simulation.statement import Statement
from tests.bank import SAMARINDA, followed
from tests.conftest import Cluster, EnrolledTemplate, _database
from tests.harm import Premises
from tests.settling import batch_closed
from tests.simulated import books, key_files, orders_file, parked, simulated_bank, stage_of, typed
from tests.test_reconcile_command import typed as at_the_desk
from tests.world import A_MORNING, World

DAYS, SHOPS, SEED = 3, 6, 7
FUNDING = {f"SP2D-{number}": number * 1_000_000 for number in range(1, 13)}
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


async def money_announced(world: World) -> None:
    """The city pays more into the programme's account, in several sums."""
    how: dict[str, Any] = {"actor": "dinsos", "now": world.now, "chance": os.urandom}
    for reference, amount in FUNDING.items():
        await expect_funding(world.database, SAMARINDA, reference, amount, **how)


async def funded(world: World) -> dict[str, int]:
    """What came by the books, by its reference."""
    rows = await world.database.fetch(
        "SELECT reason, sum(amount_rupiah)::bigint FROM transfer WHERE kind = 'fund' AND reason IS NOT NULL GROUP BY 1"
    )
    return dict(map(tuple, rows))


async def a_short_quarter(world: World, style: SignatureStyle, behaviour: Behaviour) -> Bank:
    """The city's money for them, some days of sales, a batch each evening, and the end."""
    async with simulated_bank(world, style, behaviour) as bank:
        await money_announced(world)
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
        assert await funded(each) == FUNDING
    # Both were what they are said to be, to payments and to money that came.
    paid = await ordered(stage_of(another_world))
    for what in Misbehaviour:
        assert any(EVERY_WAY.does(what, each) for each in paid), what
        assert any(EVERY_WAY.does(what, each) for each in await announced(stage_of(another_world))), what
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
    assert await funded(world) == FUNDING
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


@dataclass(slots=True)
class Branch:
    """The bank as a command: its files, and what it is started with."""

    world: World
    identity: Identity
    orders: Path
    statement: Path
    command: list[str]

    @staticmethod
    async def of(world: World, directory: Path) -> "Branch":
        """Known to the programme, with a batch to pay that was exported as an operator does it."""
        stage, orders, statement = stage_of(world), directory / "orders", directory / "statement.csv"
        orders.mkdir()
        identity = await known_bank(stage, SignatureStyle.WITH_TOKEN)
        key, secret = key_files(directory, identity.private_key, identity.secret)
        opening = (await opened_statement(stage)).opening_rupiah
        await sold(world, 0)
        await batch_closed(world)
        done = await at_the_desk(world, "settlement", "export", "1", "--bank", str(orders / "batch-1.csv"))
        assert done.status == 0, done.err
        command = ["simulate", "bank", "--base-url", world.base_url, "--partner", identity.partner_id]
        command += ["--private-key", str(key), "--secret-file", str(secret), "--orders", str(orders)]
        command += ["--statement", str(statement), "--opening-balance", str(opening)]
        return Branch(world, identity, orders, statement, command)


@pytest.fixture
async def branch(world: World, tmp_path: Path) -> Branch:
    return await Branch.of(world, tmp_path)


async def test_what_is_exported_for_the_bank_is_what_the_simulated_bank_reads(branch: Branch) -> None:
    exported = (branch.orders / "batch-1.csv").read_text()
    assert list(read_orders(exported)) == await ordered(stage_of(branch.world))
    assert len(read_orders(exported)) == SHOPS


async def test_the_command_pays_a_file_tells_it_and_started_again_pays_nothing_twice(branch: Branch) -> None:
    world, stage = branch.world, stage_of(branch.world)
    orders = await ordered(stage)
    (branch.orders / "batch-2.csv").write_text(orders_file(*orders, count=7))
    command = [*branch.command, "--until-idle", "--pace-seconds", "0.05", "--seed", "1"]
    command += ["--misbehave", "twice=0.5,late=0.5,wrong-signature=0.5", "--deposit", "SP2D-1=1000000"]
    await money_announced(world)
    for _ in range(2):
        status, printed = await typed(world, *command)
        assert status == 0, printed
        assert "6 new payment orders" in printed
        assert "batch-2.csv is not paid: The last line has another count" in printed
    read = Statement.read(branch.statement.read_text())
    assert Counter({row.reference: row.debit - row.credit for row in read.rows}) == {
        **{each.reference: each.amount_rupiah for each in orders},
        "SP2D-1": -1_000_000,
    }
    await followed(world)
    assert Counter(event for _, event, _ in (await books(world))[1].elements()) == {"settled": len(orders)}
    assert await funded(world) == {"SP2D-1": 1_000_000}
    assert (await opened_statement(stage)).opening_rupiah == read.balance_rupiah


async def test_the_command_has_a_round_when_it_is_asked_and_ends_with_its_input(branch: Branch) -> None:
    """So its bank is late by the days of whoever holds the clock, and ends when he does, in whatever way that is."""
    world = branch.world
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.cli", *branch.command, "--on-request", "--misbehave", "late"),
        env={**os.environ, "AUTHZ_CLOCK_OFFSET_FILE": str(world.settings.clock_offset_file)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said: list[dict[str, Any]] = []
    for _ in range(3):
        process.stdin.write(b"\n")
        while not (line := await asyncio.wait_for(process.stdout.readline(), 60)).startswith(b"{"):
            assert line
        said.append(json.loads(line))
    # It is heard two rounds later, and paid at once.
    assert [each["acknowledged"] for each in said] == [0, 0, SHOPS]
    assert [each["is_idle"] for each in said] == [False, False, True]
    assert len(Statement.read(branch.statement.read_text()).rows) == SHOPS
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.parametrize("written", ["SP2D-7", "=5", "SP2D-7=-5", "SP2D-7=0", "SP2D-7=Rp5"])
def test_a_deposit_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(OrdersRefused):
        read_deposit(written)
