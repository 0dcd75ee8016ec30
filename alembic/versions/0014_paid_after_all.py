"""A payout that failed by the books may have been paid after all: an exception has that outcome, too.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A wider set of words: older programs do not know it and go on without."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in EXCEPTIONS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0014 does not downgrade: payouts that were paid after all would lose their reason")


EXCEPTIONS = (
    "ALTER TABLE reconciliation_exception DROP CONSTRAINT reconciliation_exception_outcome_is_known",
    """
ALTER TABLE reconciliation_exception ADD CONSTRAINT reconciliation_exception_outcome_is_known CHECK (outcome IN (
    'explained', 'corrected', 'claimed', 'paid_after_all'))
""",
)
