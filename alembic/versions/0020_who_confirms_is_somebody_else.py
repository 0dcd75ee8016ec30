"""Who confirms a finding is somebody else than who accused, however the name is written.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The check is made anew: where one person has confirmed, this stops, and two people look at it first."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE signal_finding DROP CONSTRAINT signal_finding_confirmed_by_somebody_else")
    op.execute("""
ALTER TABLE signal_finding ADD CONSTRAINT signal_finding_confirmed_by_somebody_else
      CHECK (standing <> 'confirmed' OR lower(btrim(accused_by)) <> lower(btrim(closed_by)))
""")


def downgrade() -> None:
    raise NotImplementedError("0020 does not downgrade: one person could be two again")
