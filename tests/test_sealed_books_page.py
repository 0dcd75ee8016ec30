"""docs/sealed-books.md is true: its test vector is what our code makes, and what its verifier proves."""

import io
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import verify_ledger
from authz_service.ledger.seal_export import FORMAT
from authz_service.ledger.sealed_head import Head, SealKey
from authz_service.ledger.sealed_rows import CHAINS, TRANSFERS, Block, block_hash, canonical, row_hash, tag_of
from authz_service.ledger.tree import Frontier, root_of

PAGE: Final = Path(__file__).parent.parent / "docs" / "sealed-books.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
KEY: Final = SealKey("books.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NOON: Final = datetime(2024, 12, 2, 4, tzinfo=UTC)
LATER: Final = datetime(2024, 12, 2, 4, 0, 3, 250_000, tzinfo=UTC)
ROWS: Final = (
    ("trf_1", "fund", "enrol", "fund", "unallocated", 1_776_600_000, None, None, NOON, NOON),
    ("trf_2", "grant", "enrol", "unallocated", "ben_1", 1_800_000, None, None, NOON, LATER),
    ("ref_3", "refund", "refund", "mrc_1", "ben_1", 25_000, "auth_1", 'telur "pecah"\t½ kg', LATER, LATER),
)


def blocks() -> list[Block]:
    """Rows 1 and 2, and row 3."""
    return [
        Block(
            programme_id="samarinda-2024",
            chain="transfers",
            number=number,
            first_row=first,
            rows=len(rows),
            root=root_of(row_hash(row) for row in rows),
            sealed_at=LATER,
        )
        for number, first, rows in ((1, 1, ROWS[:2]), (2, 3, ROWS[2:]))
    ]


def head(count: int) -> str:
    tree, chosen = Frontier(), blocks()[:count]
    for block in chosen:
        tree.add(block_hash(block))
    last = chosen[-1]
    return KEY.signed(
        Head(
            programme_id=last.programme_id,
            chain=last.chain,
            blocks=count,
            rows=last.last_row,
            root=tree.root,
            sealed_at=last.sealed_at,
        )
    )


def vector() -> str:
    said = {"format": FORMAT, "programme": "samarinda-2024", "chain": "transfers", "columns": TRANSFERS.columns}
    proof = {"first_block": 1, "blocks": 2, "before": [], "after": []}
    lines = [json.dumps({**said, **proof}, separators=(",", ":"))]
    for block in blocks():
        lines.append(block.line().decode())
        for number in range(block.first_row, block.last_row + 1):
            row = ROWS[number - 1]
            lines.append(f"{number} {tag_of(row_hash(row)).hex()} {canonical(row).decode()}")
    return "\n".join([*lines, head(2)])


def drawn() -> str:
    """The page with the vector of today's code."""
    text = re.sub(r"(?s)(```text export\n).*?(```\n)", lambda found: found[1] + vector() + found[2], TEXT)
    text = re.sub(r"(?s)(```text head\n).*?(```\n)", lambda found: found[1] + head(1) + found[2], text)
    hashes = f"row 3 is `{row_hash(ROWS[2]).hex()}`, that of block 2 `{block_hash(blocks()[1]).hex()}`"
    return re.sub(r"row 3 is `\w+`, that of block 2 `\w+`", hashes, text)


def test_the_vector_is_what_the_code_makes() -> None:
    assert drawn() == TEXT
    assert f"`{KEY.verifier}`" in TEXT


def test_the_vector_is_proven_by_the_verifier() -> None:
    export = TEXT.partition("```text export\n")[2].partition("```\n")[0].encode()
    kept = TEXT.partition("```text head\n")[2].partition("```\n")[0].encode()
    verifier = re.search(r"The verifier is `(\S+)`", TEXT)
    assert verifier
    earlier = verify_ledger.read_head(kept, verifier[1])
    proven = verify_ledger.verify(io.BytesIO(export), verifier[1], [earlier])
    assert (proven.rows, proven.blocks, proven.heads) == (3, 2, [1])


def test_the_columns_of_the_page_are_those_of_the_chains() -> None:
    words = " ".join(TEXT.split())
    for chain in CHAINS.values():
        assert f"- `{chain.name}`: {', '.join(chain.columns)}" in words


if __name__ == "__main__":
    PAGE.write_text(drawn(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
