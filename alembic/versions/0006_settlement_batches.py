"""Shops are paid batch by batch: which purchase is in which, to what account the money goes, and what came of it.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables and columns that older programs do not know: they go on without them."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*SCHEDULE, *ORDERS, *TABLES, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0006 does not downgrade: who was paid for what would be lost")


SCHEDULE = (
    "ALTER TABLE programme ADD COLUMN settlement_cut_off time",
    "ALTER TABLE programme ADD COLUMN settlement_days smallint[]",
    "COMMENT ON COLUMN programme.settlement_cut_off IS 'wall clock of the zone; NULL: no scheduled settlement'",
    "COMMENT ON COLUMN programme.settlement_days IS 'ISO weekdays, Monday is 1'",
    """
ALTER TABLE programme ADD CONSTRAINT programme_settlement_is_whole
    CHECK ((settlement_cut_off IS NULL) = (settlement_days IS NULL))
""",
    """
ALTER TABLE programme ADD CONSTRAINT programme_settlement_days_are_weekdays
    CHECK (cardinality(settlement_days) > 0 AND settlement_days <@ '{1,2,3,4,5,6,7}'::smallint[])
""",
)
ORDERS = (
    "ALTER TABLE office_order DROP CONSTRAINT office_order_kind_is_known",
    """
ALTER TABLE office_order ADD CONSTRAINT office_order_kind_is_known CHECK (kind IN (
    'cap_set', 'operator_added', 'key_issued', 'key_revoked', 'shops_paid', 'programme_closed',
    'batch_closed', 'account_requested', 'account_approved', 'purchase_waits', 'purchase_waits_no_more',
    'payout_settled', 'payout_failed', 'payout_returned', 'payout_released'))
""",
)
TABLES = (
    """
CREATE TABLE payout_account (
    programme_id text COLLATE "C" NOT NULL,
    account_ref text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    bank_code text NOT NULL,
    account_number text NOT NULL,
    holder text NOT NULL,
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL,
    approved_at timestamptz,
    approved_by text,
    CONSTRAINT payout_account_pkey PRIMARY KEY (programme_id, account_ref),
    CONSTRAINT payout_account_programme_id_merchant_id_fkey FOREIGN KEY (programme_id, merchant_id)
        REFERENCES merchant (programme_id, merchant_id),
    CONSTRAINT payout_account_bank_code_is_digits CHECK (bank_code ~ '^[0-9]{3}$'),
    CONSTRAINT payout_account_account_number_is_digits CHECK (account_number ~ '^[0-9]{5,34}$'),
    CONSTRAINT payout_account_holder_is_one_line CHECK (holder ~ '^[^[:cntrl:]]{1,70}$'),
    CONSTRAINT payout_account_approval_is_whole CHECK ((approved_at IS NULL) = (approved_by IS NULL)),
    CONSTRAINT payout_account_four_eyes CHECK (lower(approved_by) <> lower(requested_by)),
    CONSTRAINT payout_account_approved_after_it_was_requested CHECK (approved_at >= requested_at)
)
""",
    """
CREATE INDEX payout_account_programme_id_merchant_id_idx ON payout_account (programme_id, merchant_id)
""",
    """
CREATE TABLE settlement_batch (
    programme_id text COLLATE "C" NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    cut_off_at timestamptz NOT NULL,
    closed_at timestamptz NOT NULL,
    closed_by text NOT NULL,
    items integer NOT NULL,
    brought_rupiah bigint NOT NULL,
    captured_rupiah bigint NOT NULL,
    refunded_rupiah bigint NOT NULL,
    returned_rupiah bigint NOT NULL,
    instructed_rupiah bigint NOT NULL,
    carried_rupiah bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT settlement_batch_pkey PRIMARY KEY (programme_id, batch_id),
    CONSTRAINT settlement_batch_programme_id_number_key UNIQUE (programme_id, number),
    CONSTRAINT settlement_batch_programme_id_cut_off_at_key UNIQUE (programme_id, cut_off_at),
    CONSTRAINT settlement_batch_number_is_positive CHECK (number > 0),
    CONSTRAINT settlement_batch_closed_after_its_cut_off CHECK (closed_at >= cut_off_at),
    CONSTRAINT settlement_batch_amounts_are_never_negative
        CHECK (items >= 0 AND captured_rupiah >= 0 AND refunded_rupiah >= 0 AND returned_rupiah >= 0
               AND instructed_rupiah >= 0),
    CONSTRAINT settlement_batch_adds_up
        CHECK (brought_rupiah + captured_rupiah - refunded_rupiah + returned_rupiah
               = instructed_rupiah + carried_rupiah),
    CONSTRAINT settlement_batch_hash_is_whole CHECK (octet_length(hash) = 32)
)
""",
    "COMMENT ON COLUMN settlement_batch.brought_rupiah IS 'what shops were owed, or owed, before it'",
    "COMMENT ON COLUMN settlement_batch.returned_rupiah IS 'payouts that came back and were released'",
    "COMMENT ON COLUMN settlement_batch.hash IS 'over its canonical lines and the hash of the batch before'",
    """
CREATE TABLE settlement_item (
    programme_id text COLLATE "C" NOT NULL,
    transfer_id text COLLATE "C" NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    amount_rupiah bigint NOT NULL,
    CONSTRAINT settlement_item_pkey PRIMARY KEY (programme_id, transfer_id),
    CONSTRAINT settlement_item_amount_is_something CHECK (amount_rupiah <> 0)
)
""",
    "COMMENT ON COLUMN settlement_item.amount_rupiah IS 'what the shop is owed for it; refunds are below nothing'",
    """
CREATE INDEX settlement_item_programme_id_batch_id_idx ON settlement_item (programme_id, batch_id)
""",
    """
CREATE TABLE settlement_position (
    programme_id text COLLATE "C" NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    brought_rupiah bigint NOT NULL,
    captured_rupiah bigint NOT NULL,
    refunded_rupiah bigint NOT NULL,
    returned_rupiah bigint NOT NULL,
    instructed_rupiah bigint NOT NULL,
    carried_rupiah bigint NOT NULL,
    carried_because text,
    CONSTRAINT settlement_position_pkey PRIMARY KEY (programme_id, batch_id, merchant_id),
    CONSTRAINT settlement_position_amounts_are_never_negative
        CHECK (captured_rupiah >= 0 AND refunded_rupiah >= 0 AND returned_rupiah >= 0 AND instructed_rupiah >= 0),
    CONSTRAINT settlement_position_adds_up
        CHECK (brought_rupiah + captured_rupiah - refunded_rupiah + returned_rupiah
               = instructed_rupiah + carried_rupiah),
    CONSTRAINT settlement_position_is_paid_or_carried CHECK (instructed_rupiah = 0 OR carried_rupiah = 0),
    CONSTRAINT settlement_position_carried_has_a_reason
        CHECK (CASE carried_because WHEN 'below_nothing' THEN carried_rupiah < 0
                                    WHEN 'no_account' THEN carried_rupiah > 0
                                    ELSE carried_rupiah = 0 END)
)
""",
    """
CREATE TABLE payout_instruction (
    programme_id text COLLATE "C" NOT NULL,
    instruction_id text COLLATE "C" NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    amount_rupiah bigint NOT NULL,
    bank_code text NOT NULL,
    account_number text NOT NULL,
    holder text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT payout_instruction_pkey PRIMARY KEY (programme_id, instruction_id),
    CONSTRAINT payout_instruction_programme_id_batch_id_merchant_id_key
        UNIQUE (programme_id, batch_id, merchant_id),
    CONSTRAINT payout_instruction_amount_is_positive CHECK (amount_rupiah > 0),
    CONSTRAINT payout_instruction_id_fits_the_bank CHECK (length(instruction_id) <= 64)
)
""",
    "COMMENT ON COLUMN payout_instruction.account_number IS 'as it was then; shown whole in the bank''s file alone'",
    """
CREATE TABLE payout_event (
    programme_id text COLLATE "C" NOT NULL,
    instruction_id text COLLATE "C" NOT NULL,
    event text NOT NULL,
    at timestamptz NOT NULL,
    source text NOT NULL,
    bank_reference text,
    actor text NOT NULL,
    reason text,
    CONSTRAINT payout_event_pkey PRIMARY KEY (programme_id, instruction_id, event),
    CONSTRAINT payout_event_programme_id_instruction_id_fkey FOREIGN KEY (programme_id, instruction_id)
        REFERENCES payout_instruction (programme_id, instruction_id),
    CONSTRAINT payout_event_event_is_known CHECK (event IN ('settled', 'failed', 'returned', 'released')),
    CONSTRAINT payout_event_source_is_known CHECK (source IN ('operator', 'notice', 'statement'))
)
""",
    """
CREATE TABLE settlement_wait (
    programme_id text COLLATE "C" NOT NULL,
    authorisation_id text COLLATE "C" NOT NULL,
    flagged_at timestamptz NOT NULL,
    flagged_by text NOT NULL,
    reason text NOT NULL,
    released_at timestamptz,
    released_by text,
    release_reason text,
    CONSTRAINT settlement_wait_pkey PRIMARY KEY (programme_id, authorisation_id, flagged_at),
    CONSTRAINT settlement_wait_release_is_whole
        CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_reason IS NULL)),
    CONSTRAINT settlement_wait_released_after_it_was_flagged CHECK (released_at >= flagged_at)
)
""",
    """
CREATE UNIQUE INDEX settlement_wait_open_key ON settlement_wait (programme_id, authorisation_id)
    WHERE released_at IS NULL
""",
)
GUARDS = (
    *(
        statement
        for table in (
            "settlement_batch",
            "settlement_item",
            "settlement_position",
            "payout_instruction",
            "payout_event",
        )
        for statement in (
            (
                f"CREATE TRIGGER {table}_is_immutable BEFORE UPDATE OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            ),
            (
                f"CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
        )
    ),
    # These may be ended, once: an account by its approval, a wait by its release.
    *(
        statement
        for table, end, columns in (
            (
                "payout_account",
                "approved_at",
                "programme_id, account_ref, merchant_id, bank_code, account_number, holder, requested_at, requested_by",
            ),
            ("settlement_wait", "released_at", "programme_id, authorisation_id, flagged_at, flagged_by, reason"),
        )
        for statement in (
            (
                f"CREATE TRIGGER {table}_is_immutable BEFORE DELETE OR UPDATE OF {columns} ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            ),
            (
                f"CREATE TRIGGER {table}_ends_once BEFORE UPDATE ON {table}"
                f" FOR EACH ROW WHEN (OLD.{end} IS NOT NULL) EXECUTE FUNCTION refuse_change()"
            ),
            (
                f"CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
        )
    ),
)
