"""The answers as a terminal reads them. OpenAPI and the tests use these models; nothing that is served passes through.

`contract.md` is the source. A member that may be missing is never null, and one that may be null is never missing.
"""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from authz_service.declines import DeclineReason
from authz_service.rules.basket import LineAction
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH, AboveCeiling, DetailsRequired, HoldStatus
from authz_service.vouchers import VoucherStatus


def _may_be_missing(**told: Any) -> Any:
    """Not required and without a default: where it stands it has a value."""
    return Field(default_factory=lambda: None, **told)


Money = Annotated[int, Field(ge=0, le=MONEY_LIMIT_RUPIAH, description="Whole rupiah.")]
ResponseCode = Annotated[str, Field(pattern=r"^[0-9]{2}$", description="DE39 of ISO 8583. Programs read `reason`.")]
Reason = Literal["approved"] | DeclineReason
Message = Annotated[str, Field(description="Indonesian, at most three short sentences, to be read aloud or printed.")]
AuthorisationId = Annotated[str, Field(pattern=r"^auth_[0-9a-z]{26}$")]
MerchantId = Annotated[str, Field(pattern=r"^mrc_[0-9a-z]{26}$")]
TerminalId = Annotated[str, Field(pattern=r"^trm_[0-9a-z]{26}$")]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Receipt(Wire):
    """Ready to print: plain ASCII in Indonesian, lines ended by a line feed, none wider than the paper."""

    columns_32: str = Field(description="For paper of 58 mm.")
    columns_48: str = Field(description="For paper of 80 mm.")


class LineAnswer(Wire):
    """What one line of the basket got."""

    line: Annotated[int, Field(ge=1, description="From 1, in the order of the request.")]
    action: LineAction
    approved_amount: Money


class ReasonGiven(Wire):
    """One failed check; in an approval, why a line was cut."""

    reason: DeclineReason
    response_code: ResponseCode
    message: Message
    line: Annotated[int, Field(ge=1)] = _may_be_missing(description="Only where the check is about one line.")


class Remaining(Wire):
    """What the family may still spend after this decision, live vouchers included; null is no limit."""

    package: Money = Field(description="The most that the next purchase may cost (rupiah); 0 if no package is left.")
    packages_this_month: Annotated[int, Field(ge=0)] | None
    month: Money | None
    programme: Money
    month_ends_at: AwareDatetime
    programme_ends_at: AwareDatetime = Field(description="The first instant at which the programme is over.")


class VoucherUsed(Wire):
    """What one voucher of the family's companion covers of this purchase."""

    voucher_id: Annotated[str, Field(pattern=r"^vch_[0-9a-z]{26}$")]
    amount: Money
    packages: Annotated[int, Field(ge=0)]


class DryRun(Wire):
    """A decision that changed nothing: no id, no approval code, nothing held."""

    decision: Literal["approved", "declined"]
    status: HoldStatus
    response_code: ResponseCode = Field(description="10 only where `tender_due` is above 0.")
    reason: Reason = Field(description="The first failed check in precedence, or `approved`.")
    approval_code: Annotated[str, Field(pattern=r"^[A-Z2-9]{6}$")] | None
    amount: Money = Field(description="Always approved_amount + tender_due + price_reduction.")
    approved_amount: Money
    tender_due: Money = Field(description="What the family pays in another way.")
    price_reduction: Money = Field(description="What lines were above their price ceiling; the shop bears it.")
    currency: Literal["IDR"]
    held_amount: Money
    captured_amount: Money
    refunded_amount: Money
    lines: Annotated[list[LineAnswer], Field(min_length=1, max_length=50)]
    reasons: list[ReasonGiven] = Field(description="All failed checks that may be told, by precedence, then line.")
    largest_approvable_amount: Money = Field(
        description="What a one-line basket of permitted goods would get now: same card, same shop."
    )
    remaining: Remaining = _may_be_missing(
        description="Missing where a check of the shop, terminal, card or family failed."
    )
    message: Message
    vouchers_used: list[VoucherUsed]
    merchant_id: MerchantId | None
    terminal_id: TerminalId
    stan: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    expires_at: AwareDatetime | None = Field(description="The hold is open before this instant.")
    created_at: AwareDatetime


class Authorisation(DryRun):
    """A decision, and the hold that it made; amounts and status as they were when this answer was given."""

    id: AuthorisationId


class AuthorisationWithReceipt(Authorisation):
    """A decision as it was made, to print and hand over."""

    receipt: Receipt


class Event(Wire):
    """Something that happened to an authorisation."""

    id: Annotated[str, Field(pattern=r"^[a-z]{3}_[0-9a-z]{26}$")] = _may_be_missing()
    type: Literal[
        "declined", "authorised", "captured", "remainder_released", "voided", "expired", "reversed", "refunded"
    ]
    amount: Money
    created_at: AwareDatetime
    reason: str = _may_be_missing(description="What the till said.")
    vouchers_used: list[VoucherUsed] = _may_be_missing(description="What it took from which vouchers.")
    vouchers_returned: list[VoucherUsed] = _may_be_missing(description="What it gave back to which vouchers.")


class AuthorisationWithEvents(Authorisation):
    """An authorisation as it stands now."""

    events: Annotated[list[Event], Field(min_length=1)]


class CapturePosted(Wire):
    id: Annotated[str, Field(pattern=r"^cap_[0-9a-z]{26}$")]
    amount: Money
    created_at: AwareDatetime


class CaptureAnswer(Wire):
    """The capture, and its authorisation after it."""

    capture: CapturePosted
    authorization: Authorisation


class RefundPosted(Wire):
    id: Annotated[str, Field(pattern=r"^ref_[0-9a-z]{26}$")]
    amount: Money
    created_at: AwareDatetime


class RefundAnswer(Wire):
    """The refund, and its authorisation after it."""

    refund: RefundPosted
    authorization: Authorisation
    message: Message
    receipt: Receipt


class ReversalAnswer(Wire):
    """What became of the request that was named. It is dead in every case."""

    id: Annotated[str, Field(pattern=r"^rev_[0-9a-z]{26}$")]
    status: Literal["not_known", "declined", "held", "partly_captured", "captured", "voided", "expired", "reversed"] = (
        Field(description="The authorisation's, or `not_known` where none came (yet).")
    )
    undone: bool = Field(description="False where something stands that a later call captured.")
    reversed_amount: Money
    authorization_id: str = _may_be_missing(description="Where the request was known.")


class BalanceReason(Wire):
    reason: DeclineReason
    response_code: ResponseCode
    message: Message


class BalanceAnswer(Wire):
    """What is left; also when the card, the family or the programme may not buy now."""

    decision: Literal["approved", "declined"]
    response_code: ResponseCode
    reason: Reason
    reasons: list[BalanceReason]
    currency: Literal["IDR"]
    largest_approvable_amount: Money
    remaining: Remaining = _may_be_missing(
        description="Missing where a check of the shop, terminal, card or family failed."
    )
    message: Message
    merchant_id: MerchantId | None
    terminal_id: TerminalId
    created_at: AwareDatetime
    receipt: Receipt


class CatalogueProduct(Wire):
    """One product in one unit; what a line names in `product` and `unit`."""

    product: str
    unit: str
    gtin: str | None
    price_ceiling: Money | None = Field(description="Rupiah per unit today, in this shop's kecamatan; null is none.")


class CatalogueCategory(Wire):
    category: str
    name: str
    products: list[CatalogueProduct]


class Catalogue(Wire):
    """What may be bought today."""

    programme: str
    valid_on: date
    currency: Literal["IDR"]
    package: Money | None = Field(description="The most that one purchase may cost; null is no limit.")
    details_required: DetailsRequired
    above_ceiling: AboveCeiling
    categories: list[CatalogueCategory]


class FieldError(Wire):
    """One field that is not valid. What stood in it is never repeated."""

    field: str
    code: str
    detail: str


class ProblemDocument(Wire):
    """RFC 9457. `code` and `retryable` are for programs, `message` and `response_code` for the till."""

    type: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: str
    retryable: bool = Field(description="The same request, unchanged, may be sent again.")
    request_id: str
    message: Message
    response_code: ResponseCode
    errors: list[FieldError] = _may_be_missing(description="Each field, or filter of a list, that is not valid.")
    authorization_id: AuthorisationId = _may_be_missing(description="With `stan_already_used`: the first request's.")
    authorization_status: HoldStatus = _may_be_missing(description="With `state_conflict`: the state that won.")
    held_amount: Money = _may_be_missing(description="With `capture_exceeds_hold`.")
    refundable_amount: Money = _may_be_missing(description="With `refund_exceeds_captured`.")
    voucher_status: VoucherStatus = _may_be_missing(
        description="With `voucher_state_conflict`: the state that it is in."
    )
    limit_amount: Money = _may_be_missing(description="With `voucher_limit_exceeded`, `voucher_month_limit_exceeded`.")
    limit_packages: Annotated[int, Field(ge=0)] = _may_be_missing()
    given_amount: Money = _may_be_missing(
        description="With `voucher_month_limit_exceeded`: what vouchers already give."
    )
    given_packages: Annotated[int, Field(ge=0)] = _may_be_missing()
