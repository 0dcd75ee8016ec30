"""Outgoing events. Written with the fact they tell of; numbered once they are committed, without gaps."""

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from authz_service.schema.columns import Instant, id_column, metadata, one_of

outgoing_event = Table(
    "event",
    metadata,
    id_column("programme_id"),
    id_column("event_id"),
    Column("position", BigInteger, Identity(always=True), nullable=False, comment="in a transaction, their order"),
    Column("type", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False, comment="the business instant"),
    Column("data", JSON, nullable=False, comment="ids, codes and rupiah, nothing personal"),
    Column("recorded_at", Instant, nullable=False, server_default=text("now()")),
    Column("number", BigInteger, comment="NULL until it is seen to be committed"),
    PrimaryKeyConstraint("programme_id", "event_id"),
    UniqueConstraint("programme_id", "number"),
    Index("event_new_idx", "programme_id", "position", postgresql_where=text("number IS NULL")),
    CheckConstraint("type ~ '^[a-z_]+[.][a-z_]+$'", name="type_is_written_well"),
    CheckConstraint("number > 0", name="number_is_positive"),
)

# How far a programme's events are numbered, and its purchases read from the books.
event_head = Table(
    "event_head",
    metadata,
    id_column("programme_id"),
    Column("last_number", BigInteger, nullable=False),
    Column("purchases_from", Instant, comment="NULL: no endpoint wants them"),
    Column("purchases_through", Instant, comment="no transaction that began before it is still open"),
    Column("noted_at", Instant, comment="will be the next `purchases_through`"),
    Column("noted_transaction", BigInteger, comment="once all with a smaller number are over"),
    Column("looked_back_at", Instant),
    PrimaryKeyConstraint("programme_id"),
)

# Who is told of what. One process at a time sends to an endpoint.
event_endpoint = Table(
    "event_endpoint",
    metadata,
    id_column("programme_id"),
    id_column("endpoint_id"),
    Column("label", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False, comment="a type, all of a subject (payout.*), or everything (*)"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("disabled_because", Text),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="in a row"),
    Column("rests_until", Instant),
    Column("delivered_at", Instant, comment="the last time that it took anything"),
    Column("claim", Text, comment="of the process that sends to it"),
    Column("claimed_until", Instant),
    PrimaryKeyConstraint("programme_id", "endpoint_id"),
    ForeignKeyConstraint(["programme_id"], ["programme.programme_id"]),
    CheckConstraint("cardinality(types) > 0", name="wants_something"),
    CheckConstraint("(disabled_at IS NULL) = (disabled_because IS NULL)", name="disabled_has_a_reason"),
    CheckConstraint("(claim IS NULL) = (claimed_until IS NULL)", name="claim_is_whole"),
    one_of("disabled_because", "ordered", "gone", "dead"),
)

# Each is derived from the root key and kept nowhere; several live side by side while they change.
event_secret = Table(
    "event_secret",
    metadata,
    id_column("programme_id"),
    id_column("endpoint_id"),
    Column("number", Integer, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    PrimaryKeyConstraint("programme_id", "endpoint_id", "number"),
    ForeignKeyConstraint(
        ["programme_id", "endpoint_id"], ["event_endpoint.programme_id", "event_endpoint.endpoint_id"]
    ),
    CheckConstraint("valid_from <= valid_until", name="begins_before_it_ends"),
)

event_delivery = Table(
    "event_delivery",
    metadata,
    id_column("programme_id"),
    id_column("endpoint_id"),
    Column("number", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("tries_before", Integer, nullable=False, comment="it was sent again: its schedule began anew after so many"),
    Column("first_tried_at", Instant, comment="in this schedule"),
    PrimaryKeyConstraint("programme_id", "endpoint_id", "number"),
    Index(
        "event_delivery_pending_idx",
        "programme_id",
        "endpoint_id",
        "number",
        postgresql_where=text("state = 'pending'"),
    ),
    one_of("state", "pending", "delivered", "given_up"),
    CheckConstraint("tries_before BETWEEN 0 AND tries", name="tries_add_up"),
)

event_attempt = Table(
    "event_attempt",
    metadata,
    id_column("programme_id"),
    id_column("endpoint_id"),
    Column("number", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempted_at", Instant, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", SmallInteger, comment="HTTP"),
    Column("error", Text, comment="in our words"),
    PrimaryKeyConstraint("programme_id", "endpoint_id", "number", "attempt"),
    one_of("outcome", "delivered", "gone", "slow_down", "refused", "timed_out", "unreachable", "forbidden"),
    CheckConstraint("length(error) <= 120", name="error_is_short"),
)
