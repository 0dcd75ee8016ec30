"""What each kind of exception means, and what to do about it, in words for the operator. Pure."""

from collections.abc import Mapping
from typing import Final

from authz_service.reconciliation.findings import State

MEANING: Final[Mapping[State, str]] = {
    State.AMOUNT_DIFFERS: (
        "The bank booked another sum than the books have. Ask the bank which is right, and claim the difference."
    ),
    State.MISSING_HERE: (
        "The bank booked something that the books do not know. Find out what it is; its own charges are explained."
    ),
    State.MISSING_THERE: (
        "The books have something that the bank has not booked, though a statement covers its day. Ask the bank for it."
    ),
    State.PAID_THOUGH_FAILED: (
        "The bank paid what the books have as failed. Release nothing for it: two people close this as"
        " `paid_after_all`, which books it as paid, or as `claimed` where the shop was paid twice by then."
    ),
    State.RETURN_WITHOUT_PAYMENT: (
        "Money came back that never left by any statement. Look for the statement that is missing, or ask the bank."
    ),
    State.MORE_THAN_ONCE: "The bank booked the same thing more than once. Claim from the bank what is too much.",
    State.AFTER_THE_CLOSE: (
        "The bank booked it, and the books of a closed programme do not follow. Agree with the sponsor what is due."
    ),
    State.BOOKS_DIFFER: (
        "Two of our own books disagree. Pay nothing for it until an engineer has looked, with `authz ledger check`."
    ),
    State.STATEMENTS_DO_NOT_JOIN: (
        "Bookings are missing between two statements. Ask the bank for a statement of those days, and reconcile it."
    ),
    State.DAYS_MISSING: (
        "No statement has these working days. Ask the bank for a statement of them, and reconcile it."
    ),
    State.BALANCE_DIFFERS: (
        "The account has another balance than the books, and no booking explains it. Look for money that was announced"
        " and never came, that came and was never announced, or that the books have twice."
    ),
}
"""A sentence of what is so and one of what to do next, for each state that is an exception."""
