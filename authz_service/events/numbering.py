"""Committed events get their numbers, without gaps, and each endpoint that wants one a delivery of it.

By membership: an event has a number or it has none, and what commits later is numbered later, whatever its id says.
One process at a time, under the lock of the programme's head; the others do not wait.
"""

from typing import Final

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.events.kinds import PURCHASES
from authz_service.events.purchases import forget_purchases, read_purchases
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

_WITH_WORK: Final = """
-- Programmes that have events without a number, or an endpoint that wants purchases, or had one.
SELECT p.programme_id
  FROM programme p
 WHERE EXISTS (SELECT FROM event e WHERE e.programme_id = p.programme_id AND e.number IS NULL)
    OR EXISTS (SELECT FROM event_head h WHERE h.programme_id = p.programme_id AND h.purchases_from IS NOT NULL)
    OR EXISTS (SELECT FROM event_endpoint n
                WHERE n.programme_id = p.programme_id AND n.disabled_at IS NULL
                  AND EXISTS (SELECT FROM unnest(n.types) t(type)
                               WHERE t.type = '*' OR split_part(t.type, '.', 1) = $1))
 ORDER BY p.programme_id
"""
_HEAD_IS_THERE: Final = """
-- Looked for first: ON CONFLICT alone would wait for whoever is changing it.
INSERT INTO event_head (programme_id, last_number)
SELECT $1, 0 WHERE NOT EXISTS (SELECT FROM event_head WHERE programme_id = $1)
    ON CONFLICT DO NOTHING
"""
_HEAD: Final = """
-- Of several processes one goes on.
SELECT last_number, purchases_from, purchases_through, noted_at, noted_transaction, looked_back_at,
       (SELECT min(n.created_at) FROM event_endpoint n CROSS JOIN unnest(n.types) t(type)
         WHERE n.programme_id = $1 AND n.disabled_at IS NULL
           AND (t.type = '*' OR split_part(t.type, '.', 1) = $2)) AS purchases_wanted_since
  FROM event_head WHERE programme_id = $1 FOR UPDATE SKIP LOCKED
"""
_NUMBER: Final = """
-- The next numbers after $2, in the order in which they were written.
WITH new AS (
       SELECT event_id, $2 + row_number() OVER (ORDER BY position) AS number
         FROM (SELECT event_id, position FROM event
                WHERE programme_id = $1 AND number IS NULL ORDER BY position LIMIT $3) waiting),
     numbered AS (
       UPDATE event e SET number = new.number FROM new
        WHERE e.programme_id = $1 AND e.event_id = new.event_id
       RETURNING e.number)
SELECT coalesce(max(number), $2) FROM numbered
"""
_REMEMBER: Final = "UPDATE event_head SET last_number = $2 WHERE programme_id = $1"
_DELIVER: Final = """
-- Numbers above $2 up to $3 are due at every endpoint that wants them.
INSERT INTO event_delivery (programme_id, endpoint_id, number, state, due_at, tries, tries_before)
SELECT n.programme_id, n.endpoint_id, e.number, 'pending', clock_timestamp(), 0, 0
  FROM event_endpoint n
  JOIN event e ON e.programme_id = $1 AND e.number > $2 AND e.number <= $3
 WHERE n.programme_id = $1 AND n.disabled_at IS NULL
   AND n.types && ARRAY['*', split_part(e.type, '.', 1) || '.*', e.type]
"""


async def programmes_with_work(connection: Connection) -> list[ProgrammeId]:
    """Those in which `number_events` may find something to do."""
    return [ProgrammeId(row[0]) for row in await connection.fetch(_WITH_WORK, PURCHASES)]


async def number_events(connection: Connection, settings: Settings, programme_id: ProgrammeId, clock: Clock) -> bool:
    """What is committed has its numbers and deliveries, as far as one round goes; whether there is more.

    Nothing where another process is at it.
    """
    await connection.execute(_HEAD_IS_THERE, programme_id)
    async with connection.transaction():
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        head = await connection.fetchrow(_HEAD, programme_id, PURCHASES)
        if head is None:
            return False
        more = False
        if head["purchases_wanted_since"] is not None:
            more = await read_purchases(connection, settings, programme_id, head, now)
        elif head["purchases_from"] is not None:
            await forget_purchases(connection, programme_id)
        before, limit = head["last_number"], settings.events_in_a_round
        last = await connection.fetchval(_NUMBER, programme_id, before, limit)
        if last > before:
            await connection.execute(_REMEMBER, programme_id, last)
            await connection.execute(_DELIVER, programme_id, before, last)
        return more or last - before == limit
