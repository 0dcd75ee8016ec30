"""A request and what its answer must be.

A decline is a decision and passes. What fails is another status than the call's, a document that is not the
contract's, a second answer under one key that is not the first one byte for byte, and no answer at all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from authz_service.api import office_wire, wire
from authz_service.api.wire_explanation import Explanation

Document = dict[str, Any]
Check = Callable[[Document], str | None]
"""What is wrong with a document of the right schema; None is nothing."""
IN_PROGRESS: Final = "in_progress"
RETRY_AFTER_SECONDS: Final = 1.0
"""Where the service names no other, or none that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a request is called in the table, and the one status and schema that its answer may have."""

    name: str
    status: HTTPStatus
    schema: TypeAdapter[Any]


AUTHORISE: Final = Call(name="authorise", status=HTTPStatus.CREATED, schema=TypeAdapter(wire.AuthorisationWithReceipt))
CAPTURE: Final = Call(name="capture", status=HTTPStatus.CREATED, schema=TypeAdapter(wire.CaptureAnswer))
VOID: Final = Call(name="void", status=HTTPStatus.OK, schema=TypeAdapter(wire.Authorisation))
REFUND: Final = Call(name="refund", status=HTTPStatus.CREATED, schema=TypeAdapter(wire.RefundAnswer))
REVERSE: Final = Call(name="reverse", status=HTTPStatus.CREATED, schema=TypeAdapter(wire.ReversalAnswer))
BALANCE: Final = Call(name="balance", status=HTTPStatus.OK, schema=TypeAdapter(wire.BalanceAnswer))
CATALOGUE: Final = Call(name="catalogue", status=HTTPStatus.OK, schema=TypeAdapter(wire.Catalogue))
PAGE: Final = Call(name="page", status=HTTPStatus.OK, schema=TypeAdapter(office_wire.AuthorisationPage))
EXPLANATION: Final = Call(name="explanation", status=HTTPStatus.OK, schema=TypeAdapter(Explanation))
DECLINE: Final = "decline"
"""What an authorisation is called in the table when the answer was no: its way through the service is another one."""
NAMES: Final = frozenset(
    call.name for call in (AUTHORISE, CAPTURE, VOID, REFUND, REVERSE, BALANCE, CATALOGUE, PAGE, EXPLANATION)
) | {DECLINE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came over the wire; status 0 is nothing."""

    status: int
    raw: bytes
    replayed: bool

    @property
    def document(self) -> Document:
        parsed: Document = orjson.loads(self.raw)
        return parsed

    @property
    def is_none(self) -> bool:
        """Nobody can say yet what was decided: the same request is to be sent again, unchanged."""
        if self.status == HTTPStatus.CONFLICT:
            return self.raw.startswith(b"{") and self.document.get("code") == IN_PROGRESS
        return self.status in {0, HTTPStatus.TOO_MANY_REQUESTS} or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def retry_after_seconds(header: str | None, *, now: datetime) -> float:
    """How long to wait: `Retry-After` has seconds, or a date where a proxy on the way wrote it (RFC 9110, 10.2.3)."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return RETRY_AFTER_SECONDS
    # A date of HTTP is in GMT, also where it does not say so.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


@dataclass(slots=True, kw_only=True)
class Request:
    """It is sent unchanged however often; what came first is what must come again."""

    call: Call
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes | None = None
    check: Check = lambda _: None
    heard: list[Answer] = field(default_factory=list)

    def wrong(self, answer: Answer) -> str | None:
        """Why this is not the request's answer; None if it is. It is remembered."""
        if answer.status != self.call.status:
            return f"HTTP {answer.status}{_code(answer)}, not {self.call.status:d}"
        try:
            self.call.schema.validate_json(answer.raw)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            return f"not the contract's document: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        self.heard.append(answer)
        if answer.raw != self.heard[0].raw:
            return "the same key got another answer"
        if sum(not each.replayed for each in self.heard) > 1:
            return "the same key was decided twice"
        return self.check(answer.document)


def _code(answer: Answer) -> str:
    """A problem's code; it names no card."""
    try:
        return f" ({orjson.loads(answer.raw)['code']})"
    except (ValueError, KeyError, TypeError):
        return ""
