"""A quarter as data: who goes to which shop when, what is asked there, and what the programme's terms answer.

The plan knows every answer beforehand: families touch nobody's money but their own, so their visits can be worked
out one family at a time. What plays the plan compares.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from itertools import groupby
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.demo.goods import Basket, total_rupiah
from authz_service.demo.town import Town
from authz_service.vocabulary import (
    BeneficiaryId,
    BeneficiaryStatus,
    CardStatus,
    MerchantId,
    MerchantStatus,
    TerminalId,
    in_rupiah,
)

DAWN: Final = time(6)
NIGHT: Final = time(22)


# --- What happens in a visit. ----------------------------------------------------------------------------------------


class Settling(StrEnum):
    """What the shop does with a sale that was approved."""

    AT_ONCE = "at_once"
    """Authorised and captured in one request."""
    CAPTURED = "captured"
    CAPTURED_IN_PART = "captured_in_part"
    """One thing was not there after all."""
    REFUNDED_IN_PART = "refunded_in_part"
    """Captured whole; then one thing turns out to be spoilt, and its money goes back to the family."""
    TAKEN_BACK = "taken_back"
    """Captured at once and refunded whole: nothing was sold."""
    VOIDED = "voided"
    LEFT_OPEN = "left_open"


IN_PART: Final = (Settling.CAPTURED_IN_PART, Settling.REFUNDED_IN_PART)
"""What needs a basket of two things or more."""
GIVEN_BACK: Final = (Settling.TAKEN_BACK, Settling.VOIDED)
"""What leaves the family with all that it had."""


class Repeat(StrEnum):
    """When the till sends the same request a second time."""

    NEVER = "never"
    AFTERWARDS = "afterwards"
    AT_THE_SAME_TIME = "at_the_same_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a family may still spend, as an answer's `remaining` has it."""

    packages: int
    month_rupiah: int
    programme_rupiah: int
    purchase_rupiah: int
    """The most that the next purchase may cost."""

    def __str__(self) -> str:
        month, programme, purchase = map(in_rupiah, (self.month_rupiah, self.programme_rupiah, self.purchase_rupiah))
        return f"{self.packages} packages, {month} of the month, {programme} in all, {purchase} at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One purchase; `refused` None is an approval. `left` is left after the answer, where the answer may tell."""

    card_number: str
    basket: Basket
    refused: DeclineReason | None
    left: Left | None = None
    settling: Settling = Settling.CAPTURED
    captured_rupiah: int = 0
    """What of it stays captured, less what is refunded."""
    repeat: Repeat = Repeat.NEVER
    repeats_settling: bool = False
    dry_run_first: bool = False

    @property
    def amount_rupiah(self) -> int:
        return total_rupiah(self.basket)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enquiry:
    """The family asks how much is left."""

    card_number: str
    left: Left


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouching:
    """The family's companion permits more than the month's cap."""

    month: date
    extra_rupiah: int
    extra_packages: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateCapture:
    """The shop captures what it left open on an earlier day; too late if the hold has ended."""

    sold_on: date
    amount_rupiah: int
    has_expired: bool


Step = Sale | Enquiry | Vouching | LateCapture


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A family, or somebody with its card, at one till; the steps follow each other."""

    at: datetime
    beneficiary_id: BeneficiaryId
    terminal_id: TerminalId
    steps: tuple[Step, ...]


# --- What operators change, in the morning before the shops are busy. ------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CardStatusSet:
    on: date
    card_number: str
    status: CardStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class CardExpirySet:
    on: date
    card_number: str
    expires_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class CardIssued:
    on: date
    beneficiary_id: BeneficiaryId
    card_number: str
    status: CardStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyStatusSet:
    on: date
    beneficiary_id: BeneficiaryId
    status: BeneficiaryStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopStatusSet:
    on: date
    merchant_id: MerchantId
    status: MerchantStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopLeaves:
    on: date
    merchant_id: MerchantId
    leaves_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopClosesAt:
    on: date
    merchant_id: MerchantId
    closes_at: time


Change = CardStatusSet | CardExpirySet | CardIssued | FamilyStatusSet | ShopStatusSet | ShopLeaves | ShopClosesAt


# --- The whole. ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What may happen at the same time: everything in it has ended before the next wave begins."""

    on: date
    changes: tuple[Change, ...]
    visits: tuple[Visit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    town: Town
    changes: tuple[Change, ...]
    visits: tuple[Visit, ...]
    misused: tuple[tuple[str, Visit], ...] = ()
    """Those of the visits that are somebody's scheme, and which (`misuse.py`)."""

    def waves(self) -> list[Wave]:
        """In order of time; a day has up to three: before dawn, by day with the operators' changes first, at night."""
        zone = self.town.terms.zone
        parts: dict[tuple[date, int], tuple[list[Change], list[Visit]]] = {}
        for change in self.changes:
            parts.setdefault((change.on, 1), ([], []))[0].append(change)
        ordered = sorted(self.visits, key=lambda visit: (visit.at, visit.beneficiary_id))
        for part, visits in groupby(ordered, key=lambda visit: _part_of_day(visit.at.astimezone(zone))):
            parts.setdefault(part, ([], []))[1].extend(visits)
        return [
            Wave(on=part[0], changes=tuple(changes), visits=tuple(visits))
            for part, (changes, visits) in sorted(parts.items())
        ]

    def sales(self) -> Iterable[tuple[Visit, Sale]]:
        return ((visit, step) for visit in self.visits for step in visit.steps if isinstance(step, Sale))


def _part_of_day(local: datetime) -> tuple[date, int]:
    return local.date(), 0 if local.time() < DAWN else 1 if local.time() < NIGHT else 2
