"""The life of a payout instruction: on its way, then settled or failed; what was settled may come back; what came back
waits until it is released, and is in the next batch. What the books call failed may have been paid after all.

Each step is one row of `payout_event` and the transfers that it makes. The steps work inside the caller's transaction,
which is inside `alone_with`. The same step twice changes nothing and says so; a step that contradicts what is known is
refused.

    PayoutRefused            nothing was changed
    ├ InstructionUnknown     no batch of the programme has it
    ├ PayoutContradicted     something else is known of it already
    └ PayoutInDoubt          it may be with the shop, so it must not be paid again
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from authz_service.database import Connection
from authz_service.events.kinds import PayoutFailed, PayoutReleased, PayoutReturned, PayoutSettled
from authz_service.events.outbox import publish
from authz_service.ledger.bookings import book
from authz_service.ledger.postings import Transfer, payout, payout_failed, payout_returned, payout_settled
from authz_service.settlement.doubt import why_not_again
from authz_service.vocabulary import (
    CHANCE_BYTES,
    BatchId,
    Chance,
    InstructionId,
    MerchantId,
    ProgrammeId,
    TransferId,
    in_rupiah,
    new_id,
)

REFERENCE_LIMIT: Final = 140
_STATE: Final = """
-- The instruction and what is known of it, in the order in which it can happen.
SELECT i.batch_id, i.merchant_id, i.amount_rupiah, p.closed_at IS NOT NULL AS programme_is_closed,
       ARRAY(SELECT e.event FROM payout_event e
              WHERE e.programme_id = $1 AND e.instruction_id = $2
              ORDER BY array_position(ARRAY['failed', 'settled', 'returned', 'released'], e.event)) AS events
  FROM payout_instruction i
  JOIN programme p USING (programme_id)
 WHERE i.programme_id = $1 AND i.instruction_id = $2
"""
_KEEP: Final = """
INSERT INTO payout_event (programme_id, instruction_id, event, at, source, bank_reference, actor, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


class PayoutRefused(Exception):  # noqa: N818
    """Nothing was changed; the message says why."""


class InstructionUnknown(PayoutRefused):
    """No batch of the programme has such an instruction."""

    def __init__(self, instruction_id: str) -> None:
        super().__init__(f"No batch has an instruction {instruction_id}; nothing was changed.")


class PayoutContradicted(PayoutRefused):
    """Something else is known of the instruction already."""


class PayoutInDoubt(PayoutRefused):
    """Released, it might be paid twice."""


class PayoutEvent(StrEnum):
    SETTLED = "settled"
    FAILED = "failed"
    RETURNED = "returned"
    RELEASED = "released"


class Source(StrEnum):
    """Who says so."""

    OPERATOR = "operator"
    NOTICE = "notice"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is said of an instruction: by whom, when, with what reference of the bank's, and why."""

    source: Source
    actor: str
    at: datetime
    bank_reference: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """`changed` is False where the same had been said before."""

    instruction_id: InstructionId
    batch_id: BatchId
    merchant_id: MerchantId
    amount_rupiah: int
    changed: bool


AFTER: Final[dict[PayoutEvent, tuple[tuple[PayoutEvent, ...], ...]]] = {
    PayoutEvent.SETTLED: ((),),
    PayoutEvent.FAILED: ((),),
    PayoutEvent.RETURNED: ((PayoutEvent.SETTLED,), (PayoutEvent.FAILED, PayoutEvent.SETTLED)),
    PayoutEvent.RELEASED: (
        (PayoutEvent.FAILED,),
        (PayoutEvent.SETTLED, PayoutEvent.RETURNED),
        (PayoutEvent.FAILED, PayoutEvent.SETTLED, PayoutEvent.RETURNED),
    ),
}
"""Event → what may be known of an instruction when it happens."""
_AFTER_ALL: Final = ((PayoutEvent.FAILED,),)
_SAID: Final = {
    PayoutEvent.SETTLED: "was paid",
    PayoutEvent.FAILED: "failed",
    PayoutEvent.RETURNED: "came back",
    PayoutEvent.RELEASED: "was released for the next batch",
}
_TOLD_AS: Final = {
    PayoutEvent.SETTLED: PayoutSettled,
    PayoutEvent.FAILED: PayoutFailed,
    PayoutEvent.RETURNED: PayoutReturned,
    PayoutEvent.RELEASED: PayoutReleased,
}
Posting = Callable[[TransferId, MerchantId, int, str, datetime], Transfer]


async def settle_payout(
    connection: Connection, programme_id: ProgrammeId, instruction_id: str, *, told: Told, chance: Chance
) -> Applied:
    """The bank has paid it: the money has left clearing and the bank."""

    return await _step(connection, programme_id, instruction_id, PayoutEvent.SETTLED, told, chance, _settled)


async def settle_after_all(
    connection: Connection, programme_id: ProgrammeId, instruction_id: str, *, told: Told, chance: Chance
) -> Applied:
    """It was paid although the books say that it failed: what the shop was owed again has gone the way it went first,
    through clearing and out of the bank. Two people have said so; this does not ask who."""
    again = (payout, _settled)
    return await _step(
        connection, programme_id, instruction_id, PayoutEvent.SETTLED, told, chance, *again, after=_AFTER_ALL
    )


async def fail_payout(
    connection: Connection, programme_id: ProgrammeId, instruction_id: str, *, told: Told, chance: Chance
) -> Applied:
    """The bank could not pay it: the shop is owed it again, and it waits to be released."""
    return await _step(connection, programme_id, instruction_id, PayoutEvent.FAILED, told, chance, payout_failed)


async def return_payout(
    connection: Connection, programme_id: ProgrammeId, instruction_id: str, *, told: Told, chance: Chance
) -> Applied:
    """It was paid and has come back to the bank: the shop is owed it again, and it waits to be released."""
    return await _step(connection, programme_id, instruction_id, PayoutEvent.RETURNED, told, chance, payout_returned)


async def release_payout(
    connection: Connection, programme_id: ProgrammeId, instruction_id: str, *, told: Told, chance: Chance
) -> Applied:
    """What failed or came back is in the next batch. Notices of the bank never release: a person or its statement."""
    if told.source is Source.NOTICE:
        raise PayoutRefused("A notice of the bank releases nothing: an operator or the bank's statement does.")
    # The statement releases what it shows to have come back; it is asked in `reconciliation`, with all of its lines.
    if told.source is Source.OPERATOR and (why := await why_not_again(connection, programme_id, instruction_id)):
        raise PayoutInDoubt(f"{why} Nothing was changed.")
    return await _step(connection, programme_id, instruction_id, PayoutEvent.RELEASED, told, chance)


def _settled(transfer_id: TransferId, _: MerchantId, amount_rupiah: int, reference: str, at: datetime) -> Transfer:
    return payout_settled(transfer_id, amount_rupiah, reference, at)


async def _step(
    connection: Connection,
    programme_id: ProgrammeId,
    instruction_id: str,
    event: PayoutEvent,
    told: Told,
    chance: Chance,
    *postings: Posting,
    after: tuple[tuple[PayoutEvent, ...], ...] | None = None,
) -> Applied:
    _require_clean(told)
    row = await connection.fetchrow(_STATE, programme_id, instruction_id)
    if row is None:
        raise InstructionUnknown(instruction_id)
    known, merchant_id = tuple(map(PayoutEvent, row["events"])), MerchantId(row["merchant_id"])
    applied = Applied(
        instruction_id=InstructionId(instruction_id),
        batch_id=BatchId(row["batch_id"]),
        merchant_id=merchant_id,
        amount_rupiah=row["amount_rupiah"],
        changed=event not in known,
    )
    if not applied.changed:
        return applied
    if row["programme_is_closed"]:
        raise PayoutRefused(f"{programme_id} is closed and no money moves in it; nothing was changed.")
    if known not in (after or AFTER[event]):
        raise PayoutContradicted(_contradiction(instruction_id, row["amount_rupiah"], event, known))
    # It is known of nobody else, and follows what is known. After this point the step must succeed.
    what = (event, told.at, told.source, told.bank_reference, told.actor, told.reason)
    await connection.execute(_KEEP, programme_id, instruction_id, *what)
    event_of_it = _TOLD_AS[event](
        instruction_id=instruction_id,
        batch_id=applied.batch_id,
        merchant_id=merchant_id,
        amount=applied.amount_rupiah,
        source=told.source,
    )
    await publish(connection, programme_id, event_of_it, at=told.at, chance=chance)
    for posting in postings:
        transfer_id = TransferId(new_id("trf", told.at, chance(CHANCE_BYTES)))
        transfer = posting(transfer_id, merchant_id, row["amount_rupiah"], instruction_id, told.at)
        await book(connection, programme_id, transfer)
    return applied


def _contradiction(instruction_id: str, amount_rupiah: int, event: PayoutEvent, known: tuple[PayoutEvent, ...]) -> str:
    state = _SAID[known[-1]] if known else "is on its way"
    wanted = {
        PayoutEvent.SETTLED: "be paid",
        PayoutEvent.FAILED: "fail",
        PayoutEvent.RETURNED: "come back",
        PayoutEvent.RELEASED: "be released",
    }[event]
    return f"{instruction_id} of {in_rupiah(amount_rupiah)} {state}, so it cannot {wanted}; nothing was changed."


def _require_clean(told: Told) -> None:
    for text in (told.bank_reference, told.reason):
        if text is not None and not (text.isprintable() and 1 <= len(text.strip()) <= len(text) <= REFERENCE_LIMIT):
            raise PayoutRefused(f"A reference or reason is 1 to {REFERENCE_LIMIT} printable characters.")
