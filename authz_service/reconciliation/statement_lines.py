"""What a bank's statement says, whatever file it came in: lines, each with an identity, between two balances. Pure.

StatementRefused    the file cannot be read; nothing was written
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Final

from authz_service.vocabulary import MONEY_LIMIT_RUPIAH, in_rupiah

REFERENCE_LIMIT: Final = 64
DESCRIPTION_LIMIT: Final = 500


class StatementRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """The file is no statement that can be read whole; the message is one sentence for the operator."""

    def __init__(self, sentence: str, line: int | None = None) -> None:
        super().__init__(f"Line {line}: {sentence}" if line else sentence)
        self.line = line


class Format(StrEnum):
    CSV = "csv"
    MT940 = "mt940"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One booking of the bank. `line` counts the bookings of its statement from 1; below nothing, money left."""

    line: int
    booked_on: date
    amount_rupiah: int
    reference: str
    """What we called the payment, where the bank says so."""
    bank_reference: str
    description: str = field(default="", repr=False)
    identity: bytes = b""
    """The same in every file that has this booking; `identified` gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One file: all bookings of these days, between the balance before and the balance after."""

    format: Format
    account: str | None
    """Its last digits, where the file names it."""
    from_on: date
    to_on: date
    opening_rupiah: int
    closing_rupiah: int
    lines: Sequence[StatementLine]
    digest: bytes
    """SHA-256 of the file."""


def identified(lines: Iterable[StatementLine]) -> tuple[StatementLine, ...]:
    """Each line with its identity: what the bank booked, and which of several equal bookings it is.

    Not over the description, the running balance or the place in the file: these differ between two files with the
    same days. Statements end with days, so equal bookings of a day stand together in every file that has them.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for each in lines:
        what = (each.booked_on.isoformat(), str(each.amount_rupiah), each.reference, each.bank_reference)
        seen[what] += 1
        text = "\t".join([*what, str(seen[what])])
        found.append(replace(each, identity=sha256(text.encode()).digest()))
    return tuple(found)


def require_sums(opening_rupiah: int, lines: Iterable[StatementLine], closing_rupiah: int) -> None:
    """Opening balance and movements make the closing balance; else something was cut out, or put in."""
    made = opening_rupiah + sum(each.amount_rupiah for each in lines)
    if made != closing_rupiah:
        raise StatementRefused(
            f"The opening balance {in_rupiah(opening_rupiah)} and the lines make {in_rupiah(made)}, but the closing"
            f" balance is {in_rupiah(closing_rupiah)}: the file is not whole."
        )


def require_money(amount_rupiah: int, line: int | None) -> int:
    if abs(amount_rupiah) > MONEY_LIMIT_RUPIAH:
        raise StatementRefused("an amount is larger than any that the books can have.", line)
    return amount_rupiah


def one_line(text: str, limit: int) -> str:
    """Printable and in one line: what others wrote into it reaches neither a screen nor a log as anything but text."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:limit]


def last_digits(account: str) -> str | None:
    """So much of an account as a person needs to know it again."""
    digits = "".join(letter for letter in account if letter.isascii() and letter.isdigit())
    return f"****{digits[-4:]}" if digits else None
