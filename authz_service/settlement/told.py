"""What other systems are told of settlement: ids, codes and rupiah; no account, no holder, no words of the bank."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import asyncpg

from authz_service.events.kinds import (
    BatchClosed,
    Event,
    ExceptionOpened,
    NoticeParked,
    PayoutInstructed,
)
from authz_service.settlement.canonical import Totals
from authz_service.settlement.findings import Finding
from authz_service.settlement.positions import Instruction
from authz_service.vocabulary import BatchId


def told_of_batch(
    batch_id: BatchId,
    number: int,
    cut_off_at: datetime,
    totals: Totals,
    instructions: Sequence[Instruction],
    digest: bytes,
) -> Iterator[Event]:
    """The batch first, then who is paid."""
    yield BatchClosed(
        batch_id=batch_id,
        batch_number=number,
        cut_off_at=cut_off_at,
        items=totals.items,
        payouts=len(instructions),
        brought_amount=totals.brought_rupiah,
        captured_amount=totals.captured_rupiah,
        refunded_amount=totals.refunded_rupiah,
        returned_amount=totals.returned_rupiah,
        instructed_amount=totals.instructed_rupiah,
        carried_amount=totals.carried_rupiah,
        hash=digest.hex(),
    )
    for each in instructions:
        yield PayoutInstructed(
            instruction_id=each.instruction_id,
            batch_id=batch_id,
            merchant_id=each.merchant_id,
            amount=each.amount_rupiah,
        )


def told_of_parked(
    notices: Sequence[asyncpg.Record], reasons: Sequence[str | None], instruction_id: str | None
) -> Iterator[Event]:
    """Each notice that is parked now and was not before, or for another reason; never one that people have resolved."""
    for notice, reason in zip(notices, reasons, strict=True):
        if reason is None or notice["standing"] == "resolved" or notice["reason"] == reason:
            continue
        yield NoticeParked(
            notice_id=notice["notice_id"],
            partner_id=notice["partner_id"],
            told=notice["status"],
            reason=reason,
            instruction_id=instruction_id,
            amount=notice["amount_rupiah"],
        )


def told_of_exception(exception_id: str, finding: Finding) -> Event:
    return ExceptionOpened(
        exception_id=exception_id,
        kind=finding.state,
        instruction_id=ours(finding.reference),
        our_amount=finding.ours_rupiah,
        their_amount=finding.theirs_rupiah,
        since_on=finding.since_on,
    )


def ours(reference: str) -> str | None:
    """What a bank calls a payment is told only where it is a payout of ours: else it is somebody's free text."""
    is_ours = reference.startswith("pay_") and reference.removeprefix("pay_").isalnum() and reference.isascii()
    return reference if is_ours else None
