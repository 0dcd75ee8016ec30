"""What each line of a basket gets, as `contract.md` has it under "Partial approval and price reduction"."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.answers import decision_document
from authz_service.requests import Line, times_quantity
from authz_service.rules.basket import LineAction
from authz_service.rules.decide import Decision, decide
from authz_service.rules.facts import Facts, Family, Programme
from authz_service.rules.goods import LINE_RULES, ceiling_of, price_is_above_ceiling
from authz_service.rules.money import room_of
from authz_service.vocabulary import AboveCeiling, DetailsRequired
from tests.builders import (
    a_ceiling,
    a_family,
    a_line,
    a_month,
    a_priced_line,
    a_product,
    a_programme,
    a_purchase,
    any_family,
    any_programme,
    facts,
    instant,
    listed,
    quickly,
    reasons,
)

DECLINES = a_programme(above_ceiling=AboveCeiling.DECLINE)
REDUCES = a_programme(above_ceiling=AboveCeiling.REDUCE)
FISH = a_line("ikan_kaleng", 100_000)
RICE = a_priced_line("beras premium", "5", 15_400)
"""Rp77.000, at its ceiling."""
DEAR_RICE = a_priced_line("beras premium", "5", 19_000)
"""Rp95.000, of which Rp77.000 at the ceiling: basket D of the shared data."""
TOBACCO = a_priced_line("rokok kretek", "1", 35_000, category="rokok", unit="bungkus")
CASH = a_line("tarik_tunai", 50_000)
LOOSE_RICE = a_line("beras", 20_000)
"""Without the details that Samarinda requires."""


def with_month_left(rupiah: int) -> Family:
    return a_family(month=a_month(used_rupiah=600_000 - rupiah))


def decided(
    *lines: Line, partial: bool, programme: Programme = DECLINES, family: Family | None = None, **changes: Any
) -> Decision:
    under = facts(programme=programme, family=family or a_family(), **changes)
    return decide(a_purchase(*lines, partial_approval=partial), under)


def shown(decision: Decision) -> list[str]:
    """`accepted 77000` for each line, in order."""
    return [f"{line.action} {line.approved_rupiah}" for line in decision.lines]


def amounts(decision: Decision) -> tuple[int, int, int]:
    """approved, tender due, price reduction."""
    return decision.approved_rupiah, decision.tender_due_rupiah, decision.reduction_rupiah


def code(decision: Decision, *lines: Line) -> str:
    document = decision_document(a_purchase(*lines), facts(), decision, None, None)
    assert isinstance(document["response_code"], str)
    return document["response_code"]


WORKED_EXAMPLES: list[tuple[str, dict[str, Any], list[Line], list[str], tuple[int, int, int], list[str], str]] = [
    (
        "all of it is good",
        {"partial": True},
        [FISH, RICE],
        ["accepted 100000", "accepted 77000"],
        (177_000, 0, 0),
        [],
        "00",
    ),
    (
        "1: a cash line declines the whole",
        {"partial": False},
        [FISH, CASH],
        ["rejected 0", "rejected 0"],
        (0, 150_000, 0),
        ["cash_not_permitted:2"],
        "57",
    ),
    (
        "1: also where the terminal asked for partial approval",
        {"partial": True},
        [FISH, CASH],
        ["rejected 0", "rejected 0"],
        (0, 150_000, 0),
        ["cash_not_permitted:2"],
        "57",
    ),
    (
        "1: and names what else is wrong",
        {"partial": True},
        [TOBACCO, CASH, DEAR_RICE],
        ["rejected 0", "rejected 0", "rejected 0"],
        (0, 180_000, 0),
        ["cash_not_permitted:2", "category_not_permitted:1", "price_above_ceiling:3"],
        "57",
    ),
    (
        "2: a line outside the list is cut out",
        {"partial": True},
        [FISH, TOBACCO, RICE],
        ["accepted 100000", "rejected 0", "accepted 77000"],
        (177_000, 35_000, 0),
        ["category_not_permitted:2"],
        "10",
    ),
    (
        "2: each cut line says why",
        {"partial": True},
        [DEAR_RICE, LOOSE_RICE, TOBACCO, FISH],
        ["rejected 0", "rejected 0", "rejected 0", "accepted 100000"],
        (100_000, 150_000, 0),
        ["category_not_permitted:3", "product_not_permitted:2", "price_above_ceiling:1"],
        "10",
    ),
    (
        "2: without partial approval the purchase declines",
        {"partial": False},
        [FISH, TOBACCO],
        ["rejected 0", "rejected 0"],
        (0, 135_000, 0),
        ["category_not_permitted:2"],
        "57",
    ),
    (
        "2: nothing is left when every line is cut",
        {"partial": True},
        [TOBACCO, DEAR_RICE],
        ["rejected 0", "rejected 0"],
        (0, 130_000, 0),
        ["category_not_permitted:1", "price_above_ceiling:2"],
        "57",
    ),
    (
        "3: a high price counts at its ceiling, without asking for partial approval, and is 00",
        {"partial": False, "programme": REDUCES},
        [DEAR_RICE, FISH],
        ["price_reduced 77000", "accepted 100000"],
        (177_000, 0, 18_000),
        [],
        "00",
    ),
    (
        "3: the same where partial approval was asked for",
        {"partial": True, "programme": REDUCES},
        [DEAR_RICE, FISH],
        ["price_reduced 77000", "accepted 100000"],
        (177_000, 0, 18_000),
        [],
        "00",
    ),
    (
        "3: a reduction beside a cut line is 10",
        {"partial": True, "programme": REDUCES},
        [DEAR_RICE, TOBACCO],
        ["price_reduced 77000", "rejected 0"],
        (77_000, 35_000, 18_000),
        ["category_not_permitted:2"],
        "10",
    ),
    (
        "4: the line where the month runs out is partly funded, later ones are rejected",
        {"partial": True, "family": with_month_left(150_000)},
        [FISH, RICE, FISH],
        ["accepted 100000", "partly_funded 50000", "rejected 0"],
        (150_000, 127_000, 0),
        ["monthly_cap_exceeded:2", "monthly_cap_exceeded:3"],
        "10",
    ),
    (
        "4: lines are funded in their order, not by what would fit",
        {"partial": True, "family": with_month_left(50_000)},
        [FISH, a_line(amount=50_000)],
        ["partly_funded 50000", "rejected 0"],
        (50_000, 100_000, 0),
        ["monthly_cap_exceeded:1", "monthly_cap_exceeded:2"],
        "10",
    ),
    (
        "4: where it runs out between two lines none is partly funded",
        {"partial": True, "family": with_month_left(100_000)},
        [FISH, RICE],
        ["accepted 100000", "rejected 0"],
        (100_000, 77_000, 0),
        ["monthly_cap_exceeded:2"],
        "10",
    ),
    (
        "4: a cut line takes no money from the next",
        {"partial": True, "family": with_month_left(100_000)},
        [TOBACCO, FISH, RICE],
        ["rejected 0", "accepted 100000", "rejected 0"],
        (100_000, 112_000, 0),
        ["category_not_permitted:1", "monthly_cap_exceeded:3"],
        "10",
    ),
    (
        "4: the package is the limit",
        {"partial": True},
        [FISH, FISH, FISH, FISH],
        ["accepted 100000", "accepted 100000", "accepted 100000", "rejected 0"],
        (300_000, 100_000, 0),
        ["package_cap_exceeded:4"],
        "10",
    ),
    (
        "4: the entitlement is the limit",
        {"partial": True, "family": a_family(available_rupiah=60_000)},
        [FISH],
        ["partly_funded 60000"],
        (60_000, 40_000, 0),
        ["entitlement_exceeded:1"],
        "10",
    ),
    (
        "4: of limits that bind alike the first in precedence is the reason",
        {"partial": True, "family": a_family(available_rupiah=60_000, month=a_month(used_rupiah=540_000))},
        [FISH],
        ["partly_funded 60000"],
        (60_000, 40_000, 0),
        ["entitlement_exceeded:1"],
        "10",
    ),
    (
        "4: without partial approval the purchase declines",
        {"partial": False, "family": with_month_left(150_000)},
        [FISH, RICE],
        ["rejected 0", "rejected 0"],
        (0, 177_000, 0),
        ["monthly_cap_exceeded"],
        "61",
    ),
    (
        "4: approved nothing is a decline",
        {"partial": True, "family": a_family(month=a_month(packages_used=2))},
        [FISH, RICE],
        ["rejected 0", "rejected 0"],
        (0, 177_000, 0),
        ["packages_used_up:1", "packages_used_up:2"],
        "65",
    ),
    (
        "4: a decline is named after the first reason in precedence, whatever its line",
        {"partial": True, "family": with_month_left(0)},
        [FISH, TOBACCO],
        ["rejected 0", "rejected 0"],
        (0, 135_000, 0),
        ["category_not_permitted:2", "monthly_cap_exceeded:1"],
        "57",
    ),
    (
        "a decline in part lists every limit that it breaks, not only the one that cut the lines",
        {"partial": True, "family": a_family(month=a_month(packages_used=2, used_rupiah=400_000))},
        [a_line("ikan_kaleng", 400_000)],
        ["rejected 0"],
        (0, 400_000, 0),
        ["package_cap_exceeded", "packages_used_up:1", "monthly_cap_exceeded"],
        "61",
    ),
    (
        "a reduced line that is not fully funded is partly funded; its reduction is the shop's all the same",
        {"partial": True, "programme": REDUCES, "family": with_month_left(50_000)},
        [DEAR_RICE],
        ["partly_funded 50000"],
        (50_000, 27_000, 18_000),
        ["monthly_cap_exceeded:1"],
        "10",
    ),
    (
        "a reduced line that just fits is price reduced",
        {"partial": True, "programme": REDUCES, "family": with_month_left(77_000)},
        [DEAR_RICE],
        ["price_reduced 77000"],
        (77_000, 0, 18_000),
        [],
        "00",
    ),
    (
        "a rejected line counts whole into what is due, its reduction too",
        {"partial": True, "programme": REDUCES, "family": with_month_left(100_000)},
        [FISH, DEAR_RICE],
        ["accepted 100000", "rejected 0"],
        (100_000, 95_000, 0),
        ["monthly_cap_exceeded:2"],
        "10",
    ),
    (
        "money is looked at after price reduction",
        {"partial": False, "programme": REDUCES, "family": with_month_left(77_000)},
        [DEAR_RICE],
        ["price_reduced 77000"],
        (77_000, 0, 18_000),
        [],
        "00",
    ),
    (
        "in a decline, too",
        {"partial": False, "programme": REDUCES, "family": with_month_left(112_000)},
        [DEAR_RICE, TOBACCO],
        ["rejected 0", "rejected 0"],
        (0, 130_000, 0),
        ["category_not_permitted:2"],
        "57",
    ),
    (
        "without partial approval a refused line counts for the money checks",
        {"partial": False, "family": with_month_left(100_000)},
        [FISH, TOBACCO],
        ["rejected 0", "rejected 0"],
        (0, 135_000, 0),
        ["category_not_permitted:2", "monthly_cap_exceeded"],
        "57",
    ),
    (
        "with it, money is looked at after the rejected lines, also when the programme has ended",
        {"partial": True, "family": with_month_left(100_000), "now": "2024-12-31T16:00:00Z"},
        [FISH, TOBACCO],
        ["rejected 0", "rejected 0"],
        (0, 135_000, 0),
        ["programme_ended", "category_not_permitted:2"],
        "57",
    ),
]


@pytest.mark.parametrize(
    ("how", "lines", "lines_shown", "sums", "told", "response_code"),
    [example[1:] for example in WORKED_EXAMPLES],
    ids=[example[0] for example in WORKED_EXAMPLES],
)
def test_the_contracts_paragraph_worked_out(
    how: dict[str, Any],
    lines: list[Line],
    lines_shown: list[str],
    sums: tuple[int, int, int],
    told: list[str],
    response_code: str,
) -> None:
    decision = decided(*lines, **how)
    assert shown(decision) == lines_shown
    assert amounts(decision) == sums
    assert reasons(decision) == told
    assert decision.approved is (sums[0] > 0)
    assert code(decision, *lines) == response_code


@pytest.mark.parametrize(
    ("quantity", "unit_price", "at_the_ceiling"),
    [
        ("0.001", 15_600, 15),
        ("0.005", 15_500, 77),
        ("0.125", 15_500, 1_925),
        ("2.333", 19_000, 35_928),
    ],
)
def test_the_ceiling_amount_is_rounded_half_up_like_the_line(
    quantity: str, unit_price: int, at_the_ceiling: int
) -> None:
    line = a_priced_line("beras premium", quantity, unit_price)
    decision = decided(line, partial=False, programme=REDUCES)
    assert shown(decision) == [f"price_reduced {at_the_ceiling}"]
    assert amounts(decision) == (at_the_ceiling, 0, line.amount - at_the_ceiling)


def test_a_line_above_its_ceiling_is_price_reduced_also_where_rounding_hides_it() -> None:
    """A line is above its ceiling when its unit price is. A gram costs Rp15 at Rp15.401 a kilogram as at Rp15.400."""
    decision = decided(a_priced_line("beras premium", "0.001", 15_401), partial=False, programme=REDUCES)
    assert shown(decision) == ["price_reduced 15"]


@pytest.mark.parametrize("partial", [False, True])
def test_a_line_that_is_worth_nothing_at_its_ceiling_is_not_approved(partial: bool) -> None:
    """Approved nothing is a decline, and a rupiah is something."""
    cheap = a_product(a_ceiling(499))
    programme = a_programme(above_ceiling=AboveCeiling.REDUCE, products=listed(cheap))
    nothing = decided(a_priced_line("telur ayam ras", "0.001", 600), partial=partial, programme=programme)
    assert not nothing.approved
    assert reasons(nothing) == ["price_above_ceiling:1"]
    assert amounts(nothing) == (0, 1, 0)
    a_rupiah = decided(a_priced_line("telur ayam ras", "0.002", 1_000), partial=partial, programme=programme)
    assert amounts(a_rupiah) == (1, 0, 1)


def test_an_approval_never_costs_more_than_the_ceiling_at_any_point_of_the_funding() -> None:
    decision = decided(DEAR_RICE, DEAR_RICE, DEAR_RICE, DEAR_RICE, partial=True, programme=REDUCES)
    assert shown(decision) == ["price_reduced 77000"] * 3 + ["partly_funded 69000"]
    assert amounts(decision) == (300_000, 8_000, 72_000)


@pytest.mark.parametrize(
    ("lines", "how"),
    [
        ([FISH, TOBACCO, FISH, FISH, FISH], {"partial": True}),
        ([FISH, TOBACCO, FISH, FISH, FISH], {"partial": False}),
        ([DEAR_RICE, FISH], {"partial": False, "programme": REDUCES}),
        ([RICE, DEAR_RICE], {"partial": True, "programme": REDUCES, "family": with_month_left(100_000)}),
    ],
)
def test_each_line_is_answered_under_its_number(lines: list[Line], how: dict[str, Any]) -> None:
    assert [line.number for line in decided(*lines, **how).lines] == list(range(1, len(lines) + 1))


def test_a_basket_cut_down_to_nothing_says_what_would_pass() -> None:
    assert decided(TOBACCO, DEAR_RICE, partial=True).largest_rupiah == 300_000
    assert decided(TOBACCO, partial=True, family=with_month_left(70_000)).largest_rupiah == 70_000


def test_an_approval_in_part_leaves_the_family_what_it_did_not_pay() -> None:
    decision = decided(FISH, TOBACCO, partial=True)
    assert decision.family is not None
    assert decision.family.available_rupiah == 1_700_000
    assert decision.family.month.used_rupiah == 100_000


# Properties of any basket.

PERMITTED = st.sampled_from(["ikan_kaleng", "susu"])
AMOUNT = st.integers(1, 200_000)
UNPRICED = st.builds(a_line, st.one_of(PERMITTED, st.sampled_from(["beras", "rokok"])), AMOUNT)
PRICED = st.builds(
    a_priced_line,
    st.sampled_from(["beras premium", "telur ayam ras", "gula pasir", "sarden 155 g"]),
    st.integers(1, 9_999).map(lambda thousandths: f"{thousandths / 1000:.3f}"),
    st.integers(12_000, 45_000),
)
LINES = st.lists(st.one_of(UNPRICED, PRICED, PRICED, PRICED), min_size=1, max_size=6)


@st.composite
def any_decision(draw: st.DrawFn) -> tuple[tuple[Line, ...], bool, Facts, Decision]:
    programme = draw(
        any_programme(
            above_ceiling=draw(st.sampled_from(AboveCeiling)), details_required=draw(st.sampled_from(DetailsRequired))
        )
    )
    lines = draw(LINES)
    if draw(st.integers(0, 9)) == 0:
        lines = [*lines, a_line("tunai", 10_000)]
    now = instant(draw(st.sampled_from(["2024-11-05T02:00:00Z"] * 9 + ["2025-01-05T02:00:00Z"])))
    under = facts(now=now, programme=programme, family=draw(any_family(programme)))
    partial = draw(st.booleans())
    return tuple(lines), partial, under, decide(a_purchase(*lines, partial_approval=partial), under)


Drawn = tuple[tuple[Line, ...], bool, Facts, Decision]


@quickly
@given(any_decision())
def test_amount_is_approved_plus_due_plus_reduction(drawn: Drawn) -> None:
    lines, _, _, decision = drawn
    assert sum(amounts(decision)) == sum(line.amount for line in lines)
    assert min(amounts(decision)) >= 0
    assert decision.approved_rupiah == sum(line.approved_rupiah for line in decision.lines)
    assert decision.reduction_rupiah == sum(line.reduction_rupiah for line in decision.lines)


@quickly
@given(any_decision())
def test_no_line_is_paid_above_its_ceiling_or_its_amount(drawn: Drawn) -> None:
    lines, _, under, decision = drawn
    for line, outcome in zip(lines, decision.lines, strict=True):
        assert outcome.approved_rupiah + outcome.reduction_rupiah <= line.amount
        ceiling_rupiah = ceiling_of(line, under)
        if ceiling_rupiah is not None and line.quantity is not None:
            assert outcome.approved_rupiah <= times_quantity(ceiling_rupiah, line.quantity)


@quickly
@given(any_decision())
def test_no_more_is_approved_than_there_is_room(drawn: Drawn) -> None:
    _, _, under, decision = drawn
    assert under.family is not None
    assert decision.approved_rupiah <= room_of(under.family, under.programme).purchase_rupiah


@quickly
@given(any_decision())
def test_a_decline_pays_for_nothing_and_has_a_reason(drawn: Drawn) -> None:
    lines, _, under, decision = drawn
    assert decision.approved is (decision.approved_rupiah > 0)
    if not decision.approved:
        assert amounts(decision) == (0, sum(line.amount for line in lines), 0)
        assert {line.action for line in decision.lines} == {LineAction.REJECTED}
        assert decision.refusals
        assert decision.family == under.family


@quickly
@given(any_decision())
def test_without_partial_approval_it_is_all_or_nothing(drawn: Drawn) -> None:
    _, partial, _, decision = drawn
    if decision.approved and not partial:
        assert decision.tender_due_rupiah == 0
        assert decision.refusals == ()
        assert {line.action for line in decision.lines} <= {LineAction.ACCEPTED, LineAction.PRICE_REDUCED}


@quickly
@given(any_decision())
def test_a_cash_line_always_declines(drawn: Drawn) -> None:
    lines, _, _, decision = drawn
    if any(line.category == "tunai" for line in lines):
        assert not decision.approved
        assert f"cash_not_permitted:{len(lines)}" in reasons(decision)


@quickly
@given(any_decision())
def test_lines_are_funded_in_their_order(drawn: Drawn) -> None:
    """Once money cut a line, every later one is rejected; each cut line has one reason, each other none."""
    _, _, _, decision = drawn
    if not decision.approved:
        return
    cut = [line for line in decision.lines if line.action in {LineAction.PARTLY_FUNDED, LineAction.REJECTED}]
    assert sorted(refusal.line or 0 for refusal in decision.refusals) == [line.number for line in cut]
    assert bool(cut) is (decision.tender_due_rupiah > 0)
    short = [line for line in cut if line.reason is not None and line.reason.endswith(("exceeded", "used_up"))]
    if short:
        assert {line.approved_rupiah for line in decision.lines[short[0].number :]} <= {0}
        assert {line.action for line in short[1:]} <= {LineAction.REJECTED}
        assert len({line.reason for line in short}) == 1


@quickly
@given(any_decision())
def test_a_reduction_is_what_a_line_asks_above_its_ceiling(drawn: Drawn) -> None:
    lines, _, under, decision = drawn
    for line, outcome in zip(lines, decision.lines, strict=True):
        if outcome.reduction_rupiah:
            assert under.programme.above_ceiling is AboveCeiling.REDUCE
            assert price_is_above_ceiling(line, under)
            assert outcome.reduction_rupiah == line.amount - _payable(line, under)


@quickly
@given(any_decision())
def test_with_partial_approval_all_that_may_be_paid_is_paid_while_there_is_room(drawn: Drawn) -> None:
    lines, partial, under, decision = drawn
    in_time = under.now < under.programme.ends_at
    if partial and in_time and under.family is not None and not any(line.category == "tunai" for line in lines):
        most = room_of(under.family, under.programme).purchase_rupiah
        assert decision.approved_rupiah == min(most, sum(_payable(line, under) for line in lines))


def _payable(line: Line, under: Facts) -> int:
    """What the programme would pay for the line if money were no question."""
    if any(rule(line, under) is not None for rule in LINE_RULES):
        return 0
    ceiling_rupiah = ceiling_of(line, under)
    if ceiling_rupiah is None or line.quantity is None:
        return line.amount
    return min(line.amount, times_quantity(ceiling_rupiah, line.quantity))
