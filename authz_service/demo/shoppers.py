"""Who buys what, where and when: one family at a time, by its habit, its story and what its purse allows.

Pure, and the same for the same seed. Every answer that a till will get is worked out here by the programme's terms.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.demo.goods import Basket, Goods, Size, total_rupiah
from authz_service.demo.market import Market
from authz_service.demo.plan import (
    Enquiry,
    Family,
    LateCapture,
    Plan,
    Repeat,
    Sale,
    Settling,
    Shop,
    Step,
    Terms,
    Town,
    Visit,
    Vouching,
)
from authz_service.demo.purse import Purse
from authz_service.demo.stories import DAY, Story, Teller

# How often something happens: parts of all visits, sales or families.
MISHAPS: Final = (
    (DeclineReason.PRICE_ABOVE_CEILING, 0.020),
    (DeclineReason.CATEGORY_NOT_PERMITTED, 0.012),
    (DeclineReason.PRODUCT_NOT_PERMITTED, 0.009),
    (DeclineReason.CARD_UNKNOWN, 0.010),
    (DeclineReason.PACKAGE_CAP_EXCEEDED, 0.013),
)
SETTLINGS: Final = (
    (Settling.CAPTURED, 0.705),
    (Settling.AT_ONCE, 0.22),
    (Settling.CAPTURED_IN_PART, 0.03),
    (Settling.VOIDED, 0.025),
    (Settling.LEFT_OPEN, 0.02),
)
FETCHED_NEXT_DAY: Final = 0.4
"""Of the sales left open: captured the next morning. The others expire."""
BUYS_AFTER_VOID: Final = 0.6
ASKS_FIRST: Final = 0.03
DRY_RUN_FIRST: Final = 0.015
REPEATED: Final = ((Repeat.AFTERWARDS, 0.02), (Repeat.AT_THE_SAME_TIME, 0.006))
SETTLING_REPEATED: Final = 0.01
TRIES_ONCE_MORE: Final = 0.04
"""Families that come again in a month that is used up."""
VOUCHED_AFTER_MISSING: Final = 0.75
VOUCHED_BEFORE_SHOPPING: Final = 0.3
USES_UP_THE_REST: Final = 0.12
"""Families that come in the last month for what little is left."""
LITTLE_RUPIAH: Final = (20_000, 250_000)
BUSY_DAYS: Final = ((5, 6.0), (10, 2.5), (31, 1.0))
"""Up to which day of the month, and how busy."""
BACK_AFTER: Final = 2 * DAY
"""No family shops again before what it left open has ended."""

VOUCHERS: Final = ((300_000, 1, 4), (600_000, 2, 4), (100_000, 1, 2), (150_000, 1, 1))
"""Extra rupiah, extra packages, and how often companions give it."""
VOUCHER_STEP_RUPIAH: Final = 50_000
REASONS: Final = (
    "Tidak berbelanja bulan lalu karena ibu melahirkan",
    "Tidak berbelanja bulan lalu karena sakit",
    "Tidak berbelanja bulan lalu karena bekerja di luar kota",
    "Rumah terkena banjir, persediaan rusak",
    "Warung terdekat kehabisan beras pada bulan lalu",
)
REASON_FOR_THE_REST: Final = "Sisa bantuan dipakai sebelum program berakhir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a family shops: how often in a month, how much at a time, and whether it misses a month."""

    weight: int
    visits: tuple[tuple[int, int], ...]
    sizes: tuple[tuple[Size, int], ...]
    misses_a_month: bool = False


HABITS: Final = (
    Habit(weight=58, visits=((2, 94), (1, 6)), sizes=((Size.FULL, 90), (Size.MEDIUM, 8), (Size.SMALL, 2))),
    Habit(
        weight=20, visits=((2, 60), (1, 35), (0, 5)), sizes=((Size.FULL, 45), (Size.MEDIUM, 38), (Size.SMALL, 17))
    ),
    Habit(
        weight=22, visits=((2, 92), (1, 8)), sizes=((Size.FULL, 85), (Size.MEDIUM, 12), (Size.SMALL, 3)),
        misses_a_month=True,
    ),
)  # fmt: skip


def plan_quarter(town: Town, goods: Goods, *, seed: int) -> Plan:
    """The whole quarter of this town under this seed."""
    market = Market(town, goods, _chance(seed, "market"))
    teller = Teller(market, _chance(seed, "stories"))
    teller.tell()
    visits, changes = [], list(teller.shop_changes)
    for number, family in enumerate(town.families):
        story = teller.told.get(family.beneficiary_id) or Story()
        shopper = _Shopper(family, story, market, _chance(seed, f"family {number}"))
        visits += [*story.visits, *shopper.shop()]
        changes += story.changes
    return Plan(town=town, changes=tuple(changes), visits=tuple(visits))


def months_of(terms: Terms) -> list[date]:
    """The first days of the programme's calendar months."""
    months = [terms.starts_on.replace(day=1)]
    while (following := (months[-1] + 31 * DAY).replace(day=1)) <= terms.ends_on:
        months.append(following)
    return months


class _Shopper:
    """One family on its way through the programme; `visits` are in order of time."""

    def __init__(self, family: Family, story: Story, market: Market, chance: Random) -> None:
        self.family = family
        self.story = story
        self.market = market
        self.chance = chance
        self.terms = market.town.terms
        self.purse = Purse(terms=self.terms, available_rupiah=self.terms.entitlement_rupiah)
        self.habit = chance.choices(HABITS, [habit.weight for habit in HABITS])[0]
        near = [shop for shop in market.town.shops if shop.district_code == family.district_code]
        self.favourite = chance.choice(near or market.town.shops)
        self.visits: list[Visit] = []
        self.back_from = self.terms.starts_on

    def shop(self) -> list[Visit]:
        months = months_of(self.terms)
        missed = self.chance.choice(months) if self.habit.misses_a_month else None
        vouched = self._vouched_month(months, missed)
        for month in months:
            if month != missed:
                self._month(month, is_last=month == months[-1], is_vouched=month == vouched)
        if self.story.night_shop is not None:
            self._last_minute(self.story.night_shop)
        return self.visits

    def _vouched_month(self, months: list[date], missed: date | None) -> date | None:
        later = [month for month in months if missed is not None and month > missed]
        return self.chance.choice(later) if later and self.chance.random() < VOUCHED_AFTER_MISSING else None

    def _month(self, month: date, *, is_last: bool, is_vouched: bool) -> None:
        counts, weights = zip(*self.habit.visits, strict=True)
        wanted: int = self.chance.choices(counts, weights)[0]
        if is_last and self.story.night_shop:
            wanted = 1
        voucher = self._voucher(month) if is_vouched else None
        once_more = self.chance.random() < TRIES_ONCE_MORE
        extra = 1 + (voucher.extra_packages > 1) if voucher else int(once_more)
        days = self._days(month, wanted + extra)
        for place, day in enumerate(days):
            self._visit(day, voucher if place >= wanted else None)
            voucher = None if place >= wanted else voucher
        left = self.purse.left(month)
        if is_last and not left.packages and LITTLE_RUPIAH[0] <= left.programme_rupiah <= LITTLE_RUPIAH[1]:
            self._use_up_the_rest(month)

    def _use_up_the_rest(self, month: date) -> None:
        """Perhaps the family comes once more, and perhaps its companion helps."""
        if self.chance.random() >= USES_UP_THE_REST:
            return
        left = self.purse.left(month)
        missing = max(0, left.programme_rupiah - left.month_rupiah)
        extra_rupiah = -(-missing // VOUCHER_STEP_RUPIAH) * VOUCHER_STEP_RUPIAH
        voucher = Vouching(month=month, extra_rupiah=extra_rupiah, extra_packages=1, reason=REASON_FOR_THE_REST)
        for day in self._days(month, 1):
            self._visit(day, voucher if self.chance.random() < 0.5 else None)

    def _voucher(self, month: date) -> Vouching:
        rupiah, packages, _ = self.chance.choices(VOUCHERS, [weight for *_, weight in VOUCHERS])[0]
        return Vouching(month=month, extra_rupiah=rupiah, extra_packages=packages, reason=self.chance.choice(REASONS))

    def _days(self, month: date, count: int) -> list[date]:
        """So many days of the month, most of them early, each a while after the other; fewer where there are no more."""
        first, last = self.story.does_not_shop
        days = [month + n * DAY for n in range(31) if (month + n * DAY).month == month.month]
        free = [
            day for day in days if self.back_from <= day <= self.terms.ends_on and not first <= day <= last
        ]  # fmt: skip
        chosen: list[date] = []
        while free and len(chosen) < count:
            chosen.append(self.chance.choices(free, [_busy(day) for day in free])[0])
            free = [day for day in free if abs(day - chosen[-1]) >= BACK_AFTER]
        return sorted(chosen)

    # --- one visit -------------------------------------------------------------------------------------------------------

    def _visit(self, day: date, voucher: Vouching | None) -> None:
        shop = self.market.shop_for(self.family.district_code, self.favourite, day, self.chance)
        steps: list[Step] = []
        month, card_number = day.replace(day=1), self.story.card_on(day, self.family)
        if self.chance.random() < ASKS_FIRST:
            steps.append(Enquiry(card_number=card_number, left=self.purse.left(month)))
        if voucher and self.chance.random() < VOUCHED_BEFORE_SHOPPING:
            steps.append(self._vouched(voucher))
            voucher = None
        steps += self._wishes(shop, day, voucher)
        at = self.market.moment(shop, day, self.chance)
        if steps:
            self._went(at, shop, *steps)
        self._open_sale(shop, day, steps)
        self.back_from = max(self.back_from, day + BACK_AFTER)

    def _wishes(self, shop: Shop, day: date, voucher: Vouching | None) -> list[Step]:
        """The family puts on the counter what it would like; where that is refused, what it may have."""
        steps: list[Step] = []
        month, stall = day.replace(day=1), self.market.stall(shop)
        size = self._size()
        for _ in range(2):
            wish = stall.basket(size, self.terms.package_rupiah, self.chance)
            refused = self.purse.refusal(month, total_rupiah(wish))
            if refused is None:
                return [*steps, *self._buys(shop, day, wish)]
            steps.append(self._refused(day, wish, refused))
            if voucher is None:
                break
            steps.append(self._vouched(voucher))
            voucher = None
        basket = stall.basket(size, self.purse.most_rupiah(month), self.chance)
        return [*steps, *self._buys(shop, day, basket)] if basket else steps

    def _buys(self, shop: Shop, day: date, basket: Basket) -> list[Step]:
        """It gets the basket, perhaps after a mishap, perhaps after a sale that was broken off."""
        steps: list[Step] = [*self._mishap(shop, day, basket), self._approved(day, basket)]
        sale = steps[-1]
        if isinstance(sale, Sale) and sale.settling is Settling.VOIDED and self.chance.random() < BUYS_AFTER_VOID:
            other = self.market.stall(shop).basket(self._size(), self.purse.most_rupiah(day.replace(day=1)), self.chance)
            steps += [self._approved(day, other)] if other else []
        return steps

    def _mishap(self, shop: Shop, day: date, basket: Basket) -> list[Step]:
        """Something is wrong with the sale that the cashier sends first; it is mended in the next one."""
        stall, drawn = self.market.stall(shop), self.chance.random()
        for reason, part in MISHAPS:
            drawn -= part
            if drawn >= 0:
                continue
            if reason is DeclineReason.CARD_UNKNOWN:
                return [replace(self._refused(day, basket, reason), card_number=self._mistyped(day))]
            if reason is DeclineReason.PACKAGE_CAP_EXCEEDED:
                too_much = stall.with_too_much(basket, self.terms.package_rupiah, self.chance)
                return [self._refused(day, too_much, reason)]
            return [self._refused(day, stall.with_mishap(basket, reason, self.chance), reason)]
        return []

    def _approved(self, day: date, basket: Basket) -> Sale:
        amount, month = total_rupiah(basket), day.replace(day=1)
        self.purse.spend(month, amount)
        sale = Sale(
            card_number=self.story.card_on(day, self.family),
            basket=basket,
            refused=None,
            left=self.purse.left(month),
            settling=self._settling(day, basket),
            captured_rupiah=amount,
            repeat=self._repeat(),
            repeats_settling=self.chance.random() < SETTLING_REPEATED,
            dry_run_first=self.chance.random() < DRY_RUN_FIRST,
        )
        if sale.settling is Settling.CAPTURED_IN_PART:
            sale = replace(sale, captured_rupiah=amount - basket[-1].amount)
            self.purse.give_back(month, basket[-1].amount, package=False)
        if sale.settling is Settling.VOIDED:
            sale = replace(sale, captured_rupiah=0)
            self.purse.give_back(month, amount, package=True)
        return sale

    def _open_sale(self, shop: Shop, day: date, steps: list[Step]) -> None:
        """What the visit left open is captured the next morning, or found to have expired the day after."""
        for sale in steps:
            if not (isinstance(sale, Sale) and sale.settling is Settling.LEFT_OPEN):
                continue
            expires = self.chance.random() >= FETCHED_NEXT_DAY
            later = day + (2 if expires else 1) * DAY
            if expires:
                self.purse.give_back(day.replace(day=1), sale.amount_rupiah, package=True)
            moment = self.market.moment(shop, later, self.chance)
            at = moment if expires else moment.replace(hour=max(8, (shop.opens_at or time()).hour + 1))
            self._went(at, shop, LateCapture(sold_on=day, amount_rupiah=sale.amount_rupiah, has_expired=expires))

    def _last_minute(self, shop: Shop) -> None:
        """Bought before midnight, captured after it: the shop's promise is kept although the programme has ended."""
        day = self.terms.ends_on
        midnight = datetime.combine(day + DAY, time(), tzinfo=self.terms.zone)
        basket = self.market.stall(shop).basket(Size.MEDIUM, self.purse.most_rupiah(day.replace(day=1)), self.chance)
        sale = replace(self._approved(day, basket), settling=Settling.LEFT_OPEN, captured_rupiah=0)
        self._went(midnight - timedelta(minutes=1), shop, sale)
        self._went(midnight, shop, LateCapture(sold_on=day, amount_rupiah=sale.amount_rupiah, has_expired=False))

    # --- what the visits stand on ------------------------------------------------------------------------------------------

    def _went(self, at: datetime, shop: Shop, *steps: Step) -> None:
        visit = Visit(at=at, beneficiary_id=self.family.beneficiary_id, terminal_id=shop.terminal_id, steps=steps)
        self.visits.append(visit)

    def _refused(self, day: date, basket: Basket, reason: DeclineReason) -> Sale:
        return Sale(
            card_number=self.story.card_on(day, self.family),
            basket=basket,
            refused=reason,
            repeat=self._repeat(),
            dry_run_first=self.chance.random() < DRY_RUN_FIRST,
        )

    def _vouched(self, voucher: Vouching) -> Vouching:
        self.purse.vouch(voucher.month, voucher.extra_rupiah, voucher.extra_packages)
        return voucher

    def _settling(self, day: date, basket: Basket) -> Settling:
        choices, weights = zip(*SETTLINGS, strict=True)
        settling: Settling = self.chance.choices(choices, weights)[0]
        is_too_late = settling is Settling.LEFT_OPEN and day >= self.terms.ends_on
        cannot_be_parted = settling is Settling.CAPTURED_IN_PART and len(basket) == 1
        return Settling.CAPTURED if is_too_late or cannot_be_parted else settling

    def _size(self) -> Size:
        sizes, weights = zip(*self.habit.sizes, strict=True)
        size: Size = self.chance.choices(sizes, weights)[0]
        return size

    def _repeat(self) -> Repeat:
        drawn = self.chance.random()
        for repeat, part in REPEATED:
            drawn -= part
            if drawn < 0:
                return repeat
        return Repeat.NEVER

    def _mistyped(self, day: date) -> str:
        """One digit of the number is wrong, so its check digit is as well."""
        number, place = self.story.card_on(day, self.family), self.chance.randrange(8, 16)
        return number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]


def _busy(day: date) -> float:
    return next(weight for last, weight in BUSY_DAYS if day.day <= last)


def _chance(seed: int, what: str) -> Random:
    return Random(f"{seed}:{what}")  # noqa: S311 - repeatable on purpose, and nothing real hangs on it
