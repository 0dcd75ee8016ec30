"""A receiver of events on loopback, an endpoint that points to it, and a dispatcher that a test turns by hand."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import ClientSession, web
from standardwebhooks import Webhook

from authz_service.events.dispatcher import Dispatcher
from authz_service.events.endpoints import add_endpoint
from authz_service.events.numbering import number_events
from authz_service.events.sending import open_session
from authz_service.events.signature import written_secret
from authz_service.keys import Keys
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME, World

SAMARINDA = ProgrammeId(PROGRAMME)
Answer = Callable[[web.Request, bytes], Any]


@dataclass(slots=True)
class Heard:
    """One request as it came."""

    event_id: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = orjson.loads(self.raw)
        return parsed

    @property
    def type(self) -> str:
        return str(self.body["type"])


@dataclass(slots=True)
class Receiver:
    """`answers` are given in turn, the last one for ever; each is a status, a response, or something to await."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answers: list[Any] = field(default_factory=lambda: [204])
    at_once: int = 0
    most_at_once: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.heard.append(Heard(headers["webhook-id"], headers, raw))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if callable(answer):
                answer = await answer(request)
            return answer if isinstance(answer, web.StreamResponse) else web.Response(status=answer)
        finally:
            self.at_once -= 1

    @property
    def ids(self) -> list[str]:
        return [each.event_id for each in self.heard]

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.heard]

    async def has(self, count: int, seconds: float = 20.0) -> None:
        """So many requests have come."""
        async with asyncio.timeout(seconds):
            while len(self.heard) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listens on a free port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{port}/events"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def an_endpoint(world: World, url: str, *types: str, label: str = "Dinsos") -> str:
    """Told from now on of these types, or of everything."""
    return await add_endpoint(
        world.database,
        world.settings,
        SAMARINDA,
        url,
        label=label,
        types=types or ("*",),
        actor="dinsos",
        now=world.now,
        chance=os.urandom,
    )


def secret_of(endpoint_id: str, number: int = 1) -> str:
    return written_secret(Keys(Settings().root_key.get_secret_value()).event_secret(endpoint_id, number))


def verified(heard: Heard, secret: str) -> Any:
    """What an independent implementation says of it."""
    return Webhook(secret).verify(heard.raw, heard.headers)


async def numbered(world: World, **settings: Any) -> None:
    """Everything that is committed has its number."""
    chosen = world.settings.model_copy(update=settings)
    while await number_events(world.database, chosen, SAMARINDA, world.clock):
        pass


async def told(world: World) -> list[tuple[str, dict[str, Any]]]:
    """(type, data) of every event that is committed, in the order in which they were written."""
    rows = await world.database.fetch("SELECT type, data FROM event ORDER BY position")
    return [(row["type"], orjson.loads(row["data"])) for row in rows]


async def types_told(world: World) -> list[str]:
    return [kind for kind, _ in await told(world)]


@dataclass(slots=True)
class Sender:
    """A dispatcher beside the service's own, which sleeps."""

    dispatcher: Dispatcher
    session: ClientSession

    async def round(self) -> None:
        """One round, and all that it began has ended."""
        await self.dispatcher.round(self.session)
        await self.dispatcher.all_sent()


@asynccontextmanager
async def a_sender(world: World, **settings: Any) -> AsyncIterator[Sender]:
    """Fast: what fails is due again at once, and no endpoint rests."""
    assert world.service is not None
    running = world.service._running
    assert running is not None
    fast = {"event_retry_seconds": (0.0,) * 9, "event_rest_limit_seconds": 0.0, **settings}
    chosen = world.settings.model_copy(update=fast)
    keys = Keys(chosen.root_key.get_secret_value())
    dispatcher = Dispatcher(settings=chosen, pool=running.pool, keys=keys, clock=world.clock, chance=os.urandom)
    async with open_session(chosen) as session:
        yield Sender(dispatcher, session)


async def standing(world: World) -> list[tuple[str, int]]:
    """(state, tries) of every delivery, by number."""
    rows = await world.database.fetch("SELECT state, tries FROM event_delivery ORDER BY number, endpoint_id")
    return [tuple(row) for row in rows]


async def outcomes(world: World) -> list[str]:
    """Of every attempt, in their order."""
    rows = await world.database.fetch("SELECT outcome FROM event_attempt ORDER BY attempted_at, attempt")
    return [row[0] for row in rows]
