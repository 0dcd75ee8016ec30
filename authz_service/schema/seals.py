"""The sealed books: committed rows numbered in blocks, and how far each chain has come."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from authz_service.schema.columns import Id, Instant, id_column, metadata, one_of

# An interval of row numbers: which rows they are, and the root of the Merkle tree over them.
seal_block = Table(
    "seal_block",
    metadata,
    id_column("programme_id"),
    Column("chain", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False, comment="over the rows"),
    Column("head", LargeBinary, nullable=False, comment="over all blocks up to this one"),
    Column("sealed_at", Instant, nullable=False),
    Column("recorded_from", Instant, nullable=False),
    Column("recorded_through", Instant, nullable=False),
    Column("row_ids", ARRAY(Id), nullable=False, comment="in the order of their numbers"),
    Column("tags", LargeBinary, nullable=False, comment="8 bytes of each hash, to name a changed row by"),
    PrimaryKeyConstraint("programme_id", "chain", "number"),
    UniqueConstraint("programme_id", "chain", "first_row"),
    Index(None, "programme_id", "chain", "recorded_through"),
    one_of("chain", "transfers", "audit"),
    CheckConstraint("number > 0 AND first_row > 0 AND rows > 0", name="numbers_are_positive"),
    CheckConstraint("cardinality(row_ids) = rows AND length(tags) = 8 * rows", name="rows_are_all_there"),
    CheckConstraint("length(root) = 32 AND length(head) = 32", name="hashes_are_whole"),
    CheckConstraint("recorded_from <= recorded_through", name="interval_has_an_order"),
)

# The row that a sealer locks; all of it but the look back can be made again from the blocks.
seal_head = Table(
    "seal_head",
    metadata,
    id_column("programme_id"),
    Column("chain", Text, nullable=False),
    Column("blocks", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("trees", LargeBinary, nullable=False, comment="roots of the full trees of blocks"),
    Column("settled_until", Instant, nullable=False, comment="what was recorded before is sealed"),
    Column("looked_back_at", Instant, nullable=False),
    PrimaryKeyConstraint("programme_id", "chain"),
    one_of("chain", "transfers", "audit"),
    CheckConstraint("blocks >= 0 AND rows >= blocks", name="numbers_are_never_negative"),
)
