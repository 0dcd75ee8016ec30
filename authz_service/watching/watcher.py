"""One process at a time looks at every programme and at what is new in the books, and tells what it found.

Who looks holds a lock of PostgreSQL on a connection of its own: when it dies, the next one that comes round has it.
What it told is good for three turns; then, or when another one has told, nothing is left of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from authz_service.clock import Clock, epoch_seconds, monotonic_seconds
from authz_service.database import BY_INDEXES, Connection, DatabaseUnusable, OfficePool, connect_watch
from authz_service.exposition import tell
from authz_service.ledger.standing import holds_ending
from authz_service.metric_kinds import Sample
from authz_service.metrics import HOLDS_EXPIRED_UNWRITTEN, HOLDS_EXPIRING, WATCH_FAILURES, WATCHED_AT
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId
from authz_service.watching.books import BooksWatch
from authz_service.watching.looks import LOOKS, SUMS, Look

log = structlog.get_logger()
LOCK: Final = (64722024, 9464)
"""Of all processes on one database; the first number is that of the migrations' lock."""
TURNS: Final = 3
_SOON: Final = timedelta(hours=1)
_IS_FREE: Final = """
-- Nobody looks: asked before a connection is opened to find that out.
SELECT NOT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                    WHERE l.locktype = 'advisory' AND l.classid = $1::int::oid AND l.objid = $2::int::oid
                      AND d.datname = current_database())
"""
_TAKE: Final = "SELECT pg_try_advisory_lock($1, $2)"
_PROGRAMMES: Final = "SELECT programme_id, closed_at IS NOT NULL AS is_closed FROM programme ORDER BY programme_id"
_FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, DatabaseUnusable)


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Three loops of one process; two of them do nothing while another process looks."""

    settings: Settings
    url: str
    pool: OfficePool
    clock: Clock
    _connection: "asyncpg.Connection[asyncpg.Record] | None" = None
    _looked_until: dict[str, datetime] = field(default_factory=dict)
    """Up to there no hold of the programme is over and not written so."""

    async def watch_for_ever(self) -> None:
        try:
            while True:
                await asyncio.sleep(self.settings.watch_seconds)
                await self._guarded(self.watch())
        finally:
            self._give_up()

    async def sum_for_ever(self) -> None:
        pause = self.settings.watch_sums_seconds
        while True:
            await asyncio.sleep(pause)
            began = monotonic_seconds()
            if self.leads:
                await self._guarded(self.add_up(pause))
            took = monotonic_seconds() - began
            pause = max(self.settings.watch_sums_seconds, took / self.settings.watch_sums_share)

    async def check_for_ever(self) -> None:
        books = BooksWatch(settings=self.settings, url=self.url, clock=self.clock)
        while True:
            await asyncio.sleep(self.settings.ledger_check_seconds)
            if self.leads:
                await books.check()

    @property
    def leads(self) -> bool:
        """This process is the one that looks."""
        return self._connection is not None and not self._connection.is_closed()

    async def watch(self) -> None:
        """Every programme has been looked at, if this process is, or now became, the one that looks."""
        connection = await self._leading()
        if connection is None:
            return
        samples = await self._asked(connection, LOOKS, self._holds)
        tell("programmes", samples, good_for_seconds=TURNS * self.settings.watch_seconds)
        WATCHED_AT.set(epoch_seconds())

    async def add_up(self, every_seconds: float) -> None:
        """The sums have been made, on a connection that lives no longer than that."""
        connection = await connect_watch(self.settings, self.url, self.settings.watch_sums_timeout_ms, {})
        try:
            samples = await self._asked(connection, SUMS)
        finally:
            connection.terminate()
        tell("sums", samples, good_for_seconds=TURNS * every_seconds)

    async def _leading(self) -> "asyncpg.Connection[asyncpg.Record] | None":
        if self.leads:
            return self._connection
        self._give_up()
        async with self.pool.lent() as asking:
            if not await asking.fetchval(_IS_FREE, *LOCK):
                return None
        connection = await connect_watch(self.settings, self.url, self.settings.watch_statement_timeout_ms, BY_INDEXES)
        if not await connection.fetchval(_TAKE, *LOCK):
            connection.terminate()
            return None
        log.info("watching")
        self._connection = connection
        return connection

    async def _asked(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        looks: Sequence[Look],
        *more: Callable[[Connection, ProgrammeId, datetime], Awaitable[list[Sample]]],
    ) -> list[Sample]:
        """What every look says of every programme; one that fails says nothing, and is counted."""
        asked = (*looks, *(Look(name="holds", ask=ask) for ask in more))
        now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        samples: list[Sample] = []
        for row in await connection.fetch(_PROGRAMMES):
            for look in asked:
                if row["is_closed"] and not look.after_the_close:
                    continue
                try:
                    samples += await look.ask(connection, ProgrammeId(row["programme_id"]), now)
                except _FAULTS as fault:
                    if connection.is_closed():
                        raise
                    WATCH_FAILURES.inc()
                    log.warning(
                        "look_failed", look=look.name, programme=row["programme_id"], error=type(fault).__name__
                    )
        return samples

    async def _holds(self, connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
        """From where the last look found nothing that is over: else every look would read all that ever ended."""
        since = self._looked_until.get(programme_id)
        if since is None or since > now:
            since = now - timedelta(seconds=self.settings.watch_look_back_seconds)
        over = await holds_ending(connection, programme_id, since, now)
        self._looked_until[programme_id] = now if over.first_at is None else over.first_at - timedelta(microseconds=1)
        soon = await holds_ending(connection, programme_id, now, now + _SOON)
        return [
            HOLDS_EXPIRED_UNWRITTEN.of(over.holds, programme_id),
            HOLDS_EXPIRING.of(soon.holds, programme_id),
        ]

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as fault:  # noqa: BLE001  (these loops must outlive whatever goes wrong in one turn)
            WATCH_FAILURES.inc()
            log.warning("watch_failed", error=type(fault).__name__)

    def _give_up(self) -> None:
        if self._connection is not None:
            with suppress(*_FAULTS):
                self._connection.terminate()
            self._connection = None
