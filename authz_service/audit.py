"""The audit log: who did or looked at what, when, in which role and why. Append-only, in the transaction that does it.

Every order that is kept (`orders.py`) and every change of a family (`roll/`) is in it without more work; the console
adds who looked at a family and why. Ids, words and rupiah stand in it: no name, no number of a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from authz_service.database import Connection
from authz_service.vocabulary import CHANCE_BYTES, Chance, new_id

LIST_LIMIT: Final = 1_000
_KEEP: Final = """
-- All that one person does at once.
INSERT INTO audit_entry (programme_id, entry_id, at, actor, role, action, subject_kind, subject_id, reason,
                         request_id, before, after)
SELECT $1, deed.entry_id, $2, $3, $4, deed.action, deed.subject_kind, deed.subject_id, $5, $6, deed.before, deed.after
  FROM unnest($7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[], $12::jsonb[])
       AS deed (entry_id, action, subject_kind, subject_id, before, after)
"""
_ENTRIES: Final = """
-- The newest first, from before the entry $2 on; of one subject, one actor or one action where they are given.
SELECT entry_id, at, actor, role, action, subject_kind, subject_id, reason, request_id, before, after
  FROM audit_entry
 WHERE programme_id = $1
   AND ($2::text IS NULL OR entry_id < $2)
   AND ($3::text IS NULL OR subject_id = $3)
   AND ($4::text IS NULL OR lower(btrim(actor)) = lower(btrim($4)))
   AND ($5::text IS NULL OR action = $5)
 ORDER BY entry_id DESC
 LIMIT $6
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """From where somebody acts: the role of a person of the console, and the request."""

    role: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an entry speaks of."""

    kind: str
    """family, card, order, person, session"""
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What was done or looked at, and how it was before and after."""

    action: str
    subject: Subject
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of `audit_entry`."""

    entry_id: str
    at: datetime
    actor: str
    role: str | None
    action: str
    subject: Subject
    reason: str | None
    request_id: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


_NO_SEAT: Final = Seat(role=None, request_id=None)
_SEAT: ContextVar[Seat] = ContextVar("seat", default=_NO_SEAT)


@contextmanager
def seated(seat: Seat) -> Iterator[None]:
    """What is kept meanwhile, by this task, is kept with the seat's role and request: orders need not hand them on."""
    token = _SEAT.set(seat)
    try:
        yield
    finally:
        _SEAT.reset(token)


def seat() -> Seat:
    """From where the order is given that is being carried out; a command has neither role nor request."""
    return _SEAT.get()


async def keep_audit(
    connection: Connection,
    programme_id: str,
    *,
    actor: str,
    role: str | None,
    action: str,
    subject: Subject,
    reason: str | None,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
    now: datetime,
    chance: Chance,
    request_id: str | None,
) -> str:
    """The entry is kept if this transaction is committed, and never changed; its id."""
    deed = Deed(action=action, subject=subject, before=before, after=after)
    [entry_id] = await keep_audits(
        connection,
        programme_id,
        [deed],
        actor=actor,
        role=role,
        reason=reason,
        now=now,
        chance=chance,
        request_id=request_id,
    )
    return entry_id


async def keep_audits(
    connection: Connection,
    programme_id: str,
    deeds: Sequence[Deed],
    *,
    actor: str,
    role: str | None,
    reason: str | None,
    now: datetime,
    chance: Chance,
    request_id: str | None,
) -> list[str]:
    """The same of all that one person does at once; the entries' ids, in the given order."""
    entry_ids = [new_id("aud", now, chance(CHANCE_BYTES)) for _ in deeds]
    await connection.execute(
        *(_KEEP, programme_id, now, actor, role, reason, request_id, entry_ids),
        [each.action for each in deeds],
        [each.subject.kind for each in deeds],
        [each.subject.id for each in deeds],
        [_document(each.before) for each in deeds],
        [_document(each.after) for each in deeds],
    )
    return entry_ids


async def entries(
    connection: Connection,
    programme_id: str,
    *,
    limit: int,
    before: str | None = None,
    subject_id: str | None = None,
    actor: str | None = None,
    action: str | None = None,
) -> list[Entry]:
    """The newest first; the next page is `before` the last entry of this one."""
    rows = await connection.fetch(_ENTRIES, programme_id, before, subject_id, actor, action, min(limit, LIST_LIMIT))
    return [
        Entry(
            entry_id=row["entry_id"],
            at=row["at"],
            actor=row["actor"],
            role=row["role"],
            action=row["action"],
            subject=Subject(kind=row["subject_kind"], id=row["subject_id"]),
            reason=row["reason"],
            request_id=row["request_id"],
            before=row["before"] and orjson.loads(row["before"]),
            after=row["after"] and orjson.loads(row["after"]),
        )
        for row in rows
    ]


def _document(words: Mapping[str, object] | None) -> str | None:
    return None if words is None else orjson.dumps(words).decode()
