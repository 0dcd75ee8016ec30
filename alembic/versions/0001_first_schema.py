"""The first schema: one programme's reference data, its roll, its books, and the triggers that guard them.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """On an empty database; no code is in production yet."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*TABLES, *FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0001 does not downgrade: that would drop the books; drop the database if you mean it")


TABLES = (
    """
CREATE TABLE programme (
    programme_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    operator_name text NOT NULL,
    zone text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    entitlement_rupiah bigint NOT NULL,
    package_rupiah bigint,
    month_cap_rupiah bigint,
    month_packages integer,
    package_counting text NOT NULL,
    above_ceiling text NOT NULL,
    details_required text NOT NULL,
    hold_seconds integer NOT NULL,
    cash_categories text[] NOT NULL,
    CONSTRAINT programme_pkey PRIMARY KEY (programme_id),
    CONSTRAINT programme_starts_before_it_ends CHECK (starts_at < ends_at),
    CONSTRAINT programme_entitlement_is_positive CHECK (entitlement_rupiah > 0),
    CONSTRAINT programme_package_is_positive CHECK (package_rupiah > 0),
    CONSTRAINT programme_month_cap_is_positive CHECK (month_cap_rupiah > 0),
    CONSTRAINT programme_month_packages_are_positive CHECK (month_packages > 0),
    CONSTRAINT programme_hold_is_positive CHECK (hold_seconds > 0),
    CONSTRAINT programme_by_value_has_a_package
        CHECK (package_counting <> 'by_value' OR package_rupiah IS NOT NULL),
    CONSTRAINT programme_package_counting_is_known
        CHECK (package_counting IN ('per_purchase', 'by_value', 'no_limit')),
    CONSTRAINT programme_above_ceiling_is_known CHECK (above_ceiling IN ('decline', 'reduce')),
    CONSTRAINT programme_details_required_is_known CHECK (details_required IN ('never', 'where_ceiling', 'always'))
)
""",
    """
CREATE TABLE reference (
    programme_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT reference_pkey PRIMARY KEY (programme_id)
)
""",
    """
CREATE TABLE month_cap (
    programme_id text COLLATE "C" NOT NULL,
    valid_from date NOT NULL,
    cap_rupiah bigint,
    packages_cap integer,
    CONSTRAINT month_cap_pkey PRIMARY KEY (programme_id, valid_from),
    CONSTRAINT month_cap_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT month_cap_begins_with_a_month CHECK (extract(day FROM valid_from) = 1),
    CONSTRAINT month_cap_caps_are_positive CHECK (cap_rupiah > 0 AND packages_cap > 0)
)
""",
    "COMMENT ON COLUMN month_cap.valid_from IS 'the first day of the first month that it is for'",
    """
CREATE TABLE district (
    programme_id text COLLATE "C" NOT NULL,
    district_code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    CONSTRAINT district_pkey PRIMARY KEY (programme_id, district_code),
    CONSTRAINT district_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id)
)
""",
    """
CREATE TABLE merchant (
    programme_id text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    district_code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    admitted_on date NOT NULL,
    leaves_on date,
    opens_at time,
    closes_at time,
    CONSTRAINT merchant_pkey PRIMARY KEY (programme_id, merchant_id),
    CONSTRAINT merchant_programme_id_district_code_fkey
        FOREIGN KEY (programme_id, district_code) REFERENCES district (programme_id, district_code),
    CONSTRAINT merchant_status_is_known CHECK (status IN ('active', 'suspended')),
    CONSTRAINT merchant_admitted_before_it_leaves CHECK (leaves_on >= admitted_on),
    CONSTRAINT merchant_hours_are_whole CHECK ((opens_at IS NULL) = (closes_at IS NULL))
)
""",
    """
CREATE TABLE terminal (
    programme_id text COLLATE "C" NOT NULL,
    terminal_id text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    status text NOT NULL,
    key_digest bytea NOT NULL,
    key_id smallint NOT NULL,
    CONSTRAINT terminal_pkey PRIMARY KEY (programme_id, terminal_id),
    CONSTRAINT terminal_programme_id_merchant_id_fkey
        FOREIGN KEY (programme_id, merchant_id) REFERENCES merchant (programme_id, merchant_id),
    CONSTRAINT terminal_programme_id_key_digest_key UNIQUE (programme_id, key_digest),
    CONSTRAINT terminal_status_is_known CHECK (status IN ('active', 'suspended', 'unbound', 'revoked'))
)
""",
    """
CREATE TABLE category (
    programme_id text COLLATE "C" NOT NULL,
    category text NOT NULL,
    name text NOT NULL,
    position integer NOT NULL,
    CONSTRAINT category_pkey PRIMARY KEY (programme_id, category),
    CONSTRAINT category_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id)
)
""",
    """
CREATE TABLE product (
    programme_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    unit text NOT NULL,
    category text NOT NULL,
    gtin text,
    CONSTRAINT product_pkey PRIMARY KEY (programme_id, name, unit),
    CONSTRAINT product_programme_id_category_fkey
        FOREIGN KEY (programme_id, category) REFERENCES category (programme_id, category),
    CONSTRAINT product_programme_id_gtin_unit_key UNIQUE (programme_id, gtin, unit),
    CONSTRAINT product_gtin_is_digits CHECK (gtin ~ '^[0-9]{8,14}$')
)
""",
    """
CREATE TABLE price_ceiling (
    programme_id text COLLATE "C" NOT NULL,
    product text NOT NULL,
    unit text NOT NULL,
    district_code text COLLATE "C" NOT NULL,
    valid_from date NOT NULL,
    valid_to date,
    price_rupiah bigint NOT NULL,
    source text NOT NULL,
    CONSTRAINT price_ceiling_pkey PRIMARY KEY (programme_id, product, unit, district_code, valid_from),
    CONSTRAINT price_ceiling_programme_id_product_unit_fkey
        FOREIGN KEY (programme_id, product, unit) REFERENCES product (programme_id, name, unit),
    CONSTRAINT price_ceiling_price_is_positive CHECK (price_rupiah > 0),
    CONSTRAINT price_ceiling_starts_before_it_ends CHECK (valid_to >= valid_from)
)
""",
    "COMMENT ON COLUMN price_ceiling.district_code IS 'empty for every kecamatan'",
    """
CREATE TABLE companion (
    programme_id text COLLATE "C" NOT NULL,
    companion_id text COLLATE "C" NOT NULL,
    label text NOT NULL,
    name_sealed bytea NOT NULL,
    CONSTRAINT companion_pkey PRIMARY KEY (programme_id, companion_id),
    CONSTRAINT companion_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT companion_programme_id_label_key UNIQUE (programme_id, label)
)
""",
    "COMMENT ON COLUMN companion.label IS 'what a message may call the companion: never a name'",
    """
CREATE TABLE beneficiary (
    programme_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C" NOT NULL,
    companion_id text COLLATE "C" NOT NULL,
    district_code text COLLATE "C" NOT NULL,
    status text NOT NULL,
    entered_on date NOT NULL,
    name_sealed bytea NOT NULL,
    nik_sealed bytea NOT NULL,
    nik_digest bytea NOT NULL,
    CONSTRAINT beneficiary_pkey PRIMARY KEY (programme_id, beneficiary_id),
    CONSTRAINT beneficiary_programme_id_nik_digest_key UNIQUE (programme_id, nik_digest),
    CONSTRAINT beneficiary_status_is_known CHECK (status IN ('active', 'suspended', 'removed'))
)
""",
    "CREATE INDEX beneficiary_programme_id_companion_id_idx ON beneficiary (programme_id, companion_id)",
    """
CREATE TABLE card (
    programme_id text COLLATE "C" NOT NULL,
    card_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C" NOT NULL,
    card_digest bytea NOT NULL,
    key_id smallint NOT NULL,
    last_four varchar(4) NOT NULL,
    status text NOT NULL,
    expires_on date NOT NULL,
    CONSTRAINT card_pkey PRIMARY KEY (programme_id, card_id),
    CONSTRAINT card_programme_id_card_digest_key UNIQUE (programme_id, card_digest),
    CONSTRAINT card_status_is_known
        CHECK (status IN ('not_activated', 'active', 'blocked', 'lost', 'stolen', 'replaced')),
    CONSTRAINT card_last_four_are_digits CHECK (last_four ~ '^[0-9]{4}$')
)
""",
    """
CREATE UNIQUE INDEX card_one_active_per_beneficiary_key ON card (programme_id, beneficiary_id)
    WHERE status = 'active'
""",
    """
CREATE TABLE account (
    programme_id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    CONSTRAINT account_pkey PRIMARY KEY (programme_id, account_id),
    CONSTRAINT account_kind_is_known
        CHECK (kind IN ('fund', 'sponsor', 'unallocated', 'clearing', 'beneficiary', 'merchant'))
)
""",
    """
CREATE TABLE wallet (
    programme_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    available_rupiah bigint NOT NULL,
    held_rupiah bigint NOT NULL,
    spent_rupiah bigint NOT NULL,
    CONSTRAINT wallet_pkey PRIMARY KEY (programme_id, beneficiary_id),
    CONSTRAINT wallet_available_is_never_negative CHECK (available_rupiah >= 0),
    CONSTRAINT wallet_held_is_never_negative CHECK (held_rupiah >= 0),
    CONSTRAINT wallet_spent_is_never_negative CHECK (spent_rupiah >= 0)
) WITH (fillfactor = 80)
""",
    """
CREATE TABLE allowance (
    programme_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C" NOT NULL,
    month date NOT NULL,
    cap_rupiah bigint,
    packages_cap integer,
    used_rupiah bigint NOT NULL,
    packages_used integer NOT NULL,
    covered_rupiah bigint NOT NULL,
    covered_packages integer NOT NULL,
    CONSTRAINT allowance_pkey PRIMARY KEY (programme_id, beneficiary_id, month),
    CONSTRAINT allowance_used_is_within_the_cap CHECK (used_rupiah <= cap_rupiah + covered_rupiah),
    CONSTRAINT allowance_packages_are_within_the_cap CHECK (packages_used <= packages_cap + covered_packages),
    CONSTRAINT allowance_covered_is_part_of_used CHECK (covered_rupiah >= 0 AND covered_rupiah <= used_rupiah),
    CONSTRAINT allowance_packages_are_never_negative CHECK (packages_used >= 0 AND covered_packages >= 0)
) WITH (fillfactor = 80)
""",
    """
CREATE TABLE voucher (
    programme_id text COLLATE "C" NOT NULL,
    voucher_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C" NOT NULL,
    companion_id text COLLATE "C" NOT NULL,
    month date NOT NULL,
    extra_rupiah bigint NOT NULL,
    extra_packages integer NOT NULL,
    used_rupiah bigint NOT NULL,
    packages_used integer NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT voucher_pkey PRIMARY KEY (programme_id, voucher_id),
    CONSTRAINT voucher_gives_something
        CHECK (extra_rupiah >= 0 AND extra_packages >= 0 AND extra_rupiah + extra_packages > 0),
    CONSTRAINT voucher_used_is_within_extra CHECK (used_rupiah BETWEEN 0 AND extra_rupiah),
    CONSTRAINT voucher_packages_are_within_extra CHECK (packages_used BETWEEN 0 AND extra_packages),
    CONSTRAINT voucher_lives_before_it_ends CHECK (expires_at > created_at)
)
""",
    "CREATE INDEX voucher_programme_id_beneficiary_id_month_idx ON voucher (programme_id, beneficiary_id, month)",
    """
CREATE TABLE voucher_use (
    programme_id text COLLATE "C" NOT NULL,
    authorisation_id text COLLATE "C" NOT NULL,
    voucher_id text COLLATE "C" NOT NULL,
    used_rupiah bigint NOT NULL,
    packages_used integer NOT NULL,
    CONSTRAINT voucher_use_pkey PRIMARY KEY (programme_id, authorisation_id, voucher_id),
    CONSTRAINT voucher_use_is_never_negative CHECK (used_rupiah >= 0 AND packages_used >= 0)
)
""",
    """
CREATE TABLE request_key (
    programme_id text COLLATE "C" NOT NULL,
    principal_id text COLLATE "C" NOT NULL,
    key_digest bytea NOT NULL,
    key_id smallint NOT NULL,
    fingerprint bytea NOT NULL,
    stan text,
    terminal_time timestamptz,
    authorisation_id text COLLATE "C",
    status smallint NOT NULL,
    answer bytea,
    reversal_answer bytea,
    created_at timestamptz NOT NULL,
    CONSTRAINT request_key_pkey PRIMARY KEY (programme_id, principal_id, key_digest)
)
""",
    """
CREATE UNIQUE INDEX request_key_stan_key ON request_key (programme_id, principal_id, stan, terminal_time)
    WHERE stan IS NOT NULL
""",
    "COMMENT ON COLUMN request_key.status IS 'HTTP status of the stored answer'",
    "COMMENT ON COLUMN request_key.answer IS 'NULL where the authorisation keeps it'",
    """
CREATE TABLE authorisation (
    programme_id text COLLATE "C" NOT NULL,
    authorisation_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    terminal_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C",
    card_id text COLLATE "C",
    month date NOT NULL,
    reason text NOT NULL,
    amount_rupiah bigint NOT NULL,
    approved_rupiah bigint NOT NULL,
    reduction_rupiah bigint NOT NULL,
    request_id text NOT NULL,
    journal jsonb NOT NULL,
    answer bytea NOT NULL,
    CONSTRAINT authorisation_pkey PRIMARY KEY (programme_id, authorisation_id),
    CONSTRAINT authorisation_amount_is_positive CHECK (amount_rupiah > 0),
    CONSTRAINT authorisation_approved_is_never_negative CHECK (approved_rupiah >= 0 AND reduction_rupiah >= 0),
    CONSTRAINT authorisation_approved_is_part_of_amount CHECK (approved_rupiah + reduction_rupiah <= amount_rupiah),
    CONSTRAINT authorisation_approved_is_more_than_nothing CHECK ((reason = 'approved') = (approved_rupiah > 0))
)
""",
    "COMMENT ON COLUMN authorisation.journal IS 'what was asked, the facts seen, the versions'",
    "COMMENT ON COLUMN authorisation.answer IS 'the first answer, byte for byte'",
    """
CREATE TABLE hold (
    programme_id text COLLATE "C" NOT NULL,
    authorisation_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    month date NOT NULL,
    status text NOT NULL,
    approved_rupiah bigint NOT NULL,
    held_rupiah bigint NOT NULL,
    captured_rupiah bigint NOT NULL,
    refunded_rupiah bigint NOT NULL,
    packages smallint NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT hold_pkey PRIMARY KEY (programme_id, authorisation_id),
    CONSTRAINT hold_status_is_known
        CHECK (status IN ('held', 'partly_captured', 'captured', 'voided', 'expired', 'reversed')),
    CONSTRAINT hold_held_is_never_negative CHECK (held_rupiah >= 0 AND captured_rupiah >= 0),
    CONSTRAINT hold_captured_is_within_the_hold CHECK (held_rupiah + captured_rupiah <= approved_rupiah),
    CONSTRAINT hold_refunded_is_within_captured CHECK (refunded_rupiah BETWEEN 0 AND captured_rupiah),
    CONSTRAINT hold_open_is_what_is_held CHECK ((held_rupiah > 0) = (status IN ('held', 'partly_captured'))),
    CONSTRAINT hold_packages_are_one_at_most CHECK (packages IN (0, 1))
) WITH (fillfactor = 80)
""",
    "CREATE INDEX hold_programme_id_beneficiary_id_idx ON hold (programme_id, beneficiary_id)",
    "CREATE INDEX hold_programme_id_expires_at_idx ON hold (programme_id, expires_at)",
    "COMMENT ON COLUMN hold.packages IS 'packages of the month it still uses'",
    """
CREATE TABLE transfer (
    programme_id text COLLATE "C" NOT NULL,
    transfer_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    cause text NOT NULL,
    debit_account_id text COLLATE "C" NOT NULL,
    credit_account_id text COLLATE "C" NOT NULL,
    amount_rupiah bigint NOT NULL,
    authorisation_id text COLLATE "C",
    reason text,
    created_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT transfer_pkey PRIMARY KEY (programme_id, transfer_id),
    CONSTRAINT transfer_amount_is_positive CHECK (amount_rupiah > 0),
    CONSTRAINT transfer_accounts_differ CHECK (debit_account_id <> credit_account_id),
    CONSTRAINT transfer_kind_is_known
        CHECK (kind IN ('fund', 'grant', 'hold', 'post', 'release', 'refund', 'payout',
            'payout_settled', 'payout_failed', 'return')),
    CONSTRAINT transfer_of_a_hold
        CHECK ((kind IN ('hold', 'post', 'release', 'refund')) = (authorisation_id IS NOT NULL))
)
""",
    """
CREATE INDEX transfer_authorisation_idx ON transfer (programme_id, authorisation_id)
    WHERE authorisation_id IS NOT NULL
""",
    "COMMENT ON COLUMN request_key.reversal_answer IS 'what its reversal was answered: since then it is dead'",
    "COMMENT ON COLUMN transfer.reason IS 'what the till said, where it may say why'",
    "COMMENT ON COLUMN transfer.created_at IS 'the business instant'",
)

FUNCTIONS = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
""",
    """
CREATE FUNCTION raise_reference_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    UPDATE reference SET version = version + 1 WHERE programme_id IN (SELECT programme_id FROM old_rows);
  ELSE
    UPDATE reference SET version = version + 1 WHERE programme_id IN (SELECT programme_id FROM new_rows);
  END IF;
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION raise_wallet_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE wallet SET version = version + 1
   WHERE programme_id = COALESCE(NEW.programme_id, OLD.programme_id)
     AND beneficiary_id IN (NEW.beneficiary_id, OLD.beneficiary_id);
  RETURN NULL;
END $$
""",
)

TRIGGERS = (
    """
CREATE TRIGGER transfer_is_immutable BEFORE UPDATE OR DELETE ON transfer
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER transfer_is_kept BEFORE TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER authorisation_is_immutable BEFORE UPDATE OR DELETE ON authorisation
    FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER authorisation_is_kept BEFORE TRUNCATE ON authorisation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER month_cap_insert_raises_version AFTER INSERT ON month_cap REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER month_cap_update_raises_version AFTER UPDATE ON month_cap REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER month_cap_delete_raises_version AFTER DELETE ON month_cap REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER programme_insert_raises_version AFTER INSERT ON programme REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER programme_update_raises_version AFTER UPDATE ON programme REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER programme_delete_raises_version AFTER DELETE ON programme REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER district_insert_raises_version AFTER INSERT ON district REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER district_update_raises_version AFTER UPDATE ON district REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER district_delete_raises_version AFTER DELETE ON district REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER merchant_insert_raises_version AFTER INSERT ON merchant REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER merchant_update_raises_version AFTER UPDATE ON merchant REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER merchant_delete_raises_version AFTER DELETE ON merchant REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER terminal_insert_raises_version AFTER INSERT ON terminal REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER terminal_update_raises_version AFTER UPDATE ON terminal REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER terminal_delete_raises_version AFTER DELETE ON terminal REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER category_insert_raises_version AFTER INSERT ON category REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER category_update_raises_version AFTER UPDATE ON category REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER category_delete_raises_version AFTER DELETE ON category REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER product_insert_raises_version AFTER INSERT ON product REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER product_update_raises_version AFTER UPDATE ON product REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER product_delete_raises_version AFTER DELETE ON product REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER price_ceiling_insert_raises_version AFTER INSERT ON price_ceiling REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER price_ceiling_update_raises_version AFTER UPDATE ON price_ceiling REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER price_ceiling_delete_raises_version AFTER DELETE ON price_ceiling REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER companion_insert_raises_version AFTER INSERT ON companion REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER companion_update_raises_version AFTER UPDATE ON companion REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER companion_delete_raises_version AFTER DELETE ON companion REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()
""",
    """
CREATE TRIGGER beneficiary_raises_wallet_version AFTER INSERT OR DELETE OR UPDATE OF status, companion_id ON beneficiary
    FOR EACH ROW EXECUTE FUNCTION raise_wallet_version()
""",
    """
CREATE TRIGGER card_raises_wallet_version AFTER INSERT OR DELETE OR UPDATE OF status, beneficiary_id, expires_on ON card
    FOR EACH ROW EXECUTE FUNCTION raise_wallet_version()
""",
    """
CREATE TRIGGER voucher_raises_wallet_version AFTER INSERT OR DELETE OR
    UPDATE OF extra_rupiah, extra_packages, expires_at, revoked_at ON voucher
    FOR EACH ROW EXECUTE FUNCTION raise_wallet_version()
""",
)
