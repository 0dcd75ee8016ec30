"""The terminals' calls, a plain ASGI callable in front of FastAPI: its wrappers would cost more than a decision.

`contract.md` is the source. `documentation.py` describes the same calls for OpenAPI; a test holds the two together.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import asyncpg
import orjson
import structlog
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Receive, Scope, Send

from authz_service.answers import OK, Answer
from authz_service.api.arrival import (
    PREFIX,
    Arrived,
    Headers,
    body_of,
    head_of,
    idempotency_key,
    may_be_an_id,
    problem_answer,
)
from authz_service.api.bodies import parse
from authz_service.catalogue import catalogue
from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import OfficePool
from authz_service.history import authorisation_document
from authz_service.idempotency import fingerprint
from authz_service.keys import Keys
from authz_service.metrics import count_answer
from authz_service.problems import (
    InternalError,
    MethodNotAllowed,
    NoSuchAddress,
    NotDecided,
    NotFound,
    OutcomeUnknown,
    Problem,
    QueryInvalid,
    Unauthenticated,
)
from authz_service.registry import Principal, Registry
from authz_service.requests import BalanceInquiry, Capture, Purchase, Refund, Reversal, Void
from authz_service.settings import Settings
from authz_service.tracing import NewRequestId
from authz_service.waiting import Asked, Body, WaitingRoom

log = structlog.get_logger()
_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", b"application/problem+json")
_NOT_STORED: Final = (b"cache-control", b"no-store")
_ASK_AGAIN: Final = (b"cache-control", b"no-cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A POST call: what its body becomes, and whether it needs a key and may come without a body."""

    name: str
    adapter: TypeAdapter[Any]
    keyed: bool
    body_is_optional: bool


AUTHORISE: Final = Call(name="authorise", adapter=TypeAdapter(Purchase), keyed=True, body_is_optional=False)
CAPTURE: Final = Call(name="capture", adapter=TypeAdapter(Capture), keyed=True, body_is_optional=True)
VOID: Final = Call(name="void", adapter=TypeAdapter(Void), keyed=True, body_is_optional=True)
BALANCE: Final = Call(name="balance_inquiry", adapter=TypeAdapter(BalanceInquiry), keyed=False, body_is_optional=False)
REFUND: Final = Call(name="refund", adapter=TypeAdapter(Refund), keyed=True, body_is_optional=False)
REVERSE: Final = Call(name="reverse", adapter=TypeAdapter(Reversal), keyed=True, body_is_optional=False)
LATER_CALLS: Final = {"captures": CAPTURE, "void": VOID, "refunds": REFUND}


@dataclass(slots=True, kw_only=True)
class PosDoor:
    """The terminals' calls below /v1/; the back office's and the rest go to `inner`."""

    inner: ASGIApp
    settings: Settings
    keys: Keys
    registry: Registry
    room: WaitingRoom
    pool: OfficePool
    clock: Clock
    new_request_id: NewRequestId

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            return await self.inner(scope, receive, send)
        arrived = head_of(scope, self.new_request_id)
        if _is_of_the_back_office(arrived):
            return await self.inner(scope, receive, send)
        try:
            name, answer, headers = await self._route(arrived, receive)
        except Problem as problem:
            if isinstance(problem, NotDecided | OutcomeUnknown):
                # The journal may know nothing of it; whoever asks by its name finds it here.
                log.warning("request_not_decided", **arrived.names.said, code=problem.code)
            name, (answer, headers) = _name_of(arrived), problem_answer(problem, arrived.request_id)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as fault:
            log.warning("read_failed", **arrived.names.said, error=type(fault).__name__)
            unread = NotDecided("the books cannot be read now")
            name, (answer, headers) = _name_of(arrived), problem_answer(unread, arrived.request_id)
        except Exception:
            log.exception("request_failed", **arrived.names.said)
            broken = InternalError("an error of ours; operators were told")
            name, (answer, headers) = _name_of(arrived), problem_answer(broken, arrived.request_id)
        count_answer(name, answer.status, monotonic_seconds() - arrived.since)
        await _send(send, answer, headers, arrived)

    async def _route(self, arrived: Arrived, receive: Receive) -> tuple[str, Answer, Headers]:
        match arrived.method, arrived.parts:
            case "POST", ("authorizations",):
                return await self._post(AUTHORISE, arrived, receive, None)
            case "POST", ("authorizations", authorisation_id, call) if call in LATER_CALLS:
                return await self._post(LATER_CALLS[call], arrived, receive, authorisation_id)
            case "POST", ("reversals",):
                return await self._post(REVERSE, arrived, receive, None)
            case "POST", ("balance-inquiries",):
                return await self._post(BALANCE, arrived, receive, None)
            case "GET", ("authorizations", authorisation_id):
                return await self._authorisation(arrived, authorisation_id)
            case "GET", ("catalogue",):
                return await self._catalogue(arrived)
            case _, ("authorizations",):
                raise MethodNotAllowed("GET, POST")
            case _, ("balance-inquiries",) | ("reversals",):
                raise MethodNotAllowed("POST")
            case _, ("authorizations", _) | ("catalogue",):
                raise MethodNotAllowed("GET")
            case _, ("authorizations", _, call) if call in LATER_CALLS:
                raise MethodNotAllowed("POST")
            case _:
                raise NoSuchAddress("there is nothing at this address")

    async def _post(
        self, call: Call, arrived: Arrived, receive: Receive, authorisation_id: str | None
    ) -> tuple[str, Answer, Headers]:
        principal = await self._principal(arrived)
        dry_run = _dry_run(arrived, allowed=call is AUTHORISE)
        key_digest = None
        if call.keyed and not dry_run:
            key_digest = self.keys.request_digest(idempotency_key(arrived))
        raw = await body_of(arrived, receive, self.settings)
        if not raw and call.body_is_optional and not arrived.announces_a_body:
            raw = b"{}"
        body: Body = parse(call.adapter, raw)
        if authorisation_id is not None and not may_be_an_id(authorisation_id):
            raise NotFound("there is no such authorisation")
        asked = Asked(
            body=body,
            principal=principal,
            key_digest=key_digest,
            fingerprint=fingerprint(self.keys, arrived.method, arrived.path, body) if key_digest else None,
            original_digest=self._original(body),
            card_digest=self.keys.card_digest(body.card_number)
            if isinstance(body, Purchase | BalanceInquiry)
            else None,
            authorisation_id=authorisation_id,
            names=arrived.names,
            dry_run=dry_run,
            deadline=monotonic_seconds() + self.settings.deadline_seconds,
            answer=asyncio.get_running_loop().create_future(),
        )
        answer = await self.room.answer(asked)
        return call.name, answer, [(b"idempotent-replayed", b"true")] if answer.replayed else []

    def _original(self, body: Body) -> bytes | None:
        """How a reversal's original is found; for a STAN a name that no key can have, since keys hold no blank."""
        if not isinstance(body, Reversal):
            return None
        if body.idempotency_key is not None:
            return self.keys.request_digest(body.idempotency_key.encode())
        return self.keys.request_digest(f"STAN {body.stan} {body.terminal_time}".encode())

    async def _authorisation(self, arrived: Arrived, authorisation_id: str) -> tuple[str, Answer, Headers]:
        principal = await self._principal(arrived)
        if not may_be_an_id(authorisation_id):
            raise NotFound("there is no such authorisation")
        zone = self.registry.reference(principal.programme_id).programme.zone
        key = (principal.programme_id, authorisation_id, principal.merchant_id)
        async with self.pool.lent(self._time_left(arrived)) as connection:
            document = await authorisation_document(connection, key, self.clock, zone)
        if document is None:
            raise NotFound("this shop has no such authorisation")
        return "get_authorisation", Answer(status=OK, body=orjson.dumps(document)), []

    async def _catalogue(self, arrived: Arrived) -> tuple[str, Answer, Headers]:
        principal = await self._principal(arrived)
        reference = self.registry.reference(principal.programme_id)
        async with self.pool.lent(self._time_left(arrived)) as connection:
            now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        shop = reference.shops.get(principal.merchant_id)
        today = now.astimezone(reference.programme.zone).date()
        listed = catalogue(reference, today, shop.district_code if shop else None)
        headers = [(b"etag", listed.etag.encode()), _ASK_AGAIN]
        if _etag_matches(arrived.headers.get(b"if-none-match", b""), listed.etag):
            return "catalogue", Answer(status=HTTPStatus.NOT_MODIFIED, body=b""), headers
        return "catalogue", Answer(status=OK, body=listed.body), headers

    async def _principal(self, arrived: Arrived) -> Principal:
        if (token := arrived.token) is None:
            raise Unauthenticated("send Authorization: Bearer <terminal key>")
        digest = self.keys.terminal_key_digest(token)
        principal = await self.registry.principal(digest, self._time_left(arrived))
        if principal is None:
            raise Unauthenticated("no terminal has this key")
        return principal

    def _time_left(self, arrived: Arrived) -> float:
        """Of a read, which is whole with its head."""
        return arrived.since + self.settings.deadline_seconds - monotonic_seconds()


def _name_of(arrived: Arrived) -> str:
    """The call that was refused, as it is counted: what nobody knows has one name for all."""
    match arrived.method, arrived.parts:
        case "POST", ("authorizations",):
            return AUTHORISE.name
        case "POST", ("authorizations", _, call) if call in LATER_CALLS:
            return LATER_CALLS[call].name
        case "POST", ("reversals",):
            return REVERSE.name
        case "POST", ("balance-inquiries",):
            return BALANCE.name
        case "GET", ("authorizations", _):
            return "get_authorisation"
        case "GET", ("catalogue",):
            return "catalogue"
        case _:
            return "unknown"


def _is_of_the_back_office(arrived: Arrived) -> bool:
    """What companions and operators ask: `backoffice.py` answers it."""
    match arrived.method, arrived.parts:
        case _, ("vouchers" | "beneficiaries", *_):
            return True
        case "GET", ("authorizations",):
            return True
        case _, ("authorizations", _, "explanation"):
            return True
        case _:
            return False


def _dry_run(arrived: Arrived, *, allowed: bool) -> bool:
    """A misspelt `dry_run` must not become a sale, so nothing unknown is let pass."""
    if not arrived.query:
        return False
    if not allowed or arrived.query not in {b"dry_run=true", b"dry_run=false"}:
        raise QueryInvalid("only dry_run=true or dry_run=false is known, and only for an authorisation")
    return arrived.query == b"dry_run=true"


def _etag_matches(if_none_match: bytes, etag: str) -> bool:
    offered = {each.strip().removeprefix("W/") for each in if_none_match.decode("latin-1").split(",")}
    return etag in offered or "*" in offered


async def _send(send: Send, answer: Answer, headers: Headers, arrived: Arrived) -> None:
    fixed = [(b"x-request-id", arrived.request_id.encode())]
    if answer.status != HTTPStatus.NOT_MODIFIED:
        fixed += [_PROBLEM if answer.problem else _JSON, (b"content-length", b"%d" % len(answer.body))]
    if _ASK_AGAIN not in headers:
        fixed.append(_NOT_STORED)
    if arrived.whole is not None:
        return await arrived.whole.answer(answer.status, [*fixed, *headers], answer.body)
    await send({"type": "http.response.start", "status": answer.status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": answer.body})
