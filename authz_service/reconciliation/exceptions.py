"""What reconciliation cannot explain waits here: one person says what becomes of it, another approves; or a later
statement explains it. No money moves by either, but for a payout that failed by the books and was paid after all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from authz_service.database import Connection
from authz_service.events.kinds import ExceptionResolved
from authz_service.events.outbox import publish
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order
from authz_service.reconciliation.findings import Finding, State
from authz_service.reconciliation.outcomes import ExceptionRefused, Outcome, book_as_paid, require_fitting
from authz_service.reconciliation.told import told_of_exception
from authz_service.settings import Settings
from authz_service.settlement.instructions import Applied
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id, several

_KNOWN: Final = """
-- Open exceptions, and those that two people have closed: these are not raised again for the same figures. A payout
-- that was paid though it failed ($2) is closed by being booked ($3) or by coming back, and by other words only if it
-- was released, and so paid twice.
SELECT exception_id, kind, subject, ours_rupiah, theirs_rupiah, closed_at IS NULL AS is_open
  FROM reconciliation_exception
 WHERE programme_id = $1 AND (closed_at IS NULL OR approved_by IS NOT NULL AND (kind <> $2 OR outcome = $3 OR EXISTS (
       SELECT FROM payout_event e
        WHERE e.programme_id = $1 AND e.instruction_id = subject AND e.event = 'released')))
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
-- Somebody has said what becomes of it; it stays open until somebody else has approved. Who has said it cannot say
-- otherwise: the second one may have read it by then.
UPDATE reconciliation_exception SET resolved_at = $3, resolved_by = $4, outcome = $5, reason = $6
 WHERE programme_id = $1 AND exception_id = $2 AND closed_at IS NULL
   AND (resolved_by IS NULL OR lower(btrim(resolved_by)) <> lower(btrim($4)))
RETURNING kind, reference
"""
_APPROVE: Final = """
-- The second pair of eyes: not the first one's.
UPDATE reconciliation_exception SET approved_by = $4, closed_at = $3
 WHERE programme_id = $1 AND exception_id = $2 AND closed_at IS NULL AND lower(btrim(resolved_by)) <> lower(btrim($4))
RETURNING kind, reference, outcome
"""
_OPEN: Final = """
SELECT count(*) AS exceptions, min(since_on) AS since_on
  FROM reconciliation_exception
 WHERE programme_id = $1 AND closed_at IS NULL
"""
REASON_LIMIT: Final = 200


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
    rows = await connection.fetch(_KNOWN, programme_id, State.PAID_THOUGH_FAILED, Outcome.PAID_AFTER_ALL)
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
    """It is said what becomes of all of them. They stay open until somebody else has approved, or says otherwise."""
    if not reason.strip() or not reason.isprintable() or len(reason) > REASON_LIMIT:
        raise ExceptionRefused(f"A reason is 1 to {REASON_LIMIT} printable characters.")
    async with connection.transaction():
        for exception_id in named:
            what = (now, actor.strip(), outcome, reason)
            row = await connection.fetchrow(_RESOLVE, programme_id, exception_id, *what)
            if row is None:
                raise ExceptionRefused(
                    f"{exception_id} is no open exception, or you have said already what becomes of it: only somebody"
                    " else can say otherwise. Nothing was changed."
                )
            await require_fitting(connection, programme_id, exception_id, row["kind"], row["reference"], outcome)
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
    settings: Settings,
    programme_id: ProgrammeId,
    named: Sequence[str],
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> list[Applied]:
    """All of them are closed as somebody else has said; the payouts that are booked as paid by that, and no others.

    One of which the books say something else meanwhile is refused, and all with it.
    """
    booked: list[Applied] = []
    async with alone_with(connection, settings, programme_id):
        for exception_id in named:
            said = await connection.fetchrow(_APPROVE, programme_id, exception_id, now, actor.strip())
            if said is None:
                raise ExceptionRefused(
                    f"{exception_id} is no open exception that somebody else has resolved; nothing was changed."
                )
            if said["outcome"] == Outcome.PAID_AFTER_ALL:
                booked.append(await book_as_paid(connection, programme_id, said["reference"], actor, now, chance))
            event = ExceptionResolved(exception_id=exception_id, closed_by="two_people", outcome=said["outcome"])
            await publish(connection, programme_id, event, at=now, chance=chance)
        kind, detail = OrderKind.EXCEPTION_APPROVED, {"exceptions": list(named)}
        detail |= {"instructions_paid_after_all": [each.instruction_id for each in booked]} if booked else {}
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return booked


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
