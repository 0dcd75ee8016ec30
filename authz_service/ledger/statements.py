"""The hot statements, each with a name and a sentence.

Arrays are looked up as `unnest … LEFT JOIN LATERAL (… LIMIT 1)`, and the UPDATEs repeat `= ANY(ids)`: otherwise a
generic plan that was made while the tables were empty reads a whole programme. What is sent are arrays of rows, with
types of their own: of arrays of columns there were seventy, and the driver and PostgreSQL took longer for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

FACTS: Final = """
-- One snapshot of everything that the rules of a whole batch read; takes no lock.
-- $1 programme, $2 what is asked, $3 month, $4 expired by
SELECT asked.place,
       clock_timestamp() AS database_now,
       (SELECT version FROM reference WHERE programme_id = $1) AS reference_version,
       known.fingerprint AS known_fingerprint, known.status AS known_status, known.answer AS known_answer,
       known.reversal_answer AS known_reversal_answer, known.is_a_tombstone AS known_is_a_tombstone,
       twin.key_digest AS twin_key_digest, twin.authorisation_id AS twin_authorisation_id,
       twin.reversal_answer AS twin_reversal_answer, twin.is_authorise AS twin_is_authorise,
       target.merchant_id AS target_merchant_id, target.answer AS target_answer,
       target.captured_at_once AS target_captured_at_once, settled.transfer_id IS NOT NULL AS target_is_in_a_batch,
       target_hold.authorisation_id AS hold_authorisation_id, target_hold.merchant_id AS hold_merchant_id,
       target_hold.month AS hold_month, target_hold.status AS hold_status,
       target_hold.approved_rupiah, target_hold.held_rupiah, target_hold.captured_rupiah, target_hold.refunded_rupiah,
       target_hold.packages AS hold_packages, target_hold.expires_at AS hold_expires_at,
       card.card_id, card.status AS card_status, card.expires_on AS card_expires_on,
       family.beneficiary_id, family.status AS beneficiary_status, family.companion_id,
       family.next_status, family.next_status_at, family.leaves_at,
       wallet.version AS wallet_version, wallet.available_rupiah, wallet.held_rupiah AS wallet_held_rupiah,
       allowance.month AS allowance_month, allowance.cap_rupiah, allowance.packages_cap, allowance.used_rupiah,
       allowance.packages_used, allowance.covered_rupiah, allowance.covered_packages,
       (SELECT json_agg(json_build_array(v.voucher_id, v.extra_rupiah - v.used_rupiah, v.extra_packages - v.packages_used,
                                         v.expires_at) ORDER BY v.expires_at, v.voucher_id)::text
          FROM voucher v
         WHERE v.programme_id = $1 AND v.beneficiary_id = family.beneficiary_id AND v.month = $3
           AND v.approved_at IS NOT NULL AND v.revoked_at IS NULL) AS vouchers,
       (SELECT json_agg(json_build_array(h.authorisation_id, h.merchant_id, h.month, h.status, h.approved_rupiah,
                                         h.held_rupiah, h.captured_rupiah, h.refunded_rupiah, h.packages, h.expires_at)
                        ORDER BY h.expires_at, h.authorisation_id)::text
          FROM hold h
         WHERE h.programme_id = $1 AND h.beneficiary_id = family.beneficiary_id
           AND h.held_rupiah > 0 AND h.expires_at <= $4) AS expired,
       (SELECT json_agg(json_build_array(m.authorisation_id, m.voucher_id, m.used_rupiah, m.packages_used,
                                         v.expires_at))::text
          FROM voucher v
          JOIN voucher_movement m ON m.programme_id = $1 AND m.voucher_id = v.voucher_id
          JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = m.authorisation_id
         WHERE v.programme_id = $1 AND v.beneficiary_id = family.beneficiary_id
           AND (h.held_rupiah > 0 OR h.authorisation_id = target_hold.authorisation_id)) AS voucher_movements
  FROM unnest($2::asked_facts[]) AS asked
  LEFT JOIN LATERAL (
       SELECT k.fingerprint, k.status, coalesce(k.answer, a.answer) AS answer, k.reversal_answer,
              k.fingerprint = '' AND k.stan IS NULL AS is_a_tombstone
         FROM request_key k
         LEFT JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = k.authorisation_id
        WHERE k.programme_id = $1 AND k.principal_id = asked.principal_id AND k.key_digest = asked.key_digest
        LIMIT 1) known ON true
  LEFT JOIN LATERAL (
       SELECT k.key_digest, k.authorisation_id, k.reversal_answer, k.answer IS NULL AS is_authorise
         FROM request_key k
        WHERE k.programme_id = $1 AND k.principal_id = asked.principal_id AND k.stan = asked.stan
          AND k.terminal_time = asked.terminal_time
        UNION ALL
       SELECT k.key_digest, k.authorisation_id, k.reversal_answer, k.answer IS NULL AS is_authorise
         FROM request_key k
        WHERE k.programme_id = $1 AND k.principal_id = asked.principal_id AND k.key_digest = asked.original_digest
        LIMIT 1) twin ON true
  LEFT JOIN LATERAL (
       SELECT a.merchant_id, a.answer, (a.journal #>> '{asked,capture}')::boolean AS captured_at_once
         FROM authorisation a
        WHERE a.programme_id = $1 AND a.authorisation_id = coalesce(asked.authorisation_id, twin.authorisation_id)
        LIMIT 1) target ON true
  LEFT JOIN LATERAL (
       SELECT h.* FROM hold h
        WHERE h.programme_id = $1 AND h.authorisation_id = coalesce(asked.authorisation_id, twin.authorisation_id)
        LIMIT 1) target_hold ON true
  LEFT JOIN LATERAL (  -- only of what a reversal names: for all else the id is NULL and nothing is looked for
       SELECT i.transfer_id
         FROM transfer t
        CROSS JOIN LATERAL (SELECT i.transfer_id FROM settlement_item i
                             WHERE i.programme_id = $1 AND i.transfer_id = t.transfer_id LIMIT 1) i
        WHERE t.programme_id = $1 AND t.kind = 'post'
          AND t.authorisation_id = CASE WHEN asked.original_digest IS NOT NULL THEN twin.authorisation_id END
        LIMIT 1) settled ON true
  LEFT JOIN LATERAL (
       SELECT c.card_id, c.status, c.expires_on, c.beneficiary_id FROM card c
        WHERE c.programme_id = $1 AND c.card_digest = asked.card_digest LIMIT 1) card ON true
  LEFT JOIN LATERAL (
       SELECT b.beneficiary_id, b.status, b.companion_id, b.next_status, b.next_status_at, b.leaves_at FROM beneficiary b
        WHERE b.programme_id = $1 AND b.beneficiary_id = coalesce(card.beneficiary_id, target_hold.beneficiary_id)
        LIMIT 1) family ON true
  LEFT JOIN LATERAL (
       SELECT w.version, w.available_rupiah, w.held_rupiah FROM wallet w
        WHERE w.programme_id = $1 AND w.beneficiary_id = family.beneficiary_id LIMIT 1) wallet ON true
  LEFT JOIN LATERAL (
       SELECT l.* FROM allowance l
        WHERE l.programme_id = $1 AND l.beneficiary_id = family.beneficiary_id AND l.month = $3 LIMIT 1) allowance ON true
"""

_RECORD: Final = """
-- Writes a batch for the families that nobody has touched since their facts were read, and names them.
-- The empty beneficiary stands for answers that concern no family. Wallets are locked in the order of their ids.
-- A row of a growing table is written only with its family; a stale or locked family writes nothing at all.
-- $1 programme, $2 version of its reference data, $3 the batch's instant, $4 its month, $5 the families' ids, $6 what was
-- seen of them; then the rows of each part
WITH seen AS (
       SELECT * FROM unnest($6::record_seen[]) AS seen),
     locked AS MATERIALIZED (
       SELECT w.beneficiary_id
         FROM wallet w JOIN seen USING (beneficiary_id)
        WHERE w.programme_id = $1 AND w.beneficiary_id = ANY ($5) AND w.version = seen.version
          AND (SELECT version FROM reference WHERE programme_id = $1) = $2
        ORDER BY w.beneficiary_id
          FOR UPDATE OF w SKIP LOCKED),
     still AS MATERIALIZED (
       SELECT beneficiary_id FROM locked
        UNION ALL
       SELECT '' FROM reference WHERE programme_id = $1 AND version = $2),
     typed AS (        -- never run: a part may have no use for one of them
       SELECT $3::timestamptz, $4::date),
     wallets AS (
       UPDATE wallet w
          SET version = w.version + 1, available_rupiah = w.available_rupiah + seen.available_rupiah,
              held_rupiah = w.held_rupiah + seen.held_rupiah, spent_rupiah = w.spent_rupiah + seen.spent_rupiah
         FROM seen JOIN still USING (beneficiary_id)
        WHERE w.programme_id = $1 AND w.beneficiary_id = seen.beneficiary_id AND w.beneficiary_id = ANY ($5)
          AND seen.changes){parts}
SELECT beneficiary_id FROM still
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the record statement does with the rows of one kind: `{rows}` is the table that they make, called r, with the
    columns of the type `record_<kind>`."""

    query: str
    looked_up: tuple[int, ...] = ()
    """The places of the columns that it needs as arrays too: `{first}` and `{second}`."""


SEEN: Final = "seen"
PARTS: Final[Mapping[str, Part]] = {
    "allowances_used": Part(
        query="""
       INSERT INTO allowance AS l (programme_id, beneficiary_id, month, cap_rupiah, packages_cap, used_rupiah,
                                   packages_used, covered_rupiah, covered_packages)
       SELECT $1, r.*
         FROM {rows} JOIN still USING (beneficiary_id)
           ON CONFLICT (programme_id, beneficiary_id, month) DO UPDATE
          SET used_rupiah = l.used_rupiah + excluded.used_rupiah,
              packages_used = l.packages_used + excluded.packages_used,
              covered_rupiah = l.covered_rupiah + excluded.covered_rupiah,
              covered_packages = l.covered_packages + excluded.covered_packages""",
    ),
    "allowances_returned": Part(
        query="""
       UPDATE allowance l
          SET used_rupiah = l.used_rupiah + r.used_rupiah, packages_used = l.packages_used + r.packages_used,
              covered_rupiah = l.covered_rupiah + r.covered_rupiah,
              covered_packages = l.covered_packages + r.covered_packages
         FROM {rows} JOIN still USING (beneficiary_id)
        WHERE l.programme_id = $1 AND l.beneficiary_id = r.beneficiary_id AND l.beneficiary_id = ANY ($5)
          AND l.month = r.month""",
    ),
    "vouchers": Part(
        query="""
       UPDATE voucher v
          SET used_rupiah = v.used_rupiah + r.used_rupiah, packages_used = v.packages_used + r.packages_used
         FROM {rows} JOIN still USING (beneficiary_id)
        WHERE v.programme_id = $1 AND v.voucher_id = r.voucher_id AND v.voucher_id = ANY ({first})""",
        looked_up=(1,),
    ),
    "voucher_movements": Part(
        query="""
       INSERT INTO voucher_movement (programme_id, transfer_id, voucher_id, authorisation_id, used_rupiah, packages_used)
       SELECT $1, r.transfer_id, r.voucher_id, r.authorisation_id, r.used_rupiah, r.packages_used
         FROM {rows} JOIN still USING (beneficiary_id)""",
    ),
    "request_keys": Part(
        query="""
       INSERT INTO request_key (programme_id, principal_id, key_digest, key_id, fingerprint, stan, terminal_time,
                                authorisation_id, status, answer, reversal_answer, created_at)
       SELECT $1, r.principal_id, r.key_digest, r.key_id, r.fingerprint, r.stan, r.terminal_time, r.authorisation_id,
              r.status, r.answer, r.reversal_answer, $3::timestamptz
         FROM {rows} JOIN still USING (beneficiary_id)""",
    ),
    "authorisations": Part(
        query="""
       INSERT INTO authorisation (programme_id, authorisation_id, created_at, merchant_id, terminal_id, beneficiary_id,
                                  card_id, month, reason, amount_rupiah, approved_rupiah, reduction_rupiah, request_id,
                                  journal, answer)
       SELECT $1, r.authorisation_id, $3::timestamptz, r.merchant_id, r.terminal_id, nullif(r.beneficiary_id, ''),
              r.card_id, $4::date, r.reason, r.amount_rupiah, r.approved_rupiah, r.reduction_rupiah, r.request_id,
              r.journal, r.answer
         FROM {rows} JOIN still USING (beneficiary_id)""",
    ),
    "holds_placed": Part(
        query="""
       INSERT INTO hold (programme_id, beneficiary_id, authorisation_id, merchant_id, month, status, approved_rupiah,
                         held_rupiah, captured_rupiah, refunded_rupiah, packages, expires_at)
       SELECT $1, r.beneficiary_id, r.authorisation_id, r.merchant_id, $4::date, r.status, r.approved_rupiah,
              r.held_rupiah, r.captured_rupiah, 0, r.packages, r.expires_at
         FROM {rows} JOIN still USING (beneficiary_id)""",
    ),
    "holds_changed": Part(
        query="""
       UPDATE hold h
          SET status = r.status, held_rupiah = r.held_rupiah, captured_rupiah = r.captured_rupiah,
              refunded_rupiah = r.refunded_rupiah, packages = r.packages
         FROM {rows} JOIN still USING (beneficiary_id)
        WHERE h.programme_id = $1 AND h.authorisation_id = r.authorisation_id AND h.authorisation_id = ANY ({first})""",
        looked_up=(1,),
    ),
    "transfers": Part(
        query="""
       INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                             authorisation_id, reason, created_at)
       SELECT $1, r.transfer_id, r.kind, r.cause, r.debit_account_id, r.credit_account_id, r.amount_rupiah,
              r.authorisation_id, r.reason, r.created_at
         FROM {rows} JOIN still USING (beneficiary_id)""",
    ),
    "keys_reversed": Part(
        query="""
       UPDATE request_key k
          SET reversal_answer = r.answer
         FROM {rows} JOIN still USING (beneficiary_id)
        WHERE k.programme_id = $1 AND k.principal_id = r.principal_id AND k.key_digest = r.key_digest
          AND k.key_digest = ANY ({first}) AND k.principal_id = ANY ({second}) AND k.reversal_answer IS NULL""",
        looked_up=(1, 2),
    ),
    "tombstones_met": Part(
        query="""
       UPDATE request_key k
          SET stan = r.stan, terminal_time = r.terminal_time
         FROM {rows} JOIN still USING (beneficiary_id)
        WHERE k.programme_id = $1 AND k.principal_id = r.principal_id AND k.key_digest = r.key_digest
          AND k.key_digest = ANY ({first}) AND k.principal_id = ANY ({second}) AND k.stan IS NULL""",
        looked_up=(1, 2),
    ),
}
"""In the order of their columns in the statement."""


@lru_cache(maxsize=256)
def record_statement(kinds: tuple[str, ...]) -> str:
    """For a batch with rows of these kinds, in the order of PARTS, and no others: what has no row costs nothing.

    Its parameters after $6 are the rows of each kind, and after them the arrays of what is looked up.
    """
    used, parts = 6, []
    for kind in kinds:
        part = PARTS[kind]
        rows = f"unnest(${used + 1}::record_{kind}[]) AS r"
        query = part.query.format(rows=rows, first=f"${used + 2}", second=f"${used + 3}")
        parts.append(f",\n     {kind} AS ({query})")
        used += 1 + len(part.looked_up)
    return _RECORD.format(parts="".join(parts))
