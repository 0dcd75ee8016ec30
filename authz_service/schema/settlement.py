"""Settlement: where shops want their money, which transfer is in which batch, what the bank was told."""

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    text,
)

from authz_service.schema.columns import Instant, Rupiah, id_column, metadata, one_of, rupiah_column

_ADDS_UP = "brought_rupiah + captured_rupiah - refunded_rupiah + returned_rupiah = instructed_rupiah + carried_rupiah"

# The newest that is approved is in force; it is approved by somebody else than asked for it.
payout_account = Table(
    "payout_account",
    metadata,
    id_column("programme_id"),
    id_column("account_ref"),
    id_column("merchant_id"),
    Column("bank_code", Text, nullable=False),
    Column("account_number", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("approved_at", Instant),
    Column("approved_by", Text),
    PrimaryKeyConstraint("programme_id", "account_ref"),
    ForeignKeyConstraint(["programme_id", "merchant_id"], ["merchant.programme_id", "merchant.merchant_id"]),
    Index(None, "programme_id", "merchant_id"),
    CheckConstraint("bank_code ~ '^[0-9]{3}$'", name="bank_code_is_digits"),
    CheckConstraint("account_number ~ '^[0-9]{5,34}$'", name="account_number_is_digits"),
    CheckConstraint("holder ~ '^[^[:cntrl:]]{1,70}$'", name="holder_is_one_line"),
    CheckConstraint("(approved_at IS NULL) = (approved_by IS NULL)", name="approval_is_whole"),
    CheckConstraint("lower(btrim(approved_by)) <> lower(btrim(requested_by))", name="four_eyes"),
    CheckConstraint("approved_at >= requested_at", name="approved_after_it_was_requested"),
)

settlement_batch = Table(
    "settlement_batch",
    metadata,
    id_column("programme_id"),
    id_column("batch_id"),
    Column("number", Integer, nullable=False),
    Column("cut_off_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("items", Integer, nullable=False),
    Column("brought_rupiah", Rupiah, nullable=False, comment="what shops were owed, or owed, before it"),
    rupiah_column("captured_rupiah"),
    rupiah_column("refunded_rupiah"),
    Column("returned_rupiah", Rupiah, nullable=False, comment="payouts that came back and were released"),
    rupiah_column("instructed_rupiah"),
    rupiah_column("carried_rupiah"),
    Column("hash", LargeBinary, nullable=False, comment="over its canonical lines and the hash of the batch before"),
    PrimaryKeyConstraint("programme_id", "batch_id"),
    UniqueConstraint("programme_id", "number"),
    UniqueConstraint("programme_id", "cut_off_at"),
    CheckConstraint("number > 0", name="number_is_positive"),
    CheckConstraint("closed_at >= cut_off_at", name="closed_after_its_cut_off"),
    CheckConstraint(
        "items >= 0 AND captured_rupiah >= 0 AND refunded_rupiah >= 0 AND returned_rupiah >= 0"
        " AND instructed_rupiah >= 0",
        name="amounts_are_never_negative",
    ),
    CheckConstraint(_ADDS_UP, name="adds_up"),
    CheckConstraint("octet_length(hash) = 32", name="hash_is_whole"),
)

# A transfer is in one batch at most, for ever.
settlement_item = Table(
    "settlement_item",
    metadata,
    id_column("programme_id"),
    id_column("transfer_id"),
    id_column("batch_id"),
    id_column("merchant_id"),
    Column("amount_rupiah", Rupiah, nullable=False, comment="what the shop is owed for it; refunds are below nothing"),
    PrimaryKeyConstraint("programme_id", "transfer_id"),
    Index(None, "programme_id", "batch_id"),
    CheckConstraint("amount_rupiah <> 0", name="amount_is_something"),
)

settlement_position = Table(
    "settlement_position",
    metadata,
    id_column("programme_id"),
    id_column("batch_id"),
    id_column("merchant_id"),
    rupiah_column("brought_rupiah"),
    rupiah_column("captured_rupiah"),
    rupiah_column("refunded_rupiah"),
    rupiah_column("returned_rupiah"),
    rupiah_column("instructed_rupiah"),
    rupiah_column("carried_rupiah"),
    Column("carried_because", Text),
    PrimaryKeyConstraint("programme_id", "batch_id", "merchant_id"),
    CheckConstraint(
        "captured_rupiah >= 0 AND refunded_rupiah >= 0 AND returned_rupiah >= 0 AND instructed_rupiah >= 0",
        name="amounts_are_never_negative",
    ),
    CheckConstraint(_ADDS_UP, name="adds_up"),
    CheckConstraint("instructed_rupiah = 0 OR carried_rupiah = 0", name="is_paid_or_carried"),
    CheckConstraint(
        "CASE carried_because WHEN 'below_nothing' THEN carried_rupiah < 0 WHEN 'no_account' THEN carried_rupiah > 0"
        " ELSE carried_rupiah = 0 END",
        name="carried_has_a_reason",
    ),
)

payout_instruction = Table(
    "payout_instruction",
    metadata,
    id_column("programme_id"),
    id_column("instruction_id"),
    id_column("batch_id"),
    id_column("merchant_id"),
    rupiah_column("amount_rupiah"),
    Column("bank_code", Text, nullable=False),
    Column("account_number", Text, nullable=False, comment="as it was then; shown whole in the bank's file alone"),
    Column("holder", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "instruction_id"),
    # A shop that is owed more than one payout may be has several in a batch.
    Index(None, "programme_id", "batch_id"),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
    CheckConstraint("length(instruction_id) <= 64", name="id_fits_the_bank"),
)

payout_event = Table(
    "payout_event",
    metadata,
    id_column("programme_id"),
    id_column("instruction_id"),
    Column("event", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("bank_reference", Text),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    PrimaryKeyConstraint("programme_id", "instruction_id", "event"),
    ForeignKeyConstraint(
        ["programme_id", "instruction_id"], ["payout_instruction.programme_id", "payout_instruction.instruction_id"]
    ),
    one_of("event", "settled", "failed", "returned", "released"),
    one_of("source", "operator", "notice", "statement"),
)

# Flagged purchases, whose captures and refunds go into no batch until they are released.
settlement_wait = Table(
    "settlement_wait",
    metadata,
    id_column("programme_id"),
    id_column("authorisation_id"),
    Column("flagged_at", Instant, nullable=False),
    Column("flagged_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("released_at", Instant),
    Column("released_by", Text),
    Column("release_reason", Text),
    PrimaryKeyConstraint("programme_id", "authorisation_id", "flagged_at"),
    Index(
        "settlement_wait_open_key",
        "programme_id",
        "authorisation_id",
        unique=True,
        postgresql_where=text("released_at IS NULL"),
    ),
    CheckConstraint(
        "(released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_reason IS NULL)",
        name="release_is_whole",
    ),
    CheckConstraint("released_at >= flagged_at", name="released_after_it_was_flagged"),
)

# Changes of the programme's cut-off, each from a day on that had not begun when it was ordered.
settlement_schedule = Table(
    "settlement_schedule",
    metadata,
    id_column("programme_id"),
    Column("valid_from", Date, nullable=False, comment="before it, the row before, or else the programme's own"),
    Column("cut_off", Time, comment="wall clock of the zone; NULL: no scheduled settlement"),
    Column("days", ARRAY(SmallInteger), comment="ISO weekdays, Monday is 1"),
    PrimaryKeyConstraint("programme_id", "valid_from"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    CheckConstraint("(cut_off IS NULL) = (days IS NULL)", name="is_whole"),
    CheckConstraint(
        "cardinality(days) > 0 AND days <@ '{1,2,3,4,5,6,7}'::smallint[]",
        name="days_are_weekdays",
    ),
)
