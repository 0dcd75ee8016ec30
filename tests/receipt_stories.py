"""Receipts as they come out of the printer: each story of a day at the counter is a page in `tests/receipts/`.

`python -m tests.receipt_stories` prints the pages anew; what changed shows in the diff.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from authz_service.answers import (
    Document,
    Identity,
    as_it_stands,
    balance_document,
    decision_document,
    refund_document,
)
from authz_service.authorisation import placed_hold
from authz_service.holds import Change, refund
from authz_service.requests import BalanceInquiry, Line, Purchase
from authz_service.rules.decide import OUTSIDE_THE_BASKET, Refusal, decide, identity_refusals, largest_approvable
from authz_service.rules.facts import Facts
from authz_service.rules.money import room_of
from authz_service.vocabulary import (
    AboveCeiling,
    AuthorisationId,
    BeneficiaryStatus,
    CardStatus,
    MerchantStatus,
)
from tests.builders import (
    a_card,
    a_family,
    a_line,
    a_month,
    a_priced_line,
    a_programme,
    a_purchase,
    a_shop,
    facts,
)

PAGES: Final = Path(__file__).with_name("receipts")
AUTHORISATION: Final = AuthorisationId("auth_069qzj8241hpyvkmdxm2tb9d5m")
REFUND: Final = "ref_069qzj8241hpyvkmdxm2tb9d5m"
TOBACCO: Final = a_line("rokok", 30_000)
TYRES: Final = a_line("ban_motor", 90_000)


def answer_to(purchase: Purchase, under: Facts) -> Document:
    """The answer of the sale, as a till reads it."""
    decision = decide(purchase, under)
    hold = placed_hold(AUTHORISATION, under, decision, captured=purchase.capture)
    identity = Identity(
        authorisation_id=AUTHORISATION,
        approval_code="A7K2M9" if hold else None,
        expires_at=hold.expires_at if hold else None,
    )
    document: Document = orjson.loads(orjson.dumps(decision_document(purchase, under, decision, identity, hold)))
    return document


def balance_of(under: Facts) -> Document:
    """The answer of a balance inquiry."""
    refusals, room, largest = identity_refusals(under), None, 0
    if not refusals and under.family is not None:
        room = room_of(under.family, under.programme)
        largest = largest_approvable(under, room)
        refusals = [Refusal(reason=reason) for rule in OUTSIDE_THE_BASKET if (reason := rule(under)) is not None]
    return balance_document(BalanceInquiry(card_number="9360000000000013"), under, refusals, room, largest)


def refund_of(amount_rupiah: int, under: Facts) -> Document:
    """The answer of a refund, given `under` these facts, of what was bought on a morning of November."""
    purchase, morning = a_purchase(capture=True), facts()
    decision = decide(purchase, morning)
    hold = placed_hold(AUTHORISATION, morning, decision, captured=True)
    assert hold is not None
    change = refund(hold, amount_rupiah)
    assert isinstance(change, Change)
    return refund_document(under, change, REFUND, as_it_stands(orjson.dumps(answer_to(purchase, morning)), change.hold))


def _sold(*lines: Line, under: Facts | None = None, **changes: Any) -> Callable[[], Document]:
    return lambda: answer_to(a_purchase(*lines, **changes), under or facts())


def _asked(under: Facts) -> Callable[[], Document]:
    return lambda: balance_of(under)


def _refunded(amount_rupiah: int, under: Facts) -> Callable[[], Document]:
    return lambda: refund_of(amount_rupiah, under)


def _with_month(available_rupiah: int = 1_800_000, **changes: Any) -> Facts:
    return facts(family=a_family(available_rupiah=available_rupiah, month=a_month(**changes)))


REDUCES: Final = facts(programme=a_programme(above_ceiling=AboveCeiling.REDUCE))
ENDED: Final = facts(now="2025-01-01T02:00:00Z", family=a_family(available_rupiah=450_000))
DECEMBER: Final = facts(now="2024-12-05T02:00:00Z")
STORIES: Final[Mapping[str, Callable[[], Document]]] = {
    "approved": _sold(),
    "approved_last_of_the_month": _sold(under=_with_month(1_500_000, used_rupiah=300_000, packages_used=1)),
    "approved_without_limits": _sold(
        a_priced_line("gula pasir", "2.5", 17_400),
        a_line("susu", 40_000),
        under=facts(
            programme=a_programme(month_packages=None, month_cap_rupiah=None),
            family=a_family(month=a_month(cap_rupiah=None, packages_cap=None)),
        ),
    ),
    "partly_approved": _sold(a_priced_line(), TOBACCO, a_line(amount=250_000), partial_approval=True),
    "price_reduced": _sold(a_priced_line(unit_price=16_000), a_line(), under=REDUCES),
    "long_basket": _sold(
        *(a_line(amount=1_000 * number) for number in range(1, 16)), TOBACCO, *[a_line()] * 4, partial_approval=True
    ),
    "declined_shop": _sold(under=facts(shop=a_shop(status=MerchantStatus.SUSPENDED))),
    "declined_card_unknown": _sold(under=facts(card=None, family=None)),
    "declined_card_lost": _sold(under=facts(card=a_card(status=CardStatus.LOST))),
    "declined_family": _sold(under=facts(family=a_family(status=BeneficiaryStatus.SUSPENDED))),
    "declined_programme_ended": _sold(under=ENDED),
    "declined_cash": _sold(a_priced_line(), a_line("tarik_tunai", 50_000)),
    "declined_goods": _sold(TOBACCO, a_priced_line("beras premium", "5", 15_500), a_priced_line(unit="karung"), TYRES),
    "declined_package": _sold(amount=350_000),
    "declined_entitlement": _sold(under=_with_month(100_000)),
    "declined_packages_used_up": _sold(under=_with_month(1_550_000, used_rupiah=250_000, packages_used=2)),
    "declined_month": _sold(under=_with_month(1_300_000, used_rupiah=500_000, packages_used=1)),
    "refund_this_month": _refunded(60_000, facts(now="2024-11-06T02:00:00Z")),
    "refund_past_month": _refunded(60_000, DECEMBER),
    "refund_after_the_end": _refunded(60_000, ENDED),
    "refund_family_removed": _refunded(150_000, facts(family=a_family(status=BeneficiaryStatus.REMOVED))),
    "balance": _asked(facts()),
    "balance_month_used_up": _asked(_with_month(1_200_000, used_rupiah=600_000, packages_used=2)),
    "balance_refused": _asked(facts(card=a_card(status=CardStatus.LOST))),
    "balance_programme_ended": _asked(ENDED),
}


def page(name: str) -> str:
    """The story's receipt on either paper."""
    receipt = STORIES[name]()["receipt"]
    return f"{receipt['columns_32']}\n{'=' * 48}\n{receipt['columns_48']}\n"


if __name__ == "__main__":
    for old in PAGES.glob("*.txt"):
        old.unlink()
    for story in STORIES:
        PAGES.joinpath(f"{story}.txt").write_text(page(story), encoding="ascii")
