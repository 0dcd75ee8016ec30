"""Tables for people: what an id, a reference or an amount says is there to be copied, so no word is ever cut in two,
and no column is left out for want of room."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

WHOLE_UP_TO: Final = 64
"""Letters of a word that stays whole; our ids have half as many, references of a bank at most so many."""
_GAP: Final = 2
"""Blanks between two columns."""
_SHORT: Final = 24
"""Letters of what reads badly when it is folded, as an instant with its zone."""


def print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """Each row is shown as text, whatever others wrote into it; without rows it says the sentence `nothing`.

    Sentences are folded to the terminal's width. Where even that leaves no room, the table is wider than the terminal,
    which then wraps it: what is copied from there, or read from a pipe, is whole.
    """
    cells = [tuple(row) for row in rows]
    if not cells:
        console.print(nothing, highlight=False, markup=False, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    texts = list(zip(columns, *cells, strict=True))
    widths = _widths(texts, console.width - _GAP * (len(texts) - 1))
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, width=width, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    # Else rich would take what is too much from the columns that may be folded, until nothing of them is left.
    table.width = sum(widths) + _GAP * (len(widths) - 1)
    console.print(table, crop=False)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Of each column: its longest word at least. Of what is left, instants and the like are whole first, then the
    most goes to what is folded most."""
    whole = [max((cell_len(line) for text in column for line in text.splitlines()), default=1) for column in columns]
    longest = [max((cell_len(word) for text in column for word in text.split()), default=0) for column in columns]
    widths = [max(1, min(word, WHOLE_UP_TO)) for word in longest]
    left = room - sum(widths)
    for lacking, at in sorted((whole[at] - widths[at], at) for at in range(len(widths)) if whole[at] <= _SHORT):
        if 0 < lacking <= left:
            widths[at], left = whole[at], left - lacking
    for _ in range(left):
        lacking, at = max((whole[at] - widths[at], at) for at in range(len(widths)))
        if lacking <= 0:
            break
        widths[at] += 1
    return widths
