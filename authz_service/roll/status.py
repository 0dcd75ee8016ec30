"""A family is suspended, active again, or removed: at once, or from a day on.

One change may wait for its day. A dated order is refused while another waits; an order that holds at once takes the
place of what waited, and says so.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.roll.due import settled
from authz_service.roll.leaving import leave
from authz_service.roll.opened import LockedFamily, Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollRefused, Waiting
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, Chance

_MERGES_WAITING: Final = """
-- A family that is to be merged into this one, on a day that has not come.
SELECT beneficiary_id FROM beneficiary
 WHERE programme_id = $1 AND merged_into = $2 AND status <> 'removed' ORDER BY beneficiary_id LIMIT 1
"""


async def suspend(
    connection: Connection,
    *,
    programme_id: str,
    beneficiary_id: BeneficiaryId,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """No new approvals until the family is active again; holds are honoured."""
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        [family] = await settled(roll, beneficiary_id)
        return await become(roll, family, BeneficiaryStatus.SUSPENDED, ChangeKind.SUSPEND, order)


async def resume(
    connection: Connection,
    *,
    programme_id: str,
    beneficiary_id: BeneficiaryId,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """The family is active; of an active one, what waited for its day does not come any more."""
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        [family] = await settled(roll, beneficiary_id)
        return await become(roll, family, BeneficiaryStatus.ACTIVE, ChangeKind.RESUME, order)


async def remove(
    connection: Connection,
    *,
    programme_id: str,
    beneficiary_id: BeneficiaryId,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """No new approvals, for good; holds are honoured, and what is unspent is unallocated once nothing is held."""
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        [family] = await settled(roll, beneficiary_id)
        merging = await roll.connection.fetchval(_MERGES_WAITING, programme_id, beneficiary_id)
        if merging is not None:
            raise RollRefused(f"{merging} is to be merged into {beneficiary_id}: withdraw that first.")
        return await become(roll, family, BeneficiaryStatus.REMOVED, ChangeKind.REMOVE, order)


async def become(
    roll: Roll,
    family: LockedFamily,
    status: BeneficiaryStatus,
    kind: ChangeKind,
    order: Order,
    *,
    survivor_id: BeneficiaryId | None = None,
) -> Change:
    """The family has the status, or has it from its day on."""
    at, who = roll.instant_of(order), family.beneficiary_id
    waits = at > roll.now
    if family.status is BeneficiaryStatus.REMOVED:
        raise RollRefused(f"{who} is removed, and a removal is final.")
    if order.on is not None and order.on < min(family.entered_on, roll.today):
        raise RollRefused(f"{who} entered only on {family.entered_on}.")
    if waits and family.waiting is not None:
        raise RollRefused(
            f"{who} is to be {family.waiting.status} from {roll.said(family.waiting.at)} on: withdraw that first."
        )
    if family.status is status and (waits or family.waiting is None):
        raise RollRefused(f"{who} is {status} already.")

    # Nothing stands against it. From here on it is only written.
    waiting = Waiting(status=status, at=at) if waits else None
    await roll.write_status(who, family.status if waits else status, waiting, survivor_id)
    effects = Effects(withdrawn=family.waiting)
    if not waits and status is BeneficiaryStatus.REMOVED:
        left = await leave(roll, replace(family, merged_into=survivor_id), reason=order.reason, actor=order.actor)
        effects = replace(left, withdrawn=family.waiting)
    before = {"status": family.status}
    return await roll.keep(kind, who, at, order, replace(effects, survivor_id=survivor_id), before=before)
