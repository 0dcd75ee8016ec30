"""The audit log: who did or looked at what, when, in which role and why. Append-only, in the transaction that does it.

Every order that is kept (`orders.py`) and every change of a family (`roll/`) is in it without more work; the console
adds who looked at a family and why. Ids, words and rupiah stand in it: no name, no number of a person.
"""

from collections.abc import Iterator, Mapping
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
INSERT INTO audit_entry (programme_id, entry_id, at, actor, role, action, subject_kind, subject_id, reason,
                         request_id, before, after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
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
    entry_id = new_id("aud", now, chance(CHANCE_BYTES))
    documents = (_document(before), _document(after))
    await connection.execute(
        *(_KEEP, programme_id, entry_id, now, actor, role, action, subject.kind, subject.id, reason, request_id),
        *documents,
    )
    return entry_id


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
