"""What can be so between the bank's statement and the books, and what is looked at to say it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from authz_service.reconciliation.statement_lines import StatementLine


class State(StrEnum):
    """What is so of a payout, of expected money or of a line; all but the first two are exceptions."""

    MATCHED = "matched"
    UNDER_WAY = "under_way"
    """No statement could show it yet."""
    AMOUNT_DIFFERS = "amount_differs"
    MISSING_HERE = "missing_here"
    """The bank has booked something that we do not know."""
    MISSING_THERE = "missing_there"
    """We know of something that the bank has not booked, although a statement covers its day."""
    PAID_THOUGH_FAILED = "paid_though_failed"
    RETURN_WITHOUT_PAYMENT = "return_without_payment"
    MORE_THAN_ONCE = "more_than_once"
    AFTER_THE_CLOSE = "after_the_close"
    """The books would have to follow, and no money moves in them any more."""
    BOOKS_DIFFER = "books_differ"
    """Authorisations, ledger and instructions do not say the same; no statement is needed to see it."""
    STATEMENTS_DO_NOT_JOIN = "statements_do_not_join"
    """A statement opens with another balance than the bookings before it make."""
    DAYS_MISSING = "days_missing"
    """Working days between two statements that none has."""
    BALANCE_DIFFERS = "balance_differs"
    """The account has another balance than the books, and nothing else that is found explains it."""

    @property
    def is_exception(self) -> bool:
        return self not in {State.MATCHED, State.UNDER_WAY}


class Step(StrEnum):
    """What the books do because of the statement, in this order."""

    SETTLE = "settle"
    RETURN = "return"
    RELEASE = "release"
    FUND = "fund"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """One instruction, what the books say of it, and under which references the bank told us of it."""

    reference: str
    merchant_id: str
    amount_rupiah: int
    account_number: str = field(repr=False)
    created_on: date
    events: Mapping[str, date] = field(default_factory=dict)
    """settled, failed, returned, released → the day on which the books followed."""
    bank_references: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """Money that the sponsor has announced; `came_on` where the books have it."""

    reference: str
    amount_rupiah: int
    announced_on: date
    came_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing, or one line that is about nothing, and what is so. `subject` names it among all of its state.

    `theirs_rupiah` is what the bank booked: what left for a payout, what came of money; of a line that is about nothing
    it is below nothing if it left.
    """

    state: State
    subject: str
    reference: str
    ours_rupiah: int | None
    theirs_rupiah: int | None
    since_on: date
    merchant_id: str = ""
    lines: tuple[StatementLine, ...] = ()
    steps: tuple[Step, ...] = ()
    proposal: str | None = None
    detail: str = ""

    def age_days(self, today: date) -> int:
        return max(0, (today - self.since_on).days)
