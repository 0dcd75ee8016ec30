"""What other systems are told of a change of the roll: ids and rupiah. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, assert_never

from authz_service.events.kinds import (
    CardActivated,
    CardBlocked,
    CardIssued,
    CardLost,
    CardReplaced,
    CardStolen,
    Event,
    FamilyChangeAnnounced,
    FamilyChangeWithdrawn,
    FamilyEntered,
    FamilyLeft,
    FamilyMerged,
    FamilyMoved,
    FamilyResumed,
    FamilySuspended,
)
from authz_service.roll.orders import Change, ChangeKind, Effects
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, CardId, CardStatus

_BECAME: Final = {
    CardStatus.ACTIVE: CardActivated,
    CardStatus.BLOCKED: CardBlocked,
    CardStatus.LOST: CardLost,
    CardStatus.STOLEN: CardStolen,
}


def told_of(change: Change) -> Iterator[Event]:
    """Of an order that is carried out now, or waits for its day. Whoever enters is on the roll at once in any case."""
    effects, who, at = change.effects, change.beneficiary_id, change.effective_at
    if effects.withdrawn is not None:
        yield FamilyChangeWithdrawn(beneficiary_id=who, effective_at=effects.withdrawn.at)
    match change.kind:
        case ChangeKind.ENTER:
            yield FamilyEntered(beneficiary_id=who, effective_at=at, granted_amount=effects.granted_rupiah)
            yield from told_of_new_card(who, effects)
        case ChangeKind.MOVE:
            yield FamilyMoved(
                beneficiary_id=who,
                effective_at=at,
                companion_id=effects.companion_id or "",
                former_companion_id=effects.former_companion_id or "",
            )
        case ChangeKind.CARD:
            return  # The desk says itself whether it gave one out or changed what one may do.
        case ChangeKind.DETAILS:
            return  # Names and kecamatan are nobody else's.
        case ChangeKind.SUSPEND | ChangeKind.RESUME | ChangeKind.REMOVE | ChangeKind.MERGE:
            if change.waits:
                yield FamilyChangeAnnounced(beneficiary_id=who, effective_at=at, change=change.kind)
            else:
                yield from told_of_status(_STATUS[change.kind], who, at, effects)
        case unreachable:
            assert_never(unreachable)


def told_of_status(status: BeneficiaryStatus, who: BeneficiaryId, at: datetime, effects: Effects) -> Iterator[Event]:
    """The family has it from `at` on, and this is so now."""
    match status:
        case BeneficiaryStatus.ACTIVE:
            yield FamilyResumed(beneficiary_id=who, effective_at=at)
        case BeneficiaryStatus.SUSPENDED:
            yield FamilySuspended(beneficiary_id=who, effective_at=at)
        case BeneficiaryStatus.REMOVED:
            money = {"returned_amount": effects.returned_rupiah, "held_amount": effects.held_rupiah}
            if effects.survivor_id is None:
                yield FamilyLeft(beneficiary_id=who, effective_at=at, **money)
            else:
                yield FamilyMerged(beneficiary_id=who, effective_at=at, survivor_id=effects.survivor_id, **money)
            yield from _replaced(who, effects)
        case unreachable:
            assert_never(unreachable)


def told_of_new_card(who: BeneficiaryId, effects: Effects) -> Iterator[Event]:
    """The family has a card, and its others are dead."""
    yield from _replaced(who, effects)
    yield CardIssued(card_id=effects.card_id or "", beneficiary_id=who, status=effects.card_status or "")


def told_of_card(who: BeneficiaryId, card_id: CardId, status: CardStatus) -> Event:
    """The card desk has made this of the card."""
    return _BECAME[status](card_id=card_id, beneficiary_id=who)


def _replaced(who: BeneficiaryId, effects: Effects) -> Iterator[Event]:
    for card_id in effects.cards_replaced:
        yield CardReplaced(card_id=card_id, beneficiary_id=who)


_STATUS: Final = {
    ChangeKind.SUSPEND: BeneficiaryStatus.SUSPENDED,
    ChangeKind.RESUME: BeneficiaryStatus.ACTIVE,
    ChangeKind.REMOVE: BeneficiaryStatus.REMOVED,
    ChangeKind.MERGE: BeneficiaryStatus.REMOVED,
}
