"""A purchase is disputed: claimed in time, answered in time or late. A dispute moves no money and stops nothing.

DisputeRefused    nothing was changed; the message is one sentence for the operator
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.database import Connection
from authz_service.events.kinds import DisputeAnswered, DisputeOpened
from authz_service.events.outbox import publish
from authz_service.orders import OrderKind, keep_order
from authz_service.reconciliation.working_days import DisputeClocks
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id

_CLOCKS: Final = """
SELECT zone, dispute_claim_days, dispute_answer_days, holidays FROM programme WHERE programme_id = $1
"""
_PURCHASE: Final = """
-- An approved purchase, and its dispute that waits for an answer, if there is one.
SELECT a.created_at,
       (SELECT d.dispute_id FROM dispute d
         WHERE d.programme_id = $1 AND d.authorisation_id = $2 AND d.answered_at IS NULL) AS dispute_id
  FROM authorisation a
 WHERE a.programme_id = $1 AND a.authorisation_id = $2 AND a.reason = 'approved'
"""
_OPEN: Final = """
-- Nothing where another one was opened meanwhile.
INSERT INTO dispute (programme_id, dispute_id, authorisation_id, claimed_at, claimed_by, reason, answer_due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
_ANSWER: Final = """
UPDATE dispute SET answered_at = $3, answered_by = $4, answer = $5
 WHERE programme_id = $1 AND dispute_id = $2 AND answered_at IS NULL
"""
_LISTED: Final = """
-- What is due first stands first; also those that were answered where $2 says so.
SELECT dispute_id, authorisation_id, claimed_at, claimed_by, reason, answer_due_at, answered_at, answered_by, answer
  FROM dispute
 WHERE programme_id = $1 AND ($2 OR answered_at IS NULL)
 ORDER BY answer_due_at, dispute_id
 LIMIT $3
"""
REASON_LIMIT: Final = 200


class DisputeRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


class DisputeStatus(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"
    LATE = "late"
    """Not answered, and it should have been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """One row of `dispute`."""

    dispute_id: str
    authorisation_id: str
    claimed_at: datetime
    claimed_by: str
    reason: str
    answer_due_at: datetime
    answered_at: datetime | None
    answered_by: str | None
    answer: str | None

    def status(self, now: datetime) -> DisputeStatus:
        """At the very instant at which the answer was due, it is late."""
        if self.answered_at is not None:
            return DisputeStatus.ANSWERED
        return DisputeStatus.OPEN if now < self.answer_due_at else DisputeStatus.LATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    dispute_id: str
    answer_due_at: datetime


async def open_dispute(
    connection: Connection,
    programme_id: ProgrammeId,
    authorisation_id: str,
    *,
    reason: str,
    actor: str,
    now: datetime,
    chance: Chance,
) -> Opened:
    """The claim is kept, with the instant by which it must be answered."""
    _require_words(reason)
    clocks = await _clocks(connection, programme_id)
    async with connection.transaction():
        purchase = await connection.fetchrow(_PURCHASE, programme_id, authorisation_id)
        if purchase is None:
            raise DisputeRefused(f"{programme_id} has no approved purchase {authorisation_id}.")
        if purchase["dispute_id"] is not None:
            raise DisputeRefused(f"{purchase['dispute_id']} of this purchase waits for an answer.")
        ends_at = clocks.claim_ends_at(purchase["created_at"])
        if now >= ends_at:
            raise DisputeRefused(
                f"It is too late: a purchase may be disputed for {clocks.claim_days} days, this one until"
                f" {ends_at.astimezone(clocks.zone):%-d %B %Y %H:%M %Z}."
            )
        opened = Opened(dispute_id=new_id("dsp", now, chance(CHANCE_BYTES)), answer_due_at=clocks.answer_due_at(now))
        row = (opened.dispute_id, authorisation_id, now, actor.strip(), reason, opened.answer_due_at)
        if await connection.execute(_OPEN, programme_id, *row) != "INSERT 0 1":
            raise DisputeRefused("A dispute of this purchase was opened meanwhile; nothing was changed.")
        event = DisputeOpened(
            dispute_id=opened.dispute_id, authorization_id=authorisation_id, answer_due_at=opened.answer_due_at
        )
        await publish(connection, programme_id, event, at=now, chance=chance)
        await keep_order(
            connection,
            programme_id,
            OrderKind.DISPUTE_OPENED,
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"dispute_id": opened.dispute_id, "authorisation_id": authorisation_id},
        )
    return opened


async def answer_dispute(
    connection: Connection,
    programme_id: ProgrammeId,
    dispute_id: str,
    *,
    answer: str,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    """The dispute has its answer, in time or late; what it asks for, a refund for example, is an order of its own."""
    _require_words(answer)
    async with connection.transaction():
        if await connection.execute(_ANSWER, programme_id, dispute_id, now, actor.strip(), answer) != "UPDATE 1":
            raise DisputeRefused(f"{dispute_id} is no dispute that waits for an answer.")
        await publish(connection, programme_id, DisputeAnswered(dispute_id=dispute_id), at=now, chance=chance)
        await keep_order(
            connection,
            programme_id,
            OrderKind.DISPUTE_ANSWERED,
            actor=actor,
            reason=answer,
            now=now,
            chance=chance,
            detail={"dispute_id": dispute_id},
        )


async def disputes(
    connection: Connection, programme_id: ProgrammeId, *, with_answered: bool, limit: int
) -> Sequence[Dispute]:
    """What is due first stands first."""
    return [Dispute(**row) for row in await connection.fetch(_LISTED, programme_id, with_answered, limit)]


async def _clocks(connection: Connection, programme_id: ProgrammeId) -> DisputeClocks:
    row = await connection.fetchrow(_CLOCKS, programme_id)
    if row is None or row["dispute_claim_days"] is None:
        raise DisputeRefused(f"{programme_id} takes no disputes: its terms have no clocks for them.")
    return DisputeClocks(
        zone=ZoneInfo(row["zone"]),
        claim_days=row["dispute_claim_days"],
        answer_days=row["dispute_answer_days"],
        holidays=frozenset(row["holidays"] or ()),
    )


def _require_words(text: str) -> None:
    if not text.strip() or not text.isprintable() or len(text) > REASON_LIMIT:
        raise DisputeRefused(f"A reason or an answer is 1 to {REASON_LIMIT} printable characters.")
