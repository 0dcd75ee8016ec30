"""What is said at the counter: at most three short sentences; what is wrong, what would pass, whom to ask."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.declines import DeclineReason
from authz_service.requests import Line, Purchase
from authz_service.rules.decide import Decision, Refusal
from authz_service.rules.facts import Facts, Programme
from authz_service.rules.goods import ceiling_of
from authz_service.rules.money import Room
from authz_service.vocabulary import PackageCounting, in_rupiah

_MONTHS: Final = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni",
    "Juli", "Agustus", "September", "Oktober", "November", "Desember",
)  # fmt: skip
_MONEY: Final = frozenset(
    {
        DeclineReason.PACKAGE_CAP_EXCEEDED,
        DeclineReason.ENTITLEMENT_EXCEEDED,
        DeclineReason.PACKAGES_USED_UP,
        DeclineReason.MONTHLY_CAP_EXCEEDED,
    }
)


def decision_message(purchase: Purchase, facts: Facts, decision: Decision) -> str:
    """What the shopkeeper reads aloud."""
    if not decision.approved:
        first = decision.refusals[0]
        said = refusal_message(first, facts, decision.room, line_of(purchase.lines, first))
        if first.reason in _MONEY and decision.largest_rupiah > 0 and not _says_it_already(first, decision):
            said += f" Sekarang bisa belanja sampai {in_rupiah(decision.largest_rupiah)}."
        return said
    paid = f"Disetujui {in_rupiah(decision.approved_rupiah)}."
    if decision.tender_due_rupiah:
        paid = f"Disetujui {in_rupiah(decision.approved_rupiah)}, kurang bayar {in_rupiah(decision.tender_due_rupiah)}."
    return paid if decision.room is None else f"{paid} {left_message(decision.room, facts)}"


def _says_it_already(first: Refusal, decision: Decision) -> bool:
    """The package's value is in its own sentence."""
    is_package = first.reason is DeclineReason.PACKAGE_CAP_EXCEEDED
    return is_package and decision.room is not None and decision.largest_rupiah == decision.room.package_rupiah


def balance_message(facts: Facts, first: Refusal | None, room: Room | None) -> str:
    """What the family has, and what stands in the way of using it: a shop, card, family or date, never money."""
    in_the_way = "" if first is None else refusal_message(first, facts, None, None)
    if room is None:
        return in_the_way
    return f"{in_the_way} {_in_all(room)}" if in_the_way else left_message(room, facts)


def left_message(room: Room, facts: Facts) -> str:
    """What the family still has, this month and in all; and whom to ask when the month's purchases are used up.

    By value a package is shared by many purchases, so how many are left is not how often the family may come.
    """
    if room.packages_rupiah == 0 and room.programme_rupiah > 0 and facts.family is not None:
        used_up = "Jatah belanja bulan ini sudah habis; jika sangat perlu, hubungi pendamping"
        return f"{used_up} {facts.family.companion_label}. {_in_all(room)}"
    month = []
    if room.month_rupiah is not None:
        month.append(f"Sisa bulan ini {in_rupiah(room.month_rupiah)}")
    if room.packages is not None and facts.programme.package_counting is PackageCounting.PER_PURCHASE:
        month.append(f"{room.packages} kali belanja lagi")
    return f"{', '.join(month)}. {_in_all(room)}" if month else _in_all(room)


def _in_all(room: Room) -> str:
    return f"Sisa bantuan {in_rupiah(room.programme_rupiah)}."


def refusal_message(refusal: Refusal, facts: Facts, room: Room | None, line: Line | None) -> str:
    """The Indonesian sentence of one failed check, with this family's and this shop's figures."""
    return refusal.reason.indonesian.format_map(_Words(facts, room, line, number=refusal.line))


def line_of(lines: Sequence[Line], refusal: Refusal) -> Line | None:
    return None if refusal.line is None else lines[refusal.line - 1]


class _Words(dict[str, str]):
    """The names that a sentence may ask for; each is made only when it is asked, and none is ever left blank."""

    def __init__(self, facts: Facts, room: Room | None, line: Line | None, *, number: int | None) -> None:
        super().__init__()
        self._facts, self._room, self._line, self._number = facts, room, line, number

    def __missing__(self, name: str) -> str:
        programme = self._facts.programme
        match name:
            case "operator":
                return programme.operator_name
            case "starts_on":
                return in_words(programme.starts_at, programme.zone)
            case "ends_on":
                return in_words(programme.ends_at - timedelta(microseconds=1), programme.zone)
            case "goods":
                return _goods(programme)
            case "line" if self._number:
                return str(self._number)
            case "companion" if self._facts.family:
                return self._facts.family.companion_label
            case "ceiling" if self._line:
                return _limit(ceiling_of(self._line, self._facts))
            case "unit" if self._line:
                return str(self._line.unit)
            case "package" if self._room:
                return _limit(self._room.package_rupiah)
            case "month_left" if self._room:
                return _limit(self._room.month_rupiah)
            case "programme_left" if self._room:
                return in_rupiah(self._room.programme_rupiah)
            case _:
                raise KeyError(name)


def _limit(rupiah: int | None) -> str:
    """A limit that stood in the way is there; None is for the types alone."""
    return in_rupiah(rupiah or 0)


def in_words(instant: datetime, zone: ZoneInfo) -> str:
    """`31 Desember 2024`, the day in the programme's zone."""
    day = instant.astimezone(zone).date()
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _goods(programme: Programme) -> str:
    *others, last = programme.categories.values()
    return f"{', '.join(others)} dan {last}" if others else last
