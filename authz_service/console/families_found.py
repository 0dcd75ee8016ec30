"""Families by name, NIK, card, last four digits or id; and what of them may be shown before one is opened."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from authz_service.audit import Subject, keep_audit
from authz_service.console.sessions import SignedIn, Where
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.names import name_digests
from authz_service.vocabulary import BeneficiaryId, ProgrammeId

FOUND_LIMIT: Final = 40
_LAST_FOUR: Final = re.compile(r"[0-9]{4}")
_NIK_DIGITS: Final = 16
_LONG_NUMBER: Final = re.compile(r"[0-9]{12,19}")
_ID: Final = re.compile(r"ben_[0-9a-z]{1,40}")
_BETWEEN_DIGITS: Final = re.compile(r"(?<=[0-9])[ .-](?=[0-9])")
_SOUGHT: Final = """
-- Families whose name has all these words (none finds none), whose NIK or card this is, or who have a card
-- with these last digits; by id. $1 programme, $2 words, $3 NIK, $4 card, $5 last four, $6 family, $7 at most
SELECT b.beneficiary_id FROM beneficiary b
 WHERE b.programme_id = $1 AND cardinality($2::bytea[]) > 0 AND b.name_words @> $2
 UNION
SELECT b.beneficiary_id FROM beneficiary b WHERE b.programme_id = $1 AND b.nik_digest = $3
 UNION
SELECT c.beneficiary_id FROM card c WHERE c.programme_id = $1 AND c.card_digest = $4
 UNION
SELECT c.beneficiary_id FROM card c WHERE c.programme_id = $1 AND c.last_four = $5
 UNION
SELECT b.beneficiary_id FROM beneficiary b WHERE b.programme_id = $1 AND b.beneficiary_id = $6
 ORDER BY 1 LIMIT $7
"""
_ROWS: Final = """
-- What a list of families shows of each, with its newest card.
SELECT b.beneficiary_id, b.name_sealed, d.name AS district, k.label AS companion,
       CASE WHEN b.leaves_at <= $3 THEN 'removed' WHEN b.next_status_at <= $3 THEN b.next_status
            ELSE b.status END AS status,
       (SELECT c.last_four FROM card c
         WHERE c.programme_id = $1 AND c.beneficiary_id = b.beneficiary_id
         ORDER BY c.status = 'active' DESC, c.card_id DESC LIMIT 1) AS last_four
  FROM beneficiary b
  LEFT JOIN district d USING (programme_id, district_code)
  LEFT JOIN companion k USING (programme_id, companion_id)
 WHERE b.programme_id = $1 AND b.beneficiary_id = ANY ($2)
 ORDER BY b.beneficiary_id
"""
_LOOKED: Final = """
-- Whether this person has opened the family, with a reason, since $4.
SELECT true FROM audit_entry
 WHERE programme_id = $1 AND subject_id = $2 AND actor = $3 AND action = 'family_seen' AND at > $4
 LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A family in a list: its name is masked, so that only the one that is opened is known."""

    beneficiary_id: BeneficiaryId
    masked_name: str
    district: str | None
    companion: str | None
    status: str
    last_four: str | None


async def find_families(
    connection: Connection, keys: Keys, programme_id: ProgrammeId, sought: str, now: datetime
) -> tuple[list[Found], bool]:
    """At most `FOUND_LIMIT` of them, and whether there are more."""
    number = _BETWEEN_DIGITS.sub("", sought)
    is_long = _LONG_NUMBER.fullmatch(number) is not None
    rows = await connection.fetch(
        _SOUGHT,
        programme_id,
        [] if is_long or _ID.fullmatch(sought) else name_digests(keys, programme_id, sought),
        keys.nik_digest(number) if is_long and len(number) == _NIK_DIGITS else None,
        keys.card_digest(number) if is_long else None,
        number if _LAST_FOUR.fullmatch(number) else None,
        sought if _ID.fullmatch(sought) else None,
        FOUND_LIMIT + 1,
    )
    ids = [row["beneficiary_id"] for row in rows[:FOUND_LIMIT]]
    return await shown_masked(connection, keys, programme_id, ids, now), len(rows) > FOUND_LIMIT


async def shown_masked(
    connection: Connection, keys: Keys, programme_id: ProgrammeId, beneficiary_ids: Sequence[str], now: datetime
) -> list[Found]:
    """Those of the ids that are families."""
    return [_found(keys, row) for row in await connection.fetch(_ROWS, programme_id, beneficiary_ids, now)]


async def opened_lately(
    connection: Connection, person: SignedIn, beneficiary_id: str, now: datetime, seconds: float
) -> bool:
    """The person has said why it looks at this family, and that is not long ago."""
    since = now - timedelta(seconds=seconds)
    return bool(await connection.fetchval(_LOOKED, person.programme_id, beneficiary_id, person.sign_in, since))


async def keep_look(connection: Connection, person: SignedIn, beneficiary_id: str, reason: str, where: Where) -> None:
    """It is in the audit log who opens the family and why."""
    await keep_audit(
        connection,
        person.programme_id,
        actor=person.sign_in,
        role=person.role,
        action="family_seen",
        subject=Subject(kind="family", id=beneficiary_id),
        reason=reason,
        before=None,
        after=None,
        now=where.now,
        chance=where.chance,
        request_id=where.request_id,
    )


def name_of(keys: Keys, beneficiary_id: str, sealed: bytes) -> str:
    return keys.open_field(sealed, f"beneficiary.name_sealed:{beneficiary_id}")


def masked(name: str) -> str:
    """`K••• S•••`: the first letter of each word; how long it is is not told either."""
    return " ".join(f"{word[0]}•••" for word in name.split())


def _found(keys: Keys, row: asyncpg.Record) -> Found:
    beneficiary_id = BeneficiaryId(row["beneficiary_id"])
    return Found(
        beneficiary_id=beneficiary_id,
        masked_name=masked(name_of(keys, beneficiary_id, row["name_sealed"])),
        district=row["district"],
        companion=row["companion"],
        status=row["status"],
        last_four=row["last_four"],
    )
