"""A report as a CSV file, written row by row, so that it may be larger than memory."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from authz_service.reports.sheets import Cell
from authz_service.settlement.papers import PaperNotWritten, safe_cell

Write = Callable[[Sequence[Cell]], object]


@contextmanager
def csv_file(path: Path) -> Iterator[Write]:
    """At the end the file has every row, or is as it was before; only its owner may read it."""
    try:
        descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise PaperNotWritten(f"Nothing was written to {path}: {error.strerror}.") from error
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            yield lambda row: writer.writerow(["" if cell is None else safe_cell(cell) for cell in row])
        unfinished.replace(path)
    except OSError as error:
        raise PaperNotWritten(f"Nothing was written to {path}: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
