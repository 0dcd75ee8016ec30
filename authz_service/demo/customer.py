"""One family at the till: what it puts on the counter, what goes wrong, and how the shop settles the sale. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from random import Random
from typing import TypeVar

from authz_service.declines import DeclineReason
from authz_service.demo import habits
from authz_service.demo.goods import Basket, Size, Stall, total_rupiah
from authz_service.demo.misuse import Errand
from authz_service.demo.plan import GIVEN_BACK, IN_PART, Enquiry, Sale, Settling, Step, Vouching
from authz_service.demo.purse import Purse
from authz_service.demo.teller import Story
from authz_service.demo.town import Family, Terms

T = TypeVar("T")


class Customer:
    """What a visit makes of the purse is in the purse when its steps are returned."""

    def __init__(self, family: Family, story: Story, terms: Terms, chance: Random) -> None:
        self.family = family
        self.story = story
        self.terms = terms
        self.chance = chance
        self.purse = Purse(terms=terms, available_rupiah=terms.entitlement_rupiah)
        self.habit = chance.choices(habits.HABITS, [habit.weight for habit in habits.HABITS])[0]

    def visit(self, stall: Stall, day: date, voucher: Vouching | None) -> list[Step]:
        """The steps of a visit in which the companion, asked or not, gives the voucher if there is one."""
        steps: list[Step] = []
        if self.chance.random() < habits.ASKS_FIRST:
            left = self.purse.left(day.replace(day=1))
            steps.append(Enquiry(card_number=self.story.card_on(day, self.family), left=left))
        if voucher and self.chance.random() < habits.VOUCHED_BEFORE_SHOPPING:
            steps.append(self._vouched(voucher))
            voucher = None
        return [*steps, *self._wishes(stall, day, voucher)]

    def buys(self, stall: Stall, day: date, basket: Basket) -> list[Step]:
        """The family gets the basket, perhaps after a mishap, or leaves it and takes another one."""
        mishap = self._mishap(stall, day, basket)
        sale = self.approved(day, basket)
        steps: list[Step] = [*mishap, sale]
        if sale.settling is Settling.VOIDED and self.chance.random() < habits.BUYS_AFTER_VOID:
            other = stall.basket(self._size(), self.purse.left(day.replace(day=1)).purchase_rupiah, self.chance)
            steps += [self.approved(day, other)] if other else []
        return steps

    def misused(self, stall: Stall, day: date, errand: Errand) -> list[Step]:
        """What somebody does with the card, in the family's place or beside what it buys."""
        steps: list[Step] = []
        if errand.refused is not None:
            steps.append(self._refused(day, *errand.refused))
        most = self.purse.left(day.replace(day=1)).purchase_rupiah
        basket = errand.basket or stall.basket(Size.FULL, most, self.chance)
        return [*steps, self.approved(day, basket, settling=errand.settling)] if basket else steps

    def approved(self, day: date, basket: Basket, *, settling: Settling | None = None) -> Sale:
        """The sale that the family's purse allows, and what the shop does with it."""
        amount, month = total_rupiah(basket), day.replace(day=1)
        self.purse.spend(month, amount)
        sale = Sale(
            card_number=self.story.card_on(day, self.family),
            basket=basket,
            refused=None,
            left=self.purse.left(month),
            settling=settling or self._settling(day, basket),
            captured_rupiah=amount,
            repeat=_drawn(habits.REPEATS, self.chance),
            repeats_settling=self.chance.random() < habits.SETTLING_REPEATED,
            dry_run_first=self.chance.random() < habits.DRY_RUN_FIRST,
        )
        if sale.settling in IN_PART:
            sale = replace(sale, captured_rupiah=amount - basket[-1].amount)
            self.purse.give_back(month, basket[-1].amount, package=False)
        if sale.settling in GIVEN_BACK:
            sale = replace(sale, captured_rupiah=0)
            self.purse.give_back(month, amount, package=True)
        return sale

    def _wishes(self, stall: Stall, day: date, voucher: Vouching | None) -> list[Step]:
        """The family asks for what it would like; where that is refused, for what it may have."""
        steps: list[Step] = []
        month, size = day.replace(day=1), self._size()
        for vouching in (voucher, None):
            wish = stall.basket(size, self.terms.package_rupiah, self.chance)
            refused = self.purse.refusal(month, total_rupiah(wish))
            if refused is None:
                return [*steps, *self.buys(stall, day, wish)]
            steps.append(self._refused(day, wish, refused))
            if vouching is None:
                break
            steps.append(self._vouched(vouching))
        basket = stall.basket(size, self.purse.left(month).purchase_rupiah, self.chance)
        return [*steps, *self.buys(stall, day, basket)] if basket else steps

    def _mishap(self, stall: Stall, day: date, basket: Basket) -> list[Step]:
        """Something is wrong with the sale that the cashier sends first; it is mended in the next one."""
        drawn = self.chance.random()
        for reason, part in habits.MISHAPS:
            drawn -= part
            if drawn >= 0:
                continue
            if reason is DeclineReason.CARD_UNKNOWN:
                return [replace(self._refused(day, basket, reason), card_number=self._mistyped(day), left=None)]
            if reason is DeclineReason.PACKAGE_CAP_EXCEEDED:
                too_much = stall.with_too_much(basket, self.terms.package_rupiah, self.chance)
                return [self._refused(day, too_much, reason)]
            return [self._refused(day, stall.with_mishap(basket, reason, self.chance), reason)]
        return []

    def _refused(self, day: date, basket: Basket, reason: DeclineReason) -> Sale:
        return Sale(
            card_number=self.story.card_on(day, self.family),
            basket=basket,
            refused=reason,
            left=self.purse.left(day.replace(day=1)),
            repeat=_drawn(habits.REPEATS, self.chance),
            dry_run_first=self.chance.random() < habits.DRY_RUN_FIRST,
        )

    def _vouched(self, voucher: Vouching) -> Vouching:
        self.purse.vouch(voucher.month, voucher.extra_rupiah, voucher.extra_packages)
        return voucher

    def _settling(self, day: date, basket: Basket) -> Settling:
        settling = _drawn(habits.SETTLINGS, self.chance)
        is_too_late = settling is Settling.LEFT_OPEN and day >= self.terms.ends_on
        cannot_be_parted = settling in IN_PART and len(basket) == 1
        return Settling.CAPTURED if is_too_late or cannot_be_parted else settling

    def _size(self) -> Size:
        return _drawn(self.habit.sizes, self.chance)

    def _mistyped(self, day: date) -> str:
        """One digit of the number is wrong, so its check digit is as well."""
        number = self.story.card_on(day, self.family)
        place = self.chance.randrange(len(number) // 2, len(number))
        return number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]


def _drawn(choices: Sequence[tuple[T, float]], chance: Random) -> T:
    """One of the choices, each as often as it says."""
    return chance.choices([choice for choice, _ in choices], [weight for _, weight in choices])[0]
