"""One programme is swept until nothing is due, by a lane that lives no longer than that: for an operator's command."""

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Final

import asyncpg

from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import connect_hot, open_office_pool
from authz_service.idempotency import Hint
from authz_service.keys import Keys
from authz_service.lanes import Lane
from authz_service.registry import Registry
from authz_service.settings import Settings
from authz_service.sweeping import Sweeper
from authz_service.vocabulary import Chance, ProgrammeId
from authz_service.waiting import WaitingRoom

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def sweep_to_the_end(settings: Settings, programme_id: ProgrammeId, clock: Clock, chance: Chance) -> None:
    """The end of every hold that is over is written, unless that took longer than `closing_sweep_seconds`.

    It goes through the same door as a sale, so a service that is running meanwhile is in nobody's way.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise ValueError("a sweep needs the addresses of PostgreSQL and Redis")
    url = settings.database_url.get_secret_value()

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await connect_hot(settings, url)

    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_office_pool(settings, url))
        registry = Registry(pool, settings.registry_reload_seconds)
        await registry.load()
        # A lane wants one; the end of a hold neither locks a card nor tells of an answer.
        hint = Hint(
            settings,
            Keys(settings.root_key.get_secret_value()),
            settings.redis_url.get_secret_value(),
            epoch="",
            token="",
        )
        stack.push_async_callback(hint.close)
        room = WaitingRoom(settings)
        lane = Lane(
            settings=settings, room=room, registry=registry, hint=hint, clock=clock, chance=chance, connect=connect
        )
        serving = asyncio.create_task(lane.serve())
        stack.push_async_callback(_ended, serving)
        sweeper = Sweeper(settings=settings, room=room, pool=pool, clock=clock, chance=chance)
        await _sweep(sweeper, programme_id)


async def _sweep(sweeper: Sweeper, programme_id: ProgrammeId) -> None:
    until = monotonic_seconds() + sweeper.settings.closing_sweep_seconds
    while monotonic_seconds() < until:
        await sweeper.change_families(programme_id)
        if await sweeper.sweep(programme_id, _BEGINNING) != _BEGINNING:
            return
        # Not all were visited, or somebody was faster.
        await asyncio.sleep(sweeper.settings.redecide_wait_seconds)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
