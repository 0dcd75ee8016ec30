"""Other systems are told what has happened: events, who wants them, and every attempt to tell.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables that older programs do not know: they go on without them."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*ORDERS, *TABLES, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0010 does not downgrade: what was told to whom would be lost")


ORDERS = (
    "ALTER TABLE office_order DROP CONSTRAINT office_order_kind_is_known",
    """
ALTER TABLE office_order ADD CONSTRAINT office_order_kind_is_known CHECK (kind IN (
    'cap_set', 'operator_added', 'key_issued', 'key_revoked', 'shops_paid', 'programme_closed',
    'batch_closed', 'account_requested', 'account_approved', 'purchase_waits', 'purchase_waits_no_more',
    'payout_settled', 'payout_failed', 'payout_returned', 'payout_released',
    'bank_added', 'bank_key_added', 'funding_expected', 'notice_resolved', 'notice_approved',
    'statement_reconciled', 'exception_resolved', 'exception_approved', 'dispute_opened', 'dispute_answered',
    'endpoint_added', 'endpoint_key_added', 'endpoint_disabled', 'endpoint_enabled', 'events_resent'))
""",
)
TABLES = (
    """
CREATE TABLE event (
    programme_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    type text NOT NULL,
    occurred_at timestamptz NOT NULL,
    data json NOT NULL,
    recorded_at timestamptz DEFAULT now() NOT NULL,
    number bigint,
    CONSTRAINT event_pkey PRIMARY KEY (programme_id, event_id),
    CONSTRAINT event_programme_id_number_key UNIQUE (programme_id, number),
    CONSTRAINT event_type_is_written_well CHECK (type ~ '^[a-z_]+[.][a-z_]+$'),
    CONSTRAINT event_number_is_positive CHECK (number > 0)
)
""",
    "CREATE INDEX event_new_idx ON event (programme_id, position) WHERE number IS NULL",
    "COMMENT ON COLUMN event.position IS 'in a transaction, their order'",
    "COMMENT ON COLUMN event.occurred_at IS 'the business instant'",
    "COMMENT ON COLUMN event.data IS 'ids, codes and rupiah, nothing personal'",
    "COMMENT ON COLUMN event.number IS 'NULL until it is seen to be committed'",
    """
CREATE TABLE event_head (
    programme_id text COLLATE "C" NOT NULL,
    last_number bigint NOT NULL,
    purchases_from timestamptz,
    purchases_through timestamptz,
    noted_at timestamptz,
    noted_transaction bigint,
    looked_back_at timestamptz,
    CONSTRAINT event_head_pkey PRIMARY KEY (programme_id)
)
""",
    "COMMENT ON COLUMN event_head.purchases_from IS 'NULL: no endpoint wants them'",
    "COMMENT ON COLUMN event_head.purchases_through IS 'no transaction that began before it is still open'",
    "COMMENT ON COLUMN event_head.noted_at IS 'will be the next `purchases_through`'",
    "COMMENT ON COLUMN event_head.noted_transaction IS 'once all with a smaller number are over'",
    """
CREATE TABLE event_endpoint (
    programme_id text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    label text NOT NULL,
    url text NOT NULL,
    types text[] NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz,
    disabled_because text,
    failures integer DEFAULT 0 NOT NULL,
    rests_until timestamptz,
    delivered_at timestamptz,
    claim text,
    claimed_until timestamptz,
    CONSTRAINT event_endpoint_pkey PRIMARY KEY (programme_id, endpoint_id),
    CONSTRAINT event_endpoint_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT event_endpoint_wants_something CHECK (cardinality(types) > 0),
    CONSTRAINT event_endpoint_disabled_has_a_reason CHECK ((disabled_at IS NULL) = (disabled_because IS NULL)),
    CONSTRAINT event_endpoint_claim_is_whole CHECK ((claim IS NULL) = (claimed_until IS NULL)),
    CONSTRAINT event_endpoint_disabled_because_is_known CHECK (disabled_because IN ('ordered', 'gone', 'dead'))
)
""",
    """
COMMENT ON COLUMN event_endpoint.types IS 'a type, all of a subject (payout.*), or everything (*)'
""",
    "COMMENT ON COLUMN event_endpoint.failures IS 'in a row'",
    "COMMENT ON COLUMN event_endpoint.delivered_at IS 'the last time that it took anything'",
    "COMMENT ON COLUMN event_endpoint.claim IS 'of the process that sends to it'",
    """
CREATE TABLE event_secret (
    programme_id text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    CONSTRAINT event_secret_pkey PRIMARY KEY (programme_id, endpoint_id, number),
    CONSTRAINT event_secret_programme_id_endpoint_id_fkey FOREIGN KEY (programme_id, endpoint_id)
        REFERENCES event_endpoint (programme_id, endpoint_id),
    CONSTRAINT event_secret_begins_before_it_ends CHECK (valid_from <= valid_until)
)
""",
    """
CREATE TABLE event_delivery (
    programme_id text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    state text NOT NULL,
    due_at timestamptz NOT NULL,
    tries integer NOT NULL,
    tries_before integer NOT NULL,
    first_tried_at timestamptz,
    CONSTRAINT event_delivery_pkey PRIMARY KEY (programme_id, endpoint_id, number),
    CONSTRAINT event_delivery_state_is_known CHECK (state IN ('pending', 'delivered', 'given_up')),
    CONSTRAINT event_delivery_tries_add_up CHECK (tries_before BETWEEN 0 AND tries)
)
""",
    """
CREATE INDEX event_delivery_pending_idx ON event_delivery (programme_id, endpoint_id, number) WHERE state = 'pending'
""",
    """
COMMENT ON COLUMN event_delivery.tries_before IS 'it was sent again: its schedule began anew after so many'
""",
    "COMMENT ON COLUMN event_delivery.first_tried_at IS 'in this schedule'",
    """
CREATE TABLE event_attempt (
    programme_id text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    attempt integer NOT NULL,
    attempted_at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL,
    status smallint,
    error text,
    CONSTRAINT event_attempt_pkey PRIMARY KEY (programme_id, endpoint_id, number, attempt),
    CONSTRAINT event_attempt_outcome_is_known CHECK (outcome IN (
        'delivered', 'gone', 'slow_down', 'refused', 'timed_out', 'unreachable', 'forbidden')),
    CONSTRAINT event_attempt_error_is_short CHECK (length(error) <= 120)
)
""",
    "COMMENT ON COLUMN event_attempt.status IS 'HTTP'",
    "COMMENT ON COLUMN event_attempt.error IS 'in our words'",
)
GUARDS = (
    # Never changed, and removed once they are old: the books keep what they tell of.
    """
CREATE TRIGGER event_is_immutable
BEFORE UPDATE OF programme_id, event_id, position, type, occurred_at, data, recorded_at ON event
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER event_attempt_is_immutable
BEFORE UPDATE OF programme_id, endpoint_id, number, attempt, attempted_at, duration_ms, outcome, status, error
ON event_attempt
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER event_is_numbered_once BEFORE UPDATE ON event
FOR EACH ROW WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION refuse_change()
""",
)
