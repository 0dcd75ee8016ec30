"""Calls on what was decided before: captures, voids, refunds, reversals, and the end of holds that are due.

No rule runs again: an approval was a promise. Each call finds the hold and its family on the desk as the requests
before it in the batch left them.
"""

from http import HTTPStatus
from typing import Final, assert_never

import asyncpg
import orjson

from authz_service import problems
from authz_service.answers import CREATED, OK, Answer, Document, as_it_stands, moved_document, refund_document
from authz_service.desk import Alert, Desk
from authz_service.families import FamilyAtWork
from authz_service.holds import (
    CaptureExceedsHold,
    Change,
    Hold,
    RefundExceedsCaptured,
    Refused,
    StateConflict,
    capture,
    refund,
    reverse,
    void,
)
from authz_service.keys import KEY_ID
from authz_service.ledger.book import NOBODY
from authz_service.problems import KeyReused, NotFound, Problem, ProgrammeClosed, RequestReversed
from authz_service.requests import Capture, Purchase, Refund, Reversal, Void
from authz_service.rules.facts import Terminal
from authz_service.vocabulary import HoldStatus, written_id
from authz_service.waiting import Asked

NOT_KNOWN: Final = "not_known"
"""Status of a request that was reversed before it came."""


def later_call(
    desk: Desk, asked: Asked, body: Capture | Void | Refund, row: asyncpg.Record, terminal: Terminal
) -> None:
    """A call on an authorisation that was decided before. No rule runs again: its approval was a promise."""
    if row["target_merchant_id"] != terminal.merchant_id:
        return desk.give(asked, NotFound("this shop has no such authorisation"))
    family, hold = desk.target(row)
    if isinstance(body, Refund) and desk.reference.programme.closed_at is not None:
        return _refuse(desk, asked, family, ProgrammeClosed("what is refunded could not reach the card any more"))
    if family is None or hold is None:
        return _refuse(desk, asked, None, _as_problem(StateConflict(status=HoldStatus.DECLINED)))
    change = _event(body, hold)
    if not isinstance(change, Change):
        return _refuse(desk, asked, family, _as_problem(change))
    reason = None if isinstance(body, Capture) else body.reason
    ids = family.apply(change, desk.now, desk.new_id, reason=reason)
    document = as_it_stands(row["target_answer"], change.hold)
    match body:
        case Void():
            return _accept(desk, asked, family, hold, OK, document)
        case Capture():
            amount, zone = change.moves[0].amount_rupiah, desk.reference.programme.zone
            posted = {"capture": moved_document(ids[0], amount, desk.now, zone), "authorization": document}
            return _accept(desk, asked, family, hold, CREATED, posted)
        case Refund():
            facts = desk.facts(row, terminal, family)
            return _accept(desk, asked, family, hold, CREATED, refund_document(facts, change, ids[0], document))
        case unreachable:
            assert_never(unreachable)


def reversal(desk: Desk, asked: Asked, body: Reversal, row: asyncpg.Record) -> None:
    """The named request is dead from now on, whatever became of it; the first answer to say so is every one's."""
    if asked.original_digest == asked.key_digest:
        return desk.give(asked, KeyReused("the key is the one of the request to be reversed; a reversal has its own"))
    if row["twin_reversal_answer"] is not None:
        return _reversed(desk, asked, None, row["twin_authorisation_id"], row["twin_reversal_answer"])
    if row["twin_key_digest"] is None:
        return _bury(desk, asked, body)
    if not row["twin_is_authorise"]:
        return _leave(desk, asked, row)
    family, hold = desk.target(row)
    document: Document = {"status": HoldStatus.DECLINED, "undone": True, "reversed_amount": 0}
    if family is not None and hold is not None:
        # In a closed programme no money moves, and of what is in a batch the shop is paid: what was captured stands.
        is_final = row["target_is_in_a_batch"] or desk.reference.programme.closed_at is not None
        may_undo = row["target_captured_at_once"] and not is_final
        document = _undo(desk, family, hold, captured_at_once=may_undo)
    authorisation_id = row["twin_authorisation_id"]
    # Made from the authorisation's, so that two reversals of a decline at once are one.
    identity = {"id": f"rev_{authorisation_id.partition('_')[2]}"}
    answer = orjson.dumps(identity | document | {"authorization_id": authorisation_id})
    record = desk.record(family)
    record.keys_reversed.append((row["twin_key_digest"], asked.principal.terminal_id, answer))
    alert = None if document["undone"] else Alert.REVERSAL_NOT_UNDONE
    return _reversed(desk, asked, family, authorisation_id, answer, alert=alert)


def _undo(desk: Desk, family: FamilyAtWork, hold: Hold, *, captured_at_once: bool) -> Document:
    change = reverse(hold, captured_at_once=captured_at_once)
    amount = 0
    if isinstance(change, Change):
        family.apply(change, desk.now, desk.new_id)
        amount, hold = change.returned_rupiah, change.hold
    undone = hold.captured_rupiah == hold.refunded_rupiah
    return {"status": hold.status, "undone": undone, "reversed_amount": amount}


def _leave(desk: Desk, asked: Asked, row: asyncpg.Record) -> None:
    """Only authorise requests can be undone. What the named later call did stands; its key is dead as any other's."""
    (family, hold), authorisation_id = desk.target(row), row["twin_authorisation_id"]
    document: Document = {
        "id": written_id("rev", int.from_bytes(row["twin_key_digest"])),
        "status": hold.status if hold else HoldStatus.DECLINED if authorisation_id else NOT_KNOWN,
        "undone": False,
        "reversed_amount": 0,
    }
    if authorisation_id is not None:
        document["authorization_id"] = authorisation_id
    answer, record = orjson.dumps(document), desk.record(family)
    # So that of two at once only one is the first.
    record.changes = family is not None
    record.keys_reversed.append((row["twin_key_digest"], asked.principal.terminal_id, answer))
    alert = Alert.REVERSAL_NOT_UNDONE if hold is not None and hold.captured_rupiah > hold.refunded_rupiah else None
    return _reversed(desk, asked, family, authorisation_id, answer, alert=alert)


def met_by_key(desk: Desk, asked: Asked, body: Purchase) -> None:
    """The original of a reversal that came first and named its key: from now on its STAN is dead, too."""
    desk.nobody.tombstones_met.append((asked.key_digest, asked.principal.terminal_id, body.stan, body.terminal_time))
    return _stays_dead(desk, asked, RequestReversed("a reversal came for this Idempotency-Key"))


def met_by_stan(desk: Desk, asked: Asked, row: asyncpg.Record) -> None:
    """A request whose STAN was reversed: from now on its key is dead, too."""
    who = (asked.principal.terminal_id, asked.key_digest, KEY_ID, asked.fingerprint, None, None)
    what = (row["twin_authorisation_id"], HTTPStatus.CONFLICT, b"", row["twin_reversal_answer"])
    desk.nobody.request_keys.append((*who, *what))
    return _stays_dead(desk, asked, RequestReversed("a reversal came for this STAN and terminal_time"))


def _stays_dead(desk: Desk, asked: Asked, problem: RequestReversed) -> None:
    desk.written.add(NOBODY)
    return desk.give(asked, problem, rests_on=NOBODY)


def _bury(desk: Desk, asked: Asked, body: Reversal) -> None:
    """The original is not known, or not yet: its key and STAN stay dead."""
    answer = orjson.dumps({"id": desk.new_id("rev"), "status": NOT_KNOWN, "undone": True, "reversed_amount": 0})
    desk.nobody.request_keys.append(
        (
            asked.principal.terminal_id,
            asked.original_digest,
            KEY_ID,
            b"",
            body.stan,
            body.terminal_time,
            None,
            HTTPStatus.CONFLICT,
            b"",
            answer,
        )
    )
    return _reversed(desk, asked, None, None, answer)


def _reversed(
    desk: Desk,
    asked: Asked,
    family: FamilyAtWork | None,
    authorisation_id: str | None,
    answer: bytes,
    *,
    alert: Alert | None = None,
) -> None:
    record, given = desk.record(family), Answer(status=CREATED, body=answer)
    desk.keep(asked, record, authorisation_id, given, own_answer=True)
    return desk.give(asked, given, rests_on=record.beneficiary_id, alert=alert)


def expiry(desk: Desk, asked: Asked, row: asyncpg.Record) -> None:
    """To look at a family is to expire what is due; here that alone is worth writing."""
    family = desk.family(row)
    if family is not None and family.record.changes:
        desk.written.add(family.record.beneficiary_id)
    return desk.give(asked, Answer(status=OK, body=b""), rests_on=desk.who(family))


def _accept(desk: Desk, asked: Asked, family: FamilyAtWork, hold: Hold, status: int, document: Document) -> None:
    answer = Answer(status=status, body=orjson.dumps(document))
    desk.keep(asked, family.record, hold.authorisation_id, answer, own_answer=True)
    return desk.give(asked, answer, rests_on=family.record.beneficiary_id)


def _refuse(desk: Desk, asked: Asked, family: FamilyAtWork | None, problem: Problem) -> None:
    """A refusal that state or amount caused is an answer that is kept, like any other."""
    answer = Answer(status=problem.status, body=problem.document(asked.request_id), problem=True)
    record = desk.record(family)
    desk.keep(asked, record, asked.authorisation_id, answer, own_answer=True)
    return desk.give(asked, answer, rests_on=record.beneficiary_id)


def _event(body: Capture | Void | Refund, hold: Hold) -> Change | Refused:
    match body:
        case Capture():
            return capture(hold, body.amount, final=body.final)
        case Void():
            return void(hold)
        case Refund():
            return refund(hold, body.amount)
        case unreachable:
            assert_never(unreachable)


def _as_problem(refused: Refused) -> Problem:
    match refused:
        case StateConflict(status=status):
            return problems.StateConflict(f"the authorisation is {status}", authorization_status=status)
        case CaptureExceedsHold(held_rupiah=held):
            return problems.CaptureExceedsHold("amount is more than is held", held_amount=held)
        case RefundExceedsCaptured(refundable_rupiah=refundable):
            return problems.RefundExceedsCaptured("amount is more than can be refunded", refundable_amount=refundable)
        case unreachable:
            assert_never(unreachable)
