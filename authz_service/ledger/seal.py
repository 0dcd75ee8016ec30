"""Committed rows get their numbers, without gaps, in blocks whose hashes every later head contains.

By membership: a row is in a block or in none, and what commits later is numbered later, whatever its ids and times say.
One process at a time, under the lock of the chain's head; the others do not wait. Nothing of the hot path is touched:
the end of the books is read by the time of recording, as far back as a transaction may still be open.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import asyncpg

from authz_service.clock import monotonic_seconds
from authz_service.database import Connection
from authz_service.ledger.sealed_rows import Block, Chain, block_hash, row_hash, tag_of
from authz_service.ledger.tree import Frontier, root_of
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

_LIMITS: Final = """
-- Statistics may be from when the books were small: the end is found by the index all the same.
SELECT set_config('statement_timeout', $1, true), set_config('enable_seqscan', 'off', true),
       set_config('enable_nestloop', 'off', true)
"""
_HEAD_IS_THERE: Final = """
-- Looked for first: ON CONFLICT alone would wait for whoever is changing it. It begins before the oldest row.
INSERT INTO seal_head (programme_id, chain, blocks, rows, trees, settled_until, looked_back_at)
SELECT $1, $2, 0, 0, '',
       coalesce((SELECT min({recorded_at}) FROM {table} WHERE programme_id = $1), clock_timestamp()) - interval '1 day',
       clock_timestamp()
 WHERE NOT EXISTS (SELECT FROM seal_head WHERE programme_id = $1 AND chain = $2)
    ON CONFLICT DO NOTHING
"""
_HEAD: Final = """
-- Of several processes one goes on.
SELECT blocks, rows, trees, settled_until, clock_timestamp() AS database_now
  FROM seal_head WHERE programme_id = $1 AND chain = $2 FOR UPDATE SKIP LOCKED
"""
_SETTLED: Final = """
-- Nothing that a later snapshot shows and the next one does not was recorded before this: a row's time of recording is
-- that of its transaction's beginning. Who has written nothing for $1 is taken for a
-- reader; the look back finds others.
-- Nothing where one may be open whose beginning is hidden: of another role (then even its type is), not tracked, or
-- prepared.
SELECT CASE WHEN count(*) FILTER (WHERE state IS NULL OR state = 'disabled') = 0
             AND NOT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
            THEN least(clock_timestamp(),
                       min(xact_start) FILTER (WHERE backend_xid IS NOT NULL
                                                  OR xact_start > clock_timestamp() - $1::interval)) END
  FROM pg_stat_activity
 WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend'
   AND pid <> pg_backend_pid()
"""
_NEW: Final = """
-- Rows recorded from $3 until before $4 (none: all later ones) that are in no block, in order of recording.
SELECT {columns}
  FROM {table} t
 WHERE t.programme_id = $1 AND t.{recorded_at} >= $3 AND ($4::timestamptz IS NULL OR t.{recorded_at} < $4)
   AND NOT EXISTS (SELECT FROM (SELECT unnest(b.row_ids) AS row_id FROM seal_block b
                                 WHERE b.programme_id = $1 AND b.chain = $2 AND b.recorded_through >= $3) sealed
                    WHERE sealed.row_id = t.{row_id})
 ORDER BY t.{recorded_at}, t.{row_id}
"""
_LATE: Final = """
-- Of rows $3 those that are in no block. For few.
SELECT {columns}
  FROM {table} t
 WHERE t.programme_id = $1 AND t.{row_id} = ANY ($3::text[])
   AND NOT EXISTS (SELECT FROM seal_block b
                    WHERE b.programme_id = $1 AND b.chain = $2 AND b.recorded_through >= t.{recorded_at}
                      AND b.recorded_from <= t.{recorded_at} AND t.{row_id} = ANY (b.row_ids))
 ORDER BY t.{recorded_at}, t.{row_id}
"""
_STRAGGLERS: Final = """
-- Rows that should be in a block by now and are in none: all rows against all blocks.
SELECT t.{row_id} AS row_id, t.{recorded_at} AS recorded_at
  FROM {table} t
 WHERE t.programme_id = $1
   AND t.{recorded_at} < (SELECT settled_until FROM seal_head WHERE programme_id = $1 AND chain = $2)
   AND NOT EXISTS (SELECT FROM (SELECT unnest(b.row_ids) AS row_id FROM seal_block b
                                 WHERE b.programme_id = $1 AND b.chain = $2) sealed
                    WHERE sealed.row_id = t.{row_id})
 ORDER BY t.{recorded_at}, t.{row_id}
 LIMIT $3
"""
_KEEP_BLOCK: Final = """
INSERT INTO seal_block (programme_id, chain, number, first_row, rows, root, head, sealed_at, recorded_from,
                        recorded_through, row_ids, tags)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_KEEP_HEAD: Final = """
UPDATE seal_head SET blocks = $3, rows = $4, trees = $5, settled_until = $6 WHERE programme_id = $1 AND chain = $2
"""
_FIRST_SLICE: Final = timedelta(minutes=10)
"""Of books that were never sealed, or not for long, so much is sorted first; twice as much after each slice."""
_WHERE_HIDDEN: Final = timedelta(hours=1)
"""So far back is read again and again where PostgreSQL does not say which transactions are open."""
_SETTLED_IN_PASSING: Final = timedelta(seconds=60)
"""Where nothing was sealed, the head is written no more often than that."""
STRAGGLERS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a round has come to."""

    rows: int
    blocks: int
    rows_of_all: int
    unsealed_seconds: float
    """Age of the oldest row that was left for the next round, by its time of recording; 0 where none was."""


@dataclass(slots=True, kw_only=True)
class _Sealing:
    """A head that this transaction has locked, and what it adds to it."""

    connection: Connection
    programme_id: ProgrammeId
    chain: Chain
    now: datetime
    tree: Frontier
    rows: int
    settled_until: datetime
    rows_before: int = field(init=False)
    blocks_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows_before, self.blocks_before = self.rows, self.tree.size

    async def add(self, rows: Sequence[asyncpg.Record]) -> None:
        """The rows are the next block."""
        leaves = [row_hash(row) for row in rows]
        recorded = [row[-1] for row in rows]
        block = Block(
            programme_id=self.programme_id,
            chain=self.chain.name,
            number=self.tree.size + 1,
            first_row=self.rows + 1,
            rows=len(rows),
            root=root_of(leaves),
            sealed_at=self.now,
        )
        self.tree.add(block_hash(block))
        self.rows = block.last_row
        await self.connection.execute(
            _KEEP_BLOCK,
            *(block.programme_id, block.chain, block.number, block.first_row, block.rows, block.root, self.tree.root),
            *(block.sealed_at, min(recorded), max(recorded), [row[0] for row in rows], b"".join(map(tag_of, leaves))),
        )

    async def keep(self, settled_until: datetime) -> None:
        """The head is where its blocks are."""
        settled_until = max(self.settled_until, settled_until)
        if self.rows == self.rows_before and settled_until - self.settled_until < _SETTLED_IN_PASSING:
            return
        what = (self.tree.size, self.rows, self.tree.kept, settled_until)
        await self.connection.execute(_KEEP_HEAD, self.programme_id, self.chain.name, *what)

    def sealed(self, unsealed_seconds: float) -> Sealed:
        return Sealed(
            rows=self.rows - self.rows_before,
            blocks=self.tree.size - self.blocks_before,
            rows_of_all=self.rows,
            unsealed_seconds=unsealed_seconds,
        )


async def seal(connection: Connection, settings: Settings, programme_id: ProgrammeId, chain: Chain) -> Sealed | None:
    """What is committed is sealed, as far as one round of `seal_round_seconds` goes; all of the round, or nothing.

    None where another process is at it.
    """
    until = monotonic_seconds() + settings.seal_round_seconds
    async with connection.transaction():
        sealing = await _locked(connection, settings, programme_id, chain)
        if sealing is None:
            return None
        # Before anything is read: what is over now is seen by what is read next.
        settled = await connection.fetchval(_SETTLED, timedelta(seconds=settings.seal_open_seconds))
        margin = timedelta(seconds=settings.seal_margin_seconds)
        limit = (sealing.now - _WHERE_HIDDEN if settled is None else settled) - margin
        start, length = sealing.settled_until, _FIRST_SLICE
        while True:
            end = start + length if start + length < sealing.now else None
            left = await _seal_slice(sealing, settings, start, end, until)
            if left is not None:
                await sealing.keep(min(left, limit))
                return sealing.sealed(max((sealing.now - left).total_seconds(), 0.0))
            if end is None:
                await sealing.keep(limit)
                return sealing.sealed(0.0)
            start, length = end, 2 * length


async def stragglers(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, chain: Chain
) -> list[tuple[str, datetime]]:
    """The first rows that are in no block although later ones are long sealed, with their time of recording."""
    async with connection.transaction():
        await connection.execute(
            "SELECT set_config('statement_timeout', $1, true), set_config('work_mem', $2, true),"
            " set_config('enable_nestloop', 'off', true)",
            *(f"{settings.audit_statement_timeout_ms}ms", f"{settings.audit_work_mem_mb}MB"),
        )
        return await find_stragglers(connection, programme_id, chain, STRAGGLERS_AT_ONCE)


async def find_stragglers(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, limit: int
) -> list[tuple[str, datetime]]:
    """The same, with the caller's limits of time and memory."""
    rows = await connection.fetch(_of(chain, _STRAGGLERS), programme_id, chain.name, limit)
    return [(row["row_id"], row["recorded_at"]) for row in rows]


async def seal_late(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, chain: Chain, row_ids: Sequence[str]
) -> Sealed | None:
    """Those of the rows that were in no block are in one; None where another process is sealing."""
    async with connection.transaction():
        sealing = await _locked(connection, settings, programme_id, chain)
        if sealing is None:
            return None
        rows = await connection.fetch(_of(chain, _LATE), programme_id, chain.name, list(row_ids))
        for first in range(0, len(rows), settings.seal_block_rows):
            await sealing.add(rows[first : first + settings.seal_block_rows])
        await sealing.keep(sealing.settled_until)
        return sealing.sealed(0.0)


async def _locked(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, chain: Chain
) -> _Sealing | None:
    await connection.execute(_LIMITS, f"{settings.seal_statement_timeout_ms}ms")
    await connection.execute(_of(chain, _HEAD_IS_THERE), programme_id, chain.name)
    head = await connection.fetchrow(_HEAD, programme_id, chain.name)
    if head is None:
        return None
    return _Sealing(
        connection=connection,
        programme_id=programme_id,
        chain=chain,
        now=head["database_now"],
        tree=Frontier(head["blocks"], head["trees"]),
        rows=head["rows"],
        settled_until=head["settled_until"],
    )


async def _seal_slice(
    sealing: _Sealing, settings: Settings, start: datetime, end: datetime | None, until: float
) -> datetime | None:
    """What was recorded in it is sealed; or, where time is up, since when something is left."""
    arguments = (sealing.programme_id, sealing.chain.name, start, end)
    cursor = await sealing.connection.cursor(_of(sealing.chain, _NEW), *arguments)
    while rows := await cursor.fetch(settings.seal_block_rows):
        await sealing.add(rows)
        # Tills are answered by the same thread.
        await asyncio.sleep(0)
        if len(rows) == settings.seal_block_rows and monotonic_seconds() >= until:
            last: datetime = rows[-1][-1]
            return last
    return None


@lru_cache
def _of(chain: Chain, statement: str) -> str:
    columns = ", ".join(f"t.{column}" for column in chain.columns)
    names: dict[str, Any] = {"table": chain.table, "row_id": chain.row_id, "recorded_at": chain.recorded_at}
    return statement.format(columns=columns, **names)
