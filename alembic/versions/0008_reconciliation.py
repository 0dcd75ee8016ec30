"""The bank's statements are kept line by line; what disagrees with the books waits for two people; disputes have clocks.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables and columns that older programs do not know: they go on without them."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*CLOCKS, *ORDERS, *TABLES, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0008 does not downgrade: what the bank's statements said would be lost")


CLOCKS = (
    # Programmes that run already take disputes by the same clocks as the first edition's file. A default that goes again
    # fills their rows without a change of reference data: no decision reads these columns, and no version is raised.
    "ALTER TABLE programme ADD COLUMN dispute_claim_days integer DEFAULT 90",
    "ALTER TABLE programme ADD COLUMN dispute_answer_days integer DEFAULT 10",
    "ALTER TABLE programme ADD COLUMN holidays date[] DEFAULT '{}'",
    "ALTER TABLE programme ALTER COLUMN dispute_claim_days DROP DEFAULT",
    "ALTER TABLE programme ALTER COLUMN dispute_answer_days DROP DEFAULT",
    "ALTER TABLE programme ALTER COLUMN holidays DROP DEFAULT",
    "COMMENT ON COLUMN programme.dispute_claim_days IS 'after the purchase; NULL: no disputes are taken'",
    "COMMENT ON COLUMN programme.dispute_answer_days IS 'working days after the claim'",
    "COMMENT ON COLUMN programme.holidays IS 'no working days, beside Saturday and Sunday'",
    """
ALTER TABLE programme ADD CONSTRAINT programme_dispute_clocks_are_whole
    CHECK ((dispute_claim_days IS NULL) = (dispute_answer_days IS NULL))
""",
    """
ALTER TABLE programme ADD CONSTRAINT programme_dispute_clocks_are_positive
    CHECK (dispute_claim_days > 0 AND dispute_answer_days > 0)
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
    'statement_reconciled', 'exception_resolved', 'exception_approved', 'dispute_opened', 'dispute_answered'))
""",
)
TABLES = (
    """
CREATE TABLE bank_statement (
    programme_id text COLLATE "C" NOT NULL,
    statement_id text COLLATE "C" NOT NULL,
    format text NOT NULL,
    account text,
    from_on date NOT NULL,
    to_on date NOT NULL,
    opening_rupiah bigint NOT NULL,
    closing_rupiah bigint NOT NULL,
    lines integer NOT NULL,
    file_digest bytea NOT NULL,
    read_at timestamptz NOT NULL,
    read_by text NOT NULL,
    CONSTRAINT bank_statement_pkey PRIMARY KEY (programme_id, statement_id),
    CONSTRAINT bank_statement_programme_id_file_digest_key UNIQUE (programme_id, file_digest),
    CONSTRAINT bank_statement_format_is_known CHECK (format IN ('csv', 'mt940')),
    CONSTRAINT bank_statement_begins_before_it_ends CHECK (from_on <= to_on),
    CONSTRAINT bank_statement_lines_are_never_negative CHECK (lines >= 0),
    CONSTRAINT bank_statement_digest_is_whole CHECK (octet_length(file_digest) = 32)
)
""",
    "COMMENT ON COLUMN bank_statement.account IS 'the last digits; NULL where the file names none'",
    "COMMENT ON COLUMN bank_statement.lines IS 'in the file, also those that an earlier one had'",
    """
CREATE TABLE bank_statement_line (
    programme_id text COLLATE "C" NOT NULL,
    statement_id text COLLATE "C" NOT NULL,
    line integer NOT NULL,
    identity bytea NOT NULL,
    booked_on date NOT NULL,
    amount_rupiah bigint NOT NULL,
    reference text COLLATE "C" NOT NULL,
    bank_reference text COLLATE "C" NOT NULL,
    description text NOT NULL,
    CONSTRAINT bank_statement_line_pkey PRIMARY KEY (programme_id, statement_id, line),
    CONSTRAINT bank_statement_line_programme_id_identity_key UNIQUE (programme_id, identity),
    CONSTRAINT bank_statement_line_line_is_positive CHECK (line > 0),
    CONSTRAINT bank_statement_line_amount_is_something CHECK (amount_rupiah <> 0),
    CONSTRAINT bank_statement_line_identity_is_whole CHECK (octet_length(identity) = 32)
)
""",
    "COMMENT ON COLUMN bank_statement_line.identity IS 'over what the bank booked, not over how the file says it'",
    "COMMENT ON COLUMN bank_statement_line.amount_rupiah IS 'below nothing: it left the account'",
    """
CREATE TABLE bank_statement_match (
    programme_id text COLLATE "C" NOT NULL,
    identity bytea NOT NULL,
    reference text COLLATE "C" NOT NULL,
    matched_at timestamptz NOT NULL,
    CONSTRAINT bank_statement_match_pkey PRIMARY KEY (programme_id, identity)
)
""",
    """
CREATE TABLE reconciliation_exception (
    programme_id text COLLATE "C" NOT NULL,
    exception_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    reference text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    ours_rupiah bigint,
    theirs_rupiah bigint,
    since_on date NOT NULL,
    first_seen_at timestamptz NOT NULL,
    detail text NOT NULL,
    proposal text COLLATE "C",
    resolved_at timestamptz,
    resolved_by text,
    outcome text,
    reason text,
    approved_by text,
    closed_at timestamptz,
    CONSTRAINT reconciliation_exception_pkey PRIMARY KEY (programme_id, exception_id),
    CONSTRAINT reconciliation_exception_kind_is_known CHECK (kind IN (
        'amount_differs', 'missing_here', 'missing_there', 'paid_though_failed', 'return_without_payment',
        'more_than_once', 'after_the_close', 'books_differ')),
    CONSTRAINT reconciliation_exception_outcome_is_known CHECK (outcome IN ('explained', 'corrected', 'claimed')),
    CONSTRAINT reconciliation_exception_resolution_is_whole
        CHECK ((resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (outcome IS NULL)
               AND (resolved_at IS NULL) = (reason IS NULL)),
    CONSTRAINT reconciliation_exception_four_eyes
        CHECK (approved_by IS NULL OR (closed_at IS NOT NULL AND resolved_by IS NOT NULL
               AND lower(approved_by) <> lower(resolved_by)))
)
""",
    "COMMENT ON COLUMN reconciliation_exception.since_on IS 'its age counts from here'",
    """
COMMENT ON COLUMN reconciliation_exception.closed_at IS 'by an approval, or else by a statement that explains it'
""",
    """
CREATE INDEX reconciliation_exception_open_idx ON reconciliation_exception (programme_id, exception_id)
 WHERE closed_at IS NULL
""",
    """
CREATE TABLE dispute (
    programme_id text COLLATE "C" NOT NULL,
    dispute_id text COLLATE "C" NOT NULL,
    authorisation_id text COLLATE "C" NOT NULL,
    claimed_at timestamptz NOT NULL,
    claimed_by text NOT NULL,
    reason text NOT NULL,
    answer_due_at timestamptz NOT NULL,
    answered_at timestamptz,
    answered_by text,
    answer text,
    CONSTRAINT dispute_pkey PRIMARY KEY (programme_id, dispute_id),
    CONSTRAINT dispute_answer_is_whole
        CHECK ((answered_at IS NULL) = (answered_by IS NULL) AND (answered_at IS NULL) = (answer IS NULL)),
    CONSTRAINT dispute_answered_after_it_was_claimed CHECK (answered_at >= claimed_at),
    CONSTRAINT dispute_due_after_it_was_claimed CHECK (answer_due_at > claimed_at)
)
""",
    """
CREATE UNIQUE INDEX dispute_open_key ON dispute (programme_id, authorisation_id) WHERE answered_at IS NULL
""",
)
GUARDS = (
    *(
        statement
        for table in ("bank_statement", "bank_statement_line", "bank_statement_match")
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
    # These may be ended, once: an exception by its approval or a statement, a dispute by its answer.
    *(
        statement
        for table, end, columns in (
            (
                "reconciliation_exception",
                "closed_at",
                (
                    "programme_id, exception_id, kind, reference, subject, ours_rupiah, theirs_rupiah, since_on,"
                    " first_seen_at, detail, proposal"
                ),
            ),
            (
                "dispute",
                "answered_at",
                "programme_id, dispute_id, authorisation_id, claimed_at, claimed_by, reason, answer_due_at",
            ),
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
