"""Whatever is killed, cut, locked or flushed: each request gets its one true answer, if need be the second time."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from authz_service.problems import SYSTEM_FAULT_MESSAGE
from tests.conftest import EnrolledTemplate
from tests.harm import A_RECORD, Valkey, address_of, is_a_fault, refuse, terminate_lanes, wired
from tests.world import Reply, World, answered, running


async def sold(world: World, key: str, body: dict[str, Any]) -> Reply:
    return await answered(world.post, "/v1/authorizations", body, key=key)


async def same_again(world: World, requests: dict[str, dict[str, Any]], replies: dict[str, Reply]) -> None:
    """Every request gets byte for byte what it got, and there is one decision for each."""
    for key, body in requests.items():
        again = await sold(world, key, body)
        assert (again.status, again.raw) == (replies[key].status, replies[key].raw)
        assert again.headers["idempotent-replayed"] == "true"
    counts = await world.counts()
    assert (counts["authorisation"], counts["request_key"]) == (len(requests), len(requests))
    await world.books_balance()


# --- Redis -----------------------------------------------------------------------------------------------------------


async def test_what_redis_keeps_may_be_rubbish(
    enrolled_url: str, enrolled: EnrolledTemplate, valkey: Valkey, tmp_path: Path
) -> None:
    async with running(enrolled_url, valkey.url, tmp_path, enrolled.tills) as world:
        redis: Redis = Redis.from_url(valkey.url)
        requests = {f"k{n}": world.a_purchase(amount=300001 + n) for n in range(6)}
        replies = {key: await sold(world, key, body) for key, body in requests.items()}
        kept: list[bytes] = []
        for _ in range(100):
            kept = [key async for key in redis.scan_iter(match="*:answer:*")]
            if len(kept) == len(requests):
                break
            await asyncio.sleep(0.01)
        assert len(kept) == len(requests), "Redis was told of no decline"
        another = await redis.get(kept[0])
        assert isinstance(another, bytes)
        for key, rubbish in zip(kept, (b"", b"\x00", b"x" * 100, b"\xff" * 18, another), strict=False):
            await redis.set(key, rubbish)
        await redis.delete(kept[5])
        await redis.hset(kept[5].decode(), "of another", "type")
        await redis.aclose()
        await same_again(world, requests, replies)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


async def test_lanes_terminated_in_the_middle_of_traffic_lose_and_double_nothing(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills, waiting_per_terminal=1000) as world:
        cards = world.tills.cards
        requests = {
            f"k{n}": world.a_purchase(card_number=cards[n % 40].card_number, amount=1000 + n) for n in range(120)
        }
        ended = 0

        async def terminate() -> None:
            nonlocal ended
            while True:
                ended += await terminate_lanes(world)
                # A new lane needs some time to read its first facts.
                await asyncio.sleep(0.2)

        async def a_third(start: int) -> dict[str, Reply]:
            return {key: await sold(world, key, body) for key, body in list(requests.items())[start::12]}

        terminating = asyncio.create_task(terminate())
        replies = {
            key: reply for third in await asyncio.gather(*map(a_third, range(12))) for key, reply in third.items()
        }
        terminating.cancel()
        with suppress(asyncio.CancelledError):
            await terminating
        assert ended > 0
        assert Counter(reply["reason"] for reply in replies.values()) == {"approved": 80, "packages_used_up": 40}
        await same_again(world, requests, replies)


async def test_an_answer_lost_after_the_commit_is_outcome_unknown_and_the_repeat_gets_it(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    """The wire breaks between commit and answer, and PostgreSQL stays away until after the deadline."""
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills, lanes=1) as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        wire.trigger, wire.after = A_RECORD, True
        body, started = world.a_purchase(), monotonic()
        reply = await world.post("/v1/authorizations", body, key="k")
        assert monotonic() - started < 1.8
        # It was written: whoever says `not_decided` here says that nothing was.
        assert await world.wallet() == (1650000, 150000, 0)
        assert is_a_fault(reply, "outcome_unknown")
        assert (await world.get("/readyz")).status == 503
        wire.mend()
        again = await sold(world, "k", body)
        assert (again.status, again["decision"], again.headers["idempotent-replayed"]) == (201, "approved", "true")
        assert (await world.counts())["hold"] == 2
        assert (await world.get("/readyz")).status == 200
        await world.books_balance()


async def test_a_record_that_still_runs_when_its_wire_is_cut_is_outcome_unknown(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    """A new connection finds the family locked by the old one's statement, which commits a second later."""
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills) as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        await world.database.execute(
            """
            CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(1.2); RETURN NEW; END $$;
            CREATE TRIGGER lingers BEFORE INSERT ON hold FOR EACH ROW EXECUTE FUNCTION linger()"""
        )
        wire.trigger, wire.hears = A_RECORD, False
        body = world.a_purchase()
        reply = await world.post("/v1/authorizations", body, key="k")
        # It may have had its answer in time; but never is it told that nothing was written.
        assert reply.status == 201 or is_a_fault(reply, "outcome_unknown")
        await asyncio.sleep(1.3)
        again = await sold(world, "k", body)
        assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")
        assert await world.wallet() == (1650000, 150000, 0)
        await world.books_balance()


async def test_a_record_that_never_arrived_is_written_once_by_the_repeat(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills, lanes=1) as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        wire.trigger, wire.lets_pass, wire.after = A_RECORD, False, True
        body = world.a_purchase()
        assert is_a_fault(await world.post("/v1/authorizations", body, key="k"), "outcome_unknown", "not_decided")
        assert await world.wallet() == (1800000, 0, 0)
        wire.mend()
        again = await sold(world, "k", body)
        assert (again.status, again["decision"]) == (201, "approved")
        assert await world.wallet() == (1650000, 150000, 0)
        await world.books_balance()


async def test_while_postgresql_is_away_a_decline_is_repeated_from_redis_and_a_forged_one_is_not(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills) as (world, wire):
        body = world.a_purchase(amount=300001)
        declined = await world.post("/v1/authorizations", body, key="k")
        redis = Redis.from_url(redis_url)
        while not (keys := await redis.keys("*:answer:*")):
            await asyncio.sleep(0.01)
        wire.refuses = True
        for writer in list(wire.writers):
            writer.close()
        again = await world.post("/v1/authorizations", body, key="k")
        assert (again.status, again.raw, again.headers["idempotent-replayed"]) == (201, declined.raw, "true")
        for key in keys:
            value = await redis.get(key)
            assert isinstance(value, bytes)
            await redis.set(key, value.replace(b'"declined"', b'"approved"'))
        assert is_a_fault(await world.post("/v1/authorizations", body, key="k"), "not_decided")
        await redis.aclose()
        wire.mend()
        assert (await sold(world, "k", body)).raw == declined.raw


async def test_another_lane_finds_the_answer_that_was_lost_after_the_commit(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    """The till need not hear of it: the same request, run again, is the look-up of its outcome."""
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills, lanes=2) as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        wire.trigger, wire.after = A_RECORD, True
        reply = await world.authorise(key="k")
        assert (reply.status, reply["decision"]) == (201, "approved")
        assert await world.wallet() == (1650000, 150000, 0)
        assert (await world.counts())["hold"] == 2


async def test_a_cut_that_heals_at_once_is_not_seen_by_the_till(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills) as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        for n, lets_pass in enumerate((True, False)):
            wire.trigger, wire.lets_pass, wire.after = A_RECORD, lets_pass, False
            body = world.a_purchase(card_number=world.tills.cards[n].card_number)
            reply = await world.post("/v1/authorizations", body, key=f"k{n}")
            assert (reply.status, reply["decision"]) == (201, "approved")
            again = await world.post("/v1/authorizations", body, key=f"k{n}")
            assert (again.status, again.raw) == (201, reply.raw)
            assert await world.wallet(world.tills.cards[n]) == (1650000, 150000, 0)
        await world.books_balance()


@pytest.mark.parametrize(("lets_pass", "written"), [(True, True), (False, False)])
async def test_a_database_that_stops_during_the_write_is_outcome_unknown_at_the_deadline(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path, lets_pass: bool, written: bool
) -> None:
    limits = {"deadline_seconds": 0.6, "record_reserve_seconds": 0.1, "stall_seconds": 1.0}
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills, **limits) as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        wire.trigger, wire.lets_pass, wire.stops = A_RECORD, lets_pass, True
        body, started = world.a_purchase(), monotonic()
        reply = await world.post("/v1/authorizations", body, key="k")
        assert 0.5 < monotonic() - started < 0.9
        assert is_a_fault(reply, "outcome_unknown")
        # The other lane goes on meanwhile.
        assert (await world.authorise(card_number=world.tills.cards[8].card_number)).status == 201
        again = await sold(world, "k", body)
        assert (again.status, again.headers.get("idempotent-replayed")) == (201, "true" if written else None)
        assert await world.wallet() == (1650000, 150000, 0)
        await world.books_balance()


async def test_a_database_that_is_away_is_503_not_decided_and_then_everything_goes_on(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    """Also for the calls that only read."""
    async with wired(enrolled_url, redis_url, tmp_path, enrolled.tills) as (world, wire):
        held = await world.authorise()
        wire.refuses = True
        for writer in list(wire.writers):
            writer.close()
        started = monotonic()
        replies = await asyncio.gather(
            world.authorise(key="k"),
            world.capture(held["id"], key="c"),
            world.balance(),
            world.get(f"/v1/authorizations/{held['id']}"),
            world.get("/v1/catalogue"),
            world.post("/v1/authorizations?dry_run=true", world.a_purchase()),
            world.post("/v1/authorizations", world.a_purchase(), key="k", headers={"authorization": "Bearer nobody"}),
        )
        assert monotonic() - started < 2.5
        assert all(is_a_fault(reply, "not_decided") for reply in replies[:-1])
        assert replies[-1].status in {401, 503}
        wire.mend()
        captured = await answered(world.capture, held["id"], key="c")
        assert (captured.status, captured["authorization"]["status"]) == (201, "captured")
        assert (await world.balance()).status == 200
        await world.books_balance()


# --- Locks and races -------------------------------------------------------------------------------------------------


async def test_a_locked_family_is_503_in_time_and_the_others_are_not_held_up(world: World) -> None:
    other = await asyncpg.connect(address_of(world))
    locking = other.transaction()
    await locking.start()
    await other.execute("SELECT FROM wallet WHERE beneficiary_id = $1 FOR UPDATE", world.card.beneficiary_id)
    before, started = await world.counts(), monotonic()
    body = world.a_purchase()
    waiting = asyncio.gather(*(world.post("/v1/authorizations", body, key="k") for _ in range(3)))
    for n in range(1, 6):
        each = monotonic()
        reply = await world.authorise(card_number=world.tills.cards[n].card_number)
        assert (reply.status, reply["decision"]) == (201, "approved")
        assert monotonic() - each < 0.5
    replies = await waiting
    assert monotonic() - started < 2.0
    for reply in replies:
        assert reply.status == 409 or is_a_fault(reply, "not_decided")
    assert (await world.balance())["remaining"]["programme"] == 1800000
    assert await world.wallet() == (1800000, 0, 0)
    assert (await world.counts())["authorisation"] == before["authorisation"] + 5
    await locking.rollback()
    await other.close()
    repeated = await world.post("/v1/authorizations", body, key="k")
    assert (repeated.status, repeated["decision"]) == (201, "approved")
    await world.books_balance()


async def test_a_family_that_is_locked_for_a_moment_is_waited_for(world: World) -> None:
    """A console, or another process, that holds the row for a tenth of a second is no reason to fail a sale."""
    other = await asyncpg.connect(address_of(world))
    locking = other.transaction()
    await locking.start()
    await other.execute("SELECT FROM wallet WHERE beneficiary_id = $1 FOR UPDATE", world.card.beneficiary_id)
    selling = asyncio.create_task(world.authorise())
    await asyncio.sleep(0.1)
    await locking.rollback()
    await other.close()
    reply = await selling
    assert (reply.status, reply.raw[:60]) == (201, reply.raw[:60])
    await world.books_balance()


async def test_a_locked_table_is_503_within_the_deadline_and_decides_nothing(world: World) -> None:
    await world.authorise(card_number=world.tills.cards[9].card_number)
    for table, mode in (("transfer", "SHARE"), ("card", "ACCESS EXCLUSIVE")):
        other = await asyncpg.connect(address_of(world))
        locking = other.transaction()
        await locking.start()
        await other.execute(f"LOCK TABLE {table} IN {mode} MODE")
        body, started = world.a_purchase(), monotonic()
        reply = await world.post("/v1/authorizations", body, key=table)
        assert monotonic() - started < 2.0
        assert is_a_fault(reply, "not_decided", "outcome_unknown")
        await locking.rollback()
        await other.close()
        assert (await sold(world, table, body))["decision"] == "approved"
    assert (await world.counts())["hold"] == 3
    await world.books_balance()


async def test_one_request_that_cannot_be_written_does_not_take_its_batch_with_it(world: World) -> None:
    cards = world.tills.cards[:8]
    await refuse(world, "hold", f"NEW.beneficiary_id = '{cards[3].beneficiary_id}'", "P0001")
    replies = await asyncio.gather(*(world.authorise(card_number=card.card_number) for card in cards))
    assert [reply.status for reply in replies] == [201, 201, 201, 503, 201, 201, 201, 201]
    assert is_a_fault(replies[3], "not_decided")
    assert await world.wallet(cards[3]) == (1800000, 0, 0)
    await world.books_balance()


# --- Too much at once ------------------------------------------------------------------------------------------------


async def test_a_terminal_with_more_than_eight_waiting_is_429_and_no_other_terminal_is(world: World) -> None:
    other = await asyncpg.connect(address_of(world))
    locking = other.transaction()
    await locking.start()
    await other.execute("LOCK TABLE card IN ACCESS EXCLUSIVE MODE")
    bodies = {f"k{n}": world.a_purchase(card_number=world.tills.cards[n].card_number) for n in range(12)}
    waiting = [asyncio.create_task(world.post("/v1/authorizations", body, key=key)) for key, body in bodies.items()]
    elsewhere = asyncio.create_task(
        world.authorise(card_number=world.tills.cards[20].card_number, till=world.other_till)
    )
    done, _ = await asyncio.wait(waiting, timeout=0.15)
    refused = [task.result() for task in done]
    assert [reply.status for reply in refused] == [429] * 4
    for reply in refused:
        assert (reply["code"], reply["response_code"], reply["retryable"]) == ("too_many_requests", "91", True)
        assert (reply["message"], reply.headers["retry-after"]) == (SYSTEM_FAULT_MESSAGE, "1")
    await locking.rollback()
    await other.close()
    assert Counter(reply.status for reply in await asyncio.gather(*waiting)) == {201: 8, 429: 4}
    assert (await elsewhere).status == 201
    for key, body in bodies.items():
        assert (await sold(world, key, body))["decision"] == "approved"
    assert (await world.counts())["hold"] == 13
    await world.books_balance()


# --- The process -----------------------------------------------------------------------------------------------------


async def test_a_database_that_cannot_be_used_is_one_sentence_and_an_exit_code(
    empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    base = empty_database_url
    name = urlsplit(base).path
    wrong = {
        "has no schema": base,
        "does not exist": base.replace(name, "/no_such_database"),
        "cannot be reached": "postgresql://authz:geheim@127.0.0.1:1/authz",
        "not the address": "mysql://authz:geheim@localhost/authz",
    }

    async def serve(url: str) -> tuple[int, str]:
        environment = {**os.environ, "DATABASE_URL": url, "REDIS_URL": redis_url, "AUTHZ_DATA_DIR": str(tmp_path)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "authz_service.cli", "serve", "--sandbox",
            env={**environment, "AUTHZ_PORT": "0"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, said.decode()

    for said, (exit_code, output) in zip(wrong, await asyncio.gather(*map(serve, wrong.values())), strict=True):
        assert exit_code != 0, output
        assert said in output
        assert len(output.strip().splitlines()) == 1, output
        assert "geheim" not in output
