"""Who the bank is: the partner id that we gave it, its own private key, and the client secret that we gave it.

IdentityUnusable    the bank cannot sign with these; the message is one sentence
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from authz_service.bank.partners import SignatureStyle
from authz_service.bank.signature import KEY_BITS
from authz_service.serving import NotServedError

_OWNERS_ALONE: Final = 0o600


class IdentityUnusable(NotServedError):  # noqa: N818 - it says what is so, as declines do
    """The bank cannot sign with these; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`secret` is empty where the bank signs with its private key alone."""

    partner_id: str
    style: SignatureStyle
    private_key: RSAPrivateKey = field(repr=False)
    secret: str = field(default="", repr=False)


def identity_from(partner_id: str, private_key: Path, secret: Path | None, style: SignatureStyle | None) -> Identity:
    """As the files have it. Where no style is named, a bank that has a secret signs with it."""
    style = style or (SignatureStyle.WITHOUT_TOKEN if secret is None else SignatureStyle.WITH_TOKEN)
    if style is SignatureStyle.WITH_TOKEN and secret is None:
        raise IdentityUnusable("A bank that signs with a token needs its client secret: give --secret-file.")
    known = _text_of(secret).strip() if secret is not None else ""
    if secret is not None and not known:
        raise IdentityUnusable(f"{secret} is empty: it should hold what `authz bank secret` printed.")
    return Identity(partner_id=partner_id, style=style, private_key=_private_key_of(private_key), secret=known)


def write_new_key(path: Path) -> Path:
    """A new private key is at `path`, for its owner alone to read, and its public key beside it; where that is."""
    key, public = generate_private_key(public_exponent=65537, key_size=KEY_BITS), path.with_suffix(".pub.pem")
    try:
        path.touch(mode=_OWNERS_ALONE, exist_ok=False)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except FileExistsError:
        raise IdentityUnusable(f"{path} is there already; a key is never written over.") from None
    except OSError as unwritten:
        raise IdentityUnusable(f"{path} cannot be written: {type(unwritten).__name__}.") from None
    return public


def _private_key_of(path: Path) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(_text_of(path).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise IdentityUnusable(f"{path} is no private key: give a PEM file without a password.") from None
    if not isinstance(key, RSAPrivateKey):
        raise IdentityUnusable(f"{path} is no RSA key; SNAP signs with SHA256withRSA.")
    return key


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as unread:
        raise IdentityUnusable(f"{path} cannot be read: {type(unread).__name__}.") from None
