"""Deliveries that wait, for whoever watches."""

from dataclasses import dataclass
from typing import Final

from authz_service.database import Connection
from authz_service.vocabulary import ProgrammeId

WAITING: Final = """
-- What is due or will be, at endpoints that are enabled, and since when the oldest of it is known.
SELECT count(*) AS deliveries,
       coalesce(extract(epoch FROM clock_timestamp() - min(e.recorded_at)), 0)::float8 AS seconds
  FROM event_endpoint n
  JOIN event_delivery d ON d.programme_id = $1 AND d.endpoint_id = n.endpoint_id AND d.state = 'pending'
  LEFT JOIN event e ON e.programme_id = $1 AND e.number = d.number
 WHERE n.programme_id = $1 AND n.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    deliveries: int
    seconds: float


async def waiting_deliveries(connection: Connection, programme_id: ProgrammeId) -> Waiting:
    """By the database's clock: its events are numbered by that, too."""
    row = await connection.fetchrow(WAITING, programme_id)
    if row is None:
        raise RuntimeError("a count always has a row")
    return Waiting(**row)
