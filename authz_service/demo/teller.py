"""Who tells stories: gives each to a family of its own, and knows what they stand on. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from random import Random
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.demo.goods import Basket
from authz_service.demo.habits import DAY
from authz_service.demo.market import Market
from authz_service.demo.plan import CardIssued, Change, Sale, ShopLeaves, ShopStatusSet, Visit
from authz_service.demo.town import DemoFailedError, Family, Shop
from authz_service.vocabulary import BeneficiaryId, CardStatus, MerchantStatus, with_luhn

PREFIX_DIGITS: Final = 8
CARD_DIGITS: Final = 16
SUSPENDED_DAYS: Final = 5


@dataclass(slots=True, kw_only=True)
class Story:
    """What happens to one family beside its shopping; nothing to most. It takes nothing from the family's money."""

    changes: list[Change] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    does_not_shop: tuple[date, date] = (date.max, date.min)
    new_card: tuple[date, str] = (date.max, "")
    """The first day on which the family shops with another card, and its number."""
    night_shop: Shop | None = None
    """Where the family buys in the programme's last minute."""

    def card_on(self, day: date, family: Family) -> str:
        return self.new_card[1] if day >= self.new_card[0] else family.card_number


class Teller:
    """One shop is suspended for some days, another leaves for good; the rest is told of families."""

    def __init__(self, market: Market, chance: Random) -> None:
        self.market = market
        self.chance = chance
        self.told: dict[BeneficiaryId, Story] = {}
        self.shop_changes: list[Change] = []
        self._cards = {family.card_number for family in market.town.families}
        self._waiting = chance.sample(market.town.families, len(market.town.families))
        self.suspended, self.leaver = market.dispensable
        self.suspended_from, self.last_day_of_leaver = self.day(0.4, 0.5), self.day(0.8, 0.85)
        self._close_shops()

    def tell(self, cast: "Sequence[tuple[Callable[[Teller, Family], Story], int]]") -> None:
        """Each story of the cast has been told so often, of another family each time."""
        if sum(times for _, times in cast) > len(self._waiting):
            raise DemoFailedError("The quarter needs more families than this programme has.")
        for story, times in cast:
            for _ in range(times):
                family = self._waiting.pop()
                self.told[family.beneficiary_id] = story(self, family)

    def declined(
        self,
        family: Family,
        day: date,
        reason: DeclineReason,
        *,
        card_number: str | None = None,
        shop: Shop | None = None,
        at: datetime | None = None,
        basket: Basket | None = None,
    ) -> Visit:
        """Somebody tries to buy a package's worth, or the basket, and is told why not."""
        where = shop or self.market.shop_for(family.district_code, None, day, self.chance)
        when = at or self.market.moment(where, day, self.chance)
        goods = basket or self.market.basket(where, self.chance)
        sale = Sale(card_number=card_number or family.card_number, basket=goods, refused=reason)
        return Visit(at=when, beneficiary_id=family.beneficiary_id, terminal_id=where.terminal_id, steps=(sale,))

    def day(self, earliest: float, latest: float) -> date:
        """A day of the programme, between two parts of its length."""
        terms = self.market.town.terms
        last = (terms.ends_on - terms.starts_on).days
        return terms.starts_on + self.chance.randint(round(last * earliest), round(last * latest)) * DAY

    def midnight(self, day: date) -> datetime:
        """The first instant of the day."""
        return datetime.combine(day, time(), tzinfo=self.market.town.terms.zone)

    def issued(self, on: date, family: Family, card_number: str, status: CardStatus) -> CardIssued:
        return CardIssued(on=on, beneficiary_id=family.beneficiary_id, card_number=card_number, status=status)

    def new_number(self, family: Family) -> str:
        """A number of the same programme that no family has."""
        prefix, free_digits = family.card_number[:PREFIX_DIGITS], CARD_DIGITS - 1 - PREFIX_DIGITS
        while True:
            number = with_luhn(f"{prefix}{self.chance.randrange(10**free_digits):0{free_digits}d}")
            if number not in self._cards:
                self._cards.add(number)
                return number

    def _close_shops(self) -> None:
        first, left = self.suspended_from, self.last_day_of_leaver
        again = first + SUSPENDED_DAYS * DAY
        self.market.close(self.suspended, first, again - DAY)
        self.market.close(self.leaver, left + DAY, date.max)
        self.shop_changes += [
            ShopStatusSet(on=first, merchant_id=self.suspended.merchant_id, status=MerchantStatus.SUSPENDED),
            ShopStatusSet(on=again, merchant_id=self.suspended.merchant_id, status=MerchantStatus.ACTIVE),
            ShopLeaves(on=left, merchant_id=self.leaver.merchant_id, leaves_on=left),
        ]
