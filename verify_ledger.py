"""Checks an export of the sealed books: python verify_ledger.py EXPORT --key VERIFIER [--head HEAD]

Needs Python 3.11 and `cryptography`, none of the service's code and not its database. VERIFIER is what
`authz seal verifier` prints, as `authz+0a1b2c3d+Ab…`: get it from the operator once, by another way than the export.
HEAD is a head that was handed out before, as often as wanted: the export is then also proven to continue it. The exit
code is 0 where all is proven, else 1, and the first row that was changed is named.

How the file is made is in `docs/sealed-books.md`.
"""

import argparse
import json
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "authz sealed books 1"
HEADER = ("format", "programme", "chain", "columns", "first_block", "blocks", "before", "after")
OF_ONE_ROW = (*HEADER, "row", "row_before", "row_after")
LINE_LIMIT = 16_000_000
"""Bytes; a longer line is none of ours."""
COLUMNS = {
    "transfers": [
        *("transfer_id", "kind", "cause", "debit_account_id", "credit_account_id", "amount_rupiah"),
        *("authorisation_id", "reason", "created_at", "recorded_at"),
    ],
    "audit": [
        *("entry_id", "at", "actor", "role", "action", "subject_kind", "subject_id", "reason", "request_id"),
        *("before", "after", "recorded_at"),
    ],
}


class NotProven(Exception):  # noqa: N818 - it says what is so
    """What was found first; the message is one sentence."""


class Tree:
    """A Merkle tree as in RFC 6962, added to on the right; kept are the roots of its full trees."""

    def __init__(self) -> None:
        self.size = 0
        self._trees: list[tuple[int, bytes]] = []

    def add(self, root: bytes, level: int = 0) -> None:
        self.size += 1 << level
        while self._trees and self._trees[-1][0] == level:
            root = sha256(b"\x01" + self._trees.pop()[1] + root).digest()
            level += 1
        self._trees.append((level, root))

    def add_trees(self, roots: Sequence[bytes], size: int) -> None:
        """The next leaves, up to `size` in all, are the largest full trees with these roots."""
        given = iter(roots)
        while self.size < size:
            level = (size - self.size).bit_length() - 1
            if self.size:
                level = min(level, (self.size & -self.size).bit_length() - 1)
            root = next(given, None)
            if root is None:
                raise NotProven("The proof has too few hashes.")
            self.add(root, level)
        if next(given, None) is not None:
            raise NotProven("The proof has too many hashes.")

    @property
    def root(self) -> bytes:
        if not self._trees:
            return sha256(b"").digest()
        root = self._trees[-1][1]
        for _, left in reversed(self._trees[:-1]):
            root = sha256(b"\x01" + left + root).digest()
        return root


@dataclass(frozen=True)
class Head:
    """A signed head: so many blocks with so many rows."""

    programme: str
    chain: str
    blocks: int
    rows: int
    root: bytes
    sealed: str


@dataclass
class Proven:
    """What the export shows."""

    head: Head
    first_row: int = 0
    rows: int = 0
    blocks: int = 0
    heads: list[int] = field(default_factory=list)
    """Sizes in blocks of the given heads that it continues."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--key", required=True, help="what `authz seal verifier` prints, or a file with it")
    parser.add_argument("--head", type=Path, action="append", default=[], help="a head that was handed out before")
    given = parser.parse_args(arguments)
    try:
        key = Path(given.key).read_text(encoding="utf-8").strip() if Path(given.key).is_file() else given.key
        heads = [read_head(path.read_bytes(), key) for path in given.head]
        with given.export.open("rb") as file:
            proven = verify(file, key, heads)
    except (NotProven, OSError) as reason:
        print(f"NOT PROVEN: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    print(said(proven))  # noqa: T201
    return 0


def said(proven: Proven) -> str:
    head = proven.head
    last = proven.first_row + proven.rows - 1
    rows = f"rows {proven.first_row} to {last} are as they were sealed" if proven.rows else "no row is shown"
    continued = "".join(f", and it continues the head of {blocks} blocks" for blocks in proven.heads)
    return (
        f"PROVEN: {head.programme}, {head.chain}: {rows}; the head of {head.blocks} blocks with {head.rows} rows,"
        f" sealed until {head.sealed}, is signed{continued}."
    )


def verify(file: IO[bytes], verifier: str, heads: Sequence[Head] = ()) -> Proven:
    """Every byte of the file is as it was written; NotProven says what is not."""
    header = _header(_line(file))
    blocks = Tree()
    blocks.add_trees(_hashes(header["before"]), header["first_block"] - 1)
    roots = {blocks.size: blocks.root}
    proven = Proven(head=Head("", "", 0, 0, b"", ""))
    next_row: int | None = 1 if header["first_block"] == 1 else None
    wanted = {head.blocks for head in heads}
    for _ in range(header["blocks"]):
        line = _line(file)
        block = _block(line, header, blocks.size + 1, next_row)
        first, count, root = block
        if not proven.blocks:
            proven.first_row = header.get("row", first)
        _rows(file, header, blocks.size + 1, first, count, root)
        proven.rows += 1 if "row" in header else count
        proven.blocks += 1
        next_row = first + count
        blocks.add(sha256(b"\x00" + line).digest())
        if blocks.size in wanted:
            roots[blocks.size] = blocks.root
    shown = blocks.size
    head = read_head(file.read(LINE_LIMIT), verifier)
    if (head.programme, head.chain) != (header["programme"], header["chain"]):
        raise NotProven("The head is of another chain than the rows.")
    if not shown <= head.blocks or (shown == head.blocks and next_row not in {None, head.rows + 1}):
        raise NotProven(f"The head speaks of {head.blocks} blocks with {head.rows} rows, the export of others.")
    blocks.add_trees(_hashes(header["after"]), head.blocks)
    roots[blocks.size] = blocks.root
    if blocks.root != head.root:
        raise NotProven(
            f"Blocks {header['first_block']} to {shown} are not those of the head: a block's line or the proof was"
            " changed."
        )
    for each in heads:
        _continues(each, head, roots)
    proven.head, proven.heads = head, [each.blocks for each in heads]
    return proven


def _continues(earlier: Head, head: Head, roots: dict[int, bytes]) -> None:
    if (earlier.programme, earlier.chain) != (head.programme, head.chain):
        raise NotProven("The given head is of another chain.")
    if earlier.blocks not in roots:
        raise NotProven(
            f"This export does not show how the head of {earlier.blocks} blocks goes on: ask for one after it."
        )
    if roots[earlier.blocks] != earlier.root:
        raise NotProven(f"The head of {earlier.blocks} blocks is not one of these books: they were rewritten since.")


def _header(line: bytes) -> dict[str, Any]:
    header = _json(line, "The first line")
    if not isinstance(header, dict) or tuple(header) not in {HEADER, OF_ONE_ROW} or header["format"] != FORMAT:
        raise NotProven(f"The first line is not that of an export of the format “{FORMAT}”.")
    if not isinstance(header["chain"], str) or header["columns"] != COLUMNS.get(header["chain"]):
        raise NotProven("The first line names a chain or columns that this verifier does not know.")
    if not (_is_number(header["first_block"], 1) and _is_number(header["blocks"], 0)):
        raise NotProven("The first line has no numbers of blocks.")
    if "row" in header and (header["blocks"] != 1 or not _is_number(header["row"], 1)):
        raise NotProven("The first line speaks of one row and not of one block.")
    return header


def _block(line: bytes, header: dict[str, Any], number: int, next_row: int | None) -> tuple[int, int, bytes]:
    """First row, rows, root."""
    block = _json(line, f"The line of block {number}")
    is_ours = (
        isinstance(block, list)
        and len(block) == 7  # noqa: PLR2004
        and block[:3] == [header["programme"], header["chain"], number]
        and _is_number(block[3], 1)
        and _is_number(block[4], 1)
        and isinstance(block[6], str)
    )
    if not is_ours:
        raise NotProven(f"The line of block {number} was changed, or is not there.")
    if next_row is not None and block[3] != next_row:
        raise NotProven(f"Block {number} begins with row {block[3]}, not {next_row}.")
    return block[3], block[4], _hashes([block[5]])[0]


def _rows(file: IO[bytes], header: dict[str, Any], number: int, first: int, count: int, root: bytes) -> None:
    """The block's rows are there, and are those that were sealed."""
    shown = range(first, first + count)
    tree = Tree()
    if "row" in header:
        if header["row"] not in shown:
            raise NotProven(f"Row {header['row']} is not one of block {number}.")
        shown = range(header["row"], header["row"] + 1)
        tree.add_trees(_hashes(header["row_before"]), header["row"] - first)
    changed = ""
    for row in shown:
        line = _line(file)
        leaf, is_tagged, row_id = _row(line, row)
        if not is_tagged and not changed:
            changed = f"Row {row}, {row_id}, was changed."
        tree.add(leaf)
    if "row" in header:
        tree.add_trees(_hashes(header["row_after"]), count)
    if tree.root != root:
        raise NotProven(changed or f"A row of {shown[0]} to {shown[-1]} was changed, or the line of block {number}.")
    if changed:
        raise NotProven(changed.replace("was changed", "is right, but its tag was changed"))


def _row(line: bytes, number: int) -> tuple[bytes, bool, str]:
    """Its leaf, whether the tag is that of it, and its id as far as it can be read."""
    parts = line.split(b" ", 2)
    if len(parts) != 3 or parts[0] != str(number).encode():  # noqa: PLR2004
        following = re.match(rb"[1-9][0-9]{0,15}(?= )", line)
        raise NotProven(
            f"Row {number} is missing"
            + (f": row {following[0].decode()} is in its place." if following else ", or its line was changed.")
        )
    named = re.match(rb'\["([^"]{1,80})"', parts[2])
    leaf = sha256(b"\x00" + parts[2]).digest()
    return (
        leaf,
        parts[1] == leaf[:8].hex().encode(),
        named[1].decode(errors="replace") if named else "no id can be read",
    )


def read_head(note: bytes, verifier: str) -> Head:
    """The head, if that key has signed it."""
    name, key_id, key = _key(verifier)
    try:
        text, _, signatures = note.decode().rpartition("\n\n")
        lines = text.split("\n")
    except UnicodeDecodeError:
        raise NotProven("The head is not text.") from None
    match = re.fullmatch(r"— (\S+) (\S+)\n", signatures)
    if not match or match[1] != name:
        raise NotProven(f"The head is missing, or not signed by {name}.")
    signed = _base64(match[2])
    if signed[:4] != key_id:
        raise NotProven("The head is signed with another key.")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signed[4:], (text + "\n").encode())
    except InvalidSignature:
        raise NotProven("The head's signature is not right: its text was changed, or it is not by this key.") from None
    origin = re.fullmatch(r"authz/([^/]+)/([^/]+)", lines[0])
    numbers = [
        re.fullmatch(rf"{before}([1-9][0-9]*)", line) for before, line in zip(("", "rows "), lines[1:4:2], strict=False)
    ]
    if len(lines) != 5 or not origin or not all(numbers) or not lines[4].startswith("sealed "):  # noqa: PLR2004
        raise NotProven("The head has not the form of one.")
    blocks, rows = (int(match[1]) for match in numbers if match)
    return Head(origin[1], origin[2], blocks, rows, _base64(lines[2]), lines[4].removeprefix("sealed "))


def _key(verifier: str) -> tuple[str, bytes, bytes]:
    parts = verifier.split("+", 2)
    key = _base64(parts[2]) if len(parts) == 3 else b""  # noqa: PLR2004
    if len(key) != 33 or key[:1] != b"\x01":  # noqa: PLR2004
        raise NotProven("The key is not what `authz seal verifier` prints.")
    key_id = sha256(parts[0].encode() + b"\n" + key).digest()[:4]
    if key_id.hex() != parts[1]:
        raise NotProven("The key is not what `authz seal verifier` prints: its id is another one's.")
    return parts[0], key_id, key[1:]


def _line(file: IO[bytes]) -> bytes:
    line = file.readline(LINE_LIMIT)
    if not line.endswith(b"\n"):
        raise NotProven("The export ends too early.")
    return line[:-1]


def _json(line: bytes, what: str) -> Any:
    """Written in the one way in which it may be."""
    try:
        value = json.loads(line)
        if json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() == line:
            return value
    except (ValueError, RecursionError):
        pass
    raise NotProven(f"{what} was changed: it is not JSON as it is written here.")


def _hashes(values: Any) -> list[bytes]:
    if not isinstance(values, list) or not all(
        isinstance(each, str) and re.fullmatch("[0-9a-f]{64}", each) for each in values
    ):
        raise NotProven("A hash has not 64 hexadecimal digits.")
    return [bytes.fromhex(each) for each in values]


def _base64(text: str) -> bytes:
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        value = b""
    if not value or b64encode(value).decode() != text:
        raise NotProven("A signature or root is not base64 as it is written here.")
    return value


def _is_number(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**53


if __name__ == "__main__":
    sys.exit(main())
