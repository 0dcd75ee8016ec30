"""What must be true of the books, each invariant once: a name, a sentence, and the query for the rows that break it.

A query gives one column, `what`: which row is wrong, by its id, and the figures that disagree; never a name or a number
of a person. `audit.py` puts GIVEN in front, counts, and shows the first. $1 is the programme, $2 the end of
the past. Each query reads its tables once and joins them by hash, so a million families cost minutes, not days.
"""

from dataclasses import dataclass
from typing import Any, Final

from authz_service.ledger.accounts import CLEARING, FUND, PROGRAMME_ACCOUNTS, SPONSOR, UNALLOCATED
from authz_service.ledger.postings import ACCOUNT_KINDS, EFFECT_ON_WALLET
from authz_service.vocabulary import TransferKind

FAMILY: Final = "beneficiary"
SHOP: Final = "merchant"

DIRECTIONS: Final[tuple[tuple[TransferKind, str, str], ...]] = (
    (TransferKind.FUND, FUND, UNALLOCATED),
    (TransferKind.GRANT, UNALLOCATED, FAMILY),
    (TransferKind.HOLD, FAMILY, SHOP),
    (TransferKind.POST, FAMILY, SHOP),
    (TransferKind.RELEASE, FAMILY, SHOP),
    (TransferKind.REFUND, SHOP, FAMILY),
    (TransferKind.PAYOUT, SHOP, CLEARING),
    (TransferKind.PAYOUT_SETTLED, CLEARING, FUND),
    (TransferKind.PAYOUT_FAILED, CLEARING, SHOP),
    (TransferKind.RETURN, FAMILY, UNALLOCATED),
    (TransferKind.RETURN, UNALLOCATED, SPONSOR),
)
"""Kind → the kinds of account that it may debit and credit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """`query` gives `what` of every row that makes `sentence` false."""

    name: str
    sentence: str
    query: str


GIVEN: Final = """
WITH effect AS (       -- how often a transfer's amount counts in the wallet of the family on that side
       SELECT * FROM unnest($3::text[], $4::text[], $5::int[], $6::int[], $7::int[])
              AS effect(kind, side, available, held, spent)),
     direction AS (
       SELECT * FROM unnest($8::text[], $9::text[], $10::text[]) AS direction(kind, debit_kind, credit_kind)),
     own_account AS (
       SELECT * FROM unnest($11::text[]) AS own_account(account_id)),
     balance AS (      -- credits less debits of every account that money has moved on
       SELECT a.account_id, a.kind, moved.rupiah
         FROM account a
         JOIN (SELECT side.account_id, sum(side.rupiah) AS rupiah
                 FROM transfer t
                CROSS JOIN LATERAL (VALUES (t.debit_account_id, -t.amount_rupiah),
                                           (t.credit_account_id, t.amount_rupiah)) AS side(account_id, rupiah)
                WHERE t.programme_id = $1 AND t.kind = ANY ($12::text[])
                GROUP BY side.account_id) moved USING (account_id)
        WHERE a.programme_id = $1),
     checked AS (
       SELECT $1::text AS programme_id, $2::timestamptz AS now),
"""
"""The small tables and the one sum that several queries use; what a query does not name is not computed."""


def given_arguments() -> list[Any]:
    """$3 to $12 of GIVEN, from the tables that the books themselves are kept by."""
    sides = {kind: "debit" if debit_kind == FAMILY else "credit" for kind, debit_kind, _ in reversed(DIRECTIONS)}
    effects = [(kind, sides[kind], *counts) for kind, counts in EFFECT_ON_WALLET.items()]
    return [*map(list, zip(*effects, strict=True)), *map(list, zip(*DIRECTIONS, strict=True)),
            list(PROGRAMME_ACCOUNTS), sorted(ACCOUNT_KINDS)]  # fmt: skip


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
               coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'payout_settled'), 0) AS paid
          FROM transfer
         WHERE programme_id = $1 AND kind IN ('fund', 'payout_settled')) bank,
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

FAMILIES: Final = (
    Invariant(
        name="families_have_a_wallet_and_an_account",
        sentence="Every family has one wallet and one account, and none of these is without the others.",
        query="""
SELECT format('%s has only %s', id, string_agg(part, ' and ' ORDER BY part)) AS what
  FROM (SELECT beneficiary_id AS id, 'a place on the roll' AS part FROM beneficiary WHERE programme_id = $1
         UNION ALL
        SELECT beneficiary_id, 'a wallet' FROM wallet WHERE programme_id = $1
         UNION ALL
        SELECT account_id, 'an account' FROM account WHERE programme_id = $1 AND kind = 'beneficiary') parts
 GROUP BY id
HAVING count(*) <> 3
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
SELECT format('%s is to be %s from %s on', beneficiary_id, next_status, next_status_at) AS what
  FROM beneficiary
 WHERE programme_id = $1 AND status = 'removed' AND next_status IS NOT NULL
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
   AND ((b.status <> 'removed' AND b.next_status IS DISTINCT FROM 'removed')
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

MONTHS: Final = (
    Invariant(
        name="months_with_purchases_have_an_allowance",
        sentence="Every month in which a family bought something has its allowance.",
        query="""
SELECT format('%s %s: %s purchases', h.beneficiary_id, h.month, count(*)) AS what
  FROM hold h
 WHERE h.programme_id = $1
   AND NOT EXISTS (SELECT FROM allowance l
                    WHERE l.programme_id = $1 AND l.beneficiary_id = h.beneficiary_id AND l.month = h.month)
 GROUP BY h.beneficiary_id, h.month
""",
    ),
    Invariant(
        name="allowances_equal_their_purchases",
        sentence="A month's used rupiah and packages are what its purchases hold, or captured and did not refund.",
        query="""
SELECT format('%s %s: used %s and %s packages; its purchases use %s and %s', l.beneficiary_id, l.month, l.used_rupiah,
              l.packages_used, coalesce(h.used, 0), coalesce(h.packages, 0)) AS what
  FROM allowance l
  LEFT JOIN (SELECT beneficiary_id, month, sum(held_rupiah + captured_rupiah - refunded_rupiah) AS used,
                    sum(packages) AS packages
               FROM hold
              WHERE programme_id = $1
              GROUP BY beneficiary_id, month) h USING (beneficiary_id, month)
 WHERE l.programme_id = $1
   AND (l.used_rupiah <> coalesce(h.used, 0) OR l.packages_used <> coalesce(h.packages, 0))
""",
    ),
    Invariant(
        name="allowances_equal_what_vouchers_cover",
        sentence="A month's covered rupiah and packages are those that vouchers cover of its purchases.",
        query="""
SELECT format('%s %s: covered %s and %s packages; vouchers cover %s and %s', l.beneficiary_id, l.month,
              l.covered_rupiah, l.covered_packages, coalesce(u.covered, 0), coalesce(u.packages, 0)) AS what
  FROM allowance l
  LEFT JOIN (SELECT h.beneficiary_id, h.month, sum(u.used_rupiah) AS covered, sum(u.packages_used) AS packages
               FROM voucher_movement u
               JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = u.authorisation_id
              WHERE u.programme_id = $1
              GROUP BY h.beneficiary_id, h.month) u USING (beneficiary_id, month)
 WHERE l.programme_id = $1
   AND (l.covered_rupiah <> coalesce(u.covered, 0) OR l.covered_packages <> coalesce(u.packages, 0))
""",
    ),
    Invariant(
        name="months_stay_within_their_caps",
        sentence="A month uses no more than its caps of rupiah and packages and what vouchers cover.",
        query="""
SELECT format('%s %s: used %s of %s, covered %s; %s packages of %s, covered %s', beneficiary_id, month, used_rupiah,
              cap_rupiah, covered_rupiah, packages_used, packages_cap, covered_packages) AS what
  FROM allowance
 WHERE programme_id = $1
   AND (used_rupiah > cap_rupiah + covered_rupiah OR packages_used > packages_cap + covered_packages)
""",
    ),
    Invariant(
        name="allowances_have_a_family",
        sentence="Every allowance is of a family of the programme.",
        query="""
SELECT format('%s %s', l.beneficiary_id, l.month) AS what
  FROM allowance l
 WHERE l.programme_id = $1
   AND NOT EXISTS (SELECT FROM beneficiary b WHERE b.programme_id = $1 AND b.beneficiary_id = l.beneficiary_id)
""",
    ),
    Invariant(
        name="vouchers_equal_their_uses",
        sentence="A voucher's used rupiah and packages are those that it covers of purchases.",
        query="""
SELECT format('%s: used %s and %s packages; its uses make %s and %s', v.voucher_id, v.used_rupiah, v.packages_used,
              coalesce(u.used, 0), coalesce(u.packages, 0)) AS what
  FROM voucher v
  LEFT JOIN (SELECT voucher_id, sum(used_rupiah) AS used, sum(packages_used) AS packages
               FROM voucher_movement
              WHERE programme_id = $1
              GROUP BY voucher_id) u USING (voucher_id)
 WHERE v.programme_id = $1
   AND (v.used_rupiah <> coalesce(u.used, 0) OR v.packages_used <> coalesce(u.packages, 0))
""",
    ),
    Invariant(
        name="vouchers_are_never_exceeded",
        sentence="What a voucher covers is never more than it gives.",
        query="""
SELECT format('%s: gives %s and %s packages, covers %s and %s', v.voucher_id, v.extra_rupiah, v.extra_packages,
              u.used, u.packages) AS what
  FROM voucher v
  JOIN (SELECT voucher_id, sum(used_rupiah) AS used, sum(packages_used) AS packages
          FROM voucher_movement
         WHERE programme_id = $1
         GROUP BY voucher_id) u USING (voucher_id)
 WHERE v.programme_id = $1 AND (u.used > v.extra_rupiah OR u.packages > v.extra_packages)
""",
    ),
    Invariant(
        name="vouchers_serve_their_own_month",
        sentence="A voucher covers only purchases of its own family and month.",
        query="""
SELECT format('%s is for %s %s and covers %s of %s %s', v.voucher_id, v.beneficiary_id, v.month, h.authorisation_id,
              h.beneficiary_id, h.month) AS what
  FROM voucher_movement u
  JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = u.voucher_id
  JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = u.authorisation_id
 WHERE u.programme_id = $1 AND (v.beneficiary_id <> h.beneficiary_id OR v.month <> h.month)
""",
    ),
    Invariant(
        name="vouchers_cover_no_more_than_was_bought",
        sentence="Vouchers cover no more of a purchase than is held, or captured and not refunded.",
        query="""
SELECT format('%s: held and bought %s, covered %s', h.authorisation_id,
              h.held_rupiah + h.captured_rupiah - h.refunded_rupiah, u.covered) AS what
  FROM hold h
  JOIN (SELECT authorisation_id, sum(used_rupiah) AS covered
          FROM voucher_movement
         WHERE programme_id = $1
         GROUP BY authorisation_id) u USING (authorisation_id)
 WHERE h.programme_id = $1 AND u.covered > h.held_rupiah + h.captured_rupiah - h.refunded_rupiah
""",
    ),
    Invariant(
        name="vouchers_get_back_no_more_than_they_gave",
        sentence="A voucher never gets back more of a purchase than it gave to it.",
        query="""
SELECT format('%s of %s: %s and %s packages', authorisation_id, voucher_id, sum(used_rupiah),
              sum(packages_used)) AS what
  FROM voucher_movement
 WHERE programme_id = $1
 GROUP BY authorisation_id, voucher_id
HAVING sum(used_rupiah) < 0 OR sum(packages_used) < 0
""",
    ),
    Invariant(
        name="vouchers_cover_nothing_before_they_are_approved",
        sentence="A voucher covers nothing before it is approved.",
        query="""
SELECT format('%s: %s, approved %s', m.transfer_id, t.created_at, coalesce(v.approved_at::text, 'never')) AS what
  FROM voucher_movement m
  JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = m.voucher_id
  JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = m.transfer_id
 WHERE m.programme_id = $1 AND (v.approved_at IS NULL OR v.approved_at > t.created_at)
""",
    ),
    Invariant(
        name="voucher_movements_have_their_transfer_and_voucher",
        sentence="Whatever is taken from a voucher, or goes back to it, does so by a transfer of that purchase.",
        query="""
SELECT format('voucher %s%s, transfer %s of %s%s', m.voucher_id, CASE WHEN v.voucher_id IS NULL THEN ' is missing' END,
              m.transfer_id, m.authorisation_id, CASE WHEN t.transfer_id IS NULL THEN ' is missing' END) AS what
  FROM voucher_movement m
  LEFT JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = m.voucher_id
  LEFT JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = m.transfer_id
                      AND t.authorisation_id = m.authorisation_id
 WHERE m.programme_id = $1 AND (v.voucher_id IS NULL OR t.transfer_id IS NULL)
""",
    ),
    Invariant(
        name="vouchers_have_a_family_and_a_companion",
        sentence="Every voucher is of a companion for a family of the programme.",
        query="""
SELECT format('%s: family %s%s, companion %s%s', v.voucher_id,
              v.beneficiary_id, CASE WHEN b.beneficiary_id IS NULL THEN ' is missing' END,
              v.companion_id, CASE WHEN c.companion_id IS NULL THEN ' is missing' END) AS what
  FROM voucher v
  LEFT JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = v.beneficiary_id
  LEFT JOIN companion c ON c.programme_id = $1 AND c.companion_id = v.companion_id
 WHERE v.programme_id = $1 AND (b.beneficiary_id IS NULL OR c.companion_id IS NULL)
""",
    ),
)

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

THE_END: Final = (
    Invariant(
        name="closed_programmes_are_empty",
        sentence="A closed programme has nothing available, held, unallocated or in clearing, and owes no shop.",
        query="""
SELECT format('%s still has %s', left_in.place, left_in.rupiah) AS what
  FROM programme p
  JOIN (SELECT programme_id, beneficiary_id AS place, available_rupiah + held_rupiah AS rupiah
          FROM wallet
         WHERE programme_id = $1
         UNION ALL
        SELECT $1, account_id, rupiah
          FROM balance
         WHERE kind IN ('unallocated', 'clearing') OR (kind = 'merchant' AND rupiah > 0)) left_in USING (programme_id)
 WHERE p.programme_id = $1 AND p.closed_at IS NOT NULL AND left_in.rupiah <> 0
""",
    ),
    Invariant(
        name="nothing_moves_after_the_close",
        sentence="No transfer of a closed programme is dated after its close.",
        query="""
SELECT format('%s: a %s dated %s, closed %s', t.transfer_id, t.kind, t.created_at, p.closed_at) AS what
  FROM transfer t
  JOIN programme p USING (programme_id)
 WHERE t.programme_id = $1 AND t.created_at > p.closed_at
""",
    ),
)

INVARIANTS: Final = (*MONEY, *FAMILIES, *HOLDS, *MONTHS, *DECISIONS, *THE_END)
