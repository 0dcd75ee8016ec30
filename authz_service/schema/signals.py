"""Signals of misuse: how each is set, what was found and what became of it, and what is declined for it."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from authz_service.schema.columns import Id, Instant, id_column, metadata, one_of

# How a programme has set a signal; where it has no row, the defaults of `signals/thresholds.py` hold.
signal_rule = Table(
    "signal_rule",
    metadata,
    id_column("programme_id"),
    Column("signal", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("action", Text, nullable=False),
    Column("thresholds", JSONB, nullable=False, comment="only what differs from the defaults"),
    Column("set_at", Instant, nullable=False),
    Column("set_by", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "signal"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    one_of("action", "flag", "hold", "decline"),
)

# How far the watcher has read the decisions, and the nights that are done; and the two numbers of all signals together.
signal_watch = Table(
    "signal_watch",
    metadata,
    id_column("programme_id"),
    Column("read_through", Id, comment="the last authorisation that was read"),
    Column("nights_through", Date, comment="the last day of which all signals were computed"),
    Column("hold_score", SmallInteger, nullable=False, comment="from which on a purchase's settlement is held"),
    Column("nightly_at", Time, nullable=False, comment="wall clock of the zone, of the day after"),
    PrimaryKeyConstraint("programme_id"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    CheckConstraint("hold_score BETWEEN 1 AND 100", name="score_is_a_part_of_100"),
)

# One signal, seen at one subject on one day. While it is open, what is seen later that day is added.
signal_finding = Table(
    "signal_finding",
    metadata,
    id_column("programme_id"),
    id_column("finding_id"),
    Column("signal", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    id_column("subject_id"),
    Column("day", Date, nullable=False, comment="of the programme's zone"),
    Column("score", SmallInteger, nullable=False),
    Column("evidence", JSONB, nullable=False, comment="ids, counts and rupiah, nothing personal"),
    Column("action", Text, nullable=False, comment="the gravest that was taken"),
    Column("found_at", Instant, nullable=False),
    Column("accused_at", Instant),
    Column("accused_by", Text),
    Column("accused_because", Text),
    Column("closed_at", Instant),
    Column("closed_by", Text),
    Column("closed_because", Text),
    Column("standing", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "finding_id"),
    UniqueConstraint("programme_id", "signal", "subject_id", "day"),
    Index(
        "signal_finding_open_idx",
        "programme_id",
        "found_at",
        postgresql_where=text("standing = 'open'"),
    ),
    one_of("subject_kind", "terminal", "merchant", "card", "companion"),
    one_of("action", "flag", "hold", "decline"),
    one_of("standing", "open", "dismissed", "confirmed"),
    CheckConstraint("score BETWEEN 1 AND 100", name="score_is_a_part_of_100"),
    CheckConstraint(
        "(accused_at IS NULL) = (accused_by IS NULL) AND (accused_at IS NULL) = (accused_because IS NULL)",
        name="accusation_is_whole",
    ),
    CheckConstraint(
        "(closed_at IS NULL) = (standing = 'open') AND (closed_by IS NULL) = (standing = 'open')"
        " AND (closed_because IS NULL) = (standing = 'open')",
        name="close_is_whole",
    ),
    CheckConstraint("standing <> 'confirmed' OR accused_by IS NOT NULL", name="confirmed_was_accused"),
    CheckConstraint(
        "standing <> 'confirmed' OR lower(btrim(accused_by)) <> lower(btrim(closed_by))",
        name="confirmed_by_somebody_else",
    ),
)

# The purchases that a finding is about.
signal_purchase = Table(
    "signal_purchase",
    metadata,
    id_column("programme_id"),
    id_column("finding_id"),
    id_column("authorisation_id"),
    PrimaryKeyConstraint("programme_id", "finding_id", "authorisation_id"),
    Index(None, "programme_id", "authorisation_id"),
)

# Reference data of the decisions: where the next purchase is declined.
signal_mark = Table(
    "signal_mark",
    metadata,
    id_column("programme_id"),
    id_column("subject_id"),
    Column("signal", Text, nullable=False),
    Column("until", Instant, nullable=False),
    id_column("finding_id"),
    PrimaryKeyConstraint("programme_id", "subject_id", "signal"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
)

# What a signal would have touched in the past under a setting, before it was set so.
signal_backtest = Table(
    "signal_backtest",
    metadata,
    id_column("programme_id"),
    id_column("backtest_id"),
    Column("signal", Text, nullable=False),
    Column("thresholds", JSONB, nullable=False, comment="all of them"),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date, nullable=False, comment="the last day, counted"),
    Column("days", Integer, nullable=False),
    Column("figures", JSONB, nullable=False, comment="counts and rupiah"),
    Column("ran_at", Instant, nullable=False),
    Column("ran_by", Text, nullable=False),
    PrimaryKeyConstraint("programme_id", "backtest_id"),
    Index(None, "programme_id", "signal", "ran_at"),
    CheckConstraint("from_on <= to_on", name="begins_before_it_ends"),
)
