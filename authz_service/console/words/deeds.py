"""What the card desk does: each deed's name, what will be so, and what was done."""

from typing import Final

WORDS: Final[dict[str, tuple[str, str]]] = {
    "deed.block": ("Blokir", "Block"),
    "deed.unblock": ("Buka blokir", "Unblock"),
    "deed.activate": ("Aktifkan", "Activate"),
    "deed.lost": ("Lapor hilang", "Report lost"),
    "deed.stolen": ("Lapor dicuri", "Report stolen"),
    "deed.suspend": ("Tangguhkan keluarga", "Suspend the family"),
    "deed.resume": ("Aktifkan keluarga lagi", "Resume the family"),
    "deed.replace": ("Kartu pengganti", "Replace the card"),
    "deed.block.title": ("Blokir kartu ini?", "Block this card?"),
    "deed.unblock.title": ("Buka blokir kartu ini?", "Unblock this card?"),
    "deed.activate.title": ("Aktifkan kartu ini?", "Activate this card?"),
    "deed.lost.title": ("Laporkan kartu ini hilang?", "Report this card lost?"),
    "deed.stolen.title": ("Laporkan kartu ini dicuri?", "Report this card stolen?"),
    "deed.suspend.title": ("Tangguhkan keluarga ini?", "Suspend this family?"),
    "deed.resume.title": ("Aktifkan keluarga ini lagi?", "Resume this family?"),
    "deed.replace.title": ("Beri kartu pengganti?", "Give the family a new card?"),
    "will": ("Yang akan terjadi", "What will be so"),
    "will.block": (
        "Mulai belanja berikutnya kartu ini ditolak. Blokir dapat dibuka lagi.",
        "The card is declined from the next purchase on. It can be unblocked again.",
    ),
    "will.unblock": (
        "Mulai belanja berikutnya kartu ini diterima lagi.",
        "The card works again from the next purchase on.",
    ),
    "will.activate": ("Mulai belanja berikutnya kartu ini diterima.", "The card works from the next purchase on."),
    "will.lost": (
        "Kartu ini ditolak untuk selamanya. Keluarga perlu kartu pengganti.",
        "The card is declined for good. The family needs a new one.",
    ),
    "will.stolen": (
        "Kartu ini ditolak untuk selamanya. Keluarga perlu kartu pengganti.",
        "The card is declined for good. The family needs a new one.",
    ),
    "will.suspend": (
        "Tidak ada belanja baru sampai keluarga diaktifkan lagi. Sisa bantuan tetap milik keluarga.",
        "Nothing new is approved until the family is resumed. What is left stays the family's.",
    ),
    "will.resume": ("Keluarga dapat berbelanja lagi sekarang juga.", "The family may buy again at once."),
    "will.replace": (
        "Kartu lama mati seketika, kartu baru langsung berlaku. Sisa bantuan, bulan, dan voucher tetap.",
        "The old card is dead at once, the new one works. What is left, the month and vouchers stay.",
    ),
    "will.held": (
        "Yang sudah disetujui untuk warung tetap dibayar.",
        "What was approved for a shop before is still paid.",
    ),
    "will.now": ("Sekarang", "Now"),
    "will.then": ("Sesudahnya", "Afterwards"),
    "will.number": ("Nomor kartu baru", "Number of the new card"),
    "will.number.hint": ("12 sampai 19 angka, seperti pada kartu.", "12 to 19 digits, as on the card."),
    "will.reason": ("Alasan (tanpa nama atau nomor orang)", "Reason (no name or number of a person)"),
    "will.reason.missing": (
        "Tulis alasannya: paling banyak 200 huruf, tanpa nomor panjang.",
        "Write the reason: at most 200 letters, and no long number.",
    ),
    "will.number.missing": (
        "Periksa nomor kartu: 12 sampai 19 angka, dan angka terakhirnya harus cocok.",
        "Check the card's number: 12 to 19 digits, and the last one must fit.",
    ),
    "will.cancel": ("Batal", "Cancel"),
    "will.impossible": (
        "Ini tidak dapat dilakukan sekarang, dan tidak ada yang diubah. Sistem menjawab:",
        "This cannot be done now, and nothing was changed. The system says:",
    ),
    "said.block": ("Kartu diblokir.", "The card is blocked."),
    "said.unblock": ("Blokir kartu dibuka.", "The card is unblocked."),
    "said.activate": ("Kartu aktif.", "The card is active."),
    "said.lost": ("Kartu dilaporkan hilang.", "The card is reported lost."),
    "said.stolen": ("Kartu dilaporkan dicuri.", "The card is reported stolen."),
    "said.suspend": ("Keluarga ditangguhkan.", "The family is suspended."),
    "said.resume": ("Keluarga aktif lagi.", "The family is active again."),
    "said.replace": ("Kartu pengganti sudah berlaku.", "The new card works."),
}
