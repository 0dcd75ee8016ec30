"""A list of families is imported, approved by somebody else, and becomes the roll at one instant.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables, new columns without a value, wider sets of words: older programs go on without them.

    None of those may decide any more once a list is applied: they would not see who has left.
    """
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*WORDS, *COLUMNS, *CARDS, *TABLES, *COMMENTS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0016 does not downgrade: families that have left would be on the roll again")


WORDS = (
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
    'person_added', 'person_role_set', 'person_password_set', 'person_disabled', 'person_enabled',
    'roll_imported', 'roll_approved', 'roll_applied', 'roll_withdrawn'))
""",
    "ALTER TABLE family_change DROP CONSTRAINT family_change_kind_is_known",
    """
ALTER TABLE family_change ADD CONSTRAINT family_change_kind_is_known CHECK (kind IN (
    'enter', 'suspend', 'resume', 'remove', 'merge', 'move', 'card', 'details'))
""",
)
COLUMNS = (
    'ALTER TABLE programme ADD COLUMN roll_import_id text COLLATE "C"',
    "ALTER TABLE beneficiary ADD COLUMN leaves_at timestamptz, ADD COLUMN kk_digest bytea",
    """
CREATE INDEX beneficiary_programme_id_leaves_at_idx ON beneficiary (programme_id, leaves_at)
 WHERE leaves_at IS NOT NULL
""",
    """
CREATE INDEX beneficiary_programme_id_kk_digest_idx ON beneficiary (programme_id, kk_digest)
 WHERE kk_digest IS NOT NULL
""",
)
# A family's cards, also those that are dead: until now each look read every card of the programme.
CARDS = ("CREATE INDEX card_programme_id_beneficiary_id_idx ON card (programme_id, beneficiary_id)",)
TABLES = (
    """
CREATE TABLE roll_import (
    programme_id TEXT COLLATE "C" NOT NULL,
    import_id TEXT COLLATE "C" NOT NULL,
    imported_at TIMESTAMP WITH TIME ZONE NOT NULL,
    imported_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    file_digest BYTEA NOT NULL,
    effective_on DATE,
    unchanged INTEGER NOT NULL,
    entering INTEGER NOT NULL,
    changing INTEGER NOT NULL,
    merging INTEGER NOT NULL,
    leaving INTEGER NOT NULL,
    granting_rupiah BIGINT NOT NULL,
    returning_rupiah BIGINT NOT NULL,
    unallocated_rupiah BIGINT NOT NULL,
    approved_at TIMESTAMP WITH TIME ZONE,
    approved_by TEXT,
    applied_at TIMESTAMP WITH TIME ZONE,
    applied_by TEXT,
    effective_at TIMESTAMP WITH TIME ZONE,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    withdrawn_by TEXT,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT roll_import_pkey PRIMARY KEY (programme_id, import_id),
    CONSTRAINT roll_import_four_eyes CHECK (lower(btrim(approved_by)) <> lower(btrim(imported_by))),
    CONSTRAINT roll_import_somebody_approved CHECK ((approved_at IS NULL) = (approved_by IS NULL)),
    CONSTRAINT roll_import_is_approved_first CHECK (applied_at IS NULL OR approved_at IS NOT NULL),
    CONSTRAINT roll_import_holds_from_an_instant CHECK ((applied_at IS NULL) = (effective_at IS NULL)),
    CONSTRAINT roll_import_is_applied_or_withdrawn CHECK (withdrawn_at IS NULL OR applied_at IS NULL),
    CONSTRAINT roll_import_finishes_as_something CHECK (finished_at IS NULL OR coalesce(withdrawn_at, applied_at) IS NOT NULL)
)
""",
    "CREATE UNIQUE INDEX roll_import_one_open_key ON roll_import (programme_id) WHERE finished_at IS NULL",
    """
CREATE TABLE roll_import_row (
    programme_id TEXT COLLATE "C" NOT NULL,
    import_id TEXT COLLATE "C" NOT NULL,
    beneficiary_id TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    row_number BIGINT,
    seen BYTEA,
    changes TEXT[],
    survivor_id TEXT COLLATE "C",
    companion_id TEXT COLLATE "C",
    district_code TEXT COLLATE "C",
    name_sealed BYTEA,
    name_words BYTEA[],
    nik_sealed BYTEA,
    nik_digest BYTEA,
    kk_digest BYTEA,
    card_digest BYTEA,
    last_four VARCHAR(4),
    amount_rupiah BIGINT,
    CONSTRAINT roll_import_row_pkey PRIMARY KEY (programme_id, import_id, beneficiary_id),
    CONSTRAINT roll_import_row_kind_is_known CHECK (kind IN ('same', 'enter', 'change', 'merge', 'leave')),
    CONSTRAINT roll_import_row_merges_into_another CHECK ((kind = 'merge') = (survivor_id IS NOT NULL))
)
""",
)
COMMENTS = (
    "COMMENT ON COLUMN roll_import.file_digest IS 'SHA-256'",
    "COMMENT ON COLUMN roll_import.effective_on IS 'NULL: from its application on'",
    "COMMENT ON COLUMN roll_import.finished_at IS 'no row of it is left'",
    "COMMENT ON COLUMN roll_import_row.row_number IS 'NULL: the list does not name it'",
    "COMMENT ON COLUMN roll_import_row.seen IS 'digest of the family as the roll had it'",
    "COMMENT ON COLUMN roll_import_row.changes IS 'NULL: none'",
    "COMMENT ON COLUMN beneficiary.leaves_at IS 'from then on it is removed, by a roll that was imported; written or not'",
    "COMMENT ON COLUMN beneficiary.kk_digest IS 'of the number of its family card, once a list has named it'",
)
