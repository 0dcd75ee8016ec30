"""The second half of an enrolment whose money was still to come: it is there, and every family has its entitlement.

NothingToGrant    nothing was changed; the message is one sentence
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.enrolment.edition import EnrolmentRefused
from authz_service.ledger.bookings import claim_unallocated
from authz_service.ledger.entries import alone_with, enter
from authz_service.ledger.postings import granted
from authz_service.orders import OrderKind, keep_order
from authz_service.settings import Settings
from authz_service.vocabulary import (
    CHANCE_BYTES,
    BeneficiaryId,
    Chance,
    ProgrammeId,
    TransferId,
    in_rupiah,
    new_id,
)

_ENTITLEMENT: Final = """
SELECT entitlement_rupiah, closed_at IS NOT NULL AS is_closed FROM programme WHERE programme_id = $1
"""
_WITHOUT: Final = """
-- Families on the roll that were never granted anything, in the order of their ids; their wallets are locked.
SELECT w.beneficiary_id
  FROM wallet w
  JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = w.beneficiary_id
 WHERE w.programme_id = $1 AND b.status <> 'removed'
   AND NOT EXISTS (SELECT FROM transfer t
                    WHERE t.programme_id = $1 AND t.kind = 'grant' AND t.credit_account_id = w.beneficiary_id)
 ORDER BY w.beneficiary_id
   FOR UPDATE OF w
"""
_GIVE: Final = """
UPDATE wallet SET available_rupiah = available_rupiah + $3, version = version + 1
 WHERE programme_id = $1 AND beneficiary_id = ANY ($2)
"""


class NothingToGrant(EnrolmentRefused):
    """Nothing was changed; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """To how many families, and how much in all; nothing where all had theirs before."""

    families: int
    amount_rupiah: int


async def grant_entitlements(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, *, actor: str, now: datetime, chance: Chance
) -> Granted:
    """Every family that was never granted anything has its entitlement, out of nobody's money; an order says so.

    All of them or none, and each once, however often it is ordered.
    """
    async with alone_with(connection, settings, programme_id):
        row = await connection.fetchrow(_ENTITLEMENT, programme_id)
        if row is None:
            raise NothingToGrant(f"{programme_id} is not enrolled.")
        if row["is_closed"]:
            raise NothingToGrant(f"{programme_id} is closed.")
        entitlement_rupiah: int = row["entitlement_rupiah"]
        families = [BeneficiaryId(row[0]) for row in await connection.fetch(_WITHOUT, programme_id)]
        total_rupiah, unallocated = (
            entitlement_rupiah * len(families),
            await claim_unallocated(connection, programme_id),
        )
        if not families:
            return Granted(families=0, amount_rupiah=0)
        if total_rupiah > unallocated:
            raise NothingToGrant(
                f"{in_rupiah(total_rupiah)} is not there for {len(families)} families: {in_rupiah(unallocated)} is"
                " unallocated."
            )
        # The money is there, and nobody else gives it away. From here on it is only written.
        ids = [TransferId(new_id("trf", now, chance(CHANCE_BYTES))) for _ in families]
        transfers = [granted(each, family, entitlement_rupiah, now) for each, family in zip(ids, families, strict=True)]
        await enter(connection, programme_id, transfers)
        await connection.execute(_GIVE, programme_id, families, entitlement_rupiah)
        detail = {"families": len(families), "amount_rupiah": total_rupiah}
        kind = OrderKind.ENTITLEMENTS_GRANTED
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return Granted(families=len(families), amount_rupiah=total_rupiah)
