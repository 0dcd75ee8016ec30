"""What was told, to whom, and every attempt; and how it is told again.

ResendRefused    nothing is sent again; the message is one sentence for the operator
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.events.deliveries import body_of
from authz_service.orders import OrderKind, keep_order
from authz_service.vocabulary import Chance, ProgrammeId

_LISTED: Final = """
-- The newest first: those of a type or subject, and at how many endpoints each is delivered, waiting or given up.
SELECT e.event_id, e.number, e.type, e.occurred_at, count(d.number) FILTER (WHERE d.state = 'delivered') AS delivered,
       count(d.number) FILTER (WHERE d.state = 'pending') AS waiting,
       count(d.number) FILTER (WHERE d.state = 'given_up') AS given_up
  FROM (SELECT * FROM event
         WHERE programme_id = $1 AND ($2::text IS NULL OR type = $2 OR split_part(type, '.', 1) || '.*' = $2)
         ORDER BY position DESC LIMIT $3) e
  LEFT JOIN event_endpoint n ON n.programme_id = $1
  LEFT JOIN event_delivery d ON d.programme_id = $1 AND d.endpoint_id = n.endpoint_id AND d.number = e.number
 GROUP BY e.event_id, e.number, e.type, e.occurred_at, e.position
 ORDER BY e.position DESC
"""
_SHOWN: Final = """
SELECT e.number, e.type, e.occurred_at, p.zone, e.data
  FROM event e JOIN programme p USING (programme_id)
 WHERE e.programme_id = $1 AND e.event_id = $2
"""
_ATTEMPTS: Final = """
-- Of one event, or at one endpoint, the newest first.
SELECT e.event_id, a.endpoint_id, a.attempt, a.attempted_at, a.duration_ms, a.outcome, a.status, a.error
  FROM event_attempt a
  JOIN event e ON e.programme_id = $1 AND e.number = a.number
 WHERE a.programme_id = $1 AND $2 IN (e.event_id, a.endpoint_id)
 ORDER BY a.attempted_at DESC, a.attempt DESC
 LIMIT $3
"""
_RESEND: Final = """
-- Numbered events, $2 or all from $4 on, are due at endpoint $3, or without one at those that had them; the schedule
-- begins anew, and the log goes on. An endpoint is sent what it wants, and nothing else.
INSERT INTO event_delivery AS d (programme_id, endpoint_id, number, state, due_at, tries, tries_before)
SELECT $1, n.endpoint_id, e.number, 'pending', clock_timestamp(), 0, 0
  FROM event e
  JOIN event_endpoint n ON n.programme_id = $1 AND n.disabled_at IS NULL
 WHERE e.programme_id = $1 AND e.number IS NOT NULL AND ($2::text IS NULL OR e.event_id = $2)
   AND ($4::timestamptz IS NULL OR e.occurred_at >= $4) AND ($3::text IS NULL OR n.endpoint_id = $3)
   AND n.types && ARRAY['*', split_part(e.type, '.', 1) || '.*', e.type]
    ON CONFLICT (programme_id, endpoint_id, number) DO UPDATE
   SET state = 'pending', due_at = clock_timestamp(), tries_before = d.tries, first_tried_at = NULL
"""


class ResendRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing is sent again; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEvent:
    """`number` is None until it is seen to be committed."""

    event_id: str
    number: int | None
    type: str
    occurred_at: datetime
    delivered: int
    waiting: int
    given_up: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of `event_attempt`."""

    event_id: str
    endpoint_id: str
    attempt: int
    attempted_at: datetime
    duration_ms: int
    outcome: str
    status: int | None
    error: str | None


async def events(
    connection: Connection, programme_id: ProgrammeId, *, kind: str | None, limit: int
) -> Sequence[ListedEvent]:
    """The newest first, all or those of a type or subject (`payout.*`)."""
    return [ListedEvent(**row) for row in await connection.fetch(_LISTED, programme_id, kind, limit)]


async def event_body(connection: Connection, programme_id: ProgrammeId, event_id: str) -> bytes | None:
    """What is sent of it; None where there is none, or it has no number yet."""
    row = await connection.fetchrow(_SHOWN, programme_id, event_id)
    if row is None or row["number"] is None:
        return None
    return body_of(programme_id, row["number"], row["type"], row["occurred_at"], row["zone"], row["data"])


async def attempts(
    connection: Connection, programme_id: ProgrammeId, event_or_endpoint: str, *, limit: int
) -> Sequence[Attempt]:
    """Every attempt for that event, or at that endpoint, the newest first."""
    return [Attempt(**row) for row in await connection.fetch(_ATTEMPTS, programme_id, event_or_endpoint, limit)]


async def resend(
    connection: Connection,
    programme_id: ProgrammeId,
    *,
    event_id: str | None = None,
    endpoint_id: str | None = None,
    since: datetime | None = None,
    actor: str,
    now: datetime,
    chance: Chance,
) -> int:
    """That event, or all since then to that endpoint, are sent again under the ids they had; how many deliveries."""
    if event_id is None and (since is None or endpoint_id is None):
        raise ResendRefused("Name an event, or an endpoint and a time since when.")
    async with connection.transaction():
        done = await connection.execute(_RESEND, programme_id, event_id, endpoint_id, since)
        deliveries = int(done.split()[2])
        if not deliveries:
            raise ResendRefused("There is no such event, or no enabled endpoint that wants it; nothing is sent again.")
        named = {"event_id": event_id, "endpoint_id": endpoint_id, "since": since, "deliveries": deliveries}
        detail = {name: value for name, value in named.items() if value is not None}
        kind = OrderKind.EVENTS_RESENT
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return deliveries
