"""What a family leaves behind: vouchers that nobody may use any more, cards that are dead, money that it did not spend.

What is held is honoured: whatever ends the last hold returns what is then unspent (`families.py`). A hold that is
over but unwritten counts as held until somebody has written its end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from authz_service.ledger.entries import enter
from authz_service.ledger.postings import returned
from authz_service.roll.opened import LockedFamily, Roll
from authz_service.roll.orders import Effects, RevokedVoucher
from authz_service.vocabulary import BeneficiaryId, CardId, CompanionId, ProgrammeId, TransferId, VoucherId

_REVOKE: Final = """
-- The unused part is gone; what purchases use of a voucher stays theirs. A NULL in $3: of every companion.
UPDATE voucher v
   SET revoked_at = $4, revoked_by = $5, revocation_reason = $6
  FROM unnest($2::text[], $3::text[]) AS family(beneficiary_id, companion_id)
 WHERE v.programme_id = $1 AND v.beneficiary_id = ANY ($2) AND v.beneficiary_id = family.beneficiary_id
   AND v.companion_id = coalesce(family.companion_id, v.companion_id)
   AND v.revoked_at IS NULL AND v.expires_at > $4
RETURNING v.beneficiary_id, v.voucher_id, v.extra_rupiah - v.used_rupiah AS unused_rupiah,
          v.extra_packages - v.packages_used AS unused_packages
"""
_REPLACE_CARDS: Final = """
-- A lost or stolen card is dead already and says more: a till is told to keep it.
UPDATE card SET status = 'replaced'
 WHERE programme_id = $1 AND beneficiary_id = ANY ($2) AND status IN ('not_activated', 'active', 'blocked')
RETURNING beneficiary_id, card_id
"""
_EMPTY: Final = """
UPDATE wallet SET available_rupiah = 0, version = version + 1 WHERE programme_id = $1 AND beneficiary_id = ANY ($2)
"""


async def leave(roll: Roll, family: LockedFamily, *, reason: str, actor: str) -> Effects:
    """`leave_all` of one."""
    [effects] = await leave_all(roll, [family], reason=reason, actor=actor)
    return effects


async def leave_all(roll: Roll, families: Sequence[LockedFamily], *, reason: str, actor: str) -> list[Effects]:
    """The families' vouchers are revoked, merged ones' cards are dead, and unspent money is unallocated.

    The money only where nothing is held: else it follows later, with what the last hold leaves. In the given order.
    """
    ids = [family.beneficiary_id for family in families]
    revoked = await revoke_vouchers(roll, dict.fromkeys(ids), reason=reason, actor=actor)
    merged = [family.beneficiary_id for family in families if family.merged_into is not None]
    cards = await replace_cards(roll, merged) if merged else {}
    transfers = {
        family.beneficiary_id: returned(
            TransferId(roll.new_id("trf")), family.beneficiary_id, family.available_rupiah, roll.now, reason
        )
        for family in families
        if family.available_rupiah and not family.held_rupiah
    }
    if transfers:
        await roll.connection.execute(_EMPTY, roll.programme_id, list(transfers))
        await enter(roll.connection, ProgrammeId(roll.programme_id), list(transfers.values()))
    return [
        Effects(
            held_rupiah=family.held_rupiah,
            vouchers_revoked=revoked.get(family.beneficiary_id, ()),
            cards_replaced=cards.get(family.beneficiary_id, ()),
            returned_rupiah=transfer.amount_rupiah if transfer else 0,
            transfer_id=transfer.transfer_id if transfer else None,
        )
        for family in families
        for transfer in (transfers.get(family.beneficiary_id),)
    ]


async def revoke_vouchers(
    roll: Roll, whose: Mapping[BeneficiaryId, CompanionId | None], *, reason: str, actor: str
) -> Mapping[BeneficiaryId, tuple[RevokedVoucher, ...]]:
    """The unused parts of the families' live vouchers, of one companion or (None) of all, can no longer be used."""
    rows = await roll.connection.fetch(
        _REVOKE, roll.programme_id, list(whose), list(whose.values()), roll.now, actor, reason
    )
    found: dict[BeneficiaryId, tuple[RevokedVoucher, ...]] = defaultdict(tuple)
    for row in rows:
        found[row["beneficiary_id"]] += (
            RevokedVoucher(
                voucher_id=VoucherId(row["voucher_id"]),
                unused_rupiah=row["unused_rupiah"],
                unused_packages=row["unused_packages"],
            ),
        )
    return found


async def replace_cards(roll: Roll, whose: Iterable[BeneficiaryId]) -> Mapping[BeneficiaryId, tuple[CardId, ...]]:
    """None of the families' present cards buys anything any more."""
    found: dict[BeneficiaryId, tuple[CardId, ...]] = defaultdict(tuple)
    for row in await roll.connection.fetch(_REPLACE_CARDS, roll.programme_id, list(whose)):
        found[row["beneficiary_id"]] += (CardId(row["card_id"]),)
    return found
