"""The later life of a hold: each state and event has one outcome, and every rupiah is held, posted or given back."""

from collections.abc import Callable
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.holds import (
    OPEN,
    CaptureExceedsHold,
    Change,
    Hold,
    RefundExceedsCaptured,
    Refused,
    StateConflict,
    capture,
    expire,
    is_due,
    refund,
    reverse,
    void,
)
from authz_service.ledger.postings import Balance, Parties, fold, of_hold
from authz_service.rules.money import VoucherUse
from authz_service.vocabulary import AuthorisationId, BeneficiaryId, Cause, HoldStatus, MerchantId, TransferKind
from tests.builders import A_MORNING, a_hold, a_use, quickly
from tests.hold_states import PAGE, page

Outcome = Change | Refused
Event = Callable[[Hold], Outcome]

EVENTS: dict[str, Event] = {
    "capture all": lambda hold: capture(hold, None, final=True),
    "capture all, not final": lambda hold: capture(hold, None, final=False),
    "capture 40.000": lambda hold: capture(hold, 40_000, final=True),
    "capture 40.000, not final": lambda hold: capture(hold, 40_000, final=False),
    "capture 100.000, not final": lambda hold: capture(hold, 100_000, final=False),
    "capture 150.001": lambda hold: capture(hold, 150_001, final=True),
    "capture 150.001, not final": lambda hold: capture(hold, 150_001, final=False),
    "void": void,
    "expire": expire,
    "reverse": lambda hold: reverse(hold, captured_at_once=False),
    "reverse, captured at once": lambda hold: reverse(hold, captured_at_once=True),
    "refund 40.000": lambda hold: refund(hold, 40_000),
    "refund 50.000": lambda hold: refund(hold, 50_000),
    "refund 150.000": lambda hold: refund(hold, 150_000),
    "refund 150.001": lambda hold: refund(hold, 150_001),
}
IN_STATE: dict[HoldStatus, Hold] = {
    HoldStatus.DECLINED: a_hold(status=HoldStatus.DECLINED, held_rupiah=0, packages=0),
    HoldStatus.HELD: a_hold(),
    HoldStatus.PARTLY_CAPTURED: a_hold(status=HoldStatus.PARTLY_CAPTURED, captured_rupiah=50_000),
    HoldStatus.CAPTURED: a_hold(status=HoldStatus.CAPTURED, captured_rupiah=150_000),
    HoldStatus.VOIDED: a_hold(status=HoldStatus.VOIDED, held_rupiah=0, packages=0),
    HoldStatus.EXPIRED: a_hold(status=HoldStatus.EXPIRED, held_rupiah=0, packages=0),
    HoldStatus.REVERSED: a_hold(status=HoldStatus.REVERSED, held_rupiah=0, packages=0),
}
CANNOT_BE = "what is captured at once is captured whole"


def nothing_more(status: HoldStatus) -> dict[str, str]:
    """Nothing is held and nothing was captured."""
    return {event: "more than the 0 captured" if "refund" in event else f"too late: {status}" for event in EVENTS}


OUTCOMES: dict[HoldStatus, dict[str, str]] = {
    HoldStatus.HELD: {
        "capture all": "captured: held 0, captured 150000, back 0 and 0 packages",
        "capture all, not final": "captured: held 0, captured 150000, back 0 and 0 packages",
        "capture 40.000": "captured: held 0, captured 40000, back 110000 and 0 packages",
        "capture 40.000, not final": "partly_captured: held 110000, captured 40000, back 0 and 0 packages",
        "capture 100.000, not final": "partly_captured: held 50000, captured 100000, back 0 and 0 packages",
        "capture 150.001": "more than the 150000 held",
        "capture 150.001, not final": "more than the 150000 held",
        "void": "voided: held 0, captured 0, back 150000 and 1 packages",
        "expire": "expired: held 0, captured 0, back 150000 and 1 packages",
        "reverse": "reversed: held 0, captured 0, back 150000 and 1 packages",
        "reverse, captured at once": CANNOT_BE,
        "refund 40.000": "more than the 0 captured",
        "refund 50.000": "more than the 0 captured",
        "refund 150.000": "more than the 0 captured",
        "refund 150.001": "more than the 0 captured",
    },
    HoldStatus.PARTLY_CAPTURED: {
        "capture all": "captured: held 0, captured 150000, back 0 and 0 packages",
        "capture all, not final": "captured: held 0, captured 150000, back 0 and 0 packages",
        "capture 40.000": "captured: held 0, captured 90000, back 60000 and 0 packages",
        "capture 40.000, not final": "partly_captured: held 60000, captured 90000, back 0 and 0 packages",
        "capture 100.000, not final": "captured: held 0, captured 150000, back 0 and 0 packages",
        "capture 150.001": "more than the 100000 held",
        "capture 150.001, not final": "more than the 100000 held",
        "void": "captured: held 0, captured 50000, back 100000 and 0 packages",
        "expire": "captured: held 0, captured 50000, back 100000 and 0 packages",
        "reverse": "captured: held 0, captured 50000, back 100000 and 0 packages",
        "reverse, captured at once": CANNOT_BE,
        "refund 40.000": "partly_captured: held 100000, captured 50000, back 40000 and 0 packages",
        "refund 50.000": "partly_captured: held 100000, captured 50000, back 50000 and 0 packages",
        "refund 150.000": "more than the 50000 captured",
        "refund 150.001": "more than the 50000 captured",
    },
    HoldStatus.CAPTURED: nothing_more(HoldStatus.CAPTURED)
    | {
        "reverse, captured at once": "reversed: held 0, captured 150000, back 150000 and 1 packages",
        "refund 40.000": "captured: held 0, captured 150000, back 40000 and 0 packages",
        "refund 50.000": "captured: held 0, captured 150000, back 50000 and 0 packages",
        "refund 150.000": "captured: held 0, captured 150000, back 150000 and 1 packages",
        "refund 150.001": "more than the 150000 captured",
    },
    HoldStatus.DECLINED: nothing_more(HoldStatus.DECLINED),
    HoldStatus.VOIDED: nothing_more(HoldStatus.VOIDED),
    HoldStatus.EXPIRED: nothing_more(HoldStatus.EXPIRED),
    HoldStatus.REVERSED: nothing_more(HoldStatus.REVERSED),
}


def said(outcome: Outcome) -> str:
    match outcome:
        case StateConflict(status=status):
            return f"too late: {status}"
        case CaptureExceedsHold(held_rupiah=held):
            return f"more than the {held} held"
        case RefundExceedsCaptured(refundable_rupiah=captured):
            return f"more than the {captured} captured"
        case Change(hold=hold):
            back = f"{outcome.returned_rupiah} and {outcome.returned_packages} packages"
            return f"{hold.status}: held {hold.held_rupiah}, captured {hold.captured_rupiah}, back {back}"


def changed(outcome: Outcome) -> Change:
    assert isinstance(outcome, Change)
    return outcome


def moves(outcome: Outcome) -> list[tuple[TransferKind, Cause, int]]:
    return [(move.kind, move.cause, move.amount_rupiah) for move in changed(outcome).moves]


def test_every_state_has_an_outcome_for_every_event() -> None:
    assert {(state, event) for state, row in OUTCOMES.items() for event in row} == set(product(HoldStatus, EVENTS))
    assert set(IN_STATE) == set(HoldStatus)


@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in product(HoldStatus, EVENTS) if OUTCOMES[pair[0]][pair[1]] != CANNOT_BE]
)
def test_one_event_in_one_state_has_one_outcome(state: HoldStatus, event: str) -> None:
    assert said(EVENTS[event](IN_STATE[state])) == OUTCOMES[state][event]


def test_the_drawing_in_the_docs_is_what_the_functions_do() -> None:
    """`make docs` draws it anew."""
    assert PAGE.read_text() == page()
    assert all(f"--> {state}" in page() for state in HoldStatus)


@pytest.mark.parametrize("state", HoldStatus)
def test_a_hold_is_open_exactly_while_something_is_held(state: HoldStatus) -> None:
    assert (state in OPEN) is (IN_STATE[state].held_rupiah > 0)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("capture all", [(TransferKind.POST, Cause.CAPTURE, 150_000)]),
        ("capture all, not final", [(TransferKind.POST, Cause.CAPTURE, 150_000)]),
        (
            "capture 40.000",
            [(TransferKind.POST, Cause.CAPTURE, 40_000), (TransferKind.RELEASE, Cause.CAPTURE, 110_000)],
        ),
        ("capture 40.000, not final", [(TransferKind.POST, Cause.CAPTURE, 40_000)]),
        ("void", [(TransferKind.RELEASE, Cause.VOID, 150_000)]),
        ("expire", [(TransferKind.RELEASE, Cause.EXPIRE, 150_000)]),
        ("reverse", [(TransferKind.RELEASE, Cause.REVERSE, 150_000)]),
    ],
)
def test_a_capture_posts_and_what_goes_back_is_released(
    event: str, expected: list[tuple[TransferKind, Cause, int]]
) -> None:
    assert moves(EVENTS[event](a_hold())) == expected


def test_a_refund_comes_back_from_the_shop() -> None:
    captured = IN_STATE[HoldStatus.CAPTURED]
    assert moves(refund(captured, 40_000)) == [(TransferKind.REFUND, Cause.REFUND, 40_000)]
    assert moves(reverse(captured, captured_at_once=True)) == [(TransferKind.REFUND, Cause.REVERSE, 150_000)]


def test_captures_add_up_until_nothing_is_left() -> None:
    first = changed(capture(a_hold(), 50_000, final=False)).hold
    second = changed(capture(first, 60_000, final=False)).hold
    assert (second.captured_rupiah, second.held_rupiah) == (110_000, 40_000)
    assert capture(second, 40_001, final=False) == CaptureExceedsHold(held_rupiah=40_000)
    last = changed(capture(second, 40_000, final=False)).hold
    assert (last.status, last.captured_rupiah) == (HoldStatus.CAPTURED, 150_000)
    assert capture(last, 1, final=False) == StateConflict(status=HoldStatus.CAPTURED)


def test_refunds_add_up_until_everything_captured_is_back() -> None:
    first = changed(refund(IN_STATE[HoldStatus.CAPTURED], 100_000)).hold
    assert refund(first, 50_001) == RefundExceedsCaptured(refundable_rupiah=50_000)
    second = changed(refund(first, 50_000)).hold
    assert (second.status, second.captured_rupiah, second.refunded_rupiah) == (HoldStatus.CAPTURED, 150_000, 150_000)
    assert refund(second, 1) == RefundExceedsCaptured(refundable_rupiah=0)


def test_a_refund_does_not_make_room_for_another_capture() -> None:
    refunded = changed(refund(IN_STATE[HoldStatus.PARTLY_CAPTURED], 50_000)).hold
    assert capture(refunded, 100_001, final=False) == CaptureExceedsHold(held_rupiah=100_000)


def test_what_was_captured_at_once_is_undone_whole_also_after_a_refund() -> None:
    refunded = changed(refund(IN_STATE[HoldStatus.CAPTURED], 60_000)).hold
    change = changed(reverse(refunded, captured_at_once=True))
    assert (change.hold.status, change.hold.refunded_rupiah) == (HoldStatus.REVERSED, 150_000)
    assert (change.returned_rupiah, change.returned_packages) == (90_000, 1)


def test_what_was_refunded_whole_has_nothing_to_reverse() -> None:
    refunded = changed(refund(IN_STATE[HoldStatus.CAPTURED], 150_000)).hold
    assert reverse(refunded, captured_at_once=True) == StateConflict(status=HoldStatus.CAPTURED)


def test_the_package_is_kept_by_what_was_captured_however_little() -> None:
    after_one_rupiah = changed(capture(a_hold(), 1, final=True))
    assert (after_one_rupiah.returned_packages, after_one_rupiah.hold.packages) == (0, 1)


@pytest.mark.parametrize(("refunded", "packages_back"), [(0, 0), (49_999, 0), (50_000, 1)])
@pytest.mark.parametrize("close", [void, expire, EVENTS["reverse"]], ids=["void", "expire", "reverse"])
def test_the_package_goes_back_when_all_that_was_captured_was_refunded(
    close: Event, refunded: int, packages_back: int
) -> None:
    hold = a_hold(status=HoldStatus.PARTLY_CAPTURED, captured_rupiah=50_000, refunded_rupiah=refunded)
    change = changed(close(hold))
    assert (change.returned_packages, change.hold.packages) == (packages_back, 1 - packages_back)


def test_a_capture_that_goes_on_gives_no_package_back() -> None:
    hold = a_hold(status=HoldStatus.PARTLY_CAPTURED, captured_rupiah=50_000, refunded_rupiah=50_000)
    assert changed(capture(hold, 1, final=False)).returned_packages == 0


def test_a_refund_of_all_that_was_captured_keeps_the_package_while_something_is_held() -> None:
    change = changed(refund(IN_STATE[HoldStatus.PARTLY_CAPTURED], 50_000))
    assert change.returned_packages == 0
    assert changed(void(change.hold)).returned_packages == 1


def test_where_packages_are_not_counted_by_purchase_none_goes_back() -> None:
    assert changed(void(a_hold(packages=0))).returned_packages == 0


ORDINARY_THEN_TWO_VOUCHERS = a_hold(a_use("vch_1", 60_000), a_use("vch_2", 40_000, 1))
"""Rp50.000 of the ordinary month, then the voucher that ends first, then the other."""


@pytest.mark.parametrize(
    ("captured", "back", "kept"),
    [
        (150_000, [], [a_use("vch_1", 60_000), a_use("vch_2", 40_000, 1)]),
        (149_999, [a_use("vch_2", 1)], [a_use("vch_1", 60_000), a_use("vch_2", 39_999, 1)]),
        (110_000, [a_use("vch_2", 40_000)], [a_use("vch_1", 60_000), a_use("vch_2", 0, 1)]),
        (100_000, [a_use("vch_2", 40_000), a_use("vch_1", 10_000)], [a_use("vch_1", 50_000), a_use("vch_2", 0, 1)]),
        (50_000, [a_use("vch_2", 40_000), a_use("vch_1", 60_000)], [a_use("vch_1", 0), a_use("vch_2", 0, 1)]),
        (1, [a_use("vch_2", 40_000), a_use("vch_1", 60_000)], [a_use("vch_1", 0), a_use("vch_2", 0, 1)]),
    ],
)
def test_vouchers_get_theirs_back_first_the_last_used_before_the_others(
    captured: int, back: list[VoucherUse], kept: list[VoucherUse]
) -> None:
    change = changed(capture(ORDINARY_THEN_TWO_VOUCHERS, captured, final=True))
    assert list(change.voucher_returns) == back
    assert list(change.hold.voucher_uses) == kept


@pytest.mark.parametrize("close", [void, expire, EVENTS["reverse"]], ids=["void", "expire", "reverse"])
def test_when_nothing_was_bought_vouchers_get_everything_back(close: Event) -> None:
    change = changed(close(ORDINARY_THEN_TWO_VOUCHERS))
    assert list(change.voucher_returns) == [a_use("vch_2", 40_000, 1), a_use("vch_1", 60_000)]
    assert list(change.hold.voucher_uses) == [a_use("vch_1"), a_use("vch_2")]


def test_refunds_go_back_to_the_vouchers_first_too() -> None:
    captured = changed(capture(ORDINARY_THEN_TWO_VOUCHERS, None, final=True)).hold
    in_part = changed(refund(captured, 70_000))
    assert list(in_part.voucher_returns) == [a_use("vch_2", 40_000), a_use("vch_1", 30_000)]
    the_rest = changed(refund(in_part.hold, 80_000))
    assert list(the_rest.voucher_returns) == [a_use("vch_2", 0, 1), a_use("vch_1", 30_000)]
    assert the_rest.returned_packages == 1


def test_a_vouchers_package_goes_back_with_the_purchases_also_without_rupiah() -> None:
    change = changed(void(a_hold(a_use("vch_1", 0, 1))))
    assert change.voucher_returns == (a_use("vch_1", 0, 1),)
    assert change.returned_packages == 1


def test_a_hold_is_open_before_its_last_instant_and_due_from_it() -> None:
    hold = a_hold(expires_at=A_MORNING)
    assert not is_due(hold, A_MORNING - timedelta(microseconds=1))
    assert is_due(hold, A_MORNING)


@pytest.mark.parametrize("state", HoldStatus)
def test_only_an_open_hold_can_be_due(state: HoldStatus) -> None:
    assert is_due(IN_STATE[state], IN_STATE[state].expires_at) is (state in {"held", "partly_captured"})


@st.composite
def any_hold(draw: st.DrawFn) -> Hold:
    """A fresh hold, in part covered by up to three vouchers."""
    approved = draw(st.integers(1, 300_000))
    packages = draw(st.integers(0, 1))
    uses, left = [], approved
    for number in range(draw(st.integers(0, 3))):
        amount = draw(st.integers(0, left))
        left -= amount
        uses.append(a_use(f"vch_{number}", amount, packages if number == 0 and draw(st.booleans()) else 0))
    return a_hold(*uses, approved_rupiah=approved, packages=packages)


CAPTURES = st.builds(
    lambda amount, final: lambda hold: capture(hold, amount, final=final),
    st.one_of(st.none(), st.integers(1, 300_000)),
    st.sampled_from([False, False, False, True]),
)
REFUNDS = st.integers(1, 150_000).map(lambda amount: lambda hold: refund(hold, amount))
REFUND_OF_ALL: Event = lambda hold: refund(hold, max(1, hold.captured_rupiah - hold.refunded_rupiah))  # noqa: E731
CLOSING = st.sampled_from([void, expire, EVENTS["reverse"]])
ANY_EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.one_of(CAPTURES, CAPTURES, CAPTURES, REFUNDS, st.just(REFUND_OF_ALL), CLOSING), min_size=1, max_size=8
)


def _life(hold: Hold, events: list[Event]) -> list[Change]:
    """The changes that the events make; whoever comes too late or asks too much makes none."""
    changes = []
    for event in events:
        outcome = event(hold)
        if isinstance(outcome, Change):
            changes.append(outcome)
            hold = outcome.hold
    return changes


def _sum(changes: list[Change], kind: TransferKind) -> int:
    return sum(move.amount_rupiah for change in changes for move in change.moves if move.kind is kind)


@quickly
@given(any_hold(), ANY_EVENTS)
def test_whatever_happens_the_hold_is_posted_released_or_still_held(hold: Hold, events: list[Event]) -> None:
    changes = _life(hold, events)
    for number, change in enumerate(changes, start=1):
        after, so_far = change.hold, changes[:number]
        posted, released, refunded = (
            _sum(so_far, kind) for kind in (TransferKind.POST, TransferKind.RELEASE, TransferKind.REFUND)
        )
        assert 0 <= after.held_rupiah + after.captured_rupiah <= hold.approved_rupiah
        assert hold.approved_rupiah == posted + released + after.held_rupiah
        assert (posted, refunded) == (after.captured_rupiah, after.refunded_rupiah)
        assert refunded <= posted
        assert released + refunded == sum(each.returned_rupiah for each in so_far)
        assert all(move.amount_rupiah > 0 for move in change.moves)
        assert (after.status in OPEN) is (after.held_rupiah > 0)


@quickly
@given(any_hold(), ANY_EVENTS)
def test_a_hold_is_closed_once_and_stays_as_it_was_closed(hold: Hold, events: list[Event]) -> None:
    closed = [change.hold for change in _life(hold, events) if change.hold.status not in OPEN]
    assert len({after.status for after in closed}) <= 1
    for after in closed:
        assert (after.status is HoldStatus.CAPTURED) is (after.captured_rupiah > 0)
        too_late = [event(after) for name, event in EVENTS.items() if "refund" not in name and "at once" not in name]
        assert set(too_late) == {StateConflict(status=after.status)}


@quickly
@given(any_hold(), ANY_EVENTS)
def test_the_package_is_given_back_once_when_nothing_was_bought(hold: Hold, events: list[Event]) -> None:
    changes = _life(hold, events)
    after = changes[-1].hold if changes else hold
    nothing_bought = after.held_rupiah == 0 and after.captured_rupiah == after.refunded_rupiah
    back = sum(change.returned_packages for change in changes)
    assert back == (hold.packages if nothing_bought else 0)
    assert after.packages == hold.packages - back


@quickly
@given(any_hold(), ANY_EVENTS)
def test_vouchers_cover_what_they_did_not_get_back(hold: Hold, events: list[Event]) -> None:
    changes = _life(hold, events)
    after = changes[-1].hold if changes else hold
    returned: dict[str, list[VoucherUse]] = {use.voucher_id: [] for use in hold.voucher_uses}
    for change in changes:
        for use in change.voucher_returns:
            returned[use.voucher_id].append(use)
    for used, kept in zip(hold.voucher_uses, after.voucher_uses, strict=True):
        back = returned[used.voucher_id]
        assert kept.amount_rupiah == used.amount_rupiah - sum(each.amount_rupiah for each in back) >= 0
        assert kept.packages == used.packages - sum(each.packages for each in back) >= 0
    # Vouchers first: the ordinary allowance gets only what no voucher covered.
    covered = sum(use.amount_rupiah for use in hold.voucher_uses)
    still_covered = sum(use.amount_rupiah for use in after.voucher_uses)
    assert still_covered == max(0, covered - sum(change.returned_rupiah for change in changes))
    # A voucher's package goes the way of the purchase's.
    packages_back = sum(each.packages for uses in returned.values() for each in uses)
    nothing_bought = after.held_rupiah == 0 and after.captured_rupiah == after.refunded_rupiah
    assert packages_back == (sum(use.packages for use in hold.voucher_uses) if nothing_bought else 0)


@quickly
@given(any_hold(), st.lists(REFUNDS, max_size=3))
def test_a_reversal_of_what_was_captured_at_once_leaves_nothing_behind(hold: Hold, refunds: list[Event]) -> None:
    changes = _life(hold, [EVENTS["capture all"], *refunds, EVENTS["reverse, captured at once"]])
    after = changes[-1].hold
    assert sum(change.returned_rupiah for change in changes) == hold.approved_rupiah == after.refunded_rupiah
    assert sum(change.returned_packages for change in changes) == hold.packages
    assert not any(use.amount_rupiah or use.packages for use in after.voucher_uses)


PARTIES = Parties(
    authorisation_id=AuthorisationId("auth_1"), beneficiary_id=BeneficiaryId("ben_1"), merchant_id=MerchantId("mrc_1")
)


@quickly
@given(any_hold(), ANY_EVENTS)
def test_the_wallet_is_the_fold_of_the_transfers(hold: Hold, events: list[Event]) -> None:
    changes = _life(hold, events)
    after = changes[-1].hold if changes else hold
    made = [(TransferKind.HOLD, Cause.AUTHORISE, hold.approved_rupiah)]
    made += [move for change in changes for move in moves(change)]
    transfers = [of_hold("trf_1", kind, cause, PARTIES, amount, A_MORNING) for kind, cause, amount in made]
    spent = after.captured_rupiah - after.refunded_rupiah
    assert fold(transfers) == Balance(
        available_rupiah=-after.held_rupiah - spent, held_rupiah=after.held_rupiah, spent_rupiah=spent
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (TransferKind.FUND, Balance()),
        (TransferKind.GRANT, Balance(available_rupiah=7)),
        (TransferKind.HOLD, Balance(available_rupiah=-7, held_rupiah=7)),
        (TransferKind.POST, Balance(held_rupiah=-7, spent_rupiah=7)),
        (TransferKind.RELEASE, Balance(available_rupiah=7, held_rupiah=-7)),
        (TransferKind.REFUND, Balance(available_rupiah=7, spent_rupiah=-7)),
        (TransferKind.RETURN, Balance(available_rupiah=-7)),
        (TransferKind.PAYOUT, Balance()),
        (TransferKind.PAYOUT_SETTLED, Balance()),
        (TransferKind.PAYOUT_FAILED, Balance()),
    ],
)
def test_each_kind_of_transfer_has_its_effect_on_a_wallet(kind: TransferKind, expected: Balance) -> None:
    """Available, held and spent together change by grants and returns alone: the control total."""
    assert fold([of_hold("trf_1", kind, Cause.CAPTURE, PARTIES, 7, A_MORNING)]) == expected


def test_money_goes_from_the_family_to_the_shop_and_a_refund_comes_back() -> None:
    sides = {
        kind: (transfer.debit_account_id, transfer.credit_account_id)
        for kind in (TransferKind.HOLD, TransferKind.POST, TransferKind.RELEASE, TransferKind.REFUND)
        for transfer in [of_hold("trf_1", kind, Cause.CAPTURE, PARTIES, 7, A_MORNING)]
    }
    assert sides.pop(TransferKind.REFUND) == ("mrc_1", "ben_1")
    assert set(sides.values()) == {("ben_1", "mrc_1")}
