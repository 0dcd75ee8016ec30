"""Merkle trees as RFC 6962 makes them, built from left to right in the memory of a few dozen hashes. Pure.

A leaf's hash is SHA-256 over 0x00 and its bytes, a node's over 0x01 and its two children, and a tree of n leaves has
the largest power of two below n on its left. `docs/sealed-books.md` has a test vector.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY: Final = sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(content: bytes) -> bytes:
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree to which leaves, or whole trees of 2^level leaves, are added on the right.

    Kept are the roots of its largest full trees, one for each bit of the number of leaves.
    """

    def __init__(self, size: int = 0, kept: bytes = b"") -> None:
        self.size = size
        levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
        hashes = [kept[place : place + HASH_BYTES] for place in range(0, len(kept), HASH_BYTES)]
        if len(levels) != len(hashes) or len(kept) % HASH_BYTES:
            raise ValueError(f"a tree of {size} leaves has {len(levels)} full trees, not {len(kept)} bytes")
        self._trees = list(zip(levels, hashes, strict=True))

    def add(self, root: bytes, level: int = 0) -> None:
        """The next 2^level leaves are the tree with this root; they begin at a multiple of their number."""
        if self.size % (1 << level):
            raise ValueError("a full tree begins at a multiple of its size")
        self.size += 1 << level
        while self._trees and self._trees[-1][0] == level:
            root = node_hash(self._trees.pop()[1], root)
            level += 1
        self._trees.append((level, root))

    @property
    def kept(self) -> bytes:
        """With `size`, all that is needed to go on."""
        return b"".join(root for _, root in self._trees)

    @property
    def root(self) -> bytes:
        if not self._trees:
            return EMPTY
        *rest, (_, root) = self._trees
        for _, left in reversed(rest):
            root = node_hash(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root


def full_trees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """(first leaf, level) of the largest full trees, in order, that the leaves from `start` up to `end` consist of.

    Their roots are what a proof has of the leaves that it does not show.
    """
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield start, level
        start += 1 << level
