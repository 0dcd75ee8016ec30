"""Of settlement: what is in which batch, what the bank was told, and that shops' money is explained by both.

All but the first are asked of the whole programme: a batch has shops, and no part of the families' books tells them.
"""

from typing import Final

from authz_service.ledger.invariants.given import Invariant, Reach

SETTLEMENT: Final = (
    Invariant(
        name="items_are_as_their_transfers",
        sentence="What is in a batch is a transfer of that shop with that amount.",
        query="""
SELECT format('%s: %s for %s; its transfer %s', i.transfer_id, i.amount_rupiah, i.merchant_id,
              coalesce(format('is a %s of %s from %s to %s', t.kind, t.amount_rupiah, t.debit_account_id,
                              t.credit_account_id), 'is missing')) AS what
  FROM settlement_item i
  LEFT JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = i.transfer_id
 WHERE i.programme_id = $1
   AND CASE WHEN t.kind IN ('post', 'payout_failed') OR t.kind = 'return' AND t.debit_account_id = 'fund'
            THEN t.credit_account_id <> i.merchant_id OR t.amount_rupiah <> i.amount_rupiah
            WHEN t.kind = 'refund'
            THEN t.debit_account_id <> i.merchant_id OR -t.amount_rupiah <> i.amount_rupiah
            ELSE true END
""",
    ),
    Invariant(
        name="positions_equal_their_items",
        reach=Reach.PROGRAMME,
        sentence="A shop's captures, refunds and returned payouts in a batch are the sums of its items there.",
        query="""
SELECT format('%s %s: %s, %s, %s; its items make %s, %s, %s', batch_id, merchant_id, p.captured_rupiah,
              p.refunded_rupiah, p.returned_rupiah, i.captured, i.refunded, i.returned) AS what
  FROM (SELECT batch_id, merchant_id, captured_rupiah, refunded_rupiah, returned_rupiah
          FROM settlement_position
         WHERE programme_id = $1) p
  FULL JOIN (SELECT i.batch_id, i.merchant_id,
                    coalesce(sum(i.amount_rupiah) FILTER (WHERE t.kind = 'post'), 0) AS captured,
                    coalesce(-sum(i.amount_rupiah) FILTER (WHERE t.kind = 'refund'), 0) AS refunded,
                    coalesce(sum(i.amount_rupiah) FILTER (WHERE t.kind IN ('payout_failed', 'return')), 0) AS returned
               FROM settlement_item i
               LEFT JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = i.transfer_id
              WHERE i.programme_id = $1
              GROUP BY i.batch_id, i.merchant_id) i USING (batch_id, merchant_id)
 WHERE p.captured_rupiah IS DISTINCT FROM coalesce(i.captured, 0)
    OR p.refunded_rupiah IS DISTINCT FROM coalesce(i.refunded, 0)
    OR p.returned_rupiah IS DISTINCT FROM coalesce(i.returned, 0)
""",
    ),
    Invariant(
        name="positions_go_on_from_the_batch_before",
        reach=Reach.PROGRAMME,
        sentence="What a shop brings into a batch is what it carried out of the one before, or was paid before them.",
        query="""
SELECT format('batch %s %s: brought %s, carried before %s', number, merchant_id, coalesce(brought, 0),
              coalesce(carried, 0)) AS what
  FROM (SELECT b.number, p.merchant_id, p.brought_rupiah AS brought
          FROM settlement_position p
          JOIN settlement_batch b ON b.programme_id = $1 AND b.batch_id = p.batch_id
         WHERE p.programme_id = $1) here
  FULL JOIN (SELECT b.number + 1 AS number, p.merchant_id, p.carried_rupiah AS carried
               FROM settlement_position p
               JOIN settlement_batch b ON b.programme_id = $1 AND b.batch_id = p.batch_id
              WHERE p.programme_id = $1
                AND b.number < (SELECT max(number) FROM settlement_batch WHERE programme_id = $1)
              UNION ALL
             SELECT 1, t.debit_account_id, -sum(t.amount_rupiah)
               FROM transfer t
              WHERE t.programme_id = $1 AND t.kind = 'payout'
                AND t.reason NOT IN (SELECT instruction_id FROM payout_instruction WHERE programme_id = $1)
                AND EXISTS (SELECT FROM settlement_batch WHERE programme_id = $1)
              GROUP BY t.debit_account_id) before USING (number, merchant_id)
 WHERE coalesce(brought, 0) <> coalesce(carried, 0)
""",
    ),
    Invariant(
        name="batches_are_the_sums_of_their_positions",
        reach=Reach.PROGRAMME,
        sentence="A batch's control totals are the sums of its shops', and it has as many items as it says.",
        query="""
SELECT format('%s: %s', batch_id, CASE WHEN b.number IS NULL THEN 'is missing'
              ELSE format('has %s items and %s, %s, %s, %s, %s, %s; found %s and %s, %s, %s, %s, %s, %s', b.items,
                          b.brought_rupiah, b.captured_rupiah, b.refunded_rupiah, b.returned_rupiah,
                          b.instructed_rupiah, b.carried_rupiah, i.items, p.brought, p.captured, p.refunded, p.returned,
                          p.instructed, p.carried) END) AS what
  FROM (SELECT * FROM settlement_batch WHERE programme_id = $1) b
  FULL JOIN (SELECT batch_id, sum(brought_rupiah) AS brought, sum(captured_rupiah) AS captured,
                    sum(refunded_rupiah) AS refunded, sum(returned_rupiah) AS returned,
                    sum(instructed_rupiah) AS instructed, sum(carried_rupiah) AS carried
               FROM settlement_position WHERE programme_id = $1 GROUP BY batch_id) p USING (batch_id)
  FULL JOIN (SELECT batch_id, count(*) AS items
               FROM settlement_item WHERE programme_id = $1 GROUP BY batch_id) i USING (batch_id)
 WHERE b.items IS DISTINCT FROM coalesce(i.items, 0)
    OR b.brought_rupiah IS DISTINCT FROM coalesce(p.brought, 0)
    OR b.captured_rupiah IS DISTINCT FROM coalesce(p.captured, 0)
    OR b.refunded_rupiah IS DISTINCT FROM coalesce(p.refunded, 0)
    OR b.returned_rupiah IS DISTINCT FROM coalesce(p.returned, 0)
    OR b.instructed_rupiah IS DISTINCT FROM coalesce(p.instructed, 0)
    OR b.carried_rupiah IS DISTINCT FROM coalesce(p.carried, 0)
""",
    ),
    Invariant(
        name="batches_are_numbered_and_chained",
        reach=Reach.PROGRAMME,
        sentence="Batches are numbered from 1 without a gap, and each hash is over their lines and the hash before.",
        query="""
SELECT format('batch %s (%s): %s', b.number, b.batch_id,
              CASE WHEN b.number <> b.place THEN format('it is the %s. of all', b.place)
                   ELSE 'its hash is not that of its lines' END) AS what
  FROM (SELECT *, row_number() OVER (ORDER BY number) AS place, lag(hash) OVER (ORDER BY number) AS hash_before,
               to_char(cut_off_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cut_off,
               to_char(closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS closed
          FROM settlement_batch
         WHERE programme_id = $1) b
  LEFT JOIN (SELECT batch_id,
                    string_agg(concat_ws(E'\\t', 'item', transfer_id, merchant_id, amount_rupiah) || E'\\n', ''
                               ORDER BY transfer_id) AS lines
               FROM settlement_item WHERE programme_id = $1 GROUP BY batch_id) item USING (batch_id)
  LEFT JOIN (SELECT batch_id,
                    string_agg(concat_ws(E'\\t', 'pay', instruction_id, merchant_id, amount_rupiah, bank_code,
                                         account_number, holder) || E'\\n', '' ORDER BY instruction_id) AS lines
               FROM payout_instruction WHERE programme_id = $1 GROUP BY batch_id) pay USING (batch_id)
 WHERE b.number <> b.place
    OR b.hash <> sha256(coalesce(b.hash_before, '') || convert_to(
         concat_ws(E'\\t', 'batch', b.programme_id, b.batch_id, b.number, b.cut_off, b.closed, b.items,
                   b.brought_rupiah, b.captured_rupiah, b.refunded_rupiah, b.returned_rupiah, b.instructed_rupiah,
                   b.carried_rupiah) || E'\\n' || coalesce(item.lines, '') || coalesce(pay.lines, ''), 'UTF8'))
""",
    ),
    Invariant(
        name="instructions_equal_their_positions",
        reach=Reach.PROGRAMME,
        sentence="The bank is told to pay a shop what its position in the batch says, and nothing else.",
        query="""
SELECT format('%s %s: position %s, instruction %s', batch_id, merchant_id, coalesce(p.instructed_rupiah, 0),
              coalesce(i.amount_rupiah, 0)) AS what
  FROM (SELECT batch_id, merchant_id, instructed_rupiah
          FROM settlement_position
         WHERE programme_id = $1 AND instructed_rupiah > 0) p
  FULL JOIN (SELECT batch_id, merchant_id, sum(amount_rupiah) AS amount_rupiah
               FROM payout_instruction WHERE programme_id = $1 GROUP BY batch_id, merchant_id) i
       USING (batch_id, merchant_id)
 WHERE p.instructed_rupiah IS DISTINCT FROM i.amount_rupiah
""",
    ),
    Invariant(
        name="payouts_have_their_instruction",
        reach=Reach.PROGRAMME,
        sentence="Each payout, and what became of it, is booked once and as its instruction says; what was paid after"
        " all is twice on its way.",
        query="""
SELECT format('%s: %s of %s', coalesce(said.instruction_id, booked.reason), coalesce(said.kind, booked.kind),
              CASE WHEN booked.reason IS NULL THEN format('%s is not booked', said.amount_rupiah)
                   WHEN said.instruction_id IS NULL THEN format('%s has no instruction', booked.rupiah)
                   ELSE format('%s for %s; booked %s in %s for %s', said.amount_rupiah, said.merchant_id,
                               booked.rupiah, booked.transfers, booked.merchant_id) END) AS what
  FROM (SELECT i.instruction_id, 'payout' AS kind, i.merchant_id, i.amount_rupiah,
               -- What failed by the books and was paid after all has gone its way a second time.
               CASE count(e.event) WHEN 2 THEN 2 ELSE 1 END AS times
          FROM payout_instruction i
          LEFT JOIN payout_event e ON e.programme_id = $1 AND e.instruction_id = i.instruction_id
                                  AND e.event IN ('failed', 'settled')
         WHERE i.programme_id = $1
         GROUP BY i.instruction_id, i.merchant_id, i.amount_rupiah
         UNION ALL
        SELECT e.instruction_id,
               CASE e.event WHEN 'settled' THEN 'payout_settled' WHEN 'failed' THEN 'payout_failed' ELSE 'return' END,
               CASE e.event WHEN 'settled' THEN 'clearing' ELSE i.merchant_id END, i.amount_rupiah, 1
          FROM payout_event e
          JOIN payout_instruction i ON i.programme_id = $1 AND i.instruction_id = e.instruction_id
         WHERE e.programme_id = $1 AND e.event <> 'released') said
  FULL JOIN (SELECT t.reason, t.kind,
                    CASE WHEN t.kind IN ('payout', 'payout_settled') THEN t.debit_account_id
                         ELSE t.credit_account_id END AS merchant_id,
                    count(*) AS transfers, sum(t.amount_rupiah) AS rupiah
               FROM transfer t
              WHERE t.programme_id = $1
                AND (t.kind IN ('payout', 'payout_settled', 'payout_failed')
                     OR t.kind = 'return' AND t.debit_account_id = 'fund')
                -- Those of before there were batches stand under the bank's reference, which an order of then names.
                AND coalesce(t.reason, '') NOT IN (SELECT detail ->> 'reference'
                                                     FROM office_order
                                                    WHERE programme_id = $1 AND kind = 'shops_paid')
              GROUP BY 1, 2, 3) booked
       ON booked.reason = said.instruction_id AND booked.kind = said.kind AND booked.merchant_id = said.merchant_id
 WHERE said.amount_rupiah * said.times IS DISTINCT FROM booked.rupiah OR booked.transfers <> said.times
""",
    ),
    Invariant(
        name="payout_events_follow_each_other",
        reach=Reach.PROGRAMME,
        sentence="A payout is settled or failed, or failed and then settled after all; it comes back only if it was"
        " settled, and is released if it came back.",
        query="""
SELECT format('%s: %s', instruction_id, events) AS what
  FROM (SELECT e.instruction_id, string_agg(e.event, ', ' ORDER BY e.event) AS events,
               bool_or(i.instruction_id IS NULL) AS is_of_nobody
          FROM payout_event e
          LEFT JOIN payout_instruction i ON i.programme_id = $1 AND i.instruction_id = e.instruction_id
         WHERE e.programme_id = $1
         GROUP BY e.instruction_id) life
 WHERE is_of_nobody
    OR events NOT IN ('settled', 'failed', 'returned, settled', 'failed, released', 'released, returned, settled',
                      'failed, settled', 'failed, returned, settled', 'failed, released, returned, settled')
""",
    ),
    Invariant(
        name="payables_are_explained",
        reach=Reach.PROGRAMME,
        sentence="A shop's account has what its last position carried, and what is in no batch or waits.",
        query="""
SELECT format('%s has %s, of which %s are explained', merchant_id, coalesce(has, 0), coalesce(explained, 0)) AS what
  FROM (SELECT account_id AS merchant_id, rupiah AS has FROM balance WHERE kind = 'merchant') account
  FULL JOIN (SELECT merchant_id, sum(rupiah) AS explained
               FROM (SELECT p.merchant_id, p.carried_rupiah AS rupiah
                       FROM settlement_position p
                       JOIN settlement_batch b ON b.programme_id = $1 AND b.batch_id = p.batch_id
                      WHERE p.programme_id = $1
                        AND b.number = (SELECT max(number) FROM settlement_batch WHERE programme_id = $1)
                      UNION ALL
                     SELECT t.debit_account_id, -t.amount_rupiah
                       FROM transfer t
                      WHERE t.programme_id = $1 AND t.kind = 'payout'
                        AND NOT EXISTS (SELECT FROM settlement_batch WHERE programme_id = $1)
                      UNION ALL
                     SELECT CASE t.kind WHEN 'refund' THEN t.debit_account_id ELSE t.credit_account_id END,
                            CASE t.kind WHEN 'refund' THEN -t.amount_rupiah ELSE t.amount_rupiah END
                       FROM transfer t
                       LEFT JOIN settlement_item i ON i.programme_id = $1 AND i.transfer_id = t.transfer_id
                      WHERE t.programme_id = $1 AND i.transfer_id IS NULL
                        AND (t.kind IN ('post', 'refund', 'payout_failed')
                             OR t.kind = 'return' AND t.debit_account_id = 'fund')
                        -- What was paid after all is not owed again.
                        AND NOT (t.kind = 'payout_failed'
                                 AND EXISTS (SELECT FROM payout_event e
                                              WHERE e.programme_id = $1 AND e.instruction_id = t.reason
                                                AND e.event = 'settled'))) found
              GROUP BY merchant_id) found USING (merchant_id)
 WHERE coalesce(has, 0) <> coalesce(explained, 0)
""",
    ),
    Invariant(
        name="clearing_is_what_is_under_way",
        reach=Reach.PROGRAMME,
        sentence="Clearing has the instructions that neither settled nor failed.",
        query="""
SELECT format('clearing has %s, under way are %s', has, under_way) AS what
  FROM (SELECT coalesce(sum(rupiah) FILTER (WHERE kind = 'clearing'), 0) AS has FROM balance) clearing,
       (SELECT coalesce(sum(i.amount_rupiah), 0) AS under_way
          FROM payout_instruction i
         WHERE i.programme_id = $1
           AND NOT EXISTS (SELECT FROM payout_event e
                            WHERE e.programme_id = $1 AND e.instruction_id = i.instruction_id
                              AND e.event IN ('settled', 'failed'))) instructed
 WHERE has <> under_way
""",
    ),
    Invariant(
        name="waits_have_their_purchase",
        reach=Reach.PROGRAMME,
        sentence="What waits is an approved purchase of the programme.",
        query="""
SELECT format('%s has no hold', w.authorisation_id) AS what
  FROM settlement_wait w
  LEFT JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = w.authorisation_id
 WHERE w.programme_id = $1 AND h.authorisation_id IS NULL
""",
    ),
)
