"""What companions and operators read; as in `wire.py`, for OpenAPI and the tests, and nothing passes through."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from authz_service.api.wire import Authorisation, AuthorisationId, Money, Remaining, Wire
from authz_service.requests import MONTH_PATTERN
from authz_service.vocabulary import BeneficiaryStatus, CardStatus
from authz_service.vouchers import VoucherStatus

BeneficiaryId = Annotated[str, Field(pattern=r"^ben_[0-9a-z]{26}$")]
CompanionId = Annotated[str, Field(pattern=r"^cmp_[0-9a-z]{26}$")]
OperatorId = Annotated[str, Field(pattern=r"^opr_[0-9a-z]{26}$")]
PrincipalId = Annotated[str, Field(pattern=r"^(cmp|opr)_[0-9a-z]{26}$")]
VoucherId = Annotated[str, Field(pattern=r"^vch_[0-9a-z]{26}$")]
MonthName = Annotated[str, Field(pattern=MONTH_PATTERN, description="A calendar month of the programme's zone.")]
Packages = Annotated[int, Field(ge=0)]


class Voucher(Wire):
    """A companion's permission for one family to go over one month's cap, as it stands."""

    id: VoucherId
    status: VoucherStatus = Field(
        description="`awaiting_approval` covers nothing until an operator approves it; `used_up` is live again when "
        "something comes back; what comes back to an `expired` or `revoked` one restores the entitlement only."
    )
    beneficiary_id: BeneficiaryId
    companion_id: CompanionId
    month: MonthName
    currency: Literal["IDR"]
    extra_amount: Money
    extra_packages: Packages
    used_amount: Money = Field(description="What it covers of purchases that are held or bought.")
    used_packages: Packages
    remaining_amount: Money = Field(description="What it can still cover now.")
    remaining_packages: Packages
    reason: str
    created_at: AwareDatetime
    expires_at: AwareDatetime = Field(description="The first instant after its month, or after the programme.")
    approved_at: AwareDatetime | None = Field(description="Since when it may cover; null while it waits.")
    approved_by: OperatorId | None = Field(description="Null where no operator was needed.")
    revoked_at: AwareDatetime | None
    revoked_by: PrincipalId | None = Field(description="Who did it; null also where the family left its companion.")
    revocation_reason: str | None


class VoucherMoved(Wire):
    """A purchase that the voucher covered, or what came back from one; a hold that is over has given back."""

    type: Literal["used", "returned"]
    authorization_id: AuthorisationId
    amount: Money
    packages: Packages
    created_at: AwareDatetime


class VoucherWithUses(Voucher):
    """A voucher with its uses and give-backs, which add up to what it covers."""

    uses: list[VoucherMoved]


class VoucherPage(Wire):
    """The newest first. More begins `after` the last one."""

    data: list[Voucher]
    has_more: bool


class OwnFamily(Wire):
    """One of the companion's families; no name and no NIK."""

    id: BeneficiaryId
    district_code: str
    status: BeneficiaryStatus
    card_last_four: Annotated[str, Field(pattern=r"^[0-9]{4}$")] | None
    card_status: CardStatus | None
    currency: Literal["IDR"]
    remaining: Remaining | None = Field(description="What it may still spend, vouchers included; null without a card.")
    vouchers: list[Voucher] = Field(description="The companion's own for this family that have not ended.")


class FamilyPage(Wire):
    """In the order of their ids. More begins `after` the last one."""

    data: list[OwnFamily]
    has_more: bool


class ListedAuthorisation(Authorisation):
    """An authorisation as it stands now."""

    beneficiary_id: BeneficiaryId | None = Field(description="Null where the card was not known.")
    month: MonthName


class AuthorisationPage(Wire):
    """The newest first. More begins `after` the last one."""

    data: list[ListedAuthorisation]
    has_more: bool
