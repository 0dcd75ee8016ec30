"""The card desk: a family gets a new card; a card is activated, blocked, or reported lost or stolen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from pydantic import TypeAdapter

from authz_service.database import Connection
from authz_service.keys import KEY_ID, Keys
from authz_service.requests import CardNumber
from authz_service.roll.due import settled
from authz_service.roll.leaving import replace_cards
from authz_service.roll.opened import Roll, opened_roll
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollRefused, require_text
from authz_service.roll.told import told_of_card, told_of_new_card
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, CardId, CardStatus, Chance, luhn_is_valid

MAY_BECOME: Final[Mapping[CardStatus, frozenset[CardStatus]]] = {
    CardStatus.ACTIVE: frozenset({CardStatus.NOT_ACTIVATED, CardStatus.BLOCKED}),
    CardStatus.BLOCKED: frozenset({CardStatus.ACTIVE}),
    CardStatus.LOST: frozenset({CardStatus.NOT_ACTIVATED, CardStatus.ACTIVE, CardStatus.BLOCKED}),
    CardStatus.STOLEN: frozenset({CardStatus.NOT_ACTIVATED, CardStatus.ACTIVE, CardStatus.BLOCKED, CardStatus.LOST}),
}
"""What the card desk may make of a card → of which it may. Lost, stolen and replaced cards never come back."""

_NUMBER: Final = TypeAdapter[str](CardNumber)
_CARD: Final = "SELECT beneficiary_id FROM card WHERE programme_id = $1 AND card_id = $2"
_CARD_STATUS: Final = """
-- Read once the family's wallet is held.
SELECT status, expires_on FROM card WHERE programme_id = $1 AND card_id = $2
"""
_SET_STATUS: Final = "UPDATE card SET status = $3 WHERE programme_id = $1 AND card_id = $2"
_LAST_EXPIRY: Final = "SELECT max(expires_on) FROM card WHERE programme_id = $1"
_COLUMNS: Final = (
    *("programme_id", "card_id", "beneficiary_id", "card_digest", "key_id", "last_four", "status", "expires_on"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFromTheBank:
    """A card as the bank made it; `expires_on` None is as long as the programme's other cards."""

    number: str = field(repr=False)
    expires_on: date | None = None
    is_activated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CardForFamily:
    """A card that a family is to have, as it is kept: no number."""

    beneficiary_id: BeneficiaryId
    digest: bytes
    last_four: str
    status: CardStatus
    expires_on: date


async def new_card(
    connection: Connection,
    *,
    programme_id: str,
    beneficiary_id: BeneficiaryId,
    card: CardFromTheBank,
    keys: Keys,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """The family's other cards are dead at once; its wallet, month, holds and vouchers are as they were."""
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        [family] = await settled(roll, beneficiary_id)
        at = roll.instant_at_once(order)
        if family.status is BeneficiaryStatus.REMOVED:
            raise RollRefused(f"{beneficiary_id} is removed, and a removal is final.")
        expires_on = await good_until(roll, card)

        # Nothing stands against it but another family's card with this number. From here on it is only written.
        [change] = await give_all(roll, [kept(beneficiary_id, card, keys, expires_on)], at=at)
        before = {"cards_replaced": change.effects.cards_replaced}
        await roll.keep_all([change], order, before={change.change_id: before})
        return change


async def give_all(
    roll: Roll, cards: Sequence[CardForFamily], *, at: datetime, import_id: str | None = None
) -> list[Change]:
    """The families' other cards are dead, and they have these; told, and in the given order to be put on record."""
    replaced = await replace_cards(roll, [each.beneficiary_id for each in cards])
    changes = []
    for card, card_id in zip(cards, await issue(roll, cards), strict=True):
        effects = Effects(
            card_id=card_id,
            card_status=card.status,
            cards_replaced=replaced.get(card.beneficiary_id, ()),
            import_id=import_id,
        )
        await roll.tell(*told_of_new_card(card.beneficiary_id, effects))
        changes.append(roll.change(ChangeKind.CARD, card.beneficiary_id, at, effects))
    return changes


async def set_card_status(
    connection: Connection,
    *,
    programme_id: str,
    card_id: CardId,
    status: CardStatus,
    order: Order,
    now: datetime,
    chance: Chance,
) -> Change:
    """The card is activated, blocked, lost or stolen, at once."""
    async with opened_roll(connection, programme_id=programme_id, now=now, chance=chance) as roll:
        beneficiary_id = await connection.fetchval(_CARD, programme_id, card_id)
        if beneficiary_id is None:
            raise RollRefused(f"{programme_id} has no card {card_id}.")
        [family] = await settled(roll, beneficiary_id)
        at = roll.instant_at_once(order)
        row = await connection.fetchrow(_CARD_STATUS, programme_id, card_id)
        if row is None or row["status"] not in MAY_BECOME.get(status, frozenset()):
            raise RollRefused(f"{card_id} is {row and row['status']}, and cannot become {status}.")
        if status is CardStatus.ACTIVE and family.status is BeneficiaryStatus.REMOVED:
            raise RollRefused(f"{card_id} is of {family.beneficiary_id}, which is removed.")
        await connection.execute(_SET_STATUS, programme_id, card_id, status)
        await roll.tell(told_of_card(family.beneficiary_id, card_id, status))
        effects = Effects(card_id=card_id, card_status=status)
        before = {"card_id": card_id, "card_status": row["status"]}
        return await roll.keep(ChangeKind.CARD, family.beneficiary_id, at, order, effects, before=before)


async def good_until(roll: Roll, card: CardFromTheBank) -> date:
    """The card's last day; the number is one that a bank can have given."""
    require_text("card number", card.number, _NUMBER)
    if not luhn_is_valid(card.number):
        raise RollRefused("The card number fails its check digit.")
    expires_on = card.expires_on or await last_day_of_cards(roll.connection, roll.programme_id)
    if expires_on is None or expires_on < roll.today:
        raise RollRefused("Say until when the card is good: a day that has not passed.")
    return expires_on


async def last_day_of_cards(connection: Connection, programme_id: str) -> date | None:
    """Until when the programme's cards are good: the last of them."""
    last: date | None = await connection.fetchval(_LAST_EXPIRY, programme_id)
    return last


def kept(beneficiary_id: BeneficiaryId, card: CardFromTheBank, keys: Keys, expires_on: date) -> CardForFamily:
    """The card as it is kept: its number as a digest and its last four digits."""
    return CardForFamily(
        beneficiary_id=beneficiary_id,
        digest=keys.card_digest(card.number),
        last_four=card.number[-4:],
        status=CardStatus.ACTIVE if card.is_activated else CardStatus.NOT_ACTIVATED,
        expires_on=expires_on,
    )


async def issue(roll: Roll, cards: Sequence[CardForFamily]) -> list[CardId]:
    """The families have the cards; their ids in the given order."""
    ids = [CardId(roll.new_id("crd")) for _ in cards]
    records = [
        (
            roll.programme_id,
            card_id,
            each.beneficiary_id,
            each.digest,
            KEY_ID,
            each.last_four,
            each.status,
            each.expires_on,
        )
        for card_id, each in zip(ids, cards, strict=True)
    ]
    await roll.connection.copy_records_to_table("card", columns=_COLUMNS, records=records)
    return ids
