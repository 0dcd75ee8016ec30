"""Purchases are told from the books: a till's call pays nothing for it, and nothing is read where nobody wants them.

A transfer of a purchase is an event, whose id is the transfer's: read twice, it is there once. What is read again and
again is the end of the books, as far back as a transaction may still be open, and by a margin more, since an id is
older than the transaction that writes it. Once a day the last two days are read, for what was older still.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from authz_service.database import Connection
from authz_service.events.kinds import (
    PURCHASES,
    Event,
    PurchaseApproved,
    PurchaseCaptured,
    PurchaseRefunded,
    PurchaseReleased,
)
from authz_service.events.outbox import write
from authz_service.settings import Settings
from authz_service.vocabulary import CHANCE_BYTES, MerchantId, ProgrammeId, TransferKind, new_id

_OPEN: Final = """
-- Our own transaction's number, and the smallest of one that is still open (or ours).
SELECT pg_current_xact_id()::text::bigint AS ours, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS open
"""
_READ: Final = """
-- Transfers of purchases that are no events yet, from ids of $2 on; captures and refunds have prefixes of their own.
SELECT t.transfer_id, t.kind, t.cause, t.debit_account_id, t.credit_account_id, t.amount_rupiah, t.authorisation_id,
       t.created_at
  FROM transfer t
 WHERE t.programme_id = $1 AND (t.transfer_id >= 'trf_' || $2 AND t.transfer_id < 'trf~'
                                OR t.transfer_id >= 'cap_' || $2 AND t.transfer_id < 'cap~'
                                OR t.transfer_id >= 'ref_' || $2 AND t.transfer_id < 'ref~')
   AND t.authorisation_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM event e
                    WHERE e.programme_id = $1 AND e.event_id = 'evt_' || split_part(t.transfer_id, '_', 2))
 ORDER BY t.created_at, array_position(ARRAY['hold', 'post', 'release', 'refund'], t.kind), t.transfer_id
 LIMIT $3
"""
_BEGIN: Final = """
-- From $2 on, unless they are read already. The head is locked either way: see _END.
INSERT INTO event_head AS h (programme_id, last_number, purchases_from, purchases_through, looked_back_at)
VALUES ($1, 0, $2, $2, $2)
    ON CONFLICT (programme_id) DO UPDATE
       SET purchases_from = coalesce(h.purchases_from, excluded.purchases_from),
           purchases_through = coalesce(h.purchases_through, excluded.purchases_through),
           looked_back_at = coalesce(h.looked_back_at, excluded.looked_back_at)
"""
_END: Final = """
-- While nobody wants them. Who calls has the head locked, and so has had whoever began to want them: that is committed
-- and seen by this statement, or waits and sets the head anew.
UPDATE event_head h SET purchases_from = NULL, purchases_through = NULL, looked_back_at = NULL, noted_at = NULL,
                        noted_transaction = NULL
 WHERE h.programme_id = $1
   AND NOT EXISTS (SELECT FROM event_endpoint n
                    WHERE n.programme_id = $1 AND n.disabled_at IS NULL
                      AND EXISTS (SELECT FROM unnest(n.types) t(type)
                                   WHERE t.type = '*' OR split_part(t.type, '.', 1) = $2))
"""
_KEEP: Final = """
UPDATE event_head SET purchases_through = $2, noted_at = $3, noted_transaction = $4, looked_back_at = $5
 WHERE programme_id = $1
"""
_KINDS: Final = {
    TransferKind.HOLD: PurchaseApproved,
    TransferKind.POST: PurchaseCaptured,
    TransferKind.RELEASE: PurchaseReleased,
    TransferKind.REFUND: PurchaseRefunded,
}
_EVERY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """How far the books are read."""

    purchases_from: datetime
    through: datetime
    noted_at: datetime | None
    noted_transaction: int | None
    looked_back_at: datetime


async def want_purchases(connection: Connection, programme_id: ProgrammeId, since: datetime) -> None:
    """Somebody wants them: what happens from `since` on is told, whenever the books are read first.

    In the transaction in which the endpoint is added or enabled.
    """
    await connection.execute(_BEGIN, programme_id, since)


async def forget_purchases(connection: Connection, programme_id: ProgrammeId) -> None:
    """If nobody wants them, who does later is told of what happens from then on. The caller has locked the head."""
    await connection.execute(_END, programme_id, PURCHASES)


async def read_purchases(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, head: asyncpg.Record, now: datetime
) -> bool:
    """What the books have of purchases and is no event yet, is one; whether there is more.

    The caller has locked `head`, and has read `now` before it did so.
    """
    if head["purchases_from"] is None:
        # The endpoint was added or enabled by a release that left this to the reader: it is told of the last moments.
        near = timedelta(seconds=settings.event_journal_margin_seconds)
        await want_purchases(connection, programme_id, max(head["purchases_wanted_since"], now - near))
        return True
    read = _Read(
        purchases_from=head["purchases_from"],
        through=head["purchases_through"],
        noted_at=head["noted_at"],
        noted_transaction=head["noted_transaction"],
        looked_back_at=head["looked_back_at"],
    )
    # In this order: what is over now is seen by what is read next.
    transactions = await connection.fetchrow(_OPEN)
    looks_back = now - read.looked_back_at >= _EVERY
    far = timedelta(seconds=settings.event_look_back_seconds)
    near = timedelta(seconds=settings.event_journal_margin_seconds)
    since = max(now - far if looks_back else read.through - near, read.purchases_from)
    rows = await connection.fetch(_READ, programme_id, _time_part(since), settings.events_in_a_round)
    await write(connection, programme_id, [(_event_id(row), row["created_at"], _event(row)) for row in rows])
    is_all = len(rows) < settings.events_in_a_round
    if is_all and transactions is not None:
        done = _advanced(read, now, transactions["ours"], transactions["open"], looked_back=looks_back)
        what = (done.through, done.noted_at, done.noted_transaction, done.looked_back_at)
        await connection.execute(_KEEP, programme_id, *what)
    return not is_all


def _advanced(read: _Read, now: datetime, ours: int, oldest_open: int, *, looked_back: bool) -> _Read:
    """Every transaction that had a number when `noted_at` was read has a smaller one than was noted then. Once all of
    those are over, what is still to come began after it."""
    is_over = read.noted_transaction is not None and read.noted_transaction <= oldest_open
    # Numbers begin anew where a dump was restored.
    is_foreign = read.noted_transaction is not None and read.noted_transaction > ours
    notes_anew = read.noted_transaction is None or is_over or is_foreign
    return _Read(
        purchases_from=read.purchases_from,
        through=read.noted_at if is_over and read.noted_at is not None else read.through,
        noted_at=now if notes_anew else read.noted_at,
        noted_transaction=ours if notes_anew else read.noted_transaction,
        looked_back_at=now if looked_back else read.looked_back_at,
    )


def _event(row: asyncpg.Record) -> Event:
    """A refund goes from the shop to the family, all else the other way."""
    kind = TransferKind(row["kind"])
    family, shop = row["debit_account_id"], row["credit_account_id"]
    if kind is TransferKind.REFUND:
        family, shop = shop, family
    return _KINDS[kind](
        transfer_id=row["transfer_id"],
        authorization_id=row["authorisation_id"],
        beneficiary_id=family,
        merchant_id=MerchantId(shop),
        amount=row["amount_rupiah"],
        cause=row["cause"],
    )


def _event_id(row: asyncpg.Record) -> str:
    return f"evt_{row['transfer_id'].partition('_')[2]}"


def _time_part(instant: datetime) -> str:
    """The characters with which ids of this millisecond begin."""
    return new_id("", instant, bytes(CHANCE_BYTES)).removeprefix("_")[:10]
