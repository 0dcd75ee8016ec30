"""What a terminal may ask, as `contract.md` has it, and what companions and operators change: frozen dataclasses that
pydantic fills straight from the bytes.

Every bound here is the contract's or a guard of the books; whoever holds one of these objects need not check again.
"""

import re
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal, Self
from unicodedata import normalize

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from authz_service.vocabulary import MONEY_LIMIT_RUPIAH

STRICT: Final = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
LINES_LIMIT: Final = 50
THOUSAND: Final = 1000
WHOLE_DIGITS: Final = 9
DECIMALS: Final = 3
RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
CARD_DIGITS: Final = 15
BETWEEN_DIGITS: Final = re.compile(r"(?<=[0-9])[^0-9A-Za-z]+(?=[0-9])")
LONG_NUMBER: Final = re.compile(r"[0-9]{15}")
"""Longer than a GTIN, no longer than a card number or a NIK."""
PIN_BLOCK: Final = re.compile(r"[0-9A-Fa-f]{16}")
"""As a till has it beside its `pin_block`."""
EARLIEST_YEAR: Final = 2000
LATEST_YEAR: Final = 2100
QUANTITY_PATTERN: Final = r"^[0-9]{1,9}(\.[0-9]{1,3})?$"
MONTH_PATTERN: Final = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"


def _is_a_label(text: str) -> str:
    if len(text) >= CARD_DIGITS:
        plain = normalize("NFKC", text)
        if LONG_NUMBER.search(BETWEEN_DIGITS.sub("", plain)):
            raise PydanticCustomError("long_number", "A number as long as a card's has no place here")
        if PIN_BLOCK.search(plain):
            raise PydanticCustomError("pin_block", "What could be a PIN block has no place here")
    return _without_control_characters(text)


def _without_control_characters(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("control_character", "Control characters are not allowed")
    return text


def _is_not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "Blanks alone say nothing")
    return text


def _in_thousandths(text: object) -> object:
    """`"2.5"` → 2500: decimal digits only, so that no float and no Decimal comes near money."""
    if not isinstance(text, str):
        raise PydanticCustomError("decimal_string", "Give a decimal number as a string, for example '2.5'")
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    if not (
        digits.isascii()
        and digits.isdigit()
        and 0 < len(whole) <= WHOLE_DIGITS
        and len(fraction) <= DECIMALS
        and bool(point) == bool(fraction)
    ):
        raise PydanticCustomError("decimal_string", "Give a decimal number with at most 3 decimals, for example '2.5'")
    return int(whole) * THOUSAND + int(fraction.ljust(DECIMALS, "0"))


def _as_instant(text: object) -> datetime:
    """RFC 3339 with an offset, of this century, in UTC. pydantic itself would take numbers and blanks as well."""
    if not isinstance(text, str) or not RFC_3339.fullmatch(text):
        raise PydanticCustomError("datetime_format", "Give a time with offset, for example 2024-12-01T09:15:00+08:00")
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise PydanticCustomError("datetime_value", "There is no such date, time or offset") from error
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise PydanticCustomError("datetime_range", "Give a time of this century")
    return moment.astimezone(UTC)


def _as_month(text: object) -> date:
    """`2024-11` → its first day."""
    if not isinstance(text, str) or not re.fullmatch(MONTH_PATTERN, text):
        raise PydanticCustomError("month_format", "Give a month of this century, for example 2024-11")
    return date(int(text[:4]), int(text[5:]), 1)


Rupiah = Annotated[int, Field(gt=0, le=MONEY_LIMIT_RUPIAH)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_is_a_label)]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(_is_a_label),
    AfterValidator(_is_not_blank),
    Field(json_schema_extra={"pattern": r"\S"}),
]
"""What stands in the books and in every report of them: it says something."""
CardNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{12,19}$")]
Nik = Annotated[str, StringConstraints(pattern=r"^[0-9]{16}$")]
"""Nothing in it can be checked: the kecamatan is that of the first registration, and there is no check digit."""
Stan = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(
        _as_instant, json_schema_input_type=Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    ),
]
Month = Annotated[
    date,
    BeforeValidator(_as_month, json_schema_input_type=Annotated[str, Field(pattern=MONTH_PATTERN)]),
]
PinBlock = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{16,32}$")]
PublicId = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_without_control_characters)]
"""Of whatever shape: what is not the key's own is refused as not permitted, not as malformed."""
Quantity = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(_in_thousandths, json_schema_input_type=Annotated[str, Field(pattern=QUANTITY_PATTERN)]),
]


def times_quantity(unit_price_rupiah: int, quantity_thousandths: int) -> int:
    """Price times quantity in whole rupiah, rounded half up."""
    return (unit_price_rupiah * quantity_thousandths + THOUSAND // 2) // THOUSAND


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a basket. `quantity` is in thousandths of `unit`; prices and amounts are rupiah."""

    __pydantic_config__ = STRICT

    category: Label
    amount: Rupiah
    product: Label | None = None
    unit: Label | None = None
    quantity: Quantity | None = None
    unit_price: Rupiah | None = None

    @model_validator(mode="after")
    def _details_are_whole(self) -> Self:
        given = (
            (self.product is not None)
            + (self.unit is not None)
            + (self.quantity is not None)
            + (self.unit_price is not None)
        )
        if given == 0:
            return self
        if self.product is None or self.unit is None or self.quantity is None or self.unit_price is None:
            raise PydanticCustomError(
                "details_incomplete", "product, unit, quantity and unit_price come together or not at all"
            )
        if self.amount != times_quantity(self.unit_price, self.quantity):
            raise PydanticCustomError("line_amount", "amount must be quantity x unit_price, rounded half up")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """`POST /v1/authorizations`. `terminal_time` is an instant for identity; no rule reads it."""

    __pydantic_config__ = STRICT

    card_number: CardNumber = field(repr=False)
    stan: Stan
    terminal_time: Instant
    amount: Rupiah
    currency: Literal["IDR"]
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=LINES_LIMIT, strict=False)]
    capture: bool = False
    partial_approval: bool = False
    pin_block: PinBlock | None = field(default=None, repr=False)
    merchant_id: PublicId | None = None
    terminal_id: PublicId | None = None

    @model_validator(mode="after")
    def _lines_add_up(self) -> Self:
        if sum(line.amount for line in self.lines) != self.amount:
            raise PydanticCustomError("lines_sum", "amount must be the sum of the lines")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """`POST …/captures`: the whole hold unless `amount` (rupiah) says less; `final` gives the rest back."""

    __pydantic_config__ = STRICT

    amount: Rupiah | None = None
    final: bool = True
    merchant_id: PublicId | None = None
    terminal_id: PublicId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """`POST …/void`."""

    __pydantic_config__ = STRICT

    reason: Reason | None = None
    merchant_id: PublicId | None = None
    terminal_id: PublicId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """`POST …/refunds`: back to the card's entitlement, never to cash."""

    __pydantic_config__ = STRICT

    amount: Rupiah
    reason: Reason
    merchant_id: PublicId | None = None
    terminal_id: PublicId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """`POST /v1/reversals`: undoes an authorise request of this terminal, named by its STAN or by its key."""

    __pydantic_config__ = STRICT

    stan: Stan | None = None
    terminal_time: Instant | None = None
    idempotency_key: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")] | None = None
    merchant_id: PublicId | None = None
    terminal_id: PublicId | None = None

    @model_validator(mode="after")
    def _names_one_request(self) -> Self:
        by_stan = (self.stan is not None, self.terminal_time is not None)
        if by_stan not in {(True, True), (False, False)} or by_stan[0] == (self.idempotency_key is not None):
            raise PydanticCustomError("one_original", "Give stan and terminal_time, or idempotency_key, and not both")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceInquiry:
    """`POST /v1/balance-inquiries`: reads only."""

    __pydantic_config__ = STRICT

    card_number: CardNumber = field(repr=False)
    pin_block: PinBlock | None = field(default=None, repr=False)
    merchant_id: PublicId | None = None
    terminal_id: PublicId | None = None


Extra = Annotated[int, Field(ge=0, le=MONEY_LIMIT_RUPIAH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVoucher:
    """`POST /v1/vouchers`: a companion lets one of its families go over one month's cap (rupiah, packages, or both)."""

    __pydantic_config__ = STRICT

    beneficiary_id: PublicId
    month: Month
    reason: Reason
    extra_amount: Extra = 0
    extra_packages: Extra = 0

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not self.extra_amount and not self.extra_packages:
            raise PydanticCustomError("gives_nothing", "extra_amount or extra_packages must be above 0")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """`POST …/revoke`: what the voucher has not covered yet is gone."""

    __pydantic_config__ = STRICT

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """`POST …/approve`: nothing more is to be said."""

    __pydantic_config__ = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What the sweeper asks, never a terminal: write the end of a family's expired holds, if nobody else did."""


def canonical(body: Any) -> list[tuple[str, object]]:
    """The members that differ from their defaults, in the order of the contract; never a PIN block.

    A member that a later version adds with a default leaves the canonical form of every older request as it was.
    """
    return [
        (name, [canonical(each) for each in value] if name == "lines" else value)
        for name, default in _DEFAULTS[type(body)]
        if (value := getattr(body, name)) != default
    ]


_DEFAULTS: Final = {
    kind: tuple((each.name, each.default) for each in fields(kind) if each.name != "pin_block")
    for kind in (Line, Purchase, Capture, Void, Refund, Reversal, BalanceInquiry, NewVoucher, Revocation, Approval)
}
