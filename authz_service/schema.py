"""Every table of the service, once. `programme_id` is the first column of every key.

Tables that grow have no foreign keys (16 µs a row and key, and a lock on the busy shop's row); `ledger/audit.py`
looks for orphans instead, and parents are never deleted. What must never be is refused by CHECKs; what must never
change is refused by triggers. The migrations make the same; a test compares the two.
"""

from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

Id = Text(collation="C")
"""Ids sort by time byte for byte, whatever the database's language."""
Instant = DateTime(timezone=True)
Rupiah = BigInteger
_HOT_FILLFACTOR = 80
"""Room on the page for the next version of a row that the hot path updates."""

_ADDS_UP = "brought_rupiah + captured_rupiah - refunded_rupiah + returned_rupiah = instructed_rupiah + carried_rupiah"


def _id(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Id, nullable=nullable)


def _rupiah(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Rupiah, nullable=nullable)


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_known")


# Reference data: small, cached by every process, under one version per programme.

programme = Table(
    "programme",
    metadata,
    _id("programme_id"),
    Column("name", Text, nullable=False),
    Column("operator_name", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    _rupiah("entitlement_rupiah"),
    _rupiah("package_rupiah", nullable=True),
    _rupiah("month_cap_rupiah", nullable=True),
    Column("month_packages", Integer),
    Column("package_counting", Text, nullable=False),
    Column("above_ceiling", Text, nullable=False),
    Column("details_required", Text, nullable=False),
    Column("hold_seconds", Integer, nullable=False),
    Column("cash_categories", ARRAY(Text), nullable=False),
    _rupiah("voucher_limit_rupiah", nullable=True),
    Column("voucher_limit_packages", Integer),
    _rupiah("voucher_month_limit_rupiah", nullable=True),
    Column("voucher_month_limit_packages", Integer),
    _rupiah("voucher_approval_above_rupiah", nullable=True),
    Column("voucher_approval_above_packages", Integer),
    Column("closed_at", Instant, comment="since then no money moves any more"),
    Column("settlement_cut_off", Time, comment="wall clock of the zone; NULL: no scheduled settlement"),
    Column("settlement_days", ARRAY(SmallInteger), comment="ISO weekdays, Monday is 1"),
    Column("dispute_claim_days", Integer, comment="after the purchase; NULL: no disputes are taken"),
    Column("dispute_answer_days", Integer, comment="working days after the claim"),
    Column("holidays", ARRAY(Date), comment="no working days, beside Saturday and Sunday"),
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
    _one_of("package_counting", "per_purchase", "by_value", "no_limit"),
    _one_of("above_ceiling", "decline", "reduce"),
    _one_of("details_required", "never", "where_ceiling", "always"),
)

reference = Table(
    "reference",
    metadata,
    _id("programme_id"),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("programme_id"),
)

# What the rows above and below were at each version: why a decision of long ago came out as it did.
reference_history = Table(
    "reference_history",
    metadata,
    _id("programme_id"),
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
    _one_of("operation", "INSERT", "UPDATE", "DELETE"),
)

# Changes of the programme's caps: each takes effect with a month, never within one.
month_cap = Table(
    "month_cap",
    metadata,
    _id("programme_id"),
    Column("valid_from", Date, nullable=False, comment="the first day of the first month that it is for"),
    _rupiah("cap_rupiah", nullable=True),
    Column("packages_cap", Integer),
    PrimaryKeyConstraint("programme_id", "valid_from"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    CheckConstraint("extract(day FROM valid_from) = 1", name="begins_with_a_month"),
    CheckConstraint("cap_rupiah > 0 AND packages_cap > 0", name="caps_are_positive"),
)

district = Table(
    "district",
    metadata,
    _id("programme_id"),
    _id("district_code"),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "district_code"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
)

merchant = Table(
    "merchant",
    metadata,
    _id("programme_id"),
    _id("merchant_id"),
    _id("district_code"),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("admitted_on", Date, nullable=False),
    Column("leaves_on", Date),
    Column("opens_at", Time),
    Column("closes_at", Time),
    PrimaryKeyConstraint("programme_id", "merchant_id"),
    ForeignKeyConstraint(["programme_id", "district_code"], ["district.programme_id", "district.district_code"]),
    _one_of("status", "active", "suspended"),
    CheckConstraint("leaves_on >= admitted_on", name="admitted_before_it_leaves"),
    CheckConstraint("(opens_at IS NULL) = (closes_at IS NULL)", name="hours_are_whole"),
)

terminal = Table(
    "terminal",
    metadata,
    _id("programme_id"),
    _id("terminal_id"),
    _id("merchant_id"),
    Column("status", Text, nullable=False),
    Column("key_digest", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    PrimaryKeyConstraint("programme_id", "terminal_id"),
    ForeignKeyConstraint(["programme_id", "merchant_id"], ["merchant.programme_id", "merchant.merchant_id"]),
    UniqueConstraint("programme_id", "key_digest"),
    _one_of("status", "active", "suspended", "unbound", "revoked"),
)

category = Table(
    "category",
    metadata,
    _id("programme_id"),
    Column("category", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    PrimaryKeyConstraint("programme_id", "category"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
)

product = Table(
    "product",
    metadata,
    _id("programme_id"),
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
    _id("programme_id"),
    Column("product", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("district_code", Id, nullable=False, comment="empty for every kecamatan"),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    _rupiah("price_rupiah"),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "product", "unit", "district_code", "valid_from"),
    ForeignKeyConstraint(["programme_id", "product", "unit"], ["product.programme_id", "product.name", "product.unit"]),
    CheckConstraint("price_rupiah > 0", name="price_is_positive"),
    CheckConstraint("valid_to >= valid_from", name="starts_before_it_ends"),
)

# The roll: families, their companions and cards. Names and NIK only encrypted, card numbers only as digests.

companion = Table(
    "companion",
    metadata,
    _id("programme_id"),
    _id("companion_id"),
    Column("label", Text, nullable=False, comment="what a message may call the companion: never a name"),
    Column("name_sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("programme_id", "companion_id"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    UniqueConstraint("programme_id", "label"),
)

operator = Table(
    "operator",
    metadata,
    _id("programme_id"),
    _id("operator_id"),
    Column("label", Text, nullable=False, comment="an office or a desk: never a name"),
    PrimaryKeyConstraint("programme_id", "operator_id"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    UniqueConstraint("programme_id", "label"),
)

# The keys of people who are not terminals; several of one principal live side by side while they change.
access_key = Table(
    "access_key",
    metadata,
    _id("programme_id"),
    Column("key_digest", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    _id("companion_id", nullable=True),
    _id("operator_id", nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    PrimaryKeyConstraint("programme_id", "key_digest"),
    ForeignKeyConstraint(["programme_id", "companion_id"], ["companion.programme_id", "companion.companion_id"]),
    ForeignKeyConstraint(["programme_id", "operator_id"], ["operator.programme_id", "operator.operator_id"]),
    Index(None, "key_digest"),
    CheckConstraint("(companion_id IS NULL) <> (operator_id IS NULL)", name="is_of_one_principal"),
)

beneficiary = Table(
    "beneficiary",
    metadata,
    _id("programme_id"),
    _id("beneficiary_id"),
    _id("companion_id"),
    _id("district_code"),
    Column("status", Text, nullable=False),
    Column("entered_on", Date, nullable=False),
    Column("name_sealed", LargeBinary, nullable=False),
    Column("nik_sealed", LargeBinary, nullable=False),
    Column("nik_digest", LargeBinary, nullable=False),
    Column("next_status", Text, comment="what the status is from next_status_at on, written or not"),
    Column("next_status_at", Instant),
    _id("merged_into", nullable=True),
    PrimaryKeyConstraint("programme_id", "beneficiary_id"),
    UniqueConstraint("programme_id", "nik_digest"),
    Index(None, "programme_id", "companion_id"),
    Index(
        "beneficiary_due_idx",
        "programme_id",
        "next_status_at",
        postgresql_where=text("next_status_at IS NOT NULL"),
    ),
    _one_of("status", "active", "suspended", "removed"),
    _one_of("next_status", "active", "suspended", "removed"),
    CheckConstraint("(next_status IS NULL) = (next_status_at IS NULL)", name="next_status_is_dated"),
    CheckConstraint("merged_into <> beneficiary_id", name="merges_into_another"),
)

# What happened to a family and why; written once.
family_change = Table(
    "family_change",
    metadata,
    _id("programme_id"),
    _id("change_id"),
    _id("beneficiary_id"),
    Column("kind", Text, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", JSONB, nullable=False, comment="ids and rupiah, nothing personal"),
    Column("recorded_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "change_id"),
    Index(None, "programme_id", "beneficiary_id"),
    _one_of("kind", "enter", "suspend", "resume", "remove", "merge", "move", "card"),
)

# What else an office ordered, and who gave the order; written once.
office_order = Table(
    "office_order",
    metadata,
    _id("programme_id"),
    _id("order_id"),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    Column("detail", JSONB, nullable=False, comment="ids, labels and rupiah; no key"),
    Column("recorded_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "order_id"),
    _one_of(
        "kind",
        "cap_set",
        "operator_added",
        "key_issued",
        "key_revoked",
        "shops_paid",
        "programme_closed",
        "batch_closed",
        "account_requested",
        "account_approved",
        "purchase_waits",
        "purchase_waits_no_more",
        "payout_settled",
        "payout_failed",
        "payout_returned",
        "payout_released",
        "bank_added",
        "bank_key_added",
        "funding_expected",
        "notice_resolved",
        "notice_approved",
        "statement_reconciled",
        "exception_resolved",
        "exception_approved",
        "dispute_opened",
        "dispute_answered",
    ),
)

card = Table(
    "card",
    metadata,
    _id("programme_id"),
    _id("card_id"),
    _id("beneficiary_id"),
    Column("card_digest", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    Column("last_four", String(4), nullable=False),
    Column("status", Text, nullable=False),
    Column("expires_on", Date, nullable=False),
    PrimaryKeyConstraint("programme_id", "card_id"),
    UniqueConstraint("programme_id", "card_digest"),
    Index(
        "card_one_active_per_beneficiary_key",
        "programme_id",
        "beneficiary_id",
        unique=True,
        postgresql_where=text("status = 'active'"),
    ),
    _one_of("status", "not_activated", "active", "blocked", "lost", "stolen", "replaced"),
    CheckConstraint("last_four ~ '^[0-9]{4}$'", name="last_four_are_digits"),
)

# The books. The wallet row is the root of its family: whoever changes what a rule reads raises its version.

account = Table(
    "account",
    metadata,
    _id("programme_id"),
    _id("account_id"),
    Column("kind", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "account_id"),
    _one_of("kind", "fund", "sponsor", "unallocated", "clearing", "beneficiary", "merchant"),
)

wallet = Table(
    "wallet",
    metadata,
    _id("programme_id"),
    _id("beneficiary_id"),
    Column("version", BigInteger, nullable=False),
    _rupiah("available_rupiah"),
    _rupiah("held_rupiah"),
    _rupiah("spent_rupiah"),
    PrimaryKeyConstraint("programme_id", "beneficiary_id"),
    CheckConstraint("available_rupiah >= 0", name="available_is_never_negative"),
    CheckConstraint("held_rupiah >= 0", name="held_is_never_negative"),
    CheckConstraint("spent_rupiah >= 0", name="spent_is_never_negative"),
    postgresql_with={"fillfactor": str(_HOT_FILLFACTOR)},
)

allowance = Table(
    "allowance",
    metadata,
    _id("programme_id"),
    _id("beneficiary_id"),
    Column("month", Date, nullable=False),
    _rupiah("cap_rupiah", nullable=True),
    Column("packages_cap", Integer),
    _rupiah("used_rupiah"),
    Column("packages_used", Integer, nullable=False),
    _rupiah("covered_rupiah"),
    Column("covered_packages", Integer, nullable=False),
    PrimaryKeyConstraint("programme_id", "beneficiary_id", "month"),
    CheckConstraint("used_rupiah <= cap_rupiah + covered_rupiah", name="used_is_within_the_cap"),
    CheckConstraint("packages_used <= packages_cap + covered_packages", name="packages_are_within_the_cap"),
    CheckConstraint("covered_rupiah >= 0 AND covered_rupiah <= used_rupiah", name="covered_is_part_of_used"),
    CheckConstraint("packages_used >= 0 AND covered_packages >= 0", name="packages_are_never_negative"),
    postgresql_with={"fillfactor": str(_HOT_FILLFACTOR)},
)

voucher = Table(
    "voucher",
    metadata,
    _id("programme_id"),
    _id("voucher_id"),
    _id("beneficiary_id"),
    _id("companion_id"),
    Column("month", Date, nullable=False),
    _rupiah("extra_rupiah"),
    Column("extra_packages", Integer, nullable=False),
    _rupiah("used_rupiah"),
    Column("packages_used", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("approved_at", Instant, comment="until then it waits for an operator and covers nothing"),
    _id("approved_by", nullable=True),
    _id("revoked_by", nullable=True),
    Column("revocation_reason", Text),
    PrimaryKeyConstraint("programme_id", "voucher_id"),
    Index(None, "programme_id", "beneficiary_id", "month"),
    Index(None, "programme_id", "companion_id"),
    CheckConstraint(
        "extra_rupiah >= 0 AND extra_packages >= 0 AND extra_rupiah + extra_packages > 0", name="gives_something"
    ),
    CheckConstraint("used_rupiah BETWEEN 0 AND extra_rupiah", name="used_is_within_extra"),
    CheckConstraint("packages_used BETWEEN 0 AND extra_packages", name="packages_are_within_extra"),
    CheckConstraint("expires_at > created_at", name="lives_before_it_ends"),
)

# What a transfer took from a voucher (more than 0) or gave back to it (less).
voucher_movement = Table(
    "voucher_movement",
    metadata,
    _id("programme_id"),
    _id("transfer_id"),
    _id("voucher_id"),
    _id("authorisation_id"),
    _rupiah("used_rupiah"),
    Column("packages_used", Integer, nullable=False),
    PrimaryKeyConstraint("programme_id", "transfer_id", "voucher_id"),
    Index(None, "programme_id", "authorisation_id"),
    Index(None, "programme_id", "voucher_id"),
    CheckConstraint("used_rupiah <> 0 OR packages_used <> 0", name="moves_something"),
    CheckConstraint("used_rupiah::numeric * packages_used >= 0", name="goes_one_way"),
)

request_key = Table(
    "request_key",
    metadata,
    _id("programme_id"),
    _id("principal_id"),
    Column("key_digest", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("stan", Text),
    Column("terminal_time", Instant),
    _id("authorisation_id", nullable=True),
    Column("status", SmallInteger, nullable=False, comment="HTTP status of the stored answer"),
    Column("answer", LargeBinary, comment="NULL where the authorisation keeps it"),
    Column("reversal_answer", LargeBinary, comment="what its reversal was answered: since then it is dead"),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "principal_id", "key_digest"),
    # The rows come in order of time: a kilobyte for a million of them, and next to nothing for each new one.
    Index(None, "created_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    Index(
        "request_key_stan_key",
        "programme_id",
        "principal_id",
        "stan",
        "terminal_time",
        unique=True,
        postgresql_where=text("stan IS NOT NULL"),
    ),
)

authorisation = Table(
    "authorisation",
    metadata,
    _id("programme_id"),
    _id("authorisation_id"),
    Column("created_at", Instant, nullable=False),
    _id("merchant_id"),
    _id("terminal_id"),
    _id("beneficiary_id", nullable=True),
    _id("card_id", nullable=True),
    Column("month", Date, nullable=False),
    Column("reason", Text, nullable=False),
    _rupiah("amount_rupiah"),
    _rupiah("approved_rupiah"),
    _rupiah("reduction_rupiah"),
    Column("request_id", Text, nullable=False),
    Column("journal", JSONB, nullable=False, comment="what was asked, the facts seen, the versions"),
    Column("answer", LargeBinary, nullable=False, comment="the first answer, byte for byte"),
    PrimaryKeyConstraint("programme_id", "authorisation_id"),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
    CheckConstraint("approved_rupiah >= 0 AND reduction_rupiah >= 0", name="approved_is_never_negative"),
    CheckConstraint("approved_rupiah + reduction_rupiah <= amount_rupiah", name="approved_is_part_of_amount"),
    CheckConstraint("(reason = 'approved') = (approved_rupiah > 0)", name="approved_is_more_than_nothing"),
)

hold = Table(
    "hold",
    metadata,
    _id("programme_id"),
    _id("authorisation_id"),
    _id("beneficiary_id"),
    _id("merchant_id"),
    Column("month", Date, nullable=False),
    Column("status", Text, nullable=False),
    _rupiah("approved_rupiah"),
    _rupiah("held_rupiah"),
    _rupiah("captured_rupiah"),
    _rupiah("refunded_rupiah"),
    Column("packages", SmallInteger, nullable=False, comment="packages of the month it still uses"),
    Column("expires_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "authorisation_id"),
    Index(None, "programme_id", "beneficiary_id"),
    Index(None, "programme_id", "expires_at"),
    _one_of("status", "held", "partly_captured", "captured", "voided", "expired", "reversed"),
    CheckConstraint("held_rupiah >= 0 AND captured_rupiah >= 0", name="held_is_never_negative"),
    CheckConstraint("held_rupiah + captured_rupiah <= approved_rupiah", name="captured_is_within_the_hold"),
    CheckConstraint("refunded_rupiah BETWEEN 0 AND captured_rupiah", name="refunded_is_within_captured"),
    CheckConstraint("(held_rupiah > 0) = (status IN ('held', 'partly_captured'))", name="open_is_what_is_held"),
    CheckConstraint("packages IN (0, 1)", name="packages_are_one_at_most"),
    postgresql_with={"fillfactor": str(_HOT_FILLFACTOR)},
)

transfer = Table(
    "transfer",
    metadata,
    _id("programme_id"),
    _id("transfer_id"),
    Column("kind", Text, nullable=False),
    Column("cause", Text, nullable=False),
    _id("debit_account_id"),
    _id("credit_account_id"),
    _rupiah("amount_rupiah"),
    _id("authorisation_id", nullable=True),
    Column("reason", Text, comment="what the till said, where it may say why"),
    Column("created_at", Instant, nullable=False, comment="the business instant"),
    Column("recorded_at", Instant, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("programme_id", "transfer_id"),
    Index(
        "transfer_authorisation_idx",
        "programme_id",
        "authorisation_id",
        postgresql_where=text("authorisation_id IS NOT NULL"),
    ),
    Index("transfer_of_no_purchase_idx", "programme_id", "kind", postgresql_where=text("authorisation_id IS NULL")),
    Index("transfer_of_a_grant_idx", "programme_id", "credit_account_id", postgresql_where=text("kind = 'grant'")),
    Index("transfer_of_a_return_idx", "programme_id", "debit_account_id", postgresql_where=text("kind = 'return'")),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
    CheckConstraint("debit_account_id <> credit_account_id", name="accounts_differ"),
    _one_of(
        "kind",
        "fund",
        "grant",
        "hold",
        "post",
        "release",
        "refund",
        "payout",
        "payout_settled",
        "payout_failed",
        "return",
    ),
    CheckConstraint(
        "(kind IN ('hold', 'post', 'release', 'refund')) = (authorisation_id IS NOT NULL)", name="of_a_hold"
    ),
)

# Settlement: where shops want their money, which transfer is in which batch, what the bank was told and what it said.

# The newest that is approved is in force; it is approved by somebody else than asked for it.
payout_account = Table(
    "payout_account",
    metadata,
    _id("programme_id"),
    _id("account_ref"),
    _id("merchant_id"),
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
    CheckConstraint("lower(approved_by) <> lower(requested_by)", name="four_eyes"),
    CheckConstraint("approved_at >= requested_at", name="approved_after_it_was_requested"),
)

settlement_batch = Table(
    "settlement_batch",
    metadata,
    _id("programme_id"),
    _id("batch_id"),
    Column("number", Integer, nullable=False),
    Column("cut_off_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("items", Integer, nullable=False),
    Column("brought_rupiah", Rupiah, nullable=False, comment="what shops were owed, or owed, before it"),
    _rupiah("captured_rupiah"),
    _rupiah("refunded_rupiah"),
    Column("returned_rupiah", Rupiah, nullable=False, comment="payouts that came back and were released"),
    _rupiah("instructed_rupiah"),
    _rupiah("carried_rupiah"),
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
    _id("programme_id"),
    _id("transfer_id"),
    _id("batch_id"),
    _id("merchant_id"),
    Column("amount_rupiah", Rupiah, nullable=False, comment="what the shop is owed for it; refunds are below nothing"),
    PrimaryKeyConstraint("programme_id", "transfer_id"),
    Index(None, "programme_id", "batch_id"),
    CheckConstraint("amount_rupiah <> 0", name="amount_is_something"),
)

settlement_position = Table(
    "settlement_position",
    metadata,
    _id("programme_id"),
    _id("batch_id"),
    _id("merchant_id"),
    _rupiah("brought_rupiah"),
    _rupiah("captured_rupiah"),
    _rupiah("refunded_rupiah"),
    _rupiah("returned_rupiah"),
    _rupiah("instructed_rupiah"),
    _rupiah("carried_rupiah"),
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
    _id("programme_id"),
    _id("instruction_id"),
    _id("batch_id"),
    _id("merchant_id"),
    _rupiah("amount_rupiah"),
    Column("bank_code", Text, nullable=False),
    Column("account_number", Text, nullable=False, comment="as it was then; shown whole in the bank's file alone"),
    Column("holder", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "instruction_id"),
    UniqueConstraint("programme_id", "batch_id", "merchant_id"),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
    CheckConstraint("length(instruction_id) <= 64", name="id_fits_the_bank"),
)

payout_event = Table(
    "payout_event",
    metadata,
    _id("programme_id"),
    _id("instruction_id"),
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
    _one_of("event", "settled", "failed", "returned", "released"),
    _one_of("source", "operator", "notice", "statement"),
)

# Flagged purchases, whose captures and refunds go into no batch until they are released.
settlement_wait = Table(
    "settlement_wait",
    metadata,
    _id("programme_id"),
    _id("authorisation_id"),
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

# The banks that may speak to us, and their keys: several of a kind live side by side while they change.
bank_partner = Table(
    "bank_partner",
    metadata,
    _id("programme_id"),
    _id("partner_id"),
    Column("label", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("signs_the_query", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "partner_id"),
    UniqueConstraint("partner_id"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    _one_of("signature", "with_token", "without_token"),
)

bank_key = Table(
    "bank_key",
    metadata,
    _id("programme_id"),
    _id("partner_id"),
    Column("kind", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column(
        "public_key", LargeBinary, comment="SubjectPublicKeyInfo, DER; a client secret is derived from the root key"
    ),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    PrimaryKeyConstraint("programme_id", "partner_id", "kind", "number"),
    ForeignKeyConstraint(["programme_id", "partner_id"], ["bank_partner.programme_id", "bank_partner.partner_id"]),
    _one_of("kind", "public_key", "client_secret"),
    CheckConstraint("(kind = 'public_key') = (public_key IS NOT NULL)", name="secrets_are_not_kept"),
    CheckConstraint("valid_from <= valid_until", name="begins_before_it_ends"),
)

# What a bank told, as received; written before it is acknowledged.
bank_notice = Table(
    "bank_notice",
    metadata,
    _id("programme_id"),
    _id("notice_id"),
    _id("partner_id"),
    _id("external_id"),
    Column(
        "received_on",
        Date,
        nullable=False,
        comment="the day in the zone of the programme: X-EXTERNAL-ID is of a day",
    ),
    Column("received_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    _id("reference"),
    _id("bank_reference"),
    Column("status", Text, nullable=False),
    _rupiah("amount_rupiah"),
    PrimaryKeyConstraint("programme_id", "notice_id"),
    UniqueConstraint("programme_id", "partner_id", "received_on", "external_id", name="bank_notice_external_id_key"),
    Index(None, "programme_id", "reference"),
    CheckConstraint("amount_rupiah >= 0", name="amount_is_never_negative"),
)

# What became of a notice. It waits as `parked` until two people have resolved it, or until what it waits for comes.
notice_standing = Table(
    "notice_standing",
    metadata,
    _id("programme_id"),
    _id("notice_id"),
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
    _one_of("standing", "new", "followed", "parked", "resolved"),
    CheckConstraint("standing <> 'parked' OR reason IS NOT NULL", name="parked_has_a_reason"),
    CheckConstraint(
        "(standing = 'resolved') = (approved_at IS NOT NULL) AND approved_by <> resolved_by",
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
    _id("programme_id"),
    _id("reference"),
    _rupiah("amount_rupiah"),
    Column("announced_at", Instant, nullable=False),
    Column("announced_by", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "reference"),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
)

# What the bank's statements say, read once from their files: a line has one identity, in however many files it stands.
bank_statement = Table(
    "bank_statement",
    metadata,
    _id("programme_id"),
    _id("statement_id"),
    Column("format", Text, nullable=False),
    Column("account", Text, comment="the last digits; NULL where the file names none"),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date, nullable=False),
    Column("opening_rupiah", Rupiah, nullable=False),
    Column("closing_rupiah", Rupiah, nullable=False),
    Column("lines", Integer, nullable=False, comment="in the file, also those that an earlier one had"),
    Column("file_digest", LargeBinary, nullable=False),
    Column("read_at", Instant, nullable=False),
    Column("read_by", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "statement_id"),
    UniqueConstraint("programme_id", "file_digest"),
    _one_of("format", "csv", "mt940"),
    CheckConstraint("from_on <= to_on", name="begins_before_it_ends"),
    CheckConstraint("lines >= 0", name="lines_are_never_negative"),
    CheckConstraint("octet_length(file_digest) = 32", name="digest_is_whole"),
)

bank_statement_line = Table(
    "bank_statement_line",
    metadata,
    _id("programme_id"),
    _id("statement_id"),
    Column("line", Integer, nullable=False),
    Column("identity", LargeBinary, nullable=False, comment="over what the bank booked, not over how the file says it"),
    Column("booked_on", Date, nullable=False),
    Column("amount_rupiah", Rupiah, nullable=False, comment="below nothing: it left the account"),
    _id("reference"),
    _id("bank_reference"),
    Column("description", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "statement_id", "line"),
    UniqueConstraint("programme_id", "identity"),
    CheckConstraint("line > 0", name="line_is_positive"),
    CheckConstraint("amount_rupiah <> 0", name="amount_is_something"),
    CheckConstraint("octet_length(identity) = 32", name="identity_is_whole"),
)

# What a line is about: one thing, for ever.
bank_statement_match = Table(
    "bank_statement_match",
    metadata,
    _id("programme_id"),
    Column("identity", LargeBinary, nullable=False),
    _id("reference"),
    Column("matched_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "identity"),
)

# Where authorisations, ledger and statement disagree. Closed by two people, or by a later statement that explains it.
reconciliation_exception = Table(
    "reconciliation_exception",
    metadata,
    _id("programme_id"),
    _id("exception_id"),
    Column("kind", Text, nullable=False),
    _id("reference"),
    _id("subject"),
    _rupiah("ours_rupiah", nullable=True),
    _rupiah("theirs_rupiah", nullable=True),
    Column("since_on", Date, nullable=False, comment="its age counts from here"),
    Column("first_seen_at", Instant, nullable=False),
    Column("detail", Text, nullable=False),
    _id("proposal", nullable=True),
    Column("resolved_at", Instant),
    Column("resolved_by", Text),
    Column("outcome", Text),
    Column("reason", Text),
    Column("approved_by", Text),
    Column("closed_at", Instant, comment="by an approval, or else by a statement that explains it"),
    PrimaryKeyConstraint("programme_id", "exception_id"),
    Index(
        "reconciliation_exception_open_idx",
        "programme_id",
        "exception_id",
        postgresql_where=text("closed_at IS NULL"),
    ),
    _one_of(
        "kind",
        "amount_differs",
        "missing_here",
        "missing_there",
        "paid_though_failed",
        "return_without_payment",
        "more_than_once",
        "after_the_close",
        "books_differ",
    ),
    _one_of("outcome", "explained", "corrected", "claimed"),
    CheckConstraint(
        "(resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (outcome IS NULL)"
        " AND (resolved_at IS NULL) = (reason IS NULL)",
        name="resolution_is_whole",
    ),
    CheckConstraint(
        "approved_by IS NULL OR (closed_at IS NOT NULL AND resolved_by IS NOT NULL"
        " AND lower(approved_by) <> lower(resolved_by))",
        name="four_eyes",
    ),
)

# A family's or a shop's claim that a purchase was not as the books say. It moves no money.
dispute = Table(
    "dispute",
    metadata,
    _id("programme_id"),
    _id("dispute_id"),
    _id("authorisation_id"),
    Column("claimed_at", Instant, nullable=False),
    Column("claimed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("answer_due_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Column("answered_by", Text),
    Column("answer", Text),
    PrimaryKeyConstraint("programme_id", "dispute_id"),
    Index(
        "dispute_open_key",
        "programme_id",
        "authorisation_id",
        unique=True,
        postgresql_where=text("answered_at IS NULL"),
    ),
    CheckConstraint(
        "(answered_at IS NULL) = (answered_by IS NULL) AND (answered_at IS NULL) = (answer IS NULL)",
        name="answer_is_whole",
    ),
    CheckConstraint("answered_at >= claimed_at", name="answered_after_it_was_claimed"),
    CheckConstraint("answer_due_at > claimed_at", name="due_after_it_was_claimed"),
)

# Who was refused at the bank's door, and why. Nothing proves who it was, so no programme is named.
security_event = Table(
    "security_event",
    metadata,
    _id("event_id"),
    Column("occurred_at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("claimed_partner", Text, nullable=False, comment="who the sender said it was; nothing proves it"),
    Column("request_id", Text, nullable=False),
    PrimaryKeyConstraint("event_id"),
)

# How far the books have been checked; written once after each check.
audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    _id("programme_id"),
    Column("checked_at", Instant, nullable=False),
    Column("checked_from", Instant, comment="NULL where all was checked"),
    Column("checked_until", Instant, nullable=False, comment="what is written later begins with later ids"),
    Column("violations", BigInteger, nullable=False),
    PrimaryKeyConstraint("programme_id", "checked_at"),
    CheckConstraint("violations >= 0", name="violations_are_never_negative"),
    CheckConstraint("checked_until <= checked_at", name="is_of_the_past"),
)

IMMUTABLE = (
    "transfer",
    "authorisation",
    "voucher_movement",
    "family_change",
    "office_order",
    "reference_history",
    "audit_checkpoint",
    "settlement_batch",
    "settlement_item",
    "settlement_position",
    "payout_instruction",
    "payout_event",
    "bank_notice",
    "expected_funding",
    "security_event",
    "bank_statement",
    "bank_statement_line",
    "bank_statement_match",
)
ENDED_ONCE = {
    "payout_account": (
        "approved_at",
        "programme_id, account_ref, merchant_id, bank_code, account_number, holder, requested_at, requested_by",
    ),
    "settlement_wait": ("released_at", "programme_id, authorisation_id, flagged_at, flagged_by, reason"),
    "reconciliation_exception": (
        "closed_at",
        (
            "programme_id, exception_id, kind, reference, subject, ours_rupiah, theirs_rupiah, since_on, first_seen_at,"
            " detail, proposal"
        ),
    ),
    "dispute": (
        "answered_at",
        "programme_id, dispute_id, authorisation_id, claimed_at, claimed_by, reason, answer_due_at",
    ),
}
"""Rows that are kept like the immutable ones, but may be ended once: the column that ends them, and what stays."""
REFERENCE_TABLES = (
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
FAMILY_TABLES = {
    "beneficiary": "status, companion_id, next_status, next_status_at",
    "card": "status, beneficiary_id, expires_on",
    "voucher": "extra_rupiah, extra_packages, expires_at, revoked_at, approved_at",
}
"""Slow tables of a family → the columns whose change a decision must notice."""

_ROWS_AFTER = {
    "INSERT": "NEW TABLE AS new_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
}
_REFERENCE_KEY = """
CREATE FUNCTION reference_key(relation text, entry jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
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
       END
$$
"""
"""A reference table that has no line here is refused by the history, which wants a key."""
_FUNCTIONS = (
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
  IF TG_OP = 'UPDATE' THEN
    -- A row that has another key now is gone under its old one; places below 1 come before the new rows'.
    INSERT INTO reference_history (programme_id, relation, version, place, operation, row)
    SELECT r.programme_id, TG_TABLE_NAME, r.version, 1 - row_number() OVER (), 'DELETE',
           to_jsonb(o) - '{key_digest,name_sealed}'::text[]
      FROM old_rows o JOIN reference r USING (programme_id)
     WHERE NOT EXISTS (SELECT FROM new_rows n
                        WHERE n.programme_id = o.programme_id
                          AND reference_key(TG_TABLE_NAME, to_jsonb(n)) = reference_key(TG_TABLE_NAME, to_jsonb(o)));
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


def guards() -> list[str]:
    """The triggers that keep what is written, and raise the versions that decisions compare."""
    statements = list(_FUNCTIONS)
    for table in IMMUTABLE:
        statements.append(
            f"CREATE TRIGGER {table}_is_immutable BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        statements.append(
            f"CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, (end, columns) in ENDED_ONCE.items():
        statements += [
            (
                f"CREATE TRIGGER {table}_is_immutable BEFORE DELETE OR UPDATE OF {columns} ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            ),
            (
                f"CREATE TRIGGER {table}_ends_once BEFORE UPDATE ON {table}"
                f" FOR EACH ROW WHEN (OLD.{end} IS NOT NULL) EXECUTE FUNCTION refuse_change()"
            ),
            (
                f"CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
        ]
    for table in REFERENCE_TABLES:
        for operation, rows in _ROWS_AFTER.items():
            statements.append(
                f"CREATE TRIGGER {table}_{operation.lower()}_raises_version AFTER {operation} ON {table}"
                f" REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()"
            )
    for table, columns in FAMILY_TABLES.items():
        statements.append(
            f"CREATE TRIGGER {table}_raises_wallet_version AFTER INSERT OR DELETE OR UPDATE OF {columns} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION raise_wallet_version()"
        )
    return statements


# Before the tables: a column of the history is computed by it.
event.listen(metadata, "before_create", DDL(_REFERENCE_KEY))  # type: ignore[no-untyped-call]
for _statement in guards():
    event.listen(metadata, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
