"""What others made of a database that did not answer, of a Redis that forgot, and of rules that failed (9, 12, 17)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from time import monotonic
from typing import Any

import pytest
from redis.asyncio import Redis

from authz_service.declines import DeclineReason
from authz_service.rules.decide import decide
from tests.harm import LOCKS_THE_FAMILY, Premises, Valkey, Wire, is_a_fault, laid, refuse, refuse_no_more, somebody_else
from tests.world import Reply, World, answered

PASSES_BY_ITSELF = {
    "serialisation failure": "40001",
    "deadlock": "40P01",
    "lock timeout": "55P03",
    "statement cancelled": "57014",
    "server shuts down": "57P01",
    "connection lost": "08006",
    "a standby": "25006",
    "out of connections": "53300",
    "a plan of an older table": "0A000",
}


def reads_as_lack_of_money(reply: Reply) -> bool:
    """Any of the ways in which an answer could say that the family has too little."""
    said = reply.raw.decode()
    money = {DeclineReason.ENTITLEMENT_EXCEEDED, DeclineReason.MONTHLY_CAP_EXCEEDED, DeclineReason.PACKAGE_CAP_EXCEEDED}
    words = {"tidak cukup", "Sisa bulan ini", "declined", *money}
    return any(word in said for word in words) or reply["response_code"] in {reason.response_code for reason in money}


@pytest.mark.parametrize(
    "code", [*PASSES_BY_ITSELF.values(), "23514", "XX000"], ids=[*PASSES_BY_ITSELF, "a check", "a bug"]
)
async def test_09_timeouts_were_reported_as_not_sufficient_funds(world: World, code: str) -> None:
    """Row 9: an issuer's time-out and a ledger's failed transaction reached the customer as "insufficient funds". Here
    a family spends its last rupiah while the database refuses each write: authorise, capture, void, refund and
    reversal are all a fault that may be repeated, none says a word of money, and the repeat gets what is true."""
    await world.change(package_rupiah=None, month_cap_rupiah=None, month_packages=None)
    sold = await world.authorise(amount=1000000, capture=True)
    held, voided, _ = [await world.authorise(amount=100000, key=key) for key in ("h", "v", "r")]
    last = world.a_purchase(amount=500000)
    calls: dict[str, Callable[[], Awaitable[Reply]]] = {
        "authorise": lambda: world.sell(last, "a"),
        "capture": lambda: world.capture(held["id"], key="c", amount=60000),
        "void": lambda: world.void(voided["id"], key="w"),
        "refund": lambda: world.refund(sold["id"], 1000, key="f"),
        "reverse": lambda: world.reverse(key="x", idempotency_key="r"),
    }
    before = await world.counts()
    await refuse(world, "transfer", "true", code)
    started = monotonic()
    replies = await asyncio.gather(*(call() for call in calls.values()))
    assert monotonic() - started < 2.5
    for reply in replies:
        assert is_a_fault(reply, "not_decided", "outcome_unknown")
        assert not reads_as_lack_of_money(reply)
    assert await world.counts() == before
    await refuse_no_more(world, "transfer")
    # In the order of the calls: the last 500.000 are asked for while all the rest is held or spent.
    statuses = [(await answered(call)).status for call in calls.values()]
    assert statuses == [201, 201, 200, 201, 201]
    assert await world.wallet() == (241000, 500000, 1059000)
    await world.books_balance()


@pytest.mark.parametrize("code", PASSES_BY_ITSELF.values(), ids=PASSES_BY_ITSELF)
async def test_09_a_fault_that_passed_by_itself_was_reported_at_all(world: World, code: str) -> None:
    """Row 9, for what is over at the third try: the till does not hear of it, and the sale is made once."""
    await world.change(package_rupiah=None, month_cap_rupiah=None, month_packages=None)
    await refuse(world, "hold", "nextval('tried') <= 2", code)
    reply = await world.authorise(amount=1800000)
    assert (reply.status, reply["decision"]) == (201, "approved")
    assert await world.database.fetchval("SELECT last_value FROM tried") == 3
    assert await world.wallet() == (0, 1800000, 0)
    await world.books_balance()


async def test_09_a_family_that_somebody_kept_locked_had_no_money(world: World) -> None:
    """Row 9, with a lock that nobody lets go of: a fault at the deadline, for a sale, its repeat and a balance none
    the poorer; then the approval."""
    await world.change(package_rupiah=None, month_cap_rupiah=None, month_packages=None)
    body = world.a_purchase(amount=1800000)
    async with somebody_else(world, LOCKS_THE_FAMILY, world.card.beneficiary_id):
        for _ in range(2):
            reply = await world.sell(body, "k")
            assert is_a_fault(reply, "not_decided", "outcome_unknown")
            assert not reads_as_lack_of_money(reply)
        assert (await world.balance())["remaining"]["programme"] == 1800000
    assert (await answered(world.sell, body, "k"))["decision"] == "approved"
    await world.books_balance()


async def a_day_at_the_till(world: World, card_number: str) -> None:
    """A sale, its repeat, a decline, its repeat, a capture and a void: right, and none of them slow."""
    for amount in (100000, 300001):
        body, key = world.a_purchase(card_number=card_number, amount=amount), world.fresh_key()
        for replayed in (None, "true", "true"):
            started = monotonic()
            reply = await world.sell(body, key)
            assert monotonic() - started < 1.0
            assert (reply.status, reply.headers.get("idempotent-replayed")) == (201, replayed)
            assert reply["decision"] == ("approved" if amount == 100000 else "declined")
    kept = await world.authorise(card_number=card_number, amount=50000)
    assert (await world.capture(kept["id"], amount=20000)).status == 201
    assert (await world.void(kept["id"])).status == 409


@pytest.mark.parametrize("url", ["unix:///nowhere/valkey.sock", "redis://127.0.0.1:1"])
async def test_12_without_redis_nothing_worked(premises: Premises, url: str) -> None:
    """Row 12: locks and queues in Redis lost money when it went away. Here it need not be there at all."""
    without = Premises(premises.database_url, url, premises.tills, premises.directory)
    async with without.service() as world:
        await a_day_at_the_till(world, world.card.card_number)
        await world.books_balance()


async def test_12_redis_was_killed_stopped_or_flushed_between_two_sales(premises: Premises, valkey: Valkey) -> None:
    """Row 12: stopped is worse than killed, since it takes connections and never answers."""
    async with beside(premises, valkey.path).service() as world:
        cards = iter(world.tills.cards)
        redis: Redis = Redis.from_url(valkey.url)
        harms: list[Callable[[], Any]] = [
            lambda: None,
            lambda: valkey.process.send_signal(SIGSTOP),
            lambda: valkey.process.send_signal(SIGCONT),
            lambda: valkey.process.send_signal(SIGKILL),
        ]
        for harm in harms:
            harm()
            await a_day_at_the_till(world, next(cards).card_number)
            if harm is harms[0]:
                await redis.flushall()
                await redis.aclose()
                await a_day_at_the_till(world, next(cards).card_number)
        await world.books_balance()


STEPS = {"a card is locked": b"'NX'", "a lock is given back": b"'DEL'", "a decline is told": b"\r\nEX\r\n"}
"""What the service says to Redis on the way of one sale, and the bytes that say it."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What becomes of one message to Redis."""

    lets_pass: bool = True
    hears: bool = True
    stops: bool = False
    flushes: bool = False


HARMS = {
    "flushed": Harm(flushes=True),
    "cut before it": Harm(lets_pass=False),
    "cut after it": Harm(hears=False),
    "its answer cut": Harm(),
    "partitioned before it": Harm(lets_pass=False, stops=True),
    "partitioned after it": Harm(stops=True),
}


async def test_12_redis_was_lost_at_one_step_and_with_it_money(premises: Premises, valkey: Valkey) -> None:
    """Row 12, at each step of a sale: at the very message that takes or gives back a card's lock, or tells a decline,
    Redis is flushed, cut off or partitioned, before and after it has acted. No sale is wrong or slow."""
    async with laid(str(valkey.path), "valkey.sock") as (wire, through), beside(premises, through).service() as world:
        redis: Redis = Redis.from_url(valkey.url)
        cards = iter(world.tills.cards)
        for message in STEPS.values():
            for harm in HARMS.values():
                harmed = asyncio.create_task(do_harm(wire, message, harm, redis))
                await a_day_at_the_till(world, next(cards).card_number)
                await asyncio.wait_for(harmed, 2)
        await redis.aclose()
        await world.books_balance()


async def test_12_redis_and_postgresql_were_lost_together(premises: Premises, valkey: Valkey) -> None:
    """Row 12, at the one step at which Redis may speak for itself: while PostgreSQL is away a decline that it keeps is
    repeated to the byte, or nothing is said; and when PostgreSQL is back everybody hears what they heard before."""
    async with laid(str(valkey.path), "valkey.sock") as (to_redis, through):
        limits: dict[str, Any] = {"deadline_seconds": 0.5, "record_reserve_seconds": 0.1}
        async with beside(premises, through).wired(**limits) as (world, to_postgresql):
            redis: Redis = Redis.from_url(valkey.url)
            sold, refused = world.a_purchase(), world.a_purchase(amount=300001)
            approved, declined = await world.sell(sold, "a"), await world.sell(refused, "d")
            while not await redis.keys("*:answer:*"):
                await asyncio.sleep(0.01)
            heard = Counter[int]()
            for harm in (None, *HARMS.values()):
                to_postgresql.cut()
                harmed = asyncio.create_task(do_harm(to_redis, b"*2\r\n$3\r\nGET", harm, redis)) if harm else None
                first, second = await asyncio.gather(world.sell(refused, "d"), world.sell(sold, "a"))
                heard[first.status] += 1
                assert first.raw == declined.raw if first.status == 201 else is_a_fault(first, "not_decided")
                assert is_a_fault(second, "not_decided")
                if harmed is not None:
                    await asyncio.wait_for(harmed, 2)
                to_postgresql.mend()
                assert (await answered(world.sell, sold, "a")).raw == approved.raw
                assert (await answered(world.sell, refused, "d")).raw == declined.raw
            assert heard[201] > 0
            await redis.aclose()
            await world.books_balance()


async def test_12_redis_flushed_all_the_time_let_a_purchase_too_many_through(
    premises: Premises, valkey: Valkey
) -> None:
    """Row 12, with the locks gone as soon as they are taken, at two instances: the wallet's version is what guards."""
    async with beside(premises, valkey.path).pair() as (one, two):
        redis: Redis = Redis.from_url(valkey.url)
        enough = asyncio.Event()

        async def flush() -> None:
            while not enough.is_set():
                await redis.flushall()
                await asyncio.sleep(0.001)

        flushing = asyncio.create_task(flush())
        numbers = [card.card_number for card in one.tills.cards[:6]]
        purchases = [one.a_purchase(amount=1000, card_number=number) for number in numbers * 5]
        replies = await asyncio.gather(
            *(answered((one, two)[n % 2].sell, purchase, f"k{n}") for n, purchase in enumerate(purchases))
        )
        enough.set()
        await flushing
        await redis.aclose()
        assert Counter(reply["reason"] for reply in replies) == {"approved": 12, "packages_used_up": 18}
        await one.books_balance()


def beside(premises: Premises, redis: Path) -> Premises:
    """The same database, with the Redis at this socket."""
    return Premises(premises.database_url, f"unix://{redis}", premises.tills, premises.directory)


async def do_harm(wire: Wire, message: bytes, harm: Harm, redis: "Redis") -> None:
    """At the next `message`, and only at that."""
    wire.stopped.clear()
    wire.let_go.clear()
    wire.lets_pass, wire.hears, wire.stops, wire.holds = harm.lets_pass, harm.hears, harm.stops, harm.flushes
    wire.trigger = message
    await wire.stopped.wait()
    if harm.flushes:
        await redis.flushall()
        wire.let_go.set()


A_DOUBT = (ValueError, KeyError, IndexError, TypeError, AssertionError, ZeroDivisionError, RuntimeError, RecursionError)


@pytest.mark.parametrize("error", A_DOUBT)
async def test_17_the_rule_engine_failed_open(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Row 17: a rule engine that failed let the transaction pass. Here a rule that raises, whatever it raises, ends in
    a 503 with a clear sentence: never an approval, never a decline, and nothing is written. The same request is
    decided once the rule is mended; other families were not kept waiting for it."""
    unlucky = world.card.card_number

    def broken(purchase: Any, facts: Any) -> Any:
        if purchase.card_number == unlucky:
            raise error
        return decide(purchase, facts)

    monkeypatch.setattr("authz_service.authorisation.decide", broken)
    before, body = await world.counts(), world.a_purchase()
    dry = "/v1/authorizations?dry_run=true"
    for reply in (await world.sell(body, "k"), await world.sell(body, "k"), await world.post(dry, body)):
        assert is_a_fault(reply, "not_decided")
    assert await world.counts() == before
    assert (await world.authorise(card_number=world.tills.cards[1].card_number))["decision"] == "approved"
    monkeypatch.undo()
    assert (await world.sell(body, "k"))["decision"] == "approved"
    await world.books_balance()


DOUBTS = {
    "the family is not there": (
        "CREATE TABLE kept AS SELECT * FROM beneficiary; DELETE FROM beneficiary",
        "INSERT INTO beneficiary SELECT * FROM kept; DROP TABLE kept",
    ),
    "the wallet is not there": (
        "CREATE TABLE kept AS SELECT * FROM wallet; DELETE FROM wallet",
        "INSERT INTO wallet SELECT * FROM kept; DROP TABLE kept",
    ),
    "the programme cannot be read": (
        "UPDATE programme SET zone = 'Mars/Base'",
        "UPDATE programme SET zone = 'Asia/Makassar'",
    ),
    "the shops cannot be read": (
        "UPDATE merchant SET name = name; ALTER TABLE merchant RENAME TO shop",
        "ALTER TABLE shop RENAME TO merchant",
    ),
    "the facts cannot be read": (
        "ALTER TABLE allowance RENAME COLUMN covered_rupiah TO covered",
        "ALTER TABLE allowance RENAME COLUMN covered TO covered_rupiah",
    ),
    "the prices cannot be read": (
        "UPDATE price_ceiling SET source = source; ALTER TABLE price_ceiling RENAME COLUMN price_rupiah TO price",
        "ALTER TABLE price_ceiling RENAME COLUMN price TO price_rupiah",
    ),
}
"""What is wrong with the books, and how it is mended."""


@pytest.mark.parametrize("doubt", DOUBTS)
async def test_17_what_could_not_be_looked_up_was_let_pass(world: World, doubt: str) -> None:
    """Row 17, for what the rules need to know: a row or a column that is missing is a doubt, and a doubt is a 503, for
    a sale, a dry run and a balance alike; nothing is written before it is mended, and then everything is."""
    wrong, mended = DOUBTS[doubt]
    body = world.a_purchase()
    await world.database.execute(wrong)
    before, started = await world.counts(), monotonic()
    replies = await asyncio.gather(
        world.sell(body, "k"), world.post("/v1/authorizations?dry_run=true", body), world.balance()
    )
    assert monotonic() - started < 2.5
    for reply in replies:
        assert is_a_fault(reply, "not_decided")
    assert await world.counts() == before
    await world.database.execute(mended)
    assert (await answered(world.sell, body, "k"))["decision"] == "approved"
    await world.books_balance()


async def test_17_an_answer_that_was_lost_from_the_books_was_given_as_something_else(world: World) -> None:
    """Row 17, for a key whose stored answer is not there any more: it is not decided again and nothing is made up."""
    body = world.a_purchase()
    first = await world.sell(body, "k")
    immutable = "ALTER TABLE authorisation {} TRIGGER USER"
    await world.database.execute(immutable.format("DISABLE"))
    await world.database.execute("CREATE TABLE kept AS SELECT * FROM authorisation; DELETE FROM authorisation")
    for _ in range(2):
        assert is_a_fault(await world.sell(body, "k"), "outcome_unknown")
    assert await world.wallet() == (1650000, 150000, 0)
    await world.database.execute("INSERT INTO authorisation SELECT * FROM kept; DROP TABLE kept")
    await world.database.execute(immutable.format("ENABLE"))
    again = await world.sell(body, "k")
    assert (again.status, again.raw) == (201, first.raw)
    await world.books_balance()
