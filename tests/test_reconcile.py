"""Bank and books are compared thing by thing, in whatever order lines come; exactly what is odd is an exception."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.reconciliation.findings import Finding, Funding, Payout, State, Step
from authz_service.reconciliation.reconcile import reconcile
from authz_service.reconciliation.statement_lines import StatementLine, identified

MONDAY: Final = date(2024, 10, 7)
A_DAY: Final = timedelta(days=1)
ACCOUNT: Final = "000000000017"
ALL: Final = (Step.SETTLE, Step.RETURN, Step.RELEASE)


def a_payout(number: int = 1, *events: str, **changes: Any) -> Payout:
    """Of Monday; its events are of Tuesday."""
    good: dict[str, Any] = {
        "reference": f"pay_{number:026d}",
        "merchant_id": "mrc_1",
        "amount_rupiah": 150_000,
        "account_number": ACCOUNT,
        "created_on": MONDAY,
        "events": dict.fromkeys(events, MONDAY + A_DAY),
    }
    return Payout(**good | changes)


def a_line(amount_rupiah: int, reference: str = "", **changes: Any) -> StatementLine:
    good: dict[str, Any] = {"line": 1, "booked_on": MONDAY + A_DAY, "bank_reference": ""}
    return StatementLine(amount_rupiah=amount_rupiah, reference=reference, **good | changes)


def found(
    lines: list[StatementLine],
    *things: Payout | Funding,
    covered_until: date | None = MONDAY + 3 * A_DAY,
    known: Mapping[bytes, str] | None = None,
    is_closed: bool = False,
) -> list[Finding]:
    return reconcile(
        identified(lines),
        [each for each in things if isinstance(each, Payout)],
        [each for each in things if isinstance(each, Funding)],
        known=known or {},
        covered_until=covered_until,
        proposal_days=3,
        is_closed=is_closed,
    )


OUT, BACK, MORE = -150_000, 150_000, -150_001
PAID, CAME_BACK, FREED = "settled", "returned", "released"


@pytest.mark.parametrize(
    ("events", "amounts", "state", "steps"),
    [
        ((), (), State.MISSING_THERE, ()),
        ((), (OUT,), State.MATCHED, (Step.SETTLE,)),
        ((), (OUT, BACK), State.MATCHED, ALL),
        ((), (BACK,), State.RETURN_WITHOUT_PAYMENT, ()),
        ((), (MORE,), State.AMOUNT_DIFFERS, ()),
        ((), (OUT, MORE), State.AMOUNT_DIFFERS, ()),
        ((), (OUT, OUT), State.MORE_THAN_ONCE, ()),
        ((), (OUT, BACK, OUT), State.MORE_THAN_ONCE, ()),
        ((), (OUT, BACK, BACK), State.MORE_THAN_ONCE, ()),
        ((PAID,), (), State.MISSING_THERE, ()),
        ((PAID,), (OUT,), State.MATCHED, ()),
        ((PAID,), (OUT, BACK), State.MATCHED, ALL[1:]),
        ((PAID,), (BACK,), State.RETURN_WITHOUT_PAYMENT, ()),
        ((PAID, CAME_BACK), (), State.MISSING_THERE, ()),
        ((PAID, CAME_BACK), (OUT,), State.MISSING_THERE, ()),
        ((PAID, CAME_BACK), (OUT, BACK), State.MATCHED, ALL[2:]),
        ((PAID, CAME_BACK, FREED), (OUT, BACK), State.MATCHED, ()),
        (("failed",), (), State.MATCHED, ()),
        (("failed",), (OUT,), State.PAID_THOUGH_FAILED, ()),
        (("failed",), (OUT, BACK), State.MATCHED, ALL[2:]),
        (("failed", FREED), (OUT, BACK), State.MATCHED, ()),
        (("failed", FREED), (OUT,), State.PAID_THOUGH_FAILED, ()),
    ],
)
def test_what_is_so_of_a_payout(
    events: tuple[str, ...], amounts: tuple[int, ...], state: State, steps: tuple[Step, ...]
) -> None:
    payout = a_payout(1, *events)
    (finding,) = found([a_line(amount, payout.reference) for amount in amounts], payout)
    assert (finding.state, finding.steps, finding.reference) == (state, steps, payout.reference)
    if steps:
        (closed,) = found([a_line(amount, payout.reference) for amount in amounts], payout, is_closed=True)
        assert (closed.state, closed.steps) == (State.AFTER_THE_CLOSE, ())


@pytest.mark.parametrize(
    ("payout", "covered_until", "state", "since"),
    [
        (a_payout(), None, State.UNDER_WAY, MONDAY),
        (a_payout(), MONDAY, State.UNDER_WAY, MONDAY),
        (a_payout(), MONDAY + A_DAY, State.MISSING_THERE, MONDAY),
        (a_payout(1, PAID), MONDAY, State.UNDER_WAY, MONDAY + A_DAY),
        (a_payout(1, PAID), MONDAY + A_DAY, State.MISSING_THERE, MONDAY + A_DAY),
    ],
)
def test_what_no_statement_could_show_yet_is_not_missed(
    payout: Payout, covered_until: date | None, state: State, since: date
) -> None:
    (finding,) = found([], payout, covered_until=covered_until)
    assert (finding.state, finding.since_on) == (state, since)


@pytest.mark.parametrize(
    ("finding", "days"),
    [
        (found([], a_payout())[0], 60),
        (found([a_line(7)])[0], 59),
        (found([a_line(MORE, a_payout().reference)], a_payout())[0], 59),
        (found([a_line(OUT, a_payout().reference)] * 2, a_payout())[0], 59),
    ],
)
def test_an_exception_is_as_old_as_what_is_odd(finding: Finding, days: int) -> None:
    assert finding.age_days(MONDAY + 60 * A_DAY) == days
    assert finding.age_days(MONDAY - A_DAY) == 0


@pytest.mark.parametrize(
    ("came_on", "amounts", "state", "steps"),
    [
        (None, (), State.UNDER_WAY, ()),
        (None, (5_000,), State.MATCHED, (Step.FUND,)),
        (None, (5_001,), State.AMOUNT_DIFFERS, ()),
        (None, (-5_000,), State.AMOUNT_DIFFERS, ()),
        (None, (5_000, 5_000), State.MORE_THAN_ONCE, ()),
        (MONDAY, (), State.MISSING_THERE, ()),
        (MONDAY, (5_000,), State.MATCHED, ()),
        (MONDAY, (4_999,), State.AMOUNT_DIFFERS, ()),
    ],
)
def test_what_is_so_of_expected_money(
    came_on: date | None, amounts: tuple[int, ...], state: State, steps: tuple[Step, ...]
) -> None:
    funding = Funding(reference="SP2D-7", amount_rupiah=5_000, announced_on=MONDAY, came_on=came_on)
    (finding,) = found([a_line(amount, "SP2D-7") for amount in amounts], funding)
    assert (finding.state, finding.steps) == (state, steps)


def test_a_reference_is_known_without_what_the_banks_alphabet_lacks() -> None:
    payout = a_payout()
    for written in (payout.reference.upper(), payout.reference.replace("_", "-"), payout.reference.replace("_", "")):
        (finding,) = found([a_line(OUT, written)], payout)
        assert finding.state is State.MATCHED, written


def test_a_word_that_could_mean_two_things_means_none() -> None:
    things = [Funding(reference=name, amount_rupiah=5, announced_on=MONDAY, came_on=None) for name in ("A-1", "A1")]
    assert [each.state for each in found([a_line(5, "a1")], *things) if each.lines] == [State.MISSING_HERE]
    (exact,) = (each for each in found([a_line(5, "A-1")], *things) if each.lines)
    assert (exact.reference, exact.state) == ("A-1", State.MATCHED)


def test_the_banks_own_reference_names_a_payout_where_the_amount_is_right_and_it_is_the_only_one() -> None:
    payout, other = a_payout(1, bank_references=frozenset({"B1", "B2"})), a_payout(2, bank_references=frozenset({"B2"}))
    paid, fee, both = (a_line(*what) for what in ((OUT,), (-2_500,), (OUT,)))
    lines = [replace(paid, bank_reference="B1"), replace(fee, bank_reference="B1"), replace(both, bank_reference="B2")]
    states = {(each.reference, each.state) for each in found(lines, payout, other)}
    assert states == {
        (payout.reference, State.MATCHED),
        (other.reference, State.MISSING_THERE),
        ("B1", State.MISSING_HERE),
        ("B2", State.MISSING_HERE),
    }


@pytest.mark.parametrize(
    ("changes", "is_proposed"),
    [
        ({}, True),
        ({"booked_on": MONDAY + 3 * A_DAY}, True),
        ({"booked_on": MONDAY + 4 * A_DAY}, False),
        ({"description": "settlement"}, False),
        ({"description": f"settlement {ACCOUNT}0"}, False),
        ({"amount_rupiah": OUT - 1}, False),
    ],
)
def test_amount_account_and_day_make_a_proposal_and_never_a_match(changes: dict[str, Any], is_proposed: bool) -> None:
    payout = a_payout()
    line = replace(a_line(OUT, description=f"settlement {ACCOUNT} x"), **changes)
    lost, missing = sorted(found([line], payout, covered_until=MONDAY + 9 * A_DAY), key=lambda each: each.state)
    assert (lost.state, missing.state) == (State.MISSING_HERE, State.MISSING_THERE)
    assert lost.proposal == (payout.reference if is_proposed else None)
    assert not lost.steps + missing.steps


def test_several_payouts_that_fit_are_no_proposal() -> None:
    findings = found([a_line(OUT, description=ACCOUNT)], a_payout(1), a_payout(2))
    (lost,) = (each for each in findings if each.state is State.MISSING_HERE)
    assert (lost.proposal, lost.detail) == (None, "Several payouts may be meant.")


def test_a_reference_in_the_words_of_somebody_else_is_not_ours() -> None:
    payout = a_payout()
    findings = found([a_line(BACK, description=payout.reference)], payout)
    assert {each.state for each in findings} == {State.MISSING_HERE, State.MISSING_THERE}


def test_what_a_line_was_about_it_stays_about() -> None:
    payout, line = a_payout(), a_line(OUT, bank_reference="B1")
    (identity,) = (each.identity for each in identified([line]))
    (finding,) = found([line], payout, known={identity: payout.reference})
    assert finding.state is State.MATCHED


# --- Anything may happen to any payout: exactly that is found, in whatever order. -------------------------------------

HAPPENED: Final = {
    "paid": ((OUT,), State.MATCHED),
    "left out": ((), State.MISSING_THERE),
    "returned": ((OUT, BACK), State.MATCHED),
    "too much": ((OUT - 1,), State.AMOUNT_DIFFERS),
    "too little": ((OUT + 1,), State.AMOUNT_DIFFERS),
    "twice": ((OUT, OUT), State.MORE_THAN_ONCE),
    "only back": ((BACK,), State.RETURN_WITHOUT_PAYMENT),
}


@given(st.lists(st.sampled_from(sorted(HAPPENED)), max_size=12), st.integers(0, 3), st.randoms(use_true_random=False))
def test_exactly_what_was_changed_is_found_in_whatever_order_lines_come(
    happened: list[str], strangers: int, chance: Any
) -> None:
    payouts = [a_payout(number) for number in range(len(happened))]
    lines = [
        a_line(amount, payout.reference, booked_on=MONDAY + A_DAY * (1 + place))
        for payout, what in zip(payouts, happened, strict=True)
        for place, amount in enumerate(HAPPENED[what][0])
    ]
    lines += [a_line(-2_500, booked_on=MONDAY + A_DAY * n) for n in range(strangers)]
    expected = {payout.reference: HAPPENED[what][1] for payout, what in zip(payouts, happened, strict=True)}
    findings = found(lines, *payouts)
    assert {each.subject: each.state for each in findings if each.reference} == expected
    assert sum(each.state is State.MISSING_HERE for each in findings) == strangers
    again = list(identified(lines))
    chance.shuffle(again)
    chance.shuffle(payouts)
    assert findings == reconcile(
        again, payouts, [], known={}, covered_until=MONDAY + 3 * A_DAY, proposal_days=3, is_closed=False
    )
