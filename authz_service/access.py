"""Companions and operators, and the keys that they come with.

A key is random, shown once and kept only as a keyed digest. One principal may have several at a time, so that a new
one can be in use before the old one is revoked. Every request looks its key up in the database: a revoked key opens
nothing from the next request on.

    AccessRefused        nothing was changed; the message is one sentence for the operator
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.keys import KEY_ID, Keys
from authz_service.orders import OrderKind, keep_order
from authz_service.vocabulary import CHANCE_BYTES, Chance, CompanionId, OperatorId, ProgrammeId, new_id

KEY_BYTES: Final = 32
LABEL_LIMIT: Final = 64

_CALLER: Final = """
-- Whose key this is; a revoked one is nobody's.
SELECT programme_id, companion_id, operator_id FROM access_key WHERE key_digest = $1 AND revoked_at IS NULL
"""
_PRINCIPAL: Final = """
-- The companion or the operator of that label.
SELECT companion_id AS principal_id FROM companion WHERE programme_id = $1 AND label = $2 AND $3
 UNION ALL
SELECT operator_id FROM operator WHERE programme_id = $1 AND label = $2 AND NOT $3
"""
_ADD_OPERATOR: Final = """
INSERT INTO operator (programme_id, operator_id, label) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_ISSUE: Final = """
INSERT INTO access_key (programme_id, key_digest, key_id, companion_id, operator_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_KEYS: Final = """
-- All keys that were ever issued; each principal's are numbered in the order of their issue.
SELECT coalesce(c.label, o.label) AS label, k.companion_id, k.operator_id, k.created_at, k.revoked_at,
       row_number() OVER (PARTITION BY k.companion_id, k.operator_id ORDER BY k.created_at, k.key_digest) AS number
  FROM access_key k
  LEFT JOIN companion c ON c.programme_id = k.programme_id AND c.companion_id = k.companion_id
  LEFT JOIN operator o ON o.programme_id = k.programme_id AND o.operator_id = k.operator_id
 WHERE k.programme_id = $1
 ORDER BY k.operator_id IS NULL, label, number
"""
_REVOKE: Final = """
-- The key of that number is revoked, unless it was before; all of the principal's where no number is given. A number
-- may be larger than any integer of ours: then it is no key's.
UPDATE access_key k
   SET revoked_at = $4
  FROM (SELECT key_digest, row_number() OVER (ORDER BY created_at, key_digest) AS number
          FROM access_key
         WHERE programme_id = $1 AND coalesce(companion_id, operator_id) = $2) numbered
 WHERE k.programme_id = $1 AND k.key_digest = numbered.key_digest AND k.revoked_at IS NULL
   AND ($3::numeric IS NULL OR numbered.number = $3)
"""


class AccessRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A companion or an operator of one programme: exactly one of the two ids is there."""

    programme_id: ProgrammeId
    companion_id: CompanionId | None
    operator_id: OperatorId | None

    @property
    def principal_id(self) -> str:
        """What the requests of this caller, and what was done by it, are known by."""
        return self.companion_id or self.operator_id or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has a key or is to get one: the label of a companion or of an operator."""

    is_companion: bool
    label: str

    def __str__(self) -> str:
        return f"{'companion' if self.is_companion else 'operator'} {self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key as it may be shown: everything but what it is."""

    holder: Holder
    number: int
    created_at: datetime
    revoked_at: datetime | None


async def caller_of(connection: Connection, keys: Keys, token: str) -> Caller | None:
    """Whose key `token` is now; None where it is nobody's, or nobody's any more."""
    row = await connection.fetchrow(_CALLER, keys.access_key_digest(token))
    if row is None:
        return None
    return Caller(
        programme_id=ProgrammeId(row["programme_id"]),
        companion_id=row["companion_id"] and CompanionId(row["companion_id"]),
        operator_id=row["operator_id"] and OperatorId(row["operator_id"]),
    )


async def add_operator(
    connection: Connection, programme_id: ProgrammeId, label: str, *, actor: str, now: datetime, chance: Chance
) -> OperatorId:
    """The programme has an operator of that label; it has no key yet."""
    if not label.isprintable() or not 1 <= len(label.strip()) == len(label) <= LABEL_LIMIT:
        raise AccessRefused(f"A label is an office or a desk in 1 to {LABEL_LIMIT} printable characters.")
    operator_id = OperatorId(new_id("opr", now, chance(CHANCE_BYTES)))
    detail = {"operator_id": operator_id, "label": label}
    async with connection.transaction():
        if await connection.execute(_ADD_OPERATOR, programme_id, operator_id, label) != "INSERT 0 1":
            raise AccessRefused(f"{programme_id} has an operator {label} already.")
        kind = OrderKind.OPERATOR_ADDED
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return operator_id


async def issue(
    connection: Connection,
    keys: Keys,
    programme_id: ProgrammeId,
    holder: Holder,
    *,
    mark: str,
    actor: str,
    now: datetime,
    chance: Chance,
) -> str:
    """A new key, here for the only time; the holder's other keys stay as they are. It begins with `mark`."""
    principal_id = await _principal(connection, programme_id, holder)
    kind = "companion" if holder.is_companion else "operator"
    key = f"{mark}_{kind}_{chance(KEY_BYTES).hex()}"
    companion_id, operator_id = (principal_id, None) if holder.is_companion else (None, principal_id)
    digest = keys.access_key_digest(key)
    detail = {"to": principal_id, "label": holder.label}
    async with connection.transaction():
        await connection.execute(_ISSUE, programme_id, digest, KEY_ID, companion_id, operator_id, now)
        await keep_order(
            connection, programme_id, OrderKind.KEY_ISSUED, actor=actor, now=now, chance=chance, detail=detail
        )
    return key


async def issued(connection: Connection, programme_id: ProgrammeId) -> list[IssuedKey]:
    """Every key of the programme's operators and companions, never its digest."""
    return [
        IssuedKey(
            holder=Holder(is_companion=row["companion_id"] is not None, label=row["label"]),
            number=row["number"],
            created_at=row["created_at"],
            revoked_at=row["revoked_at"],
        )
        for row in await connection.fetch(_KEYS, programme_id)
    ]


async def revoke(
    connection: Connection,
    programme_id: ProgrammeId,
    holder: Holder,
    number: int | None,
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> int:
    """The holder's key of that number (all of them without one) opens nothing any more; how many that were."""
    principal_id = await _principal(connection, programme_id, holder)
    async with connection.transaction():
        done = await connection.execute(_REVOKE, programme_id, principal_id, number, now)
        if not (revoked := int(done.rpartition(" ")[2])):
            which = "live key" if number is None else f"live key {number}"
            raise AccessRefused(f"The {holder} has no {which}.")
        detail = {"of": principal_id, "label": holder.label, "number": number, "keys": revoked}
        await keep_order(
            connection, programme_id, OrderKind.KEY_REVOKED, actor=actor, now=now, chance=chance, detail=detail
        )
    return revoked


async def _principal(connection: Connection, programme_id: ProgrammeId, holder: Holder) -> str:
    found: str | None = await connection.fetchval(_PRINCIPAL, programme_id, holder.label, holder.is_companion)
    if found is None:
        raise AccessRefused(f"{programme_id} has no {holder}.")
    return found
