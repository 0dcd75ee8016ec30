"""Builds the service: opens the stores, wires the stations in the order of the line, closes them in reverse."""

import asyncio
import gc
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from multiprocessing import parent_process
from pathlib import Path
from time import sleep
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from authz_service import __version__, logs
from authz_service.api import backoffice, bank
from authz_service.api.documentation import documented
from authz_service.api.office import Office
from authz_service.api.operations import operations
from authz_service.api.pos import PosDoor
from authz_service.api.rates import Rate
from authz_service.bank.follower import Follower
from authz_service.bank.security import SecurityLog
from authz_service.clock import ChanceInPortions, Clock, clock_from, monotonic_seconds
from authz_service.database import DatabaseUnusable, OfficePool, connect_hot, open_office_pool, require_schema
from authz_service.events.dispatcher import Dispatcher
from authz_service.idempotency import Hint
from authz_service.keys import Keys
from authz_service.lanes import Lane
from authz_service.problems import MethodNotAllowed, NoSuchAddress, Problem
from authz_service.registry import Registry
from authz_service.settings import Settings, settings_from_environment
from authz_service.settlement.scheduler import Scheduler
from authz_service.signals.watching import Watcher
from authz_service.sweeping import Sweeper
from authz_service.waiting import WaitingRoom

log = structlog.get_logger()
_EPOCH = """
SELECT concat_ws('-', (SELECT system_identifier FROM pg_control_system()),
                 (SELECT timeline_id FROM pg_control_checkpoint()),
                 (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


_AWAY = (
    *(DatabaseUnusable, ConnectionError, TimeoutError),
    *(asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InsufficientResourcesError),
    *(asyncpg.CannotConnectNowError, asyncpg.OperatorInterventionError),
)
"""A neighbour that a worker needs is not there, and may be back."""


@dataclass(slots=True, kw_only=True)
class Running:
    """What is open while the service runs."""

    pool: OfficePool
    lanes: list[Lane]
    tasks: list["asyncio.Task[None]"]
    door: PosDoor
    limit_seconds: float

    async def is_ready(self) -> bool:
        """Every task lives, every lane has its connection, and the database answers."""
        if any(task.done() for task in self.tasks):
            return False
        until = monotonic_seconds() + self.limit_seconds
        try:
            async with asyncio.timeout(self.limit_seconds):
                for lane in self.lanes:
                    await lane.connected()
            async with self.pool.lent(until - monotonic_seconds()) as connection:
                return bool(await connection.fetchval("SELECT true"))
        except (DatabaseUnusable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return False


class Service:
    """The ASGI application: the terminals' door in front, FastAPI behind it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: Running | None = None
        self._framework = _framework(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._running.door if self._running is not None else self._framework
        await app(scope, receive, send)

    async def is_ready(self) -> bool:
        return self._running is not None and await self._running.is_ready()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Open in the order of need, closed in reverse."""
        logs.configure()
        async with AsyncExitStack() as stack:
            try:
                self._running = await _start(self._settings, self._framework, stack)
            except Exception as error:
                _let_the_supervisor_try_again(error, self._settings.worker_pause_seconds)
                raise
            # What is loaded now lives as long as the process; the collector need not look at it again.
            gc.collect()
            gc.freeze()
            yield
            self._running = None


def create_app() -> ASGIApp:
    """For uvicorn's --factory."""
    return Service(settings_from_environment())


def _let_the_supervisor_try_again(error: Exception, pause_seconds: float) -> None:
    """A worker that a neighbour's absence kept from starting ends in a way for which it is replaced, after a pause.

    By the code for a failed start uvicorn's supervisor would know an application that is broken, and end the workers
    that serve. That is right for any other fault, which no other start would heal.
    """
    if parent_process() is None or not isinstance(error, _AWAY):
        return
    log.error("worker_not_started", exc_info=error)
    sys.stdout.flush()
    # It has counted nothing, and what it leaves would be read for ever.
    if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        for file in Path(directory).glob(f"*_{os.getpid()}.db"):
            file.unlink(missing_ok=True)
    sleep(pause_seconds)
    os._exit(1)


async def _start(settings: Settings, framework: FastAPI, stack: AsyncExitStack) -> Running:
    if settings.database_url is None or settings.redis_url is None:
        raise RuntimeError("DATABASE_URL and REDIS_URL are needed; `authz serve` starts embedded servers without them")
    url = settings.database_url.get_secret_value()
    pool = await open_office_pool(settings, url)
    stack.push_async_callback(_close_pool, pool, settings.shutdown_seconds)
    async with pool.lent() as connection:
        await require_schema(connection)
        epoch = await connection.fetchval(_EPOCH)
    registry = Registry(pool, settings.registry_reload_seconds)
    await registry.load()
    keys = Keys(settings.root_key.get_secret_value())
    hint = Hint(settings, keys, settings.redis_url.get_secret_value(), epoch=epoch, token=uuid.uuid4().hex)
    stack.push_async_callback(hint.close)
    clock = clock_from(settings.clock_offset_file)
    room = WaitingRoom(settings)
    lanes = [_lane(settings, room, registry, hint, clock, url) for _ in range(settings.lanes)]
    for lane in lanes:
        await lane.connected()
    tasks = [asyncio.create_task(lane.serve()) for lane in lanes]
    sweeper = Sweeper(settings=settings, room=room, pool=pool, clock=clock, chance=os.urandom)
    scheduler = Scheduler(settings=settings, pool=pool, clock=clock, chance=os.urandom)
    news = asyncio.Event()
    follower = Follower(settings=settings, pool=pool, clock=clock, chance=os.urandom, news=news)
    dispatcher = Dispatcher(settings=settings, pool=pool, keys=keys, clock=clock, chance=os.urandom)
    watcher = Watcher(settings=settings, pool=pool, clock=clock, chance=os.urandom)
    helpers = [
        *(hint.tell_for_ever(), registry.follow(), sweeper.sweep_for_ever()),
        *(scheduler.settle_for_ever(), follower.follow_for_ever(), dispatcher.dispatch_for_ever()),
        watcher.watch_for_ever(),
    ]
    tasks += map(asyncio.create_task, helpers)
    stack.push_async_callback(_stop, tasks)
    framework.state.office = Office(
        settings=settings,
        keys=keys,
        registry=registry,
        pool=pool,
        clock=clock,
        chance=os.urandom,
        new_request_id=_new_request_id,
        security=SecurityLog(settings=settings, pool=pool, clock=clock, chance=os.urandom),
        inbox_has_news=news,
        bank_addresses=_rate(settings, settings.bank_address_requests_per_second),
        bank_partners=_rate(settings, settings.bank_partner_requests_per_second),
    )
    door = PosDoor(
        inner=framework,
        settings=settings,
        keys=keys,
        registry=registry,
        room=room,
        pool=pool,
        clock=clock,
        new_request_id=_new_request_id,
    )
    log.info("service_started", version=__version__, programmes=registry.programmes, lanes=len(lanes))
    return Running(pool=pool, lanes=lanes, tasks=tasks, door=door, limit_seconds=settings.ready_timeout_seconds)


def _rate(settings: Settings, per_second: float) -> Rate:
    return Rate(
        per_second=per_second,
        burst_seconds=settings.bank_burst_seconds,
        senders_limit=settings.bank_senders_limit,
    )


def _lane(settings: Settings, room: WaitingRoom, registry: Registry, hint: Hint, clock: Clock, url: str) -> Lane:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await connect_hot(settings, url)

    chance = ChanceInPortions()
    return Lane(settings=settings, room=room, registry=registry, hint=hint, clock=clock, chance=chance, connect=connect)


def _framework(service: Service) -> FastAPI:
    app = FastAPIOffline(
        title="authz-service",
        version=__version__,
        summary="Authorises purchases on restricted social-assistance cards.",
        lifespan=service.lifespan,
        redirect_slashes=False,
    )
    app.include_router(operations(service.is_ready))
    app.include_router(backoffice.router)
    app.include_router(bank.router)
    app.add_exception_handler(HTTPException, _as_problem)
    documented(app)
    return app


async def _as_problem(request: Request, error: Exception) -> Response:
    """The framework's own refusals have the contract's form, too."""
    problem: Problem = NoSuchAddress("there is nothing at this address")
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed(request))
        if request.url.path.startswith(bank.PREFIX):
            return await bank.method_refused(request, allowed)
        problem = MethodNotAllowed(allowed)
    request_id = _new_request_id()
    return Response(
        problem.document(request_id),
        problem.status,
        headers={**problem.headers, "x-request-id": request_id},
        media_type="application/problem+json",
    )


def _allowed(request: Request) -> list[str]:
    """What this address takes; the framework itself names the methods of one of its routes only."""
    app: FastAPI = request.app
    scopes = {method: {**request.scope, "method": method} for method in ("GET", "POST")}
    return [
        method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in app.routes)
    ]


_PROCESS = uuid.uuid4().hex[:16]
_REQUESTS = count()


def _new_request_id() -> str:
    """Unique: half of it is this process's, the other half counts."""
    return f"req_{_PROCESS}{next(_REQUESTS):016x}"


async def _stop(tasks: list["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _close_pool(pool: asyncpg.Pool, limit_seconds: float) -> None:
    try:
        async with asyncio.timeout(limit_seconds):
            await pool.close()
    except TimeoutError:
        pool.terminate()
