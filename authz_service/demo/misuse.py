"""What hurts families in real life, as a few shops and one companion do it in the quarter. Pure.

Each scheme takes one visit of some families that no story is told of, at a shop that has no story either. The plan
knows whose and when, so the report can say what the signals found of it, and what they took for it that was honest.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from random import Random
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.demo.goods import Basket, BasketLine
from authz_service.demo.habits import DAY
from authz_service.demo.market import Market
from authz_service.demo.plan import Settling
from authz_service.demo.town import Family, Shop
from authz_service.signals.kinds import Signal
from authz_service.vocabulary import BeneficiaryId


class Scheme(StrEnum):
    COLLECTED_CARDS = "collected_cards"
    """A shop has the cards of its families, and swipes them one evening: the same bag for all, half of it unnamed."""
    GOUGED_PRICES = "gouged_prices"
    """Milk powder, which has no ceiling, for half as much again."""
    CASH_TAKEN_BACK = "cash_taken_back"
    """A sale that never was, captured at once and refunded (gesek tunai)."""
    COMPANION_EVENING = "companion_evening"
    """A companion takes all its families to one shop, one after the other."""
    EGGS_BY_PIECE = "eggs_by_piece"
    """The shop tries to sell eggs by the piece, family after family; the programme's list refuses it."""


SEEN_BY: Final[Mapping[Scheme, frozenset[Signal]]] = {
    Scheme.COLLECTED_CARDS: frozenset({Signal.MANY_CARDS, Signal.EXACT_CAP, Signal.SAME_BASKET, Signal.FIXED_BAGS}),
    Scheme.GOUGED_PRICES: frozenset({Signal.FAR_PRICES}),
    Scheme.CASH_TAKEN_BACK: frozenset({Signal.TAKEN_BACK}),
    Scheme.COMPANION_EVENING: frozenset({Signal.ONE_EVENING}),
    Scheme.EGGS_BY_PIECE: frozenset({Signal.EGGS_BY_PIECE}),
}
"""By which signals each is to be found."""
HELD: Final = frozenset({Scheme.COLLECTED_CARDS, Scheme.GOUGED_PRICES, Scheme.CASH_TAKEN_BACK})
"""Whose settlement is to be held; an evening's company alone may be honest, and an attempt has no settlement."""
FAMILIES: Final[Mapping[Scheme, int]] = {
    Scheme.COLLECTED_CARDS: 14,
    Scheme.GOUGED_PRICES: 12,
    Scheme.CASH_TAKEN_BACK: 8,
    Scheme.EGGS_BY_PIECE: 10,
}
_SWIPED_AFTER: Final = timedelta(seconds=20)
_WALKED_AFTER: Final = timedelta(minutes=9)
_BAG: Final[Basket] = (
    BasketLine(category="beras", product="beras medium", unit="kg", quantity="10", unit_price=13_100, amount=131_000),
    BasketLine(category="telur", product="telur ayam ras", unit="kg", quantity="1", unit_price=30_000, amount=30_000),
    BasketLine(category="ikan_kaleng", amount=139_000),
)
_DEAR: Final[Basket] = (
    BasketLine(
        category="susu", product="susu bubuk 400 g", unit="kotak", quantity="2", unit_price=79_000, amount=158_000
    ),
    BasketLine(category="beras", product="beras premium", unit="kg", quantity="5", unit_price=15_400, amount=77_000),
)
_PIECES: Final[Basket] = (
    BasketLine(
        category="telur", product="telur ayam ras", unit="butir", quantity="30", unit_price=3_000, amount=90_000
    ),
)
_MADE_UP_RUPIAH: Final = 280_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A visit of a scheme. `basket` None is what the family would have bought; `refused` is tried before it."""

    scheme: Scheme
    at: datetime
    shop: Shop
    basket: Basket | None = None
    refused: tuple[Basket, DeclineReason] | None = None
    settling: Settling = Settling.CAPTURED

    @property
    def on(self) -> date:
        return self.at.date()


class Crooks:
    """Who does what to whom: at most one scheme at a shop, and at most one errand of a family."""

    def __init__(self, market: Market, taken: Mapping[BeneficiaryId, object], chance: Random) -> None:
        self._market = market
        self._chance = chance
        self.errands: dict[BeneficiaryId, Errand] = {}
        self._free = [family for family in market.town.families if family.beneficiary_id not in taken]
        honest = {*market.dispensable, market.night_shop}
        self._shops = [shop for shop in market.town.shops if shop not in honest]
        chance.shuffle(self._shops)

    def plot(self) -> dict[BeneficiaryId, Errand]:
        """Each scheme has its shop and its families, as far as there are enough of both."""
        self._companion()
        for scheme, number in FAMILIES.items():
            for shop in self._shops:
                near = [each for each in self._free if each.district_code == shop.district_code]
                if len(near) >= number:
                    self._shops.remove(shop)
                    self._send(scheme, shop, self._chance.sample(near, number))
                    break
        return self.errands

    def _send(self, scheme: Scheme, shop: Shop, families: list[Family]) -> None:
        day = self._day()
        for place, family in enumerate(families):
            self._errand(family, self._planned(scheme, shop, day, place))

    def _planned(self, scheme: Scheme, shop: Shop, day: date, place: int) -> Errand:
        market, chance = self._market, self._chance
        match scheme:
            case Scheme.COLLECTED_CARDS:
                at = self._evening(day, time(19, 15)) + place * _SWIPED_AFTER
                return Errand(scheme=scheme, at=at, shop=shop, basket=_BAG, settling=Settling.AT_ONCE)
            case Scheme.GOUGED_PRICES:
                at = market.moment(shop, day + place // 3 * DAY, chance)
                return Errand(scheme=scheme, at=at, shop=shop, basket=_DEAR)
            case Scheme.CASH_TAKEN_BACK:
                at, amount = market.moment(shop, day + place // 3 * DAY, chance), _MADE_UP_RUPIAH + 1_000 * place
                made_up = (BasketLine(category="ikan_kaleng", amount=amount),)
                return Errand(scheme=scheme, at=at, shop=shop, basket=made_up, settling=Settling.TAKEN_BACK)
            case Scheme.EGGS_BY_PIECE:
                at = market.moment(shop, day + place // 5 * DAY, chance)
                tried = (_PIECES, DeclineReason.PRODUCT_NOT_PERMITTED)
                return Errand(scheme=scheme, at=at, shop=shop, refused=tried)
            case Scheme.COMPANION_EVENING:
                return Errand(scheme=scheme, at=self._evening(day, time(18)) + place * _WALKED_AFTER, shop=shop)

    def _companion(self) -> None:
        """One of whom no family has a story."""
        own: dict[str, list[Family]] = defaultdict(list)
        for family in self._market.town.families:
            own[family.companion_id].append(family)
        free = set(self._free)
        whole = [families for who, families in sorted(own.items()) if who and free.issuperset(families)]
        for families in self._chance.sample(whole, len(whole)):
            for shop in self._shops:
                if shop.district_code == families[0].district_code:
                    self._shops.remove(shop)
                    return self._send(Scheme.COMPANION_EVENING, shop, families)
        return None

    def _errand(self, family: Family, errand: Errand) -> None:
        self._free.remove(family)
        self.errands[family.beneficiary_id] = errand

    def _day(self) -> date:
        """In the middle of one of the first two months: early days are busy, and the last month is short of money."""
        month = self._chance.choice((0, 31))
        return self._market.town.terms.starts_on + (month + self._chance.randint(12, 20)) * DAY

    def _evening(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, tzinfo=self._market.town.terms.zone)
