"""A balance that is not the books' is an exception, and granting the families their entitlements is an order.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two wider sets of words: older programs do not know them and go on without."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*EXCEPTIONS, *ORDERS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0013 does not downgrade: orders and exceptions of the new kinds would be lost")


EXCEPTIONS = (
    "ALTER TABLE reconciliation_exception DROP CONSTRAINT reconciliation_exception_kind_is_known",
    """
ALTER TABLE reconciliation_exception ADD CONSTRAINT reconciliation_exception_kind_is_known CHECK (kind IN (
    'amount_differs', 'missing_here', 'missing_there', 'paid_though_failed', 'return_without_payment',
    'more_than_once', 'after_the_close', 'books_differ', 'statements_do_not_join', 'days_missing', 'balance_differs'))
""",
)
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
    'cut_off_set', 'holidays_changed', 'payout_limit_set', 'entitlements_granted'))
""",
)
