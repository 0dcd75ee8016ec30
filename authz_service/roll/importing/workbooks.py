"""XLSX, read row by row in bounded memory: openpyxl, and what it has to be kept from.

A workbook is a zip of XML: its parts say how large they are, and are believed only up to a limit. Formulas are not
computed and dates are not guessed: whoever checks a row sees that a cell is no text.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, Final
from zipfile import BadZipFile, ZipFile

from authz_service.roll.orders import RollRefused

ROWS: Final = 1_048_576
"""As many as Excel knows; what claims to stand below is not there."""
COLUMNS: Final = 128
PART_LIMIT_BYTES: Final = 16_000_000
"""Of each part that is read whole; rows and texts are not."""
_STREAMED: Final = re.compile(r"/?xl/(worksheets/[^/]+|sharedStrings)\.xml", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbook:
    """`position` is how many bytes of the unpacked sheet have been read, of `size`; both roughly."""

    rows: Iterator[Sequence[object]]
    position: Callable[[], int]
    size: int


@contextmanager
def opened_workbook(file: IO[bytes], sheet: str | None, expanded_limit_bytes: int) -> Iterator[Workbook]:
    """The rows of the named sheet, or of the first; raises RollRefused for whatever is no such file."""
    # Not at the top: it would cost every other command its time.
    from openpyxl import load_workbook  # noqa: PLC0415

    size = _checked(file, expanded_limit_bytes)
    file.seek(0)
    book = _whatever_happens(
        lambda: load_workbook(file, read_only=True, data_only=False, keep_links=False, keep_vba=False)
    )
    try:
        names = {each.title: each for each in book.worksheets}
        if not names or (sheet is not None and sheet not in names):
            raise RollRefused(f"The workbook has no sheet {sheet}." if sheet else "The workbook has no sheet.")
        chosen = next(iter(names.values())) if sheet is None else names[sheet]
        # What a sheet says of its own size is not believed.
        _whatever_happens(chosen.reset_dimensions)
        cells = chosen.iter_rows(max_row=ROWS, max_col=COLUMNS, values_only=True)
        yield Workbook(rows=_rows(cells), position=file.tell, size=size)
    finally:
        with suppress(Exception):
            book.close()


def _checked(file: IO[bytes], limit_bytes: int) -> int:
    try:
        with ZipFile(file) as parts:
            found = parts.infolist()
    except (BadZipFile, NotImplementedError, ValueError, OSError):
        raise RollRefused("This is no XLSX: save it as one, or as CSV.") from None
    if sum(part.file_size for part in found) > limit_bytes:
        raise RollRefused(f"The workbook is larger than {limit_bytes} bytes once it is unpacked.")
    for part in found:
        is_read = part.filename.lower().endswith((".xml", ".rels")) and not _STREAMED.fullmatch(part.filename)
        if is_read and part.file_size > PART_LIMIT_BYTES:
            raise RollRefused("The workbook's description of itself is too large.")
    return sum(part.compress_size for part in found)


def _rows(cells: Iterator[tuple[object, ...]]) -> Iterator[Sequence[object]]:
    number = 0
    try:
        for number, row in enumerate(cells, start=1):  # noqa: B007  (said of what could not be read)
            yield row
    except RollRefused:
        raise
    except Exception as wrong:  # noqa: BLE001
        raise RollRefused(
            f"What follows row {number} of the workbook cannot be read: {type(wrong).__name__}."
        ) from None


def _whatever_happens(read: Callable[[], Any]) -> Any:
    """openpyxl raises whatever it meets in a file that is none."""
    try:
        return read()
    except RollRefused:
        raise
    except Exception as wrong:  # noqa: BLE001
        raise RollRefused(f"The workbook cannot be read: {type(wrong).__name__}.") from None
