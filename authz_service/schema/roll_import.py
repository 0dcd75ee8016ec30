"""Lists of families that were sent; their rows are there only until the list is written or withdrawn."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from authz_service.schema.columns import Instant, id_column, metadata, one_of, rupiah_column

# One list: who sent it, what it would do and did, who approved it. No name and no number.
roll_import = Table(
    "roll_import",
    metadata,
    id_column("programme_id"),
    id_column("import_id"),
    Column("imported_at", Instant, nullable=False),
    Column("imported_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("file_digest", LargeBinary, nullable=False, comment="SHA-256"),
    Column("effective_on", Date, comment="NULL: from its application on"),
    Column("unchanged", Integer, nullable=False),
    Column("entering", Integer, nullable=False),
    Column("changing", Integer, nullable=False),
    Column("merging", Integer, nullable=False),
    Column("leaving", Integer, nullable=False),
    rupiah_column("granting_rupiah"),
    rupiah_column("returning_rupiah"),
    rupiah_column("unallocated_rupiah"),
    Column("approved_at", Instant),
    Column("approved_by", Text),
    Column("applied_at", Instant),
    Column("applied_by", Text),
    Column("effective_at", Instant),
    Column("withdrawn_at", Instant),
    Column("withdrawn_by", Text),
    Column("finished_at", Instant, comment="no row of it is left"),
    PrimaryKeyConstraint("programme_id", "import_id"),
    Index(
        "roll_import_one_open_key",
        "programme_id",
        unique=True,
        postgresql_where=text("finished_at IS NULL"),
    ),
    CheckConstraint("lower(btrim(approved_by)) <> lower(btrim(imported_by))", name="four_eyes"),
    CheckConstraint("(approved_at IS NULL) = (approved_by IS NULL)", name="somebody_approved"),
    CheckConstraint("applied_at IS NULL OR approved_at IS NOT NULL", name="is_approved_first"),
    CheckConstraint("(applied_at IS NULL) = (effective_at IS NULL)", name="holds_from_an_instant"),
    CheckConstraint("withdrawn_at IS NULL OR applied_at IS NULL", name="is_applied_or_withdrawn"),
    CheckConstraint(
        "finished_at IS NULL OR coalesce(withdrawn_at, applied_at) IS NOT NULL", name="finishes_as_something"
    ),
)

# One family of a list. `beneficiary_id` of a newcomer is the one it will have.
roll_import_row = Table(
    "roll_import_row",
    metadata,
    id_column("programme_id"),
    id_column("import_id"),
    id_column("beneficiary_id"),
    Column("kind", Text, nullable=False),
    Column("row_number", BigInteger, comment="NULL: the list does not name it"),
    Column("seen", LargeBinary, comment="digest of the family as the roll had it"),
    Column("changes", ARRAY(Text), comment="NULL: none"),
    id_column("survivor_id", nullable=True),
    id_column("companion_id", nullable=True),
    id_column("district_code", nullable=True),
    Column("name_sealed", LargeBinary),
    Column("nik_sealed", LargeBinary),
    Column("nik_digest", LargeBinary),
    Column("kk_digest", LargeBinary),
    Column("card_digest", LargeBinary),
    Column("last_four", String(4)),
    rupiah_column("amount_rupiah", nullable=True),
    PrimaryKeyConstraint("programme_id", "import_id", "beneficiary_id"),
    one_of("kind", "same", "enter", "change", "merge", "leave"),
    CheckConstraint("(kind = 'merge') = (survivor_id IS NOT NULL)", name="merges_into_another"),
)
