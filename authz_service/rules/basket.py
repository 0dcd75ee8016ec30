"""What each line of a basket gets: accepted, reduced to its ceiling, funded in part, or cut out.

The arithmetic is that of `contract.md`, "Partial approval and price reduction". Always
amount = approved + tender due + price reduction.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from authz_service.declines import DeclineReason
from authz_service.requests import Line, Purchase, times_quantity
from authz_service.rules.facts import Facts
from authz_service.rules.goods import LINE_RULES, ceiling_of, price_is_above_ceiling
from authz_service.vocabulary import AboveCeiling


class LineAction(StrEnum):
    ACCEPTED = "accepted"
    PRICE_REDUCED = "price_reduced"
    PARTLY_FUNDED = "partly_funded"
    REJECTED = "rejected"


class PricedLine(Struct, frozen=True, kw_only=True):
    """A line at what the programme would pay for it, before money is looked at."""

    number: int
    """From 1, as on the receipt."""
    amount_rupiah: int
    counted_rupiah: int
    """Its amount, or its amount at the ceiling."""
    reduced: bool
    """Its price is above the ceiling, also where rounding hides it."""
    refused: DeclineReason | None


class LineOutcome(Struct, frozen=True, kw_only=True):
    number: int
    action: LineAction
    approved_rupiah: int
    reduction_rupiah: int
    reason: DeclineReason | None


def price(purchase: Purchase, facts: Facts) -> tuple[PricedLine, ...]:
    """Each line with its first refusal, if any, and what it counts for."""
    return tuple([_priced(number, line, facts) for number, line in enumerate(purchase.lines, start=1)])


def counted_rupiah(lines: Sequence[PricedLine], *, partial: bool) -> int:
    """What the money checks look at: after price reduction and, in partial approval, without the refused lines."""
    return sum([line.counted_rupiah for line in lines if not (partial and line.refused)])


def fund(lines: Sequence[PricedLine], most_rupiah: int, limit: DeclineReason | None) -> tuple[LineOutcome, ...]:
    """Lines funded in their order out of `most_rupiah`; where it runs out the reason is `limit`, None if it cannot."""
    left_rupiah = most_rupiah
    outcomes: list[LineOutcome] = []
    for line in lines:
        outcome = _funded(line, left_rupiah, limit)
        left_rupiah -= outcome.approved_rupiah
        outcomes.append(outcome)
    return tuple(outcomes)


def reject_all(lines: Sequence[Line]) -> tuple[LineOutcome, ...]:
    """A declined purchase pays for nothing."""
    return tuple(_rejected(number, None) for number in range(1, len(lines) + 1))


def _priced(number: int, line: Line, facts: Facts) -> PricedLine:
    refused, counted, reduced = None, line.amount, False
    for rule in LINE_RULES:
        if (refused := rule(line, facts)) is not None:
            break
    else:
        # Where a price above the ceiling is declined, the last rule has looked.
        is_reducing = facts.programme.above_ceiling is AboveCeiling.REDUCE
        reduced = is_reducing and price_is_above_ceiling(line, facts)
    if reduced:
        ceiling_rupiah, quantity = ceiling_of(line, facts), line.quantity
        if ceiling_rupiah is not None and quantity is not None:
            counted = times_quantity(ceiling_rupiah, quantity)
            # So small a quantity is worth nothing at its ceiling; nothing cannot be approved.
            refused = DeclineReason.PRICE_ABOVE_CEILING if counted == 0 else None
    return PricedLine(
        number=number, amount_rupiah=line.amount, counted_rupiah=counted, reduced=reduced, refused=refused
    )


def _funded(line: PricedLine, left_rupiah: int, limit: DeclineReason | None) -> LineOutcome:
    if line.refused is not None:
        return _rejected(line.number, line.refused)
    approved_rupiah = min(line.counted_rupiah, left_rupiah)
    reduction_rupiah = line.amount_rupiah - line.counted_rupiah
    if approved_rupiah == line.counted_rupiah:
        action = LineAction.PRICE_REDUCED if line.reduced else LineAction.ACCEPTED
        return LineOutcome(
            number=line.number,
            action=action,
            approved_rupiah=approved_rupiah,
            reduction_rupiah=reduction_rupiah,
            reason=None,
        )
    if approved_rupiah == 0:
        return _rejected(line.number, limit)
    return LineOutcome(
        number=line.number,
        action=LineAction.PARTLY_FUNDED,
        approved_rupiah=approved_rupiah,
        reduction_rupiah=reduction_rupiah,
        reason=limit,
    )


def _rejected(number: int, reason: DeclineReason | None) -> LineOutcome:
    return LineOutcome(number=number, action=LineAction.REJECTED, approved_rupiah=0, reduction_rupiah=0, reason=reason)
