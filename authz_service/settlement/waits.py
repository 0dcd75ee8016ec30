"""Flagged purchases wait: neither their captures nor their refunds are in a batch until somebody releases them.

WaitRefused    nothing was changed
"""

from typing import Final

import asyncpg

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.events.kinds import PurchaseFreed, PurchaseHeldBack
from authz_service.events.outbox import publish
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order, require_reason
from authz_service.settings import Settings
from authz_service.vocabulary import Chance, ProgrammeId

_PURCHASE: Final = """
-- Whether it has a hold, and what of it is captured or refunded, held, in a batch, or waiting already.
SELECT h.held_rupiah, p.closed_at IS NOT NULL AS programme_is_closed,
       (SELECT count(*) FROM transfer t
         WHERE t.programme_id = $1 AND t.authorisation_id = $2 AND t.kind IN ('post', 'refund')
           AND NOT EXISTS (SELECT FROM settlement_item i
                            WHERE i.programme_id = $1 AND i.transfer_id = t.transfer_id)) AS in_no_batch,
       (SELECT flagged_by FROM settlement_wait w
         WHERE w.programme_id = $1 AND w.authorisation_id = $2 AND w.released_at IS NULL) AS flagged_by
  FROM hold h
  JOIN programme p USING (programme_id)
 WHERE h.programme_id = $1 AND h.authorisation_id = $2
"""
_FLAG: Final = """
INSERT INTO settlement_wait (programme_id, authorisation_id, flagged_at, flagged_by, reason) VALUES ($1, $2, $3, $4, $5)
"""
_RELEASE: Final = """
UPDATE settlement_wait SET released_at = $3, released_by = $4, release_reason = $5
 WHERE programme_id = $1 AND authorisation_id = $2 AND released_at IS NULL
"""


class WaitRefused(Exception):  # noqa: N818
    """Nothing waits that did not before, and nothing was released; the message says why."""


async def wait(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    authorisation_id: str,
    *,
    reason: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> None:
    """What of the purchase is in no batch yet waits, also what is captured or refunded from now on."""
    require_reason(reason)
    async with alone_with(connection, settings, programme_id):
        row = await _purchase(connection, programme_id, authorisation_id)
        if row["flagged_by"] is not None:
            raise WaitRefused(f"{authorisation_id} waits already: {row['flagged_by']} flagged it.")
        if not row["held_rupiah"] and not row["in_no_batch"]:
            raise WaitRefused(f"Nothing of {authorisation_id} is left to wait: all of it is in a batch, or given back.")
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        await connection.execute(_FLAG, programme_id, authorisation_id, now, actor.strip(), reason)
        event = PurchaseHeldBack(authorization_id=authorisation_id)
        await publish(connection, programme_id, event, at=now, chance=chance)
        await keep_order(
            connection,
            programme_id,
            OrderKind.PURCHASE_WAITS,
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"authorisation_id": authorisation_id},
        )


async def unwait(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    authorisation_id: str,
    *,
    reason: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> None:
    """The next batch has what waited of the purchase."""
    require_reason(reason)
    async with alone_with(connection, settings, programme_id):
        row = await _purchase(connection, programme_id, authorisation_id)
        if row["flagged_by"] is None:
            raise WaitRefused(f"{authorisation_id} does not wait.")
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        await connection.execute(_RELEASE, programme_id, authorisation_id, now, actor.strip(), reason)
        event = PurchaseFreed(authorization_id=authorisation_id)
        await publish(connection, programme_id, event, at=now, chance=chance)
        await keep_order(
            connection,
            programme_id,
            OrderKind.PURCHASE_WAITS_NO_MORE,
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"authorisation_id": authorisation_id},
        )


async def _purchase(connection: Connection, programme_id: ProgrammeId, authorisation_id: str) -> asyncpg.Record:
    row = await connection.fetchrow(_PURCHASE, programme_id, authorisation_id)
    if row is None:
        raise WaitRefused(f"{programme_id} has no approved purchase {authorisation_id}.")
    if row["programme_is_closed"]:
        raise WaitRefused(f"{programme_id} is closed: everything was settled before.")
    return row
