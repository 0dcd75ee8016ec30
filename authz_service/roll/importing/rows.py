"""One row of a list, checked by itself. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from pydantic import TypeAdapter, ValidationError

from authz_service.requests import Reason
from authz_service.roll.importing.faults import Fault, Found
from authz_service.roll.importing.layout import plain
from authz_service.vocabulary import in_rupiah, luhn_is_valid

_NAME: Final = TypeAdapter[str](Reason)
_SIXTEEN: Final = re.compile(r"[0-9]{16}")
_CARD: Final = re.compile(r"[0-9]{12,19}")
_SCIENTIFIC: Final = re.compile(r"[0-9]+([.,][0-9]+)?[eE]\+?[0-9]+")
_RUPIAH: Final = re.compile(r"(?:Rp\.?\s*)?([0-9]{1,15}|[0-9]{1,3}(?:\.[0-9]{3})+)(?:,0{1,2})?", re.IGNORECASE)
_OF_A_KECAMATAN: Final = re.compile(r"^kec(amatan)?_")
_WOMEN: Final = 40
"""Is added to the day of birth of a woman."""
_PROVINCES: Final = frozenset(
    (*range(11, 20), 21, *range(31, 37), *range(51, 54), *range(61, 66), *range(71, 77), 81, 82, *range(91, 98))
)
"""The first two digits of Kemendagri's codes."""
_UNREADABLE: Final = "\ufffd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """What a list may name. Districts and companions as `plain` has them; None: the name is of more than one."""

    districts: Mapping[str, str]
    companions: Mapping[str, str | None]
    entitlement_rupiah: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """A row as far as it can be read; what cannot is None, and in `faults`. An empty card or amount is None as well."""

    number: int
    nik: str | None = field(repr=False)
    kk: str | None = field(repr=False)
    name: str | None = field(repr=False)
    district_code: str | None
    companion_id: str | None
    card_number: str | None = field(repr=False)
    amount_rupiah: int | None
    faults: tuple[Found, ...]


def read_row(
    number: int, cells: Sequence[object], columns: Mapping[str, int], width: int, town: Town, labels: Mapping[str, str]
) -> ListRow:
    """The row with all that is wrong with it by itself; `labels` are the list's own names of its columns."""
    found: list[Found] = []
    if any(cell is not None and str(cell).strip() for cell in cells[width:]):
        found.append(Found(fault=Fault.TOO_WIDE))
    text = {
        ours: _text(cells[place] if place < len(cells) else None, ours, labels[ours], found)
        for ours, place in columns.items()
    }
    return ListRow(
        number=number,
        nik=_digits(text["nik"], _SIXTEEN, Fault.NIK, found),
        kk=_digits(text["kk"], _SIXTEEN, Fault.KK, found),
        name=_name(text["name"], found),
        district_code=_one_of(town.districts, text["district"], Fault.DISTRICT, found),
        companion_id=_one_of(town.companions, text["companion"], Fault.COMPANION, found),
        card_number=_card(text["card_number"], found),
        amount_rupiah=_amount(text.get("amount"), town.entitlement_rupiah, found),
        faults=tuple(found),
    )


def oddities(row: ListRow) -> Iterator[Found]:
    """What no civil registry gives: of a family that nobody knows yet it is a slip. A known one is not questioned.

    Both numbers begin with a kecamatan, that of the first registration, and a day: of birth, 40 more for women, or of
    issue; then a serial number. There is no check digit.
    """
    for number, fault in ((row.nik, Fault.NIK_ODD), (row.kk, Fault.KK_ODD)):
        if number is not None and (why := _odd(number, women=fault is Fault.NIK_ODD)):
            yield Found(fault=fault, detail=why)


def _odd(number: str, *, women: bool) -> str:
    if int(number[:2]) not in _PROVINCES or number[2:4] == "00" or number[4:6] == "00":
        return "kode wilayah"
    day, month, year = int(number[6:8]), int(number[8:10]), int(number[10:12])
    if women and day > _WOMEN:
        day -= _WOMEN
    if not _is_a_day(2000 + year, month, day) and not _is_a_day(1900 + year, month, day):
        return "tanggal"
    return "nomor urut" if number[12:] == "0000" else ""


def _is_a_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _text(cell: object, ours: str, label: str, found: list[Found]) -> str | None:
    """What stands in the cell; None, with a fault, where it is no text. Empty is ""."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        # Spreadsheets write an apostrophe in front of what is text; the file that goes back does, too.
        text = cell.strip().removeprefix("'").strip()
        if text.startswith("="):
            found.append(Found(fault=Fault.FORMULA, detail=label))
            return None
        if ours in _LONG and _SCIENTIFIC.fullmatch(text):
            found.append(Found(fault=Fault.NUMBER_CELL, detail=label))
            return None
        return text
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        found.append(Found(fault=Fault.ODD_CELL, detail=label))
        return None
    if ours in _LONG:
        # A spreadsheet keeps fifteen digits of a number; the sixteenth is a nought, whatever was typed.
        found.append(Found(fault=Fault.NUMBER_CELL, detail=label))
        return None
    return str(int(cell)) if float(cell).is_integer() else str(cell)


_LONG: Final = frozenset({"nik", "kk", "card_number"})


def _digits(text: str | None, shape: re.Pattern[str], fault: Fault, found: list[Found]) -> str | None:
    if text is None:
        return None
    digits = re.sub(r"[\s.\-]", "", text)
    if shape.fullmatch(digits):
        return digits
    found.append(Found(fault=fault))
    return None


def _card(text: str | None, found: list[Found]) -> str | None:
    if not text:
        return None
    number = _digits(text, _CARD, Fault.CARD, found)
    if number is not None and not luhn_is_valid(number):
        found.append(Found(fault=Fault.CARD))
        return None
    return number


def _name(text: str | None, found: list[Found]) -> str | None:
    if text is None:
        return None
    name = " ".join(text.split())
    try:
        if _UNREADABLE not in name:
            return _NAME.validate_python(name)
    except ValidationError:
        pass
    found.append(Found(fault=Fault.NAME))
    return None


def _one_of(known: Mapping[str, str | None], text: str | None, fault: Fault, found: list[Found]) -> str | None:
    if text is None:
        return None
    name = plain(text)
    code = known.get(name) or known.get(_OF_A_KECAMATAN.sub("", name))
    if code is None:
        found.append(Found(fault=fault))
    return code


def _amount(text: str | None, most: int, found: list[Found]) -> int | None:
    if not text:
        return None
    parts = _RUPIAH.fullmatch(text)
    amount = int(parts[1].replace(".", "")) if parts else 0
    if not 1 <= amount <= most:
        found.append(Found(fault=Fault.AMOUNT, detail=in_rupiah(most)))
        return None
    return amount
