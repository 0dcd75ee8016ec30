"""How every check came out, in order of precedence.

The outcomes follow from the reasons that were given then, so they are what was decided, whatever today's rules say.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from authz_service.answers import Document
from authz_service.declines import PRECEDENCE, DeclineReason, Stage
from authz_service.explanation.figures import FIGURES, Case
from authz_service.explanation.recorded import Recorded, Seen, facts_of, month_of_family, purchase_of, zone_of
from authz_service.rules.basket import counted_rupiah, price
from authz_service.rules.facts import Facts
from authz_service.rules.money import exceeded_limits, room_of


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    """It is among the reasons: the purchase was declined for it, or lines were cut for it."""
    NOT_BINDING = "not_binding"
    """The basket was above this limit too, but a smaller one had cut it already (partial approval)."""
    NOT_LOOKED_AT = "not_looked_at"
    """An earlier check had ended the matter."""
    NOT_RECORDED = "not_recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check; `lines` failed it, where it is about lines. A figure that nobody wrote down is not there."""

    reason: DeclineReason
    outcome: Outcome
    lines: tuple[int, ...]
    figures: Document


def checks(recorded: Recorded, seen: Seen | None) -> list[Check]:
    """One for every reason that there is, in precedence."""
    case = _case(recorded, seen)
    return [_check(case, reason) for reason in DeclineReason]


def _case(recorded: Recorded, seen: Seen | None) -> Case:
    failed: dict[DeclineReason, tuple[int, ...]] = {}
    for each in recorded.refusals:
        failed[each.reason] = failed.get(each.reason, ()) + (() if each.line is None else (each.line,))
    first = min((reason.stage for reason in failed), default=Stage.MONEY_AND_MISUSE)
    welcome = recorded.journal["asked"]["partial_approval"] and DeclineReason.CASH_NOT_PERMITTED not in failed
    facts = None if seen is None else facts_of(recorded, seen)
    return Case(
        recorded=recorded,
        seen=seen,
        local=recorded.created_at.astimezone(zone_of(recorded, seen)),
        failed=failed,
        ended_by=first if first < Stage.PROGRAMME_AND_GOODS else None,
        funds_lines=welcome and not _OUTSIDE_THE_BASKET.intersection(failed),
        month=month_of_family(recorded),
        room=None if facts is None or facts.family is None else room_of(facts.family, facts.programme),
        counted_rupiah=None if facts is None else _counted(recorded, facts, partial=welcome),
    )


_WINDOW: Final = frozenset({DeclineReason.PROGRAMME_NOT_STARTED, DeclineReason.PROGRAMME_ENDED})
_OUTSIDE_THE_BASKET: Final = _WINDOW | {DeclineReason.SUSPECTED_MISUSE}


def _counted(recorded: Recorded, facts: Facts, *, partial: bool) -> int:
    return counted_rupiah(price(purchase_of(recorded), facts), partial=partial)


def _check(case: Case, reason: DeclineReason) -> Check:
    outcome = _outcome(case, reason)
    looked_at = outcome not in {Outcome.NOT_LOOKED_AT, Outcome.NOT_RECORDED}
    return Check(
        reason=reason,
        outcome=outcome,
        lines=case.failed.get(reason, ()),
        figures=FIGURES[reason](case) if looked_at else {},
    )


def _outcome(case: Case, reason: DeclineReason) -> Outcome:
    if reason in case.failed:
        return Outcome.FAILED
    if case.ended_by is not None:
        is_later = reason.stage > case.ended_by or _is_about_nothing(case, reason)
        return Outcome.NOT_LOOKED_AT if is_later else Outcome.PASSED
    match reason.stage:
        case Stage.SHOP_AND_TERMINAL | Stage.CARD | Stage.FAMILY | Stage.PIN:
            return Outcome.PASSED
        case Stage.PROGRAMME_AND_GOODS:
            was_looked_at = reason in _WINDOW or _a_line_passed(case, reason)
            return Outcome.PASSED if was_looked_at else Outcome.NOT_LOOKED_AT
        case Stage.MONEY_AND_MISUSE:
            return _limit(case, reason)
        case unreachable:
            assert_never(unreachable)


def _is_about_nothing(case: Case, reason: DeclineReason) -> bool:
    """Nobody can look at the status of a card, or of a shop, that is not there."""
    no_shop = reason is DeclineReason.MERCHANT_SUSPENDED and case.told["shop"] is None
    return no_shop or (reason.stage is Stage.CARD and case.told["card"] is None)


def _a_line_passed(case: Case, reason: DeclineReason) -> bool:
    """A line gives one reason, its first: later checks did not look at it any more."""
    refused = {each.line: each.reason for each in case.recorded.refusals if each.reason.stage is reason.stage}
    lines = range(1, len(case.recorded.journal["lines"]) + 1)
    return any(line not in refused or PRECEDENCE[refused[line]] > PRECEDENCE[reason] for line in lines)


def _limit(case: Case, reason: DeclineReason) -> Outcome:
    if not case.funds_lines or reason is DeclineReason.SUSPECTED_MISUSE:
        return Outcome.PASSED
    if case.room is None or case.counted_rupiah is None:
        return Outcome.NOT_RECORDED
    broken = reason in exceeded_limits(case.counted_rupiah, case.room)
    return Outcome.NOT_BINDING if broken else Outcome.PASSED
