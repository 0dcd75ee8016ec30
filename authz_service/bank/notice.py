"""What the bank says of a payout: the body of SNAP's `debit/notify` (service 56), and where it leaves the payout. Pure.

A notice is what one message says; a standing is what all that was ever said of one payout comes to. Notices come
twice, late and out of order, so a standing is a fold over all of them and over what the books follow already.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, assert_never

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from authz_service.requests import Instant, PublicId
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH

AS_SNAP_WRITES: Final = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True, alias_generator=to_camel)
"""Unknown members are passed over: banks add some of their own."""
MANDATORY: Final = (
    "originalPartnerReferenceNo",
    "originalReferenceNo",
    "amount",
    "amount.value",
    "amount.currency",
    "latestTransactionStatus",
)
"""In the order in which they are missed."""
_WHOLE_RUPIAH: Final = re.compile(r"([0-9]{1,16})\.00")


class Case(StrEnum):
    """SNAP's case codes of HTTP 400, and their words."""

    BAD_REQUEST = "00"
    INVALID_FIELD_FORMAT = "01"
    INVALID_MANDATORY_FIELD = "02"


class NoticeRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """The body is no notice. The message is SNAP's `responseMessage`; nothing that was sent is in it.

    `field` is named as SNAP has it, `amount.value`; it is empty where the whole body is meant.
    """

    def __init__(self, case: Case, field: str = "") -> None:
        super().__init__(f"{case.name.replace('_', ' ').title()} {field}".rstrip())
        self.case = case
        self.field = field


class Told(StrEnum):
    """What a status says of the payment."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    RETURNED = "returned"
    """It had arrived and came back."""
    UNKNOWN = "unknown"
    """The bank does not find it."""


def _in_rupiah(text: object) -> object:
    """`"287500.00"` → 287500. SNAP always writes two decimals, and there are no sen."""
    written = _WHOLE_RUPIAH.fullmatch(text) if isinstance(text, str) else None
    if written is None:
        raise PydanticCustomError("whole_rupiah", "Give whole rupiah with two decimals, for example '287500.00'")
    return int(written[1])


def _or_none(text: object) -> object:
    """Some banks write an empty string where they have nothing to tell."""
    return None if text == "" else text


Remark = Annotated[str, StringConstraints(max_length=256, pattern=r"^\P{C}*$")]
"""One line of text. Longer than SNAP allows it: it decides nothing, and no payment should hang on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """`value` is in whole rupiah."""

    __pydantic_config__ = AS_SNAP_WRITES

    value: Annotated[int, Field(le=MONEY_LIMIT_RUPIAH), BeforeValidator(_in_rupiah)]
    currency: Literal["IDR"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message of the bank about one payment, which it calls `original_reference_no` and we by our reference."""

    __pydantic_config__ = AS_SNAP_WRITES

    original_partner_reference_no: PublicId
    original_reference_no: PublicId
    amount: Amount
    latest_transaction_status: Literal["00", "01", "02", "03", "04", "05", "06", "07"]
    original_external_id: Annotated[PublicId | None, BeforeValidator(_or_none)] = None
    merchant_id: Annotated[PublicId | None, BeforeValidator(_or_none)] = None
    transaction_status_desc: Annotated[Remark | None, BeforeValidator(_or_none)] = None
    created_time: Annotated[Instant | None, BeforeValidator(_or_none)] = None
    finished_time: Annotated[Instant | None, BeforeValidator(_or_none)] = None

    @property
    def amount_rupiah(self) -> int:
        return self.amount.value

    @property
    def told(self) -> Told:
        match self.latest_transaction_status:
            case "00":
                return Told.SUCCESS
            case "01" | "02" | "03":  # initiated, paying, pending
                return Told.PENDING
            case "04":  # refunded
                return Told.RETURNED
            case "05" | "06":  # cancelled, failed
                return Told.FAILED
            case "07":
                return Told.UNKNOWN
            case unreachable:
                assert_never(unreachable)


def read_notice(body: bytes) -> Notice:
    """The notice in `body`; raises NoticeRefused for the first thing that is wrong with it."""
    document = _object_in(body)
    for field in MANDATORY:
        if _is_missing(document, field):
            raise NoticeRefused(Case.INVALID_MANDATORY_FIELD, field)
    try:
        return _NOTICE.validate_json(body)
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]["loc"]
    if not place:
        # pydantic is more careful than json: with half a surrogate, or brackets within brackets within brackets.
        raise NoticeRefused(Case.BAD_REQUEST)
    raise NoticeRefused(Case.INVALID_FIELD_FORMAT, ".".join(map(str, place)))


_NOTICE: Final = TypeAdapter(Notice)


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        # Numbers stay text: none is needed, and Python refuses those of more than 4300 digits.
        document = json.loads(
            body.decode(), object_pairs_hook=_without_repeats, parse_int=str, parse_float=str, parse_constant=_refused
        )
    except (ValueError, RecursionError):
        raise NoticeRefused(Case.BAD_REQUEST) from None
    if not isinstance(document, dict):
        raise NoticeRefused(Case.BAD_REQUEST)
    return document


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """One reader would see the first of two members with one name, and another the last."""
    document = dict(members)
    if len(document) != len(members):
        raise ValueError
    return document


def _refused(_: str) -> None:
    """`NaN` and `Infinity` are no JSON."""
    raise ValueError


def _is_missing(document: dict[str, Any], field: str) -> bool:
    """Absent, null or blank. Within something of another shape nothing is missing: its format is wrong."""
    value: Any = document
    for name in field.split("."):
        if not isinstance(value, dict):
            return False
        value = value.get(name)
    return value is None or (isinstance(value, str) and not value.strip())


class Standing(StrEnum):
    """Where a payout is by the books. Forwards only: under way → settled → returned, or under way → failed; from there
    two people alone can take it to settled."""

    UNDER_WAY = "under_way"
    SETTLED = "settled"
    RETURNED = "returned"
    FAILED = "failed"


class Parked(StrEnum):
    """Why the books do not follow a notice."""

    RETURN_BEFORE_SUCCESS = "return_before_success"
    """The only one that may end by itself: the books follow it when the success comes."""
    RETURN_OF_A_FAILED_PAYMENT = "return_of_a_failed_payment"
    """Both say that the money is back, and it was away once."""
    FAILED_AFTER_SUCCESS = "failed_after_success"
    SUCCESS_AFTER_FAILED = "success_after_failed"
    PAYMENT_NOT_FOUND = "payment_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where the books go, and what of all that was told they do not follow; the rest they do."""

    standing: Standing
    parked: Mapping[Told, Parked]


def next_step(followed: Standing, told: Iterable[Told]) -> Step:
    """From where the books are, with all that was ever told of this payout, the earliest first.

    Order counts between success and failed alone, which contradict each other: the books keep to the one that they
    follow, else to the one that came first. It does not matter how often, and after how many notices, this is asked.
    """
    heard = tuple(told)
    standing = followed
    if standing is Standing.UNDER_WAY:
        standing = next((_OUTCOMES[each] for each in heard if each in _OUTCOMES), standing)
    if standing is Standing.SETTLED and Told.RETURNED in heard:
        standing = Standing.RETURNED
    reasons = {each: _why_parked(each, standing) for each in heard}
    return Step(standing=standing, parked={each: reason for each, reason in reasons.items() if reason is not None})


_OUTCOMES: Final[Mapping[Told, Standing]] = {Told.SUCCESS: Standing.SETTLED, Told.FAILED: Standing.FAILED}


def _why_parked(told: Told, standing: Standing) -> Parked | None:
    """`standing` is where the books are after all was told."""
    match told:
        case Told.PENDING:
            return None
        case Told.SUCCESS:
            return Parked.SUCCESS_AFTER_FAILED if standing is Standing.FAILED else None
        case Told.FAILED:
            return None if standing is Standing.FAILED else Parked.FAILED_AFTER_SUCCESS
        case Told.RETURNED if standing is Standing.FAILED:
            return Parked.RETURN_OF_A_FAILED_PAYMENT
        case Told.RETURNED:
            return Parked.RETURN_BEFORE_SUCCESS if standing is Standing.UNDER_WAY else None
        case Told.UNKNOWN:
            return Parked.PAYMENT_NOT_FOUND
        case unreachable:
            assert_never(unreachable)
