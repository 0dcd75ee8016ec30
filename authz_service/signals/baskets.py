"""The same basket again and again: the family did not choose. Worse where the bag is worth less than is paid. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from authz_service.signals.facts import BasketLine, Day, Decided, Found
from authz_service.signals.kinds import Signal, Subject
from authz_service.signals.prices import Usual, median_of_others, usual_prices
from authz_service.signals.thresholds import WEAK, FixedBags, SameBasket

Basket = tuple[BasketLine, ...]


def same_basket(day: Day, rule: SameBasket) -> list[Found]:
    """Neighbours buy alike, so it takes most of a shop's families of the day."""
    families = _families(day)
    found = []
    for merchant_id, baskets in _by_shop(day).items():
        most = max(baskets.values(), key=_count)
        of_shop = len(families[merchant_id])
        if 100 * _count(most) >= rule.share_percent * of_shop and (score := rule.score(_count(most))):
            evidence: dict[str, int | str] = {
                "families": _count(most),
                "of_the_day": of_shop,
                "rupiah": most[0].approved_rupiah,
            }
            found.append(_found(Signal.SAME_BASKET, merchant_id, score, most, evidence))
    return found


def fixed_bags(day: Day, rule: FixedBags) -> list[Found]:
    """The bag of each shop that weighs most, of those that many families got."""
    usual = usual_prices(day)
    found = []
    for merchant_id, baskets in _by_shop(day).items():
        bags = []
        for basket, decided in baskets.items():
            paid = sum(line.amount_rupiah for line in basket)
            worth, unknown = worth_rupiah(day, usual, merchant_id, basket)
            lacks = 100 * (paid - worth) >= rule.lacking_percent * paid
            hides = 100 * unknown >= rule.unknown_percent * paid
            if (lacks or hides) and _count(decided) >= rule.at_least:
                score = rule.score(_count(decided))
                bags.append((score if lacks else min(WEAK, score), decided, paid, worth, unknown))
        if bags:
            score, decided, paid, worth, unknown = max(bags, key=lambda bag: bag[0])
            evidence: dict[str, int | str] = {
                "families": _count(decided),
                "paid_rupiah": paid,
                "worth_rupiah": worth,
                "without_details_rupiah": unknown,
            }
            found.append(_found(Signal.FIXED_BAGS, merchant_id, score, decided, evidence))
    return found


def worth_rupiah(day: Day, usual: Usual, merchant_id: str, basket: Basket) -> tuple[int, int]:
    """At the median price of the other shops, and how much of it has no details; what nobody else sells is worth what
    was paid for it, and so is what has no details."""
    worth, unknown = Decimal(0), 0
    for line in basket:
        if line.product is None or line.unit is None or line.quantity is None:
            unknown += line.amount_rupiah
            worth += line.amount_rupiah
            continue
        middle = median_of_others(day, usual, (line.product, line.unit), merchant_id, 1)
        worth += line.amount_rupiah if middle is None else Decimal(line.quantity) * Decimal(middle)
    return round(worth), unknown


def _by_shop(day: Day) -> Mapping[str, Mapping[Basket, list[Decided]]]:
    """Shop → basket of several lines, in whatever order these came → who bought it."""
    shops: dict[str, dict[Basket, list[Decided]]] = defaultdict(lambda: defaultdict(list))
    for each in day.decided:
        if each.approved and each.beneficiary_id is not None and len(each.lines) > 1:
            basket = tuple(sorted(each.lines, key=_sorted_by))
            shops[each.merchant_id][basket].append(each)
    return dict(sorted(shops.items()))


def _sorted_by(line: BasketLine) -> tuple[str, str, str, int]:
    return line.category, line.product or "", line.unit or "", line.amount_rupiah


def _families(day: Day) -> Mapping[str, set[str]]:
    families: dict[str, set[str]] = defaultdict(set)
    for each in day.decided:
        if each.approved and each.beneficiary_id is not None:
            families[each.merchant_id].add(each.beneficiary_id)
    return families


def _count(decided: list[Decided]) -> int:
    return len({each.beneficiary_id for each in decided})


def _found(
    signal: Signal, merchant_id: str, score: int, decided: list[Decided], evidence: dict[str, int | str]
) -> Found:
    return Found(
        signal=signal,
        subject_kind=Subject.MERCHANT,
        subject_id=merchant_id,
        score=score,
        purchases=tuple(each.authorisation_id for each in decided),
        evidence=evidence,
    )
