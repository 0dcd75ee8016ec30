"""Every reason for a "no", once: the order of the enum is the order of precedence.

`contract.md` has the table. A reason belongs to a stage; its DE39 is the default acquirer's. Its sentences are read
aloud at a counter: what is wrong, what would pass, whom to ask. They never name a person. They are two at most, so
that `rules/message.py` can add the amount that would pass now.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

APPROVED: Final = "approved"
PARTLY_APPROVED: Final = "partly_approved"
CODE_APPROVED: Final = "00"
CODE_PARTLY_APPROVED: Final = "10"


class Stage(IntEnum):
    """Nothing of a later stage is looked at, or told, while one of the first four fails."""

    SHOP_AND_TERMINAL = 1
    CARD = 2
    FAMILY = 3
    PIN = 4
    PROGRAMME_AND_GOODS = 5
    MONEY_AND_MISUSE = 6


class DeclineReason(StrEnum):
    MERCHANT_UNKNOWN = "merchant_unknown"
    MERCHANT_SUSPENDED = "merchant_suspended"
    TERMINAL_NOT_PERMITTED = "terminal_not_permitted"
    CARD_UNKNOWN = "card_unknown"
    CARD_NOT_ACTIVATED = "card_not_activated"
    CARD_LOST = "card_lost"
    CARD_STOLEN = "card_stolen"
    CARD_EXPIRED = "card_expired"
    CARD_BLOCKED = "card_blocked"
    BENEFICIARY_SUSPENDED = "beneficiary_suspended"
    BENEFICIARY_REMOVED = "beneficiary_removed"
    PROGRAMME_NOT_STARTED = "programme_not_started"
    PROGRAMME_ENDED = "programme_ended"
    CASH_NOT_PERMITTED = "cash_not_permitted"
    CATEGORY_NOT_PERMITTED = "category_not_permitted"
    PRODUCT_NOT_PERMITTED = "product_not_permitted"
    PRICE_ABOVE_CEILING = "price_above_ceiling"
    PACKAGE_CAP_EXCEEDED = "package_cap_exceeded"
    ENTITLEMENT_EXCEEDED = "entitlement_exceeded"
    PACKAGES_USED_UP = "packages_used_up"
    MONTHLY_CAP_EXCEEDED = "monthly_cap_exceeded"
    SUSPECTED_MISUSE = "suspected_misuse"

    @property
    def stage(self) -> Stage:
        return _ENTRIES[self].stage

    @property
    def response_code(self) -> str:
        """DE39 of ISO 8583."""
        return _ENTRIES[self].response_code

    @property
    def indonesian(self) -> str:
        """What is wrong, what would pass and whom to ask; `{names}` are filled in by `rules/message.py`."""
        return _ENTRIES[self].indonesian

    @property
    def english(self) -> str:
        """The same for operators and for the documentation."""
        return _ENTRIES[self].english


@dataclass(frozen=True, slots=True)
class _Entry:
    stage: Stage
    response_code: str
    indonesian: str
    english: str


_ENTRIES: Final[dict[DeclineReason, _Entry]] = {
    DeclineReason.MERCHANT_UNKNOWN: _Entry(
        Stage.SHOP_AND_TERMINAL,
        "03",
        "Warung ini tidak terdaftar pada program hari ini. Belanjalah di warung KUBE lain, atau hubungi {operator}.",
        "This shop is not in the programme on this date. Use another KUBE shop, or ask {operator}.",
    ),
    DeclineReason.MERCHANT_SUSPENDED: _Entry(
        Stage.SHOP_AND_TERMINAL,
        "03",
        "Warung ini sedang dihentikan sementara. Belanjalah di warung KUBE lain, atau hubungi {operator}.",
        "This shop is suspended. Use another KUBE shop, or ask {operator}.",
    ),
    DeclineReason.TERMINAL_NOT_PERMITTED: _Entry(
        Stage.SHOP_AND_TERMINAL,
        "58",
        "Mesin ini tidak boleh dipakai sekarang. Coba lagi pada jam buka warung, atau hubungi {operator}.",
        "This terminal may not be used now. Try again in opening hours, or ask {operator}.",
    ),
    DeclineReason.CARD_UNKNOWN: _Entry(
        Stage.CARD,
        "14",
        "Kartu tidak dikenal pada program ini. Periksa nomor kartu, atau hubungi {operator}.",
        "This is not a card of the programme. Check the number, or ask {operator}.",
    ),
    DeclineReason.CARD_NOT_ACTIVATED: _Entry(
        Stage.CARD,
        "78",
        "Kartu belum diaktifkan. Hubungi {operator} untuk mengaktifkannya.",
        "The card is not activated yet. Ask {operator} to activate it.",
    ),
    DeclineReason.CARD_LOST: _Entry(
        Stage.CARD,
        "41",
        "Kartu ini dilaporkan hilang. Hubungi {operator}.",
        "This card was reported lost. Ask {operator}.",
    ),
    DeclineReason.CARD_STOLEN: _Entry(
        Stage.CARD,
        "43",
        "Kartu ini tidak dapat dipakai. Hubungi {operator}.",
        "This card was reported stolen. Ask {operator}.",
    ),
    DeclineReason.CARD_EXPIRED: _Entry(
        Stage.CARD,
        "54",
        "Masa berlaku kartu sudah habis. Hubungi {operator} untuk kartu baru.",
        "The card has expired. Ask {operator} for a new one.",
    ),
    DeclineReason.CARD_BLOCKED: _Entry(
        Stage.CARD,
        "62",
        "Kartu ini diblokir atau sudah diganti. Pakailah kartu yang baru, atau hubungi {operator}.",
        "The card is blocked, or a newer card replaced it. Use the new one, or ask {operator}.",
    ),
    DeclineReason.BENEFICIARY_SUSPENDED: _Entry(
        Stage.FAMILY,
        "62",
        "Bantuan keluarga ini sedang ditangguhkan. Hubungi {operator}.",
        "The family's assistance is suspended. Ask {operator}.",
    ),
    DeclineReason.BENEFICIARY_REMOVED: _Entry(
        Stage.FAMILY,
        "62",
        "Keluarga ini tidak lagi terdaftar pada program. Hubungi {operator}.",
        "The family is no longer in the programme. Ask {operator}.",
    ),
    DeclineReason.PROGRAMME_NOT_STARTED: _Entry(
        Stage.PROGRAMME_AND_GOODS,
        "57",
        "Program belum dimulai: bantuan dapat dipakai mulai {starts_on}. Untuk pertanyaan, hubungi {operator}.",
        "The programme has not started: it can be used from {starts_on}. For questions ask {operator}.",
    ),
    DeclineReason.PROGRAMME_ENDED: _Entry(
        Stage.PROGRAMME_AND_GOODS,
        "57",
        "Program sudah berakhir pada {ends_on}. Untuk pertanyaan, hubungi {operator}.",
        "The programme ended on {ends_on}. For questions ask {operator}.",
    ),
    DeclineReason.CASH_NOT_PERMITTED: _Entry(
        Stage.PROGRAMME_AND_GOODS,
        "57",
        "Bantuan tidak boleh ditukar dengan uang tunai, pulsa, atau transfer: kartu hanya untuk {goods}. Jika diminta menukarnya, laporkan kepada {operator}.",
        "The assistance is never for cash, phone credit or a transfer: the card is for {goods} only. If somebody asks for it, tell {operator}.",
    ),
    DeclineReason.CATEGORY_NOT_PERMITTED: _Entry(
        Stage.PROGRAMME_AND_GOODS,
        "57",
        "Barang pada baris {line} tidak termasuk bantuan: kartu hanya untuk {goods}. Untuk pertanyaan, hubungi {operator}.",
        "The goods of line {line} are not part of the assistance: the card is for {goods} only. For questions ask {operator}.",
    ),
    DeclineReason.PRODUCT_NOT_PERMITTED: _Entry(
        Stage.PROGRAMME_AND_GOODS,
        "57",
        "Produk atau satuan pada baris {line} tidak ada pada daftar, atau rinciannya belum diisi. Lihat daftar barang di mesin, atau hubungi {operator}.",
        "The product or unit of line {line} is not on the list, or its details are missing. See the catalogue, or ask {operator}.",
    ),
    DeclineReason.PRICE_ABOVE_CEILING: _Entry(
        Stage.PROGRAMME_AND_GOODS,
        "13",
        "Harga pada baris {line} di atas batas: paling tinggi {ceiling} per {unit}. Ulangi dengan harga yang benar, atau hubungi {operator}.",
        "The price of line {line} is above the ceiling of {ceiling} per {unit}. Try again at the right price, or ask {operator}.",
    ),
    DeclineReason.PACKAGE_CAP_EXCEEDED: _Entry(
        Stage.MONEY_AND_MISUSE,
        "61",
        "Satu kali belanja paling banyak {package}. Untuk pertanyaan, hubungi {operator}.",
        "One purchase may cost {package} at most. For questions ask {operator}.",
    ),
    DeclineReason.ENTITLEMENT_EXCEEDED: _Entry(
        Stage.MONEY_AND_MISUSE,
        "51",
        "Saldo tidak cukup: sisa bantuan {programme_left}. Untuk pertanyaan, hubungi {operator}.",
        "The assistance left is {programme_left}, less than this purchase. For questions ask {operator}.",
    ),
    DeclineReason.PACKAGES_USED_UP: _Entry(
        Stage.MONEY_AND_MISUSE,
        "65",
        "Jatah belanja bulan ini {packages_left}. Jika sangat perlu, hubungi pendamping {companion}.",
        "This month's packages {packages_left}. If there is need, ask companion {companion}.",
    ),
    DeclineReason.MONTHLY_CAP_EXCEEDED: _Entry(
        Stage.MONEY_AND_MISUSE,
        "61",
        "Sisa bulan ini {month_left}. Jika perlu lebih, hubungi pendamping {companion}.",
        "This month's room is {month_left}. If more is needed, ask companion {companion}.",
    ),
    DeclineReason.SUSPECTED_MISUSE: _Entry(
        Stage.MONEY_AND_MISUSE,
        "59",
        "Belanja ini belum dapat diproses. Hubungi {operator}.",
        "This purchase cannot be processed yet. Ask {operator}.",
    ),
}
PRECEDENCE: Final[dict[DeclineReason, int]] = {reason: place for place, reason in enumerate(DeclineReason)}
