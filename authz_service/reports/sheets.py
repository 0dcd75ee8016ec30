"""A report as people read it: a title, sentences and tables, the same for a screen, for paper and for the console."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from zoneinfo import ZoneInfo

from authz_service.reports.words import Words
from authz_service.vocabulary import in_rupiah

Cell = str | int | None


class Kind(Enum):
    """How a column's cells are written."""

    TEXT = auto()
    RUPIAH = auto()
    COUNT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table. `total` is a last row; without rows the table says `nothing`."""

    title: str
    columns: Sequence[tuple[str, Kind]]
    rows: Sequence[Sequence[Cell]]
    total: Sequence[Cell] | None = None
    nothing: str = ""

    def written(self, row: Sequence[Cell]) -> Sequence[str]:
        return [said(cell, kind) for cell, (_, kind) in zip(row, self.columns, strict=True)]

    def all_written(self) -> Iterator[Sequence[str]]:
        """Every row, the total last."""
        yield from map(self.written, [*self.rows, *([self.total] if self.total is not None else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is shown or printed."""

    title: str
    programme: str
    made: str
    notes: Sequence[str]
    sheets: Sequence[Sheet] = field(default_factory=tuple)


def said(cell: Cell, kind: Kind) -> str:
    """`Rp1.800.000` and `5.301`, as Indonesians write them; nothing for None."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    return in_rupiah(cell) if kind is Kind.RUPIAH else f"{cell:,}".replace(",", ".")


def made_at(words: Words, now: datetime, zone: ZoneInfo) -> str:
    at = now.astimezone(zone)
    return f"{words('made')} {words.day(at.date())} {at:%H:%M %Z}"
