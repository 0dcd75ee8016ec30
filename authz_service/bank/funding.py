"""Money that the sponsor has announced: the bank's notice that it came names the same reference.

FundingRefused    nothing was changed; the message is one sentence for the operator
"""

from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.orders import OrderKind, keep_order
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH, Chance, ProgrammeId

REFERENCE_LIMIT: Final = 64
"""`originalPartnerReferenceNo` is a String(64)."""
_EXPECT: Final = """
INSERT INTO expected_funding (programme_id, reference, amount_rupiah, announced_at, announced_by)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""
_IS_OURS: Final = """
-- A reference that a payout has cannot name money that comes.
SELECT EXISTS (SELECT FROM payout_instruction WHERE programme_id = $1 AND instruction_id = $2)
"""


class FundingRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


async def expect_funding(
    connection: Connection,
    programme_id: ProgrammeId,
    reference: str,
    amount_rupiah: int,
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    """Once the bank tells that `amount_rupiah` came under `reference`, it is the programme's, and nobody's yet."""
    if not reference.isprintable() or not 1 <= len(reference.strip()) == len(reference) <= REFERENCE_LIMIT:
        raise FundingRefused(f"A reference is 1 to {REFERENCE_LIMIT} printable characters.")
    if not 0 < amount_rupiah <= MONEY_LIMIT_RUPIAH:
        raise FundingRefused("An amount is a whole number of rupiah above 0.")
    async with connection.transaction():
        if await connection.fetchval(_IS_OURS, programme_id, reference):
            raise FundingRefused(f"{reference} is the reference of a payout.")
        added = await connection.execute(_EXPECT, programme_id, reference, amount_rupiah, now, actor)
        if added != "INSERT 0 1":
            raise FundingRefused(f"Money is expected under {reference} already.")
        detail = {"reference": reference, "amount_rupiah": amount_rupiah}
        kind = OrderKind.FUNDING_EXPECTED
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
