"""What the hot path sends has types, one array of rows a table; a sale's answer stays in its row.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New types that older programs do not know: they go on without them. Rows that stand already stay as they are."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*TYPES, *STORAGE):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0009 does not downgrade: a program that runs would be refused its rows")


TYPES = (
    """
CREATE TYPE asked_facts AS (
    place integer,
    principal_id text,
    key_digest bytea,
    stan text,
    terminal_time timestamptz,
    card_digest bytea,
    authorisation_id text,
    original_digest bytea
)
""",
    """
CREATE TYPE record_seen AS (
    beneficiary_id text,
    version bigint,
    changes boolean,
    available_rupiah bigint,
    held_rupiah bigint,
    spent_rupiah bigint
)
""",
    """
CREATE TYPE record_allowances_used AS (
    beneficiary_id text,
    month date,
    cap_rupiah bigint,
    packages_cap integer,
    used_rupiah bigint,
    packages_used integer,
    covered_rupiah bigint,
    covered_packages integer
)
""",
    """
CREATE TYPE record_allowances_returned AS (
    beneficiary_id text,
    month date,
    used_rupiah bigint,
    packages_used integer,
    covered_rupiah bigint,
    covered_packages integer
)
""",
    """
CREATE TYPE record_vouchers AS (
    beneficiary_id text,
    voucher_id text,
    used_rupiah bigint,
    packages_used integer
)
""",
    """
CREATE TYPE record_voucher_movements AS (
    beneficiary_id text,
    transfer_id text,
    voucher_id text,
    authorisation_id text,
    used_rupiah bigint,
    packages_used integer
)
""",
    """
CREATE TYPE record_request_keys AS (
    beneficiary_id text,
    principal_id text,
    key_digest bytea,
    key_id smallint,
    fingerprint bytea,
    stan text,
    terminal_time timestamptz,
    authorisation_id text,
    status smallint,
    answer bytea,
    reversal_answer bytea
)
""",
    """
CREATE TYPE record_authorisations AS (
    beneficiary_id text,
    authorisation_id text,
    merchant_id text,
    terminal_id text,
    card_id text,
    reason text,
    amount_rupiah bigint,
    approved_rupiah bigint,
    reduction_rupiah bigint,
    request_id text,
    journal jsonb,
    answer bytea
)
""",
    """
CREATE TYPE record_holds_placed AS (
    beneficiary_id text,
    authorisation_id text,
    merchant_id text,
    status text,
    approved_rupiah bigint,
    held_rupiah bigint,
    captured_rupiah bigint,
    packages smallint,
    expires_at timestamptz
)
""",
    """
CREATE TYPE record_holds_changed AS (
    beneficiary_id text,
    authorisation_id text,
    status text,
    held_rupiah bigint,
    captured_rupiah bigint,
    refunded_rupiah bigint,
    packages smallint
)
""",
    """
CREATE TYPE record_transfers AS (
    beneficiary_id text,
    transfer_id text,
    kind text,
    cause text,
    debit_account_id text,
    credit_account_id text,
    amount_rupiah bigint,
    authorisation_id text,
    reason text,
    created_at timestamptz
)
""",
    """
CREATE TYPE record_keys_reversed AS (
    beneficiary_id text,
    key_digest bytea,
    principal_id text,
    answer bytea
)
""",
    """
CREATE TYPE record_tombstones_met AS (
    beneficiary_id text,
    key_digest bytea,
    principal_id text,
    stan text,
    terminal_time timestamptz
)
""",
)
STORAGE = ("ALTER TABLE authorisation SET (toast_tuple_target = 2712)",)
