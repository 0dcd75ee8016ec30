"""The precedence of reasons: one request wrong in every way, mended one fault at a time.

Of the first four stages only the first that fails is told, all of it and nothing else; the last two are told together.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate, combinations, pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from authz_service.answers import Document, decision_document
from authz_service.declines import DeclineReason, Stage
from authz_service.requests import Line, Purchase
from authz_service.rules.decide import Decision, decide
from authz_service.rules.facts import Facts
from authz_service.vocabulary import BeneficiaryStatus, CardStatus, MerchantStatus, TerminalStatus
from tests.builders import (
    A_MORNING,
    a_card,
    a_family,
    a_line,
    a_mark,
    a_month,
    a_priced_line,
    a_programme,
    a_purchase,
    a_shop,
    a_terminal,
    facts,
    instant,
    reasons,
)

TODAY = date(2024, 11, 5)
YESTERDAY, TOMORROW = date(2024, 11, 4), date(2024, 11, 6)
BEFORE_TODAY, AFTER_TODAY = instant("2024-11-04T16:00:00Z"), instant("2024-11-05T16:00:00Z")


@dataclass(frozen=True)
class Case:
    purchase: Purchase
    facts: Facts

    @property
    def decision(self) -> Decision:
        return decide(self.purchase, self.facts)

    @property
    def answer(self) -> Document:
        return decision_document(self.purchase, self.facts, self.decision, None, None)


Step = Callable[[Case], Case]


def the_shop(**changes: Any) -> Step:
    return lambda case: _with_facts(case, shop=replace(case.facts.shop or a_shop(), **changes))


def the_terminal(status: TerminalStatus) -> Step:
    return lambda case: _with_facts(case, terminal=a_terminal(status=status))


def the_card(**changes: Any) -> Step:
    return lambda case: _with_facts(case, card=replace(case.facts.card or a_card(), **changes))


def marked(until: datetime) -> Step:
    """Something was seen at the terminal, for which the programme declines until then."""
    return lambda case: _with_facts(case, marks=(a_mark(until),))


def no_card(case: Case) -> Case:
    return _with_facts(case, card=None, family=None)


def the_family(**changes: Any) -> Step:
    return lambda case: _with_facts(case, family=replace(case.facts.family or a_family(), **changes))


def the_month(**changes: Any) -> Step:
    def step(case: Case) -> Case:
        family = case.facts.family or a_family()
        return _with_facts(case, family=replace(family, month=replace(family.month, **changes)))

    return step


def the_programme(**changes: Any) -> Step:
    return lambda case: _with_facts(case, programme=replace(case.facts.programme, **changes))


def line(number: int, instead: Line) -> Step:
    """The line of that number is another one of the same amount."""

    def step(case: Case) -> Case:
        lines = case.purchase.lines
        return dataclasses.replace(
            case, purchase=dataclasses.replace(case.purchase, lines=(*lines[: number - 1], instead, *lines[number:]))
        )

    return step


def one_more(another: Line) -> Step:
    def step(case: Case) -> Case:
        purchase = case.purchase
        return dataclasses.replace(
            case,
            purchase=dataclasses.replace(
                purchase, lines=(*purchase.lines, another), amount=purchase.amount + another.amount
            ),
        )

    return step


def _with_facts(case: Case, **changes: Any) -> Case:
    return dataclasses.replace(case, facts=replace(case.facts, **changes))


def as_it_was(case: Case) -> Case:
    return case


WRONG_IN_EVERY_WAY = Case(
    a_purchase(
        a_line("tunai", 100_000),
        a_line("rokok", 100_000),
        a_line("beras", 100_000),
        a_priced_line("telur ayam ras", "2", 50_000),
    ),
    facts(
        programme=a_programme(starts_at=AFTER_TODAY),
        shop=a_shop(admitted_on=TOMORROW, status=MerchantStatus.SUSPENDED),
        terminal=a_terminal(status=TerminalStatus.UNBOUND),
        card=None,
        family=None,
        marks=(a_mark(AFTER_TODAY),),
    ),
)


def known_but_no_better(case: Case) -> Case:
    """The card is of the programme, yet everything about it and its family is wrong."""
    return _with_facts(
        case,
        card=a_card(status=CardStatus.NOT_ACTIVATED, expires_on=YESTERDAY),
        family=a_family(
            status=BeneficiaryStatus.SUSPENDED,
            available_rupiah=50_000,
            month=a_month(used_rupiah=550_000, packages_used=2),
        ),
    )


GOODS_AND_MONEY = [
    "cash_not_permitted:1",
    "category_not_permitted:2",
    "product_not_permitted:3",
    "price_above_ceiling:4",
    "package_cap_exceeded",
    "entitlement_exceeded",
    "packages_used_up",
    "monthly_cap_exceeded",
    "suspected_misuse",
]

MENDED_ONE_BY_ONE: list[tuple[Step, list[str]]] = [
    (as_it_was, ["merchant_unknown", "merchant_suspended", "terminal_not_permitted"]),
    (the_shop(admitted_on=TODAY), ["merchant_suspended", "terminal_not_permitted"]),
    (the_shop(status=MerchantStatus.ACTIVE), ["terminal_not_permitted"]),
    (the_terminal(TerminalStatus.ACTIVE), ["card_unknown"]),
    (known_but_no_better, ["card_not_activated", "card_expired"]),
    (the_card(status=CardStatus.LOST), ["card_lost", "card_expired"]),
    (the_card(status=CardStatus.STOLEN), ["card_stolen", "card_expired"]),
    (the_card(status=CardStatus.BLOCKED), ["card_expired", "card_blocked"]),
    (the_card(expires_on=TODAY), ["card_blocked"]),
    (the_card(status=CardStatus.ACTIVE), ["beneficiary_suspended"]),
    (the_family(status=BeneficiaryStatus.REMOVED), ["beneficiary_removed"]),
    (the_family(status=BeneficiaryStatus.ACTIVE), ["programme_not_started", *GOODS_AND_MONEY]),
    (the_programme(starts_at=BEFORE_TODAY, ends_at=A_MORNING), ["programme_ended", *GOODS_AND_MONEY]),
    (the_programme(ends_at=AFTER_TODAY), GOODS_AND_MONEY),
    (line(1, a_line(amount=100_000)), GOODS_AND_MONEY[1:]),
    (line(2, a_line(amount=100_000)), GOODS_AND_MONEY[2:]),
    (line(3, a_priced_line("beras premium", "10", 10_000)), GOODS_AND_MONEY[3:]),
    (line(4, a_priced_line("telur ayam ras", "4", 25_000)), GOODS_AND_MONEY[4:]),
    (the_programme(package_rupiah=400_000), GOODS_AND_MONEY[5:]),
    (the_family(available_rupiah=400_000), GOODS_AND_MONEY[6:]),
    (the_month(packages_used=1), GOODS_AND_MONEY[7:]),
    (the_month(used_rupiah=200_000), GOODS_AND_MONEY[8:]),
    (marked(A_MORNING), []),
]
CASES = list(
    accumulate((mend for mend, _ in MENDED_ONE_BY_ONE), lambda case, mend: mend(case), initial=WRONG_IN_EVERY_WAY)
)
ROWS = [(case, told) for case, (_, told) in zip(CASES[1:], MENDED_ONE_BY_ONE, strict=True)]


def first(told: list[str]) -> DeclineReason | None:
    return DeclineReason(told[0].partition(":")[0]) if told else None


DECLINED = {reason: case for case, told in ROWS if (reason := first(told)) is not None}
EARLY = [
    (number, case, reason.stage) for number, (reason, case) in enumerate(DECLINED.items()) if reason.stage <= Stage.PIN
]
LATE = [case for reason, case in DECLINED.items() if reason.stage > Stage.PIN]


def test_every_reason_has_its_row_in_the_order_of_precedence() -> None:
    assert [first(told) for _, told in MENDED_ONE_BY_ONE] == [*DeclineReason, None]


@pytest.mark.parametrize(("case", "told"), ROWS, ids=[told[0] if told else "approved" for _, told in ROWS])
def test_mending_one_fault_shows_the_next(case: Case, told: list[str]) -> None:
    decision = case.decision
    assert reasons(decision) == told
    assert decision.approved is not bool(told)
    assert case.answer["reason"] == (first(told) or "approved")


@pytest.mark.parametrize(("number", "case", "stage"), EARLY)
def test_a_finder_of_a_card_learns_nothing_of_the_later_stages(number: int, case: Case, stage: Stage) -> None:
    """The answer is the same, word for word, when all that is wrong later is mended."""
    good_later_on = case
    for (_, told), (mend, _) in pairwise(MENDED_ONE_BY_ONE[number:]):
        if (reason := first(told)) is not None and reason.stage > stage:
            good_later_on = mend(good_later_on)
    assert good_later_on.facts != case.facts
    assert good_later_on.purchase != case.purchase
    assert good_later_on.answer == case.answer


@pytest.mark.parametrize("case", [case for _, case, _ in EARLY])
def test_no_money_is_told_while_an_early_stage_fails(case: Case) -> None:
    decision = case.decision
    assert (decision.room, decision.largest_rupiah, decision.voucher_uses) == (None, 0, ())
    assert "remaining" not in case.answer
    assert case.answer["largest_approvable_amount"] == 0
    assert "Rp" not in case.answer["message"]


@pytest.mark.parametrize("case", DECLINED.values(), ids=DECLINED)
def test_a_declined_request_pays_for_nothing_and_changes_nothing(case: Case) -> None:
    decision = case.decision
    assert (decision.approved_rupiah, decision.reduction_rupiah, decision.tender_due_rupiah) == (0, 0, 400_000)
    assert decision.family == case.facts.family


@pytest.mark.parametrize("case", LATE)
def test_from_the_programme_on_a_decline_says_what_is_left(case: Case) -> None:
    decision = case.decision
    assert decision.room is not None
    assert "remaining" in case.answer


SPOILT: dict[DeclineReason, Step] = {
    DeclineReason.MERCHANT_UNKNOWN: the_shop(leaves_on=YESTERDAY),
    DeclineReason.MERCHANT_SUSPENDED: the_shop(status=MerchantStatus.SUSPENDED),
    DeclineReason.TERMINAL_NOT_PERMITTED: the_terminal(TerminalStatus.SUSPENDED),
    DeclineReason.CARD_UNKNOWN: no_card,
    DeclineReason.CARD_NOT_ACTIVATED: the_card(status=CardStatus.NOT_ACTIVATED),
    DeclineReason.CARD_LOST: the_card(status=CardStatus.LOST),
    DeclineReason.CARD_STOLEN: the_card(status=CardStatus.STOLEN),
    DeclineReason.CARD_EXPIRED: the_card(expires_on=YESTERDAY),
    DeclineReason.CARD_BLOCKED: the_card(status=CardStatus.REPLACED),
    DeclineReason.BENEFICIARY_SUSPENDED: the_family(status=BeneficiaryStatus.SUSPENDED),
    DeclineReason.BENEFICIARY_REMOVED: the_family(status=BeneficiaryStatus.REMOVED),
    DeclineReason.PROGRAMME_NOT_STARTED: the_programme(starts_at=AFTER_TODAY),
    DeclineReason.PROGRAMME_ENDED: the_programme(ends_at=A_MORNING),
    DeclineReason.CASH_NOT_PERMITTED: one_more(a_line("tarik_tunai", 1_000)),
    DeclineReason.CATEGORY_NOT_PERMITTED: one_more(a_line("rokok", 1_000)),
    DeclineReason.PRODUCT_NOT_PERMITTED: one_more(a_priced_line("sarden 155 g", "1", 12_000, unit="karton")),
    DeclineReason.PRICE_ABOVE_CEILING: one_more(a_priced_line("gula pasir", "1", 17_501)),
    DeclineReason.PACKAGE_CAP_EXCEEDED: the_programme(package_rupiah=149_999),
    DeclineReason.ENTITLEMENT_EXCEEDED: the_family(available_rupiah=149_999),
    DeclineReason.PACKAGES_USED_UP: the_month(packages_used=2),
    DeclineReason.MONTHLY_CAP_EXCEEDED: the_month(used_rupiah=450_001),
    DeclineReason.SUSPECTED_MISUSE: marked(AFTER_TODAY),
}
CANNOT_HOLD_TOGETHER = [
    # A card that is not there has no status, no last day and no family; one that is there has one status.
    {"card_unknown", "card_not_activated", "card_lost", "card_stolen", "card_blocked"},
    {"card_unknown", "card_expired"},
    # A family has one status; a programme starts before it ends.
    {"beneficiary_suspended", "beneficiary_removed"},
    {"programme_not_started", "programme_ended"},
]
PAIRS = [
    pair
    for pair in combinations(DeclineReason, 2)
    if not any({str(each) for each in pair} <= group for group in CANNOT_HOLD_TOGETHER)
]
A_GOOD_REQUEST = Case(a_purchase(), facts())


def _told_together(earlier: DeclineReason, later: DeclineReason) -> bool:
    return earlier.stage == later.stage or earlier.stage >= Stage.PROGRAMME_AND_GOODS


def _bare(decision: Decision) -> list[str]:
    return [each.reason for each in decision.refusals]


def test_nothing_is_wrong_with_a_good_request() -> None:
    assert A_GOOD_REQUEST.decision.approved


def test_a_check_outside_the_basket_lets_nothing_pass_one_of_the_basket_changes_nothing() -> None:
    largest = {reason: step(A_GOOD_REQUEST).decision.largest_rupiah for reason, step in SPOILT.items()}
    of_goods = {reason: 300_000 for reason in DeclineReason if reason.endswith("_permitted")}
    assert largest == dict.fromkeys(DeclineReason, 0) | of_goods | {
        DeclineReason.TERMINAL_NOT_PERMITTED: 0,
        DeclineReason.PRICE_ABOVE_CEILING: 300_000,
        DeclineReason.PACKAGE_CAP_EXCEEDED: 149_999,
        DeclineReason.ENTITLEMENT_EXCEEDED: 149_999,
        DeclineReason.MONTHLY_CAP_EXCEEDED: 149_999,
    }


def test_each_reason_can_be_the_only_one() -> None:
    assert {reason: _bare(step(A_GOOD_REQUEST).decision) for reason, step in SPOILT.items()} == {
        reason: [reason] for reason in DeclineReason
    }


@pytest.mark.parametrize(("earlier", "later"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_of_two_faults_the_earlier_is_the_reason(earlier: DeclineReason, later: DeclineReason) -> None:
    both = SPOILT[earlier](SPOILT[later](A_GOOD_REQUEST))
    assert _bare(both.decision) == ([earlier, later] if _told_together(earlier, later) else [earlier])


@pytest.mark.parametrize(
    ("one_line", "reason"),
    [
        (a_priced_line("pulsa 50", "1", 51_000, category="pulsa", unit="lembar"), "cash_not_permitted:1"),
        (a_priced_line("rokok kretek", "1", 35_000, category="rokok", unit="bungkus"), "category_not_permitted:1"),
        (a_priced_line("telur ayam ras", "10", 60_000, unit="butir"), "product_not_permitted:1"),
        (a_priced_line("telur ayam ras", "1", 60_000, category="ayam"), "product_not_permitted:1"),
    ],
)
def test_a_line_gives_one_reason_its_first(one_line: Line, reason: str) -> None:
    told = reasons(decide(a_purchase(one_line), facts()))
    assert [each for each in told if ":" in each] == [reason]


def test_reasons_are_sorted_by_precedence_then_line() -> None:
    too_dear, tobacco = a_priced_line("telur ayam ras", "1", 31_000), a_line("rokok", 30_000)
    purchase = a_purchase(too_dear, tobacco, too_dear, tobacco, a_line("transfer", 500_000))
    assert reasons(decide(purchase, facts())) == [
        "cash_not_permitted:5",
        "category_not_permitted:2",
        "category_not_permitted:4",
        "price_above_ceiling:1",
        "price_above_ceiling:3",
        "package_cap_exceeded",
        "monthly_cap_exceeded",
    ]


def test_no_rule_reads_the_terminals_clock() -> None:
    long_ago, far_ahead = (
        a_purchase(terminal_time=datetime(year, 1, 1, tzinfo=A_MORNING.tzinfo)) for year in (2001, 2099)
    )
    assert decide(long_ago, facts()) == decide(far_ahead, facts()) == decide(a_purchase(), facts())


THE_CONTRACT = [
    ("merchant_unknown", 1, "03"),
    ("merchant_suspended", 1, "03"),
    ("terminal_not_permitted", 1, "58"),
    ("card_unknown", 2, "14"),
    ("card_not_activated", 2, "78"),
    ("card_lost", 2, "41"),
    ("card_stolen", 2, "43"),
    ("card_expired", 2, "54"),
    ("card_blocked", 2, "62"),
    ("beneficiary_suspended", 3, "62"),
    ("beneficiary_removed", 3, "62"),
    ("pin_tries_exceeded", 4, "75"),
    ("pin_missing", 4, "55"),
    ("pin_wrong", 4, "55"),
    ("programme_not_started", 5, "57"),
    ("programme_ended", 5, "57"),
    ("cash_not_permitted", 5, "57"),
    ("category_not_permitted", 5, "57"),
    ("product_not_permitted", 5, "57"),
    ("price_above_ceiling", 5, "13"),
    ("package_cap_exceeded", 6, "61"),
    ("entitlement_exceeded", 6, "51"),
    ("packages_used_up", 6, "65"),
    ("monthly_cap_exceeded", 6, "61"),
    ("suspected_misuse", 6, "59"),
]


def test_order_stage_and_response_code_are_the_contracts() -> None:
    known = {str(reason) for reason in DeclineReason}
    assert [(reason, reason.stage, reason.response_code) for reason in DeclineReason] == [
        row for row in THE_CONTRACT if row[0] in known
    ]


def test_every_reason_of_the_contract_can_be_given_but_those_of_pin() -> None:
    """This test asks for its own end: with the PIN nothing is missing."""
    missing = {reason for reason, _, _ in THE_CONTRACT} - {str(reason) for reason in DeclineReason}
    assert missing == {"pin_tries_exceeded", "pin_missing", "pin_wrong"}


def test_a_basket_that_may_be_cut_does_not_pass_where_misuse_is_suspected() -> None:
    case = marked(AFTER_TODAY)(Case(a_purchase(partial_approval=True), facts()))
    assert reasons(case.decision) == ["suspected_misuse"]
    assert case.answer["approved_amount"] == 0
