"""Four eyes are two people, however the second name is written.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Checks are made anew: older programs write nothing that breaks them, but what they were made to find.

    Where one person has approved what was theirs, this stops and says which table: two people look at it first.
    """
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in CHECKS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0012 does not downgrade: one person could be two again")


CHECKS = (
    "ALTER TABLE notice_standing DROP CONSTRAINT notice_standing_is_resolved_by_two",
    """
ALTER TABLE notice_standing ADD CONSTRAINT notice_standing_is_resolved_by_two
      CHECK ((standing = 'resolved') = (approved_at IS NOT NULL)
             AND lower(btrim(approved_by)) <> lower(btrim(resolved_by)))
""",
    "ALTER TABLE reconciliation_exception DROP CONSTRAINT reconciliation_exception_four_eyes",
    """
ALTER TABLE reconciliation_exception ADD CONSTRAINT reconciliation_exception_four_eyes
      CHECK (approved_by IS NULL OR (closed_at IS NOT NULL AND resolved_by IS NOT NULL
             AND lower(btrim(approved_by)) <> lower(btrim(resolved_by))))
""",
    "ALTER TABLE payout_account DROP CONSTRAINT payout_account_four_eyes",
    """
ALTER TABLE payout_account ADD CONSTRAINT payout_account_four_eyes
      CHECK (lower(btrim(approved_by)) <> lower(btrim(requested_by)))
""",
)
