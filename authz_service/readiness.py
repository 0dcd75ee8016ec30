"""Whether this process can decide and write: asked by balancers and orchestrators, answered from a moment ago.

What it needs is asked for at most once in `ready_cache_seconds`, whoever asks and however often; each answer comes
within `ready_timeout_seconds`. Redis is a hint: without it the service is slower, and still ready.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import asyncpg

from authz_service.clock import monotonic_seconds
from authz_service.database import REVISION, DatabaseUnusable, OfficePool
from authz_service.idempotency import Hint
from authz_service.lanes import Lane
from authz_service.settings import Settings

_WRITABLE: Final = """
-- Not a standby, not told to be read-only; and which migration was the last.
SELECT NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::bool AS writable,
       (SELECT version_num FROM alembic_version) AS revision
"""
_AWAY: Final = (
    *(DatabaseUnusable, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    *(OSError, TimeoutError),
)


class Check(StrEnum):
    """What came of one check."""

    OK = "ok"
    FAILED = "failed"
    DEGRADED = "degraded"


class Status(StrEnum):
    """What comes of all of them. The first two are ready."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not_ready"
    DRAINING = "draining"
    STARTING = "starting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """`checks` is empty where none was made."""

    status: Status
    checks: Mapping[str, Check] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        return self.status in {Status.READY, Status.DEGRADED}


@dataclass(slots=True, kw_only=True)
class Health:
    """Of one process that serves."""

    settings: Settings
    pool: OfficePool
    lanes: Sequence[Lane]
    tasks: Sequence["asyncio.Task[None]"]
    hint: Hint
    _checked: "asyncio.Task[Readiness] | None" = field(default=None, init=False)
    _checked_at: float = field(default=float("-inf"), init=False)

    async def readiness(self) -> Readiness:
        """As it was at most `ready_cache_seconds` ago; whoever asks while it is looked at gets the same answer."""
        is_old = monotonic_seconds() - self._checked_at >= self.settings.ready_cache_seconds
        if self._checked is None or (self._checked.done() and is_old):
            self._checked = asyncio.create_task(self._look())
        return await asyncio.shield(self._checked)

    async def _look(self) -> Readiness:
        database, lanes, redis = await asyncio.gather(
            self._in_time(self._database), self._in_time(self._lanes), self._in_time(self._redis)
        )
        checks = {
            **(database or {"database": Check.FAILED, "migration": Check.FAILED}),
            **(lanes or {"lanes": Check.FAILED}),
            "tasks": _check(not any(task.done() for task in self.tasks)),
            **(redis or {"redis": Check.DEGRADED}),
        }
        self._checked_at = monotonic_seconds()
        if Check.FAILED in checks.values():
            return Readiness(status=Status.NOT_READY, checks=checks)
        is_whole = Check.DEGRADED not in checks.values()
        return Readiness(status=Status.READY if is_whole else Status.DEGRADED, checks=checks)

    async def _in_time(self, ask: Callable[[], Awaitable[Mapping[str, Check]]]) -> Mapping[str, Check] | None:
        try:
            async with asyncio.timeout(self.settings.ready_timeout_seconds):
                return await ask()
        except _AWAY:
            return None

    async def _database(self) -> Mapping[str, Check]:
        """A newer migration than ours is no fault: it is made while the release before it still runs."""
        async with self.pool.lent(self.settings.ready_timeout_seconds) as connection:
            try:
                row = await connection.fetchrow(_WRITABLE)
            except asyncpg.UndefinedTableError:
                return {"database": Check.OK, "migration": Check.FAILED}
        if row is None:
            return {"database": Check.FAILED, "migration": Check.FAILED}
        is_migrated = row["revision"] is not None and row["revision"] >= REVISION
        return {"database": _check(row["writable"]), "migration": _check(is_migrated)}

    async def _lanes(self) -> Mapping[str, Check]:
        """Each has its connection, or has just got a new one."""
        for lane in self.lanes:
            await lane.connected()
        return {"lanes": Check.OK}

    async def _redis(self) -> Mapping[str, Check]:
        return {"redis": Check.OK if await self.hint.is_up() else Check.DEGRADED}


def _check(is_so: bool) -> Check:  # noqa: FBT001  (it says what it was given)
    return Check.OK if is_so else Check.FAILED
