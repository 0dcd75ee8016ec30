"""What a batch's hash is over: lines that anybody can write again from its items and instructions. Pure.

A line's fields are separated by tabs, and it ends with a line feed: the batch with its control totals, its items in
the order of their transfers' ids, its instructions in the order of theirs. The hash is SHA-256 over the 32 bytes of the
hash of the batch before (nothing for the first) and these lines in UTF-8. `ledger/invariants/settlement.py` writes
them again in SQL.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from authz_service.vocabulary import BatchId, InstructionId, MerchantId, ProgrammeId, TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The control totals of a batch (rupiah, and how many items); or of one shop in it."""

    items: int = 0
    brought_rupiah: int = 0
    captured_rupiah: int = 0
    refunded_rupiah: int = 0
    returned_rupiah: int = 0
    instructed_rupiah: int = 0
    carried_rupiah: int = 0

    @property
    def net_rupiah(self) -> int:
        return self.brought_rupiah + self.captured_rupiah - self.refunded_rupiah + self.returned_rupiah


def head_line(
    programme_id: ProgrammeId, batch_id: BatchId, number: int, cut_off_at: datetime, closed_at: datetime, totals: Totals
) -> bytes:
    return _line(
        "batch",
        programme_id,
        batch_id,
        number,
        _instant(cut_off_at),
        _instant(closed_at),
        totals.items,
        totals.brought_rupiah,
        totals.captured_rupiah,
        totals.refunded_rupiah,
        totals.returned_rupiah,
        totals.instructed_rupiah,
        totals.carried_rupiah,
    )


def item_line(transfer_id: TransferId, merchant_id: MerchantId, amount_rupiah: int) -> bytes:
    return _line("item", transfer_id, merchant_id, amount_rupiah)


def instruction_line(
    instruction_id: InstructionId,
    merchant_id: MerchantId,
    amount_rupiah: int,
    *,
    bank_code: str,
    account_number: str,
    holder: str,
) -> bytes:
    return _line("pay", instruction_id, merchant_id, amount_rupiah, bank_code, account_number, holder)


def _line(*fields: str | int) -> bytes:
    return ("\t".join(map(str, fields)) + "\n").encode()


def _instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
