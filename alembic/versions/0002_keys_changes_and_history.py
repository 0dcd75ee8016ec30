"""Companions and operators have keys, vouchers bounds, families dated changes, and reference data a history.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No release has run on 0001, so `voucher_use` goes at once; from the first release on that takes two steps."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*COLUMNS, *TABLES, *FUNCTIONS, *TRIGGERS, *BACKFILL):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0002 does not downgrade: what families' changes and keys say would be lost")


COLUMNS = (
    """
ALTER TABLE programme
    ADD COLUMN voucher_limit_rupiah bigint,
    ADD COLUMN voucher_limit_packages integer,
    ADD COLUMN voucher_month_limit_rupiah bigint,
    ADD COLUMN voucher_month_limit_packages integer,
    ADD COLUMN voucher_approval_above_rupiah bigint,
    ADD COLUMN voucher_approval_above_packages integer,
    ADD COLUMN closed_at timestamptz,
    ADD CONSTRAINT programme_voucher_limits_are_never_negative CHECK (
        voucher_limit_rupiah >= 0 AND voucher_limit_packages >= 0 AND voucher_month_limit_rupiah >= 0
        AND voucher_month_limit_packages >= 0 AND voucher_approval_above_rupiah >= 0
        AND voucher_approval_above_packages >= 0),
    ADD CONSTRAINT programme_closes_after_it_ends CHECK (closed_at >= ends_at)
""",
    "COMMENT ON COLUMN programme.closed_at IS 'since then no money moves any more'",
    """
ALTER TABLE beneficiary
    ADD COLUMN next_status text,
    ADD COLUMN next_status_at timestamptz,
    ADD COLUMN merged_into text COLLATE "C",
    ADD CONSTRAINT beneficiary_next_status_is_known CHECK (next_status IN ('active', 'suspended', 'removed')),
    ADD CONSTRAINT beneficiary_next_status_is_dated CHECK ((next_status IS NULL) = (next_status_at IS NULL)),
    ADD CONSTRAINT beneficiary_merges_into_another CHECK (merged_into <> beneficiary_id)
""",
    "COMMENT ON COLUMN beneficiary.next_status IS 'what the status is from next_status_at on, written or not'",
    """
CREATE INDEX beneficiary_due_idx ON beneficiary (programme_id, next_status_at) WHERE next_status_at IS NOT NULL
""",
    """
ALTER TABLE voucher
    ADD COLUMN approved_at timestamptz,
    ADD COLUMN approved_by text COLLATE "C",
    ADD COLUMN revoked_by text COLLATE "C",
    ADD COLUMN revocation_reason text
""",
    "COMMENT ON COLUMN voucher.approved_at IS 'until then it waits for an operator and covers nothing'",
    "CREATE INDEX voucher_programme_id_companion_id_idx ON voucher (programme_id, companion_id)",
    "CREATE INDEX transfer_of_no_purchase_idx ON transfer (programme_id, kind) WHERE authorisation_id IS NULL",
)

TABLES = (
    """
CREATE TABLE reference_history (
    programme_id text COLLATE "C" NOT NULL,
    relation text NOT NULL,
    version bigint NOT NULL,
    place integer NOT NULL,
    operation text NOT NULL,
    row jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reference_history_pkey PRIMARY KEY (programme_id, relation, version, place),
    CONSTRAINT reference_history_operation_is_known CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE'))
)
""",
    "COMMENT ON COLUMN reference_history.row IS 'without digests and sealed names'",
    """
CREATE TABLE operator (
    programme_id text COLLATE "C" NOT NULL,
    operator_id text COLLATE "C" NOT NULL,
    label text NOT NULL,
    CONSTRAINT operator_pkey PRIMARY KEY (programme_id, operator_id),
    CONSTRAINT operator_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES programme (programme_id),
    CONSTRAINT operator_programme_id_label_key UNIQUE (programme_id, label)
)
""",
    "COMMENT ON COLUMN operator.label IS 'an office or a desk: never a name'",
    """
CREATE TABLE access_key (
    programme_id text COLLATE "C" NOT NULL,
    key_digest bytea NOT NULL,
    key_id smallint NOT NULL,
    companion_id text COLLATE "C",
    operator_id text COLLATE "C",
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT access_key_pkey PRIMARY KEY (programme_id, key_digest),
    CONSTRAINT access_key_programme_id_companion_id_fkey FOREIGN KEY (programme_id, companion_id)
        REFERENCES companion (programme_id, companion_id),
    CONSTRAINT access_key_programme_id_operator_id_fkey FOREIGN KEY (programme_id, operator_id)
        REFERENCES operator (programme_id, operator_id),
    CONSTRAINT access_key_is_of_one_principal CHECK ((companion_id IS NULL) <> (operator_id IS NULL))
)
""",
    "CREATE INDEX access_key_key_digest_idx ON access_key (key_digest)",
    """
CREATE TABLE family_change (
    programme_id text COLLATE "C" NOT NULL,
    change_id text COLLATE "C" NOT NULL,
    beneficiary_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    effective_at timestamptz NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    detail jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT family_change_pkey PRIMARY KEY (programme_id, change_id),
    CONSTRAINT family_change_kind_is_known CHECK (
        kind IN ('enter', 'suspend', 'resume', 'remove', 'merge', 'move', 'card'))
)
""",
    "COMMENT ON COLUMN family_change.detail IS 'ids and rupiah, nothing personal'",
    "CREATE INDEX family_change_programme_id_beneficiary_id_idx ON family_change (programme_id, beneficiary_id)",
    """
CREATE TABLE voucher_movement (
    programme_id text COLLATE "C" NOT NULL,
    transfer_id text COLLATE "C" NOT NULL,
    voucher_id text COLLATE "C" NOT NULL,
    authorisation_id text COLLATE "C" NOT NULL,
    used_rupiah bigint NOT NULL,
    packages_used integer NOT NULL,
    CONSTRAINT voucher_movement_pkey PRIMARY KEY (programme_id, transfer_id, voucher_id),
    CONSTRAINT voucher_movement_moves_something CHECK (used_rupiah <> 0 OR packages_used <> 0),
    CONSTRAINT voucher_movement_goes_one_way CHECK (used_rupiah::numeric * packages_used >= 0)
)
""",
    "CREATE INDEX voucher_movement_programme_id_authorisation_id_idx ON voucher_movement (programme_id, authorisation_id)",
    "CREATE INDEX voucher_movement_programme_id_voucher_id_idx ON voucher_movement (programme_id, voucher_id)",
    """
INSERT INTO voucher_movement (programme_id, transfer_id, voucher_id, authorisation_id, used_rupiah, packages_used)
SELECT u.programme_id, t.transfer_id, u.voucher_id, u.authorisation_id, u.used_rupiah, u.packages_used
  FROM voucher_use u
  JOIN transfer t ON t.programme_id = u.programme_id AND t.authorisation_id = u.authorisation_id AND t.kind = 'hold'
 WHERE u.used_rupiah > 0 OR u.packages_used > 0
""",
    "DROP TABLE voucher_use",
)

FUNCTIONS = (
    """
CREATE OR REPLACE FUNCTION raise_reference_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    UPDATE reference SET version = version + 1 WHERE programme_id IN (SELECT programme_id FROM old_rows);
    INSERT INTO reference_history (programme_id, relation, version, place, operation, row)
    SELECT r.programme_id, TG_TABLE_NAME, r.version, row_number() OVER (), TG_OP,
           to_jsonb(o) - '{key_digest,name_sealed}'::text[]
      FROM old_rows o JOIN reference r USING (programme_id);
  ELSE
    UPDATE reference SET version = version + 1 WHERE programme_id IN (SELECT programme_id FROM new_rows);
    INSERT INTO reference_history (programme_id, relation, version, place, operation, row)
    SELECT r.programme_id, TG_TABLE_NAME, r.version, row_number() OVER (), TG_OP,
           to_jsonb(n) - '{key_digest,name_sealed}'::text[]
      FROM new_rows n JOIN reference r USING (programme_id);
  END IF;
  RETURN NULL;
END $$
""",
)

TRIGGERS = (
    "CREATE TRIGGER voucher_movement_is_immutable BEFORE UPDATE OR DELETE ON voucher_movement FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER voucher_movement_is_kept BEFORE TRUNCATE ON voucher_movement FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER family_change_is_immutable BEFORE UPDATE OR DELETE ON family_change FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER family_change_is_kept BEFORE TRUNCATE ON family_change FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER reference_history_is_immutable BEFORE UPDATE OR DELETE ON reference_history FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER reference_history_is_kept BEFORE TRUNCATE ON reference_history FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "DROP TRIGGER beneficiary_raises_wallet_version ON beneficiary",
    "CREATE TRIGGER beneficiary_raises_wallet_version AFTER INSERT OR DELETE OR UPDATE OF status, companion_id, next_status, next_status_at ON beneficiary FOR EACH ROW EXECUTE FUNCTION raise_wallet_version()",
    "DROP TRIGGER voucher_raises_wallet_version ON voucher",
    "CREATE TRIGGER voucher_raises_wallet_version AFTER INSERT OR DELETE OR UPDATE OF extra_rupiah, extra_packages, expires_at, revoked_at, approved_at ON voucher FOR EACH ROW EXECUTE FUNCTION raise_wallet_version()",
)

_RELATIONS = (
    "programme",
    "month_cap",
    "district",
    "merchant",
    "terminal",
    "category",
    "product",
    "price_ceiling",
    "companion",
)
BACKFILL = (
    "UPDATE voucher SET approved_at = created_at WHERE approved_at IS NULL",
    # What decisions before this migration saw is not known; from here on it is.
    *(
        "INSERT INTO reference_history (programme_id, relation, version, place, operation, row)"  # noqa: S608
        f" SELECT programme_id, '{relation}', version, row_number() OVER (), 'INSERT',"
        " to_jsonb(t) - '{key_digest,name_sealed}'::text[]"
        f" FROM {relation} t JOIN reference USING (programme_id)"
        for relation in _RELATIONS
    ),
)
