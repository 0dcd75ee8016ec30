"""Shops are owed what they captured and did not refund; what the bank has paid them is entered here, by hand.

Settlement with the bank, batch by batch, is still to come; until then an operator enters that the bank has paid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.ledger.entries import alone_with, enter
from authz_service.ledger.postings import Transfer, payout, payout_settled
from authz_service.orders import OrderKind, keep_order
from authz_service.settings import Settings
from authz_service.vocabulary import (
    CHANCE_BYTES,
    Chance,
    MerchantId,
    ProgrammeId,
    TransferId,
    in_rupiah,
    new_id,
    several,
)

REFERENCE_LIMIT: Final = 140
_PAYABLES: Final = """
-- What each shop has on its account: captured, less refunded, less paid out. Below nothing it owes the programme.
SELECT m.merchant_id, m.name, coalesce(moved.rupiah, 0)::bigint AS rupiah
  FROM merchant m
  LEFT JOIN (SELECT side.account_id, sum(side.rupiah) AS rupiah
               FROM transfer t
              CROSS JOIN LATERAL (VALUES (t.debit_account_id, -t.amount_rupiah),
                                         (t.credit_account_id, t.amount_rupiah)) AS side(account_id, rupiah)
              WHERE t.programme_id = $1 AND t.kind IN ('post', 'refund', 'payout', 'payout_failed')
              GROUP BY side.account_id) moved ON moved.account_id = m.merchant_id
 WHERE m.programme_id = $1
 ORDER BY m.merchant_id
"""
_KNOWN: Final = """
-- What was paid under a reference.
SELECT count(*) AS shops, sum(amount_rupiah)::bigint AS rupiah
  FROM transfer
 WHERE programme_id = $1 AND kind = 'payout' AND authorisation_id IS NULL AND reason = $2
"""


class PayoutRefused(Exception):  # noqa: N818
    """Nothing was entered; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payable:
    """What a shop is owed (rupiah), or owes, where it is below nothing."""

    merchant_id: MerchantId
    name: str
    amount_rupiah: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was entered as paid."""

    reference: str
    shops: int
    amount_rupiah: int


async def settle(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    *,
    reference: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> Settled:
    """The bank has paid every shop all that it was owed, under `reference`: so say the books. Never twice."""
    reference = reference.strip()
    if not reference.isprintable() or not 1 <= len(reference) <= REFERENCE_LIMIT:
        raise PayoutRefused(f"The bank's reference is 1 to {REFERENCE_LIMIT} printable characters.")
    async with alone_with(connection, settings, programme_id):
        await _require_new(connection, programme_id, reference)
        owed = [each for each in await payables(connection, programme_id) if each.amount_rupiah > 0]
        if not owed:
            raise PayoutRefused("No shop is owed anything; nothing was entered.")
        # Something is owed and was not paid yet. After this point the payouts must succeed.
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        await enter(connection, programme_id, list(_paid(owed, reference, now, chance)))
        done = Settled(reference=reference, shops=len(owed), amount_rupiah=sum(each.amount_rupiah for each in owed))
        kind = OrderKind.SHOPS_PAID
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=asdict(done))
    return done


async def payables(connection: Connection, programme_id: ProgrammeId) -> Sequence[Payable]:
    """Every shop of the programme, in the order of their ids."""
    return [
        Payable(merchant_id=MerchantId(row["merchant_id"]), name=row["name"], amount_rupiah=row["rupiah"])
        for row in await connection.fetch(_PAYABLES, programme_id)
    ]


def _paid(owed: Sequence[Payable], reference: str, now: datetime, chance: Chance) -> Iterator[Transfer]:
    for shop in owed:
        first, second = (TransferId(new_id("trf", now, chance(CHANCE_BYTES))) for _ in range(2))
        yield payout(first, shop.merchant_id, shop.amount_rupiah, reference, now)
        yield payout_settled(second, shop.amount_rupiah, reference, now)


async def _require_new(connection: Connection, programme_id: ProgrammeId, reference: str) -> None:
    """One payment of the bank is entered once, also when shops have sold more since."""
    known = await connection.fetchrow(_KNOWN, programme_id, reference)
    if known is not None and known["shops"]:
        raise PayoutRefused(
            f"{reference!r} is entered already: {in_rupiah(known['rupiah'])} to {several(known['shops'], 'shop')};"
            " nothing was entered again."
        )
