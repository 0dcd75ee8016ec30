"""A late entrant: in mid-programme a family comes on the roll, with money that is nobody's yet."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.ledger.bookings import book, claim_unallocated
from authz_service.ledger.postings import granted
from authz_service.names import name_digests
from authz_service.requests import Nik
from authz_service.roll.cards import CardFromTheBank, good_until, issue
from authz_service.roll.moving import companion_of
from authz_service.roll.opened import Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollRefused, Waiting, require_text
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, Chance, TransferId, in_rupiah

_NIK: Final = TypeAdapter[str](Nik)
_KNOWN: Final = "SELECT beneficiary_id, status FROM beneficiary WHERE programme_id = $1 AND nik_digest = $2"
_DISTRICT: Final = "SELECT true FROM district WHERE programme_id = $1 AND district_code = $2"
_BENEFICIARY: Final = """
INSERT INTO beneficiary (programme_id, beneficiary_id, companion_id, district_code, status, entered_on, name_sealed,
                         nik_sealed, nik_digest, next_status, next_status_at, name_words)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_ACCOUNT: Final = "INSERT INTO account (programme_id, account_id, kind) VALUES ($1, $2, 'beneficiary')"
_WALLET: Final = """
-- After all that raises its version, which so begins at 1.
INSERT INTO wallet (programme_id, beneficiary_id, version, available_rupiah, held_rupiah, spent_rupiah)
VALUES ($1, $2, 1, $3, 0, 0)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A family as the verified roll has it. `amount_rupiah` None is the programme's whole entitlement."""

    name: str = field(repr=False)
    nik: str = field(repr=False)
    companion: str
    district_code: str
    card: CardFromTheBank
    amount_rupiah: int | None = None


async def enter(
    connection: Connection,
    *,
    programme_id: str,
    newcomer: Newcomer,
    keys: Keys,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """The family is on the roll with its money, and may buy from its day on.

    Until then it is suspended; its money is granted at once, so that nobody else is promised the same.
    """
    require_text("name", newcomer.name)
    require_text("NIK", newcomer.nik, _NIK)
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        at = roll.instant_of(order)
        if now >= roll.ends_at:
            raise RollRefused("The programme has ended: nobody enters any more.")
        amount = newcomer.amount_rupiah if newcomer.amount_rupiah is not None else roll.entitlement_rupiah
        if not 1 <= amount <= roll.entitlement_rupiah:
            raise RollRefused(f"A family gets at least Rp1 and at most {in_rupiah(roll.entitlement_rupiah)}.")
        companion_id, _ = await companion_of(roll, newcomer.companion)
        if not await connection.fetchval(_DISTRICT, programme_id, newcomer.district_code):
            raise RollRefused(f"{programme_id} has no district {newcomer.district_code}.")
        await _require_unknown(roll, keys.nik_digest(newcomer.nik))
        expires_on = await good_until(roll, newcomer.card)
        unallocated = await claim_unallocated(connection, programme_id)
        if amount > unallocated:
            raise RollRefused(f"{in_rupiah(amount)} is not there: {in_rupiah(unallocated)} is unallocated.")

        # Nothing stands against it but a NIK or card that somebody else enters now. From here on it is only written.
        beneficiary_id, transfer_id = BeneficiaryId(roll.new_id("ben")), TransferId(roll.new_id("trf"))
        waiting = Waiting(status=BeneficiaryStatus.ACTIVE, at=at) if at > now else None
        await connection.execute(
            _BENEFICIARY,
            programme_id,
            beneficiary_id,
            companion_id,
            newcomer.district_code,
            BeneficiaryStatus.SUSPENDED if waiting else BeneficiaryStatus.ACTIVE,
            order.on or roll.today,
            keys.seal_field(newcomer.name, f"beneficiary.name_sealed:{beneficiary_id}"),
            keys.seal_field(newcomer.nik, f"beneficiary.nik_sealed:{beneficiary_id}"),
            keys.nik_digest(newcomer.nik),
            waiting and waiting.status,
            waiting and waiting.at,
            name_digests(keys, programme_id, newcomer.name),
        )
        card_id, card_status = await issue(roll, beneficiary_id, newcomer.card, keys, expires_on)
        await connection.execute(_ACCOUNT, programme_id, beneficiary_id)
        await book(connection, programme_id, granted(transfer_id, beneficiary_id, amount, now))
        await connection.execute(_WALLET, programme_id, beneficiary_id, amount)
        effects = Effects(
            granted_rupiah=amount,
            transfer_id=transfer_id,
            companion_id=companion_id,
            card_id=card_id,
            card_status=card_status,
        )
        return await roll.keep(ChangeKind.ENTER, beneficiary_id, at, order, effects)


async def _require_unknown(roll: Roll, nik_digest: bytes) -> None:
    row = await roll.connection.fetchrow(_KNOWN, roll.programme_id, nik_digest)
    if row is None:
        return
    if row["status"] == BeneficiaryStatus.REMOVED:
        raise RollRefused(f"This NIK was on the roll as {row['beneficiary_id']}, which is removed: that is final.")
    raise RollRefused(f"This NIK is on the roll already, as {row['beneficiary_id']}.")
