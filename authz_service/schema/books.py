"""The books. The wallet row is the root of its family: whoever changes what a rule reads raises its version."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from authz_service.schema.columns import HOT_FILLFACTOR, Instant, id_column, metadata, one_of, rupiah_column

_ANSWER_STAYS_BYTES = 2712
"""A third of a page: up to here a sale's row keeps its answer, compressed. Of itself PostgreSQL moves it to a table and
an index of its own from 2 kB on, and a sale of three lines has a little more."""

account = Table(
    "account",
    metadata,
    id_column("programme_id"),
    id_column("account_id"),
    Column("kind", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "account_id"),
    one_of("kind", "fund", "sponsor", "unallocated", "clearing", "beneficiary", "merchant"),
)

wallet = Table(
    "wallet",
    metadata,
    id_column("programme_id"),
    id_column("beneficiary_id"),
    Column("version", BigInteger, nullable=False),
    rupiah_column("available_rupiah"),
    rupiah_column("held_rupiah"),
    rupiah_column("spent_rupiah"),
    PrimaryKeyConstraint("programme_id", "beneficiary_id"),
    CheckConstraint("available_rupiah >= 0", name="available_is_never_negative"),
    CheckConstraint("held_rupiah >= 0", name="held_is_never_negative"),
    CheckConstraint("spent_rupiah >= 0", name="spent_is_never_negative"),
    postgresql_with={"fillfactor": str(HOT_FILLFACTOR)},
)

allowance = Table(
    "allowance",
    metadata,
    id_column("programme_id"),
    id_column("beneficiary_id"),
    Column("month", Date, nullable=False),
    rupiah_column("cap_rupiah", nullable=True),
    Column("packages_cap", Integer),
    rupiah_column("used_rupiah"),
    Column("packages_used", Integer, nullable=False),
    rupiah_column("covered_rupiah"),
    Column("covered_packages", Integer, nullable=False),
    PrimaryKeyConstraint("programme_id", "beneficiary_id", "month"),
    CheckConstraint("used_rupiah <= cap_rupiah + covered_rupiah", name="used_is_within_the_cap"),
    CheckConstraint("packages_used <= packages_cap + covered_packages", name="packages_are_within_the_cap"),
    CheckConstraint("covered_rupiah >= 0 AND covered_rupiah <= used_rupiah", name="covered_is_part_of_used"),
    CheckConstraint("packages_used >= 0 AND covered_packages >= 0", name="packages_are_never_negative"),
    postgresql_with={"fillfactor": str(HOT_FILLFACTOR)},
)

voucher = Table(
    "voucher",
    metadata,
    id_column("programme_id"),
    id_column("voucher_id"),
    id_column("beneficiary_id"),
    id_column("companion_id"),
    Column("month", Date, nullable=False),
    rupiah_column("extra_rupiah"),
    Column("extra_packages", Integer, nullable=False),
    rupiah_column("used_rupiah"),
    Column("packages_used", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("approved_at", Instant, comment="until then it waits for an operator and covers nothing"),
    id_column("approved_by", nullable=True),
    id_column("revoked_by", nullable=True),
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
    id_column("programme_id"),
    id_column("transfer_id"),
    id_column("voucher_id"),
    id_column("authorisation_id"),
    rupiah_column("used_rupiah"),
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
    id_column("programme_id"),
    id_column("principal_id"),
    Column("key_digest", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("stan", Text),
    Column("terminal_time", Instant),
    id_column("authorisation_id", nullable=True),
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
    id_column("programme_id"),
    id_column("authorisation_id"),
    Column("created_at", Instant, nullable=False),
    id_column("merchant_id"),
    id_column("terminal_id"),
    id_column("beneficiary_id", nullable=True),
    id_column("card_id", nullable=True),
    Column("month", Date, nullable=False),
    Column("reason", Text, nullable=False),
    rupiah_column("amount_rupiah"),
    rupiah_column("approved_rupiah"),
    rupiah_column("reduction_rupiah"),
    Column("request_id", Text, nullable=False),
    Column("journal", JSONB, nullable=False, comment="what was asked, the facts seen, the versions"),
    Column("answer", LargeBinary, nullable=False, comment="the first answer, byte for byte"),
    PrimaryKeyConstraint("programme_id", "authorisation_id"),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
    CheckConstraint("approved_rupiah >= 0 AND reduction_rupiah >= 0", name="approved_is_never_negative"),
    CheckConstraint("approved_rupiah + reduction_rupiah <= amount_rupiah", name="approved_is_part_of_amount"),
    CheckConstraint("(reason = 'approved') = (approved_rupiah > 0)", name="approved_is_more_than_nothing"),
    postgresql_with={"toast_tuple_target": str(_ANSWER_STAYS_BYTES)},
)

hold = Table(
    "hold",
    metadata,
    id_column("programme_id"),
    id_column("authorisation_id"),
    id_column("beneficiary_id"),
    id_column("merchant_id"),
    Column("month", Date, nullable=False),
    Column("status", Text, nullable=False),
    rupiah_column("approved_rupiah"),
    rupiah_column("held_rupiah"),
    rupiah_column("captured_rupiah"),
    rupiah_column("refunded_rupiah"),
    Column("packages", SmallInteger, nullable=False, comment="packages of the month it still uses"),
    Column("expires_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "authorisation_id"),
    Index(None, "programme_id", "beneficiary_id"),
    Index(None, "programme_id", "expires_at"),
    one_of("status", "held", "partly_captured", "captured", "voided", "expired", "reversed"),
    CheckConstraint("held_rupiah >= 0 AND captured_rupiah >= 0", name="held_is_never_negative"),
    CheckConstraint("held_rupiah + captured_rupiah <= approved_rupiah", name="captured_is_within_the_hold"),
    CheckConstraint("refunded_rupiah BETWEEN 0 AND captured_rupiah", name="refunded_is_within_captured"),
    CheckConstraint("(held_rupiah > 0) = (status IN ('held', 'partly_captured'))", name="open_is_what_is_held"),
    CheckConstraint("packages IN (0, 1)", name="packages_are_one_at_most"),
    postgresql_with={"fillfactor": str(HOT_FILLFACTOR)},
)

transfer = Table(
    "transfer",
    metadata,
    id_column("programme_id"),
    id_column("transfer_id"),
    Column("kind", Text, nullable=False),
    Column("cause", Text, nullable=False),
    id_column("debit_account_id"),
    id_column("credit_account_id"),
    rupiah_column("amount_rupiah"),
    id_column("authorisation_id", nullable=True),
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
    # Of the sealer, who reads the end of the books. Rows come in order of time: next to nothing for each new one.
    Index(None, "recorded_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    CheckConstraint("amount_rupiah > 0", name="amount_is_positive"),
    CheckConstraint("debit_account_id <> credit_account_id", name="accounts_differ"),
    one_of(
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

# How far the books have been checked; written once after each check.
audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    id_column("programme_id"),
    Column("checked_at", Instant, nullable=False),
    Column("checked_from", Instant, comment="NULL where all was checked"),
    Column("checked_until", Instant, nullable=False, comment="what is written later begins with later ids"),
    Column("violations", BigInteger, nullable=False),
    PrimaryKeyConstraint("programme_id", "checked_at"),
    CheckConstraint("violations >= 0", name="violations_are_never_negative"),
    CheckConstraint("checked_until <= checked_at", name="is_of_the_past"),
)
