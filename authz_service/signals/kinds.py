"""The signals by name, each with a sentence in Indonesian and in English, and what may follow from one. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Signal(StrEnum):
    MANY_CARDS = "many_cards"
    EXACT_CAP = "exact_cap"
    SAME_BASKET = "same_basket"
    FIXED_BAGS = "fixed_bags"
    NIGHT_HOURS = "night_hours"
    TAKEN_BACK = "taken_back"
    FAR_PRICES = "far_prices"
    EGGS_BY_PIECE = "eggs_by_piece"
    ONE_COMPANION = "one_companion"
    ONE_EVENING = "one_evening"
    FAR_SALES = "far_sales"

    @property
    def indonesian(self) -> str:
        """What was seen, for the people at Dinsos."""
        return _ENTRIES[self].indonesian

    @property
    def english(self) -> str:
        return _ENTRIES[self].english

    @property
    def is_seen_at_once(self) -> bool:
        """The watcher looks for it within seconds; the others need a whole day, or more."""
        return _ENTRIES[self].at_once


class Action(StrEnum):
    """What follows from a finding, the mildest first."""

    FLAG = "flag"
    """It is listed, and somebody looks at it."""
    HOLD = "hold"
    """Its evidence counts towards holding the settlement of its purchases; the groceries are the family's."""
    DECLINE = "decline"
    """As hold; and where it alone is strong enough, the next purchases there are declined for a while."""


class Subject(StrEnum):
    """On what a signal is seen."""

    TERMINAL = "terminal"
    MERCHANT = "merchant"
    CARD = "card"
    COMPANION = "companion"


GRAVITY: Final = {action: place for place, action in enumerate(Action)}


@dataclass(frozen=True, slots=True)
class _Entry:
    indonesian: str
    english: str
    at_once: bool = False


_ENTRIES: Final[dict[Signal, _Entry]] = {
    Signal.MANY_CARDS: _Entry(
        "Banyak kartu berbeda digesek berturut-turut pada satu mesin dalam beberapa menit.",
        "Many different cards in a row on one terminal within minutes.",
        at_once=True,
    ),
    Signal.EXACT_CAP: _Entry(
        "Belanja berturut-turut tepat sebesar nilai satu paket.",
        "One purchase after the other costs exactly the value of a package.",
        at_once=True,
    ),
    Signal.SAME_BASKET: _Entry(
        "Banyak keluarga membeli keranjang yang persis sama pada satu warung dalam sehari.",
        "Many families buy exactly the same basket at one shop on one day.",
    ),
    Signal.FIXED_BAGS: _Entry(
        "Banyak keluarga menerima paket yang sama, yang nilainya kurang dari yang dibayar.",
        "Many families get the same bag, which is worth less than what is paid for it.",
    ),
    Signal.NIGHT_HOURS: _Entry(
        "Beberapa kartu dipakai pada malam hari atau di luar jam buka warung.",
        "Several cards are used at night or outside the shop's hours.",
        at_once=True,
    ),
    Signal.TAKEN_BACK: _Entry(
        "Belanja beberapa keluarga dibukukan lalu segera dikembalikan seluruhnya (gesek tunai).",
        "Purchases of several families are captured and soon refunded whole (a sale made up for cash).",
        at_once=True,
    ),
    Signal.FAR_PRICES: _Entry(
        "Harga satuan jauh di atas harga tengah warung lain pada minggu yang sama.",
        "Unit prices are far above the median of the other shops in the same week.",
    ),
    Signal.EGGS_BY_PIECE: _Entry(
        "Telur dijual, atau dicoba dijual, per butir.",
        "Eggs are sold, or tried to be sold, by the piece.",
        at_once=True,
    ),
    Signal.ONE_COMPANION: _Entry(
        "Satu pendamping memberi voucher untuk hampir semua keluarga bervoucher pada satu warung.",
        "One companion vouches for nearly everyone with a voucher at one shop.",
    ),
    Signal.ONE_EVENING: _Entry(
        "Hampir semua keluarga dari satu pendamping, atau satu warung, belanja pada malam yang sama.",
        "Nearly all families of one companion, or of one shop, buy on the same evening.",
    ),
    Signal.FAR_SALES: _Entry(
        "Penjualan per keluarga jauh di atas warung lain.",
        "Sales per family are far above those of the other shops.",
    ),
}
