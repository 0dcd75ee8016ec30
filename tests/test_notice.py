"""What the bank says of a payout: read exactly, refused by name, never echoed; and every order ends in one standing."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations, product
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.bank.notice import (
    Case,
    Notice,
    NoticeRefused,
    Parked,
    Standing,
    Step,
    Told,
    next_step,
    read_notice,
)
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH
from tests.builders import quickly
from tests.test_snap_signature import V2_BODY, V3_BODY

UNDER_WAY, SETTLED, RETURNED_, FAILED_ = Standing.UNDER_WAY, Standing.SETTLED, Standing.RETURNED, Standing.FAILED
PENDING, SUCCESS, FAILED, RETURNED, UNKNOWN = Told.PENDING, Told.SUCCESS, Told.FAILED, Told.RETURNED, Told.UNKNOWN


def a_body(**changes: Any) -> dict[str, Any]:
    """The smallest good body."""
    return {
        "originalPartnerReferenceNo": "PAY-1",
        "originalReferenceNo": "BANK-1",
        "amount": {"value": "287500.00", "currency": "IDR"},
        "latestTransactionStatus": "00",
        **changes,
    }


def read(**changes: Any) -> Notice:
    return read_notice(json.dumps(a_body(**changes)).encode())


def refusal_of(body: bytes) -> NoticeRefused | None:
    try:
        read_notice(body)
    except NoticeRefused as refusal:
        return refusal
    return None


def refused(body: bytes) -> tuple[str, str]:
    """SNAP's case code and the field."""
    refusal = refusal_of(body)
    assert refusal is not None
    return refusal.case.value, refusal.field


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in a_body().items() if key != name}


def test_a_notice_says_which_payout_and_how_much_and_what_became_of_it() -> None:
    """V3, and so with `additionalInfo`, which is passed over."""
    notice = read_notice(V3_BODY)
    assert notice.original_partner_reference_no == "AUTH-20241201-000001"
    assert notice.original_reference_no == "2024120112400000000001"
    assert notice.amount_rupiah == 287_500
    assert notice.told is SUCCESS
    assert (notice.merchant_id, notice.transaction_status_desc) == ("KUBE-6472-05-01", "SUCCESS")
    assert notice.created_time == datetime(2024, 12, 1, 1, 15, tzinfo=UTC)
    assert notice.finished_time == datetime(2024, 12, 1, 1, 15, 2, tzinfo=UTC)


def test_the_notice_that_midtrans_published_can_be_read() -> None:
    """V2, with a bank's own member in it."""
    assert read_notice(V2_BODY).amount_rupiah == 102_800


def test_what_is_not_mandatory_may_be_absent_null_or_empty() -> None:
    names = ("originalExternalId", "merchantId", "transactionStatusDesc", "createdTime", "finishedTime")
    assert read() == read(**dict.fromkeys(names)) == read(**dict.fromkeys(names, ""))
    assert read().original_external_id is None
    assert read(originalExternalId="41807553358950093184").original_external_id == "41807553358950093184"


def test_what_a_bank_adds_is_passed_over() -> None:
    added = {"additionalInfo": {"a": [None, 1.5, {"b": 10**400}]}, "x": 1, "original_reference_no": 7}
    assert read(**added, amount={"value": "287500.00", "currency": "IDR", "more": True}) == read()


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("00", SUCCESS),
        ("01", PENDING),
        ("02", PENDING),
        ("03", PENDING),
        ("04", RETURNED),
        ("05", FAILED),
        ("06", FAILED),
        ("07", UNKNOWN),
    ],
)
def test_every_status_says_something_of_the_payment(status: str, told: Told) -> None:
    assert read(latestTransactionStatus=status).told is told


FORMAT, MISSING = "01", "02"
REFUSED: Final[dict[str, tuple[dict[str, Any], tuple[str, str]]]] = {
    "no partner reference": (without("originalPartnerReferenceNo"), (MISSING, "originalPartnerReferenceNo")),
    "no reference": (without("originalReferenceNo"), (MISSING, "originalReferenceNo")),
    "no amount": (without("amount"), (MISSING, "amount")),
    "no status": (without("latestTransactionStatus"), (MISSING, "latestTransactionStatus")),
    "nothing at all": ({}, (MISSING, "originalPartnerReferenceNo")),
    "a null reference": (a_body(originalReferenceNo=None), (MISSING, "originalReferenceNo")),
    "an empty reference": (a_body(originalReferenceNo=""), (MISSING, "originalReferenceNo")),
    "a blank reference": (a_body(originalReferenceNo=" \t"), (MISSING, "originalReferenceNo")),
    "an empty status": (a_body(latestTransactionStatus=""), (MISSING, "latestTransactionStatus")),
    "a null amount": (a_body(amount=None), (MISSING, "amount")),
    "an empty amount": (a_body(amount={}), (MISSING, "amount.value")),
    "an amount without currency": (a_body(amount={"value": "1.00"}), (MISSING, "amount.currency")),
    "an amount without value": (a_body(amount={"currency": "IDR"}), (MISSING, "amount.value")),
    "an empty value": (a_body(amount={"value": "", "currency": "IDR"}), (MISSING, "amount.value")),
    "something missing, and something before it wrong": (
        {**without("latestTransactionStatus"), "originalReferenceNo": 7},
        (MISSING, "latestTransactionStatus"),
    ),
    "two things wrong": (a_body(originalReferenceNo=7, amount=7), (FORMAT, "originalReferenceNo")),
    "a reference that is a number": (
        a_body(originalPartnerReferenceNo=12345),
        (FORMAT, "originalPartnerReferenceNo"),
    ),
    "a long partner reference": (a_body(originalPartnerReferenceNo="x" * 65), (FORMAT, "originalPartnerReferenceNo")),
    "a long reference": (a_body(originalReferenceNo="x" * 65), (FORMAT, "originalReferenceNo")),
    "a zero byte": (a_body(originalPartnerReferenceNo="PAY\x00"), (FORMAT, "originalPartnerReferenceNo")),
    "an amount that is text": (a_body(amount="287500.00"), (FORMAT, "amount")),
    "an amount that is a list": (a_body(amount=[]), (FORMAT, "amount")),
    "dollars": (a_body(amount={"value": "1.00", "currency": "USD"}), (FORMAT, "amount.currency")),
    "small letters": (a_body(amount={"value": "1.00", "currency": "idr"}), (FORMAT, "amount.currency")),
    "an unknown status": (a_body(latestTransactionStatus="08"), (FORMAT, "latestTransactionStatus")),
    "a status of one digit": (a_body(latestTransactionStatus="0"), (FORMAT, "latestTransactionStatus")),
    "a status that is a number": (a_body(latestTransactionStatus=0), (FORMAT, "latestTransactionStatus")),
    "a merchant that is a number": (a_body(merchantId=0), (FORMAT, "merchantId")),
    "a long external id": (a_body(originalExternalId="1" * 65), (FORMAT, "originalExternalId")),
    "a description of two lines": (a_body(transactionStatusDesc="A\nB"), (FORMAT, "transactionStatusDesc")),
    "a very long description": (a_body(transactionStatusDesc="x" * 257), (FORMAT, "transactionStatusDesc")),
    "a time without offset": (a_body(createdTime="2024-12-01T09:15:00"), (FORMAT, "createdTime")),
    "a time that never was": (a_body(finishedTime="2024-02-30T09:15:00Z"), (FORMAT, "finishedTime")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_case_and_the_field(name: str) -> None:
    body, why = REFUSED[name]
    assert refused(json.dumps(body).encode()) == why


@pytest.mark.parametrize(
    "value",
    [
        287_500,
        287_500.0,
        True,
        [],
        {},
        "287500",
        "287500.",
        "287500.0",
        "287500.000",
        "287500.01",
        "287500,00",
        "287.500.00",
        "+287500.00",
        "-287500.00",
        " 287500.00",
        "287500.00\n",
        "2875e2.00",
        "2_875.00",
        ".00",
        "٢.00",
        "²0.00",
        f"{MONEY_LIMIT_RUPIAH + 1}.00",
        "0" * 16 + "1.00",
        "9" * 5000 + ".00",
        "NaN",
    ],
    ids=lambda value: ascii(value)[:16],
)
def test_an_amount_is_whole_rupiah_with_two_decimals_and_nothing_else(value: object) -> None:
    assert refused(json.dumps(a_body(amount={"value": value, "currency": "IDR"})).encode()) == (FORMAT, "amount.value")


@quickly
@given(st.integers(0, MONEY_LIMIT_RUPIAH) | st.just(MONEY_LIMIT_RUPIAH))
def test_every_amount_up_to_the_limit_is_exact(rupiah: int) -> None:
    """Row 16 of the incidents: 2^53 is where floats begin to lose."""
    assert read(amount={"value": f"{rupiah}.00", "currency": "IDR"}).amount_rupiah == rupiah


GOOD: Final = json.dumps(a_body()).encode()
BAD_REQUESTS: Final = {
    "empty": b"",
    "blank": b" \n",
    "a word": b"hello",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "cut": GOOD[:-1],
    "two of them": GOOD * 2,
    "a comma too many": GOOD[:-1] + b",}",
    "not UTF-8": GOOD.replace(b"BANK", b"\xff"),
    "UTF-16": json.dumps(a_body()).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "a line end in a text": GOOD.replace(b"BANK", b"BA\nNK"),
    "half a surrogate": GOOD.replace(b"BANK", rb"\ud800"),
    "NaN": GOOD[:-1] + b',"x":NaN}',
    "a number beyond all reading": GOOD[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "a status twice": GOOD[:-1] + b',"latestTransactionStatus":"06"}',
    "a status twice, once with an escape": GOOD[:-1] + rb',"l\u0061testTransactionStatus":"06"}',
    "a value twice": GOOD.replace(b'"currency"', b'"value":"1.00","currency"'),
    "an unknown member twice": GOOD[:-1] + b',"x":1,"x":1}',
    "deep": GOOD[:-1] + b',"x":' + b"[" * 500 + b"]" * 500 + b"}",
    "very deep": b'{"a":' * 200_000,
    "very deep lists": b"[" * 200_000,
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_what_is_no_object_that_all_readers_read_alike_is_a_bad_request(name: str) -> None:
    assert refused(BAD_REQUESTS[name]) == ("00", "")


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (NoticeRefused(Case.BAD_REQUEST), "Bad Request"),
        (NoticeRefused(Case.INVALID_FIELD_FORMAT, "amount.value"), "Invalid Field Format amount.value"),
        (NoticeRefused(Case.INVALID_MANDATORY_FIELD, "amount"), "Invalid Mandatory Field amount"),
    ],
)
def test_the_message_is_snaps(refusal: NoticeRefused, message: str) -> None:
    assert str(refusal) == message


FIELDS: Final = [
    "",
    "amount",
    "amount.currency",
    "amount.value",
    "createdTime",
    "finishedTime",
    "latestTransactionStatus",
    "merchantId",
    "originalExternalId",
    "originalPartnerReferenceNo",
    "originalReferenceNo",
    "transactionStatusDesc",
]
JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "currency", "x"]), inner),
    max_leaves=5,
)


@quickly
@given(st.dictionaries(st.sampled_from([name for name in FIELDS if "." not in name]) | st.text(), JSON_VALUES))
def test_whatever_stands_in_a_body_it_is_read_or_refused_without_an_echo(changes: dict[str, Any]) -> None:
    """Row 20 of the incidents. What was refused is not in the error's causes either, which a log may print."""
    error = refusal_of(json.dumps(a_body(**changes)).encode())
    if error is not None:
        assert str(error) == str(NoticeRefused(error.case, error.field))
        assert error.field in FIELDS
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None


@quickly
@given(st.binary() | st.integers(0, len(V3_BODY) - 1).map(lambda end: V3_BODY[:end]))
def test_no_bytes_make_another_error(body: bytes) -> None:
    assert refusal_of(body) is not None


def after(*told: Told, followed: Standing = UNDER_WAY) -> Step:
    return next_step(followed, told)


def one_by_one(told: Sequence[Told], followed: Standing = UNDER_WAY) -> Step:
    """As the books go when each notice is applied as it comes."""
    step = next_step(followed, ())
    for place in range(len(told)):
        step = next_step(step.standing, told[: place + 1])
    return step


@pytest.mark.parametrize(
    ("told", "standing", "parked"),
    [
        ((), UNDER_WAY, {}),
        ((PENDING,), UNDER_WAY, {}),
        ((SUCCESS,), SETTLED, {}),
        ((PENDING, SUCCESS), SETTLED, {}),
        ((FAILED,), FAILED_, {}),
        ((SUCCESS, RETURNED), RETURNED_, {}),
        ((RETURNED,), UNDER_WAY, {RETURNED: Parked.RETURN_BEFORE_SUCCESS}),
        ((PENDING, RETURNED), UNDER_WAY, {RETURNED: Parked.RETURN_BEFORE_SUCCESS}),
        ((FAILED, RETURNED), FAILED_, {RETURNED: Parked.RETURN_OF_A_FAILED_PAYMENT}),
        ((UNKNOWN,), UNDER_WAY, {UNKNOWN: Parked.PAYMENT_NOT_FOUND}),
        ((UNKNOWN, SUCCESS), SETTLED, {UNKNOWN: Parked.PAYMENT_NOT_FOUND}),
        ((UNKNOWN, FAILED), FAILED_, {UNKNOWN: Parked.PAYMENT_NOT_FOUND}),
        (
            (UNKNOWN, RETURNED),
            UNDER_WAY,
            {UNKNOWN: Parked.PAYMENT_NOT_FOUND, RETURNED: Parked.RETURN_BEFORE_SUCCESS},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_was_told_ends_in_one_standing_in_every_order(
    told: tuple[Told, ...], standing: Standing, parked: dict[Told, Parked]
) -> None:
    for order in permutations(told):
        assert after(*order) == one_by_one(order) == Step(standing=standing, parked=parked)


@pytest.mark.parametrize(
    ("told", "standing", "parked"),
    [
        ((SUCCESS, FAILED), SETTLED, {FAILED: Parked.FAILED_AFTER_SUCCESS}),
        ((FAILED, SUCCESS), FAILED_, {SUCCESS: Parked.SUCCESS_AFTER_FAILED}),
        ((SUCCESS, FAILED, RETURNED), RETURNED_, {FAILED: Parked.FAILED_AFTER_SUCCESS}),
        ((RETURNED, SUCCESS, FAILED), RETURNED_, {FAILED: Parked.FAILED_AFTER_SUCCESS}),
        (
            (RETURNED, FAILED, SUCCESS),
            FAILED_,
            {RETURNED: Parked.RETURN_OF_A_FAILED_PAYMENT, SUCCESS: Parked.SUCCESS_AFTER_FAILED},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_of_a_contradiction_the_first_stands_and_the_later_is_parked(
    told: tuple[Told, ...], standing: Standing, parked: dict[Told, Parked]
) -> None:
    assert after(*told) == one_by_one(told) == Step(standing=standing, parked=parked)


def test_what_the_books_follow_stands_also_when_the_other_is_heard_first() -> None:
    """A notice that was received earlier may become visible later."""
    assert after(FAILED, SUCCESS, followed=SETTLED) == after(SUCCESS, FAILED, followed=SETTLED)
    assert after(FAILED, SUCCESS, followed=SETTLED).standing is SETTLED
    assert after(SUCCESS, FAILED, followed=FAILED_).standing is FAILED_
    assert after(SUCCESS, RETURNED, FAILED, followed=FAILED_).standing is FAILED_


any_told = st.lists(st.sampled_from(Told), max_size=12)
"""In any order, and many of them more than once."""
any_that_agree = any_told.filter(lambda told: not {SUCCESS, FAILED} <= set(told))
FORWARDS: Final = {
    UNDER_WAY: {UNDER_WAY, SETTLED, RETURNED_, FAILED_},
    SETTLED: {SETTLED, RETURNED_},
    RETURNED_: {RETURNED_},
    FAILED_: {FAILED_},
}


@quickly
@given(any_that_agree, st.data())
def test_every_order_of_what_agrees_ends_in_the_same_books(told: list[Told], data: st.DataObject) -> None:
    """Row 22 of the incidents."""
    in_another_order = data.draw(st.permutations(told))
    assert after(*in_another_order) == after(*told) == after(*set(told))
    assert one_by_one(in_another_order) == after(*told)


@quickly
@given(st.sampled_from(Standing), any_told, st.data())
def test_it_does_not_matter_how_often_and_when_it_is_asked(
    followed: Standing, told: list[Told], data: st.DataObject
) -> None:
    """Row 22 of the incidents, and also where notices contradict each other."""
    at_once = after(*told, followed=followed)
    assert one_by_one(told, followed) == at_once
    assert after(*told, followed=at_once.standing) == at_once
    half = told[: data.draw(st.integers(0, len(told)))]
    assert after(*told, followed=after(*half, followed=followed).standing) == at_once


@quickly
@given(st.sampled_from(Standing), any_told, st.data())
def test_what_comes_twice_or_late_changes_nothing(followed: Standing, told: list[Told], data: st.DataObject) -> None:
    """Row 22 of the incidents."""
    step = after(*told, followed=followed)
    again = data.draw(st.lists(st.sampled_from(told), max_size=5)) if told else []
    assert after(*told, *again, followed=followed) == step
    assert after(*told, *again, followed=step.standing) == step


@quickly
@given(st.sampled_from(Standing), any_told, st.data())
def test_pending_never_undoes_anything(followed: Standing, told: list[Told], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(told)))
    with_pending = [*told[:place], PENDING, *told[place:]]
    assert after(*with_pending, followed=followed) == after(*told, followed=followed)


@pytest.mark.parametrize(("followed", "told"), list(product(Standing, Told)))
def test_one_notice_leads_forwards_or_is_parked_and_never_both(followed: Standing, told: Told) -> None:
    step = after(told, followed=followed)
    assert step.standing in FORWARDS[followed]
    assert step.standing is followed or not step.parked


@quickly
@given(st.sampled_from(Standing), any_told)
def test_a_return_is_followed_only_where_a_success_was(followed: Standing, told: list[Told]) -> None:
    step = after(*told, followed=followed)
    assert step.standing in FORWARDS[followed]
    if step.standing is RETURNED_ and followed is not RETURNED_:
        assert RETURNED in told
        assert SUCCESS in told or followed is SETTLED
    assert set(step.parked) <= set(told)
    assert {UNKNOWN: Parked.PAYMENT_NOT_FOUND}.items() <= step.parked.items() or UNKNOWN not in told
