"""What the sentences of `declines.py` are put together with, in the language of the tills and in that of operators."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Language(StrEnum):
    INDONESIAN = "id"
    ENGLISH = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """One language. Of `month_used_up` the name in braces is filled in as in a sentence of `declines.py`."""

    months: tuple[str, ...]
    approved: str
    due: str
    month_left: str
    purchases_left: str
    left_in_all: str
    month_used_up: str
    all_used_up: str
    up_to: str
    packages_used_up: str
    packages_left: str
    last_of_list: str


PHRASES: Final[Mapping[Language, Phrases]] = {
    Language.INDONESIAN: Phrases(
        months=(
            "Januari", "Februari", "Maret", "April", "Mei", "Juni",
            "Juli", "Agustus", "September", "Oktober", "November", "Desember",
        ),
        approved="Disetujui",
        due="kurang bayar",
        month_left="Sisa bulan ini",
        purchases_left="kali belanja lagi",
        left_in_all="Sisa bantuan",
        month_used_up="Jatah belanja bulan ini sudah habis; jika sangat perlu, hubungi pendamping {companion}.",
        all_used_up="Bantuan sudah dipakai semua.",
        up_to="Sekarang bisa belanja sampai",
        packages_used_up="sudah dipakai semua",
        packages_left="tinggal",
        last_of_list="dan",
    ),
    Language.ENGLISH: Phrases(
        months=(
            "January", "February", "March", "April", "May", "June",
            "July", "August", "September", "October", "November", "December",
        ),
        approved="Approved",
        due="due in another way",
        month_left="Left this month",
        purchases_left="purchase(s) left",
        left_in_all="Left in all",
        month_used_up="This month's room is used up; if there is need, ask companion {companion}.",
        all_used_up="The assistance is used up.",
        up_to="What would pass now: up to",
        packages_used_up="are used up",
        packages_left="are down to",
        last_of_list="and",
    ),
}  # fmt: skip
