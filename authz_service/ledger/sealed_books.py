"""Reads the sealed books: the head, blocks as they were kept, their rows as they are now."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import asyncpg

from authz_service.database import Connection
from authz_service.ledger.sealed_head import Head
from authz_service.ledger.sealed_rows import TAG_BYTES, Block, Chain
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

_ONE_SNAPSHOT: Final = "SELECT set_config('statement_timeout', $1, true), set_config('work_mem', $2, true)"
_LAST: Final = """
-- The head as its last block has it; with `$3` at that block.
SELECT number, first_row, rows, head, sealed_at FROM seal_block
 WHERE programme_id = $1 AND chain = $2 AND ($3::bigint IS NULL OR number = $3)
 ORDER BY number DESC LIMIT 1
"""
_HEADERS: Final = """
-- Blocks $3 to $4 without what is in them.
SELECT number, first_row, rows, root, sealed_at FROM seal_block
 WHERE programme_id = $1 AND chain = $2 AND number BETWEEN $3 AND $4 ORDER BY number
"""
_BLOCKS: Final = """
-- Blocks $3 to $4 with the ids and tags of their rows.
SELECT number, first_row, rows, root, sealed_at, head, row_ids, tags FROM seal_block
 WHERE programme_id = $1 AND chain = $2 AND number BETWEEN $3 AND $4 ORDER BY number
"""
_ROWS: Final = """
-- A block's rows as they are now.
SELECT {columns} FROM {table} t WHERE t.programme_id = $1 AND t.{row_id} = ANY ($2::text[])
"""
_BLOCK_OF: Final = """
-- The block in which a row is.
SELECT b.number FROM {table} t JOIN seal_block b ON b.programme_id = $1 AND b.chain = $2
   AND b.recorded_through >= t.{recorded_at} AND b.recorded_from <= t.{recorded_at} AND t.{row_id} = ANY (b.row_ids)
 WHERE t.programme_id = $1 AND t.{row_id} = $3
"""
_BLOCKS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBlock:
    """A block with what was kept beside it."""

    block: Block
    head: bytes
    row_ids: Sequence[str]
    tags: Sequence[bytes]


@asynccontextmanager
async def one_snapshot(connection: Connection, settings: Settings) -> AsyncIterator[None]:
    """Inside, all that is read is of one instant; nobody waits for it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        limits = (f"{settings.audit_statement_timeout_ms}ms", f"{settings.audit_work_mem_mb}MB")
        await connection.execute(_ONE_SNAPSHOT, *limits)
        yield


async def head_of(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, *, at: int | None = None
) -> Head | None:
    """The head now, or as it was after block `at`; None where nothing is sealed, or not so much."""
    row = await connection.fetchrow(_LAST, programme_id, chain.name, at)
    if row is None:
        return None
    return Head(
        programme_id=programme_id,
        chain=chain.name,
        blocks=row["number"],
        rows=row["first_row"] + row["rows"] - 1,
        root=row["head"],
        sealed_at=row["sealed_at"],
    )


async def headers(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, first: int, last: int
) -> AsyncIterator[Block]:
    """Blocks `first` to `last`. In a transaction."""
    cursor = connection.cursor(_HEADERS, programme_id, chain.name, first, last, prefetch=512)
    async for row in cursor:
        yield _block(programme_id, chain, row)


async def kept_blocks(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, first: int, last: int
) -> AsyncIterator[KeptBlock]:
    """Blocks `first` to `last`, with the ids of their rows. In a transaction."""
    cursor = connection.cursor(_BLOCKS, programme_id, chain.name, first, last, prefetch=_BLOCKS_AT_ONCE)
    async for row in cursor:
        tags = row["tags"]
        yield KeptBlock(
            block=_block(programme_id, chain, row),
            head=row["head"],
            row_ids=row["row_ids"],
            tags=[tags[place : place + TAG_BYTES] for place in range(0, len(tags), TAG_BYTES)],
        )


async def rows_of(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, kept: KeptBlock
) -> dict[str, asyncpg.Record]:
    """Its rows as they are now, by their ids."""
    rows = await connection.fetch(_of(chain, _ROWS), programme_id, list(kept.row_ids))
    return {row[0]: row for row in rows}


async def block_of(connection: Connection, programme_id: ProgrammeId, chain: Chain, row_id: str) -> int | None:
    """The number of the block in which the row is."""
    number: int | None = await connection.fetchval(_of(chain, _BLOCK_OF), programme_id, chain.name, row_id)
    return number


def _block(programme_id: ProgrammeId, chain: Chain, row: asyncpg.Record) -> Block:
    return Block(
        programme_id=programme_id,
        chain=chain.name,
        number=row["number"],
        first_row=row["first_row"],
        rows=row["rows"],
        root=row["root"],
        sealed_at=row["sealed_at"],
    )


@lru_cache
def _of(chain: Chain, statement: str) -> str:
    columns = ", ".join(f"t.{column}" for column in chain.columns)
    names: dict[str, Any] = {"table": chain.table, "row_id": chain.row_id, "recorded_at": chain.recorded_at}
    return statement.format(columns=columns, **names)
