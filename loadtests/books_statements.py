"""The statements that fill the books inside the server, each with a name and a sentence.

Everything about family n and purchase i follows from its number, so that no statement waits for what another one made:
an id is what `vocabulary.new_id` makes, with the digest of the number as chance. $1 is the programme; n and i run from
$2 to $3.
"""

from typing import Final

_DIGITS: Final = " || ".join(
    f"substr('0123456789abcdefghjkmnpqrstvwxyz', (((milliseconds << 2) >> {45 - 5 * place}) & 31)::int + 1, 1)"
    for place in range(10)
)
FUNCTIONS: Final = f"""
-- The first ten characters of an id: 48 bits of milliseconds in Crockford's alphabet.
CREATE OR REPLACE FUNCTION pg_temp.time_part(milliseconds bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN {_DIGITS};
-- The instant of purchase i is so many milliseconds since 1970; purchases follow each other evenly.
CREATE OR REPLACE FUNCTION pg_temp.instant(milliseconds bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN timestamptz '1970-01-01 00:00:00+00' + milliseconds * interval '1 millisecond';
-- As many bytes as a sealed field has.
CREATE OR REPLACE FUNCTION pg_temp.sealed(seed text) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN '\\x01'::bytea || substr(sha512(seed::bytea), 1, 50);
"""

TILLS: Final = """
-- Whoever sells, numbered, so that a purchase finds its till by a remainder.
CREATE TEMP TABLE till AS
SELECT row_number() OVER (ORDER BY terminal_id) - 1 AS n, terminal_id, merchant_id FROM terminal WHERE programme_id = $1
"""

COMPANIONS: Final = """
-- Whoever looks after families, numbered, each with a district.
CREATE TEMP TABLE carer AS
SELECT row_number() OVER (ORDER BY companion_id) - 1 AS number, companion_id,
       (SELECT max(district_code) FROM beneficiary b WHERE b.programme_id = $1 AND b.companion_id = c.companion_id)
       AS district_code
  FROM companion c WHERE programme_id = $1
"""

BENEFICIARIES: Final = """
-- The roll. $4 is the time part of its ids, $5 the day of entry.
INSERT INTO beneficiary (programme_id, beneficiary_id, companion_id, district_code, status, entered_on, name_sealed,
                         nik_sealed, nik_digest)
SELECT $1, 'ben_' || $4 || left(md5('ben' || n), 16), carer.companion_id, carer.district_code, 'active', $5,
       pg_temp.sealed('name' || n), pg_temp.sealed('nik' || n), decode(md5('nik' || n), 'hex')
  FROM generate_series($2::bigint, $3::bigint) AS n
  JOIN carer ON carer.number = n % (SELECT count(*) FROM carer)
"""

ACCOUNTS: Final = """
-- An account for each family.
INSERT INTO account (programme_id, account_id, kind)
SELECT $1, 'ben_' || $4 || left(md5('ben' || n), 16), 'beneficiary' FROM generate_series($2::bigint, $3::bigint) AS n
"""

GRANTS: Final = """
-- What each family was granted: $5 at the instant $6.
INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                      created_at, recorded_at)
SELECT $1, 'trf_' || $4 || left(md5('grant' || n), 16), 'grant', 'enrol', 'unallocated',
       'ben_' || $4 || left(md5('ben' || n), 16), $5, $6, $6
  FROM generate_series($2::bigint, $3::bigint) AS n
"""

_PURCHASE: Final = """
  FROM (SELECT i, $4::bigint + i * $5::bigint AS milliseconds,
               pg_temp.time_part($4::bigint + i * $5::bigint) AS time_part,
               pg_temp.instant($4::bigint + i * $5::bigint) AS created_at,
               (i * 7919) % $6::bigint AS n
          FROM generate_series($2::bigint, $3::bigint) AS i) p
  JOIN till ON till.n = p.i % (SELECT count(*) FROM till)
"""
"""Purchase i: its instant is $4 + i * $5 milliseconds, its family (7919 * i) modulo $6, a prime step through them all;
$7 is the time part of the families' ids."""

AUTHORISATIONS: Final = f"""
-- What was decided. Journal $8 and answer $9 are a real one's, the answer with ids and times of its own.
INSERT INTO authorisation (programme_id, authorisation_id, created_at, merchant_id, terminal_id, beneficiary_id,
                           card_id, month, reason, amount_rupiah, approved_rupiah, reduction_rupiah, request_id,
                           journal, answer)
SELECT $1, 'auth_' || p.time_part || left(md5('auth' || p.i), 16), p.created_at, till.merchant_id, till.terminal_id,
       'ben_' || $7 || left(md5('ben' || p.n), 16), 'crd_' || $7 || left(md5('crd' || p.n), 16),
       date_trunc('month', p.created_at AT TIME ZONE $11)::date, 'approved', $10, $10, 0, 'req_' || md5('req' || p.i),
       $8::text::jsonb,
       convert_to(format($9, 'auth_' || p.time_part || left(md5('auth' || p.i), 16), upper(left(md5('code' || p.i), 6)),
                         till.merchant_id, till.terminal_id, lpad((p.i % 1000000)::text, 6, '0'),
                         to_char(p.created_at AT TIME ZONE $11, 'YYYY-MM-DD"T"HH24:MI:SS.MS"+08:00"'),
                         to_char((p.created_at + interval '1 day') AT TIME ZONE $11,
                                 'YYYY-MM-DD"T"HH24:MI:SS.MS"+08:00"'),
                         lpad((p.n % 10000)::text, 4, '0'),
                         to_char(p.created_at AT TIME ZONE $11, 'DD-MM-YYYY HH24:MI')),
                  'UTF8')
{_PURCHASE}"""

KEYS: Final = f"""
-- Under which key it was asked, and whose STAN.
INSERT INTO request_key (programme_id, principal_id, key_digest, key_id, fingerprint, stan, terminal_time,
                         authorisation_id, status, created_at)
SELECT $1, till.terminal_id, decode(md5('key' || p.i), 'hex'), 1, decode(md5('print' || p.i), 'hex'),
       lpad((p.i % 1000000)::text, 6, '0'), p.created_at - interval '1 second',
       'auth_' || p.time_part || left(md5('auth' || p.i), 16), 201, p.created_at
{_PURCHASE}"""

HOLDS: Final = f"""
-- Each was captured whole.
INSERT INTO hold (programme_id, authorisation_id, beneficiary_id, merchant_id, month, status, approved_rupiah,
                  held_rupiah, captured_rupiah, refunded_rupiah, packages, expires_at)
SELECT $1, 'auth_' || p.time_part || left(md5('auth' || p.i), 16), 'ben_' || $7 || left(md5('ben' || p.n), 16),
       till.merchant_id, date_trunc('month', p.created_at AT TIME ZONE $9)::date, 'captured', $8, 0, $8, 0, 1,
       p.created_at + interval '1 day'
{_PURCHASE}"""

TRANSFERS: Final = f"""
-- What it moved: held, and captured at once, as the pattern was.
INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                      authorisation_id, created_at, recorded_at)
SELECT $1, moved.prefix || p.time_part || left(md5(moved.prefix || p.i), 16), moved.kind, moved.cause,
       'ben_' || $7 || left(md5('ben' || p.n), 16), till.merchant_id, $8,
       'auth_' || p.time_part || left(md5('auth' || p.i), 16), p.created_at, p.created_at
{_PURCHASE}
 CROSS JOIN (VALUES ('trf_', 'hold', 'authorise'), ('cap_', 'post', 'capture')) AS moved(prefix, kind, cause)
"""

WALLETS: Final = """
-- What each family has left of its entitlement, $2; only those whose ids begin with $3.
INSERT INTO wallet (programme_id, beneficiary_id, version, available_rupiah, held_rupiah, spent_rupiah)
SELECT $1, b.beneficiary_id, 1 + coalesce(bought.purchases, 0), $2 - coalesce(bought.rupiah, 0), 0,
       coalesce(bought.rupiah, 0)
  FROM beneficiary b
  LEFT JOIN (SELECT beneficiary_id, count(*) AS purchases, sum(captured_rupiah) AS rupiah
               FROM hold WHERE programme_id = $1 GROUP BY beneficiary_id) bought USING (beneficiary_id)
 WHERE b.programme_id = $1 AND b.beneficiary_id LIKE $3
"""

ALLOWANCES: Final = """
-- What each family used of its months, under the programme's caps; only those whose ids begin with $2.
INSERT INTO allowance (programme_id, beneficiary_id, month, cap_rupiah, packages_cap, used_rupiah, packages_used,
                       covered_rupiah, covered_packages)
SELECT $1, h.beneficiary_id, h.month, p.month_cap_rupiah, p.month_packages, h.rupiah, h.packages, 0, 0
  FROM programme p,
       (SELECT beneficiary_id, month, sum(captured_rupiah) AS rupiah, sum(packages) AS packages
          FROM hold WHERE programme_id = $1 AND beneficiary_id LIKE $2 GROUP BY beneficiary_id, month) h
 WHERE p.programme_id = $1
"""

INDEXES: Final = """
-- Keys and indexes of the tables $1, and how each is made again; keys first, they have the most to sort.
SELECT c.conrelid::regclass::text AS of_table, c.conname AS name, true AS is_constraint,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
       AS made
  FROM pg_constraint c
 WHERE c.conrelid = ANY ($1::text[]::regclass[]) AND c.contype IN ('p', 'u')
 UNION ALL
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, false, pg_get_indexdef(i.indexrelid)
  FROM pg_index i
 WHERE i.indrelid = ANY ($1::text[]::regclass[])
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u'))
 ORDER BY is_constraint DESC, of_table, name
"""

QUICKLY: Final = """
-- For this session: no triggers, no waiting for the disk, much memory, no plan that trusts what empty tables said.
SELECT set_config('session_replication_role', 'replica', false), set_config('synchronous_commit', 'off', false),
       set_config('work_mem', '1GB', false), set_config('maintenance_work_mem', '1GB', false),
       set_config('statement_timeout', '0', false), set_config('enable_nestloop', 'off', false)
"""
