"""Reference data: small, cached by every process, under one version per programme."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
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
from sqlalchemy.dialects.postgresql import JSONB

from authz_service.schema.columns import Id, Instant, Rupiah, id_column, metadata, one_of, rupiah_column

programme = Table(
    "programme",
    metadata,
    id_column("programme_id"),
    Column("name", Text, nullable=False),
    Column("operator_name", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    rupiah_column("entitlement_rupiah"),
    rupiah_column("package_rupiah", nullable=True),
    rupiah_column("month_cap_rupiah", nullable=True),
    Column("month_packages", Integer),
    Column("package_counting", Text, nullable=False),
    Column("above_ceiling", Text, nullable=False),
    Column("details_required", Text, nullable=False),
    Column("hold_seconds", Integer, nullable=False),
    Column("cash_categories", ARRAY(Text), nullable=False),
    rupiah_column("voucher_limit_rupiah", nullable=True),
    Column("voucher_limit_packages", Integer),
    rupiah_column("voucher_month_limit_rupiah", nullable=True),
    Column("voucher_month_limit_packages", Integer),
    rupiah_column("voucher_approval_above_rupiah", nullable=True),
    Column("voucher_approval_above_packages", Integer),
    Column("closed_at", Instant, comment="since then no money moves any more"),
    Column("settlement_cut_off", Time, comment="wall clock of the zone; NULL: no scheduled settlement"),
    Column("settlement_days", ARRAY(SmallInteger), comment="ISO weekdays, Monday is 1"),
    Column("dispute_claim_days", Integer, comment="after the purchase; NULL: no disputes are taken"),
    Column("dispute_answer_days", Integer, comment="working days after the claim"),
    Column("holidays", ARRAY(Date), comment="no working days, beside Saturday and Sunday"),
    Column("payout_limit_rupiah", Rupiah, comment="of one instruction; NULL: the bank has none"),
    id_column("roll_import_id", nullable=True),
    PrimaryKeyConstraint("programme_id"),
    CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
    CheckConstraint("entitlement_rupiah > 0", name="entitlement_is_positive"),
    CheckConstraint("package_rupiah > 0", name="package_is_positive"),
    CheckConstraint("month_cap_rupiah > 0", name="month_cap_is_positive"),
    CheckConstraint("month_packages > 0", name="month_packages_are_positive"),
    CheckConstraint("hold_seconds > 0", name="hold_is_positive"),
    CheckConstraint("package_counting <> 'by_value' OR package_rupiah IS NOT NULL", name="by_value_has_a_package"),
    CheckConstraint(
        "voucher_limit_rupiah >= 0 AND voucher_limit_packages >= 0 AND voucher_month_limit_rupiah >= 0"
        " AND voucher_month_limit_packages >= 0 AND voucher_approval_above_rupiah >= 0"
        " AND voucher_approval_above_packages >= 0",
        name="voucher_limits_are_never_negative",
    ),
    CheckConstraint("closed_at >= ends_at", name="closes_after_it_ends"),
    CheckConstraint("(settlement_cut_off IS NULL) = (settlement_days IS NULL)", name="settlement_is_whole"),
    CheckConstraint(
        "cardinality(settlement_days) > 0 AND settlement_days <@ '{1,2,3,4,5,6,7}'::smallint[]",
        name="settlement_days_are_weekdays",
    ),
    CheckConstraint("(dispute_claim_days IS NULL) = (dispute_answer_days IS NULL)", name="dispute_clocks_are_whole"),
    CheckConstraint("dispute_claim_days > 0 AND dispute_answer_days > 0", name="dispute_clocks_are_positive"),
    CheckConstraint("payout_limit_rupiah > 0", name="payout_limit_is_positive"),
    one_of("package_counting", "per_purchase", "by_value", "no_limit"),
    one_of("above_ceiling", "decline", "reduce"),
    one_of("details_required", "never", "where_ceiling", "always"),
)

reference = Table(
    "reference",
    metadata,
    id_column("programme_id"),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("programme_id"),
)

# What the rows above and below were at each version: why a decision of long ago came out as it did.
reference_history = Table(
    "reference_history",
    metadata,
    id_column("programme_id"),
    Column("relation", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("row", JSONB, nullable=False, comment="without digests and sealed names"),
    Column("recorded_at", Instant, nullable=False, server_default=text("now()")),
    Column(
        "key",
        ARRAY(Text),
        Computed("reference_key(relation, row)", persisted=True),
        nullable=False,
        comment="of the row, within its programme and relation",
    ),
    PrimaryKeyConstraint("programme_id", "relation", "version", "place"),
    Index("reference_history_key_idx", "programme_id", "relation", "key", "version"),
    one_of("operation", "INSERT", "UPDATE", "DELETE"),
)

# Changes of the programme's caps: each takes effect with a month, never within one.
month_cap = Table(
    "month_cap",
    metadata,
    id_column("programme_id"),
    Column("valid_from", Date, nullable=False, comment="the first day of the first month that it is for"),
    rupiah_column("cap_rupiah", nullable=True),
    Column("packages_cap", Integer),
    PrimaryKeyConstraint("programme_id", "valid_from"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    CheckConstraint("extract(day FROM valid_from) = 1", name="begins_with_a_month"),
    CheckConstraint("cap_rupiah > 0 AND packages_cap > 0", name="caps_are_positive"),
)

district = Table(
    "district",
    metadata,
    id_column("programme_id"),
    id_column("district_code"),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "district_code"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
)

merchant = Table(
    "merchant",
    metadata,
    id_column("programme_id"),
    id_column("merchant_id"),
    id_column("district_code"),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("admitted_on", Date, nullable=False),
    Column("leaves_on", Date),
    Column("opens_at", Time),
    Column("closes_at", Time),
    PrimaryKeyConstraint("programme_id", "merchant_id"),
    ForeignKeyConstraint(["programme_id", "district_code"], ["district.programme_id", "district.district_code"]),
    one_of("status", "active", "suspended"),
    CheckConstraint("leaves_on >= admitted_on", name="admitted_before_it_leaves"),
    CheckConstraint("(opens_at IS NULL) = (closes_at IS NULL)", name="hours_are_whole"),
)

terminal = Table(
    "terminal",
    metadata,
    id_column("programme_id"),
    id_column("terminal_id"),
    id_column("merchant_id"),
    Column("status", Text, nullable=False),
    Column("key_digest", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    PrimaryKeyConstraint("programme_id", "terminal_id"),
    ForeignKeyConstraint(["programme_id", "merchant_id"], ["merchant.programme_id", "merchant.merchant_id"]),
    UniqueConstraint("programme_id", "key_digest"),
    one_of("status", "active", "suspended", "unbound", "revoked"),
)

category = Table(
    "category",
    metadata,
    id_column("programme_id"),
    Column("category", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    PrimaryKeyConstraint("programme_id", "category"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
)

product = Table(
    "product",
    metadata,
    id_column("programme_id"),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("gtin", Text),
    PrimaryKeyConstraint("programme_id", "name", "unit"),
    ForeignKeyConstraint(["programme_id", "category"], ["category.programme_id", "category.category"]),
    UniqueConstraint("programme_id", "gtin", "unit"),
    CheckConstraint("gtin ~ '^[0-9]{8,14}$'", name="gtin_is_digits"),
)

price_ceiling = Table(
    "price_ceiling",
    metadata,
    id_column("programme_id"),
    Column("product", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("district_code", Id, nullable=False, comment="empty for every kecamatan"),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    rupiah_column("price_rupiah"),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "product", "unit", "district_code", "valid_from"),
    ForeignKeyConstraint(["programme_id", "product", "unit"], ["product.programme_id", "product.name", "product.unit"]),
    CheckConstraint("price_rupiah > 0", name="price_is_positive"),
    CheckConstraint("valid_to >= valid_from", name="starts_before_it_ends"),
)
