"""People sign in at the console, whoever did or looked at what is in the audit log, and families are found by name.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables, and a column that may be empty: older programs go on without them. `authz family index` fills it."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*ORDERS, *TABLES, *NAMES, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0015 does not downgrade: the audit log would be lost")


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
    'person_added', 'person_role_set', 'person_password_set', 'person_disabled', 'person_enabled'))
""",
)
TABLES = (
    """
CREATE TABLE audit_entry (
    programme_id text COLLATE "C" NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    role text,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id text COLLATE "C" NOT NULL,
    reason text,
    request_id text,
    before jsonb,
    after jsonb,
    CONSTRAINT audit_entry_pkey PRIMARY KEY (programme_id, entry_id)
)
""",
    "CREATE INDEX audit_entry_subject_idx ON audit_entry (programme_id, subject_id, entry_id)",
    "COMMENT ON COLUMN audit_entry.role IS 'of a person of the console; nothing for commands'",
    "COMMENT ON COLUMN audit_entry.before IS 'ids, words and rupiah, nothing personal'",
    "COMMENT ON COLUMN audit_entry.after IS 'the same'",
    """
CREATE TABLE person (
    programme_id text COLLATE "C" NOT NULL,
    person_id text COLLATE "C" NOT NULL,
    sign_in text COLLATE "C" NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    password_is_for_once boolean NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz,
    failed_tries integer DEFAULT 0 NOT NULL,
    locked_until timestamptz,
    CONSTRAINT person_pkey PRIMARY KEY (programme_id, person_id),
    CONSTRAINT person_programme_id_fkey FOREIGN KEY(programme_id) REFERENCES programme (programme_id),
    CONSTRAINT person_programme_id_sign_in_key UNIQUE (programme_id, sign_in),
    CONSTRAINT person_role_is_known CHECK (role IN ('viewer', 'card_desk', 'programme_manager', 'auditor')),
    CONSTRAINT person_sign_in_is_plain CHECK (sign_in ~ '^[a-z][a-z0-9]*([.-][a-z0-9]+)*$' AND length(sign_in) BETWEEN 3 AND 32)
)
""",
    "CREATE UNIQUE INDEX person_looks_like_nobody_else_key ON person (programme_id, translate(sign_in, '01i.-', 'oll'))",
    "COMMENT ON COLUMN person.password_hash IS 'argon2id with its parameters and salt'",
    "COMMENT ON COLUMN person.password_is_for_once IS 'the next sign-in chooses another one'",
    "COMMENT ON COLUMN person.failed_tries IS 'since the last that was right'",
    """
CREATE TABLE console_session (
    programme_id text COLLATE "C" NOT NULL,
    token_digest bytea NOT NULL,
    person_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    CONSTRAINT console_session_pkey PRIMARY KEY (programme_id, token_digest),
    CONSTRAINT console_session_programme_id_person_id_fkey FOREIGN KEY(programme_id, person_id) REFERENCES person (programme_id, person_id)
)
""",
    "CREATE INDEX console_session_programme_id_person_id_idx ON console_session (programme_id, person_id)",
    "CREATE INDEX console_session_token_digest_idx ON console_session (token_digest)",
    "COMMENT ON COLUMN console_session.ends_at IS 'at the latest, whoever is still there'",
)
NAMES = (
    "ALTER TABLE beneficiary ADD COLUMN name_words bytea[]",
    "COMMENT ON COLUMN beneficiary.name_words IS 'keyed digests of the name''s words; none: not filled yet'",
    "CREATE INDEX beneficiary_name_words_idx ON beneficiary USING gin (name_words)",
    "CREATE INDEX card_last_four_idx ON card (programme_id, last_four)",
)
GUARDS = (
    """
CREATE TRIGGER audit_entry_is_immutable BEFORE UPDATE OR DELETE ON audit_entry
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER audit_entry_is_kept BEFORE TRUNCATE ON audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)
