"""One request of somebody at the console: who it is, in which language, what stands in the form, and how it ends.

A page's handler gets a `Visit` and returns `visit.page(…)` or `visit.redirect(…)`. Before it runs, `Page` has looked up
the session, asked the table of permissions, and of a POST compared the origin and the form's token.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import structlog
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse, RedirectResponse

from authz_service.api.arrival import body_of, head_of
from authz_service.api.rates import Rate
from authz_service.audit import Seat, seated
from authz_service.clock import Clock, monotonic_seconds
from authz_service.console.drawing import draw
from authz_service.console.permissions import ANYBODY, BEFORE_THE_PASSWORD, PERMITTED
from authz_service.console.sessions import SignedIn, Where, whose
from authz_service.console.words import LANGUAGES, WORDS
from authz_service.database import Connection, OfficePool
from authz_service.keys import Keys
from authz_service.metrics import count_answer
from authz_service.passwords import Passwords
from authz_service.people import Role
from authz_service.problems import Problem
from authz_service.registry import Reference, Registry
from authz_service.settings import SANDBOX_ROOT_KEY, Settings
from authz_service.tracing import NewRequestId
from authz_service.vocabulary import Chance, ProgrammeId

log = structlog.get_logger()
PREFIX: Final = "/console"
SESSION_COOKIE: Final = "authz_console"
VISITOR_COOKIE: Final = "authz_visitor"
LANGUAGE_COOKIE: Final = "authz_language"
TOKEN_BYTES: Final = 32
_NONCE_BYTES: Final = 8
_FIELDS_LIMIT: Final = 60
_FIELD_LIMIT: Final = 500
_PARAMETER_LIMIT: Final = 64
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_YEAR_SECONDS: Final = 31_536_000


@dataclass(slots=True, kw_only=True)
class Desk:
    """What is open behind the console while the service runs."""

    settings: Settings
    keys: Keys
    registry: Registry
    pool: OfficePool
    clock: Clock
    chance: Chance
    passwords: Passwords
    addresses: Rate
    """Of sign-ins."""
    new_request_id: NewRequestId

    @property
    def is_sandbox(self) -> bool:
        """The key is the public one: whatever is shown is synthetic, and the pages say so."""
        return self.settings.root_key.get_secret_value() == SANDBOX_ROOT_KEY

    async def reference(self, programme_id: ProgrammeId) -> Reference:
        """Of a programme, also where it was enrolled a moment ago."""
        if programme_id not in self.registry.programmes:
            await self.registry.load()
        return self.registry.reference(programme_id)


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request."""

    desk: Desk
    request: Request
    request_id: str
    token: str
    """Of the session, if the browser has sent one."""
    visitor: str
    """Of the browser: forms of somebody who has not signed in are bound to it. A cookie of its own, for whoever comes
    from another site has the session's cookie withheld, and must not lose it by being shown the sign-in."""
    language: str
    now: datetime
    someone: SignedIn | None
    reference: Reference | None
    form: Mapping[str, str] = field(default_factory=dict)
    """What a POST brought; each field once."""

    @property
    def person(self) -> SignedIn:
        """Who has signed in; only addresses that are not for anybody may ask."""
        if self.someone is None:
            raise LookupError("an address that is for anybody asks who it is")
        return self.someone

    @property
    def programme(self) -> Reference:
        """The person's programme and its shops, as the cache has them."""
        if self.reference is None:
            raise LookupError("an address that is for anybody asks for a programme")
        return self.reference

    @property
    def programme_id(self) -> ProgrammeId:
        return self.person.programme_id

    @property
    def zone(self) -> ZoneInfo:
        return self.programme.programme.zone

    @property
    def where(self) -> Where:
        return Where(now=self.now, chance=self.desk.chance, request_id=self.request_id)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """A connection of the console's own, for a time."""
        async with self.desk.pool.lent() as connection:
            yield connection

    def t(self, word: str, **filled: object) -> str:
        """The word of the catalogue in the visitor's language."""
        text = WORDS[word][LANGUAGES.index(self.language)]
        return text.format(**filled) if filled else text

    def asked(self, name: str) -> str:
        """A parameter of the address, if it is one that may be looked for: an id or a word, never a name."""
        given = self.request.query_params.get(name, "").strip()
        return given if given.isprintable() and len(given) <= _PARAMETER_LIMIT else ""

    def new_token(self) -> str:
        return self.desk.chance(TOKEN_BYTES).hex()

    def form_token(self) -> str:
        """Another one on each page, all of them good for this session: what is compressed beside it tells nothing."""
        nonce = self.desk.chance(_NONCE_BYTES).hex()
        bound_to = self.token if self.someone is not None else self.visitor
        return nonce + self.desk.keys.form_token(f"{nonce} {bound_to}")

    def page(self, template: str, status: int = 200, **shown: Any) -> Response:
        """The page, drawn."""
        return HTMLResponse(draw(template, self, shown), status)

    def redirect(self, path: str, said: str | None = None) -> Response:
        """To another page (303), which shows the sentence `said.…` of the catalogue."""
        query = "" if said is None else f"?said={said}"
        return RedirectResponse(PREFIX + path + query, HTTPStatus.SEE_OTHER)

    def refused(self, status: int, word: str, **filled: object) -> Response:
        """A page that says no, in a sentence."""
        return self.page("refused.html", status, title=self.t("refused.title"), sentence=self.t(word, **filled))

    def with_token(self, response: Response, token: str, cookie: str = SESSION_COOKIE) -> Response:
        """The browser has this token from now on."""
        response.set_cookie(
            _cookie_name(cookie, self.request, self.desk), token, httponly=True, samesite="strict", path=PREFIX,
            secure=_is_secure(self.request, self.desk),
        )  # fmt: skip
        return response


class Page(APIRoute):
    """An address of the console; one that the table of permissions does not have cannot be made."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()
        method = next(iter(self.methods or ()))
        address = f"{method} {self.path}"
        permitted = PERMITTED[address]

        async def handle(request: Request) -> Response:
            since = monotonic_seconds()
            visit = arrived(request)
            try:
                response = await self._opened(visit, address, permitted, plain)
            except Problem as problem:
                response = visit.refused(problem.status, "refused.busy" if problem.status >= 500 else "refused.form")  # noqa: PLR2004
            except _AWAY as fault:
                log.warning("console_failed", request_id=visit.request_id, error=type(fault).__name__)
                response = visit.refused(HTTPStatus.SERVICE_UNAVAILABLE, "refused.busy")
            except Exception:
                log.exception("request_failed", request_id=visit.request_id)
                response = visit.refused(HTTPStatus.INTERNAL_SERVER_ERROR, "refused.ours", id=visit.request_id)
            count_answer("console", response.status_code, monotonic_seconds() - since)
            return response

        return handle

    async def _opened(
        self,
        visit: Visit,
        address: str,
        permitted: frozenset[Role] | None,
        plain: Callable[[Request], Coroutine[Any, Any, Response]],
    ) -> Response:
        """What the page answers to whom it is for; a sentence, or the way to the sign-in, to everybody else."""
        await _recognised(visit)
        if not all(str(part).isprintable() for part in visit.request.path_params.values()):
            return visit.refused(HTTPStatus.NOT_FOUND, "refused.address")
        if visit.request.method == "POST":
            if not _is_from_here(visit.request):
                return visit.refused(HTTPStatus.FORBIDDEN, "refused.origin")
            visit.form = await _form(visit)
            if not _is_our_form(visit, permitted):
                return visit.refused(HTTPStatus.FORBIDDEN, "refused.form")
        if permitted is not ANYBODY:
            if visit.someone is None:
                return visit.redirect("/sign-in", "session_over" if visit.request.method == "POST" else None)
            if visit.someone.password_is_for_once and address not in BEFORE_THE_PASSWORD:
                return visit.redirect("/password")
            if visit.someone.role not in permitted:
                return visit.refused(HTTPStatus.FORBIDDEN, "refused.role")
        role = visit.someone.role if visit.someone is not None else None
        with seated(Seat(role=role, request_id=visit.request_id)):
            return await plain(visit.request)


def visit_of(request: Request) -> Visit:
    """The visit that this request is."""
    visit: Visit = request.state.visit
    return visit


Here: TypeAlias = Annotated[Visit, Depends(visit_of)]


def arrived(request: Request) -> Visit:
    """Somebody has come; who it is is not known yet."""
    desk: Desk = request.app.state.desk
    language = request.cookies.get(LANGUAGE_COOKIE, "")
    visit = request.state.visit = Visit(
        desk=desk,
        request=request,
        request_id=head_of(request.scope, desk.new_request_id).request_id,
        token=_cookie(SESSION_COOKIE, request, desk),
        visitor=_cookie(VISITOR_COOKIE, request, desk),
        language=language if language in LANGUAGES else LANGUAGES[0],
        now=desk.clock.estimate(),
        someone=None,
        reference=None,
    )
    return visit


async def _recognised(visit: Visit) -> None:
    """It is known who comes, by the database's clock."""
    if not visit.token:
        return
    async with visit.lent() as connection:
        visit.now = visit.desk.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        visit.someone = await whose(connection, visit.desk.keys, visit.desk.settings, visit.token, visit.now)
    if visit.someone is not None:
        visit.reference = await visit.desk.reference(visit.someone.programme_id)


def _is_from_here(request: Request) -> bool:
    """A browser says with each POST from which site it comes; it must be the one that is asked."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host") and site == "same-origin"


async def _form(visit: Visit) -> dict[str, str]:
    """What the browser sent, each field once, without blanks around it."""
    head = head_of(visit.request.scope, visit.desk.new_request_id)
    raw = await body_of(head, visit.request.receive, visit.desk.settings)
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_LIMIT, errors="strict")
    except ValueError:
        return {}
    fields = {name: value.strip() for name, value in pairs}
    whole = len(fields) == len(pairs) and all(
        len(value) <= _FIELD_LIMIT and value.isprintable() for value in fields.values()
    )
    return fields if whole else {}


def _is_our_form(visit: Visit, permitted: frozenset[Role] | None) -> bool:
    """It is bound to the session; where anybody may, or the session is over, also to the browser."""
    sent = visit.form.get("form_token", "")
    nonce, token = sent[: 2 * _NONCE_BYTES], sent[2 * _NONCE_BYTES :]
    if not sent.isascii():
        return False
    for_anybody = permitted is ANYBODY or visit.someone is None
    bound_to = (visit.token, visit.visitor) if for_anybody else (visit.token,)
    form_token = visit.desk.keys.form_token
    return any(compare_digest(token, form_token(f"{nonce} {each}")) for each in bound_to if each)


def _is_secure(request: Request, desk: Desk) -> bool:
    """Whether the cookie is for TLS only: always, but with synthetic data or on this very machine."""
    return not desk.is_sandbox and (request.url.hostname or "") not in _LOOPBACK


def _cookie(name: str, request: Request, desk: Desk) -> str:
    return request.cookies.get(_cookie_name(name, request, desk), "")[: 2 * TOKEN_BYTES]


def _cookie_name(name: str, request: Request, desk: Desk) -> str:
    """With the prefix for which browsers take it only over TLS."""
    return f"__Secure-{name}" if _is_secure(request, desk) else name


def set_language(response: Response, language: str, visit: Visit) -> None:
    """Kept in the browser for a year."""
    response.set_cookie(
        LANGUAGE_COOKIE, language, max_age=_YEAR_SECONDS, httponly=True, samesite="strict", path=PREFIX,
        secure=_is_secure(visit.request, visit.desk),
    )  # fmt: skip
