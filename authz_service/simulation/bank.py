"""The bank at work: it pays what it is ordered to, tells what became of it until it is heard, and keeps a statement."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.simulation.checklist import NOT_A_SIGNATURE
from authz_service.simulation.line import Line, Reply, Unanswered
from authz_service.simulation.misbehaviour import Behaviour, Outcome
from authz_service.simulation.orders import Business
from authz_service.simulation.requests import notice_body, notice_request
from authz_service.simulation.statement import Statement
from authz_service.simulation.telling import (
    Movement,
    Telling,
    bank_reference_of,
    movements_of,
    tellings_of,
)

AT_ONCE: Final = 4
"""So many payments are told of at the same time; of one payment, one notice after the other."""
MENDED_BY_NOBODY: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT})
"""The same notice again would get the same answer."""
_WITA: Final = ZoneInfo("Asia/Makassar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the bank waits before it sends a notice again, doubled each time, and how often it does."""

    first_seconds: float = 1.0
    longest_seconds: float = 300.0
    attempts: int = 1_000


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the bank has done."""

    orders: int = 0
    """Payments and deposits."""
    acknowledged: int = 0
    sent_again: int = 0
    forged: int = 0
    """Refused, as they had to be."""
    given_up: list[str] = field(default_factory=list)
    """What nobody acknowledged, and why."""


@dataclass(slots=True, kw_only=True)
class _Payment:
    order: Business
    since: int
    movements: list[Movement]
    tellings: list[Telling]


class Bank:
    """Knows only what was ordered; whoever holds it says when a round is."""

    def __init__(self, line: Line, behaviour: Behaviour, statement: Statement, patience: Patience) -> None:
        self.statement = statement
        self.tally = Tally()
        self._line = line
        self._behaviour = behaviour
        self._patience = patience
        self._round = 0
        self._known: set[str] = set()
        self._payments: list[_Payment] = []

    @property
    def is_idle(self) -> bool:
        """Nothing is left to pay or to tell."""
        return not self._payments

    @property
    def today(self) -> date:
        return self._line.now().astimezone(_WITA).date()

    def take(self, orders: Iterable[Business]) -> int:
        """Each payment is made once, however often its order comes; how many were new."""
        new = [each for each in orders if each.reference not in self._known]
        for order in new:
            self._known.add(order.reference)
            movements = list(movements_of(order, self._behaviour))
            tellings = list(tellings_of(order, self._behaviour))
            self._payments.append(_Payment(order=order, since=self._round, movements=movements, tellings=tellings))
        self.tally.orders += len(new)
        return len(new)

    def outcome_of(self, order: Business) -> Outcome:
        """What its desk says to somebody who asks."""
        return self._behaviour.outcome(order)

    def pay(self) -> None:
        """What is due in this round stands in the statement."""
        for payment in self._payments:
            self._move(payment)

    async def tell(self) -> None:
        """What is due in this round was told, and acknowledged or given up; the round is over."""
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for payment in self._payments:
                if due := self._due(payment):
                    tasks.create_task(self._tell(payment.order, due, free))
        self._payments = [each for each in self._payments if each.movements or each.tellings]
        self._round += 1

    def _move(self, payment: _Payment) -> None:
        order, on = payment.order, self.today
        for movement in [each for each in payment.movements if payment.since + each.after <= self._round]:
            self.statement.moves(
                on,
                movement.amount_rupiah,
                reference=order.reference,
                bank_reference=bank_reference_of(order),
                description=movement.description,
            )
            payment.movements.remove(movement)

    def _due(self, payment: _Payment) -> Sequence[Telling]:
        due = [each for each in payment.tellings if payment.since + each.after <= self._round]
        payment.tellings = payment.tellings[len(due) :]
        return due

    async def _tell(self, order: Business, due: Sequence[Telling], free: asyncio.Semaphore) -> None:
        async with free:
            for telling in due:
                await (self._tell_until_heard(order, telling) if telling.is_signed else self._forge(order, telling))

    async def _tell_until_heard(self, order: Business, telling: Telling) -> None:
        body, wait, why = _body(order, telling), self._patience.first_seconds, ""
        for attempt in range(self._patience.attempts):
            if attempt:
                self.tally.sent_again += 1
                await asyncio.sleep(wait)
                wait = min(2 * wait, self._patience.longest_seconds)
            try:
                reply = await self._line.notify(body, telling.external_id)
            except Unanswered as unanswered:
                why = str(unanswered)
                continue
            if reply.is_acknowledged:
                self.tally.acknowledged += 1
                return
            why = f"{reply.code or reply.status} {reply.message}".rstrip()
            if reply.status in MENDED_BY_NOBODY:
                break
        self.tally.given_up.append(f"{order.reference} ({telling.status.name.lower()}): {why}")

    async def _forge(self, order: Business, telling: Telling) -> None:
        """It is refused, or nobody hears it; the true one follows."""
        body, now = _body(order, telling), self._line.now()
        try:
            token = await self._line.token()
            request = notice_request(self._line.identity, body, telling.external_id, now, token=token)
            reply: Reply = await self._line.send(request.having(x_signature=NOT_A_SIGNATURE))
        except Unanswered:
            return
        self.tally.forged += reply.status == HTTPStatus.UNAUTHORIZED


def _body(order: Business, telling: Telling) -> bytes:
    return notice_body(order.reference, telling.status, telling.amount_rupiah, bank_reference=bank_reference_of(order))
