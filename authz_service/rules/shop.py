"""May this shop and this terminal sell now?"""

from authz_service.declines import DeclineReason
from authz_service.rules.facts import Facts
from authz_service.vocabulary import MerchantStatus, TerminalStatus


def shop_is_in_the_programme(facts: Facts) -> DeclineReason | None:
    """The first and the last day both count."""
    shop = facts.shop
    if shop is None or facts.today < shop.admitted_on:
        return DeclineReason.MERCHANT_UNKNOWN
    if shop.leaves_on is not None and facts.today > shop.leaves_on:
        return DeclineReason.MERCHANT_UNKNOWN
    return None


def shop_is_active(facts: Facts) -> DeclineReason | None:
    if facts.shop is not None and facts.shop.status is MerchantStatus.SUSPENDED:
        return DeclineReason.MERCHANT_SUSPENDED
    return None


def terminal_is_permitted(facts: Facts) -> DeclineReason | None:
    """Active, bound to the shop, and within the shop's hours."""
    if facts.terminal.status is not TerminalStatus.ACTIVE or not _shop_is_open(facts):
        return DeclineReason.TERMINAL_NOT_PERMITTED
    return None


def _shop_is_open(facts: Facts) -> bool:
    """From opening to before closing; past midnight where it closes before it opens; all day where both are equal."""
    shop = facts.shop
    if shop is None or shop.opens_at is None or shop.closes_at is None:
        return True
    local = facts.now.astimezone(facts.programme.zone).time()
    if shop.opens_at < shop.closes_at:
        return shop.opens_at <= local < shop.closes_at
    return local >= shop.opens_at or local < shop.closes_at
