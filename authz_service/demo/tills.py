"""The tills' side of the line: each keeps the duties of a terminal (`contract.md`).

Key and STAN are made before sending and kept until there is an answer; what may be repeated is repeated unchanged,
under the same key, a bounded number of times; nothing is believed before the host said it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import aiohttp
import orjson

from authz_service.clock import ShiftedClock
from authz_service.demo.goods import Basket, total_rupiah
from authz_service.demo.plan import Repeat
from authz_service.demo.town import DemoFailedError
from authz_service.enrolment.sandbox import SandboxTerminal

ATTEMPTS: Final = 8
"""How often a till sends one request before it gives up."""
ANSWER_TIMEOUT_SECONDS: Final = 5.0
"""The service promises an answer in 1,5 seconds."""
BACKOFF_SECONDS: Final = 0.1
"""Doubled each time, up to a second, which is what the service asks for."""
LONGEST_BACKOFF_SECONDS: Final = 1.0
RETRYABLE: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
IN_PROGRESS: Final = "in_progress"

Document = dict[str, Any]
MakeKey = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came over the wire."""

    status: int
    raw: bytes
    replayed: bool

    @property
    def body(self) -> Document:
        parsed: Document = orjson.loads(self.raw)
        return parsed

    @property
    def may_be_repeated(self) -> bool:
        """Nothing was decided yet, or nobody can say: the same request again gets the one true answer."""
        if self.status == HTTPStatus.CONFLICT:
            return self.body.get("code") == IN_PROGRESS
        return self.status in RETRYABLE


@dataclass(slots=True)
class Tally:
    """What only the tills can know."""

    replays: int = 0
    """Requests sent again after their answer; each got the same bytes."""
    asked_again: int = 0
    """Requests repeated because there was no answer yet."""


class Line:
    """The mobile line that all tills share: one HTTP client with its connections kept open."""

    def __init__(self, base_url: str, clock: ShiftedClock, zone: ZoneInfo, make_key: MakeKey) -> None:
        self.make_key = make_key
        self.tally = Tally()
        self._base_url = base_url
        self._clock = clock
        self._zone = zone
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_SECONDS),
            raise_for_status=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def time(self) -> str:
        """What a till's clock shows."""
        return self._clock.estimate().astimezone(self._zone).isoformat(timespec="seconds")

    async def send(self, path: str, headers: dict[str, str], raw: bytes) -> Reply:
        """The answer to this request, which is sent unchanged until there is one."""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.tally.asked_again += 1
                await asyncio.sleep(min(BACKOFF_SECONDS * 2**attempt, LONGEST_BACKOFF_SECONDS))
            try:
                reply = await self._send_once(path, headers, raw)
            except (aiohttp.ClientError, TimeoutError):
                continue
            if not reply.may_be_repeated:
                return reply
        raise DemoFailedError(f"A till asked {path} {ATTEMPTS} times and got no answer.")

    async def _send_once(self, path: str, headers: dict[str, str], raw: bytes) -> Reply:
        async with self._http.post(self._base_url + path, data=raw, headers=headers) as response:
            return Reply(
                status=response.status,
                raw=await response.read(),
                replayed=response.headers.get("Idempotent-Replayed") == "true",
            )


@dataclass(slots=True, kw_only=True)
class Till:
    """One terminal. It has one customer at a time: whoever plays it holds `busy`."""

    terminal: SandboxTerminal
    line: Line
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _stan: int = 0

    async def authorise(self, card_number: str, basket: Basket, *, capture: bool, repeat: Repeat) -> Reply:
        """The decision; what is approved stays held unless it was captured at once."""
        return await self._keyed("/v1/authorizations", self._purchase(card_number, basket, capture=capture), repeat)

    async def dry_run(self, card_number: str, basket: Basket) -> Reply:
        """What the decision would be."""
        body = self._purchase(card_number, basket, capture=False)
        return await self.line.send("/v1/authorizations?dry_run=true", self._headers(), orjson.dumps(body))

    async def capture(self, authorisation_id: str, amount_rupiah: int | None, repeat: Repeat = Repeat.NEVER) -> Reply:
        """Posts the whole hold, or so much of it and gives the rest back."""
        body = {} if amount_rupiah is None else {"amount": amount_rupiah}
        return await self._keyed(f"/v1/authorizations/{authorisation_id}/captures", body, repeat)

    async def void(self, authorisation_id: str, repeat: Repeat = Repeat.NEVER) -> Reply:
        body = {"reason": "Pembeli membatalkan"}
        return await self._keyed(f"/v1/authorizations/{authorisation_id}/void", body, repeat)

    async def refund(self, authorisation_id: str, amount_rupiah: int, repeat: Repeat = Repeat.NEVER) -> Reply:
        body = {"amount": amount_rupiah, "reason": "Barang rusak"}
        return await self._keyed(f"/v1/authorizations/{authorisation_id}/refunds", body, repeat)

    async def balance(self, card_number: str) -> Reply:
        raw = orjson.dumps({"card_number": card_number})
        return await self.line.send("/v1/balance-inquiries", self._headers(), raw)

    def _purchase(self, card_number: str, basket: Basket, *, capture: bool) -> Document:
        self._stan = self._stan % 999_999 + 1
        return {
            "card_number": card_number,
            "stan": f"{self._stan:06d}",
            "terminal_time": self.line.time(),
            "amount": total_rupiah(basket),
            "currency": "IDR",
            "lines": [each.document() for each in basket],
            "capture": capture,
        }

    async def _keyed(self, path: str, body: Document, repeat: Repeat) -> Reply:
        """The answer; sent a second time where asked for, and then the same answer byte for byte."""
        headers, raw = self._headers() | {"Idempotency-Key": self.line.make_key()}, orjson.dumps(body)
        if repeat is Repeat.AT_THE_SAME_TIME:
            both = await asyncio.gather(*(self.line.send(path, headers, raw) for _ in range(2)))
            first, second = sorted(both, key=lambda reply: reply.replayed)
        else:
            first = await self.line.send(path, headers, raw)
            if repeat is Repeat.NEVER:
                return first
            second = await self.line.send(path, headers, raw)
        if (first.status, first.raw, True) != (second.status, second.raw, second.replayed):
            raise DemoFailedError(f"A till repeated {path} under the same key and got another answer.")
        self.line.tally.replays += 1
        return first

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.terminal.key}", "Content-Type": "application/json"}
