"""May this line be bought with the card, and at this price? A line gives one reason: its first."""

from datetime import date
from functools import lru_cache
from typing import assert_never
from unicodedata import normalize

from authz_service.declines import DeclineReason
from authz_service.requests import Line
from authz_service.rules.facts import Ceiling, Facts, Product
from authz_service.vocabulary import AboveCeiling, DetailsRequired


def line_is_not_cash(line: Line, facts: Facts) -> DeclineReason | None:
    """However a till writes it: `Tarik Tunai` is `tarik_tunai`."""
    cash = facts.programme.cash_categories
    return DeclineReason.CASH_NOT_PERMITTED if _as_listed(line.category) in cash else None


def category_is_permitted(line: Line, facts: Facts) -> DeclineReason | None:
    return None if line.category in facts.programme.categories else DeclineReason.CATEGORY_NOT_PERMITTED


def product_is_permitted(line: Line, facts: Facts) -> DeclineReason | None:
    """On the list, in a unit listed for it, under its own category; or without details where none are required."""
    if line.product is None:
        return DeclineReason.PRODUCT_NOT_PERMITTED if _details_are_required(line, facts) else None
    product = product_of(line, facts)
    if product is None or product.category != line.category:
        return DeclineReason.PRODUCT_NOT_PERMITTED
    return None


def price_is_permitted(line: Line, facts: Facts) -> DeclineReason | None:
    if facts.programme.above_ceiling is AboveCeiling.REDUCE:
        return None
    return DeclineReason.PRICE_ABOVE_CEILING if price_is_above_ceiling(line, facts) else None


LINE_RULES = (line_is_not_cash, category_is_permitted, product_is_permitted, price_is_permitted)


def product_of(line: Line, facts: Facts) -> Product | None:
    if line.product is None or line.unit is None:
        return None
    return facts.programme.products.get((line.product, line.unit))


def price_is_above_ceiling(line: Line, facts: Facts) -> bool:
    ceiling_rupiah = ceiling_of(line, facts)
    return ceiling_rupiah is not None and line.unit_price is not None and line.unit_price > ceiling_rupiah


def ceiling_of(line: Line, facts: Facts) -> int | None:
    """Rupiah per unit on this date in the shop's kecamatan; a ceiling of its own goes before the one for all."""
    product = product_of(line, facts)
    district_code = facts.shop.district_code if facts.shop is not None else None
    return None if product is None else ceiling_on(product, facts.today, district_code)


def ceiling_on(product: Product, today: date, district_code: str | None) -> int | None:
    """Rupiah per unit of the ceiling in force."""
    ceiling = ceiling_in_force(product, today, district_code)
    return None if ceiling is None else ceiling.price_rupiah


def ceiling_in_force(product: Product, today: date, district_code: str | None) -> Ceiling | None:
    """The one for `today`, the latest of several; `valid_to` itself still counts."""
    for_all: Ceiling | None = None
    for_district: Ceiling | None = None
    for ceiling in product.ceilings:
        if today < ceiling.valid_from or (ceiling.valid_to is not None and today > ceiling.valid_to):
            continue
        if ceiling.district_code == district_code and district_code is not None:
            for_district = ceiling
        if ceiling.district_code is None:
            for_all = ceiling
    return for_all if for_district is None else for_district


@lru_cache(maxsize=256)
def _as_listed(category: str) -> str:
    """A till has few categories and sends them all day."""
    return "_".join(normalize("NFKC", category).casefold().replace("-", " ").replace("_", " ").split())


def _details_are_required(line: Line, facts: Facts) -> bool:
    match facts.programme.details_required:
        case DetailsRequired.NEVER:
            return False
        case DetailsRequired.ALWAYS:
            return True
        case DetailsRequired.WHERE_CEILING:
            return line.category in facts.programme.ceiling_categories
        case unreachable:
            assert_never(unreachable)
