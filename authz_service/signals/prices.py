"""Prices far from those of the other shops, and eggs by the piece. What is usual is a median of shops, so that one shop
that sells much does not make the price by which it is judged. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Final

from authz_service.signals.facts import BasketLine, Day, Decided, Found
from authz_service.signals.kinds import Signal, Subject
from authz_service.signals.thresholds import EggsByPiece, FarPrices

EGGS: Final = "telur"
PIECES: Final = frozenset({"butir", "biji", "buah", "pcs", "pc", "piece"})
"""Units in which eggs are counted and not weighed."""
_REFUSED: Final = "product_not_permitted"

Usual = Mapping[tuple[str, str], Mapping[str, int]]
"""(product, unit) → shop → its median price."""


def usual_prices(day: Day) -> Usual:
    prices: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for each in day.prices:
        prices[each.product, each.unit][each.merchant_id] = each.unit_price_rupiah
    return prices


def median_of_others(day: Day, usual: Usual, key: tuple[str, str], merchant_id: str, shops: int) -> float | None:
    """Of those in the same kecamatan where there are enough, else of all; None where there are too few of them."""
    others = {who: price for who, price in usual.get(key, {}).items() if who != merchant_id}
    district = _district(day, merchant_id)
    near = [price for who, price in others.items() if district is not None and _district(day, who) == district]
    for prices in (near, list(others.values())):
        if len(prices) >= shops:
            return float(median(prices))
    return None


def _district(day: Day, merchant_id: str) -> str | None:
    shop = day.shops.get(merchant_id)
    return None if shop is None else shop.district_code


def far_prices(day: Day, rule: FarPrices) -> list[Found]:
    """Above, not below: a family that pays less than usual has lost nothing."""
    usual = usual_prices(day)
    dear: dict[str, list[tuple[float, Decided, BasketLine, float]]] = defaultdict(list)
    for each in day.decided:
        if each.approved:
            for line in each.lines:
                above, middle = _above(day, usual, each, line, rule.shops)
                if above >= rule.at_least:
                    dear[each.merchant_id].append((above, each, line, middle))
    found = []
    for merchant_id, lines in sorted(dear.items()):
        purchases = dict.fromkeys(each.authorisation_id for _, each, _, _ in lines)
        if len(purchases) < rule.purchases:
            continue
        above, _, line, middle = max(lines, key=lambda one: one[0])
        found.append(
            Found(
                signal=Signal.FAR_PRICES,
                subject_kind=Subject.MERCHANT,
                subject_id=merchant_id,
                score=rule.score(above),
                purchases=tuple(purchases),
                evidence={
                    "product": line.product or "",
                    "unit": line.unit or "",
                    "unit_price": line.unit_price_rupiah or 0,
                    "median_of_others": round(middle),
                    "percent_above": int(above),
                    "purchases": len(purchases),
                },
            )
        )
    return found


def _above(day: Day, usual: Usual, each: Decided, line: BasketLine, shops: int) -> tuple[float, float]:
    """By how many percent the line is above the median, and that."""
    if line.product is None or line.unit is None or line.unit_price_rupiah is None:
        return 0.0, 0.0
    middle = median_of_others(day, usual, (line.product, line.unit), each.merchant_id, shops)
    return (0.0, 0.0) if not middle else (100.0 * (line.unit_price_rupiah - middle) / middle, middle)


def eggs_by_piece(day: Day, rule: EggsByPiece) -> list[Found]:
    """What the programme's list refuses counts as well: a shop that tries it with family after family."""
    usual = usual_prices(day)
    at_shops: dict[str, list[Decided]] = defaultdict(list)
    for each in day.decided:
        if each.card_id is not None and any(_is_dear_by_piece(day, usual, each, line, rule) for line in each.lines):
            at_shops[each.merchant_id].append(each)
    found = []
    for merchant_id, decided in sorted(at_shops.items()):
        cards = len({each.card_id for each in decided})
        if score := rule.score(cards):
            found.append(
                Found(
                    signal=Signal.EGGS_BY_PIECE,
                    subject_kind=Subject.MERCHANT,
                    subject_id=merchant_id,
                    score=score,
                    purchases=tuple(each.authorisation_id for each in decided),
                    evidence={
                        "cards": cards,
                        "refused": sum(not each.approved for each in decided),
                        "highest_price": max(_prices_by_piece(decided)),
                    },
                )
            )
    return found


def _is_dear_by_piece(day: Day, usual: Usual, each: Decided, line: BasketLine, rule: EggsByPiece) -> bool:
    if not is_by_piece(line):
        return False
    if not each.approved:
        return each.reason == _REFUSED
    middle = median_of_others(day, usual, (line.product or "", "kg"), each.merchant_id, 1)
    for_a_kilogram = rule.pieces_per_kg * (line.unit_price_rupiah or 0)
    return middle is None or for_a_kilogram >= middle * (100 + rule.above_percent) / 100


def _prices_by_piece(decided: Iterable[Decided]) -> list[int]:
    return [line.unit_price_rupiah or 0 for each in decided for line in each.lines if is_by_piece(line)]


def is_by_piece(line: BasketLine) -> bool:
    return line.category == EGGS and line.unit is not None and line.unit.lower() in PIECES
