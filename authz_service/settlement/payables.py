"""Shops are owed what they captured and did not refund, less what was paid to them and did not come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from authz_service.database import Connection
from authz_service.vocabulary import MerchantId, ProgrammeId

_PAYABLES: Final = """
-- What each shop has on its account. Below nothing it owes the programme.
SELECT m.merchant_id, m.name, coalesce(moved.rupiah, 0)::bigint AS rupiah
  FROM merchant m
  LEFT JOIN (SELECT side.account_id, sum(side.rupiah) AS rupiah
               FROM transfer t
              CROSS JOIN LATERAL (VALUES (t.debit_account_id, -t.amount_rupiah),
                                         (t.credit_account_id, t.amount_rupiah)) AS side(account_id, rupiah)
              WHERE t.programme_id = $1 AND t.kind IN ('post', 'refund', 'payout', 'payout_failed', 'return')
              GROUP BY side.account_id) moved ON moved.account_id = m.merchant_id
 WHERE m.programme_id = $1
 ORDER BY m.merchant_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payable:
    """What a shop is owed (rupiah), or owes, where it is below nothing."""

    merchant_id: MerchantId
    name: str
    amount_rupiah: int


async def payables(connection: Connection, programme_id: ProgrammeId) -> Sequence[Payable]:
    """Every shop of the programme, in the order of their ids."""
    return [
        Payable(merchant_id=MerchantId(row["merchant_id"]), name=row["name"], amount_rupiah=row["rupiah"])
        for row in await connection.fetch(_PAYABLES, programme_id)
    ]
