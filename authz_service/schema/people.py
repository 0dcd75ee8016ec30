"""The people of the console, their sessions, and the audit log. Passwords only as argon2id, tokens only as digests."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
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
from sqlalchemy.dialects.postgresql import JSONB

from authz_service.schema.columns import Instant, id_column, metadata, one_of

LOOKS_LIKE = "translate(sign_in, '01i.-', 'oll')"
"""What the eye sees of a sign-in name: nought is o, one and i are l, points and hyphens are nothing."""

# Who did or looked at what, and why; written once, in the transaction that does it.
audit_entry = Table(
    "audit_entry",
    metadata,
    id_column("programme_id"),
    id_column("entry_id"),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", Text, comment="of a person of the console; nothing for commands"),
    Column("action", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    id_column("subject_id"),
    Column("reason", Text),
    Column("request_id", Text),
    Column("before", JSONB, comment="ids, words and rupiah, nothing personal"),
    Column("after", JSONB, comment="the same"),
    Column("recorded_at", Instant, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("programme_id", "entry_id"),
    Index("audit_entry_subject_idx", "programme_id", "subject_id", "entry_id"),
    Index(None, "recorded_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)

person = Table(
    "person",
    metadata,
    id_column("programme_id"),
    id_column("person_id"),
    id_column("sign_in"),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False, comment="argon2id with its parameters and salt"),
    Column("password_is_for_once", Boolean, nullable=False, comment="the next sign-in chooses another one"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("failed_tries", Integer, nullable=False, server_default=text("0"), comment="since the last that was right"),
    Column("locked_until", Instant),
    PrimaryKeyConstraint("programme_id", "person_id"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    UniqueConstraint("programme_id", "sign_in"),
    Index("person_looks_like_nobody_else_key", "programme_id", text(LOOKS_LIKE), unique=True),
    one_of("role", "viewer", "card_desk", "programme_manager", "auditor"),
    CheckConstraint(
        "sign_in ~ '^[a-z][a-z0-9]*([.-][a-z0-9]+)*$' AND length(sign_in) BETWEEN 3 AND 32", name="sign_in_is_plain"
    ),
)

console_session = Table(
    "console_session",
    metadata,
    id_column("programme_id"),
    Column("token_digest", LargeBinary, nullable=False),
    id_column("person_id"),
    Column("created_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False, comment="at the latest, whoever is still there"),
    PrimaryKeyConstraint("programme_id", "token_digest"),
    ForeignKeyConstraint(["programme_id", "person_id"], ["person.programme_id", "person.person_id"]),
    Index(None, "token_digest"),
    Index(None, "programme_id", "person_id"),
)
