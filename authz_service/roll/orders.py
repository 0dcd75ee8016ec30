"""The roll changes by orders: who ordered it, why, and from which day on. What was done is kept and never changed.

RollRefused    nothing was written
└ RollBusy     somebody else was at work on the same rows
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, TypedDict

import orjson
from pydantic import TypeAdapter, ValidationError

from authz_service.requests import Label, Reason
from authz_service.vocabulary import (
    BeneficiaryId,
    BeneficiaryStatus,
    CardId,
    CardStatus,
    Chance,
    CompanionId,
    TransferId,
    VoucherId,
)

_REASON: Final = TypeAdapter[str](Reason)
_LABEL: Final = TypeAdapter[str](Label)


class RollRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """The roll cannot change so; the message is one sentence for the operator, and nothing was written."""


class RollBusy(RollRefused):
    """Somebody else was at work on the same family for too long; the same order may be given again."""

    def __init__(self) -> None:
        super().__init__("Somebody else is at work on the same family; give the order again in a moment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`on` is the day from which the change holds, counted whole in the programme's zone; None: from now on."""

    actor: str
    """An office, a desk or a login; never somebody's number."""
    reason: str
    on: date | None = None

    def __post_init__(self) -> None:
        require_text("reason", self.reason, _REASON)
        require_text("actor", self.actor, _LABEL)


class Here(TypedDict):
    """In which programme an order is carried out, and when."""

    programme_id: str
    now: datetime
    chance: Chance


class ChangeKind(StrEnum):
    ENTER = "enter"
    SUSPEND = "suspend"
    RESUME = "resume"
    REMOVE = "remove"
    MERGE = "merge"
    MOVE = "move"
    CARD = "card"
    DETAILS = "details"
    """Its name, kecamatan or family card, as a list has it; no decision reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A status that a family has from `at` on, whether or not anybody has written it."""

    status: BeneficiaryStatus
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedVoucher:
    """What of it can no longer be used; what purchases already use of it is theirs."""

    voucher_id: VoucherId
    unused_rupiah: int
    unused_packages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a change did beside the status: ids and rupiah, nothing personal."""

    granted_rupiah: int = 0
    returned_rupiah: int = 0
    """To unallocated, at once."""
    held_rupiah: int = 0
    """Still held when a family left: it is honoured, and what it does not use is returned when it ends."""
    transfer_id: TransferId | None = None
    vouchers_revoked: tuple[RevokedVoucher, ...] = ()
    withdrawn: Waiting | None = None
    """What would have come later, and does not come any more."""
    survivor_id: BeneficiaryId | None = None
    companion_id: CompanionId | None = None
    companion_label: str | None = None
    former_companion_id: CompanionId | None = None
    card_id: CardId | None = None
    card_status: CardStatus | None = None
    cards_replaced: tuple[CardId, ...] = ()
    details: tuple[str, ...] = ()
    """Which of a family's particulars are others now."""
    import_id: str | None = None
    """The list that ordered it."""

    def document(self) -> str:
        """As `family_change.detail` keeps it."""
        return orjson.dumps(self.shown()).decode()

    def shown(self) -> dict[str, Any]:
        """What did not happen is not there."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of `family_change`. One that `waits` holds from `effective_at` on, and has moved no money yet."""

    change_id: str
    kind: ChangeKind
    beneficiary_id: BeneficiaryId
    effective_at: datetime
    waits: bool
    effects: Effects


def require_text(name: str, text: str, kind: TypeAdapter[Any] = _REASON) -> None:
    """It can stand in a report: not blank, printable, and no number as long as a card's or a NIK."""
    if not text.strip():
        raise RollRefused(f"The {name} is missing.")
    try:
        kind.validate_python(text)
    except ValidationError as wrong:
        raise RollRefused(f"The {name} is refused: {wrong.errors(include_input=False)[0]['msg']}.") from None
