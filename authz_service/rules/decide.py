"""The decision: one purchase, one set of facts, one answer. The order of the checks is written here, and only here."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from authz_service.declines import PRECEDENCE, DeclineReason
from authz_service.requests import Purchase
from authz_service.rules.basket import LineOutcome, PricedLine, counted_rupiah, fund, price, reject_all
from authz_service.rules.card import card_is_active, card_is_in_date, card_is_known
from authz_service.rules.facts import Facts, Family
from authz_service.rules.family import family_is_active
from authz_service.rules.misuse import no_misuse_is_suspected
from authz_service.rules.money import Room, VoucherUse, binding_limit, exceeded_limits, month_after, room_of
from authz_service.rules.programme import programme_has_not_ended, programme_has_started
from authz_service.rules.shop import shop_is_active, shop_is_in_the_programme, terminal_is_permitted

Rule = Callable[[Facts], DeclineReason | None]

IDENTITY_STAGES: tuple[tuple[Rule, ...], ...] = (
    (shop_is_in_the_programme, shop_is_active, terminal_is_permitted),
    (card_is_known, card_is_active, card_is_in_date),
    (family_is_active,),
)
"""The first failing stage ends the decision: a finder of a lost card learns nothing of what is on it."""
OUTSIDE_THE_BASKET: tuple[Rule, ...] = (programme_has_started, programme_has_not_ended, no_misuse_is_suspected)
"""While one of them fails, no basket passes, however small; they are told together with those of goods and money."""


class Refusal(Struct, frozen=True, kw_only=True):
    """A failed check; `line` from 1 where it is about one line."""

    reason: DeclineReason
    line: int | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """What was decided. `refusals` is sorted by precedence, then line; in an approval it says why lines were cut.

    `room` is what is left after this decision, None where the first stages failed. Rupiah throughout;
    amount = approved + tender due + price reduction.
    """

    approved: bool
    refusals: tuple[Refusal, ...]
    lines: tuple[LineOutcome, ...]
    approved_rupiah: int
    reduction_rupiah: int
    tender_due_rupiah: int
    largest_rupiah: int
    room: Room | None
    voucher_uses: tuple[VoucherUse, ...]
    family: Family | None
    """The family as it is after this decision; the next one in the batch starts from it."""


def decide(purchase: Purchase, facts: Facts) -> Decision:
    """Approved or declined, with every reason that the contract lets a terminal see. Writes nothing."""
    identity = identity_refusals(facts)
    if identity or facts.family is None:
        return _declined(purchase, facts, identity, room=None, largest_rupiah=0)
    family, room = facts.family, room_of(facts.family, facts.programme)
    outside = [Refusal(reason=reason) for rule in OUTSIDE_THE_BASKET if (reason := rule(facts)) is not None]
    largest_rupiah = 0 if outside else room.purchase_rupiah
    lines = price(purchase, facts)
    cut_is_welcome = purchase.partial_approval and not any(_is_cash(line) for line in lines)
    counted = counted_rupiah(lines, partial=cut_is_welcome)
    exceeded = exceeded_limits(counted, room)
    if cut_is_welcome and not outside:
        outcomes = fund(lines, room.purchase_rupiah, binding_limit(room))
        refusals = [Refusal(reason=line.reason, line=line.number) for line in outcomes if line.reason is not None]
        if not any(line.approved_rupiah for line in outcomes):
            of_lines = {refusal.reason for refusal in refusals}
            refusals += [Refusal(reason=reason) for reason in exceeded if reason not in of_lines]
            return _declined(purchase, facts, refusals, room=room, largest_rupiah=largest_rupiah)
    else:
        refusals = outside + [
            Refusal(reason=line.refused, line=line.number) for line in lines if line.refused is not None
        ]
        refusals += [Refusal(reason=reason) for reason in exceeded]
        if refusals:
            return _declined(purchase, facts, refusals, room=room, largest_rupiah=largest_rupiah)
        outcomes = fund(lines, counted, None)

    # Every rule has agreed. After this point the hold must succeed.
    return _approved(purchase, facts, family, outcomes, refusals)


def identity_refusals(facts: Facts) -> list[Refusal]:
    """All failed checks of the first failing stage among shop and terminal, card, family."""
    for stage in IDENTITY_STAGES:
        if failed := [Refusal(reason=reason) for rule in stage if (reason := rule(facts)) is not None]:
            return _in_precedence(failed)
    return []


def largest_approvable(facts: Facts, room: Room) -> int:
    """What a one-line basket of permitted goods would get approved now, once the first stages passed (rupiah)."""
    return 0 if any(rule(facts) is not None for rule in OUTSIDE_THE_BASKET) else room.purchase_rupiah


def _approved(
    purchase: Purchase, facts: Facts, family: Family, outcomes: tuple[LineOutcome, ...], cuts: list[Refusal]
) -> Decision:
    approved_rupiah = sum([line.approved_rupiah for line in outcomes])
    reduction_rupiah = sum([line.reduction_rupiah for line in outcomes])
    month, uses = month_after(family.month, approved_rupiah, facts.programme)
    after = replace(family, available_rupiah=family.available_rupiah - approved_rupiah, month=month)
    room = room_of(after, facts.programme)
    return Decision(
        approved=True,
        refusals=tuple(_in_precedence(cuts)),
        lines=outcomes,
        approved_rupiah=approved_rupiah,
        reduction_rupiah=reduction_rupiah,
        tender_due_rupiah=purchase.amount - approved_rupiah - reduction_rupiah,
        largest_rupiah=room.purchase_rupiah,
        room=room,
        voucher_uses=uses,
        family=after,
    )


def _declined(
    purchase: Purchase, facts: Facts, refusals: list[Refusal], *, room: Room | None, largest_rupiah: int
) -> Decision:
    return Decision(
        approved=False,
        refusals=tuple(_in_precedence(refusals)),
        lines=reject_all(purchase.lines),
        approved_rupiah=0,
        reduction_rupiah=0,
        tender_due_rupiah=purchase.amount,
        largest_rupiah=largest_rupiah,
        room=room,
        voucher_uses=(),
        family=facts.family,
    )


def _is_cash(line: PricedLine) -> bool:
    return line.refused is DeclineReason.CASH_NOT_PERMITTED


def _in_precedence(refusals: list[Refusal]) -> list[Refusal]:
    """Within one reason the lines stay as they came, which is their order."""
    return sorted(refusals, key=lambda refusal: PRECEDENCE[refusal.reason]) if refusals else refusals
