"""A request as it arrived, for both doors: its head, its token, its Idempotency-Key, its body within limits."""

import asyncio
import re
from typing import Final

from msgspec import Struct
from starlette.types import Receive, Scope

from authz_service.answers import Answer
from authz_service.api.whole import Whole, whole_of
from authz_service.clock import monotonic_seconds
from authz_service.problems import BodyTooLarge, BodyTooSlow, KeyMalformed, KeyMissing, NotJson, Problem
from authz_service.settings import Settings
from authz_service.tracing import Names, NewRequestId, names_of

PREFIX: Final = "/v1/"
_KEY: Final = re.compile(rb"[!-~]{1,64}")
_ID_LIMIT: Final = 64
_TOKEN_LIMIT: Final = 256
_LENGTH_DIGITS: Final = 12
"""More digits than any limit; what is cut off only makes a longer body longer."""

Headers = list[tuple[bytes, bytes]]
NAMES: Final = "authz.names"
"""Where a scope has the request's names, once somebody has found them."""


class Arrived(Struct, frozen=True, kw_only=True):
    """The head of a request."""

    method: str
    path: str
    parts: tuple[str, ...]
    query: bytes
    headers: dict[bytes, bytes]
    repeated: frozenset[bytes]
    names: Names
    since: float
    whole: Whole | None
    """Its body is here already, and the answer goes out in one write."""

    @property
    def request_id(self) -> str:
        return self.names.request_id

    @property
    def length(self) -> int | None:
        """What Content-Length says, if it is there; a number of any length is read."""
        declared = self.headers.get(b"content-length")
        return (
            None if declared is None or not declared.isdigit() else int(declared.lstrip(b"0")[:_LENGTH_DIGITS] or b"0")
        )

    @property
    def announces_a_body(self) -> bool:
        return bool(self.length) or b"transfer-encoding" in self.headers

    @property
    def token(self) -> str | None:
        """What stands behind `Bearer`; None where nothing does that could be a key."""
        scheme, _, token = self.headers.get(b"authorization", b"").partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token or len(token) > _TOKEN_LIMIT or not token.isascii():
            return None
        return token.decode()


def head_of(scope: Scope, new_request_id: NewRequestId) -> Arrived:
    headers: dict[bytes, bytes] = {}
    repeated = set()
    for name, value in scope["headers"]:
        if name in headers:
            repeated.add(name)
        headers[name] = value
    path: str = scope["path"]
    return Arrived(
        method=scope["method"],
        path=path,
        parts=tuple(path.removeprefix(PREFIX).split("/")),
        query=scope["query_string"],
        headers=headers,
        repeated=frozenset(repeated),
        names=scope.get(NAMES) or names_of(headers, repeated, new_request_id),
        since=monotonic_seconds(),
        whole=whole_of(scope),
    )


def idempotency_key(head: Arrived) -> bytes:
    """1 to 64 visible ASCII characters, bare or as a quoted string of structured fields (RFC 9651)."""
    if b"idempotency-key" in head.repeated:
        raise KeyMalformed("send one Idempotency-Key")
    key = head.headers.get(b"idempotency-key", b"").strip(b" \t")
    if not key:
        raise KeyMissing("send an Idempotency-Key of 1 to 64 visible ASCII characters")
    if key.startswith(b'"') or key.endswith(b'"'):
        if len(key) < 3 or not (key.startswith(b'"') and key.endswith(b'"')):  # noqa: PLR2004
            raise KeyMalformed("a quoted Idempotency-Key has a quote at both ends and something between them")
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise KeyMalformed("send an Idempotency-Key of 1 to 64 visible ASCII characters")
    return key


async def body_of(head: Arrived, receive: Receive, settings: Settings) -> bytes:
    """The whole body; no larger, and no slower, than the settings let it be."""
    limit, length = settings.body_limit_bytes, head.length
    if length is not None and length > limit:
        raise BodyTooLarge(f"at most {limit} bytes")
    body = head.whole.body if head.whole else await _received(receive, limit, settings.body_timeout_seconds)
    if len(body) > limit:
        raise BodyTooLarge(f"at most {limit} bytes")
    if length is not None and length != len(body):
        # A server that stops reading at `Upgrade` would make a small capture a whole one.
        raise NotJson("the body is not as long as Content-Length says; do not ask for an Upgrade")
    return body


async def _received(receive: Receive, limit: int, limit_seconds: float) -> bytes:
    """What comes piece by piece; no more than the piece that is too much."""
    body, more = b"", True
    try:
        async with asyncio.timeout(limit_seconds):
            while more and len(body) <= limit:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyTooSlow("the connection ended before the body did")
                body += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        raise BodyTooSlow(f"the body took more than {limit_seconds} seconds") from None
    return body


def problem_answer(problem: Problem, request_id: str) -> tuple[Answer, Headers]:
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    if problem.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_seconds))
    return Answer(status=problem.status, body=problem.document(request_id), problem=True), headers


def may_be_an_id(text: str) -> bool:
    return len(text) <= _ID_LIMIT and text.isascii() and text.isprintable()
