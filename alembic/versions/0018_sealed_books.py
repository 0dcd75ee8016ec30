"""Committed rows are numbered in blocks, each with a hash that all later heads contain.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables that older programs do not know. Tills wait while the index is built: it reads all transfers once, a
    second for some millions."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*TABLES, *GUARDS, *RECORDED):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0018 does not downgrade: heads were handed out that nothing would stand behind")


TABLES = (
    """
CREATE TABLE seal_block (
    programme_id text COLLATE "C" NOT NULL,
    chain text NOT NULL,
    number bigint NOT NULL,
    first_row bigint NOT NULL,
    rows integer NOT NULL,
    root bytea NOT NULL,
    head bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    recorded_from timestamptz NOT NULL,
    recorded_through timestamptz NOT NULL,
    row_ids text[] COLLATE "C" NOT NULL,
    tags bytea NOT NULL,
    CONSTRAINT seal_block_pkey PRIMARY KEY (programme_id, chain, number),
    CONSTRAINT seal_block_programme_id_chain_first_row_key UNIQUE (programme_id, chain, first_row),
    CONSTRAINT seal_block_chain_is_known CHECK (chain IN ('transfers', 'audit')),
    CONSTRAINT seal_block_numbers_are_positive CHECK (number > 0 AND first_row > 0 AND rows > 0),
    CONSTRAINT seal_block_rows_are_all_there CHECK (cardinality(row_ids) = rows AND length(tags) = 8 * rows),
    CONSTRAINT seal_block_hashes_are_whole CHECK (length(root) = 32 AND length(head) = 32),
    CONSTRAINT seal_block_interval_has_an_order CHECK (recorded_from <= recorded_through)
)
""",
    """
CREATE INDEX seal_block_programme_id_chain_recorded_through_idx
    ON seal_block (programme_id, chain, recorded_through)
""",
    "COMMENT ON COLUMN seal_block.root IS 'over the rows'",
    "COMMENT ON COLUMN seal_block.head IS 'over all blocks up to this one'",
    "COMMENT ON COLUMN seal_block.row_ids IS 'in the order of their numbers'",
    "COMMENT ON COLUMN seal_block.tags IS '8 bytes of each hash, to name a changed row by'",
    """
CREATE TABLE seal_head (
    programme_id text COLLATE "C" NOT NULL,
    chain text NOT NULL,
    blocks bigint NOT NULL,
    rows bigint NOT NULL,
    trees bytea NOT NULL,
    settled_until timestamptz NOT NULL,
    looked_back_at timestamptz NOT NULL,
    CONSTRAINT seal_head_pkey PRIMARY KEY (programme_id, chain),
    CONSTRAINT seal_head_chain_is_known CHECK (chain IN ('transfers', 'audit')),
    CONSTRAINT seal_head_numbers_are_never_negative CHECK (blocks >= 0 AND rows >= blocks)
)
""",
    "COMMENT ON COLUMN seal_head.trees IS 'roots of the full trees of blocks'",
    "COMMENT ON COLUMN seal_head.settled_until IS 'what was recorded before is sealed'",
)
GUARDS = (
    """
CREATE TRIGGER seal_block_is_immutable BEFORE UPDATE OR DELETE ON seal_block
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER seal_block_is_kept BEFORE TRUNCATE ON seal_block
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER seal_head_only_grows BEFORE UPDATE ON seal_head FOR EACH ROW
    WHEN (NEW.programme_id <> OLD.programme_id OR NEW.chain <> OLD.chain OR NEW.blocks < OLD.blocks
          OR NEW.rows < OLD.rows) EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER seal_head_is_immutable BEFORE DELETE ON seal_head
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER seal_head_is_kept BEFORE TRUNCATE ON seal_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)
RECORDED = (
    # By the database's clock, as that of a transfer. Entries of before were recorded at the latest now.
    "ALTER TABLE audit_entry ADD COLUMN recorded_at timestamptz DEFAULT now() NOT NULL",
    "CREATE INDEX audit_entry_recorded_at_idx ON audit_entry USING brin (recorded_at) WITH (autosummarize = 'on')",
    "CREATE INDEX transfer_recorded_at_idx ON transfer USING brin (recorded_at) WITH (autosummarize = 'on')",
)
