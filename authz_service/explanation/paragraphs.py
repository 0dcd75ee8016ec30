"""What an operator reads to a family: a paragraph about the decision as it was, and one about the money now.

The Indonesian reasons are those that were said at the counter; only what stands around them is worded here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, assert_never

from authz_service.answers import Document
from authz_service.explanation.recorded import Recorded, Seen, month_of_family, zone_of
from authz_service.rules.facts import Month
from authz_service.vocabulary import HoldStatus, in_rupiah

Sentence = Mapping[str, str]
"""`english` and `indonesian`."""
_Pair = tuple[str, str]
"""English, Indonesian."""


def decision_in_words(recorded: Recorded, seen: Seen | None, english_reasons: Sequence[str]) -> Sentence:
    """Who asked for what and when, what came of it, and what the family had before it; nothing about today."""
    said = [each["message"] for each in recorded.answer["reasons"]]
    why = _joined(english_reasons), _joined(said)
    return _sentence([_opening(recorded, seen), *_outcome(recorded, why), *_money(recorded)])


def now_in_words(now: Document) -> Sentence:
    """How the money of the purchase stands now."""
    return _sentence(_standing(now))


def _opening(recorded: Recorded, seen: Seen | None) -> _Pair:
    local = recorded.created_at.astimezone(zone_of(recorded, seen))
    shop = recorded.merchant_id if seen is None or seen.shop is None else seen.shop.name
    asked, zone = in_rupiah(recorded.amount_rupiah), _ZONES.get(str(local.tzinfo), f"{local:%z}")
    english_card, indonesian_card = _card(recorded)
    return (
        f"On {english_day(local)} at {local:%H:%M} {zone}, {shop} asked for {asked} {english_card}.",
        f"Pada {_indonesian_day(local)} pukul {local:%H.%M} {zone}, {shop} meminta {asked} {indonesian_card}.",
    )


def _card(recorded: Recorded) -> _Pair:
    if recorded.card_id is None:
        return "with a card that the programme did not know", "dengan kartu yang tidak dikenal program"
    if recorded.last_four is None:
        return "with the family's card", "dengan kartu keluarga itu"
    return f"with the card ending in {recorded.last_four}", f"dengan kartu berakhiran {recorded.last_four}"


def _outcome(recorded: Recorded, why: _Pair) -> Iterator[_Pair]:
    if not recorded.approved:
        yield "It was declined, and no money moved.", "Permintaan itu ditolak, dan tidak ada uang yang terpakai."
    else:
        approved = in_rupiah(recorded.approved_rupiah)
        yield f"{approved} was approved.", f"Disetujui {approved}."
    if recorded.reduction_rupiah:
        lowered = in_rupiah(recorded.reduction_rupiah)
        yield f"Prices above the ceiling were lowered by {lowered}.", f"Harga di atas batas diturunkan {lowered}."
    if recorded.approved and recorded.answer["tender_due"]:
        due = in_rupiah(recorded.answer["tender_due"])
        yield f"{due} was left to pay in another way.", f"Sisanya {due} harus dibayar dengan cara lain."
    if recorded.refusals:
        yield f"The till was told: {why[0]}", f"Kepada kasir dikatakan: {why[1]}"


def _money(recorded: Recorded) -> Iterator[_Pair]:
    """What the family had before the decision; nothing where the first stages failed and nothing of it was told."""
    month = month_of_family(recorded)
    if month is None or "remaining" not in recorded.answer:
        return
    available = in_rupiah(recorded.facts["available"])
    yield f"Before it, the family had {available} of its assistance left.", f"Sebelumnya sisa bantuan {available}."
    if month.cap_rupiah is not None:
        cap, used = in_rupiah(month.cap_rupiah), in_rupiah(month.used_rupiah - month.covered_rupiah)
        yield f"Of the month's {cap}, {used} was used.", f"Dari jatah bulan itu {cap} sudah terpakai {used}."
    if month.covered_rupiah:
        covered = in_rupiah(month.covered_rupiah)
        yield f"Vouchers had covered {covered} more.", f"Voucher sudah menanggung {covered} lagi."
    if rupiah := sum(voucher.rupiah_left for voucher in month.vouchers):
        left = in_rupiah(rupiah)
        yield f"Vouchers of the companion had {left} left.", f"Sisa voucher dari pendamping {left}."
    if month.packages_cap is not None and month.packages_used:
        made, of = month.packages_used, _purchases(month.packages_cap, month)
        yield f"It had made {made} of the month's {of} purchases.", f"Sudah {made} dari {of} kali belanja bulan itu."


def _purchases(packages_cap: int, month: Month) -> int:
    return packages_cap + month.covered_packages + sum(voucher.packages_left for voucher in month.vouchers)


def _standing(now: Document) -> Iterator[_Pair]:
    held, captured = in_rupiah(now["held_amount"]), in_rupiah(now["captured_amount"])
    match HoldStatus(now["status"]):
        case HoldStatus.DECLINED:
            yield "No money moved.", "Tidak ada uang yang terpakai."
        case HoldStatus.HELD:
            yield f"{held} is held for the shop.", f"{held} ditahan untuk warung."
        case HoldStatus.PARTLY_CAPTURED:
            yield (
                f"{captured} was booked for the shop, and {held} is still held for it.",
                f"{captured} sudah dibukukan untuk warung, dan {held} masih ditahan.",
            )
        case HoldStatus.CAPTURED:
            yield f"{captured} was booked for the shop.", f"{captured} sudah dibukukan untuk warung."
        case HoldStatus.VOIDED:
            yield (
                "The shop cancelled it, and all of it is back with the family.",
                "Warung membatalkannya, dan semuanya sudah kembali kepada keluarga.",
            )
        case HoldStatus.EXPIRED:
            yield (
                "The shop did not collect it in time, and all of it is back with the family.",
                "Warung tidak menyelesaikannya tepat waktu, dan semuanya sudah kembali kepada keluarga.",
            )
        case HoldStatus.REVERSED:
            yield (
                "The shop took it back, and all of it is back with the family.",
                "Warung menariknya kembali, dan semuanya sudah kembali kepada keluarga.",
            )
        case unreachable:
            assert_never(unreachable)
    if now["refunded_amount"] and now["status"] != HoldStatus.REVERSED:
        back = in_rupiah(now["refunded_amount"])
        yield f"{back} of it was refunded to the family.", f"{back} sudah dikembalikan kepada keluarga."


def _sentence(pairs: Iterable[_Pair]) -> Sentence:
    english, indonesian = zip(*pairs, strict=True)
    return {"english": " ".join(english), "indonesian": " ".join(indonesian)}


def _joined(sentences: Sequence[str]) -> str:
    """Each once: two lines may have been refused in the same words."""
    return " ".join(dict.fromkeys(sentences))


_ZONES: Final = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}
_ENGLISH_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_INDONESIAN_MONTHS: Final = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni",
    "Juli", "Agustus", "September", "Oktober", "November", "Desember",
)  # fmt: skip


def english_day(local: datetime) -> str:
    """`31 December 2024`."""
    return f"{local.day} {_ENGLISH_MONTHS[local.month - 1]} {local.year}"


def _indonesian_day(local: datetime) -> str:
    return f"{local.day} {_INDONESIAN_MONTHS[local.month - 1]} {local.year}"
