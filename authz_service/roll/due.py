"""Changes whose day has come. Decisions follow them without this; here they are written, and their money moves."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.roll.leaving import leave_all
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
_LEAVING: Final = """
-- The first families that an imported roll has taken off.
SELECT b.beneficiary_id
  FROM beneficiary b JOIN programme p USING (programme_id)
 WHERE b.programme_id = $1 AND b.leaves_at <= $2 AND p.closed_at IS NULL
 ORDER BY b.leaves_at, b.beneficiary_id
 LIMIT $3
"""
_ORDERS: Final = """
-- Who ordered the removals that are due now, and why.
SELECT DISTINCT ON (c.beneficiary_id) c.beneficiary_id, c.actor, c.reason
  FROM family_change c
  JOIN unnest($2::text[], $3::timestamptz[]) AS due(beneficiary_id, at)
    ON due.beneficiary_id = c.beneficiary_id AND due.at = c.effective_at
 WHERE c.programme_id = $1 AND c.beneficiary_id = ANY ($2) AND c.kind IN ('remove', 'merge')
 ORDER BY c.beneficiary_id, c.recorded_at DESC, c.change_id DESC
"""
_REMOVED: Final = """
UPDATE beneficiary SET status = 'removed', next_status = NULL, next_status_at = NULL, leaves_at = NULL
 WHERE programme_id = $1 AND beneficiary_id = ANY ($2)
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


async def apply_leaving(connection: Connection, *, programme_id: str, now: datetime, chance: Chance, limit: int) -> int:
    """At most `limit` families that an imported roll has taken off are written, in one transaction; how many.

    Those that somebody else is at work on are left for the next time.
    """
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        rows = await connection.fetch(_LEAVING, programme_id, now, limit)
        families = await roll.lock_free([row["beneficiary_id"] for row in rows])
        # Read again under the lock: somebody else may have written one of them meanwhile.
        due = [family for family in families if family.waiting is not None and family.waiting.at <= now]
        await _settle(roll, due)
    return len(due)


async def settled(roll: Roll, *beneficiary_ids: str) -> list[LockedFamily]:
    """The families, locked, as they are now: whatever was due of them is written."""
    families = await roll.lock(*beneficiary_ids)
    due = [family for family in families if family.waiting is not None and family.waiting.at <= roll.now]
    await _settle(roll, due)
    return await roll.lock(*beneficiary_ids) if due else families


async def _settle(roll: Roll, families: Sequence[LockedFamily]) -> None:
    leaving = []
    for family in families:
        waiting = family.waiting
        if waiting is None:
            continue
        if waiting.status is BeneficiaryStatus.REMOVED:
            leaving.append((family, waiting.at))
            continue
        await roll.write_status(family.beneficiary_id, waiting.status, None, family.merged_into)
        await roll.tell(*told_of_status(waiting.status, family.beneficiary_id, waiting.at, Effects()))
    if leaving:
        await _remove(roll, leaving)


async def _remove(roll: Roll, leaving: Sequence[tuple[LockedFamily, datetime]]) -> None:
    ids = [family.beneficiary_id for family, _ in leaving]
    await roll.connection.execute(_REMOVED, roll.programme_id, ids)
    rows = await roll.connection.fetch(_ORDERS, roll.programme_id, ids, [at for _, at in leaving])
    ordered = {row["beneficiary_id"]: (row["actor"], row["reason"]) for row in rows}
    by_order: dict[tuple[str, str], list[tuple[LockedFamily, datetime]]] = defaultdict(list)
    for family, at in leaving:
        by_order[ordered.get(family.beneficiary_id, (_NOBODY, _NO_REASON))].append((family, at))
    for (actor, reason), group in by_order.items():
        done = await leave_all(roll, [family for family, _ in group], reason=reason, actor=actor)
        await roll.tell(
            *(
                event
                for (family, at), effects in zip(group, done, strict=True)
                for event in told_of_status(
                    BeneficiaryStatus.REMOVED,
                    family.beneficiary_id,
                    at,
                    replace(effects, survivor_id=family.merged_into),
                )
            )
        )
