"""Each order of the office beside the roll is kept with who gave it; what was ordered before has no row.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table that older programs do not know: they go on without it."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0004 does not downgrade: who gave an order would be lost")


STATEMENTS = (
    """
CREATE TABLE office_order (
    programme_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    actor text NOT NULL,
    reason text,
    detail jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT office_order_pkey PRIMARY KEY (programme_id, order_id),
    CONSTRAINT office_order_kind_is_known CHECK (kind IN (
        'cap_set', 'operator_added', 'key_issued', 'key_revoked', 'shops_paid', 'programme_closed'))
)
""",
    "COMMENT ON COLUMN office_order.detail IS 'ids, labels and rupiah; no key'",
    """
CREATE TRIGGER office_order_is_immutable BEFORE UPDATE OR DELETE ON office_order
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER office_order_is_kept BEFORE TRUNCATE ON office_order
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)
