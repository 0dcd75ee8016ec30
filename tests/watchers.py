"""A watcher of the test's own, beside the service's, which never comes round in a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from authz_service import exposition
from authz_service.watching.books import BooksWatch
from authz_service.watching.watcher import Watcher
from tests.world import World


@dataclass(frozen=True, slots=True)
class Watching:
    watcher: Watcher
    books: BooksWatch

    async def watch(self) -> None:
        await self.watcher.watch()

    async def add_up(self, every_seconds: float) -> None:
        await self.watcher.add_up(every_seconds)


@asynccontextmanager
async def a_watcher(world: World, **settings: Any) -> AsyncIterator[Watching]:
    """It looks when it is told to; what it told is gone afterwards."""
    chosen = world.settings.model_copy(update=settings)
    assert chosen.database_url is not None
    url = chosen.database_url.get_secret_value()
    running: Any = world.service._running  # type: ignore[union-attr]
    watcher = Watcher(settings=chosen, url=url, pool=running.pool, clock=world.clock)
    try:
        yield Watching(watcher, BooksWatch(settings=chosen, url=url, clock=world.clock))
    finally:
        watcher._give_up()
        exposition._found_here.clear()
