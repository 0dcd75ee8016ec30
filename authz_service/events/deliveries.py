"""Whose turn it is: endpoints are claimed for a time, their events handed out in order, and what came of each is kept.

An endpoint gets one event after the other, by their numbers. One that fails waits for its own next try and lets the
others pass. A process that is killed leaves a claim that ends by itself; the event is then sent again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import orjson

from authz_service.database import Connection
from authz_service.events.schedule import Outcome, rest_seconds, retry_in_seconds
from authz_service.events.sending import Sent
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

_CLAIM: Final = """
-- At most $3 endpoints for which something is due and that nobody sends to are $1's for $2 seconds.
WITH free AS (
       SELECT n.programme_id, n.endpoint_id
         FROM event_endpoint n
        WHERE n.disabled_at IS NULL
          AND (n.claimed_until IS NULL OR n.claimed_until <= clock_timestamp())
          AND (n.rests_until IS NULL OR n.rests_until <= clock_timestamp())
          AND EXISTS (SELECT FROM event_delivery d
                       WHERE d.programme_id = n.programme_id AND d.endpoint_id = n.endpoint_id
                         AND d.state = 'pending' AND d.due_at <= clock_timestamp())
        ORDER BY n.delivered_at NULLS FIRST
        LIMIT $3
          FOR UPDATE SKIP LOCKED)
UPDATE event_endpoint n SET claim = $1, claimed_until = clock_timestamp() + make_interval(secs => $2)
  FROM free
 WHERE n.programme_id = free.programme_id AND n.endpoint_id = free.endpoint_id
RETURNING n.programme_id, n.endpoint_id
"""
_NEXT: Final = """
-- While the endpoint is still $3's: it is so for another $4 seconds, and this is the first event that is due.
WITH mine AS (
       UPDATE event_endpoint n SET claimed_until = clock_timestamp() + make_interval(secs => $4)
        WHERE n.programme_id = $1 AND n.endpoint_id = $2 AND n.claim = $3 AND n.claimed_until > clock_timestamp()
          AND n.disabled_at IS NULL AND (n.rests_until IS NULL OR n.rests_until <= clock_timestamp())
       RETURNING n.url)
SELECT mine.url, d.number, e.event_id, e.type, e.occurred_at, p.zone, e.data, clock_timestamp() AS now, a.request_id,
       ARRAY(SELECT s.number FROM event_secret s
              WHERE s.programme_id = $1 AND s.endpoint_id = $2 AND s.valid_from <= clock_timestamp()
                AND (s.valid_until IS NULL OR s.valid_until > clock_timestamp())
              ORDER BY s.number DESC) AS secrets
  FROM mine
 CROSS JOIN LATERAL (
       SELECT number FROM event_delivery
        WHERE programme_id = $1 AND endpoint_id = $2 AND state = 'pending' AND due_at <= clock_timestamp()
        ORDER BY number LIMIT 1) d
  JOIN event e ON e.programme_id = $1 AND e.number = d.number
  JOIN programme p ON p.programme_id = $1
  LEFT JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = e.data ->> 'authorization_id'
"""
_STATE: Final = """
-- The delivery and its endpoint, locked: how often it was tried in this schedule, and how the endpoint does.
SELECT d.state, d.tries, d.tries_before, coalesce(d.first_tried_at, $4) AS first_tried_at, n.failures, n.delivered_at
  FROM event_endpoint n
  JOIN event_delivery d USING (programme_id, endpoint_id)
 WHERE n.programme_id = $1 AND n.endpoint_id = $2 AND d.number = $3
   FOR UPDATE
"""
_ATTEMPT: Final = """
INSERT INTO event_attempt (programme_id, endpoint_id, number, attempt, attempted_at, duration_ms, outcome, status,
                           error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_TRIED: Final = """
-- What is delivered stays so, also where a process that was slow says something else.
UPDATE event_delivery
   SET tries = $4, state = CASE WHEN state = 'delivered' THEN state ELSE $5 END,
       due_at = clock_timestamp() + make_interval(secs => $6), first_tried_at = $7
 WHERE programme_id = $1 AND endpoint_id = $2 AND number = $3
"""
_TOOK_IT: Final = """
UPDATE event_endpoint SET failures = 0, rests_until = NULL, delivered_at = clock_timestamp()
 WHERE programme_id = $1 AND endpoint_id = $2
"""
_FAILED: Final = """
UPDATE event_endpoint SET failures = failures + 1, rests_until = clock_timestamp() + make_interval(secs => $3)
 WHERE programme_id = $1 AND endpoint_id = $2
"""
_DISABLE: Final = """
UPDATE event_endpoint SET disabled_at = clock_timestamp(), disabled_because = $3, claim = NULL, claimed_until = NULL
 WHERE programme_id = $1 AND endpoint_id = $2 AND disabled_at IS NULL
"""
_RELEASE: Final = """
UPDATE event_endpoint SET claim = NULL, claimed_until = NULL
 WHERE programme_id = $1 AND endpoint_id = $2 AND claim = $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An endpoint that this process sends to, and nobody else."""

    programme_id: ProgrammeId
    endpoint_id: str
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An event on its way to an endpoint. `now` is the database's, which no demo shifts: receivers compare it."""

    number: int
    event_id: str
    url: str
    body: bytes
    now: datetime
    secret_numbers: Sequence[int]
    request_id: str | None
    """Of the request that a purchase was authorised by."""


async def claim_endpoints(connection: Connection, settings: Settings, claim: str, limit: int) -> list[Claimed]:
    """At most so many endpoints are this process's until `event_lease_seconds` have passed."""
    rows = await connection.fetch(_CLAIM, claim, settings.event_lease_seconds, limit)
    return [
        Claimed(programme_id=ProgrammeId(row["programme_id"]), endpoint_id=row["endpoint_id"], claim=claim)
        for row in rows
    ]


async def next_due(connection: Connection, settings: Settings, claimed: Claimed) -> Due | None:
    """The first event that is due, and the claim anew; None where nothing is, or the endpoint is not ours any more."""
    whose = (claimed.programme_id, claimed.endpoint_id, claimed.claim)
    row = await connection.fetchrow(_NEXT, *whose, settings.event_lease_seconds)
    if row is None:
        return None
    return Due(
        number=row["number"],
        event_id=row["event_id"],
        url=row["url"],
        body=body_of(claimed.programme_id, row["number"], row["type"], row["occurred_at"], row["zone"], row["data"]),
        now=row["now"],
        secret_numbers=row["secrets"],
        request_id=row["request_id"],
    )


async def keep_attempt(
    connection: Connection, settings: Settings, claimed: Claimed, due: Due, sent: Sent, chance: float
) -> str | None:
    """The attempt is in the log, and the event delivered, due again or given up; why the endpoint is disabled by it."""
    whose = (claimed.programme_id, claimed.endpoint_id)
    async with connection.transaction():
        row = await connection.fetchrow(_STATE, *whose, due.number, due.now)
        if row is None:
            return None
        tries = row["tries"] + 1
        what = (due.now, sent.duration_ms, sent.outcome, sent.status, sent.error)
        await connection.execute(_ATTEMPT, *whose, due.number, tries, *what)
        if sent.outcome is Outcome.DELIVERED:
            await connection.execute(_TRIED, *whose, due.number, tries, "delivered", 0.0, row["first_tried_at"])
            await connection.execute(_TOOK_IT, *whose)
            return None
        again = retry_in_seconds(
            tries - row["tries_before"],
            settings.event_retry_seconds,
            asked_seconds=sent.asked_seconds,
            limit_seconds=settings.event_retry_after_limit_seconds,
            chance=chance,
        )
        state = "given_up" if again is None else "pending"
        await connection.execute(_TRIED, *whose, due.number, tries, state, again or 0.0, row["first_tried_at"])
        rest = rest_seconds(
            row["failures"] + 1,
            asked_seconds=sent.asked_seconds,
            rest_limit=settings.event_rest_limit_seconds,
            asked_limit=settings.event_retry_after_limit_seconds,
        )
        await connection.execute(_FAILED, *whose, rest)
        took_others = row["delivered_at"] is not None and row["delivered_at"] > row["first_tried_at"]
        because = "gone" if sent.outcome is Outcome.GONE else None
        if again is None and not took_others:
            because = because or "dead"
        if because is not None:
            await connection.execute(_DISABLE, *whose, because)
        return because


async def release(connection: Connection, claimed: Claimed) -> None:
    """Whoever comes next may send to it at once."""
    await connection.execute(_RELEASE, claimed.programme_id, claimed.endpoint_id, claimed.claim)


def body_of(programme_id: str, number: int, kind: str, instant: datetime, zone: str, data: str) -> bytes:
    """What is signed and sent, byte for byte the same on every try."""
    told = {"programme_id": programme_id, "number": number, **orjson.loads(data)}
    at = instant.astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")
    return orjson.dumps({"type": kind, "timestamp": at, "data": told})
