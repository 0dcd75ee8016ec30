"""What the bank is asked to pay: the file of a batch, as `authz settlement export --bank` writes it. Pure.

OrdersRefused    nothing of the file is paid; the message is one sentence
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Final

from authz_service.serving import NotServedError

COLUMNS: Final = (
    *("record", "reference", "bank_code", "account_number", "holder", "amount_rupiah", "currency", "remark"),
)
ORDER: Final = "D"
LAST: Final = "T"


class OrdersRefused(NotServedError):  # noqa: N818 - it says what is so, as declines do
    """Nothing of the file is paid; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOrder:
    """One payment, known by our reference. Account and batch together name it in the same way in every run."""

    reference: str
    batch: int
    amount_rupiah: int
    bank_code: str
    account_number: str = field(repr=False)
    holder: str


def read_orders(text: str) -> Sequence[PaymentOrder]:
    """All payments of the file, whose last line says how many there are and what they come to."""
    rows = [tuple(row) for row in csv.reader(StringIO(text, newline="")) if row]
    if not rows or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise OrdersRefused("This is no file of payment orders: its columns are others.")
    *orders, last = rows[1:] or [()]
    if not last or last[0] != LAST or any(row[0] != ORDER for row in orders):
        raise OrdersRefused("The last line is missing: the file was cut.")
    _, _, number, how_many, _, sum_rupiah, *_ = last
    try:
        found = [_order(row, int(number)) for row in orders]
        told = int(how_many), int(sum_rupiah)
    except ValueError:
        raise OrdersRefused("An amount or a number is not written in digits.") from None
    if told != (len(found), sum(each.amount_rupiah for each in found)):
        raise OrdersRefused("The last line has another count or sum than the lines before it.")
    return found


def _order(row: tuple[str, ...], batch: int) -> PaymentOrder:
    _, reference, bank_code, account_number, holder, amount, *_ = row
    return PaymentOrder(
        reference=reference,
        batch=batch,
        amount_rupiah=int(amount),
        bank_code=bank_code,
        account_number=account_number,
        holder=holder.removeprefix("'"),
    )
