"""What reconciliation cannot explain waits here: one person says what becomes of it, another approves; or a later
statement explains it. No money moves by either.

ExceptionRefused    nothing was changed; the message is one sentence for the operator
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from authz_service.database import Connection
from authz_service.events.kinds import ExceptionResolved
from authz_service.events.outbox import publish
from authz_service.orders import OrderKind, keep_order
from authz_service.reconciliation.findings import Finding, State
from authz_service.reconciliation.told import told_of_exception
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id, several

_KNOWN: Final = """
-- Open exceptions, and those that two people have closed: these are not raised again for the same figures.
SELECT exception_id, kind, subject, ours_rupiah, theirs_rupiah, closed_at IS NULL AS is_open
  FROM reconciliation_exception
 WHERE programme_id = $1 AND (closed_at IS NULL OR approved_by IS NOT NULL)
"""
_RAISE: Final = """
INSERT INTO reconciliation_exception (programme_id, exception_id, kind, reference, subject, ours_rupiah, theirs_rupiah,
                                      since_on, first_seen_at, detail, proposal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_EXPLAINED: Final = """
-- Nothing disagrees there any more.
UPDATE reconciliation_exception SET closed_at = $3
 WHERE programme_id = $1 AND exception_id = ANY ($2) AND closed_at IS NULL
"""
_LISTED: Final = """
-- The oldest difference first; also those that are closed where $2 says so.
SELECT exception_id, kind, reference, ours_rupiah, theirs_rupiah, since_on, first_seen_at, detail, proposal,
       resolved_by, outcome, reason, approved_by, closed_at
  FROM reconciliation_exception
 WHERE programme_id = $1 AND ($2 OR closed_at IS NULL)
 ORDER BY since_on, exception_id
 LIMIT $3
"""
_RESOLVE: Final = """
-- Somebody has said what becomes of it; it stays open until somebody else has approved.
UPDATE reconciliation_exception SET resolved_at = $3, resolved_by = $4, outcome = $5, reason = $6
 WHERE programme_id = $1 AND exception_id = $2 AND closed_at IS NULL
"""
_APPROVE: Final = """
-- The second pair of eyes: not the first one's.
UPDATE reconciliation_exception SET approved_by = $4, closed_at = $3
 WHERE programme_id = $1 AND exception_id = $2 AND closed_at IS NULL AND lower(btrim(resolved_by)) <> lower(btrim($4))
RETURNING outcome
"""
_OPEN: Final = """
SELECT count(*) AS exceptions, min(since_on) AS since_on
  FROM reconciliation_exception
 WHERE programme_id = $1 AND closed_at IS NULL
"""
REASON_LIMIT: Final = 200


class ExceptionRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


class Outcome(StrEnum):
    """What becomes of an exception."""

    EXPLAINED = "explained"
    """It is as it should be, and the reason says why: the bank's own charges, for example."""
    CORRECTED = "corrected"
    """The books were put right by an order of their own."""
    CLAIMED = "claimed"
    """The bank was asked to put its side right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptException:
    """One row of the queue."""

    exception_id: str
    kind: State
    reference: str
    ours_rupiah: int | None
    theirs_rupiah: int | None
    since_on: date
    first_seen_at: datetime
    detail: str
    proposal: str | None
    resolved_by: str | None
    outcome: Outcome | None
    reason: str | None
    approved_by: str | None
    closed_at: datetime | None

    def age_days(self, today: date) -> int:
        return max(0, (today - self.since_on).days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """What the findings changed in the queue, and how many are open now."""

    raised: int
    explained: int
    open: int


_Key = tuple[str, str, int | None, int | None]


async def queue(
    connection: Connection, programme_id: ProgrammeId, findings: Iterable[Finding], *, now: datetime, chance: Chance
) -> Queued:
    """Each difference is in the queue once, and none that is explained is open."""
    found = {_key(each): each for each in findings if each.state.is_exception}
    rows = await connection.fetch(_KNOWN, programme_id)
    known = {(row["kind"], row["subject"], row["ours_rupiah"], row["theirs_rupiah"]): row for row in rows}
    new = [found[key] for key in sorted(found.keys() - known.keys(), key=str)]
    ids = [new_id("exc", now, chance(CHANCE_BYTES)) for _ in new]
    await connection.executemany(_RAISE, [_row(programme_id, *each, now) for each in zip(ids, new, strict=True)])
    over = [row["exception_id"] for key, row in known.items() if row["is_open"] and key not in found]
    await connection.execute(_EXPLAINED, programme_id, over, now)
    told = [
        *(told_of_exception(*each) for each in zip(ids, new, strict=True)),
        *(ExceptionResolved(exception_id=each, closed_by="statement", outcome=None) for each in over),
    ]
    await publish(connection, programme_id, *told, at=now, chance=chance)
    still = await connection.fetchrow(_OPEN, programme_id)
    return Queued(raised=len(new), explained=len(over), open=still["exceptions"] if still else 0)


async def listed(
    connection: Connection, programme_id: ProgrammeId, *, with_closed: bool, limit: int
) -> Sequence[KeptException]:
    """The oldest difference first."""
    return [
        KeptException(
            **{
                **row,
                "kind": State(row["kind"]),
                "outcome": None if row["outcome"] is None else Outcome(row["outcome"]),
            }
        )
        for row in await connection.fetch(_LISTED, programme_id, with_closed, limit)
    ]


async def resolve(
    connection: Connection,
    programme_id: ProgrammeId,
    named: Sequence[str],
    *,
    outcome: Outcome,
    reason: str,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    """It is said what becomes of all of them. They stay open until somebody else has approved."""
    if not reason.strip() or not reason.isprintable() or len(reason) > REASON_LIMIT:
        raise ExceptionRefused(f"A reason is 1 to {REASON_LIMIT} printable characters.")
    async with connection.transaction():
        for exception_id in named:
            what = (now, actor.strip(), outcome, reason)
            if await connection.execute(_RESOLVE, programme_id, exception_id, *what) != "UPDATE 1":
                raise ExceptionRefused(f"{exception_id} is no open exception; nothing was changed.")
        await keep_order(
            connection,
            programme_id,
            OrderKind.EXCEPTION_RESOLVED,
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"exceptions": list(named), "outcome": outcome},
        )


async def approve(
    connection: Connection,
    programme_id: ProgrammeId,
    named: Sequence[str],
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    """All of them are closed as somebody else has said. No money moves by that."""
    async with connection.transaction():
        for exception_id in named:
            outcome = await connection.fetchval(_APPROVE, programme_id, exception_id, now, actor.strip())
            if outcome is None:
                raise ExceptionRefused(
                    f"{exception_id} is no open exception that somebody else has resolved; nothing was changed."
                )
            event = ExceptionResolved(exception_id=exception_id, closed_by="two_people", outcome=outcome)
            await publish(connection, programme_id, event, at=now, chance=chance)
        kind, detail = OrderKind.EXCEPTION_APPROVED, {"exceptions": list(named)}
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)


async def open_exceptions(connection: Connection, programme_id: ProgrammeId) -> list[str]:
    """Why a programme cannot be closed, as one sentence; none where nothing is open."""
    row = await connection.fetchrow(_OPEN, programme_id)
    if row is None or not row["exceptions"]:
        return []
    return [
        (
            f"Not explained: {several(row['exceptions'], 'exception')} of reconciliation, the oldest since"
            f" {row['since_on']:%-d %B %Y}; see `authz exceptions list`."
        )
    ]


def _key(finding: Finding) -> _Key:
    return (finding.state.value, finding.subject, finding.ours_rupiah, finding.theirs_rupiah)


def _row(programme_id: ProgrammeId, exception_id: str, each: Finding, now: datetime) -> tuple[object, ...]:
    what = (each.state, each.reference, each.subject, each.ours_rupiah, each.theirs_rupiah, each.since_on)
    return (programme_id, exception_id, *what, now, each.detail, each.proposal)
