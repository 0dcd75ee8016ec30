"""The bank's line to us: a request is sent once, and a token is there when one is needed.

Unanswered    nobody answered, or not in time; the message is one sentence
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
import orjson

from authz_service.bank.partners import SignatureStyle
from authz_service.clock import Clock
from authz_service.serving import NotServedError
from authz_service.simulation.identity import Identity
from authz_service.simulation.requests import Request, notice_request, token_request

ANSWER_TIMEOUT_SECONDS: Final = 10.0
"""As long as BRI waits for the answer to a notice."""
RENEWED_BEFORE: Final = timedelta(seconds=60)
"""A token that is about to end may have ended when the notice arrives."""


class Unanswered(NotServedError):  # noqa: N818 - it says what is so, as declines do
    """Nobody answered, or not in time; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back; `code` and `message` are empty where it was not SNAP's."""

    status: int
    raw: bytes
    headers: dict[str, str]
    code: str = ""
    message: str = ""
    document: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_acknowledged(self) -> bool:
        return self.status == HTTPStatus.OK


class Line:
    """To one service, as one bank. Inside `async with`."""

    def __init__(self, identity: Identity, base_url: str, clock: Clock) -> None:
        self.identity = identity
        self.base_url = base_url.rstrip("/")
        self._clock = clock
        self._token = ""
        self._asking = asyncio.Lock()
        self._token_ends_at: datetime | None = None
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def now(self) -> datetime:
        return self._clock.estimate()

    async def send(self, request: Request) -> Reply:
        """The answer, whatever it says."""
        try:
            async with self._http.post(
                self.base_url + request.path, data=request.body, headers=request.headers
            ) as response:
                raw, headers = await response.read(), {k.lower(): v for k, v in response.headers.items()}
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise Unanswered(f"{self.base_url} did not answer: {type(fault).__name__}.") from None
        return _read(response.status, raw, headers)

    async def notify(self, body: bytes, external_id: str) -> Reply:
        """One notice was sent once, signed as of now. A token that is not good any more is forgotten."""
        token = await self.token()
        reply = await self.send(notice_request(self.identity, body, external_id, self.now(), token=token))
        if reply.status == HTTPStatus.UNAUTHORIZED:
            self.forget_token()
        return reply

    async def token(self) -> str:
        """One that is good for a while yet; empty for a bank that signs without."""
        if self.identity.style is SignatureStyle.WITHOUT_TOKEN:
            return ""
        async with self._asking:
            now = self.now()
            if self._token_ends_at is None or self._token_ends_at <= now + RENEWED_BEFORE:
                reply = await self.send(token_request(self.identity, now))
                token, seconds = str(reply.document.get("accessToken", "")), str(reply.document.get("expiresIn", ""))
                if not reply.is_acknowledged or not token or not seconds.isdecimal():
                    raise Unanswered(f"No token: {reply.code or reply.status} {reply.message}")
                self._token, self._token_ends_at = token, now + timedelta(seconds=int(seconds))
        return self._token

    def forget_token(self) -> None:
        self._token_ends_at = None


def _read(status: int, raw: bytes, headers: dict[str, str]) -> Reply:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return Reply(status=status, raw=raw, headers=headers)
    code, message = document.get("responseCode", ""), document.get("responseMessage", "")
    return Reply(status=status, raw=raw, headers=headers, code=str(code), message=str(message), document=document)
