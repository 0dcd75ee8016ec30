"""Shops and terminals are suspended and resumed by orders that are kept.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A wider set of words: older programs do not know them and go on without."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in ORDERS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0019 does not downgrade: who suspended a shop would be lost")


ORDERS = (
    "ALTER TABLE office_order DROP CONSTRAINT office_order_kind_is_known",
    """
ALTER TABLE office_order ADD CONSTRAINT office_order_kind_is_known CHECK (kind IN (
    'cap_set', 'operator_added', 'key_issued', 'key_revoked', 'shops_paid', 'programme_closed',
    'batch_closed', 'account_requested', 'account_approved', 'purchase_waits', 'purchase_waits_no_more',
    'payout_settled', 'payout_failed', 'payout_returned', 'payout_released',
    'bank_added', 'bank_key_added', 'funding_expected', 'notice_resolved', 'notice_approved',
    'statement_reconciled', 'exception_resolved', 'exception_approved', 'dispute_opened', 'dispute_answered',
    'endpoint_added', 'endpoint_key_added', 'endpoint_disabled', 'endpoint_enabled', 'events_resent',
    'cut_off_set', 'holidays_changed', 'payout_limit_set', 'entitlements_granted',
    'person_added', 'person_role_set', 'person_password_set', 'person_disabled', 'person_enabled',
    'roll_imported', 'roll_approved', 'roll_applied', 'roll_withdrawn',
    'signal_set', 'signal_dismissed', 'signal_accused', 'signal_confirmed',
    'merchant_suspended', 'merchant_resumed', 'terminal_suspended', 'terminal_resumed'))
""",
)
