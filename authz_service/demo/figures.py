"""The questions that the report asks the database: every figure it prints is an answer to one of these.

`$1` is the programme throughout. Where a statement groups with a total, the total is the row whose name is NULL.
"""

from typing import Final

BY_MONTH: Final = """
-- Each month that was charged: what was captured in it, and what came of the other requests.
SELECT a.month,
       count(DISTINCT a.beneficiary_id) FILTER (WHERE h.captured_rupiah > 0) AS families,
       count(*) FILTER (WHERE h.captured_rupiah > 0) AS purchases,
       coalesce(sum(h.captured_rupiah - h.refunded_rupiah), 0)::bigint AS captured_rupiah,
       count(*) FILTER (WHERE h.status = 'voided') AS voided,
       count(*) FILTER (WHERE h.status = 'expired') AS expired,
       count(*) FILTER (WHERE a.reason <> 'approved') AS declined
  FROM authorisation a
  LEFT JOIN hold h ON h.programme_id = a.programme_id AND h.authorisation_id = a.authorisation_id
 WHERE a.programme_id = $1
 GROUP BY GROUPING SETS ((a.month), ())
 ORDER BY a.month NULLS LAST
"""

BY_CATEGORY: Final = """
-- What was captured and not refunded, counted to the lines of each purchase in their order, as the contract funds them.
WITH line AS (
       SELECT h.authorisation_id, h.captured_rupiah - h.refunded_rupiah AS captured_rupiah, each.place,
              each.line ->> 0 AS category, (each.line ->> 2)::bigint AS approved_rupiah,
              sum((each.line ->> 2)::bigint) OVER (PARTITION BY h.authorisation_id ORDER BY each.place) AS until_here
         FROM hold h
         JOIN authorisation a ON a.programme_id = h.programme_id AND a.authorisation_id = h.authorisation_id
        CROSS JOIN LATERAL jsonb_array_elements(a.journal -> 'lines') WITH ORDINALITY AS each(line, place)
        WHERE h.programme_id = $1 AND h.captured_rupiah > 0),
     paid AS (
       SELECT authorisation_id, category,
              greatest(0, least(approved_rupiah, captured_rupiah - until_here + approved_rupiah)) AS captured_rupiah
         FROM line)
SELECT c.name, count(DISTINCT p.authorisation_id) AS purchases, sum(p.captured_rupiah)::bigint AS captured_rupiah,
       round(100 * sum(p.captured_rupiah) / sum(sum(p.captured_rupiah)) FILTER (WHERE c.name IS NOT NULL) OVER (), 1)
         AS percent
  FROM paid p
  LEFT JOIN category c ON c.programme_id = $1 AND c.category = p.category
 WHERE p.captured_rupiah > 0
 GROUP BY GROUPING SETS ((c.name, c.position), ())
 ORDER BY c.position NULLS LAST
"""

BY_KECAMATAN: Final = """
-- The families of each kecamatan: what they were granted, what was captured, and how much of it near their homes.
WITH family AS (
       SELECT b.beneficiary_id, b.district_code, w.spent_rupiah,
              granted.amount_rupiah AS granted_rupiah
         FROM beneficiary b
         JOIN wallet w ON w.programme_id = $1 AND w.beneficiary_id = b.beneficiary_id
         JOIN (SELECT credit_account_id, sum(amount_rupiah) AS amount_rupiah FROM transfer
                WHERE programme_id = $1 AND kind = 'grant' GROUP BY credit_account_id) granted
           ON granted.credit_account_id = b.beneficiary_id
        WHERE b.programme_id = $1),
     bought AS (
       SELECT h.beneficiary_id, count(*) AS purchases, count(*) FILTER (WHERE m.district_code = b.district_code) AS near
         FROM hold h
         JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = h.beneficiary_id
         JOIN merchant m ON m.programme_id = $1 AND m.merchant_id = h.merchant_id
        WHERE h.programme_id = $1 AND h.captured_rupiah > 0
        GROUP BY h.beneficiary_id)
SELECT d.name, count(*) AS families, sum(bought.purchases)::bigint AS purchases,
       sum(family.spent_rupiah)::bigint AS captured_rupiah,
       round(100 * sum(family.spent_rupiah) / sum(family.granted_rupiah), 1) AS used_percent,
       round(100 * sum(bought.near) / sum(bought.purchases), 1) AS near_percent
  FROM family
  JOIN district d ON d.programme_id = $1 AND d.district_code = family.district_code
  LEFT JOIN bought USING (beneficiary_id)
 GROUP BY GROUPING SETS ((d.district_code, d.name), ())
 ORDER BY d.district_code NULLS LAST
"""

DECLINES: Final = """
-- Every reason there is, in its precedence, and how often it was the first that a declined request failed.
SELECT known.reason, count(a.authorisation_id) AS declines, count(DISTINCT a.beneficiary_id) AS families,
       count(DISTINCT a.merchant_id) AS shops
  FROM unnest($2::text[]) WITH ORDINALITY AS known(reason, place)
  LEFT JOIN authorisation a ON a.programme_id = $1 AND a.reason = known.reason
 GROUP BY GROUPING SETS ((known.reason, known.place), ())
 ORDER BY known.place NULLS LAST
"""

MONEY_LEFT: Final = """
-- Families by what is left to them, in steps that the programme's terms give; removed ones by themselves.
WITH family AS (
       SELECT w.*, CASE WHEN b.status = 'removed' THEN 'removed'
                        WHEN w.available_rupiah = 0 THEN 'nothing'
                        WHEN w.available_rupiah < p.package_rupiah THEN 'package'
                        WHEN w.available_rupiah < p.month_cap_rupiah THEN 'month'
                        WHEN w.available_rupiah < p.entitlement_rupiah THEN 'more'
                        ELSE 'all' END AS step
         FROM wallet w
         JOIN beneficiary b ON b.programme_id = w.programme_id AND b.beneficiary_id = w.beneficiary_id
         JOIN programme p ON p.programme_id = w.programme_id
        WHERE w.programme_id = $1)
SELECT step, count(*) AS families, sum(available_rupiah)::bigint AS available_rupiah,
       sum(held_rupiah)::bigint AS held_rupiah, sum(spent_rupiah)::bigint AS spent_rupiah
  FROM family
 GROUP BY GROUPING SETS ((step), ())
 ORDER BY array_position(ARRAY['nothing', 'package', 'month', 'more', 'all', 'removed'], step) NULLS LAST
"""

TERMS: Final = """
-- The sums of money that the steps are named by.
SELECT package_rupiah, month_cap_rupiah, entitlement_rupiah FROM programme WHERE programme_id = $1
"""

VOUCHERS: Final = """
-- What companions allowed over each month's cap, and what of it was used.
SELECT month, count(*) AS vouchers, count(DISTINCT beneficiary_id) AS families,
       count(DISTINCT companion_id) AS companions,
       sum(extra_packages)::bigint AS extra_packages, sum(packages_used)::bigint AS packages_used,
       sum(extra_rupiah)::bigint AS extra_rupiah, sum(used_rupiah)::bigint AS used_rupiah
  FROM voucher
 WHERE programme_id = $1
 GROUP BY GROUPING SETS ((month), ())
 ORDER BY month NULLS LAST
"""

CONTROL: Final = """
-- The control total: what families were granted and returned, from the transfers; what they have, from their wallets.
SELECT (SELECT coalesce(sum(amount_rupiah), 0)::bigint
          FROM transfer WHERE programme_id = $1 AND kind = 'grant') AS granted_rupiah,
       (SELECT coalesce(sum(amount_rupiah), 0)::bigint
          FROM transfer WHERE programme_id = $1 AND kind = 'return' AND cause = 'remove') AS returned_rupiah,
       coalesce(sum(available_rupiah), 0)::bigint AS available_rupiah,
       coalesce(sum(held_rupiah), 0)::bigint AS held_rupiah,
       coalesce(sum(spent_rupiah), 0)::bigint AS spent_rupiah
  FROM wallet WHERE programme_id = $1
"""

SETTLED: Final = """
-- What became of the shops' money, told by the bank's notices, by its statement, and by the books.
WITH fact AS (
       SELECT i.instruction_id, i.amount_rupiah, (i.created_at AT TIME ZONE p.zone)::date AS ordered_on,
              min(e.source) FILTER (WHERE e.event = 'settled') AS settled_by,
              bool_or(e.event IN ('failed', 'returned')) IS TRUE AS came_back
         FROM payout_instruction i
         JOIN programme p USING (programme_id)
         LEFT JOIN payout_event e USING (programme_id, instruction_id)
        WHERE i.programme_id = $1
        GROUP BY i.instruction_id, i.amount_rupiah, i.created_at, p.zone),
     payment AS (
       SELECT count(*) AS payments, coalesce(sum(amount_rupiah), 0)::bigint AS ordered_rupiah,
              count(*) FILTER (WHERE settled_by = 'notice') AS by_notice,
              coalesce(sum(amount_rupiah) FILTER (WHERE settled_by = 'notice'), 0)::bigint AS by_notice_rupiah,
              count(*) FILTER (WHERE settled_by = 'statement') AS by_statement,
              coalesce(sum(amount_rupiah) FILTER (WHERE settled_by = 'statement'), 0)::bigint AS by_statement_rupiah,
              count(*) FILTER (WHERE came_back) AS came_back,
              coalesce(sum(amount_rupiah) FILTER (WHERE came_back), 0)::bigint AS came_back_rupiah
         FROM fact),
     notice AS (
       SELECT count(*) AS notices, count(*) FILTER (WHERE n.received_on > f.ordered_on) AS late,
              count(*) - count(DISTINCT (n.reference, n.status)) AS twice,
              count(*) FILTER (WHERE n.status = 'pending' AND n.notice_id > first.success) AS out_of_order,
              count(*) FILTER (WHERE s.standing = 'parked') AS parked
         FROM bank_notice n
         JOIN notice_standing s USING (programme_id, notice_id)
         LEFT JOIN fact f ON f.instruction_id = n.reference
         LEFT JOIN (SELECT reference, min(notice_id) AS success
                      FROM bank_notice WHERE programme_id = $1 AND status = 'success' GROUP BY reference) first
              USING (reference)
        WHERE n.programme_id = $1),
     moved AS (
       SELECT coalesce(sum(CASE 'fund' WHEN debit_account_id THEN amount_rupiah WHEN credit_account_id
                           THEN -amount_rupiah END), 0)::bigint AS books_rupiah,
              coalesce(sum(CASE 'clearing' WHEN credit_account_id THEN amount_rupiah WHEN debit_account_id
                           THEN -amount_rupiah END), 0)::bigint AS clearing_rupiah,
              count(*) FILTER (WHERE kind = 'fund' AND reason IS NOT NULL) AS deposits,
              coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'fund' AND reason IS NOT NULL), 0)::bigint
                AS funded_rupiah
         FROM transfer WHERE programme_id = $1),
     payable AS (
       SELECT coalesce(sum(CASE account_id WHEN credit_account_id THEN t.amount_rupiah ELSE -t.amount_rupiah END), 0)
                ::bigint AS payable_rupiah
         FROM account a
         JOIN transfer t ON t.programme_id = $1 AND a.account_id IN (t.debit_account_id, t.credit_account_id)
        WHERE a.programme_id = $1 AND a.kind = 'merchant' AND t.kind NOT IN ('hold', 'release'))
SELECT *,
       (SELECT count(*) FROM bank_statement_line WHERE programme_id = $1) AS lines,
       (SELECT closing_rupiah FROM bank_statement WHERE programme_id = $1 ORDER BY to_on DESC, read_at DESC LIMIT 1),
       (SELECT count(*) FROM reconciliation_exception WHERE programme_id = $1 AND closed_at IS NULL) AS exceptions
  FROM payment, notice, moved, payable
"""
