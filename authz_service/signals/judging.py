"""All signals in order, and what their evidence comes to for each purchase. Pure.

Scores of different signals on one purchase add up as chances of independent witnesses do: 40 and 40 are 64, 60 and 60
are 84. So a weak signal alone is flagged only. Signals that look at the same thing are one witness, and speak with the
strongest of them. What a programme only flags is not counted.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from authz_service.signals.baskets import fixed_bags, same_basket
from authz_service.signals.cards import many_cards, night_hours
from authz_service.signals.companions import one_companion, one_evening
from authz_service.signals.facts import Day, Found
from authz_service.signals.kinds import Action, Signal, Subject
from authz_service.signals.prices import eggs_by_piece, far_prices
from authz_service.signals.refunds import taken_back
from authz_service.signals.sales import far_sales
from authz_service.signals.thresholds import HOLD_SCORE, Rule
from authz_service.signals.totals import exact_cap

SIGNALS: Final[Mapping[Signal, Callable[[Day, Any], list[Found]]]] = {
    Signal.MANY_CARDS: many_cards,
    Signal.EXACT_CAP: exact_cap,
    Signal.SAME_BASKET: same_basket,
    Signal.FIXED_BAGS: fixed_bags,
    Signal.NIGHT_HOURS: night_hours,
    Signal.TAKEN_BACK: taken_back,
    Signal.FAR_PRICES: far_prices,
    Signal.EGGS_BY_PIECE: eggs_by_piece,
    Signal.ONE_COMPANION: one_companion,
    Signal.ONE_EVENING: one_evening,
    Signal.FAR_SALES: far_sales,
}


class Setting(Struct, frozen=True, kw_only=True):
    """How a programme has set each signal, and from which score on a settlement is held."""

    rules: Mapping[Signal, Rule]
    hold_score: int = HOLD_SCORE


AT_ONCE: Final = tuple(signal for signal in Signal if signal.is_seen_at_once)
SAME_WITNESS: Final[Mapping[Signal, Signal]] = {
    Signal.SAME_BASKET: Signal.FIXED_BAGS,
    Signal.EXACT_CAP: Signal.FIXED_BAGS,
}
"""A bag that is the same for everybody costs the same, and often all of a package: one thing, seen three times."""
TILLS_KNOW: Final = frozenset({Subject.TERMINAL, Subject.MERCHANT, Subject.CARD})
"""What a decision can be declined for: no till knows who a family's companion is."""


def found_on(day: Day, rules: Mapping[Signal, Rule], signals: Collection[Signal] = tuple(Signal)) -> list[Found]:
    """What the enabled ones among `signals` see on this day, in the order of the signals."""
    return [
        each
        for signal, see in SIGNALS.items()
        if signal in signals and rules[signal].enabled
        for each in see(day, rules[signal].thresholds)
    ]


def held_score(evidence: Iterable[tuple[Signal, int]], setting: Setting) -> int:
    """What (signal, score) of one purchase come to, each witness by its highest, without those that only flag."""
    highest: dict[Signal, int] = defaultdict(int)
    for signal, score in evidence:
        rule, witness = setting.rules[signal], SAME_WITNESS.get(signal, signal)
        if rule.enabled and rule.action is not Action.FLAG:
            highest[witness] = max(highest[witness], score)
    doubt = 1.0
    for score in highest.values():
        doubt *= 1 - score / 100
    return round(100 * (1 - doubt))


def declines(found: Found, setting: Setting) -> bool:
    """It alone is strong enough, the programme has said so, and a till can know its subject."""
    declined = setting.rules[found.signal].action is Action.DECLINE
    return declined and found.score >= setting.hold_score and found.subject_kind in TILLS_KNOW
