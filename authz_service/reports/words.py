"""What reports say, in Indonesian for those who read them on paper and in English."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from authz_service.reports.period import Period
from authz_service.rules.phrases import PHRASES, Language

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "daily": ("Laporan harian", "Daily report"),
    "monthly": ("Laporan bulanan", "Monthly report"),
    "idle": ("Keluarga yang belum belanja", "Families that have not shopped"),
    "expiring": ("Bantuan yang akan hangus", "What expires unused"),
    "made": ("Dibuat", "Made"),
    "total": ("Jumlah", "Total"),
    "days": ("Per hari", "By day"),
    "shops": ("Per warung", "By shop"),
    "districts": ("Per kecamatan (letak warung)", "By kecamatan (of the shop)"),
    "categories": ("Per jenis barang", "By category"),
    "declines": ("Penolakan menurut sebab", "Declines by reason"),
    "companions": ("Per pendamping", "By companion"),
    "home_districts": ("Per kecamatan (alamat keluarga)", "By kecamatan (of the family)"),
    "day": ("Tanggal", "Day"),
    "shop": ("Warung", "Shop"),
    "district": ("Kecamatan", "Kecamatan"),
    "category": ("Jenis barang", "Category"),
    "reason": ("Sebab", "Reason"),
    "code": ("Kode", "Code"),
    "times": ("Kali", "Times"),
    "captured": ("Penjualan", "Sales"),
    "refunded": ("Pengembalian", "Refunds"),
    "reversed": ("Dibatalkan mesin", "Undone by tills"),
    "net": ("Bersih", "Net"),
    "purchases": ("Belanja", "Purchases"),
    "families": ("Keluarga", "Families"),
    "basket": ("Rata-rata", "Average"),
    "declined": ("Ditolak", "Declined"),
    "companion": ("Pendamping", "Companion"),
    "family": ("Keluarga", "Family"),
    "name": ("Nama", "Name"),
    "left": ("Sisa bantuan", "Left"),
    "next_purchase": ("Bisa belanja sampai", "Next purchase up to"),
    "card": ("Kartu aktif", "Active card"),
    "yes": ("ya", "yes"),
    "no": ("tidak", "no"),
    "within_reach": ("Masih bisa dipakai", "Within the caps"),
    "beyond_reach": ("Perlu izin tambahan", "Needs a voucher"),
    "beyond_families": ("Keluarga yang perlu", "Families that need one"),
    "suspended": ("Ditangguhkan", "Suspended"),
    "other_goods": ("barang lain", "other goods"),
    "nobody": ("Semua keluarga sudah belanja.", "Every family has shopped."),
    "nothing": ("Tidak ada.", "Nothing."),
    "decided": (
        "Disetujui {approved} kali, di antaranya {cut} untuk sebagian; ditolak {declined} kali.",
        "Approved {approved} times, {cut} of them in part; declined {declined} times.",
    ),
    "sales_note": (
        "Rupiah menurut waktu barang dibayar atau dikembalikan, seperti di buku besar. Penolakan per jenis barang: belanja yang memuat barang itu.",
        "Rupiah by when it was captured or given back, as in the books. Declines of a category: purchases that had such a line.",
    ),
    "idle_note": (
        "Keluarga aktif yang tidak memakai jatah bulan {month}: {families}. Sisa bantuan mereka {left}.",
        "Active families that use nothing of {month}: {families}. They have {left} left.",
    ),
    "expiring_note": (
        "Yang tidak dibelanjakan sampai {last_day} hangus. Perlu izin tambahan: lebih dari jatah semua bulan yang tersisa, jadi hangus jika pendamping tidak memberi izin.",
        "What is not spent by {last_day} expires. Needs a voucher: more than the rooms of all months that are left, so it expires unless the companion vouches.",
    ),
    "expired_note": (
        "Program berakhir pada {last_day}: yang tersisa tidak dapat dibelanjakan lagi.",
        "The programme ended on {last_day}: what is left cannot be spent any more.",
    ),
}
_REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "merchant_unknown": ("Warung tidak terdaftar", "The shop is not in the programme"),
    "merchant_suspended": ("Warung dihentikan sementara", "The shop is suspended"),
    "terminal_not_permitted": (
        "Mesin tidak boleh dipakai, atau di luar jam buka",
        "Terminal suspended or out of hours",
    ),
    "card_unknown": ("Kartu tidak dikenal", "The card is unknown"),
    "card_not_activated": ("Kartu belum diaktifkan", "The card is not activated"),
    "card_lost": ("Kartu dilaporkan hilang", "The card was reported lost"),
    "card_stolen": ("Kartu dilaporkan dicuri", "The card was reported stolen"),
    "card_expired": ("Masa berlaku kartu habis", "The card has expired"),
    "card_blocked": ("Kartu diblokir atau sudah diganti", "The card is blocked or replaced"),
    "beneficiary_suspended": ("Bantuan keluarga ditangguhkan", "The family is suspended"),
    "beneficiary_removed": ("Keluarga tidak lagi terdaftar", "The family was removed"),
    "pin_tries_exceeded": ("PIN terlalu sering salah", "Too many wrong PINs"),
    "pin_missing": ("PIN tidak dimasukkan", "The PIN is missing"),
    "pin_wrong": ("PIN salah", "The PIN is wrong"),
    "programme_not_started": ("Program belum dimulai", "The programme has not started"),
    "programme_ended": ("Program sudah berakhir", "The programme has ended"),
    "cash_not_permitted": ("Minta uang tunai, pulsa, atau transfer", "Cash, phone credit or a transfer was asked for"),
    "category_not_permitted": ("Barang di luar daftar bantuan", "Goods that are not part of the assistance"),
    "product_not_permitted": ("Produk atau satuan di luar daftar", "A product or unit that is not on the list"),
    "price_above_ceiling": ("Harga di atas batas", "A price above its ceiling"),
    "package_cap_exceeded": ("Lebih dari nilai satu paket", "More than one package's value"),
    "entitlement_exceeded": ("Saldo tidak cukup", "More than is left in all"),
    "packages_used_up": ("Jatah belanja bulan ini habis", "The month's purchases are used up"),
    "monthly_cap_exceeded": ("Lebih dari jatah bulan ini", "More than the month's room"),
    "suspected_misuse": ("Diduga penyalahgunaan", "Suspected misuse"),
}
_PLACE: Final = {Language.INDONESIAN: 0, Language.ENGLISH: 1}


@dataclass(frozen=True, slots=True)
class Words:
    """One language; each call is one word or sentence of it."""

    language: Language

    def __call__(self, name: str, **filled_in: object) -> str:
        return _WORDS[name][_PLACE[self.language]].format(**filled_in)

    def reason(self, reason: str) -> str:
        """Why something was declined, in a few words; what is named nowhere keeps its own name."""
        return _REASONS.get(reason, (reason, reason))[_PLACE[self.language]]

    def day(self, day: date) -> str:
        return f"{day.day} {self._month(day)} {day.year}"

    def month(self, month: date) -> str:
        return f"{self._month(month)} {month.year}"

    def period(self, period: Period) -> str:
        return self.day(period.first) if period.is_one_day else self.month(period.first)

    def _month(self, day: date) -> str:
        return PHRASES[self.language].months[day.month - 1]
