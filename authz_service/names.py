"""A family is found by its name, though the name is sealed: keyed digests of its words stand beside it (a blind index).

Whoever has the database without the key learns only which families of one programme share a word. Words are compared
as they sound: old and new Indonesian spelling, accents, doubled letters and capitals make no difference.
"""

import re
from typing import Final
from unicodedata import combining, normalize

from authz_service.keys import Keys

WORDS_LIMIT: Final = 12
"""Of one name; the longest in the civil register has fewer."""
_NO_LETTERS: Final = str.maketrans("", "", "'`\N{RIGHT SINGLE QUOTATION MARK}")
_LETTERS: Final = re.compile(r"[^\W_]+")
_SAME_SOUND: Final = (
    *(("oe", "u"), ("dj", "j"), ("tj", "c"), ("sj", "sy"), ("ch", "kh"), ("kh", "h")),
    *(("ph", "f"), ("v", "f"), ("y", "i"), ("z", "s"), ("q", "k")),
)
"""What is written in two ways and said in one; in this order."""
_DOUBLED: Final = re.compile(r"([^\W\d_])\1+")
_SHORT_FOR: Final = {
    **dict.fromkeys(("m", "md", "moh", "muh", "mohd", "muhd", "mohamad", "mohamed", "muhamed"), "muhamad"),
    **dict.fromkeys(("abd", "abdul"), "abdul"),
    **dict.fromkeys(("st", "sitti"), "siti"),
}


def words_of(name: str) -> frozenset[str]:
    """The words of a name as they are compared; a word that is only a sign is none."""
    plain = "".join(letter for letter in normalize("NFKD", name.casefold()) if not combining(letter))
    plain = plain.translate(_NO_LETTERS)
    return frozenset(_as_it_sounds(word) for word in _LETTERS.findall(plain)[:WORDS_LIMIT])


def name_digests(keys: Keys, programme_id: str, name: str) -> list[bytes]:
    """What stands in `beneficiary.name_words`; sorted, so that the order of the words is not told."""
    return sorted(keys.name_word_digest(programme_id, word) for word in words_of(name))


def _as_it_sounds(word: str) -> str:
    for written, said in _SAME_SOUND:
        word = word.replace(written, said)
    word = _DOUBLED.sub(r"\1", word)
    return _SHORT_FOR.get(word, word)
