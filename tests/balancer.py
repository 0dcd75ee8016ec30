"""A balancer as small as can be: it passes connections on to instances whose /readyz says 200, each in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

PROBE_SECONDS = 0.05


class Balancer:
    """Connections that are open stay where they are; new ones go to whoever was ready a moment ago."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self.ready: set[int] = set()
        self._turn = 0
        self._pipes: set[asyncio.Task[None]] = set()

    async def probe_for_ever(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as http:
            while True:
                for port in self._ports:
                    try:
                        async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                            is_ready = response.status == 200
                    except (aiohttp.ClientError, TimeoutError, OSError):
                        is_ready = False
                    (self.ready.add if is_ready else self.ready.discard)(port)
                await asyncio.sleep(PROBE_SECONDS)

    async def has(self, *ports: int) -> None:
        """These and no others are ready."""
        async with asyncio.timeout(60):
            while self.ready != set(ports):
                await asyncio.sleep(PROBE_SECONDS)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        ports = sorted(self.ready)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", ports[self._turn % len(ports)])
        except (OSError, ZeroDivisionError):
            writer.close()
            return
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(_piped(source, sink))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)


async def _piped(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(65_536):
            sink.write(piece)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def balancing(ports: list[int]) -> AsyncIterator[tuple[Balancer, str]]:
    """The balancer and its address, once all are ready."""
    balancer = Balancer(ports)
    probing = asyncio.create_task(balancer.probe_for_ever())
    server = await asyncio.start_server(balancer.connected, "127.0.0.1", 0)
    try:
        await balancer.has(*ports)
        yield balancer, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        probing.cancel()
        server.close()
        await asyncio.wait({probing})
