"""Signals of misuse: how each is set, what was found, and where the next purchase is declined for it.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables, a key of the history for one of them, and a wider set of words: older programs go on without."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*TABLES, *HISTORY, *GUARDS, *ORDERS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0017 does not downgrade: what was found, and who has judged it, would be lost")


TABLES = (
    """
CREATE TABLE signal_rule (
    programme_id text COLLATE "C" NOT NULL,
    signal text NOT NULL,
    enabled boolean NOT NULL,
    action text NOT NULL,
    thresholds jsonb NOT NULL,
    set_at timestamptz NOT NULL,
    set_by text NOT NULL,
    CONSTRAINT signal_rule_pkey PRIMARY KEY (programme_id, signal),
    CONSTRAINT signal_rule_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT signal_rule_action_is_known CHECK (action IN ('flag', 'hold', 'decline'))
)
""",
    "COMMENT ON COLUMN signal_rule.thresholds IS 'only what differs from the defaults'",
    """
CREATE TABLE signal_watch (
    programme_id text COLLATE "C" NOT NULL,
    read_through text COLLATE "C",
    nights_through date,
    hold_score smallint NOT NULL,
    nightly_at time NOT NULL,
    CONSTRAINT signal_watch_pkey PRIMARY KEY (programme_id),
    CONSTRAINT signal_watch_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT signal_watch_score_is_a_part_of_100 CHECK (hold_score BETWEEN 1 AND 100)
)
""",
    "COMMENT ON COLUMN signal_watch.read_through IS 'the last authorisation that was read'",
    "COMMENT ON COLUMN signal_watch.nights_through IS 'the last day of which all signals were computed'",
    "COMMENT ON COLUMN signal_watch.hold_score IS 'from which on a purchase''s settlement is held'",
    "COMMENT ON COLUMN signal_watch.nightly_at IS 'wall clock of the zone, of the day after'",
    """
CREATE TABLE signal_finding (
    programme_id text COLLATE "C" NOT NULL,
    finding_id text COLLATE "C" NOT NULL,
    signal text NOT NULL,
    subject_kind text NOT NULL,
    subject_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    score smallint NOT NULL,
    evidence jsonb NOT NULL,
    action text NOT NULL,
    found_at timestamptz NOT NULL,
    accused_at timestamptz,
    accused_by text,
    accused_because text,
    closed_at timestamptz,
    closed_by text,
    closed_because text,
    standing text NOT NULL,
    CONSTRAINT signal_finding_pkey PRIMARY KEY (programme_id, finding_id),
    CONSTRAINT signal_finding_programme_id_signal_subject_id_day_key UNIQUE (programme_id, signal, subject_id, day),
    CONSTRAINT signal_finding_subject_kind_is_known
        CHECK (subject_kind IN ('terminal', 'merchant', 'card', 'companion')),
    CONSTRAINT signal_finding_action_is_known CHECK (action IN ('flag', 'hold', 'decline')),
    CONSTRAINT signal_finding_standing_is_known CHECK (standing IN ('open', 'dismissed', 'confirmed')),
    CONSTRAINT signal_finding_score_is_a_part_of_100 CHECK (score BETWEEN 1 AND 100),
    CONSTRAINT signal_finding_accusation_is_whole
        CHECK ((accused_at IS NULL) = (accused_by IS NULL) AND (accused_at IS NULL) = (accused_because IS NULL)),
    CONSTRAINT signal_finding_close_is_whole
        CHECK ((closed_at IS NULL) = (standing = 'open') AND (closed_by IS NULL) = (standing = 'open')
            AND (closed_because IS NULL) = (standing = 'open')),
    CONSTRAINT signal_finding_confirmed_was_accused CHECK (standing <> 'confirmed' OR accused_by IS NOT NULL),
    CONSTRAINT signal_finding_confirmed_by_somebody_else CHECK (standing <> 'confirmed' OR accused_by <> closed_by)
)
""",
    "CREATE INDEX signal_finding_open_idx ON signal_finding (programme_id, found_at) WHERE standing = 'open'",
    "COMMENT ON COLUMN signal_finding.day IS 'of the programme''s zone'",
    "COMMENT ON COLUMN signal_finding.evidence IS 'ids, counts and rupiah, nothing personal'",
    "COMMENT ON COLUMN signal_finding.action IS 'the gravest that was taken'",
    """
CREATE TABLE signal_purchase (
    programme_id text COLLATE "C" NOT NULL,
    finding_id text COLLATE "C" NOT NULL,
    authorisation_id text COLLATE "C" NOT NULL,
    CONSTRAINT signal_purchase_pkey PRIMARY KEY (programme_id, finding_id, authorisation_id)
)
""",
    """
CREATE INDEX signal_purchase_programme_id_authorisation_id_idx ON signal_purchase (programme_id, authorisation_id)
""",
    """
CREATE TABLE signal_mark (
    programme_id text COLLATE "C" NOT NULL,
    subject_id text COLLATE "C" NOT NULL,
    signal text NOT NULL,
    until timestamptz NOT NULL,
    finding_id text COLLATE "C" NOT NULL,
    CONSTRAINT signal_mark_pkey PRIMARY KEY (programme_id, subject_id, signal),
    CONSTRAINT signal_mark_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id)
)
""",
    """
CREATE TABLE signal_backtest (
    programme_id text COLLATE "C" NOT NULL,
    backtest_id text COLLATE "C" NOT NULL,
    signal text NOT NULL,
    thresholds jsonb NOT NULL,
    from_on date NOT NULL,
    to_on date NOT NULL,
    days integer NOT NULL,
    figures jsonb NOT NULL,
    ran_at timestamptz NOT NULL,
    ran_by text NOT NULL,
    CONSTRAINT signal_backtest_pkey PRIMARY KEY (programme_id, backtest_id),
    CONSTRAINT signal_backtest_begins_before_it_ends CHECK (from_on <= to_on)
)
""",
    "CREATE INDEX signal_backtest_programme_id_signal_ran_at_idx ON signal_backtest (programme_id, signal, ran_at)",
    "COMMENT ON COLUMN signal_backtest.thresholds IS 'all of them'",
    "COMMENT ON COLUMN signal_backtest.to_on IS 'the last day, counted'",
    "COMMENT ON COLUMN signal_backtest.figures IS 'counts and rupiah'",
)
HISTORY = (
    """
CREATE OR REPLACE FUNCTION reference_key(relation text, entry jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
SELECT CASE relation
       WHEN 'programme' THEN ARRAY[entry ->> 'programme_id']
       WHEN 'month_cap' THEN ARRAY[entry ->> 'valid_from']
       WHEN 'district' THEN ARRAY[entry ->> 'district_code']
       WHEN 'merchant' THEN ARRAY[entry ->> 'merchant_id']
       WHEN 'terminal' THEN ARRAY[entry ->> 'terminal_id']
       WHEN 'category' THEN ARRAY[entry ->> 'category']
       WHEN 'product' THEN ARRAY[entry ->> 'name', entry ->> 'unit']
       WHEN 'price_ceiling'
       THEN ARRAY[entry ->> 'product', entry ->> 'unit', entry ->> 'district_code', entry ->> 'valid_from']
       WHEN 'companion' THEN ARRAY[entry ->> 'companion_id']
       WHEN 'signal_mark' THEN ARRAY[entry ->> 'subject_id', entry ->> 'signal']
       END
$$
""",
)
GUARDS = (
    """
CREATE TRIGGER signal_purchase_is_immutable
BEFORE UPDATE OR DELETE ON signal_purchase
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER signal_purchase_is_kept
BEFORE TRUNCATE ON signal_purchase
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER signal_backtest_is_immutable
BEFORE UPDATE OR DELETE ON signal_backtest
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER signal_backtest_is_kept
BEFORE TRUNCATE ON signal_backtest
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER signal_finding_is_immutable
BEFORE DELETE OR UPDATE OF programme_id, finding_id, signal, subject_kind, subject_id, day, found_at ON signal_finding
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER signal_finding_ends_once
BEFORE UPDATE ON signal_finding
FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL) EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER signal_finding_is_kept
BEFORE TRUNCATE ON signal_finding
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER signal_mark_insert_raises_version
AFTER INSERT ON signal_mark REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER signal_mark_update_raises_version
AFTER UPDATE ON signal_mark REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER signal_mark_delete_raises_version
AFTER DELETE ON signal_mark REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
)
ORDERS = (
    "ALTER TABLE office_order DROP CONSTRAINT office_order_kind_is_known",
    """
ALTER TABLE office_order ADD CONSTRAINT office_order_kind_is_known CHECK (kind IN (
    'cap_set', 'operator_added', 'key_issued', 'key_revoked', 'shops_paid', 'programme_closed',
    'batch_closed', 'account_requested', 'account_approved', 'purchase_waits', 'purchase_waits_no_more',
    'payout_settled', 'payout_failed', 'payout_returned', 'payout_released', 'bank_added', 'bank_key_added',
    'funding_expected', 'notice_resolved', 'notice_approved', 'statement_reconciled', 'exception_resolved',
    'exception_approved', 'dispute_opened', 'dispute_answered', 'endpoint_added', 'endpoint_key_added',
    'endpoint_disabled', 'endpoint_enabled', 'events_resent', 'cut_off_set', 'holidays_changed',
    'person_added', 'person_role_set', 'person_password_set', 'person_disabled', 'person_enabled',
    'roll_imported', 'roll_approved', 'roll_applied', 'roll_withdrawn',
    'payout_limit_set', 'entitlements_granted', 'signal_set', 'signal_dismissed', 'signal_accused',
    'signal_confirmed'))
""",
)
