"""THE HOT PATH, between the one read and the one write: each request of a batch is decided in order of arrival.

Pure: facts come in as rows of one snapshot with one instant, answers and records go out. Nothing here waits. An
answer that rests on a record is given only after that record was written; if the family's facts had changed
meanwhile, its requests are decided again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Final, assert_never

import asyncpg
import orjson

from authz_service import __version__, problems
from authz_service.answers import (
    CREATED,
    OK,
    Answer,
    Document,
    Identity,
    as_it_stands,
    balance_document,
    decision_document,
    shown,
)
from authz_service.declines import APPROVED, DeclineReason
from authz_service.families import FamilyAtWork, family_at_work, target_hold
from authz_service.holds import (
    CaptureExceedsHold,
    Change,
    Hold,
    Move,
    RefundExceedsCaptured,
    Refused,
    StateConflict,
    capture,
    is_due,
    refund,
    reverse,
    void,
)
from authz_service.keys import KEY_ID
from authz_service.ledger.book import NOBODY, FamilyRecord
from authz_service.problems import (
    KeyReused,
    NotFound,
    NotYours,
    Problem,
    RequestReversed,
    StanAlreadyUsed,
    Unauthenticated,
)
from authz_service.registry import Reference
from authz_service.requests import BalanceInquiry, Capture, Expiry, Purchase, Refund, Reversal, Void
from authz_service.rules.decide import WINDOW_RULES, Decision, Refusal, decide, identity_refusals, largest_approvable
from authz_service.rules.facts import Card, Facts, Terminal
from authz_service.rules.money import packages_of_a_purchase, room_of
from authz_service.vocabulary import (
    CHANCE_BYTES,
    AuthorisationId,
    CardId,
    CardStatus,
    Cause,
    Chance,
    HoldStatus,
    TransferKind,
    approval_code,
    new_id,
)
from authz_service.waiting import Asked, Body

NOT_KNOWN: Final = "not_known"
"""Status of a request that was reversed before it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer, and the family (or NOBODY) whose record it rests on; None where it rests on nothing written."""

    asked: Asked
    outcome: Answer | Problem
    rests_on: str | None
    decided: str | None = None
    """The reason to count once it is recorded."""
    asks_for_cash: bool = False
    """Somebody tried to turn the card into money: worth an alert, whatever else was wrong."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """One batch on the desk: one programme, one instant, one snapshot."""

    reference: Reference
    now: datetime
    month: date
    chance: Chance
    families: dict[str, FamilyAtWork] = field(default_factory=dict)
    nobody: FamilyRecord = field(default_factory=lambda: FamilyRecord(beneficiary_id=NOBODY, version=0))
    given: list[Given] = field(default_factory=list)
    postponed: list[Asked] = field(default_factory=list)
    """Twins of a request in this batch: they are decided once that one is known."""
    _names: set[tuple[str, object]] = field(default_factory=set)
    _written: set[str] = field(default_factory=set)

    def decide_all(self, asked: Sequence[Asked], rows: Sequence[asyncpg.Record]) -> None:
        for each, row in zip(asked, rows, strict=True):
            self._decide_one(each, row)

    def records(self) -> list[FamilyRecord]:
        """What must be written: of the families for which something was decided that is kept."""
        written = []
        for who, family in self.families.items():
            if who in self._written:
                family.leave(self.now, self._new_id)
                written.append(family.record)
        return [*written, self.nobody] if NOBODY in self._written else written

    def _decide_one(self, asked: Asked, row: asyncpg.Record) -> None:
        body = asked.body
        if isinstance(body, Expiry):
            return self._expire(asked, row)
        terminal = self.reference.terminals.get(asked.principal.key_digest)
        if terminal is None:
            return self._give(asked, Unauthenticated("the terminal key was revoked"))
        if row["known_fingerprint"] is not None:
            return self._give(asked, self._known(asked, row))
        if self._meets_its_twin(asked):
            return self.postponed.append(asked)
        if not _is_of(body, terminal):
            return self._give(asked, NotYours("merchant_id or terminal_id is not that of the terminal key"))
        match body:
            case Purchase():
                return self._purchase(asked, body, row, terminal)
            case Capture() | Void() | Refund():
                return self._later(asked, body, row, terminal)
            case Reversal():
                return self._reverse(asked, body, row)
            case BalanceInquiry():
                return self._balance(asked, row, terminal)
            case unreachable:
                assert_never(unreachable)

    def _meets_its_twin(self, asked: Asked) -> bool:
        """Another of this batch has the same STAN, or reverses this one: this one is decided once that is known."""
        body, terminal_id = asked.body, asked.principal.terminal_id
        names: set[tuple[str, object]] = {
            (terminal_id, digest) for digest in (asked.key_digest, asked.original_digest) if digest is not None
        }
        if isinstance(body, Purchase | Reversal) and body.stan is not None and not asked.dry_run:
            names.add((terminal_id, (body.stan, body.terminal_time)))
        if names & self._names:
            return True
        self._names |= names
        return False

    def _known(self, asked: Asked, row: asyncpg.Record) -> Answer | Problem:
        if row["known_reversal_answer"] is not None:
            return RequestReversed("a reversal came for this Idempotency-Key")
        if row["known_fingerprint"] != asked.fingerprint:
            return KeyReused("the key was used for a request with other content")
        status: int = row["known_status"]
        return Answer(status=status, body=row["known_answer"], replayed=True, problem=status >= HTTPStatus.BAD_REQUEST)

    def _purchase(self, asked: Asked, body: Purchase, row: asyncpg.Record, terminal: Terminal) -> None:
        if row["twin_reversal_answer"] is not None:
            return self._give(asked, RequestReversed("a reversal came for this STAN and terminal_time"))
        if row["twin_authorisation_id"] is not None:
            return self._give(asked, _stan_already_used(row["twin_authorisation_id"]))
        family = self._family(row)
        facts = self._facts(row, terminal, family)
        decision = decide(body, facts)
        authorisation_id = AuthorisationId(self._new_id("auth"))
        hold = self._hold(authorisation_id, body, facts, decision)
        if asked.dry_run:
            document = decision_document(body, facts, decision, None, hold)
            return self._give(asked, Answer(status=OK, body=orjson.dumps(document)), rests_on=self._who(family))
        if family is not None and hold is not None:
            family.place(hold, decision, _moves(hold), self.now, self._new_id)
        identity = Identity(
            authorisation_id=authorisation_id,
            approval_code=approval_code(self.chance(CHANCE_BYTES)) if hold else None,
            expires_at=hold.expires_at if hold else None,
        )
        document = decision_document(body, facts, decision, identity, hold)
        answer = Answer(status=CREATED, body=orjson.dumps(document))
        record = self._record(family)
        record.authorisations.append(
            self._journal_row(asked, body, facts, decision, authorisation_id, answer.body, row)
        )
        self._keep(asked, record, authorisation_id, answer, stan=body.stan, terminal_time=body.terminal_time)
        reason = APPROVED if decision.approved else str(decision.refusals[0].reason)
        cash = any(refusal.reason is DeclineReason.CASH_NOT_PERMITTED for refusal in decision.refusals)
        given = Given(asked=asked, outcome=answer, rests_on=record.beneficiary_id, decided=reason, asks_for_cash=cash)
        return self.given.append(given)

    def _later(self, asked: Asked, body: Capture | Void | Refund, row: asyncpg.Record, terminal: Terminal) -> None:
        """A call on an authorisation that was decided before. No rule runs again: its approval was a promise."""
        if row["target_merchant_id"] != terminal.merchant_id:
            return self._give(asked, NotFound("this shop has no such authorisation"))
        family, hold = self._target(row)
        if family is None or hold is None:
            return self._refuse(asked, None, StateConflict(status=HoldStatus.DECLINED))
        change = _event(body, hold)
        if not isinstance(change, Change):
            return self._refuse(asked, family, change)
        reason = None if isinstance(body, Capture) else body.reason
        ids = family.apply(change, self.now, self._new_id, reason=reason)
        document = as_it_stands(row["target_answer"], change.hold)
        if isinstance(body, Void):
            return self._accept(asked, family, hold, OK, document)
        moved = {
            "id": ids[0],
            "amount": change.moves[0].amount_rupiah,
            "created_at": shown(self.now, self.reference.programme.zone),
        }
        name = "capture" if isinstance(body, Capture) else "refund"
        return self._accept(asked, family, hold, CREATED, {name: moved, "authorization": document})

    def _reverse(self, asked: Asked, body: Reversal, row: asyncpg.Record) -> None:
        """The named request is dead from now on, whatever became of it; the first answer to say so is every one's."""
        if row["twin_reversal_answer"] is not None:
            return self._reversed(asked, None, row["twin_authorisation_id"], row["twin_reversal_answer"])
        if row["twin_key_digest"] is None:
            return self._bury(asked, body)
        if not row["twin_is_authorise"]:
            return self._leave(asked, row)
        family, hold = self._target(row)
        document: Document = {"status": HoldStatus.DECLINED, "undone": True, "reversed_amount": 0}
        if family is not None and hold is not None:
            document = self._undo(family, hold, captured_at_once=row["target_captured_at_once"])
        authorisation_id = row["twin_authorisation_id"]
        # Made from the authorisation's, so that two reversals of a decline at once are one.
        identity = {"id": f"rev_{authorisation_id.partition('_')[2]}"}
        answer = orjson.dumps(identity | document | {"authorization_id": authorisation_id})
        record = self._record(family)
        record.reversed_keys.append((asked.principal.terminal_id, row["twin_key_digest"], answer))
        return self._reversed(asked, family, authorisation_id, answer)

    def _leave(self, asked: Asked, row: asyncpg.Record) -> None:
        """Only authorise requests can be reversed; the named one is a later call, which stands."""
        _, hold = self._target(row)
        document = {
            "id": self._new_id("rev"),
            "status": hold.status if hold else HoldStatus.DECLINED,
            "undone": False,
            "reversed_amount": 0,
            "authorization_id": row["twin_authorisation_id"],
        }
        return self._reversed(asked, None, row["twin_authorisation_id"], orjson.dumps(document))

    def _undo(self, family: FamilyAtWork, hold: Hold, *, captured_at_once: bool) -> Document:
        change = reverse(hold, captured_at_once=captured_at_once)
        amount = 0
        if isinstance(change, Change):
            family.apply(change, self.now, self._new_id)
            amount, hold = change.returned_rupiah, change.hold
        undone = hold.captured_rupiah == hold.refunded_rupiah
        return {"status": hold.status, "undone": undone, "reversed_amount": amount}

    def _bury(self, asked: Asked, body: Reversal) -> None:
        """The original is not known, or not yet: its key and STAN stay dead."""
        answer = orjson.dumps({"id": self._new_id("rev"), "status": NOT_KNOWN, "undone": True, "reversed_amount": 0})
        self.nobody.request_keys.append(
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
                self.now,
            )
        )
        return self._reversed(asked, None, None, answer)

    def _reversed(self, asked: Asked, family: FamilyAtWork | None, authorisation_id: str | None, answer: bytes) -> None:
        record, given = self._record(family), Answer(status=CREATED, body=answer)
        self._keep(asked, record, authorisation_id, given, own_answer=True)
        return self._give(asked, given, rests_on=record.beneficiary_id)

    def _expire(self, asked: Asked, row: asyncpg.Record) -> None:
        """To look at a family is to expire what is due; here that alone is worth writing."""
        family = self._family(row)
        if family is not None and family.record.changes:
            self._written.add(family.record.beneficiary_id)
        return self._give(asked, Answer(status=OK, body=b""), rests_on=self._who(family))

    def _balance(self, asked: Asked, row: asyncpg.Record, terminal: Terminal) -> None:
        family = self._family(row)
        facts = self._facts(row, terminal, family)
        refusals = identity_refusals(facts)
        room, largest = None, 0
        if not refusals and family is not None:
            room = room_of(family.seen, facts.programme)
            largest = largest_approvable(facts, room)
            refusals = [Refusal(reason=reason) for rule in WINDOW_RULES if (reason := rule(facts)) is not None]
        document = balance_document(facts, refusals, room, largest)
        return self._give(asked, Answer(status=OK, body=orjson.dumps(document)), rests_on=self._who(family))

    # What the steps above stand on

    def _family(self, row: asyncpg.Record) -> FamilyAtWork | None:
        who = row["beneficiary_id"]
        if who is None:
            return None
        family = self.families.get(who)
        if family is None:
            family = self.families[who] = family_at_work(row, self.month, self.now, self.reference, self._new_id)
        return family

    def _facts(self, row: asyncpg.Record, terminal: Terminal, family: FamilyAtWork | None) -> Facts:
        card = None
        if row["card_id"] is not None:
            card = Card(
                card_id=CardId(row["card_id"]), status=CardStatus(row["card_status"]), expires_on=row["card_expires_on"]
            )
        return Facts(
            now=self.now,
            today=self.now.astimezone(self.reference.programme.zone).date(),
            programme=self.reference.programme,
            shop=self.reference.shops.get(terminal.merchant_id),
            terminal=terminal,
            card=card,
            family=family.seen if family is not None else None,
        )

    def _target(self, row: asyncpg.Record) -> tuple[FamilyAtWork | None, Hold | None]:
        """The named hold and its family, as they are after what this batch did to them and after its expiry."""
        family, hold = self._family(row), target_hold(row)
        if family is None or hold is None:
            return None, None
        hold = family.holds.setdefault(hold.authorisation_id, hold)
        if is_due(hold, self.now):
            family.expire(hold, self._new_id)
        return family, family.holds[hold.authorisation_id]

    def _hold(self, authorisation_id: AuthorisationId, body: Purchase, facts: Facts, decision: Decision) -> Hold | None:
        if not decision.approved or facts.family is None or facts.shop is None:
            return None
        hold = Hold(
            authorisation_id=authorisation_id,
            beneficiary_id=facts.family.beneficiary_id,
            merchant_id=facts.shop.merchant_id,
            month=self.month,
            status=HoldStatus.HELD,
            approved_rupiah=decision.approved_rupiah,
            held_rupiah=decision.approved_rupiah,
            captured_rupiah=0,
            refunded_rupiah=0,
            packages=packages_of_a_purchase(facts.programme),
            expires_at=self.now + timedelta(seconds=facts.programme.hold_seconds),
            voucher_uses=decision.voucher_uses,
        )
        if not body.capture:
            return hold
        captured = capture(hold, None, final=True)
        if not isinstance(captured, Change):
            raise TypeError("a new hold can be captured whole")
        return captured.hold

    def _record(self, family: FamilyAtWork | None) -> FamilyRecord:
        return self.nobody if family is None else family.record

    def _who(self, family: FamilyAtWork | None) -> str | None:
        """An answer that only reads rests on what this batch has written of the family so far, if anything."""
        who = family.record.beneficiary_id if family is not None else None
        return who if who in self._written else None

    def _accept(self, asked: Asked, family: FamilyAtWork, hold: Hold, status: int, document: Document) -> None:
        answer = Answer(status=status, body=orjson.dumps(document))
        self._keep(asked, family.record, hold.authorisation_id, answer, own_answer=True)
        return self._give(asked, answer, rests_on=family.record.beneficiary_id)

    def _refuse(self, asked: Asked, family: FamilyAtWork | None, refused: Refused) -> None:
        """A refusal that state or amount caused is an answer that is kept, like any other."""
        problem = _as_problem(refused)
        answer = Answer(status=problem.status, body=problem.document(asked.request_id), problem=True)
        record = self._record(family)
        self._keep(asked, record, asked.authorisation_id, answer, own_answer=True)
        return self._give(asked, answer, rests_on=record.beneficiary_id)

    def _keep(
        self,
        asked: Asked,
        record: FamilyRecord,
        authorisation_id: str | None,
        answer: Answer,
        *,
        stan: str | None = None,
        terminal_time: datetime | None = None,
        own_answer: bool = False,
    ) -> None:
        self._written.add(record.beneficiary_id)
        record.request_keys.append(
            (
                asked.principal.terminal_id,
                asked.key_digest,
                KEY_ID,
                asked.fingerprint,
                stan,
                terminal_time,
                authorisation_id,
                answer.status,
                answer.body if own_answer else None,
                None,
                self.now,
            )
        )

    def _give(self, asked: Asked, outcome: Answer | Problem, *, rests_on: str | None = None) -> None:
        self.given.append(Given(asked=asked, outcome=outcome, rests_on=rests_on))

    def _new_id(self, prefix: str) -> str:
        return new_id(prefix, self.now, self.chance(CHANCE_BYTES))

    def _journal_row(
        self,
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
            self.now,
            facts.terminal.merchant_id,
            facts.terminal.terminal_id,
            row["card_id"],
            self.month,
            APPROVED if decision.approved else decision.refusals[0].reason,
            body.amount,
            decision.approved_rupiah,
            decision.reduction_rupiah,
            asked.request_id,
            orjson.dumps(_journal(body, facts, decision, self.reference.version, row["wallet_version"])).decode(),
            answer,
        )


def _journal(
    body: Purchase, facts: Facts, decision: Decision, reference_version: int, wallet_version: int | None
) -> Document:
    """What was asked, line by line, and the facts that the rules saw: enough to explain the answer years later."""
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
            "family": facts.family.status if facts.family else None,
            "window": [facts.programme.starts_at, facts.programme.ends_at],
            "package": facts.programme.package_rupiah,
            "available": facts.family.available_rupiah if facts.family else None,
            "month": month and [month.cap_rupiah, month.packages_cap, month.used_rupiah, month.packages_used,
                                month.covered_rupiah, month.covered_packages],
            "vouchers": month and [[v.voucher_id, v.rupiah_left, v.packages_left] for v in month.vouchers],
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


def _is_of(body: Body, terminal: Terminal) -> bool:
    """A till may say who it is; then it must be right."""
    if not isinstance(body, Purchase | BalanceInquiry):
        return True
    return body.merchant_id in {None, terminal.merchant_id} and body.terminal_id in {None, terminal.terminal_id}
