"""Whether the neighbours are there, as this process finds them, and how much of its pool is in use."""

import asyncio
from dataclasses import dataclass

import asyncpg

from authz_service.clock import monotonic_seconds
from authz_service.database import OfficePool
from authz_service.idempotency import Hint
from authz_service.metrics import (
    DATABASE_PING,
    DATABASE_UP,
    POOL_CONNECTIONS,
    POOL_LIMIT,
    REDIS_QUEUE,
    REDIS_UP,
)
from authz_service.settings import Settings


@dataclass(slots=True, kw_only=True)
class Pulse:
    """Asks every `health_seconds`; nothing depends on what it finds but the metrics."""

    settings: Settings
    hint: Hint
    pool: OfficePool
    console_pool: OfficePool

    async def beat_for_ever(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(self.settings.health_seconds)

    async def beat(self) -> None:
        """What was found is told."""
        tell_of_pool("office", self.pool)
        tell_of_pool("console", self.console_pool)
        REDIS_QUEUE.set(self.hint.untold)
        REDIS_UP.set(await self.hint.is_up())
        began = monotonic_seconds()
        DATABASE_UP.set(await self._database_is_up())
        DATABASE_PING.set(monotonic_seconds() - began)

    async def _database_is_up(self) -> bool:
        try:
            async with self.pool.lent(self.settings.ready_timeout_seconds) as connection:
                return bool(await connection.fetchval("SELECT true"))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False


def tell_of_pool(name: str, pool: asyncpg.Pool) -> None:
    """How many connections of it are open; `name` is one of the pools that the metric knows."""
    idle = pool.get_idle_size()
    POOL_CONNECTIONS.labels(name, "idle").set(idle)
    POOL_CONNECTIONS.labels(name, "used").set(pool.get_size() - idle)
    POOL_LIMIT.labels(name).set(pool.get_max_size())
