"""Where each signal begins to count, as data of a programme: a default for each, and a check of what is set instead.

Every signal has `at_least`, from which on it is found, and `strongly`, from which on it is as strong as it can be:
`strongest`. Between them its score rises from WEAK to that. What may well be honest, however much there is of it, is
never strong enough to hold a settlement alone (CIRCUMSTANCE). The reasons of the numbers are in docs/signals.md.

ThresholdsRefused    nothing was set
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from authz_service.signals.kinds import Action, Signal

WEAK: Final = 40
CIRCUMSTANCE: Final = 60
STRONG: Final = 80
"""The score at `at_least`, and the two that there are at `strongly`."""
HOLD_SCORE: Final = 70
"""The default from which on a purchase's settlement is held: more than one weak signal, or nearly a strong one."""

_Count = Annotated[int, Meta(ge=1, le=100_000)]
_Minutes = Annotated[int, Meta(ge=1, le=100_000)]
_Days = Annotated[int, Meta(ge=1, le=92)]
_Percent = Annotated[int, Meta(ge=1, le=10_000)]
_Share = Annotated[int, Meta(ge=1, le=100)]
_Score = Annotated[int, Meta(ge=1, le=100)]
_Hour = Annotated[int, Meta(ge=0, le=24)]


class ThresholdsRefused(Exception):  # noqa: N818
    """The thresholds are not those of the signal; the message says which, and nothing was set."""


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all signals have."""

    at_least: _Count
    strongly: _Count
    strongest: _Score = STRONG
    """The highest score that it can have."""
    decline_minutes: _Minutes = 120
    """Where the action is `decline`: so long the next purchases there are declined."""

    def score(self, seen: float) -> int:
        """0 below `at_least`."""
        if seen < self.at_least:
            return 0
        between = self.strongly - self.at_least
        part = min(1.0, (seen - self.at_least) / between) if between > 0 else 1.0
        least = min(WEAK, self.strongest)
        return round(least + (self.strongest - least) * part)


class ManyCards(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Different cards within `minutes` at a terminal."""

    at_least: _Count = 8
    strongly: _Count = 12
    minutes: _Minutes = 5


class ExactCap(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Purchases one after the other at a terminal, with at most `minutes` between two, all exactly at the cap."""

    at_least: _Count = 8
    strongly: _Count = 16
    strongest: _Score = CIRCUMSTANCE
    minutes: _Minutes = 120


class SameBasket(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Families with the same lines at a shop on a day, if these are `share_percent` of its families that day."""

    at_least: _Count = 8
    strongly: _Count = 24
    strongest: _Score = CIRCUMSTANCE
    share_percent: _Share = 60


class FixedBags(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Families with the same lines, worth `lacking_percent` less at the others' prices than what was paid. Where
    `unknown_percent` of the money has no product, quantity and price, nobody can say what it is worth: that is weak."""

    at_least: _Count = 6
    strongly: _Count = 12
    lacking_percent: _Share = 10
    unknown_percent: _Share = 40


class NightHours(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cards at a shop in one night, from `from_hour` to `to_hour` or outside its own hours."""

    at_least: _Count = 4
    strongly: _Count = 10
    from_hour: _Hour = 22
    to_hour: _Hour = 5


class TakenBack(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Families at a shop within `days`, of whose purchase `share_percent` was refunded within `minutes`."""

    at_least: _Count = 3
    strongly: _Count = 6
    days: _Days = 7
    minutes: _Minutes = 2_880
    share_percent: _Share = 90


class FarPrices(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Percent above the median of at least `shops` others, in `purchases` of a shop on a day; within the last `days`,
    in its kecamatan if there are enough."""

    at_least: _Percent = 25
    strongly: _Percent = 50
    shops: _Count = 3
    purchases: _Count = 2
    days: _Days = 7


class EggsByPiece(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cards at a shop on a day with eggs by the piece: refused, or at `above_percent` more for a kilogram of
    `pieces_per_kg` than the other shops' median."""

    at_least: _Count = 3
    strongly: _Count = 8
    pieces_per_kg: _Count = 16
    above_percent: _Percent = 10


class OneCompanion(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Families that used a voucher of one companion at a shop within `days`, if they are `share_percent` of all with a
    voucher there."""

    at_least: _Count = 5
    strongly: _Count = 12
    strongest: _Score = CIRCUMSTANCE
    days: _Days = 28
    share_percent: _Share = 75


class OneEvening(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Families of one companion at a shop from `from_hour` on within `minutes`, if they are `share_percent` of the
    companion's, and `among_percent` of all who buy there meanwhile; or `shop_at_least` families of a shop, if they are
    `share_percent` of those it had within `days`."""

    at_least: _Count = 5
    strongly: _Count = 9
    strongest: _Score = CIRCUMSTANCE
    minutes: _Minutes = 120
    from_hour: _Hour = 17
    share_percent: _Share = 60
    among_percent: _Share = 50
    shop_at_least: _Count = 15
    shop_strongly: _Count = 40
    days: _Days = 28


class FarSales(Thresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Percent of the median of the others' sales per family within `days`, with at least `families` of its own, and so
    many at each of `shops` others."""

    at_least: _Percent = 160
    strongly: _Percent = 240
    strongest: _Score = CIRCUMSTANCE
    days: _Days = 28
    families: _Count = 15
    shops: _Count = 5


DEFAULTS: Final[Mapping[Signal, Thresholds]] = {
    Signal.MANY_CARDS: ManyCards(),
    Signal.EXACT_CAP: ExactCap(),
    Signal.SAME_BASKET: SameBasket(),
    Signal.FIXED_BAGS: FixedBags(),
    Signal.NIGHT_HOURS: NightHours(),
    Signal.TAKEN_BACK: TakenBack(),
    Signal.FAR_PRICES: FarPrices(),
    Signal.EGGS_BY_PIECE: EggsByPiece(),
    Signal.ONE_COMPANION: OneCompanion(),
    Signal.ONE_EVENING: OneEvening(),
    Signal.FAR_SALES: FarSales(),
}


class Rule(Struct, frozen=True, kw_only=True):
    """How a programme has set a signal."""

    signal: Signal
    enabled: bool = True
    action: Action = Action.HOLD
    thresholds: Thresholds


def default_rules() -> dict[Signal, Rule]:
    """All on; what they find counts towards holding a settlement, and declines nothing."""
    return {signal: Rule(signal=signal, thresholds=DEFAULTS[signal]) for signal in Signal}


def thresholds_of(signal: Signal, changed: Mapping[str, Any]) -> Thresholds:
    """The defaults of the signal, but for what is changed."""
    default = DEFAULTS[signal]
    try:
        found = msgspec.convert({**msgspec.structs.asdict(default), **changed}, type(default))
    except msgspec.ValidationError as wrong:
        known = ", ".join(type(default).__struct_fields__)
        raise ThresholdsRefused(f"{signal}: {wrong}. It has {known}.") from None
    if found.strongly < found.at_least:
        raise ThresholdsRefused(f"{signal}: strongly must not be less than at_least.")
    return found


def changed_from_default(signal: Signal, thresholds: Thresholds) -> dict[str, Any]:
    """What is to be kept of them."""
    default = msgspec.structs.asdict(DEFAULTS[signal])
    return {name: value for name, value in msgspec.structs.asdict(thresholds).items() if value != default[name]}
