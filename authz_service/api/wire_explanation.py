"""The explanation of a decision as an operator reads it. OpenAPI and the tests use these models.

As in `wire.py`: a member that may be missing is never null, and one that may be null is never missing. What is missing
here was not written down at the time; null is "none" or "no limit".
"""

from datetime import date, time
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from authz_service.api.office_wire import MonthName
from authz_service.api.wire import (
    AuthorisationId,
    Event,
    MerchantId,
    Message,
    Money,
    Reason,
    ResponseCode,
    TerminalId,
    VoucherUsed,
    Wire,
    _may_be_missing,
)
from authz_service.declines import DeclineReason, Stage
from authz_service.explanation.checks import Outcome
from authz_service.rules.basket import LineAction
from authz_service.vocabulary import (
    AboveCeiling,
    BeneficiaryStatus,
    CardStatus,
    DetailsRequired,
    HoldStatus,
    MerchantStatus,
    PackageCounting,
    TerminalStatus,
)

Count = Annotated[int, Field(ge=0)]
LineNumber = Annotated[int, Field(ge=1)]


class Sentence(Wire):
    """To be read aloud, to an operator or by one."""

    english: str
    indonesian: str


class CardOfDecision(Wire):
    """The card that was presented; of its number only the end."""

    card_id: Annotated[str, Field(pattern=r"^crd_[0-9a-z]{26}$")]
    last_four: Annotated[str, Field(pattern=r"^[0-9]{4}$")] | None


class Asked(Wire):
    capture: bool
    partial_approval: bool


class CeilingInForce(Wire):
    """Rupiah per unit on that day in the shop's kecamatan; `district_code` null is for every kecamatan."""

    price: Money
    district_code: str | None
    valid_from: date
    valid_to: date | None
    source: str


class CatalogueThen(Wire):
    """What the programme's list said of the line then; null is not on it."""

    category: str | None
    name: str | None = Field(description="The category's name at the counter.")
    product: str | None
    price_ceiling: CeilingInForce | None


class LineExplained(Wire):
    """One line as the till sent it, and what became of it."""

    line: LineNumber
    category: str
    product: str | None
    unit: str | None
    quantity: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]{1,3})?$")] | None
    unit_price: Money | None
    amount: Money
    action: LineAction
    approved_amount: Money
    price_reduction: Money
    reason: DeclineReason = _may_be_missing(description="Why it was cut or declined the purchase.")
    catalogue: CatalogueThen = _may_be_missing()


class ReasonExplained(Wire):
    """A reason with the sentence that was said at the counter, and its English."""

    reason: DeclineReason
    response_code: ResponseCode
    line: LineNumber = _may_be_missing()
    indonesian: Message
    english: str


class CheckExplained(Wire):
    """One check, in the order of precedence."""

    check: DeclineReason = Field(description="The reason that it gives when it fails.")
    stage: Stage
    question: Sentence = Field(description="`passed` is a yes.")
    outcome: Outcome = Field(
        description="`not_looked_at`: an earlier check ended the matter. `not_binding`: in partial approval a smaller "
        "limit had cut the basket already."
    )
    lines: list[LineNumber] = Field(description="Those that failed it.")
    figures: dict[str, bool | int | str | None] = Field(
        description="What it compared: amounts in whole rupiah, null is no limit."
    )


class MonthThen(Wire):
    """The family's month before the decision, with the caps that it began with."""

    month: MonthName
    cap: Money | None
    used: Money
    covered_by_vouchers: Money = Field(description="The part of `used` that vouchers cover.")
    packages_cap: Count | None
    packages_used: Count
    packages_covered_by_vouchers: Count


class VoucherThen(Wire):
    """What a live voucher still had before the decision."""

    voucher_id: Annotated[str, Field(pattern=r"^vch_[0-9a-z]{26}$")]
    amount_left: Money
    packages_left: Count
    expires_at: AwareDatetime = _may_be_missing()


class FactsThen(Wire):
    """What the rules saw; null where there was none."""

    shop: MerchantStatus | None
    terminal: TerminalStatus
    card: CardStatus | None
    family: BeneficiaryStatus | None
    available: Money | None = Field(description="What was left of the entitlement.")
    card_expires_on: date | None = _may_be_missing()
    companion: str | None = _may_be_missing(description="The companion's label, never a name.")
    month: MonthThen | None
    vouchers: list[VoucherThen]


class MonthCapThen(Wire):
    valid_from: date
    cap: Money | None
    packages_cap: Count | None


class CategoryThen(Wire):
    category: str
    name: str


class ProgrammeThen(Wire):
    """The programme's terms at that version; null is no limit."""

    name: str
    operator_name: str
    zone: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    entitlement: Money
    package: Money | None
    month_cap: Money | None
    month_packages: Count | None
    month_caps: list[MonthCapThen] = Field(description="Changes of the two above, each from a month on.")
    package_counting: PackageCounting
    above_ceiling: AboveCeiling
    details_required: DetailsRequired
    hold_seconds: Count
    cash_categories: list[str]
    categories: list[CategoryThen]


class ShopThen(Wire):
    """The shop at that version; days count in full, hours are the shop's."""

    name: str
    district_code: str
    status: MerchantStatus
    admitted_on: date
    leaves_on: date | None
    opens_at: time | None
    closes_at: time | None


class SettingsThen(Wire):
    programme: ProgrammeThen
    shop: ShopThen | None


class Versions(Wire):
    """Of the rules (the service's), the reference data and the family's wallet."""

    rules: str
    reference: Count
    wallet: Count | None


class ReasonToday(Wire):
    reason: DeclineReason
    line: LineNumber = _may_be_missing()


class DecidedToday(Wire):
    """What the rules of today would have answered to the same facts."""

    rules: str
    decision: Literal["approved", "declined"]
    approved_amount: Money
    price_reduction: Money
    reasons: list[ReasonToday]


class StandingNow(Wire):
    """How the money of the purchase stands, with what happened to it."""

    as_of: AwareDatetime
    status: HoldStatus
    held_amount: Money
    captured_amount: Money
    refunded_amount: Money
    vouchers_used: list[VoucherUsed]
    events: Annotated[list[Event], Field(min_length=1)]
    in_words: Sentence


class Explanation(Wire):
    """Why a purchase was answered as it was. Everything but `now` and `rules_agree` stays as it is for ever."""

    authorization_id: AuthorisationId
    programme_id: str
    created_at: AwareDatetime
    merchant_id: MerchantId
    terminal_id: TerminalId
    beneficiary_id: Annotated[str, Field(pattern=r"^ben_[0-9a-z]{26}$")] | None
    card: CardOfDecision | None = Field(description="Null: not a card of the programme.")
    stan: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    request_id: str
    decision: Literal["approved", "declined"]
    reason: Reason
    response_code: ResponseCode
    message: Message
    in_words: Sentence = Field(description="A paragraph that can be read to the family.")
    amount: Money
    approved_amount: Money
    tender_due: Money
    price_reduction: Money
    currency: Literal["IDR"]
    largest_approvable_amount: Money
    asked: Asked
    lines: Annotated[list[LineExplained], Field(min_length=1, max_length=50)]
    reasons: list[ReasonExplained]
    checks: Annotated[list[CheckExplained], Field(min_length=1)]
    facts: FactsThen
    settings_known: bool = Field(description="False for a decision from before the history of the settings began.")
    settings: SettingsThen = _may_be_missing()
    versions: Versions
    rules_agree: bool | None = Field(
        description="Today's rules say the same of the same facts; null: too little was written to ask them."
    )
    decided_today: DecidedToday = _may_be_missing(description="Only where today's rules do not agree.")
    not_recorded: list[Literal["settings", "card_expires_on", "companion", "voucher_expires_at"]] = Field(
        description="What nobody wrote down at the time."
    )
    now: StandingNow
