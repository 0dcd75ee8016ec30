"""Numbers that belong to a person, wherever they stand in a text: a card's, a NIK, a family card's (KK).

A NIK and a KK have 16 digits, a card has 16 to 19 (ISO/IEC 7812) and a check digit.
"""

import re
from typing import Final

from authz_service.vocabulary import luhn_is_valid

WITHHELD: Final = "[number withheld]"
_SHORTEST, _LONGEST = 16, 19
_SEPARATORS: Final = b"-_.: "
_RUNS: Final = re.compile(rb"[0-9]{%d,}" % _SHORTEST)
_IN_TEXT: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9]{16,19}|[0-9]{4}([ .-])[0-9]{4}\1[0-9]{4}\1[0-9]{4})(?![0-9A-Za-z])"
)
_NIK: Final = re.compile(r"[1-9][0-9]{5}(?:0[0-9]|[1-6][0-9]|7[01])(?:0[0-9]|1[0-2])[0-9]{6}")
"""Kecamatan, day (a woman's and 40), month, year, number; our synthetic ones have day 00 and month 00."""


def could_hold_one(text: bytes) -> bool:
    """Whether a card's number, a NIK or a KK could stand in a name that somebody else made, separators or not.

    Sixteen digits alone are always one. Within more digits, or among letters, any sixteen to nineteen that pass Luhn's
    check or are shaped like a NIK are; of random UUIDs that is one in some hundred.
    """
    for found in _RUNS.findall(text.translate(None, _SEPARATORS)):
        run = found.decode()
        if len(run) == _SHORTEST:
            return True
        for start in range(len(run) - _SHORTEST + 1):
            if _NIK.fullmatch(run, start, start + _SHORTEST):
                return True
            lengths = range(_SHORTEST, min(_LONGEST, len(run) - start) + 1)
            if any(luhn_is_valid(run[start : start + length]) for length in lengths):
                return True
    return False


def is_shaped_like_a_nik(digits: str) -> bool:
    """Sixteen digits, of which those of day and month may be some; a day and month 00 are our synthetic families'."""
    return _NIK.fullmatch(digits) is not None


def without_them(text: str) -> str:
    """The text, where each number of 16 to 19 digits that stands alone, or of four groups of four, is withheld."""
    return _IN_TEXT.sub(WITHHELD, text)
