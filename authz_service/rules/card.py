"""Is this a card of the programme that may buy?"""

from typing import assert_never

from authz_service.declines import DeclineReason
from authz_service.rules.facts import Facts
from authz_service.vocabulary import CardStatus


def card_is_known(facts: Facts) -> DeclineReason | None:
    """A number that fails its check digit is never enrolled (a CHECK by the roll), so it is unknown as well."""
    return DeclineReason.CARD_UNKNOWN if facts.card is None else None


def card_is_active(facts: Facts) -> DeclineReason | None:
    if facts.card is None:
        return None
    match facts.card.status:
        case CardStatus.ACTIVE:
            return None
        case CardStatus.NOT_ACTIVATED:
            return DeclineReason.CARD_NOT_ACTIVATED
        case CardStatus.LOST:
            return DeclineReason.CARD_LOST
        case CardStatus.STOLEN:
            return DeclineReason.CARD_STOLEN
        case CardStatus.BLOCKED | CardStatus.REPLACED:
            return DeclineReason.CARD_BLOCKED
        case unreachable:
            assert_never(unreachable)


def card_is_in_date(facts: Facts) -> DeclineReason | None:
    """The last day itself still counts."""
    if facts.card is not None and facts.today > facts.card.expires_on:
        return DeclineReason.CARD_EXPIRED
    return None
