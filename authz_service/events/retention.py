"""Events are kept for a time; the books keep what they told of for good."""

from datetime import timedelta
from typing import Final

from authz_service.database import Connection

_REMOVE: Final = """
-- Of each programme at most the $2 first events, as far as they are older than $1, with all that was sent of them.
WITH old AS MATERIALIZED (
       SELECT e.programme_id, e.event_id, e.number
         FROM programme p
        CROSS JOIN LATERAL (SELECT programme_id, event_id, number, recorded_at
                              FROM event
                             WHERE programme_id = p.programme_id AND number IS NOT NULL
                             ORDER BY number LIMIT $2) e
        WHERE e.recorded_at < clock_timestamp() - $1::interval),
     at AS MATERIALIZED (
       SELECT n.programme_id, n.endpoint_id, old.number FROM old JOIN event_endpoint n USING (programme_id)),
     deliveries AS (
       DELETE FROM event_delivery d USING at
        WHERE d.programme_id = at.programme_id AND d.endpoint_id = at.endpoint_id AND d.number = at.number),
     attempts AS (
       DELETE FROM event_attempt a USING at
        WHERE a.programme_id = at.programme_id AND a.endpoint_id = at.endpoint_id AND a.number = at.number)
DELETE FROM event e USING old
 WHERE e.programme_id = old.programme_id AND e.event_id = old.event_id
"""


async def remove_old(connection: Connection, *, older_than: timedelta, limit: int) -> int:
    """So many events of each programme that are older are gone at most, with what was noted of them; how many."""
    return int((await connection.execute(_REMOVE, older_than, limit)).split()[1])
