"""The bank's door, by Bank Indonesia's SNAP: an access token, and notices of what became of our payouts.

Only what is not genuine or not readable is refused, and nothing of it is kept but a line of the security log. A
genuine notice is kept first and acknowledged then; whether it agrees with the books is seen later, by
`bank/following.py`: the bank has done its part.
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import orjson
import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from structlog.contextvars import bind_contextvars

from authz_service.api import wire_snap
from authz_service.api.arrival import Arrived, body_of, head_of
from authz_service.api.genuine import claimed, require_notice_signed, require_token_request_signed
from authz_service.api.office import Office, office_of
from authz_service.api.rates import Rate, sender_at
from authz_service.api.snap import (
    ServiceCode,
    SnapAnswer,
    SnapRefusal,
    bad_request,
    conflict,
    general_error,
    invalid_format,
    missing_field,
    not_supported,
    refused,
    successful,
    timed_out,
    too_many_requests,
    unauthorised,
)
from authz_service.bank.inbox import Received, receive
from authz_service.bank.notice import NoticeRefused, read_notice
from authz_service.bank.partners import PARTNER_ID_LIMIT
from authz_service.bank.security import SecurityLog
from authz_service.bank.signature import instant_of
from authz_service.clock import monotonic_seconds
from authz_service.metrics import count_answer
from authz_service.problems import Problem
from authz_service.vocabulary import CHANCE_BYTES

log = structlog.get_logger()
PREFIX: Final = "/snap/v1.0"
_EXTERNAL_ID: Final = re.compile(r"[0-9A-Za-z-]{1,36}")
"""SNAP wants digits; banks are known to send letters, too."""
_CHANNEL_ID: Final = re.compile(r"[0-9A-Za-z]{1,5}")
_PARTNER_ID: Final = re.compile(rf"[0-9A-Za-z-]{{1,{PARTNER_ID_LIMIT}}}")
_AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class SnapRoute(APIRoute):
    """Every answer has SNAP's form and its X-TIMESTAMP, and every fault is one of its codes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain, name = super().get_route_handler(), self.operation_id or self.name
        service = ServiceCode.ACCESS_TOKEN if name == "access_token" else ServiceCode.DEBIT_NOTIFY

        async def handle(request: Request) -> Response:
            office = office_of(request)
            head = request.state.head = head_of(request.scope, office.new_request_id)
            bind_contextvars(**head.names.said)
            try:
                _require_moderation(office.bank_addresses, sender_at(request.client.host if request.client else ""))
                response = await plain(request)
            except Exception as fault:  # noqa: BLE001  (whatever it is, the bank gets a code)
                response = await _refused(office, head, service, _as_refusal(fault))
            return _sent(office, head, name, response)

        return handle


router: Final = APIRouter(prefix=PREFIX, tags=["bank (SNAP)"], route_class=SnapRoute)
Here = Annotated[Office, Depends(office_of)]


@router.post(
    "/access-token/b2b",
    operation_id="access_token",
    summary="Fetch an access token",
    response_model=wire_snap.AccessToken,
    responses=wire_snap.REFUSALS,
    openapi_extra=wire_snap.TOKEN_REQUEST,
)
async def _access_token(request: Request, here: Here) -> Response:
    """A bank that signs with a client secret proves with its private key who it is, and gets a token of 15 minutes."""
    head: Arrived = request.state.head
    client_id, timestamp = _header(head, "X-CLIENT-KEY", _PARTNER_ID), _timestamp_header(head, here)
    signature = _header(head, "X-SIGNATURE")
    body = await _body(request, here)
    _require_client_credentials(body)
    async with here.pool.lent() as connection:
        partner, now = await claimed(connection, here, client_id)
    require_token_request_signed(partner, timestamp, signature)
    _require_moderation(here.bank_partners, client_id)
    lives = here.settings.bank_token_seconds
    until = int(now.timestamp()) + lives
    token = here.keys.bank_token(client_id, until, here.chance(CHANCE_BYTES))
    return _response(successful(ServiceCode.ACCESS_TOKEN, accessToken=token, tokenType="Bearer", expiresIn=str(lives)))


@router.post(
    "/debit/notify",
    operation_id="debit_notify",
    summary="Tell what became of a payout, or that money has come",
    response_model=wire_snap.Acknowledged,
    responses=wire_snap.REFUSALS,
    openapi_extra=wire_snap.NOTIFY_REQUEST,
)
async def _debit_notify(request: Request, here: Here) -> Response:
    """Success (00), pending (01 to 03), returned (04) or failed (05, 06) of the instruction that
    `originalPartnerReferenceNo` names. The same X-EXTERNAL-ID with the same body, on one day in WITA, is answered as
    it was; with another body it is 4095600."""
    head: Arrived = request.state.head
    partner_id = _header(head, "X-PARTNER-ID", _PARTNER_ID)
    external_id = _header(head, "X-EXTERNAL-ID", _EXTERNAL_ID)
    _header(head, "CHANNEL-ID", _CHANNEL_ID)
    timestamp, signature = _timestamp_header(head, here), _header(head, "X-SIGNATURE")
    body = await _body(request, here)
    async with here.pool.lent() as connection:
        partner, now = await claimed(connection, here, partner_id)
        require_notice_signed(here, head, partner, body, timestamp, signature, now)
        _require_moderation(here.bank_partners, partner_id)
        try:
            notice = read_notice(body)
        except NoticeRefused as wrong:
            raise SnapRefusal(400, wrong.case, str(wrong), security="notice_refused") from None
        received = await receive(
            connection, partner, notice, external_id=external_id, body=body, now=now, chance=here.chance
        )
    if received is Received.CONFLICTS:
        raise conflict()
    here.inbox_has_news.set()
    return _response(successful(ServiceCode.DEBIT_NOTIFY))


async def method_refused(request: Request, allowed: str) -> Response:
    """What an address of this door answers to a method that it does not take; `allowed` are those that it does."""
    office = office_of(request)
    head = head_of(request.scope, office.new_request_id)
    service = ServiceCode.ACCESS_TOKEN if "/access-token/" in head.path else ServiceCode.DEBIT_NOTIFY
    response = await _refused(office, head, service, not_supported(allowed))
    return _sent(office, head, "bank_method", response)


def _require_moderation(rate: Rate, sender: str) -> None:
    """It has not asked for more than it may; what is refused so is not counted."""
    if (wait := rate.wait_seconds(sender, monotonic_seconds())) > 0:
        raise too_many_requests(wait)


# What it sent.


def _header(head: Arrived, name: str, form: re.Pattern[str] | None = None) -> str:
    """The header, which stands there once."""
    key = name.lower().encode()
    value = head.headers.get(key, b"").decode("latin-1").strip()
    if not value:
        raise missing_field(name)
    if key in head.repeated or (form is not None and not form.fullmatch(value)):
        raise invalid_format(name)
    return value


def _timestamp_header(head: Arrived, here: Office) -> str:
    """As it was sent, since it is signed so; its instant is near ours."""
    timestamp = _header(head, "X-TIMESTAMP")
    instant = instant_of(timestamp)
    if instant is None:
        raise invalid_format("X-TIMESTAMP")
    if abs(instant - here.clock.estimate()) > timedelta(seconds=here.settings.bank_clock_seconds):
        raise unauthorised("X-TIMESTAMP", "timestamp")
    return timestamp


async def _body(request: Request, here: Office) -> bytes:
    try:
        return await body_of(request.state.head, request.receive, here.settings)
    except Problem as problem:
        raise bad_request(problem.title) from None


def _require_client_credentials(body: bytes) -> None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise bad_request("Body") from None
    if not isinstance(document, Mapping) or "grantType" not in document:
        raise missing_field("grantType")
    if document["grantType"] != "client_credentials":
        raise invalid_format("grantType")


# What it gets.


def _as_refusal(fault: Exception) -> SnapRefusal:
    if isinstance(fault, SnapRefusal):
        return fault
    if isinstance(fault, _AWAY):
        log.warning("bank_failed", error=type(fault).__name__)
        return timed_out()
    log.error("request_failed", exc_info=fault)
    return general_error()


async def _refused(office: Office, head: Arrived, service: ServiceCode, refusal: SnapRefusal) -> Response:
    """The security log has it first, where it belongs there."""
    if refusal.security is not None:
        await _told_the_security_log(office, head, service, refusal.security)
    response = _response(refused(service, refusal))
    response.headers.update(refusal.headers)
    return response


def _sent(office: Office, head: Arrived, name: str, response: Response) -> Response:
    response.headers["x-request-id"] = head.request_id
    response.headers["x-timestamp"] = _timestamp(office.clock.estimate())
    count_answer(name, response.status_code, monotonic_seconds() - head.since)
    return response


async def _told_the_security_log(office: Office, head: Arrived, service: ServiceCode, kind: str) -> None:
    name = b"x-client-key" if service is ServiceCode.ACCESS_TOKEN else b"x-partner-id"
    claimed = head.headers.get(name, b"").decode("latin-1")
    security: SecurityLog = office.security
    await security.tell(f"{service}_{kind}", claimed, head.request_id)


def _response(answer: SnapAnswer) -> Response:
    return Response(answer.body, answer.status, {"cache-control": "no-store"}, "application/json")


def _timestamp(instant: datetime) -> str:
    """SNAP's form, in the time of Samarinda's banks."""
    return instant.astimezone(_WITA).isoformat(timespec="seconds")


_WITA: Final = ZoneInfo("Asia/Makassar")
