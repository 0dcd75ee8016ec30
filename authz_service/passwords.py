"""People's passwords: argon2id in a thread, a bounded number at once, and the same work for a name that nobody has.

PasswordRefused        it may be guessed; the message is one sentence for the person
"""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from authz_service.settings import Settings
from authz_service.vocabulary import Chance

LONGEST: Final = 128
_SALT_BYTES: Final = 16
_GROUPS: Final = 4
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's: nothing in it is taken for another when it is read aloud."""
_FEW_LETTERS: Final = 5


class PasswordRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """It may be guessed; the message is one sentence for the person, and does not repeat it."""


class Passwords:
    """Makes and compares hashes; whoever comes while all threads are busy waits."""

    def __init__(self, settings: Settings, chance: Chance) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.password_rounds, memory_cost=settings.password_memory_kib, parallelism=1
        )
        self._chance = chance
        self._shortest = settings.password_letters
        self._room = asyncio.Semaphore(settings.passwords_at_once)
        self._nobodys = self._hash(self.for_once())

    async def hash(self, password: str) -> str:
        """With the parameters of today and a salt of its own."""
        async with self._room:
            return await asyncio.to_thread(self._hash, password)

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Whether the hash is of this password; without a hash it takes as long and is False."""
        async with self._room:
            same = await asyncio.to_thread(self._verify, password[: LONGEST + 1], password_hash or self._nobodys)
        return same and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """It was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def for_once(self) -> str:
        """A new random password of 80 bits, to be read aloud or copied."""
        letters = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._chance(_GROUPS * 4))
        return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))

    def require_good(self, password: str, sign_in: str) -> None:
        """Long enough, of more than a few letters, and not the name itself; nothing else is asked (NIST SP 800-63B)."""
        if not self._shortest <= len(password) <= LONGEST:
            raise PasswordRefused(f"A password has {self._shortest} to {LONGEST} letters.")
        if not password.isprintable():
            raise PasswordRefused("A password has no control characters.")
        if len(set(password)) < _FEW_LETTERS or sign_in in password.casefold():
            raise PasswordRefused(
                "A password is not a few letters again and again, and has not the sign-in name in it."
            )

    def _hash(self, password: str) -> str:
        return self._hasher.hash(password, salt=self._chance(_SALT_BYTES))

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False
