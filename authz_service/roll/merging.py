"""Two families of the roll turn out to be one."""

from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.roll.due import settled
from authz_service.roll.opened import Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Order, RollRefused
from authz_service.roll.status import become
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, Chance

_MERGED_INTO: Final = """
-- A family that was merged into this one, or is to be.
SELECT beneficiary_id FROM beneficiary
 WHERE programme_id = $1 AND merged_into = $2 ORDER BY beneficiary_id LIMIT 1
"""


async def merge(
    connection: Connection,
    *,
    programme_id: str,
    survivor_id: BeneficiaryId,
    other_id: BeneficiaryId,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """The survivor is as it was; the other is removed, its cards are dead, its past is linked and not moved.

    The other's holds are honoured, and what it has not spent is unallocated once nothing is held.
    """
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        if survivor_id == other_id:
            raise RollRefused(f"{survivor_id} cannot be merged into itself.")
        survivor, other = await settled(roll, survivor_id, other_id)
        if survivor.status is BeneficiaryStatus.REMOVED:
            raise RollRefused(f"{survivor_id} is removed: nobody can be merged into it.")
        if survivor.waiting is not None and survivor.waiting.status is BeneficiaryStatus.REMOVED:
            raise RollRefused(f"{survivor_id} is to be removed on {roll.said(survivor.waiting.at)}.")
        await _require_no_chain(roll, other_id)
        return await become(roll, other, BeneficiaryStatus.REMOVED, ChangeKind.MERGE, order, survivor_id=survivor_id)


async def _require_no_chain(roll: Roll, other_id: BeneficiaryId) -> None:
    earlier = await roll.connection.fetchval(_MERGED_INTO, roll.programme_id, other_id)
    if earlier is not None:
        raise RollRefused(f"{earlier} was merged into {other_id}, or is to be: a survivor is not merged again.")
