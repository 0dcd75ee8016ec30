"""What goes wrong beside the shopping: cards lost and replaced, families suspended, shops closed, tills out of hours.

Each story is about one family: what operators change, the visits that are declined because of it, and the days on
which the family does not shop. Pure.
"""

from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.demo.habits import DAY
from authz_service.demo.plan import CardExpirySet, CardStatusSet, FamilyStatusSet, ShopClosesAt
from authz_service.demo.teller import SUSPENDED_DAYS, Story, Teller
from authz_service.demo.town import Family
from authz_service.vocabulary import BeneficiaryStatus, CardStatus

NIGHT_SHOP_CLOSES_AT: Final = time(1)
LATE: Final = (22 * 60 + 5, 23 * 60 + 30)
EARLY: Final = (4 * 60 + 30, 5 * 60 + 50)
"""Minutes of the day at which no shop is open."""

# --- Cards. ----------------------------------------------------------------------------------------------------------


def lost_card(teller: Teller, family: Family) -> Story:
    """A finder tries it; the new card is tried before it was activated."""
    day, new = teller.day(0.1, 0.8), teller.new_number(family)
    return Story(
        changes=[
            CardStatusSet(on=day, card_number=family.card_number, status=CardStatus.LOST),
            teller.issued(day + 4 * DAY, family, new, CardStatus.NOT_ACTIVATED),
            CardStatusSet(on=day + 5 * DAY, card_number=new, status=CardStatus.ACTIVE),
        ],
        visits=[
            teller.declined(family, day + DAY, DeclineReason.CARD_LOST),
            teller.declined(family, day + 4 * DAY, DeclineReason.CARD_NOT_ACTIVATED, card_number=new),
        ],
        does_not_shop=(day, day + 4 * DAY),
        new_card=(day + 5 * DAY, new),
    )


def stolen_card(teller: Teller, family: Family) -> Story:
    """The thief tries two shops."""
    day, new = teller.day(0.1, 0.8), teller.new_number(family)
    return Story(
        changes=[
            CardStatusSet(on=day, card_number=family.card_number, status=CardStatus.STOLEN),
            teller.issued(day + 3 * DAY, family, new, CardStatus.ACTIVE),
        ],
        visits=[teller.declined(family, day + later * DAY, DeclineReason.CARD_STOLEN) for later in (0, 1)],
        does_not_shop=(day, day + 2 * DAY),
        new_card=(day + 3 * DAY, new),
    )


def blocked_card(teller: Teller, family: Family) -> Story:
    """The bank's card desk blocks it on a suspicion and gives it free again."""
    day = teller.day(0.1, 0.9)
    return Story(
        changes=[
            CardStatusSet(on=day, card_number=family.card_number, status=CardStatus.BLOCKED),
            CardStatusSet(on=day + 3 * DAY, card_number=family.card_number, status=CardStatus.ACTIVE),
        ],
        visits=[teller.declined(family, day + DAY, DeclineReason.CARD_BLOCKED)],
        does_not_shop=(day, day + 2 * DAY),
    )


def damaged_card(teller: Teller, family: Family) -> Story:
    """Replaced the same day; the old one is swiped once more."""
    day, new = teller.day(0.1, 0.9), teller.new_number(family)
    return Story(
        changes=[teller.issued(day, family, new, CardStatus.ACTIVE)],
        visits=[teller.declined(family, day + 2 * DAY, DeclineReason.CARD_BLOCKED)],
        new_card=(day, new),
    )


def card_out_of_date(teller: Teller, family: Family) -> Story:
    """A card of an earlier year that ends in the middle of the programme."""
    day, new = teller.day(0.3, 0.6), teller.new_number(family)
    return Story(
        changes=[
            CardExpirySet(on=teller.market.town.terms.starts_on, card_number=family.card_number, expires_on=day),
            teller.issued(day + 3 * DAY, family, new, CardStatus.ACTIVE),
        ],
        visits=[teller.declined(family, day + DAY, DeclineReason.CARD_EXPIRED)],
        does_not_shop=(day + DAY, day + 2 * DAY),
        new_card=(day + 3 * DAY, new),
    )


# --- Families. -------------------------------------------------------------------------------------------------------


def suspended_family(teller: Teller, family: Family) -> Story:
    """While its data is verified again."""
    day, who = teller.day(0.2, 0.8), family.beneficiary_id
    return Story(
        changes=[
            FamilyStatusSet(on=day, beneficiary_id=who, status=BeneficiaryStatus.SUSPENDED),
            FamilyStatusSet(on=day + 9 * DAY, beneficiary_id=who, status=BeneficiaryStatus.ACTIVE),
        ],
        visits=[teller.declined(family, day + 2 * DAY, DeclineReason.BENEFICIARY_SUSPENDED)],
        does_not_shop=(day, day + 8 * DAY),
    )


def removed_family(teller: Teller, family: Family) -> Story:
    """No longer in the programme; what it has not spent is the roll's to return."""
    day = teller.day(0.5, 0.9)
    return Story(
        changes=[FamilyStatusSet(on=day, beneficiary_id=family.beneficiary_id, status=BeneficiaryStatus.REMOVED)],
        visits=[teller.declined(family, day + 2 * DAY, DeclineReason.BENEFICIARY_REMOVED)],
        does_not_shop=(day, date.max),
    )


def wants_cash(teller: Teller, family: Family) -> Story:
    """Cash, phone credit or a transfer beside the goods, or alone."""
    day, reason = teller.day(0.0, 1.0), DeclineReason.CASH_NOT_PERMITTED
    shop = teller.market.shop_for(family.district_code, None, day, teller.chance)
    goods = teller.market.basket(shop, teller.chance) if teller.chance.random() < 1 / 2 else ()
    basket = teller.market.stall(shop).with_mishap(goods, reason, teller.chance)
    return Story(visits=[teller.declined(family, day, reason, shop=shop, basket=basket)])


# --- Shops, hours, and the programme's first and last day. -----------------------------------------------------------


def at_suspended_shop(teller: Teller, family: Family) -> Story:
    day = teller.suspended_from + teller.chance.randrange(SUSPENDED_DAYS) * DAY
    return Story(visits=[teller.declined(family, day, DeclineReason.MERCHANT_SUSPENDED, shop=teller.suspended)])


def at_shop_that_left(teller: Teller, family: Family) -> Story:
    day = teller.last_day_of_leaver + teller.chance.randint(1, 3) * DAY
    return Story(visits=[teller.declined(family, day, DeclineReason.MERCHANT_UNKNOWN, shop=teller.leaver)])


def outside_hours(teller: Teller, family: Family) -> Story:
    """In the night or before dawn, when the shop says that it is closed."""
    day = teller.day(0.0, 0.98)
    shop = teller.market.shop_for(family.district_code, None, day, teller.chance)
    minute = teller.chance.randint(*teller.chance.choice((LATE, LATE, EARLY)))
    at = teller.midnight(day) + timedelta(minutes=minute)
    return Story(visits=[teller.declined(family, day, DeclineReason.TERMINAL_NOT_PERMITTED, shop=shop, at=at)])


def too_early(teller: Teller, family: Family) -> Story:
    """On the day before, when everybody has heard of it."""
    day = teller.market.town.terms.starts_on - DAY
    return Story(visits=[teller.declined(family, day, DeclineReason.PROGRAMME_NOT_STARTED)])


def too_late(teller: Teller, family: Family) -> Story:
    day = teller.market.town.terms.ends_on + DAY
    return Story(visits=[teller.declined(family, day, DeclineReason.PROGRAMME_ENDED)])


def at_midnight(teller: Teller, family: Family) -> Story:
    """At the stroke of midnight, when the programme has just ended, in the shop that may stay open."""
    after = teller.market.town.terms.ends_on + DAY
    at, shop = teller.midnight(after), teller.market.night_shop
    return Story(visits=[teller.declined(family, after, DeclineReason.PROGRAMME_ENDED, shop=shop, at=at)])


def last_minute(teller: Teller, _: Family) -> Story:
    """One shop may stay open on the last night; there the family saves its last purchase for the last minute."""
    last, shop = teller.market.town.terms.ends_on, teller.market.night_shop
    return Story(
        changes=[
            ShopClosesAt(on=last, merchant_id=shop.merchant_id, closes_at=NIGHT_SHOP_CLOSES_AT),
            ShopClosesAt(on=last + DAY, merchant_id=shop.merchant_id, closes_at=shop.closes_at),
        ],
        does_not_shop=(last - 3 * DAY, date.max),
        night_shop=shop,
    )


CAST: Final[tuple[tuple[Callable[[Teller, Family], Story], int], ...]] = (
    (lost_card, 4),
    (stolen_card, 2),
    (blocked_card, 4),
    (damaged_card, 3),
    (card_out_of_date, 3),
    (suspended_family, 4),
    (removed_family, 4),
    (wants_cash, 8),
    (at_suspended_shop, 6),
    (at_shop_that_left, 3),
    (outside_hours, 9),
    (too_early, 3),
    (too_late, 3),
    (at_midnight, 1),
    (last_minute, 1),
)
"""Of how many families each story is told."""
