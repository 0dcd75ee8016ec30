"""What the bank's statements say, where authorisations, ledger and statement disagree, and who disputes a purchase."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from authz_service.schema.columns import Instant, Rupiah, id_column, metadata, one_of, rupiah_column

# What the bank's statements say, read once from their files: a line has one identity, in however many files it stands.
bank_statement = Table(
    "bank_statement",
    metadata,
    id_column("programme_id"),
    id_column("statement_id"),
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
    one_of("format", "csv", "mt940"),
    CheckConstraint("from_on <= to_on", name="begins_before_it_ends"),
    CheckConstraint("lines >= 0", name="lines_are_never_negative"),
    CheckConstraint("octet_length(file_digest) = 32", name="digest_is_whole"),
)

bank_statement_line = Table(
    "bank_statement_line",
    metadata,
    id_column("programme_id"),
    id_column("statement_id"),
    Column("line", Integer, nullable=False),
    Column("identity", LargeBinary, nullable=False, comment="over what the bank booked, not over how the file says it"),
    Column("booked_on", Date, nullable=False),
    Column("amount_rupiah", Rupiah, nullable=False, comment="below nothing: it left the account"),
    id_column("reference"),
    id_column("bank_reference"),
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
    id_column("programme_id"),
    Column("identity", LargeBinary, nullable=False),
    id_column("reference"),
    Column("matched_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "identity"),
)

# Where authorisations, ledger and statement disagree. Closed by two people, or by a later statement that explains it.
reconciliation_exception = Table(
    "reconciliation_exception",
    metadata,
    id_column("programme_id"),
    id_column("exception_id"),
    Column("kind", Text, nullable=False),
    id_column("reference"),
    id_column("subject"),
    rupiah_column("ours_rupiah", nullable=True),
    rupiah_column("theirs_rupiah", nullable=True),
    Column("since_on", Date, nullable=False, comment="its age counts from here"),
    Column("first_seen_at", Instant, nullable=False),
    Column("detail", Text, nullable=False),
    id_column("proposal", nullable=True),
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
    one_of(
        "kind",
        "amount_differs",
        "missing_here",
        "missing_there",
        "paid_though_failed",
        "return_without_payment",
        "more_than_once",
        "after_the_close",
        "books_differ",
        "statements_do_not_join",
        "days_missing",
        "balance_differs",
    ),
    one_of("outcome", "explained", "corrected", "claimed", "paid_after_all"),
    CheckConstraint(
        "(resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (outcome IS NULL)"
        " AND (resolved_at IS NULL) = (reason IS NULL)",
        name="resolution_is_whole",
    ),
    CheckConstraint(
        "approved_by IS NULL OR (closed_at IS NOT NULL AND resolved_by IS NOT NULL"
        " AND lower(btrim(approved_by)) <> lower(btrim(resolved_by)))",
        name="four_eyes",
    ),
)

# A family's or a shop's claim that a purchase was not as the books say. It moves no money.
dispute = Table(
    "dispute",
    metadata,
    id_column("programme_id"),
    id_column("dispute_id"),
    id_column("authorisation_id"),
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
