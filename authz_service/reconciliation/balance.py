"""Whether the bank's balance is the books' fund, once everything that has a finding of its own is left out. Pure.

The closing balance is what the account had before the first booking that was ever read, and all bookings since. The
fund is what the payouts and the announced money have moved, and what was booked without any statement: money booked
with the enrolment. A payout or a line on which the two sides differ is a finding of `reconcile`, bookings between two
statements are one of `statement_chain`; so what is left to compare is how both sides begin. These two figures are the
same on every day: an exception about them is one exception, however many statements are read while it is open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from authz_service.reconciliation.findings import Finding, State
from authz_service.reconciliation.statement_chain import Span
from authz_service.vocabulary import in_rupiah


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What the books moved at the bank on a day, in rupiah, under a reference; below nothing, it left."""

    reference: str | None
    """None: booked with the enrolment, and announced to no bank."""
    on: date
    amount_rupiah: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """`bank_rupiah` closes the statement that ends last; `books_rupiah` is what it would be by the books alone.

    Of books without an exception and without a payment under way that is the fund.
    """

    on: date
    bank_rupiah: int
    books_rupiah: int
    finding: Finding | None
    """Where the two are not the same."""


def balance_of(spans: Sequence[Span], findings: Iterable[Finding], moves: Iterable[Move]) -> Balance:
    """Both balances on the last day of `spans`, which are in the order in which they were read, and not none.

    What no line shows is in the opening balance if the books have it from before the first day.
    """
    first_on = min(span.from_on for span in spans)
    last = max(reversed(spans), key=lambda span: span.to_on)
    shown = {each.reference for each in findings if each.lines and each.state is not State.MISSING_HERE}
    ours_rupiah = sum(
        move.amount_rupiah
        for move in moves
        if move.reference is None or (move.reference not in shown and move.on < first_on)
    )
    # Several, where one of them begins in the middle of the first day.
    openings = [span.opening_rupiah for span in spans if span.from_on == first_on]
    theirs_rupiah = ours_rupiah if ours_rupiah in openings else openings[0]
    books_rupiah = last.closing_rupiah + ours_rupiah - theirs_rupiah
    finding = Finding(
        state=State.BALANCE_DIFFERS,
        subject="fund",
        reference="fund",
        ours_rupiah=ours_rupiah,
        theirs_rupiah=theirs_rupiah,
        since_on=first_on,
        detail=f"The account had {in_rupiah(theirs_rupiah)} before the first booking that was read, and the books have"
        f" {in_rupiah(ours_rupiah)} that no booking brought: on {last.to_on} the bank's balance is"
        f" {in_rupiah(last.closing_rupiah)}, and by the books it would be {in_rupiah(books_rupiah)}.",
    )
    return Balance(
        on=last.to_on,
        bank_rupiah=last.closing_rupiah,
        books_rupiah=books_rupiah,
        finding=finding if ours_rupiah != theirs_rupiah else None,
    )
