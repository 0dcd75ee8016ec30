"""Of the journal: decisions, their answers and their keys."""

from typing import Final

from authz_service.ledger.invariants.given import Invariant, Reach

DECISIONS: Final = (
    Invariant(
        name="approvals_have_a_hold",
        sentence="Every approval has a hold of the same amount, shop, family and month; a decline has none.",
        query="""
SELECT format('%s: %s %s, %s, %s, %s; hold %s, %s, %s, %s', authorisation_id, coalesce(a.reason, 'no authorisation'),
              a.approved_rupiah, a.merchant_id, a.beneficiary_id, a.month,
              coalesce(h.approved_rupiah::text, 'missing'), h.merchant_id, h.beneficiary_id, h.month) AS what
  FROM (SELECT authorisation_id, reason, approved_rupiah, merchant_id, beneficiary_id, month
          FROM authorisation
         WHERE programme_id = $1) a
  FULL JOIN (SELECT authorisation_id, approved_rupiah, merchant_id, beneficiary_id, month
               FROM hold
              WHERE programme_id = $1) h USING (authorisation_id)
 WHERE (a.reason = 'approved') IS DISTINCT FROM (h.month IS NOT NULL)
    OR (a.reason = 'approved'
        AND (a.approved_rupiah <> h.approved_rupiah OR a.merchant_id <> h.merchant_id
             OR a.beneficiary_id IS DISTINCT FROM h.beneficiary_id OR a.month <> h.month))
""",
    ),
    Invariant(
        name="approvals_are_within_a_package",
        sentence="No purchase is approved for more than the package that its decision saw.",
        query="""
SELECT format('%s: approved %s, the package was %s', a.authorisation_id, a.approved_rupiah,
              a.journal #>> '{facts,package}') AS what
  FROM authorisation a
 WHERE a.programme_id = $1 AND a.approved_rupiah > (a.journal #>> '{facts,package}')::bigint
""",
    ),
    Invariant(
        name="approvals_are_within_the_programme",
        sentence="Nothing is approved before the start or from the end of the programme that its decision saw.",
        query="""
SELECT format('%s: %s, the programme: %s', a.authorisation_id, a.created_at, a.journal #>> '{facts,window}') AS what
  FROM authorisation a
 WHERE a.programme_id = $1 AND a.reason = 'approved'
   AND (a.created_at < (a.journal #>> '{facts,window,0}')::timestamptz
        OR a.created_at >= (a.journal #>> '{facts,window,1}')::timestamptz)
""",
    ),
    Invariant(
        name="decisions_are_of_their_month",
        sentence="An authorisation's month is the calendar month of its instant in the programme's zone.",
        query="""
SELECT format('%s: %s, month %s', a.authorisation_id, a.created_at, a.month) AS what
  FROM authorisation a
  JOIN programme p ON p.programme_id = $1
 WHERE a.programme_id = $1 AND a.month <> date_trunc('month', a.created_at AT TIME ZONE p.zone)::date
""",
    ),
    Invariant(
        name="decisions_are_past",
        sentence="No authorisation is dated in the future.",
        query="""
SELECT format('%s: %s', authorisation_id, created_at) AS what
  FROM authorisation
 WHERE programme_id = $1 AND created_at > $2
""",
    ),
    Invariant(
        name="decisions_have_their_key",
        reach=Reach.DECISION,
        sentence="Every authorisation has one request key: its terminal's, of the same instant, answered 201.",
        query="""
SELECT format('%s: %s of %s at %s; %s keys, of %s at %s', authorisation_id, a.reason, a.terminal_id, a.created_at,
              coalesce(k.keys, 0), k.principal_id, k.created_at) AS what
  FROM authorisation a
  LEFT JOIN (SELECT authorisation_id, count(*) AS keys, min(principal_id) AS principal_id, min(created_at) AS created_at
               FROM request_key
              WHERE programme_id = $1 AND status = 201 AND answer IS NULL
              GROUP BY authorisation_id) k USING (authorisation_id)
 WHERE a.programme_id = $1
   AND (coalesce(k.keys, 0) <> 1 OR k.principal_id <> a.terminal_id OR k.created_at <> a.created_at)
""",
    ),
    Invariant(
        name="decisions_agree_with_their_answer",
        sentence="The answer that a terminal got says what the authorisation's row says.",
        query="""
SELECT format('%s: %s, amount %s, approved %s, reduced by %s; the answer says %s: %s, %s, %s, %s, %s',
              a.authorisation_id, a.reason, a.amount_rupiah, a.approved_rupiah, a.reduction_rupiah,
              said ->> 'id', said ->> 'decision', said ->> 'reason', said ->> 'amount', said ->> 'approved_amount',
              said ->> 'price_reduction') AS what
  FROM authorisation a
 CROSS JOIN LATERAL (SELECT convert_from(a.answer, 'UTF8')::jsonb AS said OFFSET 0) answered
 WHERE a.programme_id = $1
   AND (said -> 'id' IS DISTINCT FROM to_jsonb(a.authorisation_id)
        OR said -> 'decision' IS DISTINCT FROM
           CASE a.reason WHEN 'approved' THEN '"approved"'::jsonb ELSE '"declined"' END
        OR said -> 'reason' IS DISTINCT FROM to_jsonb(a.reason)
        OR said -> 'amount' IS DISTINCT FROM to_jsonb(a.amount_rupiah)
        OR said -> 'approved_amount' IS DISTINCT FROM to_jsonb(a.approved_rupiah)
        OR said -> 'price_reduction' IS DISTINCT FROM to_jsonb(a.reduction_rupiah))
""",
    ),
    Invariant(
        name="decisions_have_their_parties",
        sentence="Every authorisation names a terminal and a shop that exist, every approval a card and a family, too.",
        query="""
SELECT format('%s: %s, terminal %s%s, shop %s%s, card %s%s, family %s%s', a.authorisation_id, a.reason,
              a.terminal_id, CASE WHEN t.terminal_id IS NULL THEN ' is missing' END,
              a.merchant_id, CASE WHEN m.merchant_id IS NULL THEN ' is missing' END,
              a.card_id, CASE WHEN c.card_id IS NULL THEN ' is missing' END,
              a.beneficiary_id, CASE WHEN b.beneficiary_id IS NULL THEN ' is missing' END) AS what
  FROM authorisation a
  LEFT JOIN terminal t ON t.programme_id = $1 AND t.terminal_id = a.terminal_id
  LEFT JOIN merchant m ON m.programme_id = $1 AND m.merchant_id = a.merchant_id
  LEFT JOIN card c ON c.programme_id = $1 AND c.card_id = a.card_id
  LEFT JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = a.beneficiary_id
 WHERE a.programme_id = $1
   AND (t.terminal_id IS NULL OR m.merchant_id IS NULL
        OR (c.card_id IS NULL AND (a.card_id IS NOT NULL OR a.reason = 'approved'))
        OR (b.beneficiary_id IS NULL AND (a.beneficiary_id IS NOT NULL OR a.reason = 'approved')))
""",
    ),
    Invariant(
        name="keys_have_their_authorisation",
        reach=Reach.DECISION,
        sentence="Every request key that names an authorisation names one that exists.",
        query="""
SELECT format('a key of %s at %s names %s', k.principal_id, k.created_at, k.authorisation_id) AS what
  FROM request_key k
 WHERE k.programme_id = $1 AND k.authorisation_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM authorisation a
                    WHERE a.programme_id = $1 AND a.authorisation_id = k.authorisation_id)
""",
    ),
)
