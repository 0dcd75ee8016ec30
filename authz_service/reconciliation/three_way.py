"""Where authorisations, ledger and payout instructions do not say the same; in honest books, nowhere."""

from datetime import date
from typing import Final

from authz_service.database import Connection
from authz_service.reconciliation.findings import Finding, State
from authz_service.vocabulary import ProgrammeId

_PURCHASES: Final = """
-- Purchases whose hold says another sum than their captures and refunds, as batches have them or else as booked.
SELECT authorisation_id, coalesce(h.merchant_id, m.merchant_id) AS merchant_id,
       coalesce(h.captured_rupiah - h.refunded_rupiah, 0) AS ours_rupiah, coalesce(m.owed, 0)::bigint AS theirs_rupiah,
       format('Captured %s and refunded %s; the ledger has %s and %s.', coalesce(h.captured_rupiah, 0),
              coalesce(h.refunded_rupiah, 0), coalesce(m.posted, 0), coalesce(m.refunded, 0)) AS detail
  FROM (SELECT authorisation_id, merchant_id, captured_rupiah, refunded_rupiah FROM hold WHERE programme_id = $1) h
  FULL JOIN (SELECT t.authorisation_id,
                    min(CASE t.kind WHEN 'post' THEN t.credit_account_id ELSE t.debit_account_id END) AS merchant_id,
                    coalesce(sum(t.amount_rupiah) FILTER (WHERE t.kind = 'post'), 0) AS posted,
                    coalesce(sum(t.amount_rupiah) FILTER (WHERE t.kind = 'refund'), 0) AS refunded,
                    sum(coalesce(i.amount_rupiah, CASE t.kind WHEN 'post' THEN t.amount_rupiah
                                                              ELSE -t.amount_rupiah END)) AS owed
               FROM transfer t
               LEFT JOIN settlement_item i ON i.programme_id = $1 AND i.transfer_id = t.transfer_id
              WHERE t.programme_id = $1 AND t.kind IN ('post', 'refund')
              GROUP BY t.authorisation_id) m USING (authorisation_id)
 WHERE coalesce(h.captured_rupiah, 0) <> coalesce(m.posted, 0)
    OR coalesce(h.refunded_rupiah, 0) <> coalesce(m.refunded, 0)
    OR coalesce(h.captured_rupiah - h.refunded_rupiah, 0) <> coalesce(m.owed, 0)
 ORDER BY authorisation_id
"""
_INSTRUCTIONS: Final = """
-- Instructions whose transfers come to another sum under way, or to another sum for the shop, than their events say.
SELECT reference, coalesce(i.merchant_id, '') AS merchant_id, coalesce(i.for_the_shop, 0)::bigint AS ours_rupiah,
       coalesce(t.for_the_shop, 0)::bigint AS theirs_rupiah,
       format('By its events %s are under way; the ledger has %s.', coalesce(i.under_way, 0),
              coalesce(t.under_way, 0)) AS detail
  FROM (SELECT i.instruction_id AS reference, i.merchant_id,
               CASE WHEN e.events && '{settled,failed}' THEN 0 ELSE i.amount_rupiah END AS under_way,
               CASE WHEN e.events && '{returned}' OR e.events && '{failed}' AND NOT e.events && '{settled}' THEN 0
                    ELSE i.amount_rupiah END AS for_the_shop
          FROM payout_instruction i
          LEFT JOIN (SELECT instruction_id, array_agg(event) AS events
                       FROM payout_event WHERE programme_id = $1 GROUP BY instruction_id) e USING (instruction_id)
         WHERE i.programme_id = $1) i
  FULL JOIN (SELECT t.reason AS reference,
                    sum(CASE t.kind WHEN 'payout' THEN t.amount_rupiah WHEN 'return' THEN 0
                                    ELSE -t.amount_rupiah END) AS under_way,
                    sum(CASE t.kind WHEN 'payout' THEN t.amount_rupiah WHEN 'payout_settled' THEN 0
                                    ELSE -t.amount_rupiah END) AS for_the_shop
               FROM transfer t
              WHERE t.programme_id = $1 AND t.authorisation_id IS NULL
                AND (t.kind IN ('payout', 'payout_settled', 'payout_failed')
                     OR t.kind = 'return' AND t.debit_account_id = 'fund')
                -- Those of before there were batches stand under the bank's reference, which an order of then names.
                AND NOT EXISTS (SELECT FROM office_order o
                                 WHERE o.programme_id = $1 AND o.kind = 'shops_paid'
                                   AND o.detail ->> 'reference' = t.reason)
              GROUP BY t.reason) t USING (reference)
 WHERE coalesce(i.under_way, 0) <> coalesce(t.under_way, 0)
    OR coalesce(i.for_the_shop, 0) <> coalesce(t.for_the_shop, 0)
 ORDER BY reference
"""


async def books_that_differ(connection: Connection, programme_id: ProgrammeId, today: date) -> list[Finding]:
    """One finding for each purchase and each instruction of which two books say two things."""
    found = []
    for statement in (_PURCHASES, _INSTRUCTIONS):
        for reference, merchant_id, ours_rupiah, theirs_rupiah, detail in await connection.fetch(
            statement, programme_id
        ):
            found.append(
                Finding(
                    state=State.BOOKS_DIFFER,
                    subject=reference,
                    reference=reference,
                    ours_rupiah=ours_rupiah,
                    theirs_rupiah=theirs_rupiah,
                    since_on=today,
                    merchant_id=merchant_id,
                    detail=detail,
                )
            )
    return found
