"""The bank's statement is read from its file, whole or not at all: CSV here, MT940 in `mt940_files.py`. Pure.

A mapping says what a bank calls its columns; without one it is the layout of the simulated bank. Amounts are whole
rupiah, written `1500000`, `1.500.000`, `1.500.000,00` or `1500000.00`; `1,500` could be two things and is refused.
"""

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import sha256
from io import StringIO
from typing import ClassVar, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from authz_service.reconciliation.mt940_files import read_mt940
from authz_service.reconciliation.statement_lines import (
    DESCRIPTION_LIMIT,
    REFERENCE_LIMIT,
    Format,
    Statement,
    StatementLine,
    StatementRefused,
    identified,
    last_digits,
    one_line,
    require_money,
    require_sums,
)
from authz_service.vocabulary import in_rupiah

_AMOUNT: Final = re.compile(
    r"(-?)([0-9]{1,19}|[0-9]{1,3}(?:\.[0-9]{3})+)(?:,([0-9]{1,2})|(?<!\.[0-9]{3})\.([0-9]{2}))?"
)
_DELIMITERS: Final = (",", ";")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the header calls each of them. A bank that writes no reference of ours has no `reference` column."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    date: str = "date"
    bank_reference: str | None = "bank_reference"
    reference: str | None = "reference"
    debit: str = "debit"
    credit: str = "credit"
    balance: str = "balance"
    description: str | None = "description"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one bank writes its CSV. `opening` and `closing` are the descriptions of the rows that have only a balance;
    a bank without such rows has neither, and then nobody can see that rows are missing at the end of its file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    columns: Columns = field(default_factory=Columns)
    delimiter: str | None = None
    date_format: str = "%Y-%m-%d"
    opening: str | None = "SALDO AWAL"
    closing: str | None = "SALDO AKHIR"
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One row of the file, and the number of its line there."""

    number: int
    booked_on: date
    debit_rupiah: int
    credit_rupiah: int
    balance_rupiah: int
    reference: str
    bank_reference: str
    description: str

    @property
    def is_balance(self) -> bool:
        return not self.debit_rupiah and not self.credit_rupiah

    @property
    def amount_rupiah(self) -> int:
        return self.credit_rupiah - self.debit_rupiah


def read_mapping(text: str) -> Layout:
    """The mapping in this TOML; raises StatementRefused."""
    try:
        found = _MAPPING.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as wrong:
        raise StatementRefused(f"The mapping is no TOML: {wrong}.") from None
    except ValidationError as wrong:
        first = wrong.errors(include_input=False)[0]
        raise StatementRefused(f"The mapping: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    # TOML has no null: an empty text says that there is no such column or row.
    columns = replace(
        found.columns,
        bank_reference=found.columns.bank_reference or None,
        reference=found.columns.reference or None,
        description=found.columns.description or None,
    )
    found = replace(found, columns=columns, opening=found.opening or None, closing=found.closing or None)
    if found.delimiter is not None and found.delimiter not in _DELIMITERS:
        raise StatementRefused("The mapping: a delimiter is , or ;.")
    if (found.opening is None) != (found.closing is None) or (found.opening and found.columns.description is None):
        raise StatementRefused("The mapping: opening and closing come together, and with a description column.")
    return found


_MAPPING: Final = TypeAdapter(Layout)
OUR_BANK: Final = Layout()


def read_statement(content: bytes, kind: Format, mapping: Layout = OUR_BANK) -> Statement:
    """The statement in `content`, all of it; raises StatementRefused with the number of the line that is wrong."""
    text, digest = _text_of(content), sha256(content).digest()
    if kind is Format.MT940:
        return read_mt940(text, digest)
    rows = list(_rows(text, mapping))
    opening, movements, closing = _between(rows, mapping)
    balance = opening.balance_rupiah
    for each in movements:
        balance += each.amount_rupiah
        if each.balance_rupiah != balance:
            raise StatementRefused(
                f"the balance is {in_rupiah(each.balance_rupiah)}, but the lines before make {in_rupiah(balance)}.",
                each.number,
            )
        if not opening.booked_on <= each.booked_on <= closing.booked_on:
            raise StatementRefused(f"{each.booked_on} is not between the first and the last day.", each.number)
    lines = identified(
        StatementLine(
            line=place,
            booked_on=each.booked_on,
            amount_rupiah=each.amount_rupiah,
            reference=each.reference,
            bank_reference=each.bank_reference,
            description=each.description,
        )
        for place, each in enumerate(movements, start=1)
    )
    require_sums(opening.balance_rupiah, lines, closing.balance_rupiah)
    return Statement(
        format=kind,
        account=last_digits(mapping.account or ""),
        from_on=opening.booked_on,
        to_on=closing.booked_on,
        opening_rupiah=opening.balance_rupiah,
        closing_rupiah=closing.balance_rupiah,
        lines=lines,
        digest=digest,
    )


def _text_of(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise StatementRefused("this is not text in UTF-8.", line) from None
    if "\0" in text:
        raise StatementRefused("this is not text.", text.count("\n", 0, text.index("\0")) + 1)
    return text


def _between(rows: list[_Row], mapping: Layout) -> tuple[_Row, list[_Row], _Row]:
    """The row before the movements, the movements, the row after them."""
    if not rows:
        raise StatementRefused("The file has no rows.")
    if mapping.opening is None:
        odd = next((each for each in rows if each.is_balance), None)
        if odd is not None:
            raise StatementRefused("neither debit nor credit is given.", odd.number)
        first, last = rows[0], rows[-1]
        before = replace(
            first,
            booked_on=min(each.booked_on for each in rows),
            balance_rupiah=first.balance_rupiah - first.amount_rupiah,
        )
        return before, rows, replace(last, booked_on=max(each.booked_on for each in rows))
    first, *middle = rows
    if not first.is_balance or first.description != mapping.opening:
        raise StatementRefused(f"the file begins with the row {mapping.opening!r}, and this is none.", first.number)
    if not middle or not middle[-1].is_balance or middle[-1].description != mapping.closing:
        raise StatementRefused(f"the row {mapping.closing!r} is missing: the file was cut.", rows[-1].number)
    odd = next((each for each in middle[:-1] if each.is_balance), None)
    if odd is not None:
        raise StatementRefused("neither debit nor credit is given.", odd.number)
    return first, middle[:-1], middle[-1]


def _rows(text: str, mapping: Layout) -> Iterator[_Row]:
    columns = mapping.columns
    reader = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text, mapping), strict=True)
    number = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        wanted = {name: getattr(columns, name) for name in Columns.__slots__ if getattr(columns, name) is not None}
        for name in wanted.values():
            if header.count(name) != 1:
                raise StatementRefused(f"the column {name!r} stands {header.count(name)} times in the header.", 1)
        while True:
            number = reader.line_num + 1
            values = next(reader, None)
            if values is None:
                return
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                raise StatementRefused(f"it has {len(values)} fields, and the header has {len(header)}.", number)
            row = dict(zip(header, values, strict=True))
            yield _row({name: row[its] for name, its in wanted.items()}, number, mapping)
    except csv.Error as wrong:
        raise StatementRefused(f"this is no CSV: {wrong}.", number) from None


def _delimiter(text: str, mapping: Layout) -> str:
    """As the mapping says, or the one of the two that the header has more often."""
    header = text.partition("\n")[0]
    return mapping.delimiter or max(_DELIMITERS, key=header.count)


def _row(value: Mapping[str, str], number: int, mapping: Layout) -> _Row:
    try:
        # A statement's day is the bank's, and has no zone.
        booked_on = datetime.strptime(value["date"].strip(), mapping.date_format).date()  # noqa: DTZ007
    except ValueError:
        raise StatementRefused(f"the date is not written as {mapping.date_format}.", number) from None
    debit, credit = (_rupiah(value[name], name, number, empty=0) for name in ("debit", "credit"))
    if debit < 0 or credit < 0 or (debit and credit):
        raise StatementRefused("one of debit and credit is above nothing, and the other is empty.", number)
    return _Row(
        number=number,
        booked_on=booked_on,
        debit_rupiah=debit,
        credit_rupiah=credit,
        balance_rupiah=_rupiah(value["balance"], "balance", number),
        reference=one_line(value.get("reference", ""), REFERENCE_LIMIT),
        bank_reference=one_line(value.get("bank_reference", ""), REFERENCE_LIMIT),
        description=one_line(value.get("description", ""), DESCRIPTION_LIMIT),
    )


def _rupiah(text: str, name: str, number: int, *, empty: int | None = None) -> int:
    written = text.strip().removeprefix("Rp").strip()
    if not written and empty is not None:
        return empty
    parts = _AMOUNT.fullmatch(written)
    if parts is None:
        raise StatementRefused(f"the {name} is no amount of rupiah.", number)
    if int(parts[3] or parts[4] or "0"):
        raise StatementRefused(f"the {name} has sen; only whole rupiah are booked.", number)
    return require_money(int(parts[1] + parts[2].replace(".", "")), number)
