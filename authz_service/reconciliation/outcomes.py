"""What two people may say of an exception, and the one of these words that books something.

ExceptionRefused    nothing was changed; the message is one sentence for the operator
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from authz_service.database import Connection
from authz_service.reconciliation.findings import State
from authz_service.settlement.instructions import Applied, PayoutRefused, Source, Told, settle_after_all
from authz_service.vocabulary import Chance, ProgrammeId

_IS_RELEASED: Final = """
SELECT EXISTS (SELECT FROM payout_event WHERE programme_id = $1 AND instruction_id = $2 AND event = 'released')
"""
_PAID_UNDER: Final = """
-- The bank's own reference of the line that shows a payout leaving.
SELECT min(l.bank_reference)
  FROM bank_statement_match m
  JOIN bank_statement_line l USING (programme_id, identity)
 WHERE m.programme_id = $1 AND m.reference = $2 AND l.amount_rupiah < 0 AND l.bank_reference <> ''
"""


class ExceptionRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


class Outcome(StrEnum):
    """What becomes of an exception."""

    EXPLAINED = "explained"
    """It is as it should be, and the reason says why: the bank's own charges, for example."""
    CORRECTED = "corrected"
    """The books were put right by an order of their own."""
    CLAIMED = "claimed"
    """The bank was asked to put its side right."""
    PAID_AFTER_ALL = "paid_after_all"
    """Of `paid_though_failed`, and its only one until it is released: the approval books the payout as paid."""


async def book_as_paid(
    connection: Connection, programme_id: ProgrammeId, reference: str, actor: str, now: datetime, chance: Chance
) -> Applied:
    """Inside `alone_with`: the payout is settled after all, under the bank's reference of the line that shows it."""
    bank_reference = await connection.fetchval(_PAID_UNDER, programme_id, reference)
    told = Told(source=Source.OPERATOR, actor=actor.strip(), at=now, bank_reference=bank_reference)
    try:
        return await settle_after_all(connection, programme_id, reference, told=told, chance=chance)
    except PayoutRefused as refused:
        raise ExceptionRefused(str(refused)) from None


async def require_fitting(
    connection: Connection, programme_id: ProgrammeId, exception_id: str, kind: str, reference: str, outcome: Outcome
) -> None:
    """Else the books would stay wrong with a tick beside them, or money would move that the statement does not show."""
    is_paid_though_failed = kind == State.PAID_THOUGH_FAILED
    if is_paid_though_failed == (outcome is Outcome.PAID_AFTER_ALL):
        return
    if outcome is Outcome.PAID_AFTER_ALL:
        raise ExceptionRefused(f"{exception_id} is {kind}, of no payout that was paid though it failed.")
    if not await connection.fetchval(_IS_RELEASED, programme_id, reference):
        raise ExceptionRefused(
            f"{exception_id} is of a payout that left the bank though it failed by the books: say paid_after_all, which"
            " books it as paid; or ask the bank for the money, and the statement on which it comes back ends this."
        )
