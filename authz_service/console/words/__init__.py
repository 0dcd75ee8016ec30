"""Every word that the console shows, once: key → Indonesian, English. A test asks that both are there and used."""

from collections.abc import Mapping
from typing import Final

from authz_service.console.words import bank, common, deeds, families, purchases, roll, shops, signals, today

LANGUAGES: Final = ("id", "en")
"""The first is spoken to whoever has chosen none."""
CATALOGUES: Final = (
    *(common.WORDS, families.WORDS, deeds.WORDS, purchases.WORDS),
    *(today.WORDS, shops.WORDS, roll.WORDS, signals.WORDS, bank.WORDS),
)
WORDS: Final[Mapping[str, tuple[str, str]]] = {key: words for each in CATALOGUES for key, words in each.items()}
