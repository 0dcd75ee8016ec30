"""The English of what is said at the counter, word for word: what an operator reads of it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from authz_service.declines import DeclineReason
from authz_service.requests import Line
from authz_service.rules.decide import decide
from authz_service.rules.facts import Facts
from authz_service.rules.message import decision_message, in_words, packages_left_in_english
from authz_service.rules.money import room_of
from authz_service.rules.phrases import Language
from tests.builders import a_family, a_month, a_programme, a_purchase, a_voucher, facts
from tests.test_message import DECLINES, FISH, NEITHER, TOBACCO, by_value, with_month

ASK = "For questions ask Dinsos PM Kota Samarinda."
USED_UP = "This month's room is used up; if there is need, ask companion Pendamping 07."
GOODS = "beras, telur, ayam, ikan kaleng, minyak goreng, gula and susu"


def said(*lines: Line, partial: bool = False, under: Facts | None = None) -> str:
    purchase, under = a_purchase(*lines, partial_approval=partial), under or facts()
    return decision_message(purchase, under, decide(purchase, under), Language.ENGLISH)


ENGLISH = {
    DeclineReason.MERCHANT_UNKNOWN: "This shop is not in the programme on this date. Use another KUBE shop, or ask Dinsos PM Kota Samarinda.",
    DeclineReason.MERCHANT_SUSPENDED: "This shop is suspended. Use another KUBE shop, or ask Dinsos PM Kota Samarinda.",
    DeclineReason.TERMINAL_NOT_PERMITTED: "This terminal may not be used now. Try again in opening hours, or ask Dinsos PM Kota Samarinda.",
    DeclineReason.CARD_UNKNOWN: "This is not a card of the programme. Check the number, or ask Dinsos PM Kota Samarinda.",
    DeclineReason.CARD_NOT_ACTIVATED: "The card is not activated yet. Ask Dinsos PM Kota Samarinda to activate it.",
    DeclineReason.CARD_LOST: "This card was reported lost. Ask Dinsos PM Kota Samarinda.",
    DeclineReason.CARD_STOLEN: "This card was reported stolen. Ask Dinsos PM Kota Samarinda.",
    DeclineReason.CARD_EXPIRED: "The card has expired. Ask Dinsos PM Kota Samarinda for a new one.",
    DeclineReason.CARD_BLOCKED: "The card is blocked, or a newer card replaced it. Use the new one, or ask Dinsos PM Kota Samarinda.",
    DeclineReason.BENEFICIARY_SUSPENDED: "The family's assistance is suspended. Ask Dinsos PM Kota Samarinda.",
    DeclineReason.BENEFICIARY_REMOVED: "The family is no longer in the programme. Ask Dinsos PM Kota Samarinda.",
    DeclineReason.PROGRAMME_NOT_STARTED: f"The programme has not started: it can be used from 1 October 2024. {ASK}",
    DeclineReason.PROGRAMME_ENDED: f"The programme ended on 31 December 2024. {ASK}",
    DeclineReason.CASH_NOT_PERMITTED: f"The assistance is never for cash, phone credit or a transfer: the card is for {GOODS} only. If somebody asks for it, tell Dinsos PM Kota Samarinda.",
    DeclineReason.CATEGORY_NOT_PERMITTED: f"The goods of line 2 are not part of the assistance: the card is for {GOODS} only. {ASK}",
    DeclineReason.PRODUCT_NOT_PERMITTED: "The product or unit of line 3 is not on the list, or its details are missing. See the catalogue, or ask Dinsos PM Kota Samarinda.",
    DeclineReason.PRICE_ABOVE_CEILING: "The price of line 2 is above the ceiling of Rp30.000 per kg. Try again at the right price, or ask Dinsos PM Kota Samarinda.",
    DeclineReason.PACKAGE_CAP_EXCEEDED: f"One purchase may cost Rp300.000 at most. {ASK}",
    DeclineReason.ENTITLEMENT_EXCEEDED: f"The assistance left is Rp99.999, less than this purchase. {ASK} What would pass now: up to Rp99.999.",
    DeclineReason.PACKAGES_USED_UP: "This month's packages are used up. If there is need, ask companion Pendamping 07.",
    DeclineReason.MONTHLY_CAP_EXCEEDED: "This month's room is Rp50.000. If more is needed, ask companion Pendamping 07. What would pass now: up to Rp50.000.",
    DeclineReason.SUSPECTED_MISUSE: "This purchase cannot be processed yet. Ask Dinsos PM Kota Samarinda.",
}


@pytest.mark.parametrize("reason", DeclineReason)
def test_a_decline_says_the_same_in_english(reason: DeclineReason) -> None:
    lines, under, _ = DECLINES[reason]
    assert said(*lines, under=under) == ENGLISH[reason]


@pytest.mark.parametrize(
    ("lines", "under", "sentence"),
    [
        (
            [FISH],
            facts(),
            "Approved Rp100.000. Left this month Rp500.000, 1 purchase(s) left. Left in all Rp1.700.000.",
        ),
        ([FISH], with_month(packages_used=1), f"Approved Rp100.000. {USED_UP} Left in all Rp1.700.000."),
        (
            [FISH, TOBACCO],
            facts(),
            "Approved Rp100.000, due in another way Rp30.000. Left this month Rp500.000, 1 purchase(s) left. Left in all Rp1.700.000.",
        ),
        (
            [FISH],
            facts(programme=NEITHER, family=a_family(month=a_month(cap_rupiah=None, packages_cap=None))),
            "Approved Rp100.000. Left in all Rp1.700.000.",
        ),
    ],
)
def test_an_approval_says_the_same_in_english(lines: list[Line], under: Facts, sentence: str) -> None:
    assert said(*lines, partial=True, under=under) == sentence


@pytest.mark.parametrize(
    ("under", "sentence"),
    [
        (
            facts(programme=a_programme(package_rupiah=90_000), family=a_family(available_rupiah=0)),
            f"One purchase may cost Rp90.000 at most. {ASK} The assistance is used up.",
        ),
        (
            facts(programme=a_programme(package_rupiah=90_000), family=a_family(month=a_month(packages_used=2))),
            f"One purchase may cost Rp90.000 at most. {ASK} {USED_UP}",
        ),
        (
            by_value(cap_rupiah=None, used_rupiah=500_001),
            "This month's packages are down to Rp99.999. If there is need, ask companion Pendamping 07. What would pass now: up to Rp99.999.",
        ),
    ],
)
def test_where_money_is_short_it_says_what_would_pass_in_english(under: Facts, sentence: str) -> None:
    assert said(FISH, under=under) == sentence


@pytest.mark.parametrize(
    ("under", "words"),
    [
        (with_month(packages_used=2), "are used up"),
        (facts(family=a_family(month=a_month(a_voucher(), packages_used=2))), "are used up"),
        (by_value(used_rupiah=600_000), "are used up"),
        (by_value(used_rupiah=599_999), "are down to Rp1"),
    ],
)
def test_an_explanation_has_the_same_words_for_the_months_packages(under: Facts, words: str) -> None:
    assert under.family is not None
    assert packages_left_in_english(room_of(under.family, under.programme)) == words


def test_months_have_their_english_names() -> None:
    ninths = [
        in_words(datetime(2024, month, 9, tzinfo=UTC), ZoneInfo("UTC"), Language.ENGLISH) for month in range(1, 13)
    ]
    assert ninths == [
        *("9 January 2024", "9 February 2024", "9 March 2024", "9 April 2024", "9 May 2024", "9 June 2024"),
        *("9 July 2024", "9 August 2024", "9 September 2024", "9 October 2024", "9 November 2024", "9 December 2024"),
    ]
