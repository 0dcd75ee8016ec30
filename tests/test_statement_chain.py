"""Whether statements go on from each other: what is missing in between is found, and what only looks so is not."""

from datetime import date
from itertools import permutations

import pytest

from authz_service.reconciliation.findings import Finding, State
from authz_service.reconciliation.statement_chain import Span, breaks_between
from authz_service.reconciliation.statement_lines import StatementLine
from authz_service.reconciliation.working_days import is_working_day
from tests.reconciling import a_statement as as_csv
from tests.reconciling import open_ones, read, reconciled, states, today, tomorrow
from tests.settling import batch_closed, instructions
from tests.world import World

OPENING = 1_000


def on(day: int) -> date:
    """Of October 2024: the 7th is a Monday."""
    return date(2024, 10, day)


def booked(day: int, amount: int) -> StatementLine:
    return StatementLine(line=1, booked_on=on(day), amount_rupiah=amount, reference="", bank_reference="")


def span(first: int, last: int, opening: int) -> Span:
    """How it closes is not looked at here."""
    return Span(from_on=on(first), to_on=on(last), opening_rupiah=opening, closing_rupiah=opening)


def found(spans: list[Span], lines: list[StatementLine], holidays: tuple[date, ...] = ()) -> list[Finding]:
    return breaks_between(spans, lines, lambda day: is_working_day(day, holidays))


LINES = [booked(7, -100), booked(8, 30), booked(9, -5), booked(11, 7)]


def test_statements_that_go_on_from_each_other_or_overlap_are_whole_in_any_order() -> None:
    spans = [span(7, 8, 1_000), span(9, 10, 930), span(8, 11, 900), span(7, 11, 1_000), span(11, 11, 925)]
    for order in permutations(spans):
        assert found(list(order), LINES) == []
    assert found([], []) == found(spans[:1], LINES) == []


def test_a_booking_that_is_in_neither_of_two_statements_is_seen_and_by_how_much() -> None:
    (gap,) = found([span(7, 8, 1_000), span(9, 10, 1_530), span(11, 11, 1_525)], LINES)
    assert (gap.state, gap.reference, gap.since_on) == (State.STATEMENTS_DO_NOT_JOIN, "2024-10-09/2024-10-10", on(9))
    assert (gap.ours_rupiah, gap.theirs_rupiah) == (930, 1_530)
    assert gap.detail == (
        "It opens with Rp1.530, and those before it end with Rp930: bookings in between are missing, or it begins in"
        " the middle of a day."
    )


def test_each_further_break_is_seen_and_the_statements_after_it_are_no_break() -> None:
    gaps = found([span(7, 8, 1_000), span(9, 9, 931), span(10, 10, 926), span(11, 11, 927)], LINES)
    assert [(each.since_on, each.ours_rupiah, each.theirs_rupiah) for each in gaps] == [
        (on(9), 930, 931),
        (on(11), 926, 927),
    ]


def test_a_break_that_undoes_an_earlier_one_is_seen_too() -> None:
    """Rp20 left in no statement, and later Rp20 came in none: two bookings are missing, not one and not none."""
    gaps = found([span(7, 7, 100), span(8, 8, 80), span(9, 9, 80), span(10, 10, 100)], [])
    assert [(each.since_on, each.ours_rupiah, each.theirs_rupiah) for each in gaps] == [
        (on(8), 100, 80),
        (on(10), 80, 100),
    ]


def test_a_statement_from_the_middle_of_a_day_is_one_break_and_the_next_day_none() -> None:
    """The day after goes on from the whole day as well as from its afternoon."""
    whole, noon = span(8, 8, 900), span(8, 8, 930)
    for days in ([whole, noon], [noon, whole]):
        gaps = found([span(7, 7, 1_000), *days, span(9, 9, 930)], LINES)
        assert [(each.since_on, each.theirs_rupiah) for each in gaps] == [(on(8), 930)]


@pytest.mark.parametrize(
    ("first", "last", "missing"),
    [
        (4, 7, None),  # a weekend
        (4, 8, (7, 7)),
        (4, 10, (7, 9)),
        (7, 8, None),
        (8, 8, None),
    ],
)
def test_working_days_without_a_statement_are_missing_also_where_the_balances_agree(
    first: int, last: int, missing: tuple[int, int] | None
) -> None:
    gaps = found([span(2, first, OPENING), span(last, 18, OPENING)], [])
    assert [(each.state, each.subject) for each in gaps] == (
        [] if missing is None else [(State.DAYS_MISSING, f"{on(missing[0])}/{on(missing[1])}")]
    )


def test_a_holiday_needs_no_statement_and_a_longer_statement_covers_a_shorter_ones_gap() -> None:
    assert found([span(2, 4, OPENING), span(8, 9, OPENING)], [], (on(7),)) == []
    assert found([span(2, 9, OPENING), span(3, 4, OPENING), span(8, 10, OPENING)], []) == []


# --- In the queue. ----------------------------------------------------------------------------------------------------


async def test_a_statement_that_is_missing_is_an_exception_until_it_is_read(world: World) -> None:
    one = as_csv((5, "x"), first=today(world), opening=1_776_600_000)
    two = as_csv((7, "y"), first=tomorrow(world), opening=1_776_600_005)
    three = as_csv((1, "z"), first=tomorrow(world), opening=1_776_600_012)
    await read(world, one)
    done = await read(world, three)
    assert {states(done)[each] for each in ("2024-10-08/2024-10-08", "2024-10-09/2024-10-09")} == {
        "days_missing",
        "statements_do_not_join",
    }
    assert {row["kind"] for row in await open_ones(world)} == {
        *("missing_here", "days_missing", "statements_do_not_join")
    }
    await read(world, two)
    assert {row["kind"] for row in await open_ones(world)} == {"missing_here"}


async def test_an_equal_booking_that_a_file_from_the_middle_of_a_day_hides_is_seen_by_its_balance(
    world: World,
) -> None:
    """Two equal bookings of a day without the bank's own reference, the second in a file that begins at noon: it passes
    for the first. That a file begins at noon is an exception; one of the whole day shows both bookings."""
    await world.authorise(capture=True)
    await batch_closed(world)
    ((reference, _, amount),) = await instructions(world)
    left = (-amount, reference, "")
    assert states(await reconciled(world, left))[reference] == "matched"
    noon = await reconciled(world, left, opening=1_776_600_000 - amount)
    assert states(noon)[reference] == "matched", "the second booking passes for the first"
    (exception,) = await open_ones(world)
    assert exception["kind"] == "statements_do_not_join"
    assert exception["theirs_rupiah"] - exception["ours_rupiah"] == -amount
    whole = await reconciled(world, left, left)
    assert states(whole)[reference] == "more_than_once"
