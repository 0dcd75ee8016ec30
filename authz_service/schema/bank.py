"""The banks that may speak to us, what they told, and who was refused at their door."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from authz_service.schema.columns import Instant, id_column, metadata, one_of, rupiah_column

bank_partner = Table(
    "bank_partner",
    metadata,
    id_column("programme_id"),
    id_column("partner_id"),
    Column("label", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("signs_the_query", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "partner_id"),
    UniqueConstraint("partner_id"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    one_of("signature", "with_token", "without_token"),
)

bank_key = Table(
    "bank_key",
    metadata,
    id_column("programme_id"),
    id_column("partner_id"),
    Column("kind", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column(
        "public_key", LargeBinary, comment="SubjectPublicKeyInfo, DER; a client secret is derived from the root key"
    ),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    PrimaryKeyConstraint("programme_id", "partner_id", "kind", "number"),
    ForeignKeyConstraint(["programme_id", "partner_id"], ["bank_partner.programme_id", "bank_partner.partner_id"]),
    one_of("kind", "public_key", "client_secret"),
    CheckConstraint("(kind = 'public_key') = (public_key IS NOT NULL)", name="secrets_are_not_kept"),
    CheckConstraint("valid_from <= valid_until", name="begins_before_it_ends"),
)

# What a bank told, as received; written before it is acknowledged.
bank_notice = Table(
    "bank_notice",
    metadata,
    id_column("programme_id"),
    id_column("notice_id"),
    id_column("partner_id"),
    id_column("external_id"),
    Column(
        "received_on",
        Date,
        nullable=False,
        comment="the day in the zone of the programme: X-EXTERNAL-ID is of a day",
    ),
    Column("received_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    id_column("reference"),
    id_column("bank_reference"),
    Column("status", Text, nullable=False),
    rupiah_column("amount_rupiah"),
    PrimaryKeyConstraint("programme_id", "notice_id"),
    UniqueConstraint("programme_id", "partner_id", "received_on", "external_id", name="bank_notice_external_id_key"),
    Index(None, "programme_id", "reference"),
    CheckConstraint("amount_rupiah >= 0", name="amount_is_never_negative"),
)

# What became of a notice. It waits as `parked` until two people have resolved it, or until what it waits for comes.
notice_standing = Table(
    "notice_standing",
    metadata,
    id_column("programme_id"),
    id_column("notice_id"),
    Column("standing", Text, nullable=False),
    Column("reason", Text),
    Column("looked_at", Instant),
    Column("resolved_at", Instant),
    Column("resolved_by", Text),
    Column("resolution", Text),
    Column("approved_at", Instant),
    Column("approved_by", Text),
    PrimaryKeyConstraint("programme_id", "notice_id"),
    Index(
        "notice_standing_open_idx",
        "programme_id",
        "notice_id",
        postgresql_where=text("standing IN ('new', 'parked')"),
    ),
    one_of("standing", "new", "followed", "parked", "resolved"),
    CheckConstraint("standing <> 'parked' OR reason IS NOT NULL", name="parked_has_a_reason"),
    CheckConstraint(
        "(standing = 'resolved') = (approved_at IS NOT NULL)"
        " AND lower(btrim(approved_by)) <> lower(btrim(resolved_by))",
        name="is_resolved_by_two",
    ),
    CheckConstraint(
        "(resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (resolution IS NULL)",
        name="a_resolution_is_whole",
    ),
)

# Money that the sponsor has said will come; the bank's notice that it came names the same reference.
expected_funding = Table(
    "expected_funding",
    metadata,
    id_column("programme_id"),
    id_column("reference"),
    rupiah_column("amount_rupiah"),
    Column("announced_at", Instant, nullable=False),
    Column("announced_by", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "reference"),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
)

# Who was refused at the bank's door, and why. Nothing proves who it was, so no programme is named.
security_event = Table(
    "security_event",
    metadata,
    id_column("event_id"),
    Column("occurred_at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("claimed_partner", Text, nullable=False, comment="who the sender said it was; nothing proves it"),
    Column("request_id", Text, nullable=False),
    PrimaryKeyConstraint("event_id"),
)
