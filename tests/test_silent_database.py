"""PostgreSQL is stopped, not gone: it takes what it is sent and says nothing. Nobody waits beyond the deadline."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any

import pytest

from tests.harm import Premises, is_a_fault, silent_postgresql
from tests.office import companion_of, get, operators_key, vouch
from tests.world import Reply, World, answered

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the server's processes in /proc")

TILL_SECONDS = 1.5
OFFICE_SECONDS = 1.0
SLACK_SECONDS = 0.6
"""For a machine that is busy with other tests."""


@pytest.fixture
async def world(premises: Premises) -> AsyncIterator[World]:
    """Its office waits less long than usual, so that the tests do, too."""
    async with premises.service(office_deadline_seconds=OFFICE_SECONDS) as it:
        yield it


async def within(limit_seconds: float, ask: Callable[[], Awaitable[Reply]]) -> Reply:
    started = monotonic()
    async with asyncio.timeout(10):
        reply = await ask()
    assert monotonic() - started < limit_seconds + SLACK_SECONDS
    return reply


async def test_a_till_that_only_reads_hears_at_its_deadline_that_nothing_was_decided(world: World) -> None:
    """With connections that were used a moment ago, and with all of them lost to questions nobody answered."""
    sale = await world.authorise()
    reads = (f"/v1/authorizations/{sale['id']}", "/v1/catalogue")
    for path in reads:
        assert (await world.get(path)).status == 200
    async with silent_postgresql(world):
        for _ in range(2):
            for path in reads:
                assert is_a_fault(await within(TILL_SECONDS, partial(world.get, path)), "not_decided")
        # More than there are connections, at once.
        asked = [within(TILL_SECONDS, lambda: world.get(reads[0])) for _ in range(12)]
        assert all(is_a_fault(reply, "not_decided") for reply in await asyncio.gather(*asked))
    assert (await within(TILL_SECONDS, lambda: world.get(reads[0])))["id"] == sale["id"]


async def test_a_key_that_must_be_looked_up_is_not_waited_for_beyond_the_deadline(world: World) -> None:
    stranger = {"authorization": "Bearer nobody-has-this-key"}
    async with silent_postgresql(world):
        await asyncio.sleep(world.settings.registry_reload_seconds)
        asked = [within(TILL_SECONDS, lambda: world.get("/v1/catalogue", headers=stranger)) for _ in range(5)]
        asked.append(within(TILL_SECONDS, lambda: world.post("/v1/balance-inquiries", b"{}", headers=stranger)))
        assert all(is_a_fault(reply, "not_decided") for reply in await asyncio.gather(*asked))
    assert (await answered(world.get, "/v1/catalogue", headers=stranger)).status == 401


async def test_an_office_that_reads_or_vouches_hears_it_at_its_own_deadline(world: World) -> None:
    """And nothing of the voucher is there afterwards; the same request then makes it, once."""
    operator, companion = operators_key(world), companion_of(world).key
    sale = await world.authorise()
    calls: list[Callable[[], Awaitable[Reply]]] = [
        lambda: get(world, "/v1/authorizations", by=operator),
        lambda: get(world, f"/v1/authorizations/{sale['id']}/explanation", by=operator),
        lambda: get(world, "/v1/vouchers", by=companion),
        lambda: get(world, "/v1/beneficiaries", by=companion),
        lambda: vouch(world, key="v"),
    ]
    assert [(await call()).status for call in calls[:4]] == [200] * 4
    async with silent_postgresql(world):
        replies = await asyncio.gather(*(within(OFFICE_SECONDS, call) for call in calls))
        assert all(is_a_fault(reply, "not_decided") for reply in replies)
    assert await world.database.fetchval("SELECT count(*) FROM voucher") == 0
    assert [(await answered(call)).status for call in calls] == [200, 200, 200, 200, 201]
    assert await world.database.fetchval("SELECT count(*) FROM voucher") == 1


@pytest.mark.parametrize(
    ("trigger", "code", "is_written"),
    [
        (b"request_key", "not_decided", False),
        (b"INSERT INTO voucher ", "not_decided", False),
        (b"COMMIT", "outcome_unknown", True),
    ],
    ids=["before the key", "before the voucher", "after the commit"],
)
async def test_a_voucher_of_which_nothing_is_heard_is_not_decided_until_its_commit_may_have_been_sent(
    premises: Premises, trigger: bytes, code: str, is_written: bool
) -> None:
    """The wire stops with the message in it; the repeat gets the one voucher, since what the server was left with does
    not lock the family for longer than the office waits."""
    limits: dict[str, Any] = {"office_deadline_seconds": OFFICE_SECONDS, "office_statement_timeout_ms": 500}
    async with premises.wired(**limits) as (world, wire):
        wire.trigger, wire.stops, wire.lets_pass = trigger, True, is_written
        reply = await within(2 * OFFICE_SECONDS, lambda: vouch(world, key="v"))
        assert is_a_fault(reply, code)
        assert await world.database.fetchval("SELECT count(*) FROM voucher") == int(is_written)
        async with asyncio.timeout(5):
            again = await answered(vouch, world, key="v")
        assert (again.status, again.headers.get("idempotent-replayed")) == (201, "true" if is_written else None)
        assert await world.database.fetchval("SELECT count(*) FROM voucher") == 1


async def test_those_who_only_look_from_time_to_time_leave_the_connections_to_others(premises: Premises) -> None:
    """The registry's look at its version and the sweeper's rounds: after the silence the one connection is free."""
    often: dict[str, Any] = {"registry_reload_seconds": 0.05, "sweep_seconds": 0.05, "office_pool_size": 1}
    async with premises.service(office_deadline_seconds=OFFICE_SECONDS, **often) as world:
        async with silent_postgresql(world):
            await asyncio.sleep(3 * OFFICE_SECONDS)
        assert (await within(TILL_SECONDS, lambda: world.get("/v1/catalogue"))).status == 200
        await world.database.execute("UPDATE programme SET name = 'SEMBAKO LAIN'")
        await asyncio.sleep(0.3)
        office = world.service._running if world.service else None
        assert office is not None
        registry = office.door.registry
        assert registry.reference(registry.programmes[0]).programme.name == "SEMBAKO LAIN"
