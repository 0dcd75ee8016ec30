"""A family goes to another companion."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.roll.due import settled
from authz_service.roll.leaving import revoke_vouchers
from authz_service.roll.opened import LockedFamily, Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollRefused
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, Chance, CompanionId

_COMPANION: Final = "SELECT companion_id, label FROM companion WHERE programme_id = $1 AND $2 IN (companion_id, label)"
_MOVE: Final = """
UPDATE beneficiary b SET companion_id = moved.companion_id
  FROM unnest($2::text[], $3::text[]) AS moved(beneficiary_id, companion_id)
 WHERE b.programme_id = $1 AND b.beneficiary_id = ANY ($2) AND b.beneficiary_id = moved.beneficiary_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A locked family and the companion, by id and label, to which it goes."""

    family: LockedFamily
    companion_id: CompanionId
    label: str


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
        [change] = await move_all(
            roll, [Move(family=family, companion_id=companion_id, label=label)], at=at, order=order
        )
        await roll.keep_all([change], order)
        return change


async def move_all(
    roll: Roll, moves: Sequence[Move], *, at: datetime, order: Order, import_id: str | None = None
) -> list[Change]:
    """The families have their new companions; what is to be put on record, in the given order."""
    await roll.connection.execute(
        _MOVE,
        roll.programme_id,
        [each.family.beneficiary_id for each in moves],
        [each.companion_id for each in moves],
    )
    former = {each.family.beneficiary_id: each.family.companion_id for each in moves}
    revoked = await revoke_vouchers(roll, former, reason=order.reason, actor=order.actor)
    return [
        roll.change(
            ChangeKind.MOVE,
            each.family.beneficiary_id,
            at,
            Effects(
                companion_id=each.companion_id,
                companion_label=each.label,
                former_companion_id=each.family.companion_id,
                vouchers_revoked=revoked.get(each.family.beneficiary_id, ()),
                import_id=import_id,
            ),
        )
        for each in moves
    ]


async def companion_of(roll: Roll, companion: str) -> tuple[CompanionId, str]:
    """Its id and its label, by either of which it is known."""
    row = await roll.connection.fetchrow(_COMPANION, roll.programme_id, companion)
    if row is None:
        raise RollRefused(f"{roll.programme_id} has no companion {companion}.")
    return CompanionId(row["companion_id"]), row["label"]
