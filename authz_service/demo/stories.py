"""What goes wrong beside the shopping: cards lost and replaced, families suspended, shops closed, tills out of hours.

Each story is about one family: what operators change, the visits that are declined because of it, and the days on
which the family does not shop. It takes nothing from the family's money. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.demo.market import Market, from_large_kecamatan
from authz_service.demo.plan import (
    CardExpirySet,
    CardIssued,
    CardStatusSet,
    Change,
    Family,
    FamilyStatusSet,
    QuarterFailedError,
    Sale,
    Shop,
    ShopClosesAt,
    ShopLeaves,
    ShopStatusSet,
    Visit,
)
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, CardStatus, MerchantStatus, with_luhn

DAY: Final = timedelta(days=1)
NIGHT_SHOP_CLOSES_AT: Final = time(1)
_PREFIX_DIGITS: Final = 8
_CARD_DIGITS: Final = 16


@dataclass(slots=True, kw_only=True)
class Story:
    """One family's; empty for most."""

    changes: list[Change] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    does_not_shop: tuple[date, date] = (date.max, date.min)
    new_card: tuple[date, str] = (date.max, "")
    """A number, and the first day on which the family shops with it."""
    night_shop: Shop | None = None
    """Where the family buys in the programme's last minute."""

    def card_on(self, day: date, family: Family) -> str:
        return self.new_card[1] if day >= self.new_card[0] else family.card_number


class Teller:
    """Gives each story to as many families as it has in the cast, none of them two."""

    def __init__(self, market: Market, chance: Random) -> None:
        self.market = market
        self.chance = chance
        self.told: dict[BeneficiaryId, Story] = {}
        self.shop_changes: list[Change] = []
        self._cards = {family.card_number for family in market.town.families}
        families = list(market.town.families)
        self._waiting = chance.sample(families, len(families))
        self._suspended, self._leaver, *_ = from_large_kecamatan(market.town.shops)
        self._close_shops()

    def tell(self) -> None:
        if sum(times for _, times in CAST) > len(self._waiting) or self._suspended == self._leaver:
            raise QuarterFailedError("The quarter needs more families, or more shops, than this programme has.")
        for story, times in CAST:
            for _ in range(times):
                family = self._waiting.pop()
                self.told[family.beneficiary_id] = story(self, family)

    # --- cards ---------------------------------------------------------------------------------------------------------

    def lost_card(self, family: Family) -> Story:
        """A finder tries it; the new card is tried before it was activated."""
        day, new = self._day(0.1, 0.8), self._new_number(family)
        return Story(
            changes=[
                CardStatusSet(on=day, card_number=family.card_number, status=CardStatus.LOST),
                self._issued(day + 4 * DAY, family, new, CardStatus.NOT_ACTIVATED),
                CardStatusSet(on=day + 5 * DAY, card_number=new, status=CardStatus.ACTIVE),
            ],
            visits=[
                self._declined(family, day + DAY, DeclineReason.CARD_LOST),
                self._declined(family, day + 4 * DAY, DeclineReason.CARD_NOT_ACTIVATED, card_number=new),
            ],
            does_not_shop=(day, day + 4 * DAY),
            new_card=(day + 5 * DAY, new),
        )

    def stolen_card(self, family: Family) -> Story:
        """The thief tries two shops."""
        day, new = self._day(0.1, 0.8), self._new_number(family)
        return Story(
            changes=[
                CardStatusSet(on=day, card_number=family.card_number, status=CardStatus.STOLEN),
                self._issued(day + 3 * DAY, family, new, CardStatus.ACTIVE),
            ],
            visits=[self._declined(family, day + later * DAY, DeclineReason.CARD_STOLEN) for later in (0, 1)],
            does_not_shop=(day, day + 2 * DAY),
            new_card=(day + 3 * DAY, new),
        )

    def blocked_card(self, family: Family) -> Story:
        """The bank's card desk blocks it on a suspicion and gives it free again."""
        day = self._day(0.1, 0.9)
        return Story(
            changes=[
                CardStatusSet(on=day, card_number=family.card_number, status=CardStatus.BLOCKED),
                CardStatusSet(on=day + 3 * DAY, card_number=family.card_number, status=CardStatus.ACTIVE),
            ],
            visits=[self._declined(family, day + DAY, DeclineReason.CARD_BLOCKED)],
            does_not_shop=(day, day + 2 * DAY),
        )

    def damaged_card(self, family: Family) -> Story:
        """Replaced the same day; the old one is swiped once more."""
        day, new = self._day(0.1, 0.9), self._new_number(family)
        return Story(
            changes=[
                CardStatusSet(on=day, card_number=family.card_number, status=CardStatus.REPLACED),
                self._issued(day, family, new, CardStatus.ACTIVE),
            ],
            visits=[self._declined(family, day + 2 * DAY, DeclineReason.CARD_BLOCKED)],
            new_card=(day, new),
        )

    def card_out_of_date(self, family: Family) -> Story:
        """A card of an earlier year that ends in the middle of the programme."""
        day, new = self._day(0.3, 0.6), self._new_number(family)
        first = self.market.town.terms.starts_on
        return Story(
            changes=[
                CardExpirySet(on=first, card_number=family.card_number, expires_on=day),
                CardStatusSet(on=day + 3 * DAY, card_number=family.card_number, status=CardStatus.REPLACED),
                self._issued(day + 3 * DAY, family, new, CardStatus.ACTIVE),
            ],
            visits=[self._declined(family, day + DAY, DeclineReason.CARD_EXPIRED)],
            does_not_shop=(day + DAY, day + 2 * DAY),
            new_card=(day + 3 * DAY, new),
        )

    # --- families ------------------------------------------------------------------------------------------------------

    def suspended_family(self, family: Family) -> Story:
        """While its data is verified again."""
        day = self._day(0.2, 0.8)
        return Story(
            changes=[
                FamilyStatusSet(on=day, beneficiary_id=family.beneficiary_id, status=BeneficiaryStatus.SUSPENDED),
                FamilyStatusSet(on=day + 9 * DAY, beneficiary_id=family.beneficiary_id, status=BeneficiaryStatus.ACTIVE),
            ],
            visits=[self._declined(family, day + 2 * DAY, DeclineReason.BENEFICIARY_SUSPENDED)],
            does_not_shop=(day, day + 8 * DAY),
        )

    def removed_family(self, family: Family) -> Story:
        """No longer in the programme; the roll returns what it has not spent."""
        day = self._day(0.5, 0.9)
        return Story(
            changes=[FamilyStatusSet(on=day, beneficiary_id=family.beneficiary_id, status=BeneficiaryStatus.REMOVED)],
            visits=[self._declined(family, day + 2 * DAY, DeclineReason.BENEFICIARY_REMOVED)],
            does_not_shop=(day, date.max),
        )

    def wants_cash(self, family: Family) -> Story:
        shop, day = self.chance.choice(self.market.town.shops), self._day(0.0, 1.0)
        basket = self.market.stall(shop).with_mishap((), DeclineReason.CASH_NOT_PERMITTED, self.chance)
        at, reason = self.market.moment(shop, day, self.chance), DeclineReason.CASH_NOT_PERMITTED
        sale = Sale(card_number=family.card_number, basket=basket, refused=reason)
        return Story(visits=[_visit(family, shop, at, sale)])

    # --- shops, hours and the programme's first and last day -------------------------------------------------------------

    def at_suspended_shop(self, family: Family) -> Story:
        day = self.chance.choice([self._suspension[0] + n * DAY for n in range(5)])
        return Story(visits=[self._declined(family, day, DeclineReason.MERCHANT_SUSPENDED, shop=self._suspended)])

    def at_shop_that_left(self, family: Family) -> Story:
        day = self._last_day_of_leaver + self.chance.randint(1, 3) * DAY
        return Story(visits=[self._declined(family, day, DeclineReason.MERCHANT_UNKNOWN, shop=self._leaver)])

    def outside_hours(self, family: Family) -> Story:
        """At night, when the shop says it is closed."""
        shop = self.chance.choice([shop for shop in self.market.town.shops if shop.closes_at and shop.opens_at])
        late, day = self.chance.random() < 0.6, self._day(0.0, 0.98)
        minute = self.chance.randint(*((22 * 60 + 5, 23 * 60 + 30) if late else (4 * 60 + 30, 5 * 60 + 50)))
        at = self._midnight(day) + timedelta(minutes=minute)
        return Story(visits=[self._declined(family, day, DeclineReason.TERMINAL_NOT_PERMITTED, shop=shop, at=at)])

    def too_early(self, family: Family) -> Story:
        """On the evening before, when everybody has heard of it."""
        return self._on(family, self.market.town.terms.starts_on - DAY, DeclineReason.PROGRAMME_NOT_STARTED)

    def too_late(self, family: Family) -> Story:
        return self._on(family, self.market.town.terms.ends_on + DAY, DeclineReason.PROGRAMME_ENDED)

    def last_minute(self, family: Family) -> Story:
        """One shop may stay open on the last night: a family buys in the last minute, another comes at midnight."""
        last = self.market.town.terms.ends_on
        shop = next(each for each in self.market.town.shops if each.closes_at and each.opens_at and each != self._leaver)
        self.shop_changes += [
            ShopClosesAt(on=last, merchant_id=shop.merchant_id, closes_at=NIGHT_SHOP_CLOSES_AT),
            ShopClosesAt(on=last + DAY, merchant_id=shop.merchant_id, closes_at=shop.closes_at or time()),
        ]
        late, at = self._waiting.pop(), self._midnight(last + DAY)
        self.told[late.beneficiary_id] = Story(
            visits=[self._declined(late, last + DAY, DeclineReason.PROGRAMME_ENDED, shop=shop, at=at)]
        )
        return Story(does_not_shop=(last - 3 * DAY, date.max), night_shop=shop)

    # --- what the stories stand on ---------------------------------------------------------------------------------------

    def _close_shops(self) -> None:
        """One shop is suspended for some days, another leaves the programme for good."""
        first, left = self._day(0.4, 0.5), self._day(0.8, 0.85)
        self._suspension, self._last_day_of_leaver = (first, first + 4 * DAY), left
        self.market.close(self._suspended, *self._suspension)
        self.market.close(self._leaver, left + DAY, date.max)
        self.shop_changes += [
            ShopStatusSet(on=first, merchant_id=self._suspended.merchant_id, status=MerchantStatus.SUSPENDED),
            ShopStatusSet(on=first + 5 * DAY, merchant_id=self._suspended.merchant_id, status=MerchantStatus.ACTIVE),
            ShopLeaves(on=left, merchant_id=self._leaver.merchant_id, leaves_on=left),
        ]

    def _on(self, family: Family, day: date, reason: DeclineReason) -> Story:
        return Story(visits=[self._declined(family, day, reason)])

    def _declined(
        self,
        family: Family,
        day: date,
        reason: DeclineReason,
        *,
        card_number: str | None = None,
        shop: Shop | None = None,
        at: datetime | None = None,
    ) -> Visit:
        """Somebody tries to buy a package's worth, and is told why not."""
        where = shop or self.market.shop_for(family.district_code, None, day, self.chance)
        when = at or self.market.moment(where, day, self.chance)
        basket = self.market.basket(where, self.chance)
        sale = Sale(card_number=card_number or family.card_number, basket=basket, refused=reason)
        return _visit(family, where, when, sale)

    def _day(self, earliest: float, latest: float) -> date:
        """A day of the programme, between two parts of its length."""
        terms = self.market.town.terms
        last = (terms.ends_on - terms.starts_on).days
        return terms.starts_on + self.chance.randint(round(last * earliest), round(last * latest)) * DAY

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=self.market.town.terms.zone)

    def _issued(self, on: date, family: Family, card_number: str, status: CardStatus) -> CardIssued:
        return CardIssued(on=on, beneficiary_id=family.beneficiary_id, card_number=card_number, status=status)

    def _new_number(self, family: Family) -> str:
        """A number of the same programme that no family has."""
        prefix = family.card_number[:_PREFIX_DIGITS]
        while True:
            free = self.chance.randrange(10 ** (_CARD_DIGITS - 1 - _PREFIX_DIGITS))
            number = with_luhn(f"{prefix}{free:0{_CARD_DIGITS - 1 - _PREFIX_DIGITS}d}")
            if number not in self._cards:
                self._cards.add(number)
                return number


def _visit(family: Family, shop: Shop, at: datetime, sale: Sale) -> Visit:
    return Visit(at=at, beneficiary_id=family.beneficiary_id, terminal_id=shop.terminal_id, steps=(sale,))


CAST: Final[tuple[tuple[Callable[[Teller, Family], Story], int], ...]] = (
    (Teller.lost_card, 4),
    (Teller.stolen_card, 2),
    (Teller.blocked_card, 4),
    (Teller.damaged_card, 3),
    (Teller.card_out_of_date, 3),
    (Teller.suspended_family, 4),
    (Teller.removed_family, 4),
    (Teller.wants_cash, 8),
    (Teller.at_suspended_shop, 6),
    (Teller.at_shop_that_left, 3),
    (Teller.outside_hours, 9),
    (Teller.too_early, 3),
    (Teller.too_late, 3),
    (Teller.last_minute, 1),
)
"""Which story is told of how many families."""
