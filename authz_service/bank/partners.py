"""The banks that may speak to us, how each of them signs, and the keys that are good at an instant.

A bank signs what it sends with the client secret that we gave it (and a token that it fetched first), or with its own
private key. Of either there may be several at a time, so that a new one is in use before the old one ends.

    PartnerRefused    nothing was changed; the message is one sentence for the operator
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import shake_256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from authz_service.bank.signature import KEY_BITS
from authz_service.database import Connection
from authz_service.orders import OrderKind, keep_order
from authz_service.vocabulary import Chance, ProgrammeId

_PARTNER: Final = """
-- How that bank signs, and the numbers and public keys that are good at $2.
SELECT p.programme_id, p.partner_id, p.label, p.signature, p.signs_the_query, programme.zone,
       ARRAY(SELECT k.number FROM bank_key k
              WHERE k.programme_id = p.programme_id AND k.partner_id = p.partner_id AND k.kind = 'client_secret'
                AND k.valid_from <= $2 AND (k.valid_until IS NULL OR k.valid_until > $2)) AS secrets,
       ARRAY(SELECT k.public_key FROM bank_key k
              WHERE k.programme_id = p.programme_id AND k.partner_id = p.partner_id AND k.kind = 'public_key'
                AND k.valid_from <= $2 AND (k.valid_until IS NULL OR k.valid_until > $2)) AS public_keys
  FROM bank_partner p
  JOIN programme ON programme.programme_id = p.programme_id
 WHERE p.partner_id = $1
"""
_PARTNERS: Final = """
-- The programme's banks with all their keys, live or not.
SELECT p.partner_id, p.label, p.signature, p.signs_the_query, k.kind, k.number, k.valid_from, k.valid_until
  FROM bank_partner p
  LEFT JOIN bank_key k USING (programme_id, partner_id)
 WHERE p.programme_id = $1
 ORDER BY p.partner_id, k.kind, k.number
"""
_ADD: Final = """
INSERT INTO bank_partner (programme_id, partner_id, label, signature, signs_the_query, created_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""
_WHERE: Final = """
-- The programme that has the bank of that id.
SELECT programme_id FROM bank_partner WHERE partner_id = $1
"""
_END: Final = """
-- The keys of that kind that would go on, end at $4.
UPDATE bank_key SET valid_until = $4
 WHERE programme_id = $1 AND partner_id = $2 AND kind = $3 AND (valid_until IS NULL OR valid_until > $4)
"""
_IS_KNOWN: Final = """
-- Until the key is there, nobody else makes one of this bank: both would get one number.
SELECT true FROM bank_partner WHERE programme_id = $1 AND partner_id = $2 FOR NO KEY UPDATE
"""
_KEY: Final = """
-- A key of that kind, numbered on.
INSERT INTO bank_key (programme_id, partner_id, kind, number, public_key, valid_from)
SELECT programme_id, partner_id, $3,
       1 + (SELECT count(*) FROM bank_key k WHERE k.programme_id = $1 AND k.partner_id = $2 AND k.kind = $3), $4, $5
  FROM bank_partner WHERE programme_id = $1 AND partner_id = $2
RETURNING number
"""
PARTNER_ID_LIMIT: Final = 36
"""X-PARTNER-ID is a String(36)."""
LABEL_LIMIT: Final = 64


class PartnerRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


class SignatureStyle(StrEnum):
    WITH_TOKEN = "with_token"  # noqa: S105  (a name)
    """Type 1: HMAC-SHA512 with the client secret, and an access token that was fetched before."""
    WITHOUT_TOKEN = "without_token"  # noqa: S105  (a name)
    """Type 2: RSA with the bank's private key."""


class KeyKind(StrEnum):
    PUBLIC_KEY = "public_key"
    CLIENT_SECRET = "client_secret"  # noqa: S105  (a name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A bank, and which of its keys are good now."""

    programme_id: ProgrammeId
    partner_id: str
    label: str
    signature: SignatureStyle
    signs_the_query: bool
    zone: str
    secret_numbers: tuple[int, ...]
    public_keys: tuple[RSAPublicKey, ...]
    is_known: bool = True


def stranger(partner_id: str) -> Partner:
    """Whom nobody knows, with a secret that nobody was given and a key whose private half nobody has.

    Its signature is looked at like a bank's, so that neither words nor time tell who is a bank of ours."""
    return Partner(
        programme_id=ProgrammeId(""),
        partner_id=partner_id,
        label="",
        signature=SignatureStyle.WITH_TOKEN,
        signs_the_query=True,
        zone="UTC",
        secret_numbers=(_NOBODYS_SECRET,),
        public_keys=(RSAPublicNumbers(_EXPONENT, _NOBODYS_MODULUS).public_key(),),
        is_known=False,
    )


_NOBODYS_SECRET: Final = 0
"""Secrets are numbered from 1."""
_EXPONENT: Final = 65_537
_NOBODYS_MODULUS: Final = int.from_bytes(shake_256(b"nobody knows the factors of this").digest(KEY_BITS // 8)) | (
    1 << (KEY_BITS - 1) | 1
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A key as it may be shown: everything but what it is."""

    partner_id: str
    label: str
    signature: SignatureStyle
    kind: KeyKind | None
    number: int | None
    valid_from: datetime | None
    valid_until: datetime | None


async def partner_of(connection: Connection, partner_id: str, now: datetime) -> Partner | None:
    """The bank of that id with its keys of `now`; None where nobody knows it."""
    row = await connection.fetchrow(_PARTNER, partner_id, now)
    if row is None:
        return None
    return Partner(
        programme_id=ProgrammeId(row["programme_id"]),
        partner_id=row["partner_id"],
        label=row["label"],
        signature=SignatureStyle(row["signature"]),
        signs_the_query=row["signs_the_query"],
        zone=row["zone"],
        secret_numbers=tuple(row["secrets"]),
        public_keys=tuple(
            key for der in row["public_keys"] if isinstance(key := load_der_public_key(der), RSAPublicKey)
        ),
    )


async def listed(connection: Connection, programme_id: ProgrammeId) -> Sequence[ListedKey]:
    """Every key of every bank of the programme; a bank without keys stands there once."""
    return [
        ListedKey(
            partner_id=row["partner_id"],
            label=row["label"],
            signature=SignatureStyle(row["signature"]),
            kind=row["kind"] and KeyKind(row["kind"]),
            number=row["number"],
            valid_from=row["valid_from"],
            valid_until=row["valid_until"],
        )
        for row in await connection.fetch(_PARTNERS, programme_id)
    ]


async def add_partner(
    connection: Connection,
    programme_id: ProgrammeId,
    partner_id: str,
    *,
    label: str,
    signature: SignatureStyle,
    signs_the_query: bool,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    """The programme has that bank; it can do nothing until it has a key."""
    if not partner_id.isascii() or not partner_id.isalnum() or len(partner_id) > PARTNER_ID_LIMIT:
        raise PartnerRefused(f"A partner id is 1 to {PARTNER_ID_LIMIT} ASCII letters and digits.")
    if not label.isprintable() or not 1 <= len(label.strip()) == len(label) <= LABEL_LIMIT:
        raise PartnerRefused(f"A label is 1 to {LABEL_LIMIT} printable characters.")
    detail = {"partner_id": partner_id, "label": label, "signature": signature}
    async with connection.transaction():
        added = await connection.execute(_ADD, programme_id, partner_id, label, signature, signs_the_query, now)
        if added != "INSERT 0 1":
            where = await connection.fetchval(_WHERE, partner_id)
            raise PartnerRefused(
                f"There is a partner {partner_id} already, in {where}: a partner id is unique over all programmes."
            )
        await _kept(connection, programme_id, OrderKind.BANK_ADDED, detail, actor=actor, now=now, chance=chance)


async def add_key(
    connection: Connection,
    programme_id: ProgrammeId,
    partner_id: str,
    public_key: RSAPublicKey | None,
    *,
    older_end_at: datetime,
    actor: str,
    now: datetime,
    chance: Chance,
) -> int:
    """The bank has a new key from now on: its public key, or without one a client secret of ours. The older ones of
    that kind end at `older_end_at`. The number of the new one."""
    kind = KeyKind.CLIENT_SECRET if public_key is None else KeyKind.PUBLIC_KEY
    der = public_key and public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    async with connection.transaction():
        if not await connection.fetchval(_IS_KNOWN, programme_id, partner_id):
            raise PartnerRefused(f"There is no partner {partner_id}.")
        await connection.execute(_END, programme_id, partner_id, kind, older_end_at)
        number: int = await connection.fetchval(_KEY, programme_id, partner_id, kind, der, now)
        detail = {"partner_id": partner_id, "kind": kind, "number": number, "older_end_at": older_end_at}
        await _kept(connection, programme_id, OrderKind.BANK_KEY_ADDED, detail, actor=actor, now=now, chance=chance)
    return number


async def _kept(
    connection: Connection,
    programme_id: ProgrammeId,
    kind: OrderKind,
    detail: Mapping[str, object],
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
