"""What families put on the counter: baskets drawn from `baskets.json`, at each shop's own prices. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.resources import files
from random import Random
from typing import Final

from pydantic import TypeAdapter

from authz_service.declines import DeclineReason
from authz_service.requests import THOUSAND, times_quantity

GIVEN_AS_THEY_ARE: Final = 0.1
"""How many baskets of a size are one of the given ones, at their own prices."""
FILLED_UP: Final = 0.9
"""How often a family whose basket has room for one thing more takes it."""


class Size(StrEnum):
    """How much of a package a basket is meant to use."""

    FULL = "full"
    MEDIUM = "medium"
    SMALL = "small"


_GIVEN: Final = {Size.FULL: ("A_full_package", "B_rice_month"), Size.SMALL: ("C_small",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketLine:
    """A line as it goes over the wire: whole rupiah, the quantity as a decimal string."""

    category: str
    amount: int
    product: str | None = None
    unit: str | None = None
    quantity: str | None = None
    unit_price: int | None = None

    def document(self) -> dict[str, str | int]:
        return {name: value for name, value in asdict(self).items() if value is not None}


Basket = tuple[BasketLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBasket:
    amount: int
    lines: Basket


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfGoods:
    """One product and the prices that shops ask for it; `details_optional` where it has no ceiling."""

    category: str
    product: str
    unit: str
    prices: tuple[int, ...]
    details_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FormLine:
    product: str
    quantities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A way to fill a basket."""

    size: Size
    weight: int
    lines: tuple[FormLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """The whole of `baskets.json`."""

    about: str
    given: dict[str, GivenBasket]
    shelf: tuple[ShelfGoods, ...]
    forms: tuple[Form, ...]
    fillers: tuple[FormLine, ...]
    too_much: tuple[FormLine, ...]
    mishaps: dict[DeclineReason, Basket]


def load_goods() -> Goods:
    return TypeAdapter(Goods).validate_json(files(__package__).joinpath("baskets.json").read_bytes())


def total_rupiah(lines: Iterable[BasketLine]) -> int:
    return sum(line.amount for line in lines)


class Stall:
    """One shop's shelf: its price for each product, and whether its till sends details that nobody requires."""

    def __init__(self, goods: Goods, chance: Random, *, sends_all_details: bool) -> None:
        self._goods = goods
        self._shelf = {each.product: each for each in goods.shelf}
        self._prices = {each.product: chance.choice(each.prices) for each in goods.shelf}
        self._sends_all_details = sends_all_details

    def basket(self, size: Size, most_rupiah: int, chance: Random) -> Basket:
        """A basket that costs at most `most_rupiah`; empty where that buys nothing."""
        if chance.random() < GIVEN_AS_THEY_ARE and (names := _GIVEN.get(size)):
            given = self._goods.given[chance.choice(names)]
            if given.amount <= most_rupiah:
                return given.lines
        forms = [form for form in self._goods.forms if form.size is size]
        form = chance.choices(forms, [form.weight for form in forms])[0]
        basket = self._within(form.lines, most_rupiah, chance)
        return self._filled_up(basket, most_rupiah, chance) if size is Size.FULL or not basket else basket

    def with_too_much(self, basket: Basket, package_rupiah: int, chance: Random) -> Basket:
        """The basket and so much more that it costs more than a package."""
        extra = chance.choice(self._goods.too_much)
        larger = [each for each in basket if each.product != extra.product]
        larger.append(self._line(extra.product, extra.quantities[-1]))
        for each in self._goods.too_much:
            if total_rupiah(larger) > package_rupiah:
                break
            if all(line.product != each.product for line in larger):
                larger.append(self._line(each.product, each.quantities[-1]))
        return tuple(larger)

    def with_mishap(self, basket: Basket, reason: DeclineReason, chance: Random) -> Basket:
        """The basket with one line that is declined for `reason`, in the place of the same product if it is there."""
        wrong = chance.choice(self._goods.mishaps[reason])
        return (*(each for each in basket if each.product is None or each.product != wrong.product), wrong)

    def _within(self, lines: Sequence[FormLine], most_rupiah: int, chance: Random) -> Basket:
        """The lines of a form that can be paid; what is too dear is left on the shelf."""
        taken: list[BasketLine] = []
        for each in lines:
            line = self._line(each.product, chance.choice(each.quantities))
            if total_rupiah(taken) + line.amount <= most_rupiah:
                taken.append(line)
        return tuple(taken)

    def _filled_up(self, basket: Basket, most_rupiah: int, chance: Random) -> Basket:
        """And what else there is room for."""
        taken = list(basket)
        for each in chance.sample(self._goods.fillers, len(self._goods.fillers)):
            line = self._line(each.product, each.quantities[0])
            is_new = all(other.product != each.product for other in taken)
            if is_new and total_rupiah(taken) + line.amount <= most_rupiah and chance.random() < FILLED_UP:
                taken.append(line)
        return tuple(taken)

    def _line(self, product: str, quantity: str) -> BasketLine:
        goods, price = self._shelf[product], self._prices[product]
        amount = times_quantity(price, thousandths(quantity))
        if goods.details_optional and not self._sends_all_details:
            return BasketLine(category=goods.category, amount=amount)
        return BasketLine(
            category=goods.category,
            amount=amount,
            product=product,
            unit=goods.unit,
            quantity=quantity,
            unit_price=price,
        )


def thousandths(quantity: str) -> int:
    whole, _, fraction = quantity.partition(".")
    return int(whole) * THOUSAND + int(fraction.ljust(3, "0"))
