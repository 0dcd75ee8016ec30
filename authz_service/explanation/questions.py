"""What each check asks, and the English of a reason; its Indonesian is what was said at the counter."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.explanation.paragraphs import Sentence, english_day
from authz_service.explanation.recorded import COMPANION, Recorded, Seen, decided_again, listed, zone_of
from authz_service.rules.decide import Refusal
from authz_service.rules.message import packages_left_in_english
from authz_service.vocabulary import in_rupiah

QUESTIONS: Final[Mapping[DeclineReason, tuple[str, str]]] = {
    DeclineReason.MERCHANT_UNKNOWN: (
        "Was the shop in the programme on that day?",
        "Apakah warung terdaftar pada hari itu?",
    ),
    DeclineReason.MERCHANT_SUSPENDED: (
        "Was the shop free to sell, not suspended?",
        "Apakah warung tidak sedang dihentikan?",
    ),
    DeclineReason.TERMINAL_NOT_PERMITTED: (
        "Was the terminal active, bound to the shop, and the shop open?",
        "Apakah mesin aktif, milik warung itu, dan pada jam buka?",
    ),
    DeclineReason.CARD_UNKNOWN: (
        "Was it a card of this programme?",
        "Apakah kartu milik program ini?",
    ),
    DeclineReason.CARD_NOT_ACTIVATED: ("Was the card activated?", "Apakah kartu sudah diaktifkan?"),
    DeclineReason.CARD_LOST: ("Had nobody reported the card lost?", "Apakah kartu tidak dilaporkan hilang?"),
    DeclineReason.CARD_STOLEN: ("Had nobody reported the card stolen?", "Apakah kartu tidak dilaporkan dicuri?"),
    DeclineReason.CARD_EXPIRED: ("Was the card still in date?", "Apakah kartu masih berlaku?"),
    DeclineReason.CARD_BLOCKED: (
        "Was the card neither blocked nor replaced?",
        "Apakah kartu tidak diblokir dan belum diganti?",
    ),
    DeclineReason.BENEFICIARY_SUSPENDED: (
        "Was the family's assistance running, not suspended?",
        "Apakah bantuan keluarga tidak ditangguhkan?",
    ),
    DeclineReason.BENEFICIARY_REMOVED: (
        "Was the family in the programme?",
        "Apakah keluarga masih terdaftar?",
    ),
    DeclineReason.PROGRAMME_NOT_STARTED: ("Had the programme started?", "Apakah program sudah dimulai?"),
    DeclineReason.PROGRAMME_ENDED: ("Had the programme not ended?", "Apakah program belum berakhir?"),
    DeclineReason.CASH_NOT_PERMITTED: (
        "Were all lines for goods, none for cash, credit or a transfer?",
        "Apakah semua baris untuk barang, bukan uang tunai, pulsa, atau transfer?",
    ),
    DeclineReason.CATEGORY_NOT_PERMITTED: (
        "Were all goods of the programme's categories?",
        "Apakah semua barang termasuk jenis bantuan?",
    ),
    DeclineReason.PRODUCT_NOT_PERMITTED: (
        "Were all products on the list, in a listed unit, with the details asked for?",
        "Apakah semua produk dan satuan ada pada daftar dan rinciannya lengkap?",
    ),
    DeclineReason.PRICE_ABOVE_CEILING: (
        "Were all prices within their ceilings, or lowered to them?",
        "Apakah semua harga dalam batas, atau diturunkan ke batas?",
    ),
    DeclineReason.PACKAGE_CAP_EXCEEDED: (
        "Was the purchase within the value of one package?",
        "Apakah belanja tidak melebihi nilai satu paket?",
    ),
    DeclineReason.ENTITLEMENT_EXCEEDED: (
        "Was enough of the assistance left?",
        "Apakah sisa bantuan cukup?",
    ),
    DeclineReason.PACKAGES_USED_UP: (
        "Was one of the month's purchases left?",
        "Apakah jatah belanja bulan itu masih ada?",
    ),
    DeclineReason.MONTHLY_CAP_EXCEEDED: (
        "Was the purchase within what the month had left?",
        "Apakah belanja tidak melebihi sisa bulan itu?",
    ),
    DeclineReason.SUSPECTED_MISUSE: (
        "Was nothing seen at the shop, the terminal or with the card that the programme declines for?",
        "Apakah tidak ada tanda penyalahgunaan pada warung, mesin, atau kartu?",
    ),
}
"""What a check asks, so that "passed" is a yes; English, Indonesian."""


def question(reason: DeclineReason) -> Sentence:
    english, indonesian = QUESTIONS[reason]
    return {"english": english, "indonesian": indonesian}


def english_reason(recorded: Recorded, seen: Seen | None, refusal: Refusal) -> str:
    """The sentence of one reason with the figures that were said at the counter."""
    return refusal.reason.english.format_map(_Words(recorded, seen, refusal.line))


class _Words(dict[str, str]):
    """The names that a sentence may ask for, as they were; what nobody wrote down is said to be so."""

    def __init__(self, recorded: Recorded, seen: Seen | None, line: int | None) -> None:
        super().__init__(line=str(line or 1))
        self._recorded, self._seen, self._line = recorded, seen, line

    def __missing__(self, name: str) -> str:
        told, remaining = self._recorded.facts, self._recorded.answer.get("remaining", {})
        match name:
            case "companion":
                return str(told.get(COMPANION, _NOT_RECORDED))
            case "starts_on":
                return self._day(told["window"][0], timedelta())
            case "ends_on":
                return self._day(told["window"][1], timedelta(microseconds=1))
            case "package" if told["package"] is not None:
                return in_rupiah(told["package"])
            case "packages_left":
                return self._packages_left()
            case "month_left" if remaining.get("month") is not None:
                return in_rupiah(remaining["month"])
            case "programme_left" if remaining:
                return in_rupiah(remaining["programme"])
            case "unit" if self._line is not None:
                return self._recorded.journal["lines"][self._line - 1][6] or ""
            case _:
                return self._of_settings(name)

    def _packages_left(self) -> str:
        again = decided_again(self._recorded, self._seen)
        return _NOT_RECORDED if again is None or again.room is None else packages_left_in_english(again.room)

    def _day(self, written: str, before: timedelta) -> str:
        instant = datetime.fromisoformat(written) - before
        return english_day(instant.astimezone(zone_of(self._recorded, self._seen)))

    def _of_settings(self, name: str) -> str:
        if self._seen is None:
            return _NOT_RECORDED
        programme = self._seen.programme
        match name:
            case "operator":
                return programme.operator_name
            case "goods":
                *others, last = programme.categories.values()
                return f"{', '.join(others)} and {last}" if others else last
            case "ceiling" if self._line is not None:
                _, ceiling = listed(self._recorded, self._seen, self._line)
                return _NOT_RECORDED if ceiling is None else in_rupiah(ceiling.price_rupiah)
            case _:
                return _NOT_RECORDED


_NOT_RECORDED: Final = "(not recorded)"
