"""THE HOT PATH, between the one read and the one write: each request of a batch is decided in order of arrival.

Pure: facts come in as rows of one snapshot with one instant, answers and records go out. Nothing here waits. An
answer that rests on a record is given only after that record was written; if the family's facts had changed
meanwhile, its requests are decided again.
"""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import assert_never

import asyncpg
import orjson

from authz_service import __version__
from authz_service.answers import CREATED, OK, Answer, Document, Identity, balance_document, decision_document
from authz_service.declines import APPROVED, PARTLY_APPROVED, DeclineReason
from authz_service.desk import Alert, Desk, Given
from authz_service.holds import Change, Hold, Move, capture
from authz_service.later_calls import expiry, later_call, met_by_key, met_by_stan, reversal
from authz_service.problems import (
    KeyReused,
    NotYours,
    OutcomeUnknown,
    Problem,
    RequestReversed,
    StanAlreadyUsed,
    Unauthenticated,
)
from authz_service.requests import BalanceInquiry, Capture, Expiry, Purchase, Refund, Reversal, Void
from authz_service.rules.decide import (
    OUTSIDE_THE_BASKET,
    Decision,
    Refusal,
    decide,
    identity_refusals,
    largest_approvable,
)
from authz_service.rules.facts import Facts, Terminal
from authz_service.rules.money import packages_of_a_purchase, room_of
from authz_service.vocabulary import CHANCE_BYTES, AuthorisationId, Cause, HoldStatus, TransferKind, approval_code
from authz_service.waiting import Asked, Body


def decide_all(desk: Desk, asked: Sequence[Asked], rows: Sequence[asyncpg.Record]) -> None:
    """Every request has its answer on the desk, or is postponed; what must be written is in the desk's records."""
    for each, row in zip(asked, rows, strict=True):
        _decide_one(desk, each, row)


def _decide_one(desk: Desk, asked: Asked, row: asyncpg.Record) -> None:
    body = asked.body
    if isinstance(body, Expiry):
        return expiry(desk, asked, row)
    terminal = desk.reference.terminals.get(asked.principal.key_digest)
    if terminal is None:
        return desk.give(asked, Unauthenticated("the terminal key was revoked"))
    if row["known_fingerprint"] is not None:
        if row["known_is_a_tombstone"] and row["twin_key_digest"] is None and isinstance(body, Purchase):
            return met_by_key(desk, asked, body)
        return desk.give(asked, _known(asked, row))
    if desk.meets_its_twin(asked, row):
        return desk.postponed.append(asked)
    if not _is_of(body, terminal):
        return desk.give(asked, NotYours("merchant_id or terminal_id is not that of the terminal key"))
    match body:
        case Purchase():
            return _purchase(desk, asked, body, row, terminal)
        case Capture() | Void() | Refund():
            return later_call(desk, asked, body, row, terminal)
        case Reversal():
            return reversal(desk, asked, body, row)
        case BalanceInquiry():
            return _balance(desk, asked, body, row, terminal)
        case unreachable:
            assert_never(unreachable)


def _known(asked: Asked, row: asyncpg.Record) -> Answer | Problem:
    """The first answer again, byte for byte; nothing but a reversal ends that."""
    if row["known_reversal_answer"] is not None:
        return RequestReversed("a reversal came for this Idempotency-Key")
    if row["known_fingerprint"] != asked.fingerprint:
        return KeyReused("the key was used for a request with other content")
    if row["known_answer"] is None:
        return OutcomeUnknown("the stored answer cannot be found; operators see it in the audit")
    status: int = row["known_status"]
    return Answer(status=status, body=row["known_answer"], replayed=True, problem=status >= HTTPStatus.BAD_REQUEST)


def _purchase(desk: Desk, asked: Asked, body: Purchase, row: asyncpg.Record, terminal: Terminal) -> None:
    if row["twin_reversal_answer"] is not None:
        return met_by_stan(desk, asked, row)
    if row["twin_authorisation_id"] is not None:
        return desk.give(asked, _stan_already_used(row["twin_authorisation_id"]))
    family = desk.family(row)
    facts = desk.facts(row, terminal, family)
    decision = decide(body, facts)
    authorisation_id = AuthorisationId(desk.new_id("auth"))
    hold = placed_hold(authorisation_id, facts, decision, captured=body.capture)
    if asked.dry_run:
        document = decision_document(body, facts, decision, None, hold)
        return desk.give(asked, Answer(status=OK, body=orjson.dumps(document)), rests_on=desk.who(family))
    if family is not None and hold is not None:
        family.place(hold, decision, _moves(hold), desk.now, desk.new_id)
    identity = Identity(
        authorisation_id=authorisation_id,
        approval_code=approval_code(desk.chance(CHANCE_BYTES)) if hold else None,
        expires_at=hold.expires_at if hold else None,
    )
    document = decision_document(body, facts, decision, identity, hold)
    answer = Answer(status=CREATED, body=orjson.dumps(document))
    record = desk.record(family)
    record.authorisations.append(_journal_row(desk, asked, body, facts, decision, authorisation_id, answer.body, row))
    desk.keep(asked, record, authorisation_id, answer, stan=body.stan, terminal_time=body.terminal_time)
    asks_for_cash = any(refusal.reason is DeclineReason.CASH_NOT_PERMITTED for refusal in decision.refusals)
    cash = Alert.CASH_ASKED if asks_for_cash else None
    given = Given(asked=asked, outcome=answer, rests_on=record.beneficiary_id, decided=_counted(decision), alert=cash)
    return desk.given.append(given)


def _counted(decision: Decision) -> str:
    if not decision.approved:
        return decision.refusals[0].reason
    return PARTLY_APPROVED if decision.tender_due_rupiah else APPROVED


def _balance(desk: Desk, asked: Asked, body: BalanceInquiry, row: asyncpg.Record, terminal: Terminal) -> None:
    family = desk.family(row)
    facts = desk.facts(row, terminal, family)
    refusals = identity_refusals(facts)
    room, largest = None, 0
    if not refusals and family is not None:
        room = room_of(family.seen, facts.programme)
        largest = largest_approvable(facts, room)
        refusals = [Refusal(reason=reason) for rule in OUTSIDE_THE_BASKET if (reason := rule(facts)) is not None]
    document = balance_document(body, facts, refusals, room, largest)
    return desk.give(asked, Answer(status=OK, body=orjson.dumps(document)), rests_on=desk.who(family))


def placed_hold(authorisation_id: AuthorisationId, facts: Facts, decision: Decision, *, captured: bool) -> Hold | None:
    """What an approval reserves, already posted where it was `captured` in the same step; None for a decline."""
    if not decision.approved or facts.family is None:
        return None
    hold = Hold(
        authorisation_id=authorisation_id,
        beneficiary_id=facts.family.beneficiary_id,
        merchant_id=facts.terminal.merchant_id,
        month=facts.family.month.month,
        status=HoldStatus.HELD,
        approved_rupiah=decision.approved_rupiah,
        held_rupiah=decision.approved_rupiah,
        captured_rupiah=0,
        refunded_rupiah=0,
        packages=packages_of_a_purchase(facts.programme),
        expires_at=facts.now + timedelta(seconds=facts.programme.hold_seconds),
        voucher_uses=decision.voucher_uses,
    )
    if not captured:
        return hold
    change = capture(hold, None, final=True)
    if not isinstance(change, Change):
        raise TypeError("a new hold can be captured whole")
    return change.hold


def _journal_row(
    desk: Desk,
    asked: Asked,
    body: Purchase,
    facts: Facts,
    decision: Decision,
    authorisation_id: AuthorisationId,
    answer: bytes,
    row: asyncpg.Record,
) -> tuple[object, ...]:
    return (
        authorisation_id,
        facts.terminal.merchant_id,
        facts.terminal.terminal_id,
        row["card_id"],
        APPROVED if decision.approved else decision.refusals[0].reason,
        body.amount,
        decision.approved_rupiah,
        decision.reduction_rupiah,
        asked.request_id,
        orjson.dumps(journal_of(body, facts, decision, desk.reference.version, row["wallet_version"])).decode(),
        answer,
    )


def journal_of(
    body: Purchase, facts: Facts, decision: Decision, reference_version: int, wallet_version: int | None
) -> Document:
    """What was asked, line by line, and what the rules saw of the family; the rest is the history of the reference.

    `explanation/` decides the purchase again from the two, years later.
    """
    month = facts.family.month if facts.family else None
    return {
        "lines": [
            [line.category, line.amount, outcome.approved_rupiah, outcome.reduction_rupiah, outcome.action,
             line.product, line.unit, line.quantity, line.unit_price]
            for line, outcome in zip(body.lines, decision.lines, strict=True)
        ],
        "asked": {"capture": body.capture, "partial_approval": body.partial_approval},
        "reasons": [[refusal.reason, refusal.line] for refusal in decision.refusals],
        "facts": {
            "shop": facts.shop.status if facts.shop else None,
            "terminal": facts.terminal.status,
            "card": facts.card.status if facts.card else None,
            "card_expires_on": facts.card.expires_on if facts.card else None,
            "family": facts.family.status if facts.family else None,
            "companion": facts.family.companion_label if facts.family else None,
            "window": [facts.programme.starts_at, facts.programme.ends_at],
            "package": facts.programme.package_rupiah,
            "available": facts.family.available_rupiah if facts.family else None,
            "month": month and [month.cap_rupiah, month.packages_cap, month.used_rupiah, month.packages_used,
                                month.covered_rupiah, month.covered_packages],
            "vouchers": month and [[v.voucher_id, v.rupiah_left, v.packages_left, v.expires_at]
                                   for v in month.vouchers],
        },
        "versions": {"rules": __version__, "reference": reference_version, "wallet": wallet_version},
    }  # fmt: skip


def _moves(hold: Hold) -> tuple[Move, ...]:
    """A hold, and its capture where both were asked in one."""
    held = Move(kind=TransferKind.HOLD, cause=Cause.AUTHORISE, amount_rupiah=hold.approved_rupiah)
    if not hold.captured_rupiah:
        return (held,)
    return held, Move(kind=TransferKind.POST, cause=Cause.CAPTURE, amount_rupiah=hold.captured_rupiah)


def _stan_already_used(authorisation_id: str) -> Problem:
    return StanAlreadyUsed(
        "this STAN and terminal_time belong to an earlier request", authorization_id=authorisation_id
    )


def _is_of(body: Body, terminal: Terminal) -> bool:
    """A till may say who it is; then it must be right."""
    if isinstance(body, Expiry):
        return True
    return body.merchant_id in {None, terminal.merchant_id} and body.terminal_id in {None, terminal.terminal_id}
