"""Told to stop in the middle of traffic, the service loses and doubles no answer, and a balancer notices nothing."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import orjson
import pytest

from authz_service.serving import free_port
from tests.balancer import balancing
from tests.harm import Premises
from tests.instances import Instances, instance, instances
from tests.world import Reply, World

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux says who answers")
LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
PAUSE_SECONDS = 0.06
QUICK = {
    "office_lock_timeout_ms": 200,
    "office_statement_timeout_ms": 400,
    "office_deadline_seconds": 0.9,
    "shutdown_seconds": 1,
    "stop_seconds": 4,
}
"""Limits in a proportion that a test can wait for."""


@dataclass
class Traffic:
    """Sales, each with a key of its own: what was answered, and what was not."""

    world: World
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    answered: dict[str, Reply] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    ends: bool = False

    async def of(self, line: Callable[[str, dict[str, Any]], Awaitable[Reply]]) -> None:
        """One client, until the traffic ends."""
        while not self.ends:
            number = len(self.bodies)
            key, card = f"drain-{number}", self.world.tills.cards[number // 2 % 900]
            body = self.bodies[key] = self.world.a_purchase(card_number=card.card_number)
            try:
                reply = await line(key, body)
            except LOST:
                self.unanswered.add(key)
            else:
                (self.answered.__setitem__(key, reply) if reply.status == 201 else self.unanswered.add(key))
            await asyncio.sleep(PAUSE_SECONDS)

    async def each_was_decided_once(self, elsewhere: World) -> None:
        """Repeated at another instance: what was answered is answered so again, all else gets its one answer."""
        for key, body in self.bodies.items():
            again = await elsewhere.sell(body, key)
            assert again.status == 201, again.raw
            if key in self.answered:
                assert again.raw == self.answered[key].raw
                assert again.headers["idempotent-replayed"] == "true"
        counts = await self.world.counts()
        assert counts["authorisation"] == counts["request_key"] == len(self.bodies)
        await self.world.books_balance()


@asynccontextmanager
async def traffic(world: World, address: str, clients: int) -> AsyncIterator[Traffic]:
    """Half of the clients keep their connection, half open one for each sale."""
    made = Traffic(world)

    async def kept(http: aiohttp.ClientSession) -> None:
        line = replace(world, base_url=address, http=http)
        await made.of(lambda key, body: line.sell(body, key))

    async def opened(key: str, body: dict[str, Any]) -> Reply:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            return await replace(world, base_url=address, http=http).sell(body, key)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        selling = [asyncio.create_task(kept(http)) for _ in range(clients // 2)]
        selling += [asyncio.create_task(made.of(opened)) for _ in range(clients // 2)]
        try:
            yield made
        finally:
            made.ends = True
            await asyncio.gather(*selling)


async def ended(process: "subprocess.Popen[bytes]", within_seconds: float) -> int:
    """Its exit code."""
    until = monotonic() + within_seconds
    while process.poll() is None:
        assert monotonic() < until, "it has not ended in time"
        await asyncio.sleep(0.02)
    return int(process.returncode)


async def test_a_rolling_restart_behind_a_balancer_refuses_nobody(premises: Premises) -> None:
    """Two instances, restarted one after the other under load."""
    environment = {"AUTHZ_DRAIN_SECONDS": "0.6"}
    async with instances(premises, 1, workers=1, drain_seconds=0.6) as they:
        first = they.all[0]
        with ExitStack() as stack:
            second = stack.enter_context(another(premises, they, environment))
            ports = [first.port, second.port]
            async with balancing(ports) as (balancer, address), traffic(they.world, address, 10) as made:
                for one in (first, second):
                    before = len(made.answered)
                    one.service.process.send_signal(signal.SIGTERM)
                    other = next(port for port in ports if port != one.port)
                    await balancer.has(other)
                    assert await ended(one.service.process, 15) == 0
                    await asyncio.sleep(0.2)
                    assert len(made.answered) > before
                    again = another(premises, they, environment, port=one.port)
                    await asyncio.to_thread(stack.enter_context, again)
                    await balancer.has(*ports)
                    await asyncio.sleep(0.2)
            assert made.unanswered == set()
            assert len(made.answered) > 50
            await made.each_was_decided_once(replace(they.world, base_url=f"http://127.0.0.1:{ports[0]}"))


def another(premises: Premises, they: Instances, more: dict[str, str], port: int = 0) -> Any:
    """An instance beside the first one, on its clock."""
    port = port or free_port()
    environment = {
        "DATABASE_URL": premises.database_url,
        "REDIS_URL": premises.redis_url,
        "AUTHZ_CLOCK_OFFSET_FILE": str(premises.directory / "clock"),
        "AUTHZ_WORKERS": "1",
        "AUTHZ_WAITING_PER_TERMINAL": "1000",
        **more,
    }
    return instance(premises.directory, environment, log=f"service-at-{port}-{monotonic():.0f}.log", port=port)


async def test_what_was_answered_before_the_end_stands_and_the_rest_gets_its_one_answer(premises: Premises) -> None:
    """Two workers under load, without a balancer: the supervisor is told to stop, and told again to do so now."""
    async with (
        instances(premises, 1, drain_seconds=8, stop_seconds=60) as they,
        premises.service("elsewhere") as elsewhere,
    ):
        process = they.all[0].service.process
        elsewhere.clock = they.world.clock
        async with traffic(they.world, they.world.base_url, 10) as made:
            while len(made.answered) < 40:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            assert (await they.world.get("/readyz")).status == 503
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert await ended(process, 7) == 0
        assert made.unanswered
        await made.each_was_decided_once(elsewhere)


async def test_while_it_drains_it_is_not_ready_answers_and_closes_and_a_second_signal_ends_it(
    premises: Premises,
) -> None:
    async with premises.child(drain_seconds=8, stop_seconds=60) as (world, child):
        assert (await world.get("/readyz")).body["status"] == "ready"
        assert "connection" not in (await world.authorise()).headers
        child.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.1)
        draining = await world.get("/readyz")
        assert (draining.status, draining.body) == (503, {"status": "draining", "checks": {}})
        assert (await world.get("/healthz")).status == 200
        sale = await world.authorise()
        assert (sale.status, sale["decision"], sale.headers["connection"]) == (201, "approved", "close")
        child.process.send_signal(signal.SIGINT)
        assert await ended(child.process, 5) == 0


async def test_a_frozen_worker_is_replaced_and_does_not_keep_its_supervisor(premises: Premises) -> None:
    """At the end it is killed when its time is up, and the exit code says that not all was in order."""
    async with instances(premises, 1, worker_silent_seconds=1.5, **QUICK) as they:
        (one,) = they.all
        frozen, other = one.workers()
        os.kill(frozen, signal.SIGSTOP)
        assert other in await one.replaced(frozen)
        os.kill(other, signal.SIGSTOP)
        one.service.process.send_signal(signal.SIGTERM)
        assert await ended(one.service.process, 15) == 1
        lines = [orjson.loads(line) for line in one.service.log_file.read_bytes().splitlines()]
        assert [line["worker"] for line in lines if line["event"] == "worker_replaced"] == [frozen]
        assert [line["workers"] for line in lines if line["event"] == "workers_killed"] == [[other]]
