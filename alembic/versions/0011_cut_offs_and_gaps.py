"""Cut-offs change from a day on, a payout may have a limit, and gaps between the bank's statements are exceptions.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A new table and a wider set of words: older programs do not know them and go on without."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*SCHEDULE, *LIMIT, *ORDERS, *EXCEPTIONS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0011 does not downgrade: which cut-offs were ordered would be lost")


SCHEDULE = (
    """
CREATE TABLE settlement_schedule (
    programme_id text COLLATE "C" NOT NULL,
    valid_from date NOT NULL,
    cut_off time,
    days smallint[],
    CONSTRAINT settlement_schedule_pkey PRIMARY KEY (programme_id, valid_from),
    CONSTRAINT settlement_schedule_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT settlement_schedule_is_whole CHECK ((cut_off IS NULL) = (days IS NULL)),
    CONSTRAINT settlement_schedule_days_are_weekdays
        CHECK (cardinality(days) > 0 AND days <@ '{1,2,3,4,5,6,7}'::smallint[])
)
""",
    "COMMENT ON COLUMN settlement_schedule.valid_from IS 'before it, the row before, or else the programme''s own'",
    "COMMENT ON COLUMN settlement_schedule.cut_off IS 'wall clock of the zone; NULL: no scheduled settlement'",
    "COMMENT ON COLUMN settlement_schedule.days IS 'ISO weekdays, Monday is 1'",
)
LIMIT = (
    "ALTER TABLE programme ADD COLUMN payout_limit_rupiah bigint",
    "COMMENT ON COLUMN programme.payout_limit_rupiah IS 'of one instruction; NULL: the bank has none'",
    "ALTER TABLE programme ADD CONSTRAINT programme_payout_limit_is_positive CHECK (payout_limit_rupiah > 0)",
    # A shop whose net is above the limit has several instructions in a batch.
    "ALTER TABLE payout_instruction DROP CONSTRAINT payout_instruction_programme_id_batch_id_merchant_id_key",
    "CREATE INDEX payout_instruction_programme_id_batch_id_idx ON payout_instruction (programme_id, batch_id)",
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
    'cut_off_set', 'holidays_changed', 'payout_limit_set'))
""",
)
EXCEPTIONS = (
    "ALTER TABLE reconciliation_exception DROP CONSTRAINT reconciliation_exception_kind_is_known",
    """
ALTER TABLE reconciliation_exception ADD CONSTRAINT reconciliation_exception_kind_is_known CHECK (kind IN (
    'amount_differs', 'missing_here', 'missing_there', 'paid_though_failed', 'return_without_payment',
    'more_than_once', 'after_the_close', 'books_differ', 'statements_do_not_join', 'days_missing'))
""",
)
