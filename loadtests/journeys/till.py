"""A terminal that keeps its duties (`docs/terminal-duties.md`), and the HTTP client below it.

Key and STAN are made before sending. No answer, a time-out, 429, 5xx or `in_progress`: the same bytes again under the
same key. A sale that is never answered is reversed, and the reversal repeated until it is heard.
"""

from datetime import UTC, datetime
from typing import ClassVar, Final
from uuid import uuid4

import gevent  # type: ignore[import-untyped]
import orjson
from locust import FastHttpUser
from locust.env import Environment
from locust.exception import RescheduleTask

from authz_service.demo.goods import Basket, total_rupiah
from authz_service.demo.plan import Repeat
from authz_service.enrolment.sandbox import SandboxTerminal
from loadtests.journeys.calls import (
    AUTHORISE,
    BALANCE,
    CAPTURE,
    CATALOGUE,
    DECLINE,
    REFUND,
    REVERSE,
    VOID,
    Answer,
    Call,
    Check,
    Document,
    Request,
    retry_after_seconds,
)
from loadtests.journeys.people import CHANCE, TERMINALS

ATTEMPTS: Final = 8
ANSWER_SECONDS: Final = 5.0
"""The service promises an answer in 1,5 seconds; a mobile line may add some."""
TIMES_A_STAN_COMES_AGAIN: Final = 1_000_000


def approved_in_full(sale: Document) -> str | None:
    """Declined, or approved as it was asked: nobody asked for less."""
    if sale["decision"] == "approved" and sale["approved_amount"] != sale["amount"]:
        return "approved for another amount than was asked"
    return None


def declined(sale: Document) -> str | None:
    return None if sale["decision"] == "declined" else "approved although something was wrong with it"


class Caller(FastHttpUser):
    """Somebody with a key. What is asked stands in the table as `<journey> <call>`."""

    abstract = True
    journey: ClassVar[str]
    people: ClassVar[str]
    """Who one user of locust is."""
    key: str
    network_timeout = connection_timeout = ANSWER_SECONDS

    def answered(self, request: Request) -> Answer | None:
        """The answer to this request, which is sent unchanged until there is one; None if there never was."""
        for _ in range(ATTEMPTS):
            answer, wait_seconds = self._sent(request)
            if answer is not None:
                return answer
            gevent.sleep(wait_seconds)
        return None

    def read(self, call: Call, path: str, check: Check = lambda _: None) -> Document:
        """The document at this address; where there is none the task ends, and the table says why."""
        headers = {"Authorization": f"Bearer {self.key}"}
        request = Request(call=call, method="GET", path=path, headers=headers, check=check)
        if (answer := self.answered(request)) is None:
            raise RescheduleTask
        return answer.document

    def _sent(self, request: Request) -> tuple[Answer | None, float]:
        """What came, or how long to wait before the next attempt. A wrong answer ends the task."""
        with self.client.request(
            request.method,
            request.path,
            name=f"{self.journey} {request.call.name}",
            data=request.raw,  # type: ignore[arg-type] # bytes, too
            headers=request.headers,
            catch_response=True,
        ) as response:
            headers = response.headers or {}
            replayed = headers.get("Idempotent-Replayed") == "true"
            answer = Answer(status=response.status_code, raw=response.content or b"", replayed=replayed)
            if answer.is_none:
                response.failure(f"HTTP {answer.status}: no answer yet" if answer.status else "no answer in time")
                return None, retry_after_seconds(headers.get("Retry-After"), now=datetime.now(UTC))
            if wrong := request.wrong(answer):
                response.failure(wrong)
                raise RescheduleTask
            if request.call is AUTHORISE and answer.document["decision"] == "declined":
                response.request_meta["name"] = f"{self.journey} {DECLINE}"
            response.success()
            return answer, 0.0


class Till(Caller):
    """One terminal with one customer at a time."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.terminal = self.post()
        self.key = self.terminal.key
        self._stan = CHANCE.randrange(TIMES_A_STAN_COMES_AGAIN)

    def post(self) -> SandboxTerminal:
        """Where this cashier stands."""
        return next(TERMINALS)

    def catalogue(self) -> Document:
        return self.read(CATALOGUE, "/v1/catalogue")

    def balance(self, card_number: str) -> Document:
        return self._required(self._request(BALANCE, "/v1/balance-inquiries", {"card_number": card_number}))

    def authorise(
        self, card_number: str, basket: Basket, *, capture: bool, repeat: Repeat, check: Check = approved_in_full
    ) -> Document:
        """The decision. If there is none the sale is undone, and the visit over."""
        self._stan = (self._stan + 1) % TIMES_A_STAN_COMES_AGAIN
        original = {"stan": f"{self._stan:06d}", "terminal_time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        body = {
            "card_number": card_number,
            **original,
            "amount": total_rupiah(basket),
            "currency": "IDR",
            "lines": [line.document() for line in basket],
            "capture": capture,
        }
        request = self._keyed(AUTHORISE, "/v1/authorizations", body)
        request.check = check
        if not self._heard(request, repeat):
            self._required(self._keyed(REVERSE, "/v1/reversals", original))
            raise RescheduleTask
        return request.heard[0].document

    def capture(self, authorisation_id: str, amount_rupiah: int | None, repeat: Repeat = Repeat.NEVER) -> Document:
        """The whole hold is posted, or so much of it."""
        body = {} if amount_rupiah is None else {"amount": amount_rupiah}
        return self._required(self._keyed(CAPTURE, f"/v1/authorizations/{authorisation_id}/captures", body), repeat)

    def void(self, authorisation_id: str, repeat: Repeat) -> Document:
        body = {"reason": "Pembeli membatalkan"}
        return self._required(self._keyed(VOID, f"/v1/authorizations/{authorisation_id}/void", body), repeat)

    def refund(self, authorisation_id: str, amount_rupiah: int, repeat: Repeat) -> Document:
        body = {"amount": amount_rupiah, "reason": "Telur pecah"}
        return self._required(self._keyed(REFUND, f"/v1/authorizations/{authorisation_id}/refunds", body), repeat)

    def _request(self, call: Call, path: str, body: Document) -> Request:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return Request(call=call, method="POST", path=path, headers=headers, raw=orjson.dumps(body))

    def _keyed(self, call: Call, path: str, body: Document) -> Request:
        request = self._request(call, path, body)
        request.headers["Idempotency-Key"] = uuid4().hex
        return request

    def _required(self, request: Request, repeat: Repeat = Repeat.NEVER) -> Document:
        if not self._heard(request, repeat):
            raise RescheduleTask
        return request.heard[0].document

    def _heard(self, request: Request, repeat: Repeat) -> bool:
        """There is an answer; asked for twice, it came twice and was the same."""
        if repeat is Repeat.AT_THE_SAME_TIME:
            both = [gevent.spawn(self.answered, request) for _ in range(2)]
            gevent.joinall(both)
            if any(each.exception for each in both):
                raise RescheduleTask
        elif self.answered(request) is not None and repeat is Repeat.AFTERWARDS:
            self.answered(request)
        return bool(request.heard)
