"""The hot statements, each with a name and a sentence.

Arrays are looked up as `unnest … LEFT JOIN LATERAL (… LIMIT 1)`, and the UPDATEs repeat `= ANY(ids)`: otherwise a
generic plan that was made while the tables were empty reads a whole programme.
"""

from typing import Final

FACTS: Final = """
-- One snapshot of everything that the rules of a whole batch read; takes no lock.
-- $1 programme, $2 place, $3 principal, $4 key digest, $5 stan, $6 terminal time, $7 card digest, $8 authorisation,
-- $9 month, $10 expired by, $11 digest of the key that a reversal names
SELECT asked.place,
       clock_timestamp() AS database_now,
       (SELECT version FROM reference WHERE programme_id = $1) AS reference_version,
       known.fingerprint AS known_fingerprint, known.status AS known_status, known.answer AS known_answer,
       known.reversal_answer AS known_reversal_answer,
       twin.key_digest AS twin_key_digest, twin.authorisation_id AS twin_authorisation_id,
       twin.reversal_answer AS twin_reversal_answer, twin.is_authorise AS twin_is_authorise,
       target.merchant_id AS target_merchant_id, target.answer AS target_answer,
       target.captured_at_once AS target_captured_at_once,
       target_hold.authorisation_id AS hold_authorisation_id, target_hold.merchant_id AS hold_merchant_id,
       target_hold.month AS hold_month, target_hold.status AS hold_status,
       target_hold.approved_rupiah, target_hold.held_rupiah, target_hold.captured_rupiah, target_hold.refunded_rupiah,
       target_hold.packages AS hold_packages, target_hold.expires_at AS hold_expires_at,
       card.card_id, card.status AS card_status, card.expires_on AS card_expires_on,
       family.beneficiary_id, family.status AS beneficiary_status, family.companion_id,
       family.next_status, family.next_status_at,
       wallet.version AS wallet_version, wallet.available_rupiah, wallet.held_rupiah AS wallet_held_rupiah,
       allowance.month AS allowance_month, allowance.cap_rupiah, allowance.packages_cap, allowance.used_rupiah,
       allowance.packages_used, allowance.covered_rupiah, allowance.covered_packages,
       (SELECT json_agg(json_build_array(v.voucher_id, v.extra_rupiah - v.used_rupiah, v.extra_packages - v.packages_used,
                                         v.expires_at) ORDER BY v.expires_at, v.voucher_id)::text
          FROM voucher v
         WHERE v.programme_id = $1 AND v.beneficiary_id = family.beneficiary_id AND v.month = $9
           AND v.approved_at IS NOT NULL AND v.revoked_at IS NULL) AS vouchers,
       (SELECT json_agg(json_build_array(h.authorisation_id, h.merchant_id, h.month, h.status, h.approved_rupiah,
                                         h.held_rupiah, h.captured_rupiah, h.refunded_rupiah, h.packages, h.expires_at)
                        ORDER BY h.expires_at, h.authorisation_id)::text
          FROM hold h
         WHERE h.programme_id = $1 AND h.beneficiary_id = family.beneficiary_id
           AND h.held_rupiah > 0 AND h.expires_at <= $10) AS expired,
       (SELECT json_agg(json_build_array(u.authorisation_id, u.voucher_id, u.used_rupiah, u.packages_used)
                        ORDER BY u.expires_at, u.voucher_id)::text
          FROM (SELECT m.authorisation_id, m.voucher_id, v.expires_at, sum(m.used_rupiah) AS used_rupiah,
                       sum(m.packages_used) AS packages_used
                  FROM hold h
                  JOIN voucher_movement m ON m.programme_id = $1 AND m.authorisation_id = h.authorisation_id
                  JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = m.voucher_id
                 WHERE h.programme_id = $1 AND h.beneficiary_id = family.beneficiary_id
                   AND (h.held_rupiah > 0 OR h.authorisation_id = target_hold.authorisation_id)
                 GROUP BY m.authorisation_id, m.voucher_id, v.expires_at) u) AS voucher_uses
  FROM unnest($2::int[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[], $7::bytea[], $8::text[],
              $11::bytea[])
       AS asked(place, principal_id, key_digest, stan, terminal_time, card_digest, authorisation_id, original_digest)
  LEFT JOIN LATERAL (
       SELECT k.fingerprint, k.status, coalesce(k.answer, a.answer) AS answer, k.reversal_answer
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
  LEFT JOIN LATERAL (
       SELECT c.card_id, c.status, c.expires_on, c.beneficiary_id FROM card c
        WHERE c.programme_id = $1 AND c.card_digest = asked.card_digest LIMIT 1) card ON true
  LEFT JOIN LATERAL (
       SELECT b.beneficiary_id, b.status, b.companion_id, b.next_status, b.next_status_at FROM beneficiary b
        WHERE b.programme_id = $1 AND b.beneficiary_id = coalesce(card.beneficiary_id, target_hold.beneficiary_id)
        LIMIT 1) family ON true
  LEFT JOIN LATERAL (
       SELECT w.version, w.available_rupiah, w.held_rupiah FROM wallet w
        WHERE w.programme_id = $1 AND w.beneficiary_id = family.beneficiary_id LIMIT 1) wallet ON true
  LEFT JOIN LATERAL (
       SELECT l.* FROM allowance l
        WHERE l.programme_id = $1 AND l.beneficiary_id = family.beneficiary_id AND l.month = $9 LIMIT 1) allowance ON true
"""

RECORD: Final = """
-- Writes a batch for the families that nobody has touched since their facts were read, and names them.
-- The empty beneficiary stands for answers that concern no family. Wallets are locked in the order of their ids.
-- A row of a growing table is written only with its family; a stale or locked family writes nothing at all.
WITH seen AS (
       SELECT * FROM unnest($3::text[], $4::bigint[], $5::boolean[], $6::bigint[], $7::bigint[], $8::bigint[])
              AS seen(beneficiary_id, version, changes, available_rupiah, held_rupiah, spent_rupiah)),
     locked AS MATERIALIZED (
       SELECT w.beneficiary_id
         FROM wallet w JOIN seen USING (beneficiary_id)
        WHERE w.programme_id = $1 AND w.beneficiary_id = ANY ($3) AND w.version = seen.version
          AND (SELECT version FROM reference WHERE programme_id = $1) = $2
        ORDER BY w.beneficiary_id
          FOR UPDATE OF w SKIP LOCKED),
     still AS MATERIALIZED (
       SELECT beneficiary_id FROM locked
        UNION ALL
       SELECT '' FROM reference WHERE programme_id = $1 AND version = $2),
     wallets AS (
       UPDATE wallet w
          SET version = w.version + 1, available_rupiah = w.available_rupiah + seen.available_rupiah,
              held_rupiah = w.held_rupiah + seen.held_rupiah, spent_rupiah = w.spent_rupiah + seen.spent_rupiah
         FROM seen JOIN still USING (beneficiary_id)
        WHERE w.programme_id = $1 AND w.beneficiary_id = seen.beneficiary_id AND w.beneficiary_id = ANY ($3)
          AND seen.changes),
     allowances_used AS (
       INSERT INTO allowance AS l (programme_id, beneficiary_id, month, cap_rupiah, packages_cap, used_rupiah,
                                   packages_used, covered_rupiah, covered_packages)
       SELECT $1, u.*
         FROM unnest($9::text[], $10::date[], $11::bigint[], $12::int[], $13::bigint[], $14::int[], $15::bigint[], $16::int[])
              AS u(beneficiary_id, month, cap_rupiah, packages_cap, used_rupiah, packages_used, covered_rupiah,
                   covered_packages)
         JOIN still USING (beneficiary_id)
           ON CONFLICT (programme_id, beneficiary_id, month) DO UPDATE
          SET used_rupiah = l.used_rupiah + excluded.used_rupiah,
              packages_used = l.packages_used + excluded.packages_used,
              covered_rupiah = l.covered_rupiah + excluded.covered_rupiah,
              covered_packages = l.covered_packages + excluded.covered_packages),
     allowances_returned AS (
       UPDATE allowance l
          SET used_rupiah = l.used_rupiah + r.used_rupiah, packages_used = l.packages_used + r.packages_used,
              covered_rupiah = l.covered_rupiah + r.covered_rupiah,
              covered_packages = l.covered_packages + r.covered_packages
         FROM unnest($17::text[], $18::date[], $19::bigint[], $20::int[], $21::bigint[], $22::int[])
              AS r(beneficiary_id, month, used_rupiah, packages_used, covered_rupiah, covered_packages)
         JOIN still USING (beneficiary_id)
        WHERE l.programme_id = $1 AND l.beneficiary_id = r.beneficiary_id AND l.beneficiary_id = ANY ($17)
          AND l.month = r.month),
     vouchers AS (
       UPDATE voucher v
          SET used_rupiah = v.used_rupiah + u.used_rupiah, packages_used = v.packages_used + u.packages_used
         FROM unnest($23::text[], $24::text[], $25::bigint[], $26::int[])
              AS u(beneficiary_id, voucher_id, used_rupiah, packages_used)
         JOIN still USING (beneficiary_id)
        WHERE v.programme_id = $1 AND v.voucher_id = u.voucher_id AND v.voucher_id = ANY ($24)),
     voucher_movements AS (
       INSERT INTO voucher_movement (programme_id, transfer_id, voucher_id, authorisation_id, used_rupiah, packages_used)
       SELECT $1, m.transfer_id, m.voucher_id, m.authorisation_id, m.used_rupiah, m.packages_used
         FROM unnest($27::text[], $28::text[], $29::text[], $30::text[], $31::bigint[], $32::int[])
              AS m(beneficiary_id, transfer_id, voucher_id, authorisation_id, used_rupiah, packages_used)
         JOIN still USING (beneficiary_id)),
     request_keys AS (
       INSERT INTO request_key (programme_id, principal_id, key_digest, key_id, fingerprint, stan, terminal_time,
                                authorisation_id, status, answer, reversal_answer, created_at)
       SELECT $1, k.principal_id, k.key_digest, k.key_id, k.fingerprint, k.stan, k.terminal_time, k.authorisation_id,
              k.status, k.answer, k.reversal_answer, k.created_at
         FROM unnest($33::text[], $34::text[], $35::bytea[], $36::smallint[], $37::bytea[], $38::text[],
                     $39::timestamptz[], $40::text[], $41::smallint[], $42::bytea[], $43::bytea[], $44::timestamptz[])
              AS k(beneficiary_id, principal_id, key_digest, key_id, fingerprint, stan, terminal_time, authorisation_id,
                   status, answer, reversal_answer, created_at)
         JOIN still USING (beneficiary_id)),
     authorisations AS (
       INSERT INTO authorisation (programme_id, authorisation_id, created_at, merchant_id, terminal_id, beneficiary_id,
                                  card_id, month, reason, amount_rupiah, approved_rupiah, reduction_rupiah, request_id,
                                  journal, answer)
       SELECT $1, a.authorisation_id, a.created_at, a.merchant_id, a.terminal_id, nullif(a.beneficiary_id, ''),
              a.card_id, a.month, a.reason, a.amount_rupiah, a.approved_rupiah, a.reduction_rupiah, a.request_id,
              a.journal::jsonb, a.answer
         FROM unnest($45::text[], $46::text[], $47::timestamptz[], $48::text[], $49::text[], $50::text[], $51::date[],
                     $52::text[], $53::bigint[], $54::bigint[], $55::bigint[], $56::text[], $57::text[], $58::bytea[])
              AS a(beneficiary_id, authorisation_id, created_at, merchant_id, terminal_id, card_id, month, reason,
                   amount_rupiah, approved_rupiah, reduction_rupiah, request_id, journal, answer)
         JOIN still USING (beneficiary_id)),
     holds_placed AS (
       INSERT INTO hold (programme_id, beneficiary_id, authorisation_id, merchant_id, month, status, approved_rupiah,
                         held_rupiah, captured_rupiah, refunded_rupiah, packages, expires_at)
       SELECT $1, h.*
         FROM unnest($59::text[], $60::text[], $61::text[], $62::date[], $63::text[], $64::bigint[], $65::bigint[],
                     $66::bigint[], $67::bigint[], $68::smallint[], $69::timestamptz[])
              AS h(beneficiary_id, authorisation_id, merchant_id, month, status, approved_rupiah, held_rupiah,
                   captured_rupiah, refunded_rupiah, packages, expires_at)
         JOIN still USING (beneficiary_id)),
     holds_changed AS (
       UPDATE hold h
          SET status = c.status, held_rupiah = c.held_rupiah, captured_rupiah = c.captured_rupiah,
              refunded_rupiah = c.refunded_rupiah, packages = c.packages
         FROM unnest($70::text[], $71::text[], $72::text[], $73::bigint[], $74::bigint[], $75::bigint[], $76::smallint[])
              AS c(beneficiary_id, authorisation_id, status, held_rupiah, captured_rupiah, refunded_rupiah, packages)
         JOIN still USING (beneficiary_id)
        WHERE h.programme_id = $1 AND h.authorisation_id = c.authorisation_id AND h.authorisation_id = ANY ($71)),
     transfers AS (
       INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                             authorisation_id, reason, created_at)
       SELECT $1, t.transfer_id, t.kind, t.cause, t.debit_account_id, t.credit_account_id, t.amount_rupiah,
              t.authorisation_id, t.reason, t.created_at
         FROM unnest($77::text[], $78::text[], $79::text[], $80::text[], $81::text[], $82::text[], $83::bigint[],
                     $84::text[], $85::text[], $86::timestamptz[])
              AS t(beneficiary_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                   authorisation_id, reason, created_at)
         JOIN still USING (beneficiary_id)),
     keys_reversed AS (
       UPDATE request_key k
          SET reversal_answer = r.answer
         FROM unnest($87::text[], $88::text[], $89::bytea[], $90::bytea[])
              AS r(beneficiary_id, principal_id, key_digest, answer)
         JOIN still USING (beneficiary_id)
        WHERE k.programme_id = $1 AND k.principal_id = r.principal_id AND k.key_digest = r.key_digest
          AND k.key_digest = ANY ($89) AND k.reversal_answer IS NULL)
SELECT beneficiary_id FROM still
"""
