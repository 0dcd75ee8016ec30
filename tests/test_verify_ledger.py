"""`verify_ledger.py` needs nothing of ours: it proves an export, and finds whatever is changed in it."""

import io
import os
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from pydantic import SecretStr

import verify_ledger
from authz_service.ledger.seal import seal
from authz_service.ledger.seal_export import NothingSealed, export
from authz_service.ledger.sealed_books import head_of
from authz_service.ledger.sealed_head import (
    SANDBOX_KEY_NAME,
    Head,
    HeadRefused,
    SealKey,
    SealKeyRefused,
    new_private_key,
    seal_key,
)
from authz_service.ledger.sealed_rows import CHAINS, TRANSFERS
from authz_service.ledger.tree import EMPTY, Frontier, full_trees, leaf_hash, node_hash, root_of
from authz_service.settings import Settings
from tests.test_seal import SAMARINDA, enter
from verify_ledger import NotProven, Proven, read_head, verify

KEY = SealKey("books.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
SETTINGS = Settings(seal_block_rows=3)
SCRIPT = Path(verify_ledger.__file__)


@dataclass(frozen=True, slots=True)
class Files:
    """Of books with 8 rows on the first day and 11 on the second, in blocks of three rows at most."""

    whole: bytes
    second_day: bytes
    proof: bytes
    one_row: bytes
    first_head: str
    second_head: str

    def all(self) -> tuple[bytes, ...]:
        return (self.whole, self.second_day, self.proof, self.one_row)


@pytest.fixture
async def files(database_url: str, tmp_path: Path) -> Files:
    connection = await asyncpg.connect(database_url)
    await enter(connection, "a", 8)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("UPDATE transfer SET reason = E'tomat \"busuk\"\\t½ kg\\n' WHERE transfer_id = 'trf_a002'")
    await seal(connection, SETTINGS, SAMARINDA, TRANSFERS)
    first = await head_of(connection, SAMARINDA, TRANSFERS)
    await enter(connection, "b", 11)
    await seal(connection, SETTINGS, SAMARINDA, TRANSFERS)
    second = await head_of(connection, SAMARINDA, TRANSFERS)
    assert first is not None
    assert second is not None

    async def exported(**what: object) -> bytes:
        path = tmp_path / "export"
        await export(connection, SETTINGS, SAMARINDA, TRANSFERS, path, KEY, **what)  # type: ignore[arg-type]
        return path.read_bytes()

    with pytest.raises(NothingSealed):
        await exported(row_id="trf_unknown")
    with pytest.raises(NothingSealed):
        await exported(after=99)
    made = Files(
        whole=await exported(),
        second_day=await exported(after=first.blocks),
        proof=await exported(after=first.blocks, without_rows=True),
        one_row=await exported(row_id="trf_b005"),
        first_head=KEY.signed(first),
        second_head=KEY.signed(second),
    )
    assert [each.name for each in tmp_path.iterdir()] == ["export"], "nothing half written is left"
    await connection.execute("UPDATE transfer SET amount_rupiah = 1 WHERE transfer_id = 'trf_a006'")
    assert not_proven(await exported()) == "Row 6, trf_a006, was changed."
    await connection.close()
    return made


def proven(file: bytes, *heads: str, key: SealKey = KEY) -> Proven:
    return verify(io.BytesIO(file), key.verifier, [read_head(head.encode(), key.verifier) for head in heads])


def not_proven(file: bytes, *heads: str) -> str:
    with pytest.raises(NotProven) as reason:
        proven(file, *heads)
    return str(reason.value)


def test_an_export_is_proven_and_continues_the_heads_of_before(files: Files) -> None:
    heads = (files.first_head, files.second_head)
    for file, shown in ((files.whole, (1, 19)), (files.second_day, (9, 11)), (files.proof, (0, 0))):
        found = proven(file, *heads)
        assert (found.first_row, found.rows) == shown
        assert (found.head.rows, found.heads) == (19, [3, 7])
    found = proven(files.one_row)
    assert (found.first_row, found.rows) == (13, 1)
    assert "does not show how the head of 3 blocks goes on" in not_proven(files.one_row, files.first_head)
    assert len(files.one_row) < 2_000


def test_a_head_of_other_books_is_not_continued(files: Files) -> None:
    other = Head(
        programme_id="samarinda-2024", chain="transfers", blocks=3, rows=8, root=EMPTY, sealed_at=datetime.now(UTC)
    )
    for file in (files.whole, files.second_day, files.proof):
        assert "they were rewritten since" in not_proven(file, KEY.signed(other))
    elsewhere = KEY.signed(Head.read(files.first_head.replace("samarinda-2024", "balikpapan")))
    assert "of another chain" in not_proven(files.whole, elsewhere)


def _lines(file: bytes, first_row: int) -> tuple[list[bytes], int]:
    """All lines, and the place of the row's."""
    lines = file.split(b"\n")
    (place,) = [place for place, line in enumerate(lines) if line.startswith(b"%d " % first_row)]
    return lines, place


def test_the_first_row_that_was_changed_removed_or_put_in_is_named(files: Files) -> None:
    lines, place = _lines(files.whole, 5)
    changed = [*lines]
    changed[place] = lines[place].replace(b",1005,", b",9005,")
    changed[place + 1] = lines[place + 1].replace(b"unallocated", b"unalllcated")
    assert not_proven(b"\n".join(changed)) == "Row 5, trf_a005, was changed."
    gone = [*lines]
    del gone[place]
    assert not_proven(b"\n".join(gone)) == "Row 5 is missing: row 6 is in its place."
    twice = [*lines]
    twice.insert(place, lines[place])
    assert not_proven(b"\n".join(twice)) == "Row 6 is missing: row 5 is in its place."
    tag = [*lines]
    tag[place] = lines[place].replace(b"5 ", b"5 0", 1)
    assert not_proven(b"\n".join(tag)) == "Row 5, trf_a005, is right, but its tag was changed."


def test_who_changes_a_row_and_its_tag_and_block_is_found_by_the_head(files: Files) -> None:
    lines, place = _lines(files.whole, 19)
    number, _, content = lines[place].replace(b",1011,", b",9011,").split(b" ", 2)
    leaf = leaf_hash(content)
    lines[place] = b" ".join((number, leaf[:8].hex().encode(), content))
    assert not_proven(b"\n".join(lines)) == "A row of 18 to 19 was changed, or the line of block 7."
    leaves = [leaf_hash(line.split(b" ", 2)[2]) for line in lines[place - 1 : place + 1]]
    lines[place - 2] = re.sub(rb"[0-9a-f]{64}", root_of(leaves).hex().encode(), lines[place - 2])
    assert "Blocks 1 to 7 are not those of the head" in not_proven(b"\n".join(lines))


def test_a_head_that_another_key_signed_is_none(files: Files) -> None:
    other = SealKey("books.example", Ed25519PrivateKey.from_private_bytes(b"1" * 32))
    with pytest.raises(NotProven, match="signed with another key"):
        proven(files.whole, key=other)
    with pytest.raises(NotProven, match=r"not signed by other\.example"):
        proven(files.whole, key=SealKey("other.example", KEY.private))
    for wrong in ("", "books.example", KEY.verifier.replace("+", "+0", 1), KEY.verifier[:-4]):
        with pytest.raises(NotProven, match="The key is not what"):
            verify(io.BytesIO(files.whole), wrong)


def test_every_byte_of_every_export_matters(files: Files) -> None:
    """Position by bit over the small files; of the others the next test tries some by chance."""
    for file in (files.proof, files.one_row):
        for place in range(len(file)):
            for bit in range(8):
                _is_found(file, place, bit)


def _is_found(file: bytes, place: int, bit: int, heads: Sequence[verify_ledger.Head] = ()) -> None:
    flipped = bytearray(file)
    flipped[place] ^= 1 << bit
    with pytest.raises(NotProven):
        verify(io.BytesIO(bytes(flipped)), KEY.verifier, heads)


async def test_a_bit_that_is_flipped_anywhere_is_found(files: Files) -> None:
    every = [(file, place) for file in files.all() for place in range(len(file))]

    @given(st.sampled_from(every), st.integers(0, 7))
    @given_settings(max_examples=600, deadline=None, database=None)
    def flips(where: tuple[bytes, int], bit: int) -> None:
        _is_found(*where, bit)

    flips()


def test_what_is_cut_off_or_added_is_found(files: Files) -> None:
    for file in files.all():
        for end in range(0, len(file), 7):
            not_proven(file[:end])
        for more in (b"\n", b" ", file, b"[]\n"):
            not_proven(file + more)
            not_proven(more + file)


def test_rows_in_another_order_are_found(files: Files) -> None:
    lines, place = _lines(files.whole, 5)
    for swapped in ((place, place + 1), (place, place + 4), (1, 5)):
        other = [*lines]
        other[swapped[0]], other[swapped[1]] = other[swapped[1]], other[swapped[0]]
        not_proven(b"\n".join(other))


def test_the_script_runs_by_itself_and_says_what_is_proven(files: Files, tmp_path: Path) -> None:
    """In a directory where none of our code is."""
    script = tmp_path / "verify_ledger.py"
    script.write_bytes(SCRIPT.read_bytes())
    (tmp_path / "export").write_bytes(files.whole)
    (tmp_path / "head").write_text(files.first_head, encoding="utf-8")
    (tmp_path / "key").write_text(KEY.verifier + "\n", encoding="utf-8")

    def ran(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-I", str(script), *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    good = ran("export", "--key", "key", "--head", "head")
    assert good.returncode == 0, good.stderr
    assert (
        "PROVEN: samarinda-2024, transfers: rows 1 to 19 are as they were sealed; the head of 7 blocks" in good.stdout
    )
    assert good.stdout.endswith("is signed, and it continues the head of 3 blocks.\n")
    (tmp_path / "export").write_bytes(files.whole.replace(b",1005,", b",1006,", 1))
    bad = ran("export", "--key", KEY.verifier)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == "NOT PROVEN: Row 5, trf_a005, was changed.\n"
    assert ran("nowhere", "--key", "key").returncode == 1


def test_the_verifier_knows_the_chains_and_their_columns() -> None:
    assert {name: list(chain.columns) for name, chain in CHAINS.items()} == verify_ledger.COLUMNS


def test_trees_are_those_of_rfc_6962() -> None:
    """By its own definition: the largest power of two below n is on the left. Vectors of the RFC's reference code."""

    def by_definition(leaves: Sequence[bytes]) -> bytes:
        if len(leaves) < 2:
            return leaves[0] if leaves else sha256(b"").digest()
        left = 1 << (len(leaves) - 1).bit_length() - 1
        return node_hash(by_definition(leaves[:left]), by_definition(leaves[left:]))

    leaves = [leaf_hash(bytes([number])) for number in range(40)]
    for size in range(41):
        assert root_of(leaves[:size]) == by_definition(leaves[:size])
        for start in range(size + 1):
            tree = Frontier()
            for leaf in leaves[:start]:
                tree.add(leaf)
            tree = Frontier(tree.size, tree.kept)
            for first, level in full_trees(start, size):
                tree.add(root_of(leaves[first : first + (1 << level)]), level)
            assert tree.root == root_of(leaves[:size])
    content = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    known = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert root_of(leaf_hash(bytes.fromhex(each)) for each in content).hex() == known


@pytest.mark.parametrize(("size", "kept"), [(1, b""), (0, bytes(32)), (3, bytes(63)), (4, bytes(64))])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, kept: bytes) -> None:
    with pytest.raises(ValueError, match="full trees"):
        Frontier(size, kept)


def test_a_signed_head_is_a_note_that_others_read() -> None:
    """By the example of https://c2sp.org/signed-note: the id is of name and key, the signature of the text."""
    head = Head(
        programme_id="samarinda-2024",
        chain="transfers",
        blocks=7,
        rows=19,
        root=EMPTY,
        sealed_at=datetime(2024, 12, 2, 7, tzinfo=UTC),
    )
    note = KEY.signed(head)
    text, line = note.rsplit("\n\n", 1)
    mark, name, signature = line.rstrip("\n").split(" ")
    assert (mark, name) == ("—", "books.example")
    decoded = b64decode(signature)
    KEY.private.public_key().verify(decoded[4:], f"{text}\n".encode())
    key = b"\x01" + KEY.public_bytes
    assert decoded[:4] == sha256(b"books.example\n" + key).digest()[:4]
    assert KEY.verifier == f"books.example+{decoded[:4].hex()}+{b64encode(key).decode()}"
    assert Head.read(note) == head
    assert read_head(note.encode(), KEY.verifier).root == EMPTY


@pytest.mark.parametrize(
    "note",
    [
        "",
        "x",
        "authz/a/b\n1\nAAAA\nrows 1\nsealed now\n",
        "authz/a/b\n1\nAAAA\nrows 1\nsealed 2024-12-02T07:00:00.000000Z\n",
    ],
)
def test_what_is_no_head_is_refused(note: str) -> None:
    with pytest.raises(HeadRefused):
        Head.read(note)


def test_the_key_is_the_operators_and_that_of_the_sandbox_signs_nowhere_else(tmp_path: Path) -> None:
    secret = Settings(root_key=SecretStr("a secret root key"))
    assert seal_key(Settings()).name == SANDBOX_KEY_NAME
    with pytest.raises(SealKeyRefused, match="There is no key"):
        seal_key(secret)
    own = tmp_path / "seal.pem"
    own.write_bytes(new_private_key())
    by_file = seal_key(secret.model_copy(update={"seal_key_file": own, "seal_key_name": "dinsos.example"}))
    by_environment = seal_key(secret.model_copy(update={"seal_key": SecretStr(own.read_text())}))
    assert by_file.public_bytes == by_environment.public_bytes
    assert (by_file.name, by_environment.name) == ("dinsos.example", "authz")
    with pytest.raises(SealKeyRefused, match="not both"):
        seal_key(secret.model_copy(update={"seal_key": SecretStr("x"), "seal_key_file": own}))
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    public_one = seal_key(Settings()).private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(SealKeyRefused, match="the sandbox's"):
        seal_key(secret.model_copy(update={"seal_key": SecretStr(public_one.decode())}))
    for wrong in ("", "not a key", public_one.decode().replace("M", "N")):
        with pytest.raises(SealKeyRefused, match="not an Ed25519 private key"):
            seal_key(secret.model_copy(update={"seal_key": SecretStr(wrong)}))
    with pytest.raises(SealKeyRefused, match="not read"):
        seal_key(secret.model_copy(update={"seal_key_file": tmp_path / "nowhere"}))


def test_this_machine_reads_the_key_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHZ_SEAL_KEY", new_private_key().decode())
    assert seal_key(Settings()).name == "authz"
    assert os.environ["AUTHZ_SEAL_KEY"] not in repr(Settings())
