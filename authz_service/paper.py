"""Text for thermal printers: 58 mm of paper are 32 columns, 80 mm are 48. Pure.

Plain ASCII, a line feed between lines, no line wider than the paper. What is printed is rows of a text and, at the
right edge, an amount; the rows are made once and laid out twice.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from unicodedata import combining, normalize

Row = tuple[str, str]
Receipt = dict[str, str]

NARROW: Final = 32
WIDE: Final = 48
BLANK: Final[Row] = ("", "")


def printed(rows: Sequence[Row]) -> Receipt:
    """The rows for either paper; their texts are plain."""
    return {"columns_32": laid_out(rows, NARROW), "columns_48": laid_out(rows, WIDE)}


def laid_out(rows: Sequence[Row], width: int) -> str:
    """Amounts stand at the right edge; a text that is too long goes on in the next line."""
    return "\n".join(
        [text if not amount and len(text) <= width else _row(text, amount, width) for text, amount in rows]
    )


def _row(text: str, amount: str, width: int) -> str:
    """One that has an amount or is too long; most rows are a short text."""
    if not amount:
        return wrapped(text, width)
    if len(text) + len(amount) < width:
        return text + amount.rjust(width - len(text))
    return f"{wrapped(text, width)}\n{amount.rjust(width)}"


@lru_cache(maxsize=256)
def wrapped(text: str, width: int) -> str:
    """Broken between words, or within one that is longer than a line; each line with the indent of the first, but
    never with more than half of the paper: a till may send blanks without end."""
    indent = " " * min(len(text) - len(text.lstrip()), width // 2)
    room = width - len(indent)
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines += [word[start : start + room] for start in range(0, len(word), room)]
    return "\n".join(f"{indent}{line}" for line in lines)


def plain(text: str) -> str:
    """In ASCII that every printer has: letters without their accents, `?` for what has no such letter."""
    if text.isascii() and text.isprintable():
        return text
    letters = [each for each in normalize("NFKD", text) if not combining(each)]
    return "".join(each if " " <= each <= "~" else "?" for each in letters)


def dotted(amount_rupiah: int) -> str:
    """`77.000`: for the lines of a basket, where the total below says that it is rupiah."""
    return f"{amount_rupiah:,}".replace(",", ".")
