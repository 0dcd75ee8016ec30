"""What other systems are told of settlement: ids, codes and rupiah; no account, no holder, no words of the bank."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from authz_service.events.kinds import (
    BatchClosed,
    Event,
    PayoutInstructed,
)
from authz_service.settlement.canonical import Totals
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
