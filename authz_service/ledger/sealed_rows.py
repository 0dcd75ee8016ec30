"""What is sealed, byte for byte: the rows of each chain, and the blocks that number them. Pure.

A row is a JSON array of its columns in the order that is written here, without blanks, in UTF-8; instants are in UTC
to the microsecond where that is not zero; what is JSON in the database is the text that PostgreSQL writes of it.
`docs/sealed-books.md` says it for those who write another verifier.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from authz_service.ledger.tree import leaf_hash

TAG_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Rows of one append-only table, in the order in which they were seen to be committed."""

    name: str
    table: str
    columns: tuple[str, ...]
    """The row's id first, and the instant of recording last: the database's, never a shifted clock's."""

    @property
    def row_id(self) -> str:
        return self.columns[0]

    @property
    def recorded_at(self) -> str:
        return self.columns[-1]


TRANSFERS: Final = Chain(
    name="transfers",
    table="transfer",
    columns=(
        *("transfer_id", "kind", "cause", "debit_account_id", "credit_account_id", "amount_rupiah"),
        *("authorisation_id", "reason", "created_at", "recorded_at"),
    ),
)
AUDIT: Final = Chain(
    name="audit",
    table="audit_entry",
    columns=(
        *("entry_id", "at", "actor", "role", "action", "subject_kind", "subject_id", "reason", "request_id"),
        *("before", "after", "recorded_at"),
    ),
)
CHAINS: Final = {chain.name: chain for chain in (TRANSFERS, AUDIT)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows `first_row` to `last_row` of a chain, in the order of their numbers; `root` is that of their tree."""

    programme_id: str
    chain: str
    number: int
    first_row: int
    rows: int
    root: bytes
    sealed_at: datetime

    @property
    def last_row(self) -> int:
        return self.first_row + self.rows - 1

    def line(self) -> bytes:
        """What the block's leaf in the tree of blocks is made of."""
        return canonical(
            (self.programme_id, self.chain, self.number, self.first_row, self.rows, self.root.hex(), self.sealed_at)
        )


def canonical(values: Iterable[Any]) -> bytes:
    return orjson.dumps(tuple(values), option=orjson.OPT_UTC_Z)


def row_hash(values: Iterable[Any]) -> bytes:
    """The leaf of a row, from its columns in the chain's order."""
    return sha256(b"\x00" + canonical(values)).digest()


def block_hash(block: Block) -> bytes:
    return leaf_hash(block.line())


def tag_of(leaf: bytes) -> bytes:
    """The first bytes of a row's leaf: they say which row of a block was changed. That one was, the root says."""
    return leaf[:TAG_BYTES]
