"""Tables for people: what an id, a reference or an amount says is there to be copied, so no word is ever cut in two."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

WHOLE_UP_TO: Final = 64
"""Letters of a word that stays whole; our ids have half as many, references of a bank at most so many."""


def print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Each row is shown as text, whatever others wrote into it.

    Sentences are folded to the terminal's width. Where even that leaves no room, the table is wider than the terminal,
    which then wraps it: what is copied from there, or read from a pipe, is whole.
    """
    cells = [tuple(row) for row in rows]
    table = Table(box=None, pad_edge=False)
    for name, *column in zip(columns, *cells, strict=True):
        longest = max((len(word) for text in (name, *column) for word in text.split()), default=0)
        gives_room = longest > WHOLE_UP_TO or any(len(text.split()) > 1 for text in column)
        table.add_column(name, min_width=min(longest, WHOLE_UP_TO), no_wrap=not gives_room, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table, crop=False)
