"""What can be wrong with a row of a list: for the clerk at Dinsos in Indonesian, in the file that goes back to them.

None of the sentences repeats a number or a name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """In the order in which a clerk reads a row."""

    TOO_WIDE = "more fields than the header"
    NIK = "NIK is not 16 digits"
    KK = "KK number is not 16 digits"
    NUMBER_CELL = "a long number that a spreadsheet has rounded"
    FORMULA = "a formula"
    ODD_CELL = "no text"
    NIK_ODD = "NIK that no registry gives"
    KK_ODD = "KK number that no registry gives"
    NAME = "name missing or unreadable"
    DISTRICT = "kecamatan unknown"
    COMPANION = "companion unknown"
    CARD = "card number wrong"
    CARD_MISSING = "newcomer without a card"
    CARD_TAKEN = "card of another family"
    CARD_DEAD = "card that is dead"
    AMOUNT = "amount wrong"
    REMOVED = "family that was removed"
    HOUSEHOLD = "household known under another NIK"
    NIK_TWICE = "NIK twice"
    CARD_TWICE = "card number twice"
    PERSON_TWICE = "KK and name twice"


SENTENCES: Final[Mapping[Fault, str]] = {
    Fault.TOO_WIDE: "Isian lebih banyak dari judul kolom",
    Fault.NIK: "NIK harus 16 angka",
    Fault.KK: "Nomor KK harus 16 angka",
    Fault.NUMBER_CELL: "{detail} tersimpan sebagai angka dan mungkin sudah dibulatkan: ubah format sel menjadi Teks,"
    " lalu ketik ulang",
    Fault.FORMULA: "{detail} berisi rumus: isi dengan nilainya",
    Fault.ODD_CELL: "{detail} bukan teks",
    Fault.NIK_ODD: "NIK tidak mungkin: {detail}",
    Fault.KK_ODD: "Nomor KK tidak mungkin: {detail}",
    Fault.NAME: "Nama kosong atau tidak terbaca",
    Fault.DISTRICT: "Kecamatan tidak dikenal",
    Fault.COMPANION: "Pendamping tidak dikenal, atau ada dua yang sama namanya: tulis kodenya",
    Fault.CARD: "Nomor kartu salah (angka pemeriksa tidak cocok)",
    Fault.CARD_MISSING: "Keluarga baru belum punya nomor kartu",
    Fault.CARD_TAKEN: "Nomor kartu sudah dipakai keluarga lain",
    Fault.CARD_DEAD: "Kartu ini sudah tidak berlaku: tulis nomor kartu yang baru, atau kosongkan",
    Fault.AMOUNT: "Jumlah harus rupiah bulat, paling sedikit Rp1 dan paling banyak {detail}",
    Fault.REMOVED: "Keluarga ini sudah dikeluarkan ({detail}), dan itu tetap",
    Fault.HOUSEHOLD: "KK ini sudah terdaftar dengan NIK lain ({detail}) yang tidak ada di daftar: isi JUMLAH untuk"
    " keluarga ini",
    Fault.NIK_TWICE: "NIK sama dengan baris {detail}",
    Fault.CARD_TWICE: "Nomor kartu sama dengan baris {detail}",
    Fault.PERSON_TWICE: "KK dan nama sama dengan baris {detail}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One fault of one row. `detail` is a column, an id, an amount or another row's number."""

    fault: Fault
    detail: str = ""

    @property
    def sentence(self) -> str:
        return SENTENCES[self.fault].format(detail=self.detail)
