"""Digests and encryption, each under a key of its own derived from one root key (HKDF-SHA256).

A card number is kept only as a keyed digest and its last four digits: a plain hash of a number with a known prefix
is found by trying (PCI DSS 3.5.1.1). NIK and names are encrypted field by field (AES-256-GCM), bound to their row.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest
from os import urandom
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_ID: Final = 1
"""Stands beside every digest and opens every ciphertext, so that keys can be changed while old rows live on."""
DIGEST_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_SECRET_BYTES: Final = 32
_EPOCH_BYTES: Final = 8


class Keys:
    """The derived keys of one root key."""

    def __init__(self, root_key: str) -> None:
        self._card = _derived(root_key, b"card number")
        self._request = _derived(root_key, b"request")
        self._terminal = _derived(root_key, b"terminal key")
        self._access = _derived(root_key, b"access key")
        self._nik = _derived(root_key, b"nik")
        self._name_word = _derived(root_key, b"word of a name")
        self._session = _derived(root_key, b"console session")
        self._form = _derived(root_key, b"console form")
        self._bank_secret = _derived(root_key, b"bank client secret")
        self._bank_token = _derived(root_key, b"bank access token")
        self._event_secret = _derived(root_key, b"event endpoint secret")
        self._field = AESGCM(_derived(root_key, b"personal field"))

    def card_digest(self, card_number: str) -> bytes:
        return _digest(self._card, card_number.encode())

    def terminal_key_digest(self, terminal_key: str) -> bytes:
        return _digest(self._terminal, terminal_key.encode())

    def access_key_digest(self, access_key: str) -> bytes:
        """Of a companion's or an operator's key."""
        return _digest(self._access, access_key.encode())

    def nik_digest(self, nik: str) -> bytes:
        """Finds a family by its number without keeping the number."""
        return _digest(self._nik, nik.encode())

    def name_word_digest(self, programme_id: str, word: str) -> bytes:
        """Finds families by a word of their name without keeping the word; each programme's are its own."""
        return _digest(self._name_word, f"{programme_id} {word}".encode())

    def session_digest(self, token: str) -> bytes:
        """Of a session's token at the console."""
        return _digest(self._session, token.encode())

    def form_token(self, token: str) -> str:
        """What a form of that session carries: derived, so kept nowhere, and it does not tell the session's token."""
        return _digest(self._form, token.encode()).hex()

    def request_digest(self, content: bytes) -> bytes:
        """Of an idempotency key, or of a request's canonical form: both are kept only so."""
        return _digest(self._request, content)

    def bank_secret(self, partner_id: str, number: int) -> str:
        """The client secret of that number, with which a bank signs what it sends us: derived, so kept nowhere."""
        return blake2b(f"{number} {partner_id}".encode(), key=self._bank_secret, digest_size=_SECRET_BYTES).hexdigest()

    def event_secret(self, endpoint_id: str, number: int) -> bytes:
        """With which events to that endpoint are signed: derived, so kept nowhere."""
        return blake2b(f"{number} {endpoint_id}".encode(), key=self._event_secret, digest_size=_SECRET_BYTES).digest()

    def bank_token(self, partner_id: str, until: int, chance: bytes) -> str:
        """An access token of that bank, good until `until` (seconds of the epoch). It says both to us alone."""
        content = until.to_bytes(_EPOCH_BYTES) + chance
        return urlsafe_b64encode(content + self._bank_token_seal(partner_id, content)).decode()

    def bank_token_until(self, partner_id: str, token: str) -> int | None:
        """Until when this is an access token of that bank; None if it never was."""
        try:
            opened = urlsafe_b64decode(token.encode())
        except ValueError:
            return None
        content, seal = opened[:-_SECRET_BYTES], opened[-_SECRET_BYTES:]
        if len(content) <= _EPOCH_BYTES or not compare_digest(seal, self._bank_token_seal(partner_id, content)):
            return None
        return int.from_bytes(content[:_EPOCH_BYTES])

    def _bank_token_seal(self, partner_id: str, content: bytes) -> bytes:
        return blake2b(content + partner_id.encode(), key=self._bank_token, digest_size=_SECRET_BYTES).digest()

    def seal_field(self, text: str, place: str) -> bytes:
        """`text` encrypted; opens only at the same `place` (`table.column:row id`)."""
        nonce = urandom(_NONCE_BYTES)
        return bytes([KEY_ID]) + nonce + self._field.encrypt(nonce, text.encode(), place.encode())

    def open_field(self, sealed: bytes, place: str) -> str:
        """The text that was sealed for `place`; `cryptography.exceptions.InvalidTag` if it was not."""
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        return self._field.decrypt(nonce, ciphertext, place.encode()).decode()


def _digest(key: bytes, content: bytes) -> bytes:
    return blake2b(content, key=key, digest_size=DIGEST_BYTES).digest()


def _derived(root_key: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"authz " + purpose).derive(root_key.encode())
