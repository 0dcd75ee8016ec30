"""What goes out on paper, as CSV: the bank's file with all instructions of a batch, and a shop's own remittance advice.

The same batch always makes the same bytes. A text that a spreadsheet would run as a formula gets an apostrophe.

PaperNotWritten    the file is not there; the message says why
"""

import csv
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.database import Connection
from authz_service.settlement.accounts import masked
from authz_service.settlement.batches import BatchRefused
from authz_service.settlement.positions import Carried, Instruction
from authz_service.settlement.reading import Batch, Payout, ShopInBatch
from authz_service.vocabulary import MerchantId, ProgrammeId

CURRENCY: Final = "IDR"
BANK_COLUMNS: Final = (
    *("record", "reference", "bank_code", "account_number", "holder", "amount_rupiah", "currency", "remark"),
)
SHOP_COLUMNS: Final = ("tanggal", "keterangan", "kode_persetujuan", "rujukan", "jumlah_rupiah")
WOULD_BE_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_LINES: Final = """
-- Each sale, refund and returned payout of a shop in a batch, in order of time.
SELECT t.created_at, t.kind, t.cause, coalesce(t.authorisation_id, t.reason) AS about, i.amount_rupiah,
       convert_from(a.answer, 'UTF8')::jsonb ->> 'approval_code' AS approval_code
  FROM settlement_item i
  JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = i.transfer_id
  LEFT JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = t.authorisation_id
 WHERE i.programme_id = $1 AND i.batch_id = $2 AND i.merchant_id = $3
 ORDER BY t.created_at, t.transfer_id
"""
_KINDS: Final = {
    "post": "Penjualan",
    "refund": "Pengembalian barang",
    "payout_failed": "Transfer bank gagal, dibayarkan lagi",
    "return": "Transfer bank kembali, dibayarkan lagi",
}
_CARRIED: Final = {
    Carried.BELOW_NOTHING: "Dipotong dari batch berikutnya: pengembalian lebih besar daripada penjualan",
    Carried.NO_ACCOUNT: "Dibayar pada batch berikutnya: belum ada rekening yang disetujui",
}


class PaperNotWritten(Exception):  # noqa: N818
    """The file could not be written; the message says why."""


def bank_file(batch: Batch, payouts: Sequence[Payout], zone: ZoneInfo) -> str:
    """A line D for each instruction; the last line, T, has the batch, how many lines, their sum, and the hash."""
    rows: list[Sequence[str | int]] = [BANK_COLUMNS]
    rows += [_bank_line(payout.instruction, batch.number) for payout in payouts]
    sum_rupiah = sum(payout.instruction.amount_rupiah for payout in payouts)
    cut_off = batch.cut_off_at.astimezone(zone).isoformat()
    rows.append(("T", batch.batch_id, batch.number, len(payouts), cut_off, sum_rupiah, CURRENCY, batch.hash.hex()))
    return _csv(rows)


def _bank_line(each: Instruction, number: int) -> Sequence[str | int]:
    who = (each.bank_code, each.account_number, each.holder)
    return ("D", each.instruction_id, *who, each.amount_rupiah, CURRENCY, f"batch {number}")


async def shop_file(
    connection: Connection,
    programme_id: ProgrammeId,
    batch: Batch,
    shops: Sequence[ShopInBatch],
    payouts: Sequence[Payout],
    merchant_id: str,
    zone: ZoneInfo,
) -> str:
    """Each sale and refund, what was brought, what it comes to, and to which account that is paid; in Indonesian."""
    shop = next((each for each in shops if each.merchant_id == merchant_id), None)
    if shop is None:
        raise BatchRefused(f"Batch {batch.number} has nothing of a shop {merchant_id}.")
    lines = await connection.fetch(_LINES, programme_id, batch.batch_id, merchant_id)
    title = f"Rincian pembayaran {shop.name}, batch {batch.number}"
    rows: list[Sequence[str | int]] = [SHOP_COLUMNS, (_day(batch.cut_off_at, zone), title, "", batch.batch_id, "")]
    rows += [
        (
            _day(line["created_at"], zone),
            "Pembatalan" if line["cause"] == "reverse" else _KINDS[line["kind"]],
            line["approval_code"] or "",
            line["about"],
            line["amount_rupiah"],
        )
        for line in lines
    ]
    rows.append(("", "Sisa dari batch sebelumnya", "", "", shop.totals.brought_rupiah))
    rows.append(("", "Jumlah bersih", "", "", shop.totals.net_rupiah))
    rows += _outcome(shop, [payout.instruction for payout in payouts])
    return _csv(rows)


def _outcome(shop: ShopInBatch, instructions: Sequence[Instruction]) -> list[Sequence[str | int]]:
    if shop.carried_because is not None:
        return [("", _CARRIED[shop.carried_because], "", "", shop.totals.carried_rupiah)]
    return [
        (
            "",
            f"Dibayar ke rekening {masked(each.account_number)} a.n. {each.holder} (bank {each.bank_code})",
            *("", each.instruction_id, each.amount_rupiah),
        )
        for each in instructions
        if each.merchant_id == MerchantId(shop.merchant_id)
    ]


def write(path: Path, text: str) -> None:
    """The file has the text, and only its owner may read it."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
    except OSError as error:
        raise PaperNotWritten(f"Nothing was written to {path}: {error.strerror}.") from error


def _csv(rows: Iterable[Sequence[str | int]]) -> str:
    file = StringIO()
    csv.writer(file, lineterminator="\n").writerows([safe_cell(cell) for cell in row] for row in rows)
    return file.getvalue()


def safe_cell(cell: str | int) -> str | int:
    """A text that a spreadsheet would run as a formula, with an apostrophe before it; all else as it is."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(WOULD_BE_A_FORMULA) else cell


def _day(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"
