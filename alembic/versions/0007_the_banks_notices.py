"""The bank has keys and a door of its own: what it tells is kept as received, and followed from there.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables only: nobody waits, and older programs work on as they did."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*ORDERS, *PARTNERS, *NOTICES, *FUNDING, *SECURITY, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0007 does not downgrade: older programs work on it as it is")


ORDERS = (
    "ALTER TABLE office_order DROP CONSTRAINT office_order_kind_is_known",
    """
ALTER TABLE office_order ADD CONSTRAINT office_order_kind_is_known CHECK (kind IN (
    'cap_set', 'operator_added', 'key_issued', 'key_revoked', 'shops_paid', 'programme_closed',
    'batch_closed', 'account_requested', 'account_approved', 'purchase_waits', 'purchase_waits_no_more',
    'payout_settled', 'payout_failed', 'payout_returned', 'payout_released',
    'bank_added', 'bank_key_added', 'funding_expected', 'notice_resolved', 'notice_approved'))
""",
)
PARTNERS = (
    """
CREATE TABLE bank_partner (
    programme_id text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    label text NOT NULL,
    signature text NOT NULL,
    signs_the_query boolean NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT bank_partner_pkey PRIMARY KEY (programme_id, partner_id),
    CONSTRAINT bank_partner_partner_id_key UNIQUE (partner_id),
    CONSTRAINT bank_partner_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT bank_partner_signature_is_known CHECK (signature IN ('with_token', 'without_token'))
)
""",
    """
CREATE TABLE bank_key (
    programme_id text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    number integer NOT NULL,
    public_key bytea,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    CONSTRAINT bank_key_pkey PRIMARY KEY (programme_id, partner_id, kind, number),
    CONSTRAINT bank_key_programme_id_partner_id_fkey FOREIGN KEY (programme_id, partner_id)
        REFERENCES bank_partner (programme_id, partner_id),
    CONSTRAINT bank_key_kind_is_known CHECK (kind IN ('public_key', 'client_secret')),
    CONSTRAINT bank_key_secrets_are_not_kept CHECK ((kind = 'public_key') = (public_key IS NOT NULL)),
    CONSTRAINT bank_key_begins_before_it_ends CHECK (valid_from <= valid_until)
)
""",
    "COMMENT ON COLUMN bank_key.public_key IS 'SubjectPublicKeyInfo, DER; a client secret is derived from the root key'",
)
NOTICES = (
    """
CREATE TABLE bank_notice (
    programme_id text COLLATE "C" NOT NULL,
    notice_id text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    received_on date NOT NULL,
    received_at timestamptz NOT NULL,
    body bytea NOT NULL,
    body_digest bytea NOT NULL,
    reference text COLLATE "C" NOT NULL,
    bank_reference text COLLATE "C" NOT NULL,
    status text NOT NULL,
    amount_rupiah bigint NOT NULL,
    CONSTRAINT bank_notice_pkey PRIMARY KEY (programme_id, notice_id),
    CONSTRAINT bank_notice_external_id_key UNIQUE (programme_id, partner_id, received_on, external_id),
    CONSTRAINT bank_notice_amount_is_never_negative CHECK (amount_rupiah >= 0)
)
""",
    "COMMENT ON COLUMN bank_notice.received_on IS 'the day in the zone of the programme: X-EXTERNAL-ID is of a day'",
    "CREATE INDEX bank_notice_programme_id_reference_idx ON bank_notice (programme_id, reference)",
    """
CREATE TABLE notice_standing (
    programme_id text COLLATE "C" NOT NULL,
    notice_id text COLLATE "C" NOT NULL,
    standing text NOT NULL,
    reason text,
    looked_at timestamptz,
    resolved_at timestamptz,
    resolved_by text,
    resolution text,
    approved_at timestamptz,
    approved_by text,
    CONSTRAINT notice_standing_pkey PRIMARY KEY (programme_id, notice_id),
    CONSTRAINT notice_standing_standing_is_known CHECK (standing IN ('new', 'followed', 'parked', 'resolved')),
    CONSTRAINT notice_standing_parked_has_a_reason CHECK (standing <> 'parked' OR reason IS NOT NULL),
    CONSTRAINT notice_standing_is_resolved_by_two
        CHECK ((standing = 'resolved') = (approved_at IS NOT NULL) AND approved_by <> resolved_by),
    CONSTRAINT notice_standing_a_resolution_is_whole
        CHECK ((resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (resolution IS NULL))
)
""",
    """
CREATE INDEX notice_standing_open_idx ON notice_standing (programme_id, notice_id)
 WHERE standing IN ('new', 'parked')
""",
)
FUNDING = (
    """
CREATE TABLE expected_funding (
    programme_id text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    amount_rupiah bigint NOT NULL,
    announced_at timestamptz NOT NULL,
    announced_by text NOT NULL,
    CONSTRAINT expected_funding_pkey PRIMARY KEY (programme_id, reference),
    CONSTRAINT expected_funding_amount_is_positive CHECK (amount_rupiah > 0)
)
""",
)
SECURITY = (
    """
CREATE TABLE security_event (
    event_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    kind text NOT NULL,
    claimed_partner text NOT NULL,
    request_id text NOT NULL,
    CONSTRAINT security_event_pkey PRIMARY KEY (event_id)
)
""",
    "COMMENT ON COLUMN security_event.claimed_partner IS 'who the sender said it was; nothing proves it'",
)
GUARDS = tuple(
    statement
    for table in ("bank_notice", "expected_funding", "security_event")
    for statement in (
        f"""
CREATE TRIGGER {table}_is_immutable BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
        f"""
CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    )
)
