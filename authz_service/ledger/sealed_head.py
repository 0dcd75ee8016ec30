"""The head of a chain as a small signed text that anybody may keep: a C2SP checkpoint in a signed note. Pure.

SealKeyRefused      there is no key to sign heads with, or it may not be used here
HeadRefused         a text is not the head of a chain

https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note; the tree's leaves are the blocks.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from authz_service.ledger.tree import HASH_BYTES
from authz_service.settings import SANDBOX_ROOT_KEY, Settings

SANDBOX_KEY_NAME: Final = "sandbox.authz"
_SANDBOX_KEY: Final = sha256(b"sandbox-only seal key: it guards nothing").digest()
"""Public on purpose, as the sandbox's root key is."""
_ED25519: Final = b"\x01"
_ORIGIN: Final = "authz"


class SealKeyRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Heads cannot be signed; the message is one sentence."""


class HeadRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """The text is not the head of a chain; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """All blocks of a chain up to now: their number, and the root of their tree."""

    programme_id: str
    chain: str
    blocks: int
    rows: int
    root: bytes
    sealed_at: datetime
    """Of the last block."""

    @property
    def text(self) -> str:
        """What is signed."""
        sealed_at = f"{self.sealed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        return (
            f"{_ORIGIN}/{self.programme_id}/{self.chain}\n{self.blocks}\n{b64encode(self.root).decode()}\n"
            f"rows {self.rows}\nsealed {sealed_at}\n"
        )

    @classmethod
    def read(cls, note: str) -> Self:
        """The head that the note is about; whether it is genuine is not looked at."""
        try:
            origin, blocks, root, rows, sealed, *_ = note.split("\n")
            prefix, programme_id, chain = origin.split("/")
            head = cls(
                programme_id=programme_id,
                chain=chain,
                blocks=int(blocks),
                rows=int(rows.removeprefix("rows ")),
                root=b64decode(root, validate=True),
                sealed_at=datetime.fromisoformat(sealed.removeprefix("sealed ")),
            )
        except (ValueError, NotBase64):
            raise HeadRefused("This is not the head of a chain as `authz seal head` writes it.") from None
        if prefix != _ORIGIN or len(head.root) != HASH_BYTES or not note.startswith(head.text):
            raise HeadRefused("This is not the head of a chain as `authz seal head` writes it.")
        return head


@dataclass(frozen=True, slots=True)
class SealKey:
    """With which the operator signs heads."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public_bytes(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def verifier(self) -> str:
        """What a verifier is given once, by another way than the heads: `name+id+key`."""
        return f"{self.name}+{self._id.hex()}+{b64encode(_ED25519 + self.public_bytes).decode()}"

    def signed(self, head: Head) -> str:
        """The note: the head's text, an empty line, and a line with the signature."""
        signature = b64encode(self._id + self.private.sign(head.text.encode())).decode()
        return f"{head.text}\n— {self.name} {signature}\n"

    @property
    def _id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public_bytes).digest()[:4]


def new_private_key() -> bytes:
    """An Ed25519 key in PEM, not encrypted: the file is for its owner's eyes alone."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def seal_key(settings: Settings) -> SealKey:
    """The key of `seal_key_file` or `seal_key`; in the sandbox, where neither is given, one that everybody has."""
    sandbox = SealKey(SANDBOX_KEY_NAME, Ed25519PrivateKey.from_private_bytes(_SANDBOX_KEY))
    is_sandbox = settings.root_key.get_secret_value() == SANDBOX_ROOT_KEY
    pem = _pem(settings)
    if pem is None:
        if is_sandbox:
            return sandbox
        raise SealKeyRefused(
            "There is no key to sign with: `authz seal key FILE` makes one; give it as AUTHZ_SEAL_KEY_FILE."
        )
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SealKeyRefused("The key to sign with is not an Ed25519 private key in PEM.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise SealKeyRefused("The key to sign with is not an Ed25519 private key in PEM.")
    key = SealKey(settings.seal_key_name, private)
    if key.public_bytes == sandbox.public_bytes and not is_sandbox:
        raise SealKeyRefused("The key to sign with is the sandbox's, which everybody has: make one of your own.")
    return key


def _pem(settings: Settings) -> bytes | None:
    if settings.seal_key_file is None:
        return None if settings.seal_key is None else settings.seal_key.get_secret_value().encode()
    if settings.seal_key is not None:
        raise SealKeyRefused("Give AUTHZ_SEAL_KEY_FILE or AUTHZ_SEAL_KEY, not both.")
    try:
        return settings.seal_key_file.read_bytes()
    except OSError as error:
        raise SealKeyRefused(f"The key to sign with is not read: {error.strerror}.") from None
