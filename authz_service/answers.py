"""What a terminal gets: the contract's JSON documents, made once and kept as bytes."""

from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from msgspec import Struct

from authz_service.clock import month_end
from authz_service.declines import APPROVED, CODE_APPROVED, CODE_PARTLY_APPROVED
from authz_service.holds import Change, Hold
from authz_service.receipts import balance_receipt, purchase_receipt, refund_receipt
from authz_service.requests import BalanceInquiry, Purchase
from authz_service.rules.decide import Decision, Refusal
from authz_service.rules.facts import Facts
from authz_service.rules.message import balance_message, decision_message, line_of, refund_message, refusal_message
from authz_service.rules.money import Room, VoucherUse
from authz_service.vocabulary import HoldStatus

CURRENCY: Final = "IDR"
CREATED: Final = 201
OK: Final = 200

Document = dict[str, Any]


class Answer(Struct, frozen=True, kw_only=True):
    """An HTTP status and the bytes under it; `replayed` when it was given before; `problem` when it is RFC 9457."""

    status: int
    body: bytes
    replayed: bool = False
    problem: bool = False


class Identity(Struct, frozen=True, kw_only=True):
    """What names a decision: its id, approval code and instants. None of it in a dry run."""

    authorisation_id: str
    approval_code: str | None
    expires_at: datetime | None


def decision_document(
    purchase: Purchase, facts: Facts, decision: Decision, identity: Identity | None, hold: Hold | None
) -> Document:
    """The answer of an authorise request; `identity` None is a dry run, which nobody prints; `hold` None a decline."""
    programme, message = facts.programme, decision_message(purchase, facts, decision)
    document: Document = {} if identity is None else {"id": identity.authorisation_id}
    document |= {
        "decision": "approved" if decision.approved else "declined",
        "status": hold.status if hold else HoldStatus.DECLINED,
        "response_code": _response_code(decision),
        "reason": _reason(decision),
        "approval_code": identity.approval_code if identity else None,
        "amount": purchase.amount,
        "approved_amount": decision.approved_rupiah,
        "tender_due": decision.tender_due_rupiah,
        "price_reduction": decision.reduction_rupiah,
        "currency": CURRENCY,
        "held_amount": hold.held_rupiah if hold else 0,
        "captured_amount": hold.captured_rupiah if hold else 0,
        "refunded_amount": hold.refunded_rupiah if hold else 0,
        "lines": [
            {"line": line.number, "action": line.action, "approved_amount": line.approved_rupiah}
            for line in decision.lines
        ],
        "reasons": [_refusal_document(refusal, purchase, facts, decision.room) for refusal in decision.refusals],
        "largest_approvable_amount": decision.largest_rupiah,
    }
    if decision.room is not None:
        document["remaining"] = _remaining_document(decision.room, facts)
    document |= {
        "message": message,
        "vouchers_used": [voucher_document(use) for use in decision.voucher_uses],
        "merchant_id": facts.terminal.merchant_id,
        "terminal_id": facts.terminal.terminal_id,
        "stan": purchase.stan,
        "expires_at": shown(identity.expires_at, programme.zone) if identity and identity.expires_at else None,
        "created_at": shown(facts.now, programme.zone),
    }
    if identity is not None:
        document["receipt"] = purchase_receipt(
            purchase,
            facts,
            decision,
            message,
            authorisation_id=identity.authorisation_id,
            approval_code=identity.approval_code,
        )
    return document


def balance_document(
    inquiry: BalanceInquiry, facts: Facts, refusals: list[Refusal], room: Room | None, largest: int
) -> Document:
    """The answer of a balance inquiry; `room` None where the shop, card or family may not ask."""
    first = refusals[0] if refusals else None
    message = balance_message(facts, first, room)
    document: Document = {
        "decision": "approved" if first is None else "declined",
        "response_code": CODE_APPROVED if first is None else first.reason.response_code,
        "reason": APPROVED if first is None else first.reason,
        "reasons": [
            {
                "reason": refusal.reason,
                "response_code": refusal.reason.response_code,
                "message": refusal_message(refusal, facts, room, None),
            }
            for refusal in refusals
        ],
        "currency": CURRENCY,
        "largest_approvable_amount": largest,
    }
    if room is not None:
        document["remaining"] = _remaining_document(room, facts)
    document |= {
        "message": message,
        "merchant_id": facts.terminal.merchant_id,
        "terminal_id": facts.terminal.terminal_id,
        "created_at": shown(facts.now, facts.programme.zone),
        "receipt": balance_receipt(inquiry.card_number, facts, refusals, room, largest_rupiah=largest),
    }
    return document


def refund_document(facts: Facts, change: Change, refund_id: str, authorisation: Document) -> Document:
    """The answer of a refund; `authorisation` as it stands after it."""
    amount = change.moves[0].amount_rupiah
    message = refund_message(amount, change.hold.month, facts)
    return {
        "refund": moved_document(refund_id, amount, facts.now, facts.programme.zone),
        "authorization": authorisation,
        "message": message,
        "receipt": refund_receipt(
            facts, message, refund_id=refund_id, authorisation=authorisation, amount_rupiah=amount
        ),
    }


def moved_document(transfer_id: str, amount_rupiah: int, at: datetime, zone: ZoneInfo) -> Document:
    """A capture or a refund by itself."""
    return {"id": transfer_id, "amount": amount_rupiah, "created_at": shown(at, zone)}


def as_it_stands(first_answer: bytes, hold: Hold | None) -> Document:
    """The authorisation now: what was decided stays as it was said, status and amounts are the hold's.

    Its receipt is left out: it was for the moment of the decision.
    """
    document: Document = orjson.loads(first_answer)
    document.pop("receipt", None)
    if hold is not None:
        document["status"] = hold.status
        document["held_amount"] = hold.held_rupiah
        document["captured_amount"] = hold.captured_rupiah
        document["refunded_amount"] = hold.refunded_rupiah
        document["vouchers_used"] = [
            voucher_document(use) for use in hold.voucher_uses if use.amount_rupiah or use.packages
        ]
    return document


@lru_cache(maxsize=64)
def shown(instant: datetime, zone: ZoneInfo) -> str:
    """RFC 3339 with the programme's offset, to the millisecond."""
    return instant.astimezone(zone).isoformat(timespec="milliseconds")


def _response_code(decision: Decision) -> str:
    if not decision.approved:
        return decision.refusals[0].reason.response_code
    return CODE_PARTLY_APPROVED if decision.tender_due_rupiah else CODE_APPROVED


def _reason(decision: Decision) -> str:
    return APPROVED if decision.approved else decision.refusals[0].reason


def _refusal_document(refusal: Refusal, purchase: Purchase, facts: Facts, room: Room | None) -> Document:
    document: Document = {
        "reason": refusal.reason,
        "response_code": refusal.reason.response_code,
        "message": refusal_message(refusal, facts, room, line_of(purchase.lines, refusal)),
    }
    if refusal.line is not None:
        document["line"] = refusal.line
    return document


def _remaining_document(room: Room, facts: Facts) -> Document:
    month = facts.family.month.month if facts.family else facts.today.replace(day=1)
    zone = facts.programme.zone
    return {
        "package": room.purchase_rupiah,
        "packages_this_month": room.packages,
        "month": room.month_rupiah,
        "programme": room.programme_rupiah,
        "month_ends_at": _end_shown(month_end(month, zone), zone),
        "programme_ends_at": _end_shown(facts.programme.ends_at, zone),
    }


@lru_cache(maxsize=64)
def _end_shown(instant: datetime, zone: ZoneInfo) -> str:
    """Of a month or a programme: the same for every answer of a month."""
    return instant.astimezone(zone).isoformat()


def voucher_document(use: VoucherUse) -> Document:
    return {"voucher_id": use.voucher_id, "amount": use.amount_rupiah, "packages": use.packages}
