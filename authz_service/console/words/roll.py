"""Lists of families that were imported."""

from typing import Final

WORDS: Final[dict[str, tuple[str, str]]] = {
    "menu.roll": ("Daftar keluarga", "Lists of families"),
    "roll.title": ("Daftar keluarga yang diimpor", "Lists of families that were imported"),
    "roll.about": (
        "Berkas dibaca dan diperiksa dengan `authz roll import`. Orang kedua menyetujui; lalu diterapkan utuh.",
        "A file is read and checked by `authz roll import`. A second person approves it; then it is applied whole.",
    ),
    "roll.none": ("Belum ada daftar.", "No list was imported yet."),
    "roll.imported": ("Diimpor", "Imported"),
    "roll.imported_by": ("Diimpor oleh", "Imported by"),
    "roll.why": ("Alasan", "Reason"),
    "roll.effective_on": ("Berlaku mulai", "From"),
    "roll.unchanged": ("Tetap", "Unchanged"),
    "roll.entering": ("Masuk", "Enter"),
    "roll.leaving": ("Keluar", "Leave"),
    "roll.changing": ("Berubah", "Changed"),
    "roll.merging": ("Digabung", "Merged"),
    "roll.granting": ("Bantuan baru", "Granted"),
    "roll.returning": ("Kembali", "Returned"),
    "roll.unallocated": ("Belum dibagikan saat itu", "Unallocated then"),
    "roll.standing": ("Keadaan", "Standing"),
    "roll.standing.waits": ("menunggu persetujuan", "waits for approval"),
    "roll.standing.approved": ("disetujui, belum diterapkan", "approved, not applied yet"),
    "roll.standing.applied": ("sedang ditulis", "being written"),
    "roll.standing.finished": ("diterapkan", "applied"),
    "roll.standing.withdrawn": ("ditarik", "withdrawn"),
    "roll.approve": ("Setujui", "Approve"),
    "roll.approve.title": ("Setujui daftar ini?", "Approve this list?"),
    "roll.approve.will": (
        "Daftar boleh diterapkan dengan perintah `authz roll apply`. Yang mengimpor tidak boleh menyetujui sendiri.",
        "It may be applied by `authz roll apply`. Who imported it cannot approve it.",
    ),
    "roll.withdraw": ("Tarik", "Withdraw"),
    "roll.withdraw.title": ("Tarik daftar ini?", "Withdraw this list?"),
    "roll.withdraw.will": (
        "Daftar ini tidak mengubah apa-apa, dan nama serta nomor yang dibaca dihapus.",
        "It changes nothing, and what was read of names and numbers is gone.",
    ),
    "said.list_approved": ("Daftar disetujui.", "The list is approved."),
    "said.list_withdrawn": ("Daftar ditarik.", "The list is withdrawn."),
}
