"""Who sent this, and is it whole: the signatures of Bank Indonesia's SNAP ("Keamanan"), over the bytes as they came.

Symmetric: HMAC-SHA512 with the client secret, over a text with the access token. Asymmetric: SHA256withRSA (PKCS#1
v1.5), over the same text without it; a token is asked for with an asymmetric signature of its own. Whatever stands
where a signature should, the answer is yes or no and never an exception.
"""

import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from authz_service.requests import EARLIEST_YEAR, LATEST_YEAR

KEY_BITS: Final = 2048
"""The least that NIST SP 800-131A still allows for RSA."""
_STRING_OR_SPACE: Final = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*"?)|[ \t\r\n]+', re.DOTALL)
"""A string with its escapes, to its end or to the end of a body that was cut; or JSON's white space (RFC 8259)."""
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


class KeyUnusable(Exception):  # noqa: N818  (an error's name is its sentence)
    """No signature can be checked with this key; the message says why."""


def minified(body: bytes) -> bytes:
    """`body` without the white space between its tokens; strings and numbers stay byte for byte.

    To read and write JSON again would change `1.0`, `\\u00e9`, `\\/`, members that stand twice and large numbers.
    """
    return _STRING_OR_SPACE.sub(rb"\1", body)


def text_of_token_request(client_id: str, timestamp: str) -> bytes:
    """What `X-SIGNATURE` of a token request signs; `timestamp` is `X-TIMESTAMP` as it came."""
    return _as_bytes(f"{client_id}|{timestamp}")


def text_to_sign(method: str, endpoint_url: str, body: bytes, timestamp: str, access_token: str | None) -> bytes:
    """What `X-SIGNATURE` of any other request signs; without `access_token` it is the asymmetric one's.

    `endpoint_url` is the path, with the query if the partner signs it; `timestamp` is `X-TIMESTAMP` as it came.
    """
    token = [] if access_token is None else [access_token]
    return _as_bytes(":".join([method.upper(), endpoint_url, *token, sha256(minified(body)).hexdigest(), timestamp]))


def signed_with_secret(secret: str, text: bytes) -> str:
    """In base64. The secret is used as it was given, also if it looks like base64."""
    return b64encode(_hmac(secret, text)).decode()


def is_signed_with_secret(secret: str, text: bytes, signature: str) -> bool:
    """In base64, or in lower hex as the samples of Bank Indonesia's sandbox have it. Anybody knows an empty secret."""
    if not secret:
        return False
    expected, given = _hmac(secret, text), _as_bytes(signature)
    return compare_digest(given, b64encode(expected)) or compare_digest(given, expected.hex().encode())


def signed_with_key(private_key: RSAPrivateKey, text: bytes) -> str:
    """In base64."""
    return b64encode(private_key.sign(text, PKCS1v15(), SHA256())).decode()


def is_signed_with_key(public_key: RSAPublicKey, text: bytes, signature: str) -> bool:
    """In base64, written in the one way in which these bytes are."""
    given = _as_bytes(signature)
    try:
        decoded = b64decode(given, validate=True)
        public_key.verify(decoded, text, PKCS1v15(), SHA256())
    except (ValueError, InvalidSignature):
        return False
    # The last character before the padding has bits that no byte takes; a changed one would pass.
    return b64encode(decoded) == given


def public_key_of(pem_or_base64_spki: str) -> RSAPublicKey:
    """The RSA key in a PEM file, or in the bare base64 that banks send by letter."""
    written = _as_bytes(pem_or_base64_spki.strip())
    try:
        if written.startswith(b"-----"):
            key = load_pem_public_key(written)
        else:
            key = load_der_public_key(b64decode(b"".join(written.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable("This is no public key: give a PEM file, or the base64 of an SPKI.") from None
    if not isinstance(key, RSAPublicKey):
        raise KeyUnusable("This is no RSA key; SNAP signs with SHA256withRSA.")
    if key.key_size < KEY_BITS:
        raise KeyUnusable(f"This key has {key.key_size} bits; {KEY_BITS} are the least.")
    return key


def instant_of(timestamp: str) -> datetime | None:
    """`yyyy-MM-ddTHH:mm:ssTZD`, also with milliseconds or Z, in UTC; None if it is no time of this century."""
    if not _TIMESTAMP.fullmatch(timestamp):
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return moment.astimezone(UTC) if EARLIEST_YEAR <= moment.year <= LATEST_YEAR else None


def _hmac(secret: str, text: bytes) -> bytes:
    return digest(_as_bytes(secret), text, "sha512")


def _as_bytes(text: str) -> bytes:
    """UTF-8, and something that no signature fits where there is none."""
    return text.encode(errors="surrogatepass")
