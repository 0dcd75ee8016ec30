"""The queries of the sales reports, each with a name and a sentence.

Ids begin with their time, so a period is a range of a primary key and nothing before it is read; the instant itself
then decides. $1 programme, $2 from, $3 until, $4 and $5 the same as ids begin with them, $6 the programme's zone.
"""

from typing import Final

_MOVED: Final = """
-- Captures and refunds of the period, a row each; what a reversal undid is in a column of its own.
WITH moved AS (
       SELECT t.authorisation_id, t.created_at AT TIME ZONE $6::text AS at,
              CASE t.kind WHEN 'post' THEN t.credit_account_id ELSE t.debit_account_id END AS merchant_id,
              CASE t.kind WHEN 'post' THEN t.debit_account_id ELSE t.credit_account_id END AS beneficiary_id,
              t.amount_rupiah,
              CASE WHEN t.kind = 'post' THEN 'captured' WHEN t.cause = 'reverse' THEN 'reversed'
                   ELSE 'refunded' END AS what
         FROM transfer t
        WHERE t.programme_id = $1 AND t.kind IN ('post', 'refund')
          AND (t.transfer_id >= 'cap_' || $4 AND t.transfer_id < 'cap_' || $5
               OR t.transfer_id >= 'ref_' || $4 AND t.transfer_id < 'ref_' || $5)
          AND t.created_at >= $2 AND t.created_at < $3)"""

_FIGURES: Final = """
       coalesce(sum(captured_rupiah), 0)::bigint AS captured_rupiah,
       coalesce(sum(refunded_rupiah), 0)::bigint AS refunded_rupiah,
       coalesce(sum(reversed_rupiah), 0)::bigint AS reversed_rupiah,
       coalesce(sum(captured_rupiah) FILTER (WHERE reversed_rupiah = 0), 0)::bigint AS kept_rupiah,
       count(*) FILTER (WHERE captured_rupiah > 0 AND reversed_rupiah = 0) AS purchases,
       count(DISTINCT beneficiary_id) FILTER (WHERE captured_rupiah > 0 AND reversed_rupiah = 0) AS families"""

SALES: Final = f"""{_MOVED},
     purchase AS (
       SELECT authorisation_id, merchant_id, beneficiary_id,
              coalesce(sum(amount_rupiah) FILTER (WHERE what = 'captured'), 0) AS captured_rupiah,
              coalesce(sum(amount_rupiah) FILTER (WHERE what = 'refunded'), 0) AS refunded_rupiah,
              coalesce(sum(amount_rupiah) FILTER (WHERE what = 'reversed'), 0) AS reversed_rupiah
         FROM moved
        GROUP BY authorisation_id, merchant_id, beneficiary_id)
-- Of each shop, of each kecamatan that shops are in, and in all.
SELECT merchant_id, district_code,{_FIGURES}
  FROM purchase
  LEFT JOIN (SELECT merchant_id, district_code FROM merchant WHERE programme_id = $1) m USING (merchant_id)
 GROUP BY GROUPING SETS ((merchant_id), (district_code), ())
"""  # noqa: S608 - constants of this file

SPANS: Final = f"""{_MOVED},
     purchase AS (
       SELECT date_trunc($7, at) AS span, authorisation_id, beneficiary_id,
              coalesce(sum(amount_rupiah) FILTER (WHERE what = 'captured'), 0) AS captured_rupiah,
              coalesce(sum(amount_rupiah) FILTER (WHERE what = 'refunded'), 0) AS refunded_rupiah,
              coalesce(sum(amount_rupiah) FILTER (WHERE what = 'reversed'), 0) AS reversed_rupiah
         FROM moved
        GROUP BY 1, 2, 3)
-- Of each hour or day ($7) in which something moved, each as if it were a report of its own.
SELECT span,{_FIGURES}
  FROM purchase
 GROUP BY span
"""  # noqa: S608 - constants of this file

CATEGORIES: Final = f"""{_MOVED},
     undone AS (SELECT DISTINCT authorisation_id FROM moved WHERE what = 'reversed'),
     part AS (
       SELECT moved.authorisation_id, moved.beneficiary_id, line.category, moved.what,
              undone.authorisation_id IS NOT NULL AS is_undone,
              CASE moved.amount_rupiah
              WHEN a.approved_rupiah THEN line.rupiah
              ELSE div(moved.amount_rupiah * line.upto_rupiah, a.approved_rupiah)
                   - div(moved.amount_rupiah * (line.upto_rupiah - line.rupiah), a.approved_rupiah) END AS rupiah
         FROM moved
         JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = moved.authorisation_id
         LEFT JOIN undone ON undone.authorisation_id = moved.authorisation_id
        CROSS JOIN LATERAL (
              SELECT line ->> 0 AS category, (line ->> 2)::bigint AS rupiah,
                     sum((line ->> 2)::bigint) OVER (ORDER BY number) AS upto_rupiah
                FROM jsonb_array_elements(a.journal -> 'lines') WITH ORDINALITY listed(line, number)) line
        WHERE line.rupiah > 0)
-- Of each category its share of every capture and refund, in proportion to what was approved of each line; a share is
-- the difference of two sums that are rounded down, so the shares of a transfer are the transfer, to the rupiah.
SELECT category,
       coalesce(sum(rupiah) FILTER (WHERE what = 'captured'), 0)::bigint AS captured_rupiah,
       coalesce(sum(rupiah) FILTER (WHERE what = 'refunded'), 0)::bigint AS refunded_rupiah,
       coalesce(sum(rupiah) FILTER (WHERE what = 'reversed'), 0)::bigint AS reversed_rupiah,
       coalesce(sum(rupiah) FILTER (WHERE what = 'captured' AND NOT is_undone), 0)::bigint AS kept_rupiah,
       count(DISTINCT authorisation_id) FILTER (WHERE what = 'captured' AND NOT is_undone) AS purchases,
       count(DISTINCT beneficiary_id) FILTER (WHERE what = 'captured' AND NOT is_undone) AS families
  FROM part
 GROUP BY category
"""  # noqa: S608 - constants of this file

_DECIDED: Final = """
WITH decided AS (
       SELECT a.authorisation_id, a.created_at AT TIME ZONE $6::text AS at, a.merchant_id, a.reason, a.journal,
              a.amount_rupiah > a.approved_rupiah + a.reduction_rupiah AS is_cut
         FROM authorisation a
        WHERE a.programme_id = $1 AND a.authorisation_id >= 'auth_' || $4 AND a.authorisation_id < 'auth_' || $5
          AND a.created_at >= $2 AND a.created_at < $3)"""

DECISIONS: Final = f"""{_DECIDED}
-- How often each reason was given: by each shop, in each kecamatan that shops are in, and in all; and how many of the
-- approvals were of a part.
SELECT merchant_id, district_code, reason, count(*) AS decisions, count(*) FILTER (WHERE is_cut) AS cut
  FROM decided
  LEFT JOIN (SELECT merchant_id, district_code FROM merchant WHERE programme_id = $1) m USING (merchant_id)
 GROUP BY GROUPING SETS ((merchant_id, reason), (district_code, reason), (reason))
"""  # noqa: S608 - constants of this file

DECLINED_SPANS: Final = f"""{_DECIDED}
-- The same for each hour or day ($7).
SELECT date_trunc($7, at) AS span, reason, count(*) AS decisions
  FROM decided
 WHERE reason <> 'approved'
 GROUP BY 1, 2
"""  # noqa: S608 - constants of this file

DECLINED_CATEGORIES: Final = f"""{_DECIDED}
-- How many declined purchases had a line of the category; all that the programme does not sell is one, without a name.
SELECT coalesce(c.category, '') AS category, reason, count(DISTINCT authorisation_id) AS decisions
  FROM decided
 CROSS JOIN LATERAL jsonb_array_elements(journal -> 'lines') AS line
  LEFT JOIN category c ON c.programme_id = $1 AND c.category = line ->> 0
 WHERE reason <> 'approved'
 GROUP BY 1, 2
"""  # noqa: S608 - constants of this file
