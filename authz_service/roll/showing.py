"""A family as the roll and the books have it, without its name and numbers: what an operator looks at first."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.roll.orders import RollRefused
from authz_service.rules.family import status_at
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus

_FAMILY: Final = """
SELECT p.zone, b.status, b.merged_into,
       CASE WHEN b.leaves_at IS NULL THEN b.next_status ELSE 'removed' END AS next_status,
       coalesce(b.leaves_at, b.next_status_at) AS next_status_at, b.entered_on, d.name AS district,
       c.label AS companion, w.available_rupiah, w.held_rupiah, w.spent_rupiah
  FROM beneficiary b
  JOIN programme p USING (programme_id)
  JOIN wallet w USING (programme_id, beneficiary_id)
  LEFT JOIN companion c USING (programme_id, companion_id)
  LEFT JOIN district d USING (programme_id, district_code)
 WHERE b.programme_id = $1 AND b.beneficiary_id = $2
"""
_CARDS: Final = """
SELECT card_id, last_four, status, expires_on FROM card
 WHERE programme_id = $1 AND beneficiary_id = $2 ORDER BY card_id
"""
_MONTHS: Final = """
SELECT month, used_rupiah, cap_rupiah, packages_used, packages_cap, covered_rupiah, covered_packages FROM allowance
 WHERE programme_id = $1 AND beneficiary_id = $2 ORDER BY month
"""
_CHANGES: Final = """
-- Of the family, and of those that were merged into it.
SELECT beneficiary_id, kind, effective_at, recorded_at, actor, reason FROM family_change
 WHERE programme_id = $1 AND (beneficiary_id = $2 OR detail ->> 'survivor_id' = $2) ORDER BY recorded_at, change_id
"""
_BY_NIK: Final = "SELECT beneficiary_id FROM beneficiary WHERE programme_id = $1 AND nik_digest = $2"
_BY_CARD: Final = "SELECT beneficiary_id FROM card WHERE programme_id = $1 AND card_digest = $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyShown:
    """`status` is the one that decisions follow; the rows are those of the database."""

    zone: ZoneInfo
    status: BeneficiaryStatus
    waiting: tuple[BeneficiaryStatus, datetime] | None
    merged_into: str | None
    entered_on: date
    district: str | None
    companion: str | None
    available_rupiah: int
    held_rupiah: int
    spent_rupiah: int
    cards: list[asyncpg.Record]
    months: list[asyncpg.Record]
    changes: list[asyncpg.Record]


async def show(connection: Connection, *, programme_id: str, beneficiary_id: str, now: datetime) -> FamilyShown:
    """Everything of one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        key = (programme_id, beneficiary_id)
        row = await connection.fetchrow(_FAMILY, *key)
        if row is None:
            raise RollRefused(f"{programme_id} has no family {beneficiary_id}.")
        next_status = BeneficiaryStatus(row["next_status"]) if row["next_status"] else None
        is_waiting = next_status is not None and row["next_status_at"] > now
        return FamilyShown(
            zone=ZoneInfo(row["zone"]),
            status=status_at(now, BeneficiaryStatus(row["status"]), next_status, row["next_status_at"]),
            waiting=(next_status, row["next_status_at"]) if next_status is not None and is_waiting else None,
            merged_into=row["merged_into"],
            entered_on=row["entered_on"],
            district=row["district"],
            companion=row["companion"],
            available_rupiah=row["available_rupiah"],
            held_rupiah=row["held_rupiah"],
            spent_rupiah=row["spent_rupiah"],
            cards=await connection.fetch(_CARDS, *key),
            months=await connection.fetch(_MONTHS, *key),
            changes=await connection.fetch(_CHANGES, *key),
        )


async def find(
    connection: Connection, keys: Keys, *, programme_id: str, nik: str | None, card_number: str | None
) -> BeneficiaryId:
    """The family that has the NIK, or the card."""
    if nik is not None and card_number is None:
        found = await connection.fetchval(_BY_NIK, programme_id, keys.nik_digest(nik))
    elif card_number is not None and nik is None:
        found = await connection.fetchval(_BY_CARD, programme_id, keys.card_digest(card_number))
    else:
        raise RollRefused("A family is sought by its NIK or by a card number.")
    if found is None:
        raise RollRefused(f"{programme_id} has no such family.")
    return BeneficiaryId(found)
