"""Who buys where and when: one family at a time, by its habit, its story and what its purse allows.

Pure, and the same for the same seed. Every answer that a till will get is worked out here by the programme's terms.
"""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from authz_service.demo import habits
from authz_service.demo.customer import Customer
from authz_service.demo.goods import Goods, Size
from authz_service.demo.habits import DAY
from authz_service.demo.market import Market
from authz_service.demo.misuse import Crooks, Errand
from authz_service.demo.plan import DAWN, LateCapture, Plan, Sale, Settling, Step, Visit, Vouching
from authz_service.demo.stories import CAST
from authz_service.demo.teller import Story, Teller
from authz_service.demo.town import Family, Shop, Terms, Town

NOON: Final = time(12)


def plan_quarter(town: Town, goods: Goods, *, seed: int) -> Plan:
    """The whole quarter of this town under this seed."""
    market = Market(town, goods, _chance(seed, "market"))
    teller = Teller(market, _chance(seed, "stories"))
    teller.tell(CAST)
    errands = Crooks(market, teller.told, _chance(seed, "misuse")).plot()
    visits, changes, misused = [], list(teller.shop_changes), []
    for number, family in enumerate(town.families):
        story = teller.told.get(family.beneficiary_id) or Story()
        errand = errands.get(family.beneficiary_id)
        shopper = _Shopper(family, story, market, _chance(seed, f"family {number}"), errand)
        visits += [*story.visits, *shopper.shop()]
        changes += story.changes
        misused += shopper.misused
    return Plan(town=town, changes=tuple(changes), visits=tuple(visits), misused=tuple(misused))


def months_of(terms: Terms) -> list[date]:
    """The first days of the programme's calendar months."""
    months = [terms.starts_on.replace(day=1)]
    while (following := (months[-1] + 31 * DAY).replace(day=1)) <= terms.ends_on:
        months.append(following)
    return months


class _Shopper:
    """One family on its way through the programme; the visits are made in order of time."""

    def __init__(
        self, family: Family, story: Story, market: Market, chance: Random, errand: Errand | None = None
    ) -> None:
        self.family = family
        self.story = story
        self.market = market
        self.chance = chance
        self.terms = market.town.terms
        self.customer = Customer(family, story, self.terms, chance)
        near = [shop for shop in market.town.shops if shop.district_code == family.district_code]
        self.favourite = chance.choice(near or market.town.shops)
        self.visits: list[Visit] = []
        self.errand = errand
        self.misused: list[tuple[str, Visit]] = []
        self.back_from = self.terms.starts_on

    def shop(self) -> list[Visit]:
        """All visits of the family, but for those of its story."""
        months = months_of(self.terms)
        misses = self.customer.habit.misses_a_month and self.errand is None
        missed = self._missed_month(months) if misses else None
        vouched = self._vouched_month(months, missed)
        for month in months:
            if month != missed:
                self._month(
                    month, is_last=month == months[-1], voucher=self._voucher(month) if month == vouched else None
                )
        if self.story.night_shop is not None:
            self._last_minute(self.story.night_shop)
        return self.visits

    def _missed_month(self, months: list[date]) -> date:
        """An early one as a rule: what the last month misses can never be made good."""
        return self.chance.choices(months, [habits.MISSED_EARLY] * (len(months) - 1) + [1])[0]

    def _vouched_month(self, months: list[date], missed: date | None) -> date | None:
        later = [month for month in months if missed is not None and month > missed]
        return self.chance.choice(later) if later and self.chance.random() < habits.VOUCHED_AFTER_MISSING else None

    def _voucher(self, month: date) -> Vouching:
        rupiah, packages, _ = self.chance.choices(habits.VOUCHERS, [often for *_, often in habits.VOUCHERS])[0]
        reason = self.chance.choice(habits.REASONS)
        return Vouching(month=month, extra_rupiah=rupiah, extra_packages=packages, reason=reason)

    def _month(self, month: date, *, is_last: bool, voucher: Vouching | None) -> None:
        """The ordinary visits, then those for which the companion vouches, or one too many."""
        counts = self.customer.habit.visits
        ordinary: int = self.chance.choices([count for count, _ in counts], [often for _, often in counts])[0]
        extra = voucher.extra_packages if voucher else int(self.chance.random() < habits.TRIES_ONCE_MORE)
        if is_last and self.story.night_shop:
            ordinary, extra = 1, 0  # The other package is for the last minute.
        if self.errand is not None and self.errand.on.replace(day=1) == month:
            return self._month_with(self.errand, month, max(0, ordinary - 1))
        for place, day in enumerate(self._days(month, ordinary + extra)):
            self._visit(day, voucher if place == ordinary else None)
        left = self.customer.purse.left(month)
        least, most = habits.LITTLE_RUPIAH
        if is_last and not left.packages and least <= left.programme_rupiah <= most:
            self._use_up_the_rest(month)

    def _month_with(self, errand: Errand, month: date, others: int) -> None:
        """The errand is one of the month's visits."""
        for day in sorted((errand.on, *self._days(month, others, beside=errand.on))):
            if day != errand.on:
                self._visit(day, None)
                continue
            steps = self.customer.misused(self.market.stall(errand.shop), day, errand)
            self._went(errand.at, errand.shop, *steps)
            self.misused.append((errand.scheme, self.visits[-1]))
            self.back_from = max(self.back_from, day + habits.BACK_AFTER)

    def _use_up_the_rest(self, month: date) -> None:
        """Perhaps the family comes once more, and perhaps its companion helps."""
        if self.chance.random() >= habits.USES_UP_THE_REST:
            return
        left, step = self.customer.purse.left(month), habits.VOUCHER_STEP_RUPIAH
        missing = max(0, left.programme_rupiah - left.month_rupiah)
        voucher = Vouching(
            month=month, extra_rupiah=-(-missing // step) * step, extra_packages=1, reason=habits.REASON_FOR_THE_REST
        )
        for day in self._days(month, 1):
            self._visit(day, voucher if self.chance.random() < habits.VOUCHED_FOR_THE_REST else None)

    def _days(self, month: date, count: int, beside: date | None = None) -> list[date]:
        """So many days of the month, most of them early, each a while after the other; fewer if there are no more."""
        first, last = self.story.does_not_shop
        days = [month + n * DAY for n in range(31) if (month + n * DAY).month == month.month]
        free = [day for day in days if self.back_from <= day <= self.terms.ends_on and not first <= day <= last]
        if beside is not None:
            free = [day for day in free if abs(day - beside) >= habits.BACK_AFTER]
        chosen: list[date] = []
        while free and len(chosen) < count:
            chosen.append(self.chance.choices(free, [_busy(day) for day in free])[0])
            free = [day for day in free if abs(day - chosen[-1]) >= habits.BACK_AFTER]
        return sorted(chosen)

    def _visit(self, day: date, voucher: Vouching | None) -> None:
        shop = self.market.shop_for(self.family.district_code, self.favourite, day, self.chance)
        at = self.market.moment(shop, day, self.chance)
        steps = self.customer.visit(self.market.stall(shop), day, voucher)
        self._went(at, shop, *steps)
        for step in steps:
            if isinstance(step, Sale) and step.settling is Settling.LEFT_OPEN:
                self._left_open(shop, at, step)
        self.back_from = max(self.back_from, day + habits.BACK_AFTER)

    def _left_open(self, shop: Shop, at: datetime, sale: Sale) -> None:
        """The shop captures it early the next morning, or finds the day after that it has expired."""
        day = at.date()
        expires = at.time() < NOON or self.chance.random() >= habits.FETCHED_NEXT_DAY
        if expires:
            self.customer.purse.give_back(day.replace(day=1), sale.amount_rupiah, package=True)
            later = self.market.moment(shop, day + 2 * DAY, self.chance)
        else:
            later = datetime.combine(day + DAY, DAWN, tzinfo=self.terms.zone)
        self._went(later, shop, LateCapture(sold_on=day, amount_rupiah=sale.amount_rupiah, has_expired=expires))

    def _last_minute(self, shop: Shop) -> None:
        """Bought before midnight, captured after it: the shop's promise is kept although the programme has ended."""
        day, stall = self.terms.ends_on, self.market.stall(shop)
        midnight = datetime.combine(day + DAY, time(), tzinfo=self.terms.zone)
        most = self.customer.purse.left(day.replace(day=1)).purchase_rupiah
        sale = self.customer.approved(day, stall.basket(Size.MEDIUM, most, self.chance))
        sale = replace(sale, settling=Settling.LEFT_OPEN, captured_rupiah=0)
        self._went(midnight - timedelta(minutes=1), shop, sale)
        self._went(midnight, shop, LateCapture(sold_on=day, amount_rupiah=sale.amount_rupiah, has_expired=False))

    def _went(self, at: datetime, shop: Shop, *steps: Step) -> None:
        visit = Visit(at=at, beneficiary_id=self.family.beneficiary_id, terminal_id=shop.terminal_id, steps=steps)
        self.visits.append(visit)


def _busy(day: date) -> float:
    return next(weight for last, weight in habits.BUSY_DAYS if day.day <= last)


def _chance(seed: int, what: str) -> Random:
    return Random(f"{seed}:{what}")
