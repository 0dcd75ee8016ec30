"""Of purchases: what is held, captured, released and refunded, and between whom."""

from typing import Final

from authz_service.ledger.invariants.given import Invariant

HOLDS: Final = (
    Invariant(
        name="holds_equal_their_transfers",
        sentence="A hold's transfers make its amounts: held once; posted, released and still held add up; refunded.",
        query="""
SELECT format('%s: approved %s, held %s, captured %s, refunded %s; hold %s, post %s, release %s, refund %s',
              h.authorisation_id, h.approved_rupiah, h.held_rupiah, h.captured_rupiah, h.refunded_rupiah,
              coalesce(t.hold, 0), coalesce(t.post, 0), coalesce(t.release, 0), coalesce(t.refund, 0)) AS what
  FROM hold h
  LEFT JOIN (SELECT authorisation_id, count(*) FILTER (WHERE kind = 'hold') AS holds,
                    sum(amount_rupiah) FILTER (WHERE kind = 'hold') AS hold,
                    sum(amount_rupiah) FILTER (WHERE kind = 'post') AS post,
                    sum(amount_rupiah) FILTER (WHERE kind = 'release') AS release,
                    sum(amount_rupiah) FILTER (WHERE kind = 'refund') AS refund
               FROM transfer
              WHERE programme_id = $1 AND authorisation_id IS NOT NULL
              GROUP BY authorisation_id) t USING (authorisation_id)
 WHERE h.programme_id = $1
   AND (coalesce(t.holds, 0) <> 1 OR t.hold <> h.approved_rupiah OR coalesce(t.post, 0) <> h.captured_rupiah
        OR coalesce(t.refund, 0) <> h.refunded_rupiah
        OR coalesce(t.release, 0) + h.captured_rupiah + h.held_rupiah <> h.approved_rupiah)
""",
    ),
    Invariant(
        name="hold_status_agrees_with_the_amounts",
        sentence="A hold's status is what its amounts say.",
        query="""
SELECT format('%s: %s, approved %s, held %s, captured %s, refunded %s', authorisation_id, status, approved_rupiah,
              held_rupiah, captured_rupiah, refunded_rupiah) AS what
  FROM hold
 WHERE programme_id = $1
   AND NOT CASE status
           WHEN 'held' THEN held_rupiah = approved_rupiah AND captured_rupiah = 0
           WHEN 'partly_captured' THEN captured_rupiah > 0 AND held_rupiah = approved_rupiah - captured_rupiah
           WHEN 'captured' THEN held_rupiah = 0 AND captured_rupiah > 0
           WHEN 'reversed' THEN held_rupiah = 0 AND captured_rupiah = refunded_rupiah
           ELSE held_rupiah = 0 AND captured_rupiah = 0
           END
""",
    ),
    Invariant(
        name="holds_are_closed_once",
        sentence="At most one event releases a hold; none while it is open; and it is the one that the status names.",
        query="""
SELECT format('%s: %s, released by %s', h.authorisation_id, h.status, t.causes) AS what
  FROM hold h
  JOIN (SELECT authorisation_id, count(*) AS releases, string_agg(cause, ', ' ORDER BY cause) AS causes
          FROM transfer
         WHERE programme_id = $1 AND kind = 'release'
         GROUP BY authorisation_id) t USING (authorisation_id)
 WHERE h.programme_id = $1
   AND (t.releases > 1
        OR NOT CASE h.status
               WHEN 'captured' THEN t.causes IN ('capture', 'void', 'expire', 'reverse')
               WHEN 'voided' THEN t.causes = 'void'
               WHEN 'expired' THEN t.causes = 'expire'
               WHEN 'reversed' THEN t.causes = 'reverse'
               ELSE false
               END)
""",
    ),
    Invariant(
        name="holds_last_until_they_end",
        sentence="A hold begins with its authorisation, is captured or released before its end, or expires on it.",
        query="""
SELECT format('%s: %s by %s dated %s; authorised %s, expires %s', t.transfer_id, t.kind, t.cause, t.created_at,
              a.created_at, h.expires_at) AS what
  FROM transfer t
  JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = t.authorisation_id
  JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = t.authorisation_id
 WHERE t.programme_id = $1
   AND NOT CASE
           WHEN t.kind = 'hold' THEN t.created_at = a.created_at
           WHEN t.kind = 'refund' THEN t.created_at >= a.created_at
           WHEN t.cause = 'expire' THEN t.created_at = h.expires_at
           ELSE t.created_at >= a.created_at AND t.created_at < h.expires_at
           END
""",
    ),
    Invariant(
        name="holds_are_between_their_parties",
        sentence="A hold's transfers go between its own family and its own shop.",
        query="""
SELECT format('%s: a %s from %s to %s; the hold is between %s and %s', t.transfer_id, t.kind, t.debit_account_id,
              t.credit_account_id, h.beneficiary_id, h.merchant_id) AS what
  FROM transfer t
  JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = t.authorisation_id
 WHERE t.programme_id = $1
   AND (CASE t.kind WHEN 'refund' THEN t.credit_account_id ELSE t.debit_account_id END <> h.beneficiary_id
        OR CASE t.kind WHEN 'refund' THEN t.debit_account_id ELSE t.credit_account_id END <> h.merchant_id)
""",
    ),
    Invariant(
        name="packages_are_used_as_long_as_something_is_bought",
        sentence="A purchase uses its package as long as something of it is held or captured, and no longer.",
        query="""
SELECT format('%s: held %s, captured %s, refunded %s, packages %s', h.authorisation_id, h.held_rupiah,
              h.captured_rupiah, h.refunded_rupiah, h.packages) AS what
  FROM hold h
  JOIN programme p ON p.programme_id = $1
 WHERE h.programme_id = $1
   AND CASE WHEN h.held_rupiah > 0 OR h.captured_rupiah > h.refunded_rupiah
            THEN h.packages = 0 AND p.package_counting = 'per_purchase'
            ELSE h.packages > 0
            END
""",
    ),
    Invariant(
        name="holds_have_a_family_and_a_shop",
        sentence="Every hold is of a family and a shop of the programme.",
        query="""
SELECT format('%s: family %s%s, shop %s%s', h.authorisation_id,
              h.beneficiary_id, CASE WHEN b.beneficiary_id IS NULL THEN ' is missing' END,
              h.merchant_id, CASE WHEN m.merchant_id IS NULL THEN ' is missing' END) AS what
  FROM hold h
  LEFT JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = h.beneficiary_id
  LEFT JOIN merchant m ON m.programme_id = $1 AND m.merchant_id = h.merchant_id
 WHERE h.programme_id = $1 AND (b.beneficiary_id IS NULL OR m.merchant_id IS NULL)
""",
    ),
    Invariant(
        name="transfers_have_their_accounts",
        sentence="Every transfer is between accounts that exist.",
        query="""
SELECT format('%s: a %s from %s%s to %s%s', t.transfer_id, t.kind,
              t.debit_account_id, CASE WHEN debit.account_id IS NULL THEN ' (missing)' END,
              t.credit_account_id, CASE WHEN credit.account_id IS NULL THEN ' (missing)' END) AS what
  FROM transfer t
  LEFT JOIN account debit ON debit.programme_id = $1 AND debit.account_id = t.debit_account_id
  LEFT JOIN account credit ON credit.programme_id = $1 AND credit.account_id = t.credit_account_id
 WHERE t.programme_id = $1 AND (debit.account_id IS NULL OR credit.account_id IS NULL)
""",
    ),
    Invariant(
        name="transfers_have_their_hold",
        sentence="Every transfer that names an authorisation names one that has a hold.",
        query="""
SELECT format('%s: a %s of %s', t.transfer_id, t.kind, t.authorisation_id) AS what
  FROM transfer t
 WHERE t.programme_id = $1 AND t.authorisation_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM hold h WHERE h.programme_id = $1 AND h.authorisation_id = t.authorisation_id)
""",
    ),
)
