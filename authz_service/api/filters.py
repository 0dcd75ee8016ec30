"""What a list may be asked for: filters that are joined by AND, and where its page begins."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from authz_service.api import office_wire, wire
from authz_service.declines import APPROVED, DeclineReason
from authz_service.requests import Instant, Month
from authz_service.vocabulary import HoldStatus
from authz_service.vouchers import VoucherStatus

PAGE_LIMIT: Final = 100
REASONS: Final = [APPROVED, *(reason.value for reason in DeclineReason)]


def _is_a_reason(text: str) -> str:
    if text not in REASONS:
        raise PydanticCustomError("enum", "Give approved, or the reason of a decline")
    return text


def _as_number(text: object) -> object:
    """Digits and nothing else. pydantic itself would take `3.0`, `1_0` and blanks as well."""
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise PydanticCustomError("whole_number", "Give a whole number in digits, for example 50")
    return text


class _Page(BaseModel):
    # A filter that is misspelt must not pass for one that was left out.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT, description="So many at most."), BeforeValidator(_as_number)] = 50


class VoucherFilters(_Page):
    after: office_wire.VoucherId | None = None
    beneficiary_id: office_wire.BeneficiaryId | None = None
    companion_id: office_wire.CompanionId | None = None
    month: Month | None = None
    status: VoucherStatus | None = None


class FamilyFilters(_Page):
    after: office_wire.BeneficiaryId | None = None


class AuthorisationFilters(_Page):
    after: wire.AuthorisationId | None = None
    beneficiary_id: office_wire.BeneficiaryId | None = None
    merchant_id: wire.MerchantId | None = None
    terminal_id: wire.TerminalId | None = None
    decision: Literal["approved", "declined"] | None = None
    reason: Annotated[str, AfterValidator(_is_a_reason), Field(json_schema_extra={"enum": REASONS})] | None = None
    status: HoldStatus | None = Field(default=None, description="As of now.")
    month: Month | None = None
    created_from: Instant | None = Field(default=None, description="The first instant that is meant.")
    created_to: Instant | None = Field(default=None, description="The first instant that is no longer meant.")
