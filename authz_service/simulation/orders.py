"""What the bank has to tell of: payments of a batch's file, as `authz settlement export --bank` writes it, and
money that the city pays into the account. Pure.

OrdersRefused    nothing of the file is paid; the message is one sentence
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Final, TypeAlias

from authz_service.serving import NotServedError
from authz_service.settlement.papers import WOULD_BE_A_FORMULA

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

    @property
    def known_as(self) -> str:
        return f"{self.account_number}/{self.batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """Money that the city pays in, under the reference that it has announced; the same in every run."""

    reference: str
    amount_rupiah: int

    @property
    def known_as(self) -> str:
        return self.reference


Business: TypeAlias = PaymentOrder | Deposit


def read_deposit(written: str) -> Deposit:
    """As in `SP2D-7=1776600000`."""
    reference, _, amount = written.rpartition("=")
    if not reference or not (amount.isascii() and amount.isdigit()) or not int(amount):
        raise OrdersRefused(f"{written!r} is no deposit: write REFERENCE=RUPIAH, as in SP2D-7=1776600000.")
    return Deposit(reference=reference, amount_rupiah=int(amount))


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
        # A spreadsheet would run the rest as a formula, hence the apostrophe; any other one is the holder's own.
        holder=holder[1:] if holder[:1] == "'" and holder[1:].startswith(WOULD_BE_A_FORMULA) else holder,
    )
