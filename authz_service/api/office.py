"""What every call of a companion or an operator has in common: who asks, the problem's form, one answer for one key.

A terminal's key is known here, and refused (403): `/v1/authorizations` is an address of both doors. At the terminals'
door a companion's or operator's key is nobody's (401): the hot path looks nowhere else.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import orjson
import structlog
from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from structlog.contextvars import bind_contextvars

from authz_service.access import Caller, caller_of
from authz_service.answers import Answer, Document
from authz_service.api.arrival import Arrived, body_of, head_of, idempotency_key, problem_answer
from authz_service.api.bodies import parse, query_invalid
from authz_service.api.rates import Rate
from authz_service.bank.security import SecurityLog
from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import Connection, OfficePool
from authz_service.idempotency import fingerprint
from authz_service.keys import Keys
from authz_service.metrics import count_answer
from authz_service.once import Keyed, Work, once
from authz_service.problems import InternalError, KeyUnknown, NotDecided, NotForThisKey, Problem, QueryInvalid
from authz_service.registry import Reference, Registry
from authz_service.settings import Settings
from authz_service.tracing import NewRequestId
from authz_service.vocabulary import Chance

log = structlog.get_logger()
T = TypeVar("T")
_AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@dataclass(slots=True, kw_only=True)
class Office:
    """The stores and the clock behind the back office's calls."""

    settings: Settings
    keys: Keys
    registry: Registry
    pool: OfficePool
    clock: Clock
    chance: Chance
    new_request_id: NewRequestId
    security: SecurityLog
    inbox_has_news: asyncio.Event
    """Set when a notice of the bank was kept."""
    bank_addresses: Rate
    bank_partners: Rate

    async def caller(self, head: Arrived) -> Caller:
        """Whose key the request came with; looked up each time, so that a revoked key opens nothing."""
        if (token := head.token) is None:
            raise KeyUnknown("send Authorization: Bearer <key of a companion or an operator>")
        async with self.pool.lent() as connection:
            caller = await caller_of(connection, self.keys, token)
        if caller is not None:
            return caller
        if await self.registry.principal(self.keys.terminal_key_digest(token)) is not None:
            raise NotForThisKey("this is the key of a terminal")
        raise KeyUnknown("no companion and no operator has this key")

    async def reference(self, caller: Caller) -> Reference:
        """The caller's programme, also where it was enrolled a moment ago."""
        if caller.programme_id not in self.registry.programmes:
            await self.registry.load()
        return self.registry.reference(caller.programme_id)

    async def zone(self, caller: Caller) -> ZoneInfo:
        return (await self.reference(caller)).programme.zone

    async def now(self, connection: Connection) -> datetime:
        return self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))

    async def once(self, request: Request, caller: Caller, body: object, work: Work) -> Response:
        """What `work` answers, or what it answered when this request came first."""
        head: Arrived = request.state.head
        keyed = Keyed(
            programme_id=caller.programme_id,
            principal_id=caller.principal_id,
            key_digest=self.keys.request_digest(idempotency_key(head)),
            fingerprint=fingerprint(self.keys, head.method, head.path, body),
            request_id=head.request_id,
        )
        limit = self.settings.office_lock_timeout_ms
        async with self.pool.lent() as connection:
            return as_response(await once(connection, keyed, work, clock=self.clock, lock_timeout_ms=limit))

    async def body(self, request: Request, adapter: TypeAdapter[T], *, optional: bool = False) -> T:
        """The request's body, read as the terminals' door reads one; where it is optional, nothing stands for `{}`."""
        head: Arrived = request.state.head
        if head.query:
            raise QueryInvalid("this call takes no query")
        idempotency_key(head)
        raw = await body_of(head, request.receive, self.settings)
        return parse(adapter, b"{}" if optional and not raw and not head.announces_a_body else raw)


class OfficeRoute(APIRoute):
    """Every answer has an X-Request-Id and is counted, and every fault is a problem."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain, name = super().get_route_handler(), self.operation_id or self.name

        async def handle(request: Request) -> Response:
            head = request.state.head = head_of(request.scope, office_of(request).new_request_id)
            # For every line that is logged below here; the task is this request's alone.
            bind_contextvars(**head.names.said)
            try:
                response = await plain(request)
            except Exception as fault:  # noqa: BLE001  (whatever it is, the caller gets a problem)
                answer, headers = problem_answer(_as_problem(fault), head.request_id)
                response = as_response(answer)
                response.raw_headers.extend(headers)
            response.headers["x-request-id"] = head.request_id
            count_answer(name, response.status_code, monotonic_seconds() - head.since)
            return response

        return handle


def office_of(request: Request) -> Office:
    """What is open while the service runs."""
    office: Office = request.app.state.office
    return office


async def _anyone(request: Request) -> Caller:
    caller = await office_of(request).caller(request.state.head)
    if request.method == "GET" and len(request.query_params.multi_items()) != len(request.query_params):
        raise QueryInvalid("a filter stands there twice")
    return caller


async def _companion(caller: Annotated[Caller, Depends(_anyone)]) -> Caller:
    if caller.companion_id is None:
        raise NotForThisKey("only a companion may do this")
    return caller


async def _operator(caller: Annotated[Caller, Depends(_anyone)]) -> Caller:
    if caller.operator_id is None:
        raise NotForThisKey("only an operator may do this")
    return caller


Here = Annotated[Office, Depends(office_of)]
Anyone = Annotated[Caller, Depends(_anyone)]
Companion = Annotated[Caller, Depends(_companion)]
Operator = Annotated[Caller, Depends(_operator)]


def told(status: int, document: Document) -> Answer:
    return Answer(status=status, body=orjson.dumps(document))


def as_response(answer: Answer) -> Response:
    media_type = "application/problem+json" if answer.problem else "application/json"
    headers = {"cache-control": "no-store"} | ({"idempotent-replayed": "true"} if answer.replayed else {})
    return Response(answer.body, answer.status, headers, media_type)


def _as_problem(fault: Exception) -> Problem:
    if isinstance(fault, Problem):
        return fault
    if isinstance(fault, RequestValidationError):
        return query_invalid(fault.errors())
    if isinstance(fault, _AWAY):
        log.warning("office_failed", error=type(fault).__name__)
        return NotDecided("the books cannot be reached now")
    log.error("request_failed", exc_info=fault)
    return InternalError("an error of ours; operators were told")
