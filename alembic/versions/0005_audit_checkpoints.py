"""A check of the books says how far it came, and the next one finds what was written since.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tills wait while the indexes are built: a second for a million families, nothing to notice for a city."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*CHECKPOINT, *INDEXES):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0005 does not downgrade: older programs work on it as it is")


CHECKPOINT = (
    """
CREATE TABLE audit_checkpoint (
    programme_id text COLLATE "C" NOT NULL,
    checked_at timestamptz NOT NULL,
    checked_from timestamptz,
    checked_until timestamptz NOT NULL,
    violations bigint NOT NULL,
    CONSTRAINT audit_checkpoint_pkey PRIMARY KEY (programme_id, checked_at),
    CONSTRAINT audit_checkpoint_violations_are_never_negative CHECK (violations >= 0),
    CONSTRAINT audit_checkpoint_is_of_the_past CHECK (checked_until <= checked_at)
)
""",
    "COMMENT ON COLUMN audit_checkpoint.checked_from IS 'NULL where all was checked'",
    "COMMENT ON COLUMN audit_checkpoint.checked_until IS 'what is written later begins with later ids'",
    """
CREATE TRIGGER audit_checkpoint_is_immutable BEFORE UPDATE OR DELETE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER audit_checkpoint_is_kept BEFORE TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)
INDEXES = (
    # By family: no purchase writes into them.
    "CREATE INDEX transfer_of_a_grant_idx ON transfer (programme_id, credit_account_id) WHERE kind = 'grant'",
    "CREATE INDEX transfer_of_a_return_idx ON transfer (programme_id, debit_account_id) WHERE kind = 'return'",
    "CREATE INDEX request_key_created_at_idx ON request_key USING brin (created_at) WITH (autosummarize = 'on')",
)
