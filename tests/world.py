"""A running service over real HTTP, its database, its clock, and hands to play tills and operators with."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg
import orjson
import uvicorn
from pydantic import SecretStr

from authz_service.clock import ShiftedClock
from authz_service.enrolment.sandbox import SandboxCard, SandboxTerminal, SandboxTills
from authz_service.ledger.audit import check
from authz_service.main import Service
from authz_service.metrics_port import address, metrics_served
from authz_service.problems import SYSTEM_FAULT_MESSAGE
from authz_service.serving import HTTP, free_port
from authz_service.settings import Settings
from authz_service.vouching import vouch
from tests.written import keep

T = TypeVar("T")
PROGRAMME = "samarinda-2024"
WITA = ZoneInfo("Asia/Makassar")
A_MORNING = datetime(2024, 10, 7, 9, 0, tzinfo=WITA)
"""A Monday in the programme's first month, shops open."""
THREE_LINES = [
    {
        "category": "beras",
        "product": "beras premium",
        "unit": "kg",
        "quantity": "5",
        "unit_price": 15400,
        "amount": 77000,
    },
    {
        "category": "telur",
        "product": "telur ayam ras",
        "unit": "kg",
        "quantity": "2",
        "unit_price": 30000,
        "amount": 60000,
    },
    {"category": "ikan_kaleng", "amount": 13000},
]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over the wire."""

    status: int
    raw: bytes
    headers: dict[str, str]

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = orjson.loads(self.raw)
        return parsed

    def __getitem__(self, name: str) -> Any:
        return self.body[name]


async def _reply(response: aiohttp.ClientResponse) -> Reply:
    """Whole. What refuses, and what machines ask, is searched at the end of the run for what must not be in it."""
    raw = await response.read()
    if response.status >= 400 or response.url.path in {"/metrics", "/readyz", "/healthz"}:
        keep("answers", *raw.splitlines(), *(f"{name}: {value}".encode() for name, value in response.headers.items()))
    return Reply(response.status, raw, {k.lower(): v for k, v in response.headers.items()})


def by_stan(purchase: Mapping[str, Any]) -> dict[str, Any]:
    """How a reversal names a purchase by what was printed on its receipt."""
    return {"stan": purchase["stan"], "terminal_time": purchase["terminal_time"]}


async def answered(send: Callable[..., Awaitable[Reply]], *request: Any, **more: Any) -> Reply:
    """Repeats the request unchanged until it is answered, as a till must."""
    for _ in range(100):
        try:
            reply = await send(*request, **more)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            await asyncio.sleep(0.02)
            continue
        if reply.status not in {429, 503}:
            return reply
        # A fault never reads as a lack of money.
        assert reply["message"] == SYSTEM_FAULT_MESSAGE
        assert (reply["response_code"], reply["retryable"], reply.headers["retry-after"]) == ("91", True, "1")
        await asyncio.sleep(0.02)
    raise AssertionError("never answered")


@dataclass(slots=True)
class World:
    base_url: str
    http: aiohttp.ClientSession
    database: "asyncpg.Connection[asyncpg.Record]"
    clock: ShiftedClock
    tills: SandboxTills
    settings: Settings
    service: Service | None = None
    """Where it runs in this process."""
    metrics_url: str = ""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def scraped(self) -> str:
        """What Prometheus would get."""
        async with self.http.get(self.metrics_url) as response:
            assert response.status == 200
            said = await response.text()
        keep("metrics", *said.encode().splitlines())
        return said

    async def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, as they are written."""
        lines = (line for line in (await self.scraped()).splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    @property
    def till(self) -> SandboxTerminal:
        return self.tills.terminals[0]

    @property
    def other_till(self) -> SandboxTerminal:
        return self.tills.terminals[1]

    @property
    def card(self) -> SandboxCard:
        return self.tills.cards[0]

    @property
    def now(self) -> datetime:
        return self.clock.estimate()

    def at(self, instant: datetime) -> None:
        self.clock.set_to(instant)

    def later(self, **delta: float) -> None:
        self.clock.set_to(self.clock.estimate() + timedelta(**delta))

    async def at_the_second(self, instant: datetime, ask: Callable[[], Awaitable[T]]) -> T:
        """What comes out within this very second; asked again if the machine was too slow for it."""
        for _ in range(10):
            self.at(instant)
            came_out = await ask()
            if self.now < instant + timedelta(seconds=1):
                return came_out
        raise AssertionError("this machine needs more than a second for a request")

    def fresh_key(self) -> str:
        return f"key-{next(self._numbers)}"

    def a_purchase(self, **changes: Any) -> dict[str, Any]:
        """A good purchase of Rp150.000; `amount` alone makes it one line of tinned fish, which has no ceiling."""
        if "amount" in changes and "lines" not in changes:
            changes["lines"] = [{"category": "ikan_kaleng", "amount": changes["amount"]}]
        if "lines" in changes and "amount" not in changes:
            changes["amount"] = sum(line["amount"] for line in changes["lines"])
        return {
            "card_number": self.card.card_number,
            "stan": f"{next(self._numbers):06d}",
            "terminal_time": "2024-10-07T09:00:00+08:00",
            "amount": 150000,
            "currency": "IDR",
            "lines": THREE_LINES,
            **changes,
        }

    async def post(
        self, path: str, body: Any = None, *, key: str | None = None, till: SandboxTerminal | None = None, **more: Any
    ) -> Reply:
        headers = {"authorization": f"Bearer {(till or self.till).key}", **more.pop("headers", {})}
        if key is not None:
            headers["idempotency-key"] = key
        data = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
        async with self.http.post(self.base_url + path, data=data, headers=headers, **more) as response:
            return await _reply(response)

    async def get(
        self, path: str, *, till: SandboxTerminal | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        sent = {"authorization": f"Bearer {(till or self.till).key}", **(headers or {})}
        async with self.http.get(self.base_url + path, headers=sent) as response:
            return await _reply(response)

    async def authorise(self, *, key: str | None = None, till: SandboxTerminal | None = None, **changes: Any) -> Reply:
        return await self.post("/v1/authorizations", self.a_purchase(**changes), key=key or self.fresh_key(), till=till)

    async def sell(self, purchase: Mapping[str, Any], key: str, *, till: SandboxTerminal | None = None) -> Reply:
        return await self.post("/v1/authorizations", purchase, key=key, till=till)

    async def capture(
        self, authorisation_id: str, *, key: str | None = None, till: SandboxTerminal | None = None, **body: Any
    ) -> Reply:
        path = f"/v1/authorizations/{authorisation_id}/captures"
        return await self.post(path, body, key=key or self.fresh_key(), till=till)

    async def void(
        self, authorisation_id: str, *, key: str | None = None, till: SandboxTerminal | None = None, **body: Any
    ) -> Reply:
        path = f"/v1/authorizations/{authorisation_id}/void"
        return await self.post(path, body, key=key or self.fresh_key(), till=till)

    async def refund(
        self, authorisation_id: str, amount: int, *, key: str | None = None, till: SandboxTerminal | None = None
    ) -> Reply:
        path, body = f"/v1/authorizations/{authorisation_id}/refunds", {"amount": amount, "reason": "telur pecah"}
        return await self.post(path, body, key=key or self.fresh_key(), till=till)

    async def reverse(self, *, key: str | None = None, till: SandboxTerminal | None = None, **original: Any) -> Reply:
        return await self.post("/v1/reversals", original, key=key or self.fresh_key(), till=till)

    async def balance(self, card: SandboxCard | None = None, *, till: SandboxTerminal | None = None) -> Reply:
        number = (card or self.card).card_number
        return await self.post("/v1/balance-inquiries", {"card_number": number}, till=till)

    async def vouched(
        self, month: date, *, extra_rupiah: int = 0, extra_packages: int = 0, card: SandboxCard | None = None
    ) -> str:
        """The family's companion has vouched for `month`; the voucher's id."""
        return await vouch(
            self.database,
            programme_id=PROGRAMME,
            beneficiary_id=(card or self.card).beneficiary_id,
            month=month,
            extra_rupiah=extra_rupiah,
            extra_packages=extra_packages,
            reason="anak sakit",
            now=self.now,
            chance=os.urandom,
        )

    async def change(self, **programme: Any) -> None:
        """The programme's row has these values from now on."""
        for column, value in programme.items():
            await self.database.execute(f"UPDATE programme SET {column} = $1", value)

    async def month(self, month: date, card: SandboxCard | None = None) -> tuple[int, int]:
        """Rupiah and packages that the family has used of the month's allowance."""
        row = await self.database.fetchrow(
            "SELECT used_rupiah, packages_used FROM allowance WHERE beneficiary_id = $1 AND month = $2",
            (card or self.card).beneficiary_id,
            month,
        )
        return (0, 0) if row is None else tuple(row)

    async def wallet(self, card: SandboxCard | None = None) -> tuple[int, int, int]:
        """available, held, spent."""
        row = await self.database.fetchrow(
            "SELECT available_rupiah, held_rupiah, spent_rupiah FROM wallet WHERE beneficiary_id = $1",
            (card or self.card).beneficiary_id,
        )
        assert row is not None
        return tuple(row)

    async def counts(self) -> dict[str, int]:
        """How many rows every table of the books has."""
        tables = ("request_key", "authorisation", "hold", "transfer", "allowance", "voucher_movement")
        return {table: await self.database.fetchval(f"SELECT count(*) FROM {table}") for table in tables}

    async def books_balance(self) -> None:
        broken = [f for f in await check(self.database, PROGRAMME, now=self.now) if f.violations]
        assert not broken, broken


@asynccontextmanager
async def running(
    database_url: str, redis_url: str, directory: Path, tills: SandboxTills, **settings: Any
) -> AsyncIterator[World]:
    """The service under uvicorn on a free port of loopback, at A_MORNING."""
    clock = ShiftedClock.create(directory / "clock", A_MORNING)
    chosen = Settings().model_copy(
        update={
            "database_url": SecretStr(database_url),
            "redis_url": SecretStr(redis_url),
            "clock_offset_file": directory / "clock",
            "sweep_seconds": 3600.0,
            "event_seconds": 3600.0,
            "watch_seconds": 3600.0,
            "ledger_check_seconds": 3600.0,
            "ready_cache_seconds": 0.0,
            "signal_seconds": 3600.0,
            "seal_seconds": 3600.0,
            **settings,
        }
    )
    service = Service(chosen)
    server = uvicorn.Server(uvicorn.Config(service, port=0, log_level="error", ws="none", http=HTTP))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done(), "the service did not start"
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    database = await asyncpg.connect(database_url)
    try:
        with metrics_served("127.0.0.1", 0) as metrics_url:
            async with aiohttp.ClientSession() as http:
                yield World(f"http://127.0.0.1:{port}", http, database, clock, tills, chosen, service, metrics_url)
    finally:
        await database.close()
        server.should_exit = True
        await serving


_CHILD = """
import socket, sys, uvicorn
from authz_service.draining import Server
from authz_service.main import create_app
from authz_service.metrics_port import metrics_served
from authz_service.serving import uvicorn_options
from authz_service.settings import settings_from_environment
config = uvicorn.Config(create_app(), **uvicorn_options(settings_from_environment()))
with metrics_served("127.0.0.1", int(sys.argv[2])):
    Server(config, settings_from_environment()).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


@dataclass(slots=True)
class Child:
    """The service in a process of its own. What it is killed with, it was not asked."""

    listening: socket.socket
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes]"
    metrics_port: int

    @staticmethod
    def born(
        listening: socket.socket, environment: dict[str, str], log: Path, metrics_port: int
    ) -> "subprocess.Popen[bytes]":
        with log.open("ab") as file:
            command = [sys.executable, "-c", _CHILD, str(listening.fileno()), str(metrics_port)]
            return subprocess.Popen(command, env=environment, pass_fds=[listening.fileno()], stdout=file, stderr=file)

    def kill_and_restart(self) -> None:
        """SIGKILL; callers of the new one wait at the same socket until it answers."""
        self.process.kill()
        self.process.wait()
        self.process = self.born(self.listening, self.environment, self.log, self.metrics_port)


@asynccontextmanager
async def running_child(
    database_url: str, redis_url: str, directory: Path, tills: SandboxTills, **settings: Any
) -> AsyncIterator[tuple[World, Child]]:
    """The service in a child process, at A_MORNING; what it logs is in `directory`."""
    clock = ShiftedClock.create(directory / "clock", A_MORNING)
    addresses = {
        "AUTHZ_DRAIN_SECONDS": "0",
        **{f"AUTHZ_{name.upper()}": str(value) for name, value in settings.items()},
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "AUTHZ_CLOCK_OFFSET_FILE": str(directory / "clock"),
    }
    environment, log = {**os.environ, **addresses}, directory / "child.log"
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        metrics_port = free_port()
        born = Child.born(listening, environment, log, metrics_port)
        child = Child(listening, environment, log, born, metrics_port)
        database = await asyncpg.connect(database_url)
        try:
            async with aiohttp.ClientSession() as http:
                base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                metrics_url = address("127.0.0.1", metrics_port)
                yield World(base_url, http, database, clock, tills, Settings(), metrics_url=metrics_url), child
        finally:
            await database.close()
            child.process.terminate()
            child.process.wait(30)  # each part of an end may take `shutdown_seconds`
