"""The bank's statement of the programme's account: a file that is whole at any time, and goes on where it ended.

StatementUnusable    the file is no statement of this bank; the message is one sentence
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Final, Self

from authz_service.serving import NotServedError

OPENING: Final = "SALDO AWAL"
CLOSING: Final = "SALDO AKHIR"


class StatementUnusable(NotServedError):  # noqa: N818 - it says what is so, as declines do
    """The file is no statement of this bank; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One movement. `reference` is ours; one of debit and credit is nothing."""

    date: date
    bank_reference: str
    reference: str
    debit: int
    credit: int
    balance: int
    description: str


@dataclass(slots=True, kw_only=True)
class Statement:
    """Every movement so far; the account may be overdrawn."""

    opened_on: date
    opening_rupiah: int
    rows: list[Row] = field(default_factory=list)
    _known: set[tuple[str, int]] = field(default_factory=set, init=False, repr=False, compare=False)
    """Reference and amount of each movement."""

    @property
    def balance_rupiah(self) -> int:
        return self.rows[-1].balance if self.rows else self.opening_rupiah

    def moves(self, on: date, amount_rupiah: int, *, reference: str, bank_reference: str, description: str) -> bool:
        """The money has moved, below nothing away from the account; False where it had before."""
        if (reference, amount_rupiah) in self._known:
            return False
        self._known.add((reference, amount_rupiah))
        debit, credit = max(-amount_rupiah, 0), max(amount_rupiah, 0)
        balance = self.balance_rupiah + amount_rupiah
        self.rows.append(
            Row(
                date=max(on, self.rows[-1].date if self.rows else self.opened_on),
                bank_reference=bank_reference,
                reference=reference,
                debit=debit,
                credit=credit,
                balance=balance,
                description=description,
            )
        )
        return True

    def of(self, reference: str) -> Sequence[Row]:
        return [row for row in self.rows if row.reference == reference]

    def text(self, until: date) -> str:
        """As CSV, between two rows that have only a balance."""
        file = StringIO(newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(each.name for each in fields(Row))
        writer.writerow([self.opened_on, "", "", "", "", self.opening_rupiah, OPENING])
        for row in self.rows:
            writer.writerow((asdict(row) | {"debit": row.debit or "", "credit": row.credit or ""}).values())
        last = self.rows[-1].date if self.rows else self.opened_on
        writer.writerow([max(until, last), "", "", "", "", self.balance_rupiah, CLOSING])
        return file.getvalue()

    def write(self, path: Path, until: date) -> None:
        """Whoever reads the file finds the old one or the new one."""
        new = path.with_name(f"{path.name}.new")
        try:
            new.write_text(self.text(until), encoding="utf-8")
            new.replace(path)
        except OSError as unwritten:
            raise StatementUnusable(f"{path} cannot be written: {type(unwritten).__name__}.") from None

    @classmethod
    def read(cls, text: str) -> Self:
        """As an earlier run wrote it."""
        try:
            first, *others = list(csv.DictReader(StringIO(text, newline=""), strict=True))
            if first["description"] != OPENING or not others or others.pop()["description"] != CLOSING:
                raise StatementUnusable("The statement has not its first and its last row.")
            opened = cls(opened_on=date.fromisoformat(first["date"]), opening_rupiah=int(first["balance"]))
            for row in others:
                amount_rupiah = int(row["credit"] or 0) - int(row["debit"] or 0)
                names = ("reference", "bank_reference", "description")
                opened.moves(date.fromisoformat(row["date"]), amount_rupiah, **{name: row[name] for name in names})
        except (ValueError, KeyError, TypeError, csv.Error):
            raise StatementUnusable("The statement is not one that this bank wrote.") from None
        return opened
