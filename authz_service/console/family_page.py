"""All that a family's page shows, read in one snapshot, its name and NIK opened."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from authz_service.answers import Document
from authz_service.clock import Clock
from authz_service.console.families_found import name_of
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.lists.authorisations import Sought, authorisations
from authz_service.lists.families import left_of_families
from authz_service.registry import Reference
from authz_service.roll.showing import FamilyShown, show
from authz_service.vouchers import Voucher, Wanted, vouchers

PURCHASES_A_PAGE: Final = 10
VOUCHERS_SHOWN: Final = 12
_SEALED: Final = """
-- What is sealed of a family, and the digest of the card that it has in hand: the active one, else the newest.
SELECT b.name_sealed, b.nik_sealed,
       (SELECT c.card_digest FROM card c
         WHERE c.programme_id = $1 AND c.beneficiary_id = $2
         ORDER BY c.status = 'active' DESC, c.card_id DESC LIMIT 1) AS card_digest
  FROM beneficiary b WHERE b.programme_id = $1 AND b.beneficiary_id = $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPage:
    """A family as whoever opened it sees it."""

    beneficiary_id: str
    name: str = field(repr=False)
    nik_end: str = field(repr=False)
    """The last four digits: enough to compare, too little to take away."""
    shown: FamilyShown
    left: Document | None
    """None without a card."""
    purchases: list[Document]
    older: str | None
    """After which purchase the next page begins."""
    vouchers: list[Voucher]


async def family_page(
    connection: Connection, keys: Keys, clock: Clock, reference: Reference, beneficiary_id: str, *, after: str | None
) -> FamilyPage:
    """RollRefused where the programme has no such family."""
    programme_id = reference.programme.programme_id
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        family = await show(connection, programme_id=programme_id, beneficiary_id=beneficiary_id, now=now)
        row = await connection.fetchrow(_SEALED, programme_id, beneficiary_id)
        if row is None:
            raise LookupError("one snapshot both has the family and has it not")
        sought = Sought(limit=PURCHASES_A_PAGE, after=after, beneficiary_id=beneficiary_id)
        listed = await authorisations(connection, programme_id, sought, clock)
        made = Wanted(beneficiary_ids=[beneficiary_id], limit=VOUCHERS_SHOWN)
        return FamilyPage(
            beneficiary_id=beneficiary_id,
            name=name_of(keys, beneficiary_id, row["name_sealed"]),
            nik_end=keys.open_field(row["nik_sealed"], f"beneficiary.nik_sealed:{beneficiary_id}")[-4:],
            shown=family,
            left=await _left(connection, row, reference, beneficiary_id, now),
            purchases=[_with_shop(each, reference) for each in listed["data"]],
            older=listed["data"][-1]["id"] if listed["has_more"] else None,
            vouchers=await vouchers(connection, programme_id, made, now),
        )


async def _left(
    connection: Connection, row: asyncpg.Record, reference: Reference, beneficiary_id: str, now: datetime
) -> Document | None:
    if row["card_digest"] is None:
        return None
    programme_id = reference.programme.programme_id
    left = await left_of_families(connection, programme_id, [row["card_digest"]], now, reference)
    return left.get(beneficiary_id)


def _with_shop(purchase: Document, reference: Reference) -> dict[str, Any]:
    shop = reference.shops.get(purchase["merchant_id"])
    return purchase | {"shop": purchase["merchant_id"] if shop is None else shop.name}
