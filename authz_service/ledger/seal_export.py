"""Writes sealed rows to a file that anybody can check with `verify_ledger.py`, without this service and its database.

NothingSealed       there is nothing of that kind to export

`docs/sealed-books.md` has the format. The file is built beside its place, and is there whole or not at all.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from authz_service.database import Connection
from authz_service.ledger.sealed_books import KeptBlock, block_of, head_of, headers, kept_blocks, one_snapshot, rows_of
from authz_service.ledger.sealed_head import Head, SealKey
from authz_service.ledger.sealed_rows import Chain, block_hash, canonical, row_hash
from authz_service.ledger.tree import Frontier, full_trees, root_of
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

FORMAT: Final = "authz sealed books 1"


class NothingSealed(Exception):  # noqa: N818 - it says what is so, as declines do
    """There is nothing of that kind to export; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    head: Head
    first_block: int
    blocks: int
    rows: int


async def export(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    chain: Chain,
    path: Path,
    key: SealKey,
    *,
    after: int = 0,
    without_rows: bool = False,
    row_id: str | None = None,
) -> Exported:
    """The file has the blocks after the first `after`, or none, or one row of one block; the proof; and the head."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        async with one_snapshot(connection, settings):
            with beside.open("wb") as file:
                done = await _write(
                    file, connection, programme_id, chain, key, after=after, without_rows=without_rows, row_id=row_id
                )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return done


async def _write(
    file: IO[bytes],
    connection: Connection,
    programme_id: ProgrammeId,
    chain: Chain,
    key: SealKey,
    *,
    after: int,
    without_rows: bool,
    row_id: str | None,
) -> Exported:
    head = await head_of(connection, programme_id, chain)
    if head is None or after > head.blocks:
        raise NothingSealed("Nothing is sealed yet, or not so much.")
    end = after if without_rows else head.blocks
    if row_id is not None:
        number = await block_of(connection, programme_id, chain, row_id)
        if number is None or number > head.blocks:
            raise NothingSealed(f"{row_id} is not sealed.")
        after, end = number - 1, number
    before_trees = await _roots(connection, programme_id, chain, 0, after)
    after_trees = await _roots(connection, programme_id, chain, end, head.blocks)
    said: dict[str, Any] = {
        "format": FORMAT,
        "programme": programme_id,
        "chain": chain.name,
        "columns": chain.columns,
        "first_block": after + 1,
        "blocks": end - after,
        "before": _hex(before_trees),
        "after": _hex(after_trees),
    }
    rows = 0
    if row_id is None:
        file.write(orjson.dumps(said) + b"\n")
    async for kept in kept_blocks(connection, programme_id, chain, after + 1, end):
        lines = await _lines(connection, programme_id, chain, kept)
        if row_id is not None:
            place = kept.row_ids.index(row_id)
            said |= {"row": kept.block.first_row + place, **_within(lines, place)}
            lines = lines[place : place + 1]
            file.write(orjson.dumps(said) + b"\n")
        file.writelines(piece + b"\n" for piece in (kept.block.line(), *(line for _, line in lines)))
        rows += len(lines)
    file.write(key.signed(head).encode())
    return Exported(head=head, first_block=after + 1, blocks=end - after, rows=rows)


async def _lines(
    connection: Connection, programme_id: ProgrammeId, chain: Chain, kept: KeptBlock
) -> list[tuple[bytes, bytes]]:
    """For each row that is there its leaf and its line, with the number and the tag under which it was sealed."""
    rows = await rows_of(connection, programme_id, chain, kept)
    lines = []
    for place, (row_id, tag) in enumerate(zip(kept.row_ids, kept.tags, strict=True)):
        # A row that is gone is found to be missing by whoever verifies.
        if (row := rows.get(row_id)) is not None:
            line = b"%d %s %s" % (kept.block.first_row + place, tag.hex().encode(), canonical(row))
            lines.append((row_hash(row), line))
    return lines


def _within(lines: Sequence[tuple[bytes, bytes]], place: int) -> dict[str, list[str]]:
    """The proof that the row at that place is in its block."""
    leaves = [leaf for leaf, _ in lines]
    parts = (("row_before", 0, place), ("row_after", place + 1, len(leaves)))
    return {
        name: [root_of(leaves[start : start + (1 << level)]).hex() for start, level in full_trees(first, end)]
        for name, first, end in parts
    }


async def _roots(connection: Connection, programme_id: ProgrammeId, chain: Chain, start: int, end: int) -> list[bytes]:
    """Of the full trees that the blocks after the first `start`, up to `end`, consist of."""
    roots: list[bytes] = []
    trees = full_trees(start, end)
    tree, wanted = Frontier(), 0
    async for block in headers(connection, programme_id, chain, start + 1, end):
        if not wanted:
            tree, wanted = Frontier(), 1 << next(trees)[1]
        tree.add(block_hash(block))
        if tree.size == wanted:
            roots.append(tree.root)
            wanted = 0
    return roots


def _hex(roots: Sequence[bytes]) -> list[str]:
    return [root.hex() for root in roots]
