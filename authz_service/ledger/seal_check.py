"""The sealed books are proven from the database: every row of every block, in order, and no row beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from authz_service.database import Connection
from authz_service.ledger.seal import find_stragglers
from authz_service.ledger.sealed_books import KeptBlock, head_of, kept_blocks, one_snapshot, rows_of
from authz_service.ledger.sealed_head import Head
from authz_service.ledger.sealed_rows import Chain, block_hash, row_hash, tag_of
from authz_service.ledger.tree import Frontier, root_of
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

FAULTS_LIMIT: Final = 20
_TWICE: Final = """
-- Rows that are in blocks more than once.
SELECT row_id FROM (SELECT unnest(row_ids) AS row_id FROM seal_block WHERE programme_id = $1 AND chain = $2) sealed
 GROUP BY row_id HAVING count(*) > 1 ORDER BY row_id LIMIT $3
"""
_HEAD: Final = "SELECT blocks, rows, trees FROM seal_head WHERE programme_id = $1 AND chain = $2"


@dataclass(slots=True, kw_only=True)
class Checked:
    """What was proven, and the first faults: sentences, in the order of the rows."""

    blocks: int = 0
    rows: int = 0
    faults: list[str] = field(default_factory=list)

    def finds(self, fault: str) -> None:
        if len(self.faults) < FAULTS_LIMIT:
            self.faults.append(fault)


async def check_sealed(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    chain: Chain,
    *,
    heads: Sequence[Head] = (),
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Checked:
    """Every sealed row is as it was, no number is missing, and each of `heads`, handed out before, is one of ours."""
    checked = Checked()
    async with one_snapshot(connection, settings):
        last = await head_of(connection, programme_id, chain)
        tree, roots = Frontier(), {head.blocks for head in heads}
        found = {0: tree.root}
        async for kept in kept_blocks(connection, programme_id, chain, 1, last.blocks if last else 0):
            await _check_block(connection, programme_id, chain, kept, tree, checked)
            if tree.size in roots:
                found[tree.size] = tree.root
            progress(checked.rows, last.rows if last else 0)
        for head in heads:
            if found.get(head.blocks) != head.root:
                checked.finds(f"The head of {head.blocks} blocks that was handed out is not one of these books.")
        await _check_head(connection, programme_id, chain, tree, checked)
        for twice in await connection.fetch(_TWICE, programme_id, chain.name, FAULTS_LIMIT):
            checked.finds(f"{twice[0]} has more than one number.")
        for row_id, recorded_at in await find_stragglers(connection, programme_id, chain, FAULTS_LIMIT):
            checked.finds(f"{row_id}, recorded at {recorded_at:%Y-%m-%d %H:%M:%S} UTC, has no number: it came later.")
    return checked


async def _check_block(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, kept: KeptBlock, tree: Frontier, checked: Checked
) -> None:
    block = kept.block
    if (block.number, block.first_row) != (tree.size + 1, checked.rows + 1):
        checked.finds(f"Block {block.number} with row {block.first_row} does not follow row {checked.rows}.")
    rows = await rows_of(connection, programme_id, chain, kept)
    leaves, named = _leaves(kept, rows, checked)
    # The tree goes on with what was kept, so that one changed row is one fault and not one in every later block.
    tree.add(block_hash(block))
    if not named and root_of(leaves) != block.root:
        checked.finds(
            f"A row of {block.first_row} to {block.last_row} was changed, or the record of block {block.number}."
        )
    if tree.root != kept.head:
        checked.finds(f"The record of block {block.number}, rows {block.first_row} to {block.last_row}, was changed.")
    checked.blocks, checked.rows = tree.size, block.last_row


def _leaves(kept: KeptBlock, rows: dict[str, asyncpg.Record], checked: Checked) -> tuple[list[bytes], bool]:
    """The hashes of the rows as they are now, and whether one of them was named as changed or gone."""
    leaves, named = [], False
    for place, (row_id, tag) in enumerate(zip(kept.row_ids, kept.tags, strict=True)):
        number = kept.block.first_row + place
        row = rows.get(row_id)
        if row is None:
            checked.finds(f"Row {number}, {row_id}, is gone.")
            named = True
            continue
        leaves.append(row_hash(row))
        if tag_of(leaves[-1]) != tag:
            checked.finds(f"Row {number}, {row_id}, was changed.")
            named = True
    return leaves, named


async def _check_head(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, tree: Frontier, checked: Checked
) -> None:
    """The row that sealers lock agrees with the blocks: removed blocks at the end would be noticed by it."""
    head = await connection.fetchrow(_HEAD, programme_id, chain.name)
    kept = (0, 0, b"") if head is None else (head["blocks"], head["rows"], head["trees"])
    if kept != (tree.size, checked.rows, tree.kept):
        checked.finds(
            f"The head speaks of {kept[0]} blocks with {kept[1]} rows; there are {tree.size} with {checked.rows}."
        )
