"""A list as it was sent: its header and rows, read one after the other. CSV here, XLSX in `workbooks.py`.

Nothing is trusted: the size is limited, and whatever a file does is one sentence, `RollRefused`.
"""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final

from authz_service.roll.importing.layout import DELIMITERS, Layout, plain
from authz_service.roll.importing.workbooks import opened_workbook
from authz_service.roll.orders import RollRefused
from authz_service.settings import Settings

HEADER_ROWS: Final = 20
"""So far down the header is looked for: above it stand titles."""
_PIECE_BYTES: Final = 1 << 20
_LINE_LIMIT: Final = 1 << 17
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """`rows` are their numbers in the file and their cells, without empty ones; `columns` our word → its place.

    `position` tells how far it has been read, of `size`.
    """

    header: tuple[str, ...]
    columns: dict[str, int]
    rows: Iterator[tuple[int, Sequence[object]]]
    delimiter: str | None
    position: Callable[[], int]
    size: int


@contextmanager
def opened_sheet(path: Path, layout: Layout, settings: Settings) -> Iterator[Sheet]:
    """The list, read as far as its header."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > settings.roll_file_limit_bytes:
                raise RollRefused(f"{path.name} is larger than {settings.roll_file_limit_bytes} bytes.")
            if path.suffix.lower() == ".xlsx":
                with opened_workbook(file, layout.sheet, settings.roll_expanded_limit_bytes) as book:
                    yield _sheet(book.rows, layout, settings, None, book.position, book.size)
            else:
                rows, delimiter = _csv_rows(file, layout)
                yield _sheet(rows, layout, settings, delimiter, file.tell, size)
    except OSError as unread:
        raise RollRefused(f"{path.name} cannot be read: {type(unread).__name__}.") from None


def is_empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _sheet(
    rows: Iterable[Sequence[object]],
    layout: Layout,
    settings: Settings,
    delimiter: str | None,
    position: Callable[[], int],
    size: int,
) -> Sheet:
    numbered = enumerate(rows, start=1)
    wanted = {ours: plain(theirs) for ours, theirs in layout.columns.named().items()}
    best: list[str] = sorted(wanted.values())
    for _, cells in islice(numbered, HEADER_ROWS):
        header = ["" if cell is None else str(cell).strip() for cell in cells]
        names = [plain(name) for name in header]
        missing = [name for name in wanted.values() if name not in names]
        if missing:
            best = min(best, missing, key=len)
            continue
        twice = [name for name in wanted.values() if names.count(name) > 1]
        if twice:
            raise RollRefused(f"The column {twice[0].upper()} stands twice in the header.")
        while header and not header[-1]:
            header.pop()
        columns = {ours: names.index(name) for ours, name in wanted.items()}
        filled = _filled(numbered, settings.roll_rows_limit)
        return Sheet(
            header=tuple(header), columns=columns, rows=filled, delimiter=delimiter, position=position, size=size
        )
    said = ", ".join(name.upper() for name in best)
    raise RollRefused(f"The first {HEADER_ROWS} rows have no header with all columns; missing: {said}.")


def _filled(numbered: Iterator[tuple[int, Sequence[object]]], limit: int) -> Iterator[tuple[int, Sequence[object]]]:
    found = 0
    for number, cells in numbered:
        # The first is much faster: a workbook may pretend to have a million empty rows of as many columns as it likes.
        if not any(cells) or all(map(is_empty, cells)):
            continue
        found += 1
        if found > limit:
            raise RollRefused(f"The list has more than {limit} rows.")
        yield number, cells


def _csv_rows(file: IO[bytes], layout: Layout) -> tuple[Iterator[Sequence[object]], str]:
    encoding = _encoding_of(file)
    head = codecs.getreader(encoding)(file, "replace").read(size=_LINE_LIMIT).splitlines()[:HEADER_ROWS]
    delimiter = layout.delimiter or max(
        DELIMITERS, key=lambda mark: max((line.count(mark) for line in head), default=0)
    )
    file.seek(0)
    lines = codecs.getreader(encoding)(file, "replace")
    return _parsed(csv.reader(_lines(lines), delimiter=delimiter, strict=True)), delimiter


def _encoding_of(file: IO[bytes]) -> str:
    """UTF-8 or UTF-16 with its mark; else what Windows wrote: Latin letters of one byte."""
    if file.read(2) in _UTF_16:
        file.seek(0)
        return "utf-16"
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(_PIECE_BYTES):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    finally:
        file.seek(0)
    return "utf-8-sig"


def _lines(text: codecs.StreamReader) -> Iterator[str]:
    """Not ended by what else Python takes for the end of a line, as a form feed within a name."""
    rest = ""
    while piece := text.read(size=_LINE_LIMIT):
        *whole, rest = (rest + piece).split("\n")
        if len(rest) > _LINE_LIMIT:
            raise RollRefused(f"This is no CSV: a line has more than {_LINE_LIMIT} characters.")
        yield from (line + "\n" for line in whole)
    if rest:
        yield rest


def _parsed(reader: Iterator[list[str]]) -> Iterator[Sequence[object]]:
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader, None)
        except csv.Error as wrong:
            raise RollRefused(f"Row {number} is no CSV: {wrong}.") from None
        if cells is None:
            return
        yield cells
