"""What of the shops' money is still on its way, for whoever watches; `unsettled.py` says more, to who closes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from authz_service.database import Connection
from authz_service.vocabulary import CHANCE_BYTES, ProgrammeId, new_id

OLDEST: Final = """
-- The first capture since the last batch ($2 is how its ids begin) that is in none and not held back: the index gives
-- them in order of time, and the first that is asked for is nearly always the one.
SELECT t.created_at
  FROM transfer t
 WHERE t.programme_id = $1 AND t.transfer_id >= $2 AND t.transfer_id < 'cap~' AND t.kind = 'post'
   AND NOT EXISTS (SELECT FROM settlement_item i WHERE i.programme_id = $1 AND i.transfer_id = t.transfer_id)
   AND NOT EXISTS (SELECT FROM settlement_wait w
                    WHERE w.programme_id = $1 AND w.authorisation_id = t.authorisation_id AND w.released_at IS NULL)
 ORDER BY t.transfer_id
 LIMIT 1
"""
_LAST: Final = "SELECT closed_at FROM settlement_batch WHERE programme_id = $1 ORDER BY number DESC LIMIT 1"
WAITING: Final = """
-- Flagged purchases that are held back.
SELECT count(*) FROM settlement_wait WHERE programme_id = $1 AND released_at IS NULL
"""
_BATCHED: Final = """
-- What all batches had of captures, less refunds.
SELECT coalesce(sum(captured_rupiah - refunded_rupiah), 0)::bigint FROM settlement_batch WHERE programme_id = $1
"""
_PAYOUTS: Final = """
-- Instructions of which the bank has said nothing, and those that did not reach their shop and are not released.
SELECT count(*) FILTER (WHERE e.events IS NULL) AS open,
       min(i.created_at) FILTER (WHERE e.events IS NULL) AS open_since,
       count(*) FILTER (WHERE e.events && '{failed,returned}' AND NOT e.events && '{released}'
                          AND (NOT e.events && '{settled}' OR e.events && '{returned}')) AS failed
  FROM payout_instruction i
  LEFT JOIN (SELECT instruction_id, array_agg(event) AS events
               FROM payout_event
              WHERE programme_id = $1
              GROUP BY instruction_id) e USING (instruction_id)
 WHERE i.programme_id = $1
"""
_MARGIN: Final = timedelta(minutes=1)
"""By so much a capture's id may be older than the transaction that wrote it, and than a batch that did not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payouts:
    open: int
    open_since: datetime | None
    failed: int


async def oldest_unsettled(connection: Connection, programme_id: ProgrammeId) -> datetime | None:
    """When the oldest capture that the next batch will have was made; of those that were held back and are no longer,
    only such as were made since the last batch."""
    closed_at = await connection.fetchval(_LAST, programme_id)
    since = "cap_" if closed_at is None else _id_at(closed_at - _MARGIN)
    oldest: datetime | None = await connection.fetchval(OLDEST, programme_id, since)
    return oldest


async def held_back(connection: Connection, programme_id: ProgrammeId) -> int:
    purchases: int = await connection.fetchval(WAITING, programme_id)
    return purchases


async def batched_rupiah(connection: Connection, programme_id: ProgrammeId) -> int:
    """Captured less refunded, as far as a batch has it."""
    rupiah: int = await connection.fetchval(_BATCHED, programme_id)
    return rupiah


async def payouts(connection: Connection, programme_id: ProgrammeId) -> Payouts:
    row = await connection.fetchrow(_PAYOUTS, programme_id)
    if row is None:
        raise RuntimeError("a count always has a row")
    return Payouts(**row)


def _id_at(instant: datetime) -> str:
    return new_id("cap", instant, bytes(CHANCE_BYTES))
