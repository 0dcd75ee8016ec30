"""A family goes to another companion."""

from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.roll.due import settled
from authz_service.roll.leaving import revoke_vouchers
from authz_service.roll.opened import Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollRefused
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, Chance, CompanionId

_COMPANION: Final = "SELECT companion_id, label FROM companion WHERE programme_id = $1 AND $2 IN (companion_id, label)"
_MOVE: Final = "UPDATE beneficiary SET companion_id = $3 WHERE programme_id = $1 AND beneficiary_id = $2"


async def move(
    connection: Connection,
    *,
    programme_id: str,
    beneficiary_id: BeneficiaryId,
    companion: str,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """Only the new companion, named by id or label, vouches from now on.

    Of the former one's vouchers holds keep what they use, and the rest is revoked.
    """
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        [family] = await settled(roll, beneficiary_id)
        at, (companion_id, label) = roll.instant_at_once(order), await companion_of(roll, companion)
        if family.status is BeneficiaryStatus.REMOVED:
            raise RollRefused(f"{beneficiary_id} is removed, and a removal is final.")
        if companion_id == family.companion_id:
            raise RollRefused(f"{companion} is the companion of {beneficiary_id} already.")

        # Nothing stands against it. From here on it is only written.
        await roll.connection.execute(_MOVE, programme_id, beneficiary_id, companion_id)
        revoked = await revoke_vouchers(
            roll, beneficiary_id, reason=order.reason, actor=order.actor, companion_id=family.companion_id
        )
        effects = Effects(
            companion_id=companion_id,
            companion_label=label,
            former_companion_id=family.companion_id,
            vouchers_revoked=revoked,
        )
        return await roll.keep(ChangeKind.MOVE, beneficiary_id, at, order, effects)


async def companion_of(roll: Roll, companion: str) -> tuple[CompanionId, str]:
    """Its id and its label, by either of which it is known."""
    row = await roll.connection.fetchrow(_COMPANION, roll.programme_id, companion)
    if row is None:
        raise RollRefused(f"{roll.programme_id} has no companion {companion}.")
    return CompanionId(row["companion_id"]), row["label"]
