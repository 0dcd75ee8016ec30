"""What a balancer and an orchestrator are told: each check by its name, in time, and without load on the database."""

import asyncio
from contextlib import suppress

import pytest

from authz_service.database import REVISION
from tests.harm import Premises, Valkey
from tests.world import World, running

WELL = {"database": "ok", "migration": "ok", "lanes": "ok", "tasks": "ok", "redis": "ok"}


async def said(world: World, path: str = "/readyz") -> tuple[int, str, dict[str, str]]:
    reply = await world.get(path)
    return reply.status, reply["status"], {**WELL, **reply.body.get("checks", {})}


async def test_all_is_well(world: World) -> None:
    ready = await world.get("/readyz")
    assert (ready.status, ready.body) == (200, {"status": "ready", "checks": WELL})
    assert (ready.headers["cache-control"], ready.headers["content-type"]) == ("no-store", "application/json")
    alive = await world.get("/healthz")
    assert (alive.status, alive.body) == (200, {"status": "alive"})
    assert [(await world.get(path)).status for path in ("/health/live", "/health/ready")] == [404, 404]


async def test_a_database_that_takes_no_writes_is_not_ready(world: World) -> None:
    """As a standby that was a primary a moment ago."""
    name = await world.database.fetchval("SELECT current_database()")
    await world.database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert world.service is not None
    assert world.service._running is not None
    await world.service._running.pool.expire_connections()
    assert await said(world) == (503, "not_ready", {**WELL, "database": "failed"})
    assert (await world.get("/healthz")).status == 200
    await world.database.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await world.service._running.pool.expire_connections()
    assert await said(world) == (200, "ready", WELL)


@pytest.mark.parametrize(("found", "status"), [("0001", "failed"), (None, "failed"), ("9999", "ok")])
async def test_an_older_schema_is_not_ready_and_a_newer_one_is(world: World, found: str | None, status: str) -> None:
    """Migrations come before the release that needs them: the one that runs must not be taken out of service."""
    await world.database.execute("UPDATE alembic_version SET version_num = $1", found or "")
    if found is None:
        await world.database.execute("DELETE FROM alembic_version")
    code, _, checks = await said(world)
    assert (code, checks) == (503 if status == "failed" else 200, {**WELL, "migration": status})
    await world.database.execute("DELETE FROM alembic_version")
    await world.database.execute("INSERT INTO alembic_version VALUES ($1)", REVISION)


async def test_without_redis_it_is_ready_and_says_that_it_is_degraded(premises: Premises, valkey: Valkey) -> None:
    settings = {"redis_open_seconds": 0.01}
    async with running(premises.database_url, valkey.url, premises.directory, premises.tills, **settings) as world:
        assert await said(world) == (200, "ready", WELL)
        valkey.process.kill()
        valkey.process.wait()
        assert await said(world) == (200, "degraded", {**WELL, "redis": "degraded"})
        assert (await world.authorise())["decision"] == "approved"


async def test_a_task_that_has_ended_is_not_ready(world: World) -> None:
    assert world.service is not None
    assert world.service._running is not None
    (sweeping,) = [each for each in world.service._running.health.tasks if "sweep_for_ever" in repr(each)]
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping
    assert await said(world) == (503, "not_ready", {**WELL, "tasks": "failed"})


async def test_probes_however_many_are_answered_by_one_look(premises: Premises) -> None:
    async with premises.wired(ready_cache_seconds=3600.0) as (world, wire):
        assert await said(world) == (200, "ready", WELL)
        wire.cut()
        replies = await asyncio.gather(*(world.get("/readyz") for _ in range(50)))
        assert {reply.status for reply in replies} == {200}
        wire.mend()


async def test_a_database_that_says_nothing_is_not_ready_within_its_time(premises: Premises) -> None:
    async with premises.wired(ready_timeout_seconds=0.3) as (world, wire):
        wire.trigger, wire.holds = b"pg_is_in_recovery", True
        async with asyncio.timeout(10):
            code, status, checks = await said(world)
        assert (code, status, checks["database"], checks["migration"]) == (503, "not_ready", "failed", "failed")
        wire.let_go.set()
        assert await said(world) == (200, "ready", WELL)
