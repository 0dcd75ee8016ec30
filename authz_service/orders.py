"""What the office orders beside the roll: caps, operators, keys, settlement, the close. Each names who ordered it.

An order is kept in the transaction that carries it out, and never changed; those of families are `family_change`.
Each is in the audit log, too.

OrderRefused    nothing was changed
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from authz_service.audit import Subject, keep_audit, seat
from authz_service.database import Connection
from authz_service.requests import Label, Reason
from authz_service.vocabulary import CHANCE_BYTES, Chance, new_id

_LABEL: Final = TypeAdapter[str](Label)
_REASON: Final = TypeAdapter[str](Reason)
_KEEP: Final = """
INSERT INTO office_order (programme_id, order_id, kind, actor, reason, detail, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_KEPT: Final = """
-- Every order of the office, in order of time.
SELECT kind, actor, reason, detail, recorded_at FROM office_order WHERE programme_id = $1 ORDER BY recorded_at, order_id
"""


class OrderRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nobody is said to have given the order, or not in words that may be kept; nothing was changed."""


class ReasonRefused(OrderRefused):
    """The reason says nothing, or has a number of a person in it."""


class OrderKind(StrEnum):
    CAP_SET = "cap_set"
    OPERATOR_ADDED = "operator_added"
    KEY_ISSUED = "key_issued"
    KEY_REVOKED = "key_revoked"
    SHOPS_PAID = "shops_paid"
    """Of before there were batches: every shop was entered as paid under one reference of the bank."""
    PROGRAMME_CLOSED = "programme_closed"
    BATCH_CLOSED = "batch_closed"
    ACCOUNT_REQUESTED = "account_requested"
    ACCOUNT_APPROVED = "account_approved"
    PURCHASE_WAITS = "purchase_waits"
    PURCHASE_WAITS_NO_MORE = "purchase_waits_no_more"
    PAYOUT_SETTLED = "payout_settled"
    PAYOUT_FAILED = "payout_failed"
    PAYOUT_RETURNED = "payout_returned"
    PAYOUT_RELEASED = "payout_released"
    BANK_ADDED = "bank_added"
    BANK_KEY_ADDED = "bank_key_added"
    FUNDING_EXPECTED = "funding_expected"
    NOTICE_RESOLVED = "notice_resolved"
    NOTICE_APPROVED = "notice_approved"
    STATEMENT_RECONCILED = "statement_reconciled"
    EXCEPTION_RESOLVED = "exception_resolved"
    EXCEPTION_APPROVED = "exception_approved"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_ANSWERED = "dispute_answered"
    ENDPOINT_ADDED = "endpoint_added"
    ENDPOINT_KEY_ADDED = "endpoint_key_added"
    ENDPOINT_DISABLED = "endpoint_disabled"
    ENDPOINT_ENABLED = "endpoint_enabled"
    EVENTS_RESENT = "events_resent"
    CUT_OFF_SET = "cut_off_set"
    HOLIDAYS_CHANGED = "holidays_changed"
    PAYOUT_LIMIT_SET = "payout_limit_set"
    ENTITLEMENTS_GRANTED = "entitlements_granted"
    PERSON_ADDED = "person_added"
    PERSON_ROLE_SET = "person_role_set"
    PERSON_PASSWORD_SET = "person_password_set"  # noqa: S105
    PERSON_DISABLED = "person_disabled"
    PERSON_ENABLED = "person_enabled"
    MERCHANT_SUSPENDED = "merchant_suspended"
    MERCHANT_RESUMED = "merchant_resumed"
    TERMINAL_SUSPENDED = "terminal_suspended"
    TERMINAL_RESUMED = "terminal_resumed"
    ROLL_IMPORTED = "roll_imported"
    ROLL_APPROVED = "roll_approved"
    ROLL_APPLIED = "roll_applied"
    ROLL_WITHDRAWN = "roll_withdrawn"
    SIGNAL_SET = "signal_set"
    SIGNAL_DISMISSED = "signal_dismissed"
    SIGNAL_ACCUSED = "signal_accused"
    SIGNAL_CONFIRMED = "signal_confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOrder:
    """One row of `office_order`."""

    kind: OrderKind
    actor: str
    """An office, a desk or a login; never somebody's number."""
    reason: str | None
    detail: Mapping[str, Any]
    recorded_at: datetime


async def keep_order(
    connection: Connection,
    programme_id: str,
    kind: OrderKind,
    *,
    actor: str,
    now: datetime,
    chance: Chance,
    detail: Mapping[str, object],
    reason: str | None = None,
) -> None:
    """It is known who ordered what is done in this transaction. `detail` has ids, labels and rupiah, no key."""
    if not actor.strip():
        raise OrderRefused("The actor is missing.")
    try:
        _LABEL.validate_python(actor)
    except ValidationError as wrong:
        raise OrderRefused(f"The actor is refused: {wrong.errors(include_input=False)[0]['msg']}.") from None
    order_id = new_id("ord", now, chance(CHANCE_BYTES))
    document = orjson.dumps(detail).decode()
    await connection.execute(_KEEP, programme_id, order_id, kind, actor, reason, document, now)
    await keep_audit(
        connection,
        programme_id,
        actor=actor,
        role=seat().role,
        action=kind,
        subject=Subject(kind="order", id=order_id),
        reason=reason,
        before=None,
        after=detail,
        now=now,
        chance=chance,
        request_id=seat().request_id,
    )


def require_reason(reason: str) -> None:
    """It may stand in the books and in every report of them: it says something, and no number of a person."""
    try:
        _REASON.validate_python(reason)
    except ValidationError as wrong:
        raise ReasonRefused(f"The reason is refused: {wrong.errors(include_input=False)[0]['msg']}.") from None


async def kept_orders(connection: Connection, programme_id: str) -> Sequence[KeptOrder]:
    """All of the programme, the oldest first."""
    return [
        KeptOrder(
            kind=OrderKind(row["kind"]),
            actor=row["actor"],
            reason=row["reason"],
            detail=orjson.loads(row["detail"]),
            recorded_at=row["recorded_at"],
        )
        for row in await connection.fetch(_KEPT, programme_id)
    ]
