"""The same request gets the same answer; and of all that come at once, each is decided once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict
from redis.asyncio import Redis

from authz_service.idempotency import Hint
from authz_service.keys import Keys
from authz_service.settings import Settings
from tests.conftest import EnrolledTemplate
from tests.harm import A_RECORD, LOCKS_THE_FAMILY, Premises, Wire, is_a_fault, somebody_else
from tests.world import Reply, World, answered, running

OCTOBER = date(2024, 10, 1)


def is_replay_of(first: Reply, again: Reply) -> bool:
    return (
        (again.status, again.raw, again.headers["content-type"])
        == (first.status, first.raw, first.headers["content-type"])
        and "idempotent-replayed" not in first.headers
        and again.headers.get("idempotent-replayed") == "true"
    )


# --- The same request again ------------------------------------------------------------------------------------------


async def test_every_stored_answer_is_given_again_byte_for_byte(world: World) -> None:
    held, other = await world.authorise(amount=100000), await world.authorise(amount=50000)
    captures, void = f"/v1/authorizations/{held['id']}/captures", f"/v1/authorizations/{other['id']}/void"
    requests: list[tuple[str, dict[str, Any], int]] = [
        ("/v1/authorizations", world.a_purchase(amount=300001), 201),
        ("/v1/authorizations", world.a_purchase(card_number="9360000000000000"), 201),
        (captures, {"amount": 100001}, 422),
        (captures, {"amount": 40000, "final": False}, 201),
        (void, {}, 200),
        (void, {"reason": "sekali lagi"}, 409),
        (captures, {}, 201),
        (captures, {"amount": 1}, 409),
        ("/v1/authorizations", world.a_purchase(lines=[{"category": "tunai", "amount": 1}]), 201),
    ]
    firsts = [await world.post(path, body, key=f"k{n}") for n, (path, body, _) in enumerate(requests)]
    assert [first.status for first in firsts] == [status for *_, status in requests]
    before, wallet = await world.counts(), await world.wallet()
    for n, (path, body, _) in enumerate(requests):
        assert is_replay_of(firsts[n], await world.post(path, body, key=f"k{n}")), body
    assert (await world.counts(), await world.wallet()) == (before, wallet)
    await world.books_balance()


async def test_an_answer_stays_the_same_when_everything_has_changed_since(world: World) -> None:
    purchase, refused = world.a_purchase(), world.a_purchase(amount=300001)
    first = await world.post("/v1/authorizations", purchase, key="k")
    decline = await world.post("/v1/authorizations", refused, key="d")
    await world.capture(first["id"], amount=1)
    await world.database.execute("UPDATE card SET status = 'stolen'")
    await world.database.execute("UPDATE merchant SET status = 'suspended'")
    world.later(days=300)
    assert is_replay_of(first, await world.post("/v1/authorizations", purchase, key="k"))
    assert is_replay_of(decline, await world.post("/v1/authorizations", refused, key="d"))


async def test_a_terminal_with_a_new_key_gets_its_old_answers(world: World) -> None:
    """The scope is the terminal, not its API key of the day."""
    purchase = world.a_purchase()
    first = await world.post("/v1/authorizations", purchase, key="k")
    new = replace(world.till, key="sandbox_a-new-key-for-the-old-terminal")
    digest = Keys(world.settings.root_key.get_secret_value()).terminal_key_digest(new.key)
    await world.database.execute(
        "UPDATE terminal SET key_digest = $2 WHERE terminal_id = $1", world.till.terminal_id, digest
    )
    await asyncio.sleep(world.settings.registry_reload_seconds)
    assert is_replay_of(first, await world.post("/v1/authorizations", purchase, key="k", till=new))


async def test_white_space_order_defaults_offsets_and_the_pin_block_do_not_count(world: World) -> None:
    purchase = world.a_purchase(terminal_time="2024-10-07T09:00:00+08:00")
    first = await world.post("/v1/authorizations", purchase, key="k")
    variants = [
        orjson.dumps(dict(reversed(purchase.items())), option=orjson.OPT_INDENT_2),
        orjson.dumps(purchase | {"capture": False, "partial_approval": False, "pin_block": None, "merchant_id": None}),
        orjson.dumps(purchase | {"terminal_time": "2024-10-07T01:00:00Z"}),
        orjson.dumps(purchase | {"pin_block": "0123456789ABCDEF"}),
        orjson.dumps(purchase).replace(b'"5"', b'"5.000"').replace(b'"stan"', b'"\\u0073tan"'),
    ]
    for variant in variants:
        assert is_replay_of(first, await world.post("/v1/authorizations", variant, key="k")), variant
    captured = await world.post(f"/v1/authorizations/{first['id']}/captures", key="c")
    for body in (b"{}", b' {"final":true}', b'{"amount":null}'):
        again = await world.post(f"/v1/authorizations/{first['id']}/captures", body, key="c")
        assert is_replay_of(captured, again), body
    await world.books_balance()


async def test_a_quoted_key_is_the_bare_key(world: World) -> None:
    purchase = world.a_purchase()
    first = await world.post("/v1/authorizations", purchase, key='"8e03978e-40d5-43dd-bc93-6894a57f9324"')
    assert is_replay_of(
        first, await world.post("/v1/authorizations", purchase, key="8e03978e-40d5-43dd-bc93-6894a57f9324")
    )
    assert (await world.authorise(key="x" * 64)).status == (await world.authorise(key=f'"{"y" * 64}"')).status == 201


async def test_a_key_for_other_content_is_422_key_reused_and_keeps_its_answer(world: World) -> None:
    purchase = world.a_purchase()
    first = await world.post("/v1/authorizations", purchase, key="k")
    before = await world.counts()
    path = f"/v1/authorizations/{first['id']}"
    for reply in (
        await world.post("/v1/authorizations", purchase | {"stan": "999999"}, key="k"),
        await world.post("/v1/authorizations", purchase | {"capture": True}, key="k"),
        await world.post("/v1/authorizations", world.a_purchase(amount=1), key="k"),
        await world.post(f"{path}/captures", {}, key="k"),
        await world.post(f"{path}/void", {}, key="k"),
    ):
        assert (reply.status, reply["code"], reply["response_code"]) == (422, "key_reused", "94")
    assert await world.counts() == before
    assert is_replay_of(first, await world.post("/v1/authorizations", purchase, key="k"))


async def test_another_till_may_use_the_same_key_and_the_same_stan(world: World) -> None:
    purchase = world.a_purchase(card_number=world.tills.cards[1].card_number)
    first = await world.post("/v1/authorizations", purchase, key="k")
    second = await world.post("/v1/authorizations", purchase, key="k", till=world.other_till)
    assert (first.status, second.status) == (201, 201)
    assert first["id"] != second["id"]
    assert "idempotent-replayed" not in second.headers
    assert await world.wallet(world.tills.cards[1]) == (1500000, 300000, 0)


# --- Twins -----------------------------------------------------------------------------------------------------------


async def test_a_stan_under_another_key_is_409_with_the_first_id_and_decides_nothing(world: World) -> None:
    purchase = world.a_purchase()
    first = await world.post("/v1/authorizations", purchase, key="k")
    before = await world.counts()
    for twin in (
        purchase,
        purchase | {"terminal_time": "2024-10-07T01:00:00Z"},
        world.a_purchase(amount=1, stan=purchase["stan"], card_number=world.tills.cards[3].card_number),
    ):
        reply = await world.post("/v1/authorizations", twin, key="other")
        assert (reply.status, reply["code"], reply["response_code"]) == (409, "stan_already_used", "94")
        assert (reply["authorization_id"], reply["retryable"]) == (first["id"], False)
    assert await world.counts() == before
    another_time = purchase | {"terminal_time": "2024-10-07T09:00:01+08:00"}
    assert (await world.post("/v1/authorizations", another_time, key="other")).status == 201
    await world.books_balance()


async def test_the_stan_of_a_decline_is_used_too(world: World) -> None:
    purchase = world.a_purchase(amount=300001)
    first = await world.post("/v1/authorizations", purchase, key="k")
    twin = await world.post("/v1/authorizations", purchase, key="other")
    assert (twin.status, twin["authorization_id"]) == (409, first["id"])


async def test_of_stan_twins_at_once_one_is_decided_and_the_others_hear_its_id(pair: tuple[World, World]) -> None:
    one, two = pair
    purchase = one.a_purchase()
    replies = await asyncio.gather(
        *(answered((one, two)[n % 2].post, "/v1/authorizations", purchase, key=f"k{n}") for n in range(12))
    )
    assert Counter(reply.status for reply in replies) == {201: 1, 409: 11}
    decided = next(reply["id"] for reply in replies if reply.status == 201)
    assert {reply["authorization_id"] for reply in replies if reply.status == 409} == {decided}
    assert (await one.counts())["authorisation"] == 1
    await one.books_balance()


# --- At once ---------------------------------------------------------------------------------------------------------


async def test_twenty_equal_requests_at_once_are_one_decision(world: World) -> None:
    for purchase in (world.a_purchase(), world.a_purchase(amount=300001)):
        before = await world.counts()
        key = world.fresh_key()
        replies = await asyncio.gather(*(world.post("/v1/authorizations", purchase, key=key) for _ in range(20)))
        assert len({(reply.status, reply.raw) for reply in replies}) == 1
        assert Counter(reply.headers.get("idempotent-replayed") for reply in replies) == {None: 1, "true": 19}
        after = await world.counts()
        assert (after["authorisation"], after["request_key"]) == (
            before["authorisation"] + 1,
            before["request_key"] + 1,
        )
    assert await world.wallet() == (1650000, 150000, 0)
    await world.books_balance()


async def test_equal_requests_at_two_instances_at_once_are_one_decision(pair: tuple[World, World]) -> None:
    one, two = pair
    cards = [card.card_number for card in one.tills.cards[:8]]
    purchases = [one.a_purchase(card_number=card) for card in cards]
    purchases += [one.a_purchase(card_number=card, amount=300001) for card in (*cards, "9360000000000000")]
    replies = await asyncio.gather(
        *(
            answered(at.post, "/v1/authorizations", body, key=f"k{n}")
            for n, body in enumerate(purchases)
            for at in (one, two, one, two)
        )
    )
    for n in range(len(purchases)):
        four = replies[4 * n : 4 * n + 4]
        assert len({(reply.status, reply.raw) for reply in four}) == 1
        assert Counter(reply.headers.get("idempotent-replayed") for reply in four) == {None: 1, "true": 3}
    counts = await one.counts()
    assert (counts["authorisation"], counts["request_key"], counts["hold"]) == (17, 17, 8)
    await one.books_balance()


async def test_other_content_under_a_key_at_once_never_gets_its_answer(world: World) -> None:
    bodies = [world.a_purchase(amount=1000 + n) for n in range(8)]
    replies = await asyncio.gather(*(world.post("/v1/authorizations", body, key="k") for body in bodies))
    assert Counter(reply.status for reply in replies) == {201: 1, 422: 7}
    assert {reply["code"] for reply in replies if reply.status == 422} == {"key_reused"}
    assert (await world.counts())["hold"] == 1


# --- The same key in two processes -----------------------------------------------------------------------------------


@pytest.fixture
async def apart(premises: Premises) -> AsyncIterator[tuple[World, World, Wire]]:
    """Two processes on one database, and the wire between the first and PostgreSQL."""
    async with premises.wired() as (here, wire), premises.child() as (there, _):
        for n, at in enumerate((here, there), start=8):
            warm_up = here.a_purchase(card_number=here.tills.cards[n].card_number)
            assert (await answered(at.sell, warm_up, f"warm-up-{n}")).status == 201
        yield here, there, wire


def one_answer(*replies: Reply) -> Reply | None:
    """What those who got it got, once as new; all others were told that they may ask again, and nothing else."""
    answers = [reply for reply in replies if reply.status == 201]
    assert len({reply.raw for reply in answers}) <= 1
    assert sum("idempotent-replayed" not in reply.headers for reply in answers) <= 1
    for reply in replies:
        if reply.status != 201:
            assert reply["code"] == "in_progress" or is_a_fault(reply, "not_decided", "outcome_unknown")
            assert (reply["retryable"], reply["response_code"], reply.headers["retry-after"]) == (True, "91", "1")
    return answers[0] if answers else None


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("approval", 0.3),
        ("decline", 0.3),
        ("unknown card", 0.3),
        ("approval", 0.9),
        ("capture", 0.9),
        ("approval", 2.0),
        ("unknown card", 2.0),
    ],
)
async def test_a_key_that_another_process_is_deciding_is_never_decided_again(
    apart: tuple[World, World, Wire], kind: str, seconds: float
) -> None:
    """The first one's record takes its time, uncommitted, while the second asks the same."""
    here, there, _ = apart
    held = await here.authorise(card_number=here.tills.cards[1].card_number)
    path, body = {
        "approval": ("/v1/authorizations", here.a_purchase()),
        "decline": ("/v1/authorizations", here.a_purchase(amount=300001)),
        "unknown card": ("/v1/authorizations", here.a_purchase(card_number="9360000000000000")),
        "capture": (f"/v1/authorizations/{held['id']}/captures", {"amount": 60000, "final": False}),
    }[kind]
    before = await here.counts()
    await here.database.execute(
        f"""
        CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
        CREATE TRIGGER lingers BEFORE INSERT ON request_key FOR EACH ROW EXECUTE FUNCTION linger()"""
    )
    first = asyncio.create_task(here.post(path, body, key="k"))
    await asyncio.sleep(0.1)
    started = monotonic()
    second = await there.post(path, body, key="k")
    assert monotonic() - started < 1.8
    told = one_answer(await first, second)
    if seconds < 1:
        assert (second.status, second.headers.get("idempotent-replayed")) == (201, "true")
    await here.database.execute("DROP TRIGGER lingers ON request_key")
    again = [await answered(at.post, path, body, key="k") for at in (here, there)]
    assert {(reply.status, reply.raw) for reply in again} == {(201, (told or again[0]).raw)}
    after = await here.counts()
    decided = kind != "capture"
    assert {name: after[name] - before[name] for name in ("request_key", "authorisation", "hold")} == {
        "request_key": 1,
        "authorisation": 1 if decided else 0,
        "hold": 1 if kind == "approval" else 0,
    }
    await here.books_balance()


@pytest.mark.parametrize("seconds", [0.3, 2.0], ids=["for a moment", "past the deadline"])
async def test_a_key_in_two_processes_waits_for_a_locked_family_in_both(
    apart: tuple[World, World, Wire], seconds: float
) -> None:
    here, there, _ = apart
    body, before = here.a_purchase(), await here.counts()
    async with somebody_else(here, LOCKS_THE_FAMILY, here.card.beneficiary_id):
        asking = asyncio.gather(*(at.sell(body, "k") for at in (here, there, here, there)))
        await asyncio.sleep(seconds)
        assert await here.counts() == before
    replies = await asking
    told = one_answer(*replies)
    assert (told is None) is (seconds > 1)
    again = [await answered(at.sell, body, "k") for at in (here, there)]
    assert {reply.raw for reply in again} == {(told or again[0]).raw}
    assert await here.wallet() == (1650000, 150000, 0)
    await here.books_balance()


async def test_an_answer_that_one_process_has_lost_is_given_by_the_other(apart: tuple[World, World, Wire]) -> None:
    """The first one has committed, and its connection says nothing any more."""
    here, there, wire = apart
    body = here.a_purchase()
    wire.trigger, wire.stops = A_RECORD, True
    first = asyncio.create_task(here.sell(body, "k"))
    await wire.stopped.wait()
    second = await there.sell(body, "k")
    assert (second.status, second["decision"], second.headers["idempotent-replayed"]) == (201, "approved", "true")
    assert is_a_fault(await first, "outcome_unknown")
    assert (await answered(here.sell, body, "k")).raw == second.raw
    assert await here.wallet() == (1650000, 150000, 0)
    await here.books_balance()


@pytest.mark.parametrize("same", [True, False], ids=["the same", "other content"])
async def test_a_decision_that_another_process_overtook_is_not_written(
    apart: tuple[World, World, Wire], same: bool
) -> None:
    """The first one has decided, and its record has not arrived when the second one's has."""
    here, there, wire = apart
    body = here.a_purchase()
    other = body if same else here.a_purchase(amount=1000)
    wire.trigger, wire.holds = A_RECORD, True
    first = asyncio.create_task(here.sell(body, "k"))
    await wire.stopped.wait()
    second = await answered(there.sell, other, "k")
    assert (second.status, "idempotent-replayed" in second.headers) == (201, False)
    wire.let_go.set()
    late = await first
    if same:
        assert is_replay_of(second, late)
    else:
        assert (late.status, late["code"]) == (422, "key_reused")
    assert await here.wallet() == (1800000 - other["amount"], other["amount"], 0)
    await here.books_balance()


# --- What burns no key -----------------------------------------------------------------------------------------------


async def test_a_refusal_that_is_not_stored_burns_neither_key_nor_stan(world: World) -> None:
    purchase = world.a_purchase()
    before = await world.counts()
    nowhere = "/v1/authorizations/auth_00000000000000000000000000"
    bad: list[tuple[int, Reply]] = [
        (401, await world.post("/v1/authorizations", purchase, key="k", headers={"authorization": "Bearer nobody"})),
        (
            403,
            await world.post("/v1/authorizations", purchase | {"merchant_id": world.other_till.merchant_id}, key="k"),
        ),
        (404, await world.post(f"{nowhere}/captures", {}, key="k")),
        (404, await world.post(f"{nowhere}/void", {}, key="k")),
        (413, await world.post("/v1/authorizations", b" " * 70000, key="k")),
        (400, await world.post("/v1/authorizations", b"{", key="k")),
        (400, await world.post("/v1/authorizations", b'{"amount":NaN}', key="k")),
        (422, await world.post("/v1/authorizations", purchase | {"amount": 1}, key="k")),
        (422, await world.post("/v1/authorizations?dry=1", purchase, key="k")),
        (200, await world.post("/v1/authorizations?dry_run=true", purchase, key="k")),
    ]
    assert [reply.status for _, reply in bad] == [status for status, _ in bad]
    assert await world.counts() == before
    reply = await world.post("/v1/authorizations", purchase, key="k")
    assert (reply.status, reply.headers.get("idempotent-replayed")) == (201, None)


async def test_a_stan_conflict_burns_no_key(world: World) -> None:
    purchase = world.a_purchase()
    await world.post("/v1/authorizations", purchase, key="k")
    assert (await world.post("/v1/authorizations", purchase, key="other")).status == 409
    assert (await world.authorise(key="other"))["decision"] == "approved"


async def test_a_missing_or_malformed_key_is_400_on_every_call_that_changes_something(world: World) -> None:
    held = await world.authorise()
    before = await world.counts()
    keys = ["", " ", "a b", "x" * 65, f'"{"x" * 65}"', '"', '""', '"a', 'a"', "kunci-é"]
    for path, body in [
        ("/v1/authorizations", world.a_purchase()),
        (f"/v1/authorizations/{held['id']}/captures", {}),
        (f"/v1/authorizations/{held['id']}/void", {}),
    ]:
        assert (await world.post(path, body)).status == 400
        for key in keys:
            reply = await world.post(path, body, key=key)
            assert (reply.status, reply["response_code"], reply["retryable"]) == (400, "30", False), key
            assert reply["code"] in {"idempotency_key_missing", "idempotency_key_malformed"}
        twice = CIMultiDict(
            [("authorization", f"Bearer {world.till.key}"), ("idempotency-key", "a"), ("idempotency-key", "b")]
        )
        async with world.http.post(world.base_url + path, json=body, headers=twice) as response:
            assert response.status == 400
    assert await world.counts() == before


# --- Restarts --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def flushed(redis_url: str) -> AsyncIterator[None]:
    redis = Redis.from_url(redis_url)
    await redis.flushall()
    yield
    await redis.aclose()


async def test_replays_survive_a_restart_of_the_service_and_the_loss_of_redis(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    requests: list[tuple[str, dict[str, Any]]] = []
    firsts: list[Reply] = []
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills) as world:
        requests += [("/v1/authorizations", world.a_purchase(amount=amount)) for amount in (150000, 300001)]
        firsts += [await world.post(path, body, key=f"k{n}") for n, (path, body) in enumerate(requests)]
        requests += [
            (f"/v1/authorizations/{firsts[0]['id']}/captures", {"amount": amount}) for amount in (999999, 1000)
        ]
        firsts += [await world.post(path, body, key=f"k{n}") for n, (path, body) in enumerate(requests) if n > 1]
        async with flushed(redis_url):
            for n, (path, body) in enumerate(requests):
                assert is_replay_of(firsts[n], await world.post(path, body, key=f"k{n}"))
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills) as world, flushed(redis_url):
        before = await world.counts()
        for n, (path, body) in enumerate(requests):
            assert is_replay_of(firsts[n], await world.post(path, body, key=f"k{n}"))
        assert await world.counts() == before
        await world.books_balance()


async def test_connections_to_redis_are_kept_and_one_that_was_closed_costs_one_hint(redis_url: str) -> None:
    """After a restart of Redis none of those that were kept is of use: all are let go of with the first."""
    settings, redis = Settings(), Redis.from_url(redis_url)
    one, other = (Hint(settings, Keys("k" * 32), redis_url, epoch="e", token=name) for name in ("one", "other"))
    locks = [one.lock_key("programme", bytes([number] * 16)) for number in range(4)]
    assert await asyncio.gather(*(one.taken([lock]) for lock in locks[:3])) == [[False]] * 3
    made = (await redis.info("stats"))["total_connections_received"]
    for _ in range(10):
        assert await asyncio.gather(*(one.taken([lock]) for lock in locks[:3])) == [[False]] * 3
    assert (await redis.info("stats"))["total_connections_received"] == made
    await redis.client_kill_filter(_type="normal", skipme=True)
    assert await one.taken([locks[3]]) == [False]
    assert await other.taken([locks[3]]) == [False]
    assert await one.taken(locks) == [False, False, False, True]
    await one.close()
    await other.close()
    await redis.aclose()
