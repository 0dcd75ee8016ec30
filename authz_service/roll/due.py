"""Changes whose day has come. Decisions follow them without this; here they are written, and their money moves."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.roll.leaving import leave
from authz_service.roll.opened import LockedFamily, Roll, opened_roll
from authz_service.roll.orders import Effects, RollRefused
from authz_service.roll.told import told_of_status
from authz_service.vocabulary import BeneficiaryStatus, Chance

_DUE: Final = """
-- The first families with a change whose day has come.
SELECT b.beneficiary_id
  FROM beneficiary b JOIN programme p USING (programme_id)
 WHERE b.programme_id = $1 AND b.next_status_at <= $2 AND p.closed_at IS NULL
 ORDER BY b.next_status_at, b.beneficiary_id
 LIMIT $3
"""
_ORDER: Final = """
-- Who ordered what is due now, and why.
SELECT actor, reason FROM family_change
 WHERE programme_id = $1 AND beneficiary_id = $2 AND effective_at = $3 AND recorded_at < $3
 ORDER BY recorded_at DESC, change_id DESC
 LIMIT 1
"""
_NOBODY: Final = "nobody"
_NO_REASON: Final = "a dated change that has no order"


async def apply_due(connection: Connection, *, programme_id: str, now: datetime, chance: Chance, limit: int) -> int:
    """The changes of at most `limit` families that are due are written, each by itself; how many.

    A family that cannot be changed now, above all one that somebody else is at work on, is left for the next time.
    """
    written = 0
    for row in await connection.fetch(_DUE, programme_id, now, limit):
        try:
            async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
                await settled(roll, row["beneficiary_id"])
        except RollRefused:
            continue
        written += 1
    return written


async def settled(roll: Roll, *beneficiary_ids: str) -> list[LockedFamily]:
    """The families, locked, as they are now: whatever was due of them is written."""
    families = await roll.lock(*beneficiary_ids)
    due = [family for family in families if family.waiting is not None and family.waiting.at <= roll.now]
    for family in due:
        await _settle(roll, family)
    return await roll.lock(*beneficiary_ids) if due else families


async def _settle(roll: Roll, family: LockedFamily) -> None:
    waiting = family.waiting
    if waiting is None:
        return
    await roll.write_status(family.beneficiary_id, waiting.status, None, family.merged_into)
    effects = Effects()
    if waiting.status is BeneficiaryStatus.REMOVED:
        row = await roll.connection.fetchrow(_ORDER, roll.programme_id, family.beneficiary_id, waiting.at)
        actor, reason = (_NOBODY, _NO_REASON) if row is None else (row["actor"], row["reason"])
        effects = replace(await leave(roll, family, reason=reason, actor=actor), survivor_id=family.merged_into)
    await roll.tell(*told_of_status(waiting.status, family.beneficiary_id, waiting.at, effects))
