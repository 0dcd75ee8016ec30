"""One batch on the desk: its snapshot, its instant, what was decided so far, and what must be written for it."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final

import asyncpg
from msgspec import Struct

from authz_service.answers import Answer
from authz_service.families import FamilyAtWork, family_at_work, target_hold
from authz_service.holds import Hold, is_due
from authz_service.keys import KEY_ID
from authz_service.ledger.book import NOBODY, FamilyRecord, Snapshot
from authz_service.problems import Problem
from authz_service.registry import Reference
from authz_service.requests import Purchase, Reversal
from authz_service.rules.facts import Card, Facts, Terminal
from authz_service.rules.misuse import marks_on
from authz_service.vocabulary import CHANCE_BYTES, CardId, CardStatus, Chance, id_at, milliseconds_of
from authz_service.waiting import Asked


class Alert(StrEnum):
    CASH_ASKED = "cash_asked"
    """Somebody tried to turn the card into money, whatever else was wrong."""
    REVERSAL_NOT_UNDONE = "reversal_not_undone"
    """A till took back a sale that it had captured meanwhile: the captured part stands."""


class Given(Struct, frozen=True, kw_only=True):
    """An answer, and the family (or NOBODY) whose record it rests on; None where it rests on nothing written."""

    asked: Asked
    outcome: Answer | Problem
    rests_on: str | None
    decided: str | None = None
    """What to count once it is recorded: a reason, or that it was approved, or in part."""
    alert: Alert | None = None
    """What an operator should look at, once it is recorded."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """One programme, one instant, one snapshot; a request that is decided finds here what those before it did."""

    reference: Reference
    now: datetime
    month: date
    chance: Chance
    families: dict[str, FamilyAtWork] = field(default_factory=dict)
    nobody: FamilyRecord = field(default_factory=lambda: FamilyRecord(beneficiary_id=NOBODY, version=0))
    given: list[Given] = field(default_factory=list)
    postponed: list[Asked] = field(default_factory=list)
    """Twins of a request in this batch: they are decided once that one is known."""
    written: set[str] = field(default_factory=set)
    """The families for which something was decided that is kept."""
    _names: set[tuple[str, object]] = field(default_factory=set)
    _today: date = field(init=False)
    _milliseconds: int = field(init=False)

    def __post_init__(self) -> None:
        self._today = self.now.astimezone(self.reference.programme.zone).date()
        self._milliseconds = milliseconds_of(self.now)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            programme_id=self.reference.programme.programme_id,
            reference_version=self.reference.version,
            now=self.now,
            month=self.month,
        )

    def records(self) -> list[FamilyRecord]:
        """What must be written: of the families for which something was decided that is kept."""
        written = []
        for who, family in self.families.items():
            if who in self.written:
                family.leave(self.now, self.new_id)
                written.append(family.record)
        return [*written, self.nobody] if NOBODY in self.written else written

    def meets_its_twin(self, asked: Asked, row: asyncpg.Record) -> bool:
        """Another of this batch has the same STAN, or reverses this one: this one is decided once that is known."""
        body, terminal_id = asked.body, asked.principal.terminal_id
        names: set[tuple[str, object]] = {
            (terminal_id, digest)
            for digest in (asked.key_digest, asked.original_digest, row["twin_key_digest"])
            if digest is not None
        }
        if isinstance(body, Purchase | Reversal) and body.stan is not None and not asked.dry_run:
            names.add((terminal_id, (body.stan, body.terminal_time)))
        if names & self._names:
            return True
        self._names |= names
        return False

    def family(self, row: asyncpg.Record) -> FamilyAtWork | None:
        who = row["beneficiary_id"]
        if who is None:
            return None
        family = self.families.get(who)
        if family is None:
            family = self.families[who] = family_at_work(row, self.month, self.now, self.reference, self.new_id)
        return family

    def facts(self, row: asyncpg.Record, terminal: Terminal, family: FamilyAtWork | None) -> Facts:
        card = None
        if row["card_id"] is not None:
            card = Card(
                card_id=CardId(row["card_id"]),
                status=_CARD_STATUSES[row["card_status"]],
                expires_on=row["card_expires_on"],
            )
            if family is None:
                raise LookupError("the card's family is not there: nothing true can be said of it")
        return Facts(
            now=self.now,
            today=self._today,
            programme=self.reference.programme,
            shop=self.reference.shops.get(terminal.merchant_id),
            terminal=terminal,
            card=card,
            family=family.seen if family is not None else None,
            marks=marks_on(self.reference.marks, terminal.terminal_id, terminal.merchant_id, row["card_id"])
            if self.reference.marks
            else (),
        )

    def target(self, row: asyncpg.Record) -> tuple[FamilyAtWork | None, Hold | None]:
        """The named hold and its family, as they are after what this batch did to them and after its expiry."""
        family, hold = self.family(row), target_hold(row)
        if family is None or hold is None:
            return None, None
        hold = family.holds.setdefault(hold.authorisation_id, hold)
        if is_due(hold, self.now):
            family.expire(hold, self.new_id)
        return family, family.holds[hold.authorisation_id]

    def record(self, family: FamilyAtWork | None) -> FamilyRecord:
        return self.nobody if family is None else family.record

    def who(self, family: FamilyAtWork | None) -> str | None:
        """An answer that only reads rests on what this batch has written of the family so far, if anything."""
        who = family.record.beneficiary_id if family is not None else None
        return who if who in self.written else None

    def keep(
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
        self.written.add(record.beneficiary_id)
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
            )
        )

    def give(
        self, asked: Asked, outcome: Answer | Problem, *, rests_on: str | None = None, alert: Alert | None = None
    ) -> None:
        self.given.append(Given(asked=asked, outcome=outcome, rests_on=rests_on, alert=alert))

    def new_id(self, prefix: str) -> str:
        return id_at(prefix, self._milliseconds, self.chance(CHANCE_BYTES))


_CARD_STATUSES: Final = {status.value: status for status in CardStatus}
"""A look-up costs a tenth of a call of the enum."""
