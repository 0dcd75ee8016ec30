"""What the office books by itself, one transfer at a time, and what it may still give away."""

from typing import Final

from authz_service.database import Connection
from authz_service.ledger.accounts import UNALLOCATED
from authz_service.ledger.postings import Transfer

_BOOK: Final = """
INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                      authorisation_id, reason, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_CLAIM_UNALLOCATED: Final = """
-- Whoever gives unallocated money away holds this row until it is given: two cannot give the same rupiah.
SELECT FROM account WHERE programme_id = $1 AND account_id = $2 FOR UPDATE
"""
_UNALLOCATED: Final = """
-- No part of a purchase moves this account, so the few transfers that are of none tell all.
SELECT coalesce(sum(CASE credit_account_id WHEN $2 THEN amount_rupiah ELSE -amount_rupiah END), 0)::bigint
  FROM transfer
 WHERE programme_id = $1 AND authorisation_id IS NULL AND $2 IN (debit_account_id, credit_account_id)
"""


async def book(connection: Connection, programme_id: str, transfer: Transfer) -> None:
    """The transfer is in the books; the wallet that it changes is the caller's to change."""
    await connection.execute(
        _BOOK,
        programme_id,
        transfer.transfer_id,
        transfer.kind,
        transfer.cause,
        transfer.debit_account_id,
        transfer.credit_account_id,
        transfer.amount_rupiah,
        transfer.authorisation_id,
        transfer.reason,
        transfer.created_at,
    )


async def claim_unallocated(connection: Connection, programme_id: str) -> int:
    """What is unallocated (rupiah); until the transaction ends, it only grows but by the caller's own transfers."""
    await connection.execute(_CLAIM_UNALLOCATED, programme_id, UNALLOCATED)
    # A statement of its own: it sees what was given away while this one waited for the row.
    return await look_at_unallocated(connection, programme_id)


async def look_at_unallocated(connection: Connection, programme_id: str) -> int:
    """What is unallocated (rupiah), and may be given away by somebody else the next moment."""
    unallocated: int = await connection.fetchval(_UNALLOCATED, programme_id, UNALLOCATED)
    return unallocated
