"""Of the money: where all of it is, and which way it may go."""

from typing import Final

from authz_service.ledger.invariants.given import Invariant, Reach

MONEY: Final = (
    Invariant(
        name="debits_equal_credits",
        sentence="What is at the bank equals what is unallocated and what families, shops, clearing and sponsor have.",
        query="""
SELECT format('fund %s, unallocated %s, families %s, shops %s, clearing %s, sponsor %s',
              fund, unallocated, families, shops, clearing, sponsor) AS what
  FROM (SELECT coalesce(-sum(rupiah) FILTER (WHERE kind = 'fund'), 0) AS fund,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'unallocated'), 0) AS unallocated,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'beneficiary'), 0) AS families,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'merchant'), 0) AS shops,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'clearing'), 0) AS clearing,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'sponsor'), 0) AS sponsor
          FROM balance) trial
 WHERE fund <> unallocated + families + shops + clearing + sponsor
""",
    ),
    Invariant(
        name="funded_is_accounted_for",
        sentence="All that was funded is unallocated, available, held, payable, in clearing, paid out or returned.",
        query="""
SELECT format('funded %s, unallocated %s, available %s, held %s, payable %s, in clearing %s, paid out %s, returned %s',
              funded, unallocated, available, held, payable, clearing, paid, returned) AS what
  FROM (SELECT coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'fund'), 0) AS funded,
               coalesce(sum(CASE kind WHEN 'payout_settled' THEN amount_rupiah ELSE -amount_rupiah END)
                        FILTER (WHERE kind = 'payout_settled' OR kind = 'return' AND debit_account_id = 'fund'), 0)
                 AS paid
          FROM transfer
         WHERE programme_id = $1 AND kind IN ('fund', 'payout_settled', 'return')) bank,
       (SELECT coalesce(sum(rupiah) FILTER (WHERE kind = 'unallocated'), 0) AS unallocated,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'merchant'), 0) AS payable,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'clearing'), 0) AS clearing,
               coalesce(sum(rupiah) FILTER (WHERE kind = 'sponsor'), 0) AS returned
          FROM balance) owed,
       (SELECT coalesce(sum(available_rupiah), 0) AS available, coalesce(sum(held_rupiah), 0) AS held
          FROM wallet
         WHERE programme_id = $1) wallets
 WHERE funded <> unallocated + available + held + payable + clearing + paid + returned
""",
    ),
    Invariant(
        name="granted_is_in_the_wallets",
        sentence="Grants less returned grants equal all wallets' available, held and spent: the control total.",
        query="""
SELECT format('granted %s, returned %s, in the wallets %s', granted, returned, in_wallets) AS what
  FROM (SELECT coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'grant'), 0) AS granted,
               coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'return'), 0) AS returned
          FROM transfer
         WHERE programme_id = $1 AND kind IN ('grant', 'return')
           AND (kind = 'grant' OR debit_account_id NOT IN (SELECT account_id FROM own_account))) grants,
       (SELECT coalesce(sum(available_rupiah + held_rupiah + spent_rupiah), 0) AS in_wallets
          FROM wallet
         WHERE programme_id = $1) wallets
 WHERE granted - returned <> in_wallets
""",
    ),
    Invariant(
        name="own_accounts_are_covered",
        reach=Reach.PROGRAMME,
        sentence="Fund, unallocated, clearing and sponsor never have less than nothing.",
        query="""
SELECT format('%s has %s', account_id, has) AS what
  FROM (SELECT account_id, CASE kind WHEN 'fund' THEN -rupiah ELSE rupiah END AS has
          FROM balance
         WHERE kind NOT IN ('beneficiary', 'merchant')) own
 WHERE has < 0
""",
    ),
    Invariant(
        name="own_accounts_are_there",
        sentence="The programme has one account each for fund, sponsor, unallocated and clearing, and no more.",
        query="""
SELECT format('%s %s', coalesce(own.account_id, a.account_id),
              CASE WHEN a.account_id IS NULL THEN 'is missing'
                   ELSE 'is there with the kind ' || a.kind END) AS what
  FROM own_account own
  FULL JOIN (SELECT account_id, kind FROM account
              WHERE programme_id = $1
                AND (kind NOT IN ('beneficiary', 'merchant') OR account_id IN (SELECT account_id FROM own_account))) a
       USING (account_id)
 WHERE own.account_id IS DISTINCT FROM a.kind OR a.account_id IS DISTINCT FROM a.kind
""",
    ),
    Invariant(
        name="transfers_go_the_right_way",
        sentence="A transfer debits and credits the kinds of account that its own kind is for.",
        query="""
SELECT format('%s: a %s from %s to %s', t.transfer_id, t.kind, debit.kind, credit.kind) AS what
  FROM transfer t
  JOIN account debit ON debit.programme_id = $1 AND debit.account_id = t.debit_account_id
  JOIN account credit ON credit.programme_id = $1 AND credit.account_id = t.credit_account_id
  LEFT JOIN direction d ON d.kind = t.kind AND d.debit_kind = debit.kind AND d.credit_kind = credit.kind
 WHERE t.programme_id = $1 AND d.kind IS NULL
""",
    ),
    Invariant(
        name="transfers_are_dated",
        sentence="A transfer says when it was recorded, and its business time is past.",
        query="""
SELECT format('%s: dated %s, recorded %s', transfer_id, created_at, coalesce(recorded_at::text, 'never')) AS what
  FROM transfer
 WHERE programme_id = $1 AND (recorded_at IS NULL OR created_at > $2)
""",
    ),
)
