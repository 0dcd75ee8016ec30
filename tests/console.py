"""Somebody at the console in a test: an HTTP client with cookies that finds the form's token, as a browser would."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape

import aiohttp
import asyncpg

from authz_service.passwords import Passwords
from authz_service.people import Ordered, Role, add_person
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME, World

QUICK = Settings().model_copy(update={"password_memory_kib": 64})
PASSWORD = "perahu di sungai Mahakam"
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')
_ONCE = re.compile(r'name="once" value="([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Seen:
    """What came back, with the page's text as it is read."""

    status: int
    body: str
    headers: Mapping[str, str]
    path: str

    @property
    def token(self) -> str:
        return _TOKEN.search(self.body)[1]  # type: ignore[index]

    @property
    def once(self) -> str:
        return _ONCE.search(self.body)[1]  # type: ignore[index]

    @property
    def text(self) -> str:
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.body)).split())


@dataclass(slots=True)
class Browser:
    """Follows redirects and keeps cookies; sends with each form the token of the page before."""

    base_url: str
    http: aiohttp.ClientSession
    last: Seen | None = field(default=None)

    async def get(self, path: str) -> Seen:
        async with self.http.get(f"{self.base_url}/console{path}") as response:
            return await self._seen(response)

    async def post(
        self, path: str, form: Mapping[str, str], *, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Seen:
        carried = token if token is not None else self.last.token if self.last else ""
        sent = {"origin": self.base_url, **(headers or {})}
        data = {"form_token": carried, **form}
        async with self.http.post(f"{self.base_url}/console{path}", data=data, headers=sent) as response:
            return await self._seen(response)

    async def sign_in(self, name: str, password: str = PASSWORD) -> Seen:
        await self.get("/sign-in")
        return await self.post("/sign-in", {"programme": PROGRAMME, "name": name, "password": password})

    async def opened(self, beneficiary_id: str) -> Seen:
        """The family's page, with a reason."""
        await self.get(f"/families/{beneficiary_id}")
        return await self.post(f"/families/{beneficiary_id}/open", {"why": "complaint"})

    async def _seen(self, response: aiohttp.ClientResponse) -> Seen:
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.last = Seen(response.status, await response.text(), headers, response.url.path_qs)
        return self.last


def browser(world: World) -> Browser:
    """A fresh one; the world's session is closed with the world, this one by its user."""
    return Browser(world.base_url, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))


async def employ(
    database: "asyncpg.Connection[asyncpg.Record]", name: str, role: Role, world: World, *, for_once: bool = False
) -> None:
    """The person may sign in with PASSWORD."""
    password_hash = await Passwords(QUICK, os.urandom).hash(PASSWORD)
    ordered = Ordered(programme_id=ProgrammeId(PROGRAMME), actor="test", now=world.now, chance=os.urandom)
    await add_person(database, name, role, password_hash, ordered, is_for_once=for_once)
