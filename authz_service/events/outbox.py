"""An event is written with the fact that it tells of, in the same transaction: both are there, or neither.

It has no number yet, and nobody is told: `numbering.py` sees to both once it is committed.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import orjson

from authz_service.database import Connection
from authz_service.events.kinds import Event
from authz_service.vocabulary import CHANCE_BYTES, Chance, new_id

CURRENCY: Final = "IDR"
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"
_WRITE: Final = """
-- In the given order, which is that of their positions and, later, of their numbers. Known ids are left as they are.
INSERT INTO event (programme_id, event_id, type, occurred_at, data)
SELECT $1, e.event_id, e.type, e.occurred_at, e.data::json
  FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::text[])
       WITH ORDINALITY AS e(event_id, type, occurred_at, data, place)
 ORDER BY e.place
    ON CONFLICT DO NOTHING
"""


async def publish(connection: Connection, programme_id: str, *events: Event, at: datetime, chance: Chance) -> None:
    """They are told in this order to whoever wants them, if and only if this transaction is committed."""
    named = [(new_id("evt", at, chance(CHANCE_BYTES)), at, event) for event in events]
    await write(connection, programme_id, named)


async def write(connection: Connection, programme_id: str, named: Sequence[tuple[str, datetime, Event]]) -> None:
    """The events with their ids and instants are there, each once."""
    if not named:
        return
    zone = ZoneInfo(await connection.fetchval(_ZONE, programme_id))
    rows = [(event_id, event.type, at, document(event, zone)) for event_id, at, event in named]
    await connection.execute(_WRITE, programme_id, *map(list, zip(*rows, strict=True)))


def document(event: Event, zone: ZoneInfo) -> str:
    """The event's own part of `data`, instants in the zone; with the currency where it is about money."""
    told = {field.name: _told(getattr(event, field.name), zone) for field in fields(event)}
    if any(name.endswith("amount") for name in told):
        told["currency"] = CURRENCY
    return orjson.dumps(told).decode()


def _told(value: object, zone: ZoneInfo) -> object:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="milliseconds")
    return value.isoformat() if isinstance(value, date) else value
