"""What tests do harm with: wires that are cut, stopped or held, servers that are killed, locks that somebody keeps."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg

from authz_service.enrolment.sandbox import SandboxTills
from authz_service.problems import SYSTEM_FAULT_MESSAGE
from tests.world import Child, Reply, World, running, running_child


def is_a_fault(reply: Reply, *codes: str) -> bool:
    """A 503 of one of these codes that a till may repeat; it never reads as a lack of money."""
    assert reply.status == 503, (reply.status, reply.raw)
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply["message"], reply["response_code"], reply["retryable"]) == (SYSTEM_FAULT_MESSAGE, "91", True)
    assert reply.headers["retry-after"] == "1"
    assert reply["code"] in codes, reply.raw
    return True


def is_state_conflict(reply: Reply, state: str) -> bool:
    """Too late, and the state that had won is named."""
    assert (reply.status, reply["code"]) == (409, "state_conflict"), (reply.status, reply.raw)
    assert reply["authorization_status"] == state
    return True


@dataclass(frozen=True, slots=True)
class Premises:
    """Where a test builds services of its own: one fresh database with the programme, one Redis, a directory."""

    database_url: str
    redis_url: str
    tills: SandboxTills
    directory: Path

    def service(self, name: str = "service", **settings: Any) -> AbstractAsyncContextManager[World]:
        return running(self.database_url, self.redis_url, self._room(name), self.tills, **settings)

    def child(self, name: str = "child", **settings: Any) -> AbstractAsyncContextManager[tuple[World, Child]]:
        return running_child(self.database_url, self.redis_url, self._room(name), self.tills, **settings)

    def wired(self, name: str = "wired", **settings: Any) -> AbstractAsyncContextManager[tuple[World, "Wire"]]:
        return wired(self.database_url, self.redis_url, self._room(name), self.tills, **settings)

    @asynccontextmanager
    async def pair(self, **settings: Any) -> AsyncIterator[tuple[World, World]]:
        """Two instances of the service with one clock, and no limit on what a till may have waiting."""
        clock = self.directory / "one" / "clock"
        both = {"waiting_per_terminal": 1000, "clock_offset_file": clock, **settings}
        async with self.service("one", **both) as one, self.service("two", **both) as two:
            two.clock = one.clock
            # No key and no STAN of the second is one of the first.
            two._numbers = count(500_001)
            yield one, two

    @asynccontextmanager
    async def overtaking(self) -> AsyncIterator[tuple[World, World, "Wire"]]:
        """Two instances with one clock; what the first one sends to the books can be held, so that the second overtakes
        it with a decision on the same facts."""
        clock = self.directory / "first" / "clock"
        async with self.wired("first") as (first, wire), self.service("second", clock_offset_file=clock) as second:
            second.clock, second._numbers = first.clock, count(500_001)
            await first.authorise(card_number=first.tills.cards[9].card_number)
            wire.holds = True
            yield first, second, wire

    def _room(self, name: str) -> Path:
        (self.directory / name).mkdir()
        return self.directory / name


# --- Wires -----------------------------------------------------------------------------------------------------------


@dataclass
class Wire:
    """Between the service and a server. It is held, cut or stopped where the client's bytes hold `trigger`."""

    upstream: str
    trigger: bytes | None = None
    holds: bool = False
    """Holds the bytes until `let_go` is set; then everything goes on as if nothing had been."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    lets_pass: bool = True
    """Whether the bytes with the trigger still reach the server."""
    hears: bool = True
    """Whether the wire holds until the server has answered."""
    stops: bool = False
    """Stops, instead of being cut: nobody hears anything any more."""
    refuses: bool = False
    after: bool = False
    """What `refuses` becomes once the wire was cut."""
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the trigger was seen."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            return writer.close()
        up_reader, up_writer = await asyncio.open_unix_connection(self.upstream)
        self.writers |= {writer, up_writer}
        back = asyncio.create_task(self._pump(up_reader, writer))
        try:
            while data := await reader.read(65536):
                if self.trigger is not None and self.trigger in data:
                    self.trigger = None
                    if not self.holds:
                        await self._harm(data, back, up_reader, up_writer)
                        break
                    self.stopped.set()
                    await self.let_go.wait()
                up_writer.write(data)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            back.cancel()
            writer.close()
            up_writer.close()
            self.writers -= {writer, up_writer}

    async def _harm(
        self, data: bytes, back: "asyncio.Task[None]", up_reader: asyncio.StreamReader, up_writer: asyncio.StreamWriter
    ) -> None:
        back.cancel()
        await asyncio.wait({back})
        if self.lets_pass:
            up_writer.write(data)
            if self.hears:
                # The answer: by then it is committed.
                await up_reader.read(65536)
        self.refuses = self.after
        self.stopped.set()
        if self.stops:
            await asyncio.sleep(30)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()

    def mend(self) -> None:
        self.refuses = False

    def cut(self) -> None:
        """Now, whatever is on it, and nobody gets through any more."""
        self.refuses = True
        for writer in list(self.writers):
            writer.close()


@asynccontextmanager
async def laid(upstream: str, entrance: str) -> AsyncIterator[tuple[Wire, Path]]:
    """A wire to the socket `upstream`, and the socket that leads through it, which is called `entrance`."""
    with tempfile.TemporaryDirectory() as place:
        wire = Wire(upstream)
        through = Path(place, entrance)
        server = await asyncio.start_unix_server(wire.serve, through)
        try:
            yield wire, through
        finally:
            server.close()
            for writer in list(wire.writers):
                writer.close()


@asynccontextmanager
async def wire_to(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to this database, and the address that leads through it."""
    parts = urlsplit(database_url)
    query = parse_qs(parts.query)
    async with laid(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}", ".s.PGSQL.5432") as (wire, through):
        yield wire, f"{parts.scheme}://{parts.netloc}{parts.path}?host={quote(str(through.parent))}&port=5432"


@asynccontextmanager
async def wired(
    url: str, redis_url: str, directory: Path, tills: SandboxTills, **settings: Any
) -> AsyncIterator[tuple[World, Wire]]:
    """The service with a wire between it and its database; the world's own connection goes past it."""
    async with wire_to(url) as (wire, through), running(through, redis_url, directory, tills, **settings) as world:
        direct = await asyncpg.connect(url)
        world.database, through_wire = direct, world.database
        try:
            yield world, wire
        finally:
            world.database = through_wire
            await direct.close()
            wire.let_go.set()
            wire.mend()


A_RECORD = b"auth_"
"""Stands in what is sent to record an authorisation, not in what is sent to read its facts."""


# --- Redis -----------------------------------------------------------------------------------------------------------


@dataclass
class Valkey:
    """One of the test's own, to do harm to."""

    path: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"unix://{self.path}"


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def address_of(world: World) -> str:
    assert world.settings.database_url is not None
    return world.settings.database_url.get_secret_value()


@asynccontextmanager
async def silent_postgresql(world: World) -> AsyncIterator[None]:
    """The server of this run's tests, with all its processes, takes what it is sent and answers after the block."""
    backend = await world.database.fetchval("SELECT pg_backend_pid()")
    postmaster = _parent(backend)
    processes = [
        postmaster,
        *(int(each.name) for each in _PROCESSES.glob("[0-9]*") if _parent(each.name) == postmaster),
    ]
    try:
        for process in processes:
            os.kill(process, SIGSTOP)
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, SIGCONT)


_PROCESSES = Path("/proc")


def _parent(process: int | str) -> int:
    """0 where the process has just ended."""
    with suppress(OSError):
        return int((_PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


@asynccontextmanager
async def somebody_else(world: World, statement: str, *arguments: Any) -> AsyncIterator[None]:
    """Another transaction has done this and goes on; what it locks is free again after the block."""
    other = await asyncpg.connect(address_of(world))
    transaction = other.transaction()
    await transaction.start()
    try:
        await other.execute(statement, *arguments)
        yield
    finally:
        await transaction.rollback()
        await other.close()


LOCKS_THE_FAMILY = "SELECT FROM wallet WHERE beneficiary_id = $1 FOR UPDATE"


async def terminate_lanes(world: World) -> int:
    """How many hot connections the server has just ended."""
    ended = await world.database.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'authz-hot'"
    )
    return len(ended)


async def refuse(world: World, table: str, condition: str, code: str) -> None:
    """From now on a new row of `table` for which `condition` is true fails with this SQLSTATE; `tried` counts."""
    await world.database.execute(
        f"""
        CREATE SEQUENCE tried;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF {condition} THEN RAISE EXCEPTION 'refused by the test' USING ERRCODE = '{code}'; END IF;
          RETURN NEW;
        END $$;
        CREATE TRIGGER refused BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"""
    )


async def refuse_no_more(world: World, table: str) -> None:
    await world.database.execute(f"DROP TRIGGER refused ON {table}")
