"""`authz serve` as it runs in production: a supervisor, its workers, and lines of which one knows who answers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import asyncpg

from authz_service.clock import ShiftedClock
from authz_service.serving import Served, free_port, served
from authz_service.settings import Settings
from tests.harm import Premises
from tests.world import A_MORNING, World
from tests.written import keep

WORKERS = 2
START_SECONDS, STOP_SECONDS = 60.0, 10.0
REPLACED_WITHIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Instance:
    service: Served

    @property
    def port(self) -> int:
        return int(self.service.base_url.rpartition(":")[2])

    def workers(self) -> list[int]:
        """The supervisor's children that serve; Python's resource tracker is one that does not."""
        children = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in children if _parent_of(pid) == self.service.process.pid and _serves(pid)]

    async def replaced(self, killed: int, but: int = 0) -> list[int]:
        """Its workers without `but`, when there are as many as before; the new one may not answer yet."""
        until = monotonic() + REPLACED_WITHIN_SECONDS
        while killed in (workers := self.workers()) or len(workers) < WORKERS:
            assert monotonic() < until, "the worker was not replaced"
            self.service.require_alive()
            await asyncio.sleep(0.05)
        return [worker for worker in workers if worker != but]

    async def metrics(self, world: World) -> dict[str, float]:
        """What whichever worker is asked says of all of them."""
        async with world.http.get(f"{self.service.base_url}/metrics") as response:
            assert response.status == 200
            lines = (await response.text()).splitlines()
            keep("metrics", *(line.encode() for line in lines))
        samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in samples}

    @asynccontextmanager
    async def lines(self, world: World, each: int) -> AsyncIterator[list[World]]:
        """So many connections to each of the workers, in turn; what goes over one is answered by the same worker, as
        long as nothing is idle for five seconds."""
        to: dict[int, list[World]] = {worker: [] for worker in self.workers()}
        until = monotonic() + REPLACED_WITHIN_SECONDS
        async with AsyncExitStack() as stack:
            while any(len(lines) < each for lines in to.values()):
                assert monotonic() < until, f"not every worker takes calls: {to.keys()}"
                http, worker = await self._line(stack)
                to[worker].append(replace(world, http=http, base_url=self.service.base_url))
            yield [line for turn in zip(*(lines[:each] for lines in to.values()), strict=True) for line in turn]

    async def _line(self, stack: AsyncExitStack) -> tuple[aiohttp.ClientSession, int]:
        opened: list[socket.socket] = []

        def open_socket(address: Any) -> socket.socket:
            opened.append(socket.socket(*address[:3]))
            return opened[-1]

        connector = aiohttp.TCPConnector(limit=1, socket_factory=open_socket)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        async with http.get(f"{self.service.base_url}/readyz") as response:
            assert response.status == 200
            await response.read()
        inode = _inode_of_the_other_end(self.port, opened[-1].getsockname()[1])
        return http, next(worker for worker in self.workers() if inode in _sockets_of(worker))


@dataclass(frozen=True, slots=True)
class Instances:
    """Several on one database and Redis; `world` has the database, the clock and the tills of all."""

    all: tuple[Instance, ...]
    world: World

    @asynccontextmanager
    async def lines(self, each: int) -> AsyncIterator[list[World]]:
        """So many connections to every worker of every instance."""
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(instance.lines(self.world, each)) for instance in self.all]
            yield [line for some in lines for line in some]


@asynccontextmanager
async def instances(premises: Premises, count: int, **settings: Any) -> AsyncIterator[Instances]:
    """So many, with two workers each, at A_MORNING; no till has too much waiting. Also their directory is one."""
    clock_file = premises.directory / "clock"
    clock = ShiftedClock.create(clock_file, A_MORNING)
    database = await asyncpg.connect(premises.database_url)
    try:
        async with AsyncExitStack() as stack:
            environment = {
                "DATABASE_URL": premises.database_url,
                "REDIS_URL": premises.redis_url,
                "AUTHZ_CLOCK_OFFSET_FILE": str(clock_file),
                "AUTHZ_WORKERS": str(WORKERS),
                "AUTHZ_WAITING_PER_TERMINAL": "1000",
                "AUTHZ_DRAIN_SECONDS": "0",
                **{f"AUTHZ_{name.upper()}": str(value) for name, value in settings.items()},
            }
            running = tuple(
                stack.enter_context(instance(premises.directory, environment, log=f"service-{number}.log"))
                for number in range(count)
            )
            http = await stack.enter_async_context(aiohttp.ClientSession())
            world = World(running[0].service.base_url, http, database, clock, premises.tills, Settings())
            yield Instances(running, world)
    finally:
        await database.close()


@contextmanager
def instance(data_dir: Path, environment: dict[str, str], *, log: str, port: int = 0) -> Iterator[Instance]:
    """One that is ready."""
    own = {**environment, "AUTHZ_DATA_DIR": str(data_dir)}
    times = {"start_seconds": START_SECONDS, "stop_seconds": STOP_SECONDS}
    with served(own, port or free_port(), data_dir / log, **times) as service:
        yield Instance(service)


def is_running(pid: int) -> bool:
    """Neither ended nor waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _serves(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _inode_of_the_other_end(port: int, ours: int) -> str:
    """Of the socket that has accepted our connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = line.split()
        if (int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16)) == (port, ours):
            return rest[6]
    raise AssertionError("nobody has accepted the connection")


def _sockets_of(pid: int) -> set[str]:
    inodes = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            inodes.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
    return inodes
