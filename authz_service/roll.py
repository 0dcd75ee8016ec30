"""Families leaving the programme: no new approvals, holds are honoured, what is unspent is unallocated again."""

from datetime import datetime
from typing import Final

import asyncpg

from authz_service.ledger.postings import returned
from authz_service.vocabulary import CHANCE_BYTES, BeneficiaryId, BeneficiaryStatus, Chance, TransferId, new_id

_LOCKED: Final = """
-- The wallet is the root of its family: whoever holds it changes the family alone.
SELECT available_rupiah, held_rupiah FROM wallet WHERE programme_id = $1 AND beneficiary_id = $2 FOR UPDATE
"""
_REMOVE: Final = "UPDATE beneficiary SET status = $3 WHERE programme_id = $1 AND beneficiary_id = $2"
_EMPTY: Final = """
UPDATE wallet SET available_rupiah = 0, version = version + 1 WHERE programme_id = $1 AND beneficiary_id = $2
"""
_TRANSFER: Final = """
INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                      reason, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


class NoSuchFamily(Exception):  # noqa: N818
    """The programme has no such family."""


async def remove(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    programme_id: str,
    beneficiary_id: BeneficiaryId,
    reason: str,
    now: datetime,
    chance: Chance,
) -> int:
    """The family is removed; what was returned to unallocated at once (rupiah).

    While something is held nothing is returned: whatever ends the last hold returns what is then unspent
    (`families.py`).
    """
    async with connection.transaction():
        wallet = await connection.fetchrow(_LOCKED, programme_id, beneficiary_id)
        if wallet is None:
            raise NoSuchFamily(f"{programme_id} has no family {beneficiary_id}")
        await connection.execute(_REMOVE, programme_id, beneficiary_id, BeneficiaryStatus.REMOVED)
        amount_rupiah: int = wallet["available_rupiah"]
        if wallet["held_rupiah"] or not amount_rupiah:
            return 0
        transfer = returned(TransferId(new_id("trf", now, chance(CHANCE_BYTES))), beneficiary_id, amount_rupiah, now)
        await connection.execute(_EMPTY, programme_id, beneficiary_id)
        await connection.execute(
            _TRANSFER,
            programme_id,
            transfer.transfer_id,
            transfer.kind,
            transfer.cause,
            transfer.debit_account_id,
            transfer.credit_account_id,
            transfer.amount_rupiah,
            reason,
            now,
        )
    return amount_rupiah
