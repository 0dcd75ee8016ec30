"""A mobile line to the service that loses answers on their way back: what was decided the till does not hear."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

LOST_ONE_IN = 4


@dataclass(slots=True)
class LosingLine:
    """The first answer to every fourth key is lost; when the same request comes again, its answer gets through."""

    service_url: str
    http: aiohttp.ClientSession
    base_url: str = ""
    sent: Counter[str] = field(default_factory=Counter)
    """How often each sale came, by its key."""
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    async def carry(self, request: web.Request) -> web.StreamResponse:
        key, body = request.headers.get("Idempotency-Key", ""), await request.read()
        self.bodies.setdefault(key, set()).add(body)
        if request.path == "/v1/authorizations" and key:
            self.sent[key] += 1
        headers = {name: value for name, value in request.headers.items() if name not in {"Host", "Content-Length"}}
        url = self.service_url + request.path_qs
        async with self.http.request(request.method, url, data=body, headers=headers) as answer:
            raw = await answer.read()
        if key and self._is_lost(key) and request.transport is not None:
            request.transport.close()
        passed = {
            name: answer.headers[name] for name in ("Idempotent-Replayed", "Retry-After") if name in answer.headers
        }
        return web.Response(status=answer.status, body=raw, headers=passed, content_type=answer.content_type)

    def _is_lost(self, key: str) -> bool:
        if key in self.lost or len(self.bodies) % LOST_ONE_IN:
            return False
        self.lost.add(key)
        return True


@asynccontextmanager
async def losing_line(service_url: str) -> AsyncIterator[LosingLine]:
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        line = LosingLine(service_url, http)
        runner = web.ServerRunner(web.Server(line.carry))  # type: ignore[arg-type]
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        line.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield line
        finally:
            await runner.cleanup()
