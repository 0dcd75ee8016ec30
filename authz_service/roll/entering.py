"""A late entrant: in mid-programme a family comes on the roll, with money that is nobody's yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from pydantic import TypeAdapter

from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.ledger.bookings import claim_unallocated
from authz_service.ledger.entries import enter as book_all
from authz_service.ledger.postings import granted
from authz_service.names import name_digests
from authz_service.requests import Nik
from authz_service.roll.cards import CardForFamily, CardFromTheBank, good_until, issue, kept
from authz_service.roll.moving import companion_of
from authz_service.roll.opened import Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollRefused, Waiting, require_text
from authz_service.vocabulary import (
    BeneficiaryId,
    BeneficiaryStatus,
    Chance,
    CompanionId,
    ProgrammeId,
    TransferId,
    in_rupiah,
)

_NIK: Final = TypeAdapter[str](Nik)
_KNOWN: Final = "SELECT beneficiary_id, status FROM beneficiary WHERE programme_id = $1 AND nik_digest = $2"
_DISTRICT: Final = "SELECT true FROM district WHERE programme_id = $1 AND district_code = $2"
_BENEFICIARY: Final = (
    *("programme_id", "beneficiary_id", "companion_id", "district_code", "status", "entered_on", "name_sealed"),
    *("nik_sealed", "nik_digest", "kk_digest", "next_status", "next_status_at", "name_words"),
)
_ACCOUNT: Final = ("programme_id", "account_id", "kind")
_WALLET: Final = ("programme_id", "beneficiary_id", "version", "available_rupiah", "held_rupiah", "spent_rupiah")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A family as the verified roll has it. `amount_rupiah` None is the programme's whole entitlement."""

    name: str = field(repr=False)
    nik: str = field(repr=False)
    companion: str
    district_code: str
    card: CardFromTheBank
    amount_rupiah: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A newcomer as it is kept, against whom nothing stands: no name and no number in clear."""

    beneficiary_id: BeneficiaryId
    companion_id: CompanionId
    district_code: str
    name_sealed: bytes
    name_words: Sequence[bytes]
    """Digests, by which it is found."""
    nik_sealed: bytes
    nik_digest: bytes
    kk_digest: bytes | None = None
    card: CardForFamily
    amount_rupiah: int


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
        beneficiary_id = BeneficiaryId(roll.new_id("ben"))
        entrant = Entrant(
            beneficiary_id=beneficiary_id,
            companion_id=companion_id,
            district_code=newcomer.district_code,
            name_sealed=keys.seal_field(newcomer.name, f"beneficiary.name_sealed:{beneficiary_id}"),
            name_words=name_digests(keys, programme_id, newcomer.name),
            nik_sealed=keys.seal_field(newcomer.nik, f"beneficiary.nik_sealed:{beneficiary_id}"),
            nik_digest=keys.nik_digest(newcomer.nik),
            card=kept(beneficiary_id, newcomer.card, keys, expires_on),
            amount_rupiah=amount,
        )
        [change] = await enter_all(roll, [entrant], at=at, on=order.on or roll.today)
        await roll.keep_all([change], order)
        return change


async def enter_all(
    roll: Roll, entrants: Sequence[Entrant], *, at: datetime, on: date, import_id: str | None = None
) -> list[Change]:
    """The families are on the roll with their money and cards; what is to be put on record, in the given order."""
    waiting = Waiting(status=BeneficiaryStatus.ACTIVE, at=at) if at > roll.now else None
    status = BeneficiaryStatus.SUSPENDED if waiting else BeneficiaryStatus.ACTIVE
    programme_id, copy = roll.programme_id, roll.connection.copy_records_to_table
    families = [
        (
            programme_id,
            each.beneficiary_id,
            each.companion_id,
            each.district_code,
            status,
            on,
            each.name_sealed,
            each.nik_sealed,
            each.nik_digest,
            each.kk_digest,
            waiting and waiting.status,
            waiting and waiting.at,
            each.name_words,
        )
        for each in entrants
    ]
    await copy("beneficiary", columns=_BENEFICIARY, records=families)
    cards = await issue(roll, [each.card for each in entrants])
    accounts = [(programme_id, each.beneficiary_id, "beneficiary") for each in entrants]
    await copy("account", columns=_ACCOUNT, records=accounts)
    grants = [
        granted(TransferId(roll.new_id("trf")), each.beneficiary_id, each.amount_rupiah, roll.now) for each in entrants
    ]
    await book_all(roll.connection, ProgrammeId(programme_id), grants)
    # After all that raises their versions, which so begin at 1.
    wallets = [(programme_id, each.beneficiary_id, 1, each.amount_rupiah, 0, 0) for each in entrants]
    await copy("wallet", columns=_WALLET, records=wallets)
    return [
        roll.change(
            ChangeKind.ENTER,
            each.beneficiary_id,
            at,
            Effects(
                granted_rupiah=each.amount_rupiah,
                transfer_id=grant.transfer_id,
                companion_id=each.companion_id,
                card_id=card_id,
                card_status=each.card.status,
                import_id=import_id,
            ),
        )
        for each, grant, card_id in zip(entrants, grants, cards, strict=True)
    ]


async def _require_unknown(roll: Roll, nik_digest: bytes) -> None:
    row = await roll.connection.fetchrow(_KNOWN, roll.programme_id, nik_digest)
    if row is None:
        return
    if row["status"] == BeneficiaryStatus.REMOVED:
        raise RollRefused(f"This NIK was on the roll as {row['beneficiary_id']}, which is removed: that is final.")
    raise RollRefused(f"This NIK is on the roll already, as {row['beneficiary_id']}.")
