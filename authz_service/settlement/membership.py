"""Which transfers a batch has, and what that comes to for each shop.

A transfer that is in a batch has a row of its own that says so, and never another: what has none is in no batch.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg

from authz_service.database import Connection
from authz_service.settings import Settings
from authz_service.settlement.canonical import Totals
from authz_service.settlement.positions import Account, Position, position
from authz_service.vocabulary import BatchId, MerchantId, ProgrammeId

_PLANS: Final = """
-- Statistics from before this transaction must not choose a plan that reads one table once for each row of another.
SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', $1, true)
"""
_TAKE: Final = """
-- Everything that is committed, in no batch, and does not wait: captures and refunds, and payouts that came back and
-- were released. One statement, so one snapshot; what it does not see is in the next batch.
INSERT INTO settlement_item (programme_id, transfer_id, batch_id, merchant_id, amount_rupiah)
SELECT $1, t.transfer_id, $2, CASE t.kind WHEN 'post' THEN t.credit_account_id ELSE t.debit_account_id END,
       CASE t.kind WHEN 'post' THEN t.amount_rupiah ELSE -t.amount_rupiah END
  FROM transfer t
 WHERE t.programme_id = $1 AND t.kind IN ('post', 'refund')
   AND NOT EXISTS (SELECT FROM settlement_wait w
                    WHERE w.programme_id = $1 AND w.authorisation_id = t.authorisation_id AND w.released_at IS NULL)
   AND NOT EXISTS (SELECT FROM settlement_item i WHERE i.programme_id = $1 AND i.transfer_id = t.transfer_id)
 UNION ALL
SELECT $1, t.transfer_id, $2, t.credit_account_id, t.amount_rupiah
  FROM transfer t
  JOIN payout_event e ON e.programme_id = $1 AND e.instruction_id = t.reason AND e.event = 'released'
 WHERE t.programme_id = $1 AND t.authorisation_id IS NULL AND t.kind IN ('payout_failed', 'return')
   AND t.cause = 'settle'
   -- What failed by the books and was paid after all is owed again only if it came back since.
   AND NOT (t.kind = 'payout_failed'
            AND EXISTS (SELECT FROM payout_event p
                         WHERE p.programme_id = $1 AND p.instruction_id = t.reason AND p.event = 'settled'))
   AND NOT EXISTS (SELECT FROM settlement_item i WHERE i.programme_id = $1 AND i.transfer_id = t.transfer_id)
"""
_NETS: Final = """
-- Each shop with anything: what it brings from the batch before ($3), or from payouts that were entered by hand before
-- there were batches, what it has in this one ($2), and the account in force.
SELECT n.merchant_id, n.items, n.brought_rupiah, n.captured_rupiah, n.refunded_rupiah, n.returned_rupiah,
       a.bank_code, a.account_number, a.holder
  FROM (SELECT merchant_id, count(*) FILTER (WHERE is_item)::int AS items, sum(brought)::bigint AS brought_rupiah,
               sum(captured)::bigint AS captured_rupiah, sum(refunded)::bigint AS refunded_rupiah,
               sum(returned)::bigint AS returned_rupiah
          FROM (SELECT merchant_id, false AS is_item, carried_rupiah AS brought, 0 AS captured, 0 AS refunded,
                       0 AS returned
                  FROM settlement_position
                 WHERE programme_id = $1 AND batch_id = $3 AND carried_rupiah <> 0
                 UNION ALL
                SELECT debit_account_id, false, -amount_rupiah, 0, 0, 0
                  FROM transfer
                 WHERE programme_id = $1 AND authorisation_id IS NULL AND kind = 'payout' AND $3 IS NULL
                 UNION ALL
                SELECT i.merchant_id, true, 0, CASE t.kind WHEN 'post' THEN i.amount_rupiah ELSE 0 END,
                       CASE t.kind WHEN 'refund' THEN -i.amount_rupiah ELSE 0 END,
                       CASE WHEN t.kind IN ('payout_failed', 'return') THEN i.amount_rupiah ELSE 0 END
                  FROM settlement_item i
                  JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = i.transfer_id
                 WHERE i.programme_id = $1 AND i.batch_id = $2) moved(merchant_id, is_item, brought, captured, refunded,
                                                                      returned)
         GROUP BY merchant_id) n
  LEFT JOIN LATERAL (
       SELECT bank_code, account_number, holder
         FROM payout_account
        WHERE programme_id = $1 AND merchant_id = n.merchant_id AND approved_at IS NOT NULL
        ORDER BY approved_at DESC, account_ref DESC
        LIMIT 1) a ON true
 ORDER BY n.merchant_id
"""


async def plan_for_many(connection: Connection, settings: Settings) -> None:
    """Until the transaction ends, statements are planned for tables that are larger than anybody knows yet."""
    await connection.execute(_PLANS, f"{settings.audit_work_mem_mb}MB")


async def take(connection: Connection, settings: Settings, programme_id: ProgrammeId, batch_id: BatchId) -> None:
    """The batch has everything that was in none."""
    await plan_for_many(connection, settings)
    await connection.execute(_TAKE, programme_id, batch_id)


async def nets(
    connection: Connection, programme_id: ProgrammeId, batch_id: BatchId, *, after: BatchId | None
) -> Sequence[tuple[Position, Account | None]]:
    """Every shop that has anything in the batch or brings something from the one before, with its account in force."""
    return [_net(row) for row in await connection.fetch(_NETS, programme_id, batch_id, after)]


def _net(row: asyncpg.Record) -> tuple[Position, Account | None]:
    names = ("items", "brought_rupiah", "captured_rupiah", "refunded_rupiah", "returned_rupiah")
    account = None
    if row["account_number"] is not None:
        account = Account(bank_code=row["bank_code"], account_number=row["account_number"], holder=row["holder"])
    return position(MerchantId(row["merchant_id"]), Totals(**{name: row[name] for name in names}), account), account
