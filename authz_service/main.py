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
from authz_service.api.arrival import head_of
from authz_service.api.documentation import documented
from authz_service.api.identified import Identified
from authz_service.api.office import Office
from authz_service.api.operations import operations
from authz_service.api.pos import PosDoor
from authz_service.api.rates import Rate
from authz_service.bank.follower import Follower
from authz_service.bank.security import SecurityLog
from authz_service.clock import ChanceInPortions, Clock, clock_from
from authz_service.console import app as console
from authz_service.console.visit import Desk
from authz_service.database import (
    DatabaseUnusable,
    OfficePool,
    connect_hot,
    open_console_pool,
    open_office_pool,
    require_schema,
)
from authz_service.events.dispatcher import Dispatcher
from authz_service.exposition import METRICS_VARIABLE
from authz_service.idempotency import Hint
from authz_service.keys import Keys
from authz_service.lanes import Lane
from authz_service.passwords import Passwords
from authz_service.problems import MethodNotAllowed, NoSuchAddress, Problem
from authz_service.readiness import Health, Readiness, Status
from authz_service.registry import Registry
from authz_service.sealing import Sealer
from authz_service.settings import Settings, settings_from_environment
from authz_service.settlement.scheduler import Scheduler
from authz_service.signals.watching import SignalWatcher
from authz_service.sweeping import Sweeper
from authz_service.tracing import new_request_id
from authz_service.waiting import WaitingRoom
from authz_service.watching.pulse import Pulse
from authz_service.watching.watcher import Watcher

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
    health: Health
    door: PosDoor


class Service:
    """The ASGI application: the terminals' door in front, FastAPI behind it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: Running | None = None
        self._is_draining = False
        self._console = console.console()
        self._framework = _framework(self)
        console.mount(self._framework, self._console)
        self._inner = Identified(self._framework, new_request_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._running.door if self._running is not None else self._inner
        await app(scope, receive, send)

    def drain(self) -> None:
        """Told to stop: requests are answered as before, and whoever asks hears that it is not ready."""
        self._is_draining = True

    async def readiness(self) -> Readiness:
        if self._is_draining:
            return Readiness(status=Status.DRAINING)
        if self._running is None:
            return Readiness(status=Status.STARTING)
        return await self._running.health.readiness()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Open in the order of need, closed in reverse."""
        logs.configure(self._settings.log_level)
        asyncio.get_running_loop().set_exception_handler(logs.in_a_loop)
        async with AsyncExitStack() as stack:
            try:
                self._running = await _start(self._settings, self._framework, self._inner, self._console, stack)
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
    if directory := os.environ.get(METRICS_VARIABLE):
        for file in Path(directory).glob(f"*_{os.getpid()}.db"):
            file.unlink(missing_ok=True)
    sleep(pause_seconds)
    os._exit(1)


async def _start(
    settings: Settings, framework: FastAPI, inner: ASGIApp, pages: FastAPI, stack: AsyncExitStack
) -> Running:
    if settings.database_url is None or settings.redis_url is None:
        raise RuntimeError("DATABASE_URL and REDIS_URL are needed; `authz serve` starts embedded servers without them")
    url = settings.database_url.get_secret_value()
    pool = await open_office_pool(settings, url)
    stack.push_async_callback(_close_pool, pool, settings.shutdown_seconds)
    async with pool.lent() as connection:
        await require_schema(connection)
        epoch = await connection.fetchval(_EPOCH)
    console_pool = await open_console_pool(settings, url)
    stack.push_async_callback(_close_pool, console_pool, settings.shutdown_seconds)
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
    deciding = [asyncio.create_task(lane.serve()) for lane in lanes]
    sweeper = Sweeper(settings=settings, room=room, pool=pool, clock=clock, chance=os.urandom)
    scheduler = Scheduler(settings=settings, pool=pool, clock=clock, chance=os.urandom)
    news = asyncio.Event()
    follower = Follower(settings=settings, pool=pool, clock=clock, chance=os.urandom, news=news)
    dispatcher = Dispatcher(settings=settings, pool=pool, keys=keys, clock=clock, chance=os.urandom)
    watcher = Watcher(settings=settings, url=url, pool=pool, clock=clock)
    signals = SignalWatcher(settings=settings, pool=pool, clock=clock, chance=os.urandom)
    sealer = Sealer(settings=settings, pool=pool, clock=clock, chance=os.urandom)
    pulse = Pulse(settings=settings, hint=hint, pool=pool, console_pool=console_pool)
    needed = [asyncio.create_task(each) for each in (hint.tell_for_ever(), registry.follow())]
    background = [
        asyncio.create_task(each)
        for each in (
            *(sweeper.sweep_for_ever(), scheduler.settle_for_ever(), sealer.seal_for_ever(), signals.watch_for_ever()),
            *(follower.follow_for_ever(), dispatcher.dispatch_for_ever()),
            *(watcher.watch_for_ever(), watcher.sum_for_ever(), watcher.check_for_ever(), pulse.beat_for_ever()),
        )
    ]
    # What begins work of its own ends first, then the lanes, and last what they need.
    for tasks in (needed, deciding, background):
        stack.push_async_callback(_stop, tasks)
    framework.state.office = Office(
        settings=settings,
        keys=keys,
        registry=registry,
        pool=pool,
        clock=clock,
        chance=os.urandom,
        new_request_id=new_request_id,
        security=SecurityLog(settings=settings, pool=pool, clock=clock, chance=os.urandom),
        inbox_has_news=news,
        bank_addresses=_rate(settings, settings.bank_address_requests_per_second),
        bank_partners=_rate(settings, settings.bank_partner_requests_per_second),
    )
    desk = Desk(
        settings=settings,
        keys=keys,
        registry=registry,
        pool=console_pool,
        clock=clock,
        chance=os.urandom,
        passwords=Passwords(settings, os.urandom),
        addresses=Rate(
            per_second=settings.console_address_tries_per_minute / 60,
            burst_seconds=settings.console_address_burst_seconds,
            senders_limit=settings.bank_senders_limit,
        ),
        new_request_id=new_request_id,
    )
    console.seat_desk(pages, desk)
    door = PosDoor(
        inner=inner,
        settings=settings,
        keys=keys,
        registry=registry,
        room=room,
        pool=pool,
        clock=clock,
        new_request_id=new_request_id,
    )
    log.info("service_started", version=__version__, programmes=registry.programmes, lanes=len(lanes))
    health = Health(settings=settings, pool=pool, lanes=lanes, tasks=[*deciding, *needed, *background], hint=hint)
    return Running(pool=pool, lanes=lanes, health=health, door=door)


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
    app.include_router(operations(service.readiness))
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
    request_id = head_of(request.scope, new_request_id).request_id
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
