"""Where requests wait: per programme, in order of arrival, until a lane takes all that wait.

The deadline belongs to the one who waits, never to the batch: at its deadline a waiter is told `not_decided` or,
once the record was sent, `outcome_unknown`; the batch goes on.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from msgspec.structs import replace

from authz_service.answers import Answer
from authz_service.clock import monotonic_seconds
from authz_service.metrics import REPLAYS, STAGE_IDEMPOTENCY
from authz_service.problems import InProgress, NotDecided, OutcomeUnknown, Overloaded, Problem, TooManyRequests
from authz_service.registry import Principal
from authz_service.requests import BalanceInquiry, Capture, Expiry, Purchase, Refund, Reversal, Void
from authz_service.settings import Settings
from authz_service.tracing import Names
from authz_service.vocabulary import ProgrammeId

Body = Purchase | Capture | Void | Refund | Reversal | BalanceInquiry | Expiry


@dataclass(slots=True, eq=False, kw_only=True)
class Asked:
    """One request that waits for its answer. Keys and card numbers are here only as digests."""

    body: Body = field(repr=False)
    principal: Principal
    key_digest: bytes | None
    fingerprint: bytes | None
    original_digest: bytes | None
    """Of the key that a reversal names, or of the name that it makes for a STAN."""
    card_digest: bytes | None
    authorisation_id: str | None
    names: Names
    dry_run: bool
    deadline: float
    answer: "asyncio.Future[Answer]"
    sent: bool = False
    """Its record may have reached the database."""
    wait_seconds: float = 0.0
    """Before it was decided again the last time."""
    lock_refusals: int = 0

    @property
    def request_id(self) -> str:
        return self.names.request_id

    def give(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, problem: Problem) -> None:
        if not self.answer.done():
            self.answer.set_exception(problem)

    def refuse(self, detail: str) -> None:
        """No answer comes; what that means depends on whether its record may have been written."""
        self.fail(OutcomeUnknown(detail) if self.sent else NotDecided(detail))

    def give_up(self) -> None:
        """The deadline has come."""
        self.refuse("the deadline came before the answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests of one programme that are decided together, and the cards that nobody else may take meanwhile."""

    programme_id: ProgrammeId
    asked: list[Asked]
    cards: frozenset[bytes]


_SMOOTHING: Final = 0.2


class WaitingRoom:
    """All requests of this process that no lane has taken yet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues: dict[ProgrammeId, deque[Asked]] = {}
        self._turns: deque[ProgrammeId] = deque()
        self._busy_cards: set[bytes] = set()
        self._per_terminal: Counter[tuple[str, str]] = Counter()
        self._answering: dict[tuple[str, str, bytes], Asked] = {}
        self._waiting = 0
        self._seconds_a_batch = 0.0
        self._wake: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return self._waiting

    async def answer(self, asked: Asked) -> Answer:
        """The answer, or the Problem, at the latest at its deadline. Equal keys in this process share one decision."""
        if asked.key_digest is None:
            return await self._answer(asked)
        identity = (asked.principal.programme_id, asked.principal.terminal_id, asked.key_digest)
        while (first := self._answering.get(identity)) is not None:
            began = monotonic_seconds()
            await asyncio.wait({first.answer}, timeout=asked.deadline - began)
            STAGE_IDEMPOTENCY.observe(monotonic_seconds() - began)
            if not first.answer.done():
                raise InProgress("the first request with this key has no answer yet")
            if first.fingerprint == asked.fingerprint and _succeeded(first.answer):
                REPLAYS.inc()
                return replace(first.answer.result(), replayed=True)
        self._answering[identity] = asked
        try:
            return await self._answer(asked)
        finally:
            del self._answering[identity]

    async def _answer(self, asked: Asked) -> Answer:
        self._admit(asked)
        terminal = (asked.principal.programme_id, asked.principal.terminal_id)
        self._per_terminal[terminal] += 1
        timer = asyncio.get_running_loop().call_later(asked.deadline - monotonic_seconds(), asked.give_up)
        try:
            self.put(asked)
            return await asked.answer
        finally:
            timer.cancel()
            self._per_terminal[terminal] -= 1
            if not self._per_terminal[terminal]:
                del self._per_terminal[terminal]

    def put(self, asked: Asked) -> None:
        """Waits from now on."""
        programme_id = asked.principal.programme_id
        queue = self._queues.get(programme_id)
        if queue is None:
            queue = self._queues[programme_id] = deque()
            self._turns.append(programme_id)
        queue.append(asked)
        self._waiting += 1
        self._wake_one()

    async def take(self) -> Batch:
        """All that one programme, in turn, has waiting, up to the limit; cards that another lane decides stay."""
        while True:
            for _ in range(len(self._turns)):
                programme_id = self._turns[0]
                self._turns.rotate(-1)
                if batch := self._taken_from(programme_id):
                    return batch
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._wake.append(woken)
            await woken

    def done(self, batch: Batch, seconds: float) -> None:
        """The batch's cards are free again; what it took says how long others will wait. Longer than a deadline is no
        pace but a database that stood still, and says nothing of the next batch: counted whole, its minutes would turn
        tills away long after it is back."""
        self._busy_cards -= batch.cards
        took = min(seconds, self._settings.deadline_seconds)
        self._seconds_a_batch += _SMOOTHING * (took - self._seconds_a_batch)
        if self._waiting:
            self._wake_one()

    def _taken_from(self, programme_id: ProgrammeId) -> Batch | None:
        queue = self._queues[programme_id]
        taken: list[Asked] = []
        left: list[Asked] = []
        while queue and len(taken) < self._settings.batch_limit:
            asked = queue.popleft()
            if asked.answer.done():
                self._waiting -= 1
            elif asked.card_digest is not None and asked.card_digest in self._busy_cards:
                left.append(asked)
            else:
                taken.append(asked)
        queue.extendleft(reversed(left))
        if not queue:
            del self._queues[programme_id]
            self._turns.remove(programme_id)
        if not taken:
            return None
        self._waiting -= len(taken)
        cards = frozenset(asked.card_digest for asked in taken if asked.card_digest is not None)
        self._busy_cards |= cards
        return Batch(programme_id=programme_id, asked=taken, cards=cards)

    def _admit(self, asked: Asked) -> None:
        if (
            self._per_terminal[asked.principal.programme_id, asked.principal.terminal_id]
            >= self._settings.waiting_per_terminal
        ):
            raise TooManyRequests(
                f"at most {self._settings.waiting_per_terminal} requests of a terminal wait at a time"
            )
        if self._expected_seconds() > self._settings.admission_seconds:
            raise Overloaded("too many requests are waiting")

    def _expected_seconds(self) -> float:
        """Until the last of those who wait is taken: in whole batches, each of one programme, since one takes little
        longer than a request alone. Counted by the request, the first burst after a quiet hour would be turned away."""
        batches = sum(ceil(len(queue) / self._settings.batch_limit) for queue in self._queues.values())
        return batches / self._settings.lanes * self._seconds_a_batch

    def _wake_one(self) -> None:
        while self._wake:
            woken = self._wake.popleft()
            if not woken.done():
                woken.set_result(None)
                return


def _succeeded(answer: "asyncio.Future[Answer]") -> bool:
    return not answer.cancelled() and answer.exception() is None
