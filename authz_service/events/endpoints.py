"""Who is told: addresses of the bank's and Dinsos's systems, what each wants, and with which secrets it is signed.

EndpointRefused    nothing was changed; the message is one sentence for the operator
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from authz_service.database import Connection
from authz_service.events.addresses import Addresses, AddressForbidden
from authz_service.events.kinds import has_purchases, is_wanted
from authz_service.events.purchases import want_purchases
from authz_service.orders import OrderKind, keep_order
from authz_service.settings import Settings
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id

LABEL_LIMIT: Final = 64
_ADD: Final = """
INSERT INTO event_endpoint (programme_id, endpoint_id, label, url, types, created_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
_LISTED: Final = """
-- All of the programme, the oldest first: how each does, what waits for it, and its secrets that are good or will be.
SELECT n.endpoint_id, n.label, n.url, n.types, n.disabled_at, n.disabled_because, n.failures, n.rests_until,
       n.delivered_at,
       (SELECT count(*) FROM event_delivery d
         WHERE d.programme_id = $1 AND d.endpoint_id = n.endpoint_id AND d.state = 'pending') AS waiting,
       ARRAY(SELECT s.number FROM event_secret s
              WHERE s.programme_id = $1 AND s.endpoint_id = n.endpoint_id
                AND (s.valid_until IS NULL OR s.valid_until > clock_timestamp()) ORDER BY s.number) AS secrets
  FROM event_endpoint n
 WHERE n.programme_id = $1
 ORDER BY n.endpoint_id
"""
_END: Final = """
-- Its secrets that would go on, end after so long. Their times are the database's: receivers know no demo's clock.
UPDATE event_secret SET valid_until = clock_timestamp() + $3::interval
 WHERE programme_id = $1 AND endpoint_id = $2
   AND (valid_until IS NULL OR valid_until > clock_timestamp() + $3::interval)
"""
_NEW_KEY: Final = """
-- A secret, numbered on; none where the endpoint is not known.
INSERT INTO event_secret (programme_id, endpoint_id, number, valid_from)
SELECT programme_id, endpoint_id,
       1 + (SELECT count(*) FROM event_secret s WHERE s.programme_id = $1 AND s.endpoint_id = $2), clock_timestamp()
  FROM event_endpoint WHERE programme_id = $1 AND endpoint_id = $2
RETURNING number
"""
_DISABLE: Final = """
UPDATE event_endpoint SET disabled_at = clock_timestamp(), disabled_because = 'ordered'
 WHERE programme_id = $1 AND endpoint_id = $2 AND disabled_at IS NULL
"""
_ENABLE: Final = """
-- As if it had never failed; what waited for it is due.
UPDATE event_endpoint SET disabled_at = NULL, disabled_because = NULL, failures = 0, rests_until = NULL
 WHERE programme_id = $1 AND endpoint_id = $2 AND disabled_at IS NOT NULL
RETURNING types
"""


class EndpointRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """As it may be shown; `secrets` are numbers."""

    endpoint_id: str
    label: str
    url: str
    types: Sequence[str]
    disabled_at: datetime | None
    disabled_because: str | None
    failures: int
    rests_until: datetime | None
    delivered_at: datetime | None
    waiting: int
    secrets: Sequence[int]


async def endpoints(connection: Connection, programme_id: ProgrammeId) -> Sequence[Endpoint]:
    """The oldest first."""
    return [Endpoint(**row) for row in await connection.fetch(_LISTED, programme_id)]


async def add_endpoint(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    url: str,
    *,
    label: str,
    types: Sequence[str],
    actor: str,
    now: datetime,
    chance: Chance,
) -> str:
    """From now on it is told of these types, signed with its secret number 1; its id."""
    try:
        Addresses(settings).require_url(url)
    except AddressForbidden as forbidden:
        raise EndpointRefused(str(forbidden)) from None
    if not label.isprintable() or not 1 <= len(label.strip()) == len(label) <= LABEL_LIMIT:
        raise EndpointRefused(f"A label is 1 to {LABEL_LIMIT} printable characters.")
    if unknown := [each for each in types if not is_wanted(each)]:
        raise EndpointRefused(f"There are no events of the type {unknown[0]}: see `authz events types`.")
    if not types:
        raise EndpointRefused("Say which types it wants; `*` is everything.")
    endpoint_id = new_id("end", now, chance(CHANCE_BYTES))
    wanted = list(dict.fromkeys(types))
    # Of the address only the host: what comes after it may be a password of the receiver's.
    detail = {"endpoint_id": endpoint_id, "host": urlsplit(url).hostname, "types": wanted}
    async with connection.transaction():
        await connection.execute(_ADD, programme_id, endpoint_id, label, url, wanted, now)
        await connection.fetchval(_NEW_KEY, programme_id, endpoint_id)
        if has_purchases(wanted):
            await want_purchases(connection, programme_id, now)
        await _kept(connection, programme_id, OrderKind.ENDPOINT_ADDED, detail, actor, now, chance)
    return endpoint_id


async def rotate(
    connection: Connection,
    programme_id: ProgrammeId,
    endpoint_id: str,
    *,
    overlap: timedelta,
    actor: str,
    now: datetime,
    chance: Chance,
) -> int:
    """It has a new secret, and for the overlap everything is signed with the older ones, too; the new one's number."""
    async with connection.transaction():
        await connection.execute(_END, programme_id, endpoint_id, overlap)
        number: int | None = await connection.fetchval(_NEW_KEY, programme_id, endpoint_id)
        if number is None:
            raise EndpointRefused(f"There is no endpoint {endpoint_id}.")
        detail = {"endpoint_id": endpoint_id, "number": number, "overlap_seconds": int(overlap.total_seconds())}
        await _kept(connection, programme_id, OrderKind.ENDPOINT_KEY_ADDED, detail, actor, now, chance)
    return number


async def disable(
    connection: Connection, programme_id: ProgrammeId, endpoint_id: str, *, actor: str, now: datetime, chance: Chance
) -> None:
    """Nothing is sent to it. What waits for it goes on waiting; what happens from now on is not meant for it."""
    async with connection.transaction():
        if await connection.execute(_DISABLE, programme_id, endpoint_id) != "UPDATE 1":
            raise EndpointRefused(f"{endpoint_id} is no endpoint that is enabled.")
        detail = {"endpoint_id": endpoint_id}
        await _kept(connection, programme_id, OrderKind.ENDPOINT_DISABLED, detail, actor, now, chance)


async def enable(
    connection: Connection, programme_id: ProgrammeId, endpoint_id: str, *, actor: str, now: datetime, chance: Chance
) -> None:
    """What waited for it is sent, and what happens from now on."""
    async with connection.transaction():
        types = await connection.fetchval(_ENABLE, programme_id, endpoint_id)
        if types is None:
            raise EndpointRefused(f"{endpoint_id} is no endpoint that is disabled.")
        if has_purchases(types):
            await want_purchases(connection, programme_id, now)
        detail = {"endpoint_id": endpoint_id}
        await _kept(connection, programme_id, OrderKind.ENDPOINT_ENABLED, detail, actor, now, chance)


async def _kept(
    connection: Connection,
    programme_id: ProgrammeId,
    kind: OrderKind,
    detail: Mapping[str, Any],
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
