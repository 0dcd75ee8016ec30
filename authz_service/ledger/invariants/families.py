"""Of families: their wallets, grants, cards and changes."""

from typing import Final

from authz_service.ledger.invariants.given import Invariant

FAMILIES: Final = (
    Invariant(
        name="families_have_a_wallet_and_an_account",
        sentence="Every family has one wallet and one account, and none of these is without the others.",
        query="""
SELECT format('%s has only %s', id,
              concat_ws(' and ', CASE WHEN has_account THEN 'an account' END,
                        CASE WHEN has_place THEN 'a place on the roll' END,
                        CASE WHEN has_wallet THEN 'a wallet' END)) AS what
  FROM (SELECT id, count(*) AS parts, bool_or(part = 'account') AS has_account, bool_or(part = 'place') AS has_place,
               bool_or(part = 'wallet') AS has_wallet
          FROM (SELECT beneficiary_id AS id, 'place' AS part FROM beneficiary WHERE programme_id = $1
                 UNION ALL
                SELECT beneficiary_id, 'wallet' FROM wallet WHERE programme_id = $1
                 UNION ALL
                SELECT account_id, 'account' FROM account WHERE programme_id = $1 AND kind = 'beneficiary') found
         GROUP BY id) family
 WHERE parts <> 3
""",
    ),
    Invariant(
        name="shops_have_an_account",
        sentence="Every shop has an account, and no shop's account is without its shop.",
        query="""
SELECT format('%s has only %s', id, string_agg(part, ' and ' ORDER BY part)) AS what
  FROM (SELECT merchant_id AS id, 'a place among the shops' AS part FROM merchant WHERE programme_id = $1
         UNION ALL
        SELECT account_id, 'an account' FROM account WHERE programme_id = $1 AND kind = 'merchant') parts
 GROUP BY id
HAVING count(*) <> 2
""",
    ),
    Invariant(
        name="wallets_equal_their_transfers",
        sentence="A wallet has what the family's transfers make: available, held and spent.",
        query="""
SELECT format('%s: available %s, held %s, spent %s; its transfers make %s, %s, %s', w.beneficiary_id,
              w.available_rupiah, w.held_rupiah, w.spent_rupiah,
              coalesce(fold.available, 0), coalesce(fold.held, 0), coalesce(fold.spent, 0)) AS what
  FROM wallet w
  LEFT JOIN (SELECT CASE e.side WHEN 'debit' THEN t.debit_account_id ELSE t.credit_account_id END AS beneficiary_id,
                    sum(t.amount_rupiah * e.available) AS available, sum(t.amount_rupiah * e.held) AS held,
                    sum(t.amount_rupiah * e.spent) AS spent
               FROM transfer t
               JOIN effect e USING (kind)
              WHERE t.programme_id = $1
              GROUP BY 1) fold USING (beneficiary_id)
 WHERE w.programme_id = $1
   AND (w.available_rupiah <> coalesce(fold.available, 0) OR w.held_rupiah <> coalesce(fold.held, 0)
        OR w.spent_rupiah <> coalesce(fold.spent, 0))
""",
    ),
    Invariant(
        name="wallets_equal_their_holds",
        sentence="A wallet's held is what its holds hold, and its spent what they captured and did not refund.",
        query="""
SELECT format('%s: held %s, spent %s; its holds make %s, %s', w.beneficiary_id, w.held_rupiah, w.spent_rupiah,
              coalesce(h.held, 0), coalesce(h.spent, 0)) AS what
  FROM wallet w
  LEFT JOIN (SELECT beneficiary_id, sum(held_rupiah) AS held, sum(captured_rupiah - refunded_rupiah) AS spent
               FROM hold
              WHERE programme_id = $1
              GROUP BY beneficiary_id) h USING (beneficiary_id)
 WHERE w.programme_id = $1
   AND (w.held_rupiah <> coalesce(h.held, 0) OR w.spent_rupiah <> coalesce(h.spent, 0))
""",
    ),
    Invariant(
        name="families_stay_within_their_grants",
        sentence="What a family holds and has spent is never above its grants less what it returned.",
        query="""
SELECT format('%s: holds and has spent %s, was granted %s', h.beneficiary_id, h.used, coalesce(g.granted, 0)) AS what
  FROM (SELECT beneficiary_id, sum(held_rupiah + captured_rupiah - refunded_rupiah) AS used
          FROM hold
         WHERE programme_id = $1
         GROUP BY beneficiary_id) h
  LEFT JOIN (SELECT CASE kind WHEN 'grant' THEN credit_account_id ELSE debit_account_id END AS beneficiary_id,
                    sum(CASE kind WHEN 'grant' THEN amount_rupiah ELSE -amount_rupiah END) AS granted
               FROM transfer
              WHERE programme_id = $1 AND kind IN ('grant', 'return')
              GROUP BY 1) g USING (beneficiary_id)
 WHERE h.used > coalesce(g.granted, 0)
""",
    ),
    Invariant(
        name="families_have_a_companion_and_a_district",
        sentence="Every family has a companion and a district of the programme.",
        query="""
SELECT format('%s: companion %s%s, district %s%s', b.beneficiary_id,
              b.companion_id, CASE WHEN c.companion_id IS NULL THEN ' is missing' END,
              b.district_code, CASE WHEN d.district_code IS NULL THEN ' is missing' END) AS what
  FROM beneficiary b
  LEFT JOIN companion c ON c.programme_id = $1 AND c.companion_id = b.companion_id
  LEFT JOIN district d ON d.programme_id = $1 AND d.district_code = b.district_code
 WHERE b.programme_id = $1 AND (c.companion_id IS NULL OR d.district_code IS NULL)
""",
    ),
    Invariant(
        name="cards_have_a_family",
        sentence="Every card belongs to a family of the programme.",
        query="""
SELECT format('%s: %s is missing', c.card_id, c.beneficiary_id) AS what
  FROM card c
 WHERE c.programme_id = $1
   AND NOT EXISTS (SELECT FROM beneficiary b WHERE b.programme_id = $1 AND b.beneficiary_id = c.beneficiary_id)
""",
    ),
    Invariant(
        name="families_have_one_grant",
        sentence="Every family was granted its money once; a late entrant got what its entry says.",
        query="""
SELECT format('%s: %s grants of %s, its entry says %s', b.beneficiary_id, coalesce(g.grants, 0),
              coalesce(g.granted, 0), coalesce(c.granted::text, 'nothing')) AS what
  FROM beneficiary b
  LEFT JOIN (SELECT credit_account_id AS beneficiary_id, count(*) AS grants, sum(amount_rupiah) AS granted
               FROM transfer
              WHERE programme_id = $1 AND kind = 'grant'
              GROUP BY credit_account_id) g USING (beneficiary_id)
  LEFT JOIN (SELECT beneficiary_id, (detail ->> 'granted_rupiah')::bigint AS granted
               FROM family_change
              WHERE programme_id = $1 AND kind = 'enter') c USING (beneficiary_id)
 WHERE b.programme_id = $1 AND (coalesce(g.grants, 0) <> 1 OR g.granted <> c.granted)
""",
    ),
    Invariant(
        name="removed_families_keep_nothing",
        sentence="A removed family that holds nothing has nothing available.",
        query="""
SELECT format('%s: available %s', b.beneficiary_id, w.available_rupiah) AS what
  FROM beneficiary b
  JOIN wallet w ON w.programme_id = $1 AND w.beneficiary_id = b.beneficiary_id
 WHERE b.programme_id = $1 AND b.status = 'removed' AND w.held_rupiah = 0 AND w.available_rupiah > 0
""",
    ),
    Invariant(
        name="removals_are_final",
        sentence="No change waits for a removed family.",
        query="""
SELECT format('%s is to be %s from %s on', beneficiary_id, coalesce(next_status, 'removed'),
              coalesce(next_status_at, leaves_at)) AS what
  FROM beneficiary
 WHERE programme_id = $1 AND status = 'removed' AND (next_status IS NOT NULL OR leaves_at IS NOT NULL)
""",
    ),
    Invariant(
        name="merged_families_are_removed_and_survived",
        sentence="A merged family is removed, or is on its day; its survivor is on the roll and is merged into nobody.",
        query="""
SELECT format('%s is %s, merged into %s%s', b.beneficiary_id, b.status, b.merged_into,
              CASE WHEN s.beneficiary_id IS NULL THEN ' (missing)'
                   WHEN s.merged_into IS NOT NULL THEN ', and that into ' || s.merged_into END) AS what
  FROM beneficiary b
  LEFT JOIN beneficiary s ON s.programme_id = $1 AND s.beneficiary_id = b.merged_into
 WHERE b.programme_id = $1 AND b.merged_into IS NOT NULL
   AND ((b.status <> 'removed' AND b.next_status IS DISTINCT FROM 'removed' AND b.leaves_at IS NULL)
        OR s.beneficiary_id IS NULL OR s.merged_into IS NOT NULL)
""",
    ),
    Invariant(
        name="changes_have_a_family",
        sentence="Every change of the roll is of a family that is on it, and was recorded in the past.",
        query="""
SELECT format('%s: %s of %s%s, recorded %s', c.change_id, c.kind, c.beneficiary_id,
              CASE WHEN b.beneficiary_id IS NULL THEN ' (missing)' END, c.recorded_at) AS what
  FROM family_change c
  LEFT JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = c.beneficiary_id
 WHERE c.programme_id = $1 AND (b.beneficiary_id IS NULL OR c.recorded_at > $2)
""",
    ),
)
