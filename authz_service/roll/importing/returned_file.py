"""The file that goes back to who sent a list: the same rows, columns and format, and what is wrong with each row.

All rows and not the wrong ones alone: a list is whole or it takes families off the roll. Corrected, it is sent again as
it is. What a spreadsheet would take for a formula stands behind an apostrophe, which the next reading drops.
"""

import csv
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from authz_service.roll.importing.layout import Layout, plain
from authz_service.roll.importing.tables import Sheet

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_SUFFIX: Final = "-kesalahan"
FaultsOfRow = tuple[int, str]


class _Writer(Protocol):
    def write(self, cells: Sequence[object]) -> None: ...


def path_beside(path: Path) -> Path:
    """Where it goes unless it is said: `list.csv` → `list-kesalahan.csv`, which stays so when it is sent again."""
    return path.with_stem(path.stem if path.stem.endswith(_SUFFIX) else path.stem + _SUFFIX)


async def write_returned(sheet: Sheet, layout: Layout, faults: AsyncIterator[FaultsOfRow], target: Path) -> None:
    """The file is there, whole, and only its owner can read it. `faults` come in the order of the rows."""
    told = {place for place, name in enumerate(sheet.header) if plain(name) == plain(layout.error_column)}
    header = [name for place, name in enumerate(sheet.header) if place not in told]
    half = target.with_name(f".{target.name}.half")
    half.unlink(missing_ok=True)
    os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with _writer(half, target.suffix, sheet.delimiter) as out:
        out.write([*header, layout.error_column])
        number, sentence = await _next(faults)
        for row_number, cells in sheet.rows:
            padded = [*cells, *[None] * (len(sheet.header) - len(cells))]
            kept = [cell for place, cell in enumerate(padded) if place not in told]
            while number and number < row_number:
                number, sentence = await _next(faults)
            said = sentence if number == row_number else ""
            # What stands beyond the header is a fault, and stays beyond.
            out.write([*kept[: len(header)], said, *kept[len(header) :]])
    half.replace(target)


async def _next(faults: AsyncIterator[FaultsOfRow]) -> FaultsOfRow:
    """Row 0 when there are no more."""
    async for each in faults:
        return each
    return 0, ""


def guarded(cell: object) -> object:
    """What no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell


class _CsvWriter:
    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def write(self, cells: Sequence[object]) -> None:
        self._rows.writerow(["" if cell is None else guarded(cell) for cell in cells])


class _XlsxWriter:
    def __init__(self, sheet: Any) -> None:
        self._sheet = sheet

    def write(self, cells: Sequence[object]) -> None:
        self._sheet.append([self._cell(guarded(cell)) for cell in cells])

    def _cell(self, value: object) -> Any:
        from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415  (as below)
        from openpyxl.utils.exceptions import IllegalCharacterError  # noqa: PLC0415

        if not isinstance(value, str):
            return value
        try:
            cell = WriteOnlyCell(self._sheet, value=value)
        except IllegalCharacterError:
            cell = WriteOnlyCell(self._sheet, value="".join(filter(str.isprintable, value)))
        # Else a spreadsheet makes a number of a NIK that somebody corrects.
        cell.number_format = "@"
        return cell


@contextmanager
def _writer(path: Path, suffix: str, delimiter: str | None) -> Iterator[_Writer]:
    if suffix.lower() == ".xlsx":
        # Not at the top: it would cost every other command its time.
        from openpyxl import Workbook  # noqa: PLC0415

        book = Workbook(write_only=True)
        yield _XlsxWriter(book.create_sheet())
        book.save(path)
        return
    # With its mark, which tells a spreadsheet that it is UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        yield _CsvWriter(csv.writer(file, delimiter=delimiter or ",", lineterminator="\r\n"))
