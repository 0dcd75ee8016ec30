"""What other systems are told of, by type: `docs/events.md` has each with an example. Pure.

The fields are what stands in `data`: ids, codes and, as `amount` or `…_amount`, whole rupiah. Nothing says who somebody
is, and no text is there that a person typed, but for the reference under which the sponsor announced money. A field may
be added to a type; none is taken away, and none changes its meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Final

from authz_service.vocabulary import MerchantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that is a fact once its transaction is committed."""

    type: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosed(Event):
    """A settlement batch is closed; its payouts follow, one event each."""

    type: ClassVar[str] = "settlement.batch_closed"
    batch_id: str
    batch_number: int
    cut_off_at: datetime
    items: int
    payouts: int
    brought_amount: int
    captured_amount: int
    refunded_amount: int
    returned_amount: int
    instructed_amount: int
    carried_amount: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseHeldBack(Event):
    """A flagged purchase goes into no batch."""

    type: ClassVar[str] = "settlement.purchase_held_back"
    authorization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseFreed(Event):
    """The flagged purchase goes into the next batch after all."""

    type: ClassVar[str] = "settlement.purchase_freed"
    authorization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Payout(Event):
    instruction_id: str
    batch_id: str
    merchant_id: MerchantId
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutInstructed(_Payout):
    """The bank is asked to pay a shop; the account is in the bank's file alone."""

    type: ClassVar[str] = "payout.instructed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _PayoutStep(_Payout):
    source: str
    """Who says so: `operator`, `notice` or `statement`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutSettled(_PayoutStep):
    """The bank has paid it."""

    type: ClassVar[str] = "payout.settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutFailed(_PayoutStep):
    """The bank could not pay it; it waits to be released."""

    type: ClassVar[str] = "payout.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutReturned(_PayoutStep):
    """It was paid and came back; it waits to be released."""

    type: ClassVar[str] = "payout.returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutReleased(_PayoutStep):
    """What failed or came back is in the next batch."""

    type: ClassVar[str] = "payout.released"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeParked(Event):
    """The books do not follow a notice of the bank; people look at it. `instruction_id` where it names one of ours."""

    type: ClassVar[str] = "notice.parked"
    notice_id: str
    partner_id: str
    told: str
    reason: str
    instruction_id: str | None
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeResolved(Event):
    """Two people have said what becomes of a parked notice."""

    type: ClassVar[str] = "notice.resolved"
    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionOpened(Event):
    """Reconciliation found a difference. `instruction_id` where it is about one of our payouts."""

    type: ClassVar[str] = "exception.opened"
    exception_id: str
    kind: str
    instruction_id: str | None
    our_amount: int | None
    their_amount: int | None
    since_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionResolved(Event):
    """It is closed, by `two_people` with an outcome, or by a later `statement` that explains it."""

    type: ClassVar[str] = "exception.resolved"
    exception_id: str
    closed_by: str
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeOpened(Event):
    """A purchase is disputed, and must be answered by then."""

    type: ClassVar[str] = "dispute.opened"
    dispute_id: str
    authorization_id: str
    answer_due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeAnswered(Event):
    """The dispute has its answer, in time or late."""

    type: ClassVar[str] = "dispute.answered"
    dispute_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantAccountChanged(Event):
    """From the next batch on the shop is paid to another account, which two people have approved."""

    type: ClassVar[str] = "merchant.account_changed"
    merchant_id: MerchantId
    account_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeFunded(Event):
    """Announced money has come, and is nobody's yet."""

    type: ClassVar[str] = "programme.funded"
    transfer_id: str
    reference: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeClosed(Event):
    """Nothing moves any more; what was unspent is the sponsor's again."""

    type: ClassVar[str] = "programme.closed"
    returned_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksSealed(Event):
    """Once a day for each chain of the sealed books: keep it, and no row of before can be changed unnoticed."""

    type: ClassVar[str] = "books.sealed"
    chain: str
    blocks: int
    rows: int
    root: str
    """Of the tree of all blocks, 64 hexadecimal digits: what `authz seal head` signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family(Event):
    beneficiary_id: str
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyEntered(_Family):
    """A family is on the roll with its money, and may buy from `effective_at` on."""

    type: ClassVar[str] = "family.entered"
    granted_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySuspended(_Family):
    """No new approvals until it is active again; holds are honoured."""

    type: ClassVar[str] = "family.suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyResumed(_Family):
    """The family is active."""

    type: ClassVar[str] = "family.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyLeft(_Family):
    """Removed for good: so much was returned at once, and so much is held and honoured."""

    type: ClassVar[str] = "family.left"
    returned_amount: int
    held_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyMerged(_Family):
    """It was the same family as `survivor_id`, and is removed."""

    type: ClassVar[str] = "family.merged"
    survivor_id: str
    returned_amount: int
    held_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyMoved(_Family):
    """Only the new companion vouches for it from now on."""

    type: ClassVar[str] = "family.moved"
    companion_id: str
    former_companion_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyChangeAnnounced(_Family):
    """On that day the family is suspended, resumed, removed or merged; an event of its own says that it is so."""

    type: ClassVar[str] = "family.change_announced"
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyChangeWithdrawn(_Family):
    """What was announced for that day does not come."""

    type: ClassVar[str] = "family.change_withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card(Event):
    card_id: str
    beneficiary_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardIssued(_Card):
    """A family has a card of that id; whether it buys already, `status` says."""

    type: ClassVar[str] = "card.issued"
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardActivated(_Card):
    """The card buys."""

    type: ClassVar[str] = "card.activated"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardBlocked(_Card):
    """The card buys nothing until it is activated again."""

    type: ClassVar[str] = "card.blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLost(_Card):
    """The card is lost, and never buys again."""

    type: ClassVar[str] = "card.lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardStolen(_Card):
    """The card is stolen, and never buys again."""

    type: ClassVar[str] = "card.stolen"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardReplaced(_Card):
    """The card is dead: the family has another one, or was merged into another family."""

    type: ClassVar[str] = "card.replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Purchase(Event):
    transfer_id: str
    """The row of the books that it is: for ever one event."""
    authorization_id: str
    beneficiary_id: str
    merchant_id: MerchantId
    amount: int
    cause: str
    """The call that did it: `authorise`, `capture`, `void`, `expire`, `reverse` or `refund`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseApproved(_Purchase):
    """So much of the family's money is held for the shop."""

    type: ClassVar[str] = "purchase.approved"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseCaptured(_Purchase):
    """So much of what was held is the shop's."""

    type: ClassVar[str] = "purchase.captured"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseReleased(_Purchase):
    """So much of what was held is the family's again."""

    type: ClassVar[str] = "purchase.released"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRefunded(_Purchase):
    """So much of what was captured is the family's again."""

    type: ClassVar[str] = "purchase.refunded"


PURCHASES: Final = "purchase"
"""The subject whose events are not written with the fact: they are read from the books, where somebody wants them."""
KINDS: Final[tuple[type[Event], ...]] = (
    *(BatchClosed, PurchaseHeldBack, PurchaseFreed),
    *(PayoutInstructed, PayoutSettled, PayoutFailed, PayoutReturned, PayoutReleased),
    *(NoticeParked, NoticeResolved, ExceptionOpened, ExceptionResolved, DisputeOpened, DisputeAnswered),
    *(MerchantAccountChanged, ProgrammeFunded, ProgrammeClosed, BooksSealed),
    *(FamilyEntered, FamilySuspended, FamilyResumed, FamilyLeft, FamilyMerged, FamilyMoved),
    *(FamilyChangeAnnounced, FamilyChangeWithdrawn),
    *(CardIssued, CardActivated, CardBlocked, CardLost, CardStolen, CardReplaced),
    *(PurchaseApproved, PurchaseCaptured, PurchaseReleased, PurchaseRefunded),
)
TYPES: Final = tuple(kind.type for kind in KINDS)


def has_purchases(wanted: Iterable[str]) -> bool:
    """Whether any of these types an endpoint may ask for is of purchases."""
    return any(each == "*" or each.partition(".")[0] == PURCHASES for each in wanted)


def is_wanted(wanted: str) -> bool:
    """Whether an endpoint may ask for it: a type, all of a subject (`payout.*`), or everything (`*`)."""
    subjects = {f"{each.partition('.')[0]}.*" for each in TYPES}
    return wanted == "*" or wanted in subjects or wanted in TYPES
