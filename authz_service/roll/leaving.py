"""What a family leaves behind: vouchers that nobody may use any more, cards that are dead, money that it did not spend.

What is held is honoured: whatever ends the last hold returns what is then unspent (`families.py`). A hold that is
over but unwritten counts as held until somebody has written its end.
"""

from dataclasses import replace
from typing import Final

from authz_service.ledger.bookings import book
from authz_service.ledger.postings import returned
from authz_service.roll.opened import LockedFamily, Roll
from authz_service.roll.orders import Effects, RevokedVoucher
from authz_service.vocabulary import BeneficiaryId, CardId, CompanionId, TransferId, VoucherId

_REVOKE: Final = """
-- The unused part is gone; what purchases use of a voucher stays theirs. $3 NULL: of every companion.
UPDATE voucher
   SET revoked_at = $4, revoked_by = $5, revocation_reason = $6
 WHERE programme_id = $1 AND beneficiary_id = $2 AND companion_id = coalesce($3, companion_id)
   AND revoked_at IS NULL AND expires_at > $4
RETURNING voucher_id, extra_rupiah - used_rupiah AS unused_rupiah, extra_packages - packages_used AS unused_packages
"""
_REPLACE_CARDS: Final = """
-- A lost or stolen card is dead already and says more: a till is told to keep it.
UPDATE card SET status = 'replaced'
 WHERE programme_id = $1 AND beneficiary_id = $2 AND status IN ('not_activated', 'active', 'blocked')
RETURNING card_id
"""
_EMPTY: Final = """
UPDATE wallet SET available_rupiah = 0, version = version + 1 WHERE programme_id = $1 AND beneficiary_id = $2
"""


async def leave(roll: Roll, family: LockedFamily, *, reason: str, actor: str) -> Effects:
    """The family's vouchers are revoked, a merged one's cards are dead, and unspent money is unallocated.

    The money only where nothing is held: else it follows later, with what the last hold leaves.
    """
    revoked = await revoke_vouchers(roll, family.beneficiary_id, reason=reason, actor=actor)
    cards = await replace_cards(roll, family.beneficiary_id) if family.merged_into is not None else ()
    effects = Effects(held_rupiah=family.held_rupiah, vouchers_revoked=revoked, cards_replaced=cards)
    if family.held_rupiah or not family.available_rupiah:
        return effects
    transfer_id, amount = TransferId(roll.new_id("trf")), family.available_rupiah
    transfer = returned(transfer_id, family.beneficiary_id, amount, roll.now, reason)
    await roll.connection.execute(_EMPTY, roll.programme_id, family.beneficiary_id)
    await book(roll.connection, roll.programme_id, transfer)
    return replace(effects, returned_rupiah=amount, transfer_id=transfer_id)


async def revoke_vouchers(
    roll: Roll, beneficiary_id: BeneficiaryId, *, reason: str, actor: str, companion_id: CompanionId | None = None
) -> tuple[RevokedVoucher, ...]:
    """The unused parts of the family's live vouchers, of one companion or of all, can no longer be used."""
    rows = await roll.connection.fetch(
        _REVOKE, roll.programme_id, beneficiary_id, companion_id, roll.now, actor, reason
    )
    return tuple(
        RevokedVoucher(
            voucher_id=VoucherId(row["voucher_id"]),
            unused_rupiah=row["unused_rupiah"],
            unused_packages=row["unused_packages"],
        )
        for row in rows
    )


async def replace_cards(roll: Roll, beneficiary_id: BeneficiaryId) -> tuple[CardId, ...]:
    """None of the family's present cards buys anything any more."""
    rows = await roll.connection.fetch(_REPLACE_CARDS, roll.programme_id, beneficiary_id)
    return tuple(CardId(row["card_id"]) for row in rows)
