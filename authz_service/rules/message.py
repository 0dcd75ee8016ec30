"""What is said at the counter: at most three short sentences; what is wrong, what would pass, whom to ask.

Tills get Indonesian. English is the same for operators, made only when somebody asks.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.declines import DeclineReason
from authz_service.requests import Line, Purchase
from authz_service.rules.decide import Decision, Refusal
from authz_service.rules.facts import Facts, Programme
from authz_service.rules.goods import ceiling_of
from authz_service.rules.money import Room
from authz_service.rules.phrases import PHRASES, Language, Phrases
from authz_service.vocabulary import BeneficiaryStatus, PackageCounting, in_rupiah

_INDONESIAN: Final = PHRASES[Language.INDONESIAN]
_MONEY: Final = frozenset(
    {
        DeclineReason.PACKAGE_CAP_EXCEEDED,
        DeclineReason.ENTITLEMENT_EXCEEDED,
        DeclineReason.PACKAGES_USED_UP,
        DeclineReason.MONTHLY_CAP_EXCEEDED,
    }
)
_ABOUT_TIME: Final = frozenset({DeclineReason.PROGRAMME_NOT_STARTED, DeclineReason.PROGRAMME_ENDED})
"""Then no amount passes, whatever is left."""
_NAMES_THE_COMPANION: Final = frozenset({DeclineReason.PACKAGES_USED_UP, DeclineReason.MONTHLY_CAP_EXCEEDED})


def decision_message(
    purchase: Purchase, facts: Facts, decision: Decision, language: Language = Language.INDONESIAN
) -> str:
    """What the shopkeeper reads aloud."""
    phrases = PHRASES[language]
    if not decision.approved:
        first = decision.refusals[0]
        said = refusal_message(first, facts, decision.room, line_of(purchase.lines, first), language)
        would_pass = _would_pass(facts, decision, language)
        return f"{said} {would_pass}" if would_pass else said
    paid = f"{phrases.approved} {in_rupiah(decision.approved_rupiah)}."
    if decision.tender_due_rupiah:
        paid = f"{paid[:-1]}, {phrases.due} {in_rupiah(decision.tender_due_rupiah)}."
    return paid if decision.room is None else f"{paid} {left_message(decision.room, facts, language)}"


def _would_pass(facts: Facts, decision: Decision, language: Language) -> str:
    """Where money is a reason, the amount that all limits together let pass now; of nothing, always why."""
    phrases, first, room = PHRASES[language], decision.refusals[0].reason, decision.room
    if room is None or first in _ABOUT_TIME or _misuse_is_a_reason(decision):
        return ""
    if decision.largest_rupiah and not _money_is_a_reason(decision):
        return ""
    if decision.largest_rupiah:
        is_said = first is DeclineReason.PACKAGE_CAP_EXCEEDED and decision.largest_rupiah == room.package_rupiah
        return "" if is_said else f"{phrases.up_to} {in_rupiah(decision.largest_rupiah)}."
    if not room.programme_rupiah:
        return "" if first is DeclineReason.ENTITLEMENT_EXCEEDED else phrases.all_used_up
    return "" if first in _NAMES_THE_COMPANION else _month_used_up(facts, language)


def _money_is_a_reason(decision: Decision) -> bool:
    return any(refusal.reason in _MONEY for refusal in decision.refusals)


def _misuse_is_a_reason(decision: Decision) -> bool:
    """Then no amount passes, whatever is left, and nothing of that is to be said."""
    return any(refusal.reason is DeclineReason.SUSPECTED_MISUSE for refusal in decision.refusals)


def balance_message(facts: Facts, first: Refusal | None, room: Room | None) -> str:
    """What the family has, and what stands in the way of using it: a shop, card, family or date, never money."""
    in_the_way = "" if first is None else refusal_message(first, facts, None, None)
    if room is None:
        return in_the_way
    return f"{in_the_way} {_in_all(room, _INDONESIAN)}" if in_the_way else left_message(room, facts)


def left_message(room: Room, facts: Facts, language: Language = Language.INDONESIAN) -> str:
    """What the family still has, this month and in all; and whom to ask when the month is used up."""
    phrases = PHRASES[language]
    in_all = _in_all(room, phrases)
    if month_is_used_up(room):
        return f"{_month_used_up(facts, language)} {in_all}"
    month = []
    if (month_rupiah := room_of_the_month(room, facts.programme)) is not None:
        month.append(f"{phrases.month_left} {in_rupiah(month_rupiah)}")
    if (purchases := purchases_left(room, facts.programme)) is not None:
        month.append(f"{purchases} {phrases.purchases_left}")
    return f"{', '.join(month)}. {in_all}" if month else in_all


def _in_all(room: Room, phrases: Phrases) -> str:
    return f"{phrases.left_in_all} {in_rupiah(room.programme_rupiah)}."


def _month_used_up(facts: Facts, language: Language) -> str:
    return PHRASES[language].month_used_up.format_map(_Words(facts, None, None, number=None, language=language))


def refund_message(refunded_rupiah: int, month: date, facts: Facts) -> str:
    """Where a refund of what was bought in `month` went, and what may stand in the way of spending it again.

    It does not say what is left: the card is not at the counter.
    """
    refunded, programme = in_rupiah(refunded_rupiah), facts.programme
    if facts.family is None or facts.family.status is BeneficiaryStatus.REMOVED:
        return (
            f"Dikembalikan {refunded} ke dana program, bukan tunai: keluarga ini tidak lagi terdaftar."
            f" Untuk pertanyaan, hubungi {programme.operator_name}."
        )
    said = f"Dikembalikan {refunded} ke kartu, bukan tunai."
    if facts.now >= programme.ends_at:
        ended = refusal_message(Refusal(reason=DeclineReason.PROGRAMME_ENDED), facts, None, None)
        return f"{said} {ended}"
    if month < facts.family.month.month:
        past = f"{_INDONESIAN.months[month.month - 1]} {month.year}"
        return (
            f"{said} Jatah {past} sudah lewat: untuk memakainya mungkin perlu izin (voucher)"
            f" pendamping {facts.family.companion_label}."
        )
    return said


def month_is_used_up(room: Room) -> bool:
    """Nothing passes any more this month, although something is left in all."""
    return room.programme_rupiah > 0 and room.purchase_rupiah == 0


def room_of_the_month(room: Room, programme: Programme) -> int | None:
    """Rupiah that all purchases of the month together may still cost; None is no limit."""
    if programme.package_counting is not PackageCounting.BY_VALUE or room.packages_rupiah is None:
        return room.month_rupiah
    return room.packages_rupiah if room.month_rupiah is None else min(room.month_rupiah, room.packages_rupiah)


def purchases_left(room: Room, programme: Programme) -> int | None:
    """How many purchases the month still has. By value a package is shared by many, so nobody can say how many."""
    return room.packages if programme.package_counting is PackageCounting.PER_PURCHASE else None


def refusal_message(
    refusal: Refusal, facts: Facts, room: Room | None, line: Line | None, language: Language = Language.INDONESIAN
) -> str:
    """The sentences of one failed check, with this family's and this shop's figures."""
    reason = refusal.reason
    sentences = reason.indonesian if language is Language.INDONESIAN else reason.english
    return sentences.format_map(_Words(facts, room, line, number=refusal.line, language=language))


def line_of(lines: Sequence[Line], refusal: Refusal) -> Line | None:
    return None if refusal.line is None else lines[refusal.line - 1]


class _Words(dict[str, str]):
    """The names that a sentence may ask for; each is made only when it is asked, and none is ever left blank."""

    def __init__(
        self, facts: Facts, room: Room | None, line: Line | None, *, number: int | None, language: Language
    ) -> None:
        super().__init__()
        self._facts, self._room, self._line, self._number = facts, room, line, number
        self._language, self._phrases = language, PHRASES[language]

    def __missing__(self, name: str) -> str:
        programme = self._facts.programme
        match name:
            case "operator":
                return programme.operator_name
            case "starts_on":
                return in_words(programme.starts_at, programme.zone, self._language)
            case "ends_on":
                return in_words(programme.ends_at - timedelta(microseconds=1), programme.zone, self._language)
            case "goods":
                return _goods(programme, self._phrases)
            case "line" if self._number:
                return str(self._number)
            case "companion" if self._facts.family:
                return self._facts.family.companion_label
            case "ceiling" if self._line:
                return _limit(ceiling_of(self._line, self._facts))
            case "unit" if self._line:
                return str(self._line.unit)
            case _ if self._room:
                return self._of_room(name, self._room)
            case _:
                raise KeyError(name)

    def _of_room(self, name: str, room: Room) -> str:
        match name:
            case "package":
                return _limit(room.package_rupiah)
            case "packages_left":
                return _packages_left(room, self._phrases)
            case "month_left":
                return _limit(room.month_rupiah)
            case "programme_left":
                return in_rupiah(room.programme_rupiah)
            case _:
                raise KeyError(name)


def _limit(rupiah: int | None) -> str:
    """A limit that stood in the way is there; None is for the types alone."""
    return in_rupiah(rupiah or 0)


def packages_left_in_english(room: Room) -> str:
    """For an explanation, which finds the other names of a sentence in its own records."""
    return _packages_left(room, PHRASES[Language.ENGLISH])


def _packages_left(room: Room, phrases: Phrases) -> str:
    """Where packages are counted by value, some of the last one may be left."""
    if not room.packages_rupiah:
        return phrases.packages_used_up
    return f"{phrases.packages_left} {in_rupiah(room.packages_rupiah)}"


def in_words(instant: datetime, zone: ZoneInfo, language: Language = Language.INDONESIAN) -> str:
    """`31 Desember 2024`, the day in the programme's zone."""
    day = instant.astimezone(zone).date()
    return f"{day.day} {PHRASES[language].months[day.month - 1]} {day.year}"


def _goods(programme: Programme, phrases: Phrases) -> str:
    *others, last = programme.categories.values()
    return f"{', '.join(others)} {phrases.last_of_list} {last}" if others else last
