"""What a terminal may send: read exactly, refused by name, never echoed; and when two bodies are the same request."""

import json
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from authz_service.api.bodies import parse
from authz_service.problems import Invalid, NotJson, Problem
from authz_service.requests import BalanceInquiry, Capture, Purchase, Refund, Reversal, Void, canonical, times_quantity
from authz_service.vocabulary import (
    CHANCE_BYTES,
    MONEY_LIMIT_RUPIAH,
    approval_code,
    in_rupiah,
    luhn_is_valid,
    new_id,
    with_luhn,
)
from tests.builders import A_MORNING, a_purchase, instant, quickly

PURCHASE = TypeAdapter(Purchase)
CAPTURE, VOID, BALANCE = TypeAdapter(Capture), TypeAdapter(Void), TypeAdapter(BalanceInquiry)
REFUND, REVERSAL = TypeAdapter(Refund), TypeAdapter(Reversal)
CARD_NUMBER, PIN_BLOCK = "9360000000000013", "7D8C858DF85989BB"

RICE = {"category": "beras", "product": "beras premium", "unit": "kg", "quantity": "5", "unit_price": 15_400}
FISH = {"category": "ikan_kaleng", "amount": 13_000}


def a_body(**changes: Any) -> dict[str, Any]:
    """The smallest good body; `lines` alone makes `amount` their sum."""
    if "lines" in changes and "amount" not in changes:
        changes["amount"] = sum(line["amount"] for line in changes["lines"])
    return {
        "card_number": CARD_NUMBER,
        "stan": "000123",
        "terminal_time": "2024-11-05T10:00:00+08:00",
        "amount": 13_000,
        "currency": "IDR",
        "lines": [FISH],
        **changes,
    }


def a_line_of_rice(**changes: Any) -> dict[str, Any]:
    """Details make the amount, if it is not given."""
    line = {**RICE, **changes}
    return {"amount": 77_000, **line}


def without(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def as_bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def raw(**changes: str) -> bytes:
    """The small body with these members as JSON text, for what no JSON library would write."""
    members = {name: json.dumps(value) for name, value in a_body().items()} | changes
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in members.items()) + "}").encode()


def asked(body: object) -> Purchase:
    return parse(PURCHASE, as_bytes(body))


def refused(body: object, adapter: TypeAdapter[Any] = PURCHASE) -> Problem:
    with pytest.raises(Problem) as caught:
        parse(adapter, as_bytes(body))
    return caught.value


def fields(problem: Problem) -> list[str]:
    return [error["field"] for error in problem.more["errors"]]


def test_the_contracts_example_is_read_as_the_purchase_that_it_is() -> None:
    body = a_body(
        amount=150_000,
        lines=[
            a_line_of_rice(),
            {**RICE, "category": "telur", "product": "telur ayam ras", "quantity": "2", "unit_price": 30_000}
            | {"amount": 60_000},
            FISH,
        ],
        capture=False,
        partial_approval=False,
        pin_block=None,
    )
    assert asked(body) == a_purchase()


def test_a_small_body_gets_the_defaults() -> None:
    small = asked(a_body())
    assert (small.capture, small.partial_approval, small.pin_block) == (False, False, None)
    assert (small.merchant_id, small.terminal_id) == (None, None)


# Not JSON: 400.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'amount': 1}",
        as_bytes(a_body())[:-1],
        as_bytes(a_body()) + b"x",
        as_bytes(a_body()) * 2,
        as_bytes(a_body())[:-1] + b",}",
        b"\xef\xbb\xbf" + as_bytes(a_body()),
        json.dumps(a_body()).encode("utf-16"),
        raw(stan='"\xff"').decode().encode("latin-1"),
        raw(stan='"\\ud800"'),
        raw(amount="NaN"),
        raw(amount="Infinity"),
        raw(amount="-Infinity"),
        raw(amount="013000"),
        raw(amount="+13000"),
        raw(amount="0x32c8"),
        raw(amount="13_000"),
    ],
)
def test_what_is_not_json_in_utf_8_is_400(body: bytes) -> None:
    problem = refused(body)
    assert isinstance(problem, NotJson)
    assert (problem.status, problem.response_code) == (400, "30")


@pytest.mark.parametrize(
    "body",
    [
        as_bytes(a_body())[:-1] + b', "amount": 13000}',
        as_bytes(a_body())[:-1] + b', "amount": 12000}',
        as_bytes(a_body())[:-1] + b', "\\u0061mount": 13000}',
        as_bytes(a_body()).replace(b'{"category"', b'{"category": "gula", "category"'),
        as_bytes(a_body()).replace(b'{"category"', b'{"c\\u0061tegory": "gula", "category"'),
        as_bytes(a_body()).replace(b'{"category"', b'{"category": "a:b::", "category"'),
        as_bytes(a_body())[:-1] + b', "unknown": [{"a": {"b": 1, "b": 2}}]}',
        as_bytes(a_body())[:-1] + b', "": 1, "": 2}',
    ],
)
def test_a_member_that_stands_twice_is_400_wherever_it_is(body: bytes) -> None:
    assert refused(body).status == 400


@pytest.mark.parametrize("category", ['a": 1, "category": "b', "a:b", 'a\\":"', "::", "gula\\u003a"])
def test_a_value_that_only_looks_like_a_second_member_is_none(category: str) -> None:
    assert asked(a_body(lines=[{"category": category, "amount": 1}])).lines[0].category == category


def test_the_same_member_in_two_lines_is_no_repetition() -> None:
    assert len(asked(a_body(lines=[FISH, FISH])).lines) == 2


# Well-formed but not valid: 422, each field by its name.


@pytest.mark.parametrize("name", ["card_number", "stan", "terminal_time", "amount", "currency", "lines"])
def test_a_field_that_is_missing_is_named(name: str) -> None:
    assert fields(refused(without(name, a_body()))) == [name]


WRONG: list[tuple[str, Any]] = [
    ("amount", 0),
    ("amount", -1),
    ("amount", -13_000),
    ("amount", MONEY_LIMIT_RUPIAH + 1),
    ("amount", 2**63),
    ("amount", 2**64),
    ("amount", 13_000.0),
    ("amount", 13_000.5),
    ("amount", "13000"),
    ("amount", True),
    ("amount", None),
    ("amount", [13_000]),
    ("amount", {"value": 13_000}),
    ("currency", "USD"),
    ("currency", "idr"),
    ("currency", ""),
    ("currency", None),
    ("currency", 360),
    ("card_number", ""),
    ("card_number", "9" * 11),
    ("card_number", "9" * 20),
    ("card_number", "9360000000000013\n"),
    ("card_number", " 9360000000000013"),
    ("card_number", "\u0669360000000000013"),
    ("card_number", 9360000000000013),
    ("card_number", None),
    ("stan", "12345"),
    ("stan", "1234567"),
    ("stan", "12345a"),
    ("stan", 123456),
    ("terminal_time", "2024-11-05T10:00:00"),
    ("terminal_time", "2024-11-05"),
    ("terminal_time", "2024-11-05T10:00+08:00"),
    ("terminal_time", "2024-11-05T10:00:00+0800"),
    ("terminal_time", "2024-11-05 10:00:00+08:00"),
    ("terminal_time", "2024-11-05T10:00:00 +08:00"),
    ("terminal_time", "2024-11-05T10:00:00+08:00[Asia/Makassar]"),
    ("terminal_time", "2024-02-30T10:00:00+08:00"),
    ("terminal_time", "2024-11-05T24:00:00+08:00"),
    ("terminal_time", "2024-11-05T10:00:00+24:00"),
    ("terminal_time", "0001-01-01T00:00:00+14:00"),
    ("terminal_time", "1999-12-31T23:59:59Z"),
    ("terminal_time", "2101-01-01T00:00:00Z"),
    ("terminal_time", "9999-12-31T23:59:59-23:59"),
    ("terminal_time", "12024-11-05T10:00:00Z"),
    ("terminal_time", "+012024-11-05T10:00:00Z"),
    ("terminal_time", "1730772000"),
    ("terminal_time", 1730772000),
    ("terminal_time", 1730772000.5),
    ("lines", []),
    ("lines", [FISH] * 51),
    ("lines", {"0": FISH}),
    ("lines", "ikan_kaleng"),
    ("lines", None),
    ("capture", 1),
    ("capture", "true"),
    ("capture", None),
    ("partial_approval", 0),
    ("partial_approval", "false"),
    ("pin_block", ""),
    ("pin_block", "123456"),
    ("pin_block", "7D8C858DF85989BG"),
    ("pin_block", "7" * 33),
    ("pin_block", 123456),
    ("merchant_id", "Warung\u0000"),
    ("merchant_id", ["mrc_1"]),
    ("terminal_id", "t" * 65),
    ("terminal_id", 1),
    ("tip", 0),
    ("amount_rupiah", 13_000),
    ("idempotency_key", None),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}-{value!r:.50}" for name, value in WRONG])
def test_a_field_that_is_wrong_is_named_and_no_other(name: str, value: object) -> None:
    problem = refused(a_body() | {name: value})
    assert (problem.status, problem.response_code) == (422, "30")
    assert fields(problem) == [name]


@pytest.mark.parametrize(
    "number",
    ["1" + "0" * 20, "1" + "0" * 300, "1" + "0" * 400, "-1" + "0" * 400, "1e999"],
    ids=["10^20", "10^300", "10^400", "-10^400", "1e999"],
)
def test_a_number_of_any_size_is_json_and_is_refused_as_an_amount(number: str) -> None:
    """10^400 is well-formed: 422 names the field, 400 would send a programmer looking for a syntax error."""
    problem = refused(raw(amount=number))
    assert (problem.status, problem.code) == (422, "invalid")
    assert fields(problem) == ["amount"]


@pytest.mark.parametrize("body", [raw(amount="9" * 60_000), raw(amount="9" * 60_000, currency='"\\u0049DR"')])
def test_digits_without_end_are_refused_like_any_other_body(body: bytes) -> None:
    assert refused(body).status in {400, 422}


@pytest.mark.parametrize("text", ["1.0", "13000.0", "13e3", "1.3E4", "13000.000000000000000001", "-0", "0.0"])
def test_numbers_in_other_forms_are_no_amounts(text: str) -> None:
    assert fields(refused(raw(amount=text))) == ["amount"]


@pytest.mark.parametrize(
    ("depth", "named"), [(8, "stan"), (100, "stan"), (253, "body"), (254, "body"), (1_000, "body")]
)
def test_what_is_nested_too_deeply_to_be_read_is_refused_as_a_whole(depth: int, named: str) -> None:
    assert fields(refused(raw(stan="[" * depth + "]" * depth))) == [named]


@pytest.mark.parametrize("depth", [8, 100, 253, 254, 500, 1_000, 1_020, 20_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("inside", ["1", '"\\n"'])
def test_nesting_without_end_is_refused_like_any_other_body(depth: int, opens: str, closes: str, inside: str) -> None:
    assert refused(raw(stan=opens * depth + inside + closes * depth)).status in {400, 422}


@pytest.mark.parametrize("body", [[], None, "x", 1, True, [a_body()]])
def test_a_body_that_is_no_object_is_422(body: object) -> None:
    assert isinstance(refused(body), Invalid)


WRONG_LINES: list[tuple[str, Any]] = [
    ("category", ""),
    ("category", "x" * 65),
    ("category", "beras\x00"),
    ("category", "be\nras"),
    ("category", "beras\x7f"),
    ("category", "beras\u200b"),
    ("category", "beras\u2028"),
    ("category", None),
    ("category", 1),
    ("product", "beras\x00premium"),
    ("product", "beras\tpremium"),
    ("product", ""),
    ("product", "9360000000000013"),
    ("product", "beras 9360 0000-0000 0013"),
    ("unit", "k\x1bg"),
    ("unit", 1),
    ("quantity", ".5"),
    ("quantity", "5."),
    ("quantity", "1e3"),
    ("quantity", "-1"),
    ("quantity", "+1"),
    ("quantity", "0"),
    ("quantity", "0.000"),
    ("quantity", "0.0005"),
    ("quantity", "1.2345"),
    ("quantity", "1.0000"),
    ("quantity", "1,5"),
    ("quantity", " 5"),
    ("quantity", "5 "),
    ("quantity", "5\n"),
    ("quantity", "1_0"),
    ("quantity", "0x5"),
    ("quantity", "\u0665"),
    ("quantity", "\uff15"),
    ("quantity", "\u00b2"),
    ("quantity", "NaN"),
    ("quantity", "1000000000"),
    ("quantity", "9" * 400),
    ("quantity", ""),
    ("quantity", "."),
    ("quantity", "1.2.3"),
    ("quantity", 5),
    ("quantity", 5.0),
    ("quantity", True),
    ("unit_price", 0),
    ("unit_price", -15_400),
    ("unit_price", 15_400.0),
    ("unit_price", "15400"),
    ("unit_price", 2**53),
    ("amount", 0),
    ("amount", -77_000),
    ("amount", 77_000.0),
    ("amount", "77000"),
    ("discount", 0),
]


@pytest.mark.parametrize(("name", "value"), WRONG_LINES, ids=[f"{name}-{value!r:.50}" for name, value in WRONG_LINES])
def test_a_field_of_a_line_that_is_wrong_is_named_with_its_line(name: str, value: object) -> None:
    problem = refused(a_body(amount=90_000, lines=[FISH, a_line_of_rice() | {name: value}]))
    assert isinstance(problem, Invalid)
    assert fields(problem) == [f"lines[1].{name}"]


def test_of_a_single_line_that_is_wrong_nothing_else_is_said() -> None:
    """The basket has a line; that it had none would be untrue."""
    assert fields(refused(a_body() | {"lines": [FISH | {"amount": 0}]})) == ["lines[0].amount"]


DETAILS = ("product", "unit", "quantity", "unit_price")
SOME_OF_THEM = [some for count in (1, 2, 3) for some in combinations(DETAILS, count)]


@pytest.mark.parametrize("left_out", SOME_OF_THEM, ids=[" ".join(some) for some in SOME_OF_THEM])
def test_details_come_together_or_not_at_all(left_out: tuple[str, ...]) -> None:
    whole = a_line_of_rice()
    for line in ({k: v for k, v in whole.items() if k not in left_out}, whole | dict.fromkeys(left_out)):
        problem = refused(a_body(amount=90_000, lines=[FISH, line]))
        assert fields(problem) == ["lines[1]"]
        assert problem.more["errors"][0]["code"] == "details_incomplete"


@pytest.mark.parametrize(("amount", "of_the_lines"), [(12_999, 13_000), (13_001, 13_000)])
def test_the_amount_is_the_sum_of_the_lines(amount: int, of_the_lines: int) -> None:
    problem = refused(a_body(amount=amount, lines=[FISH | {"amount": of_the_lines}]))
    assert problem.more["errors"][0]["code"] == "lines_sum"


def test_a_product_may_be_a_gtin_of_fourteen_digits() -> None:
    """A number as long as a card's or a NIK is refused there; a trade item's is shorter."""
    line = a_line_of_rice(product="08991002101234")
    assert asked(a_body(lines=[line])).lines[0].product == "08991002101234"


@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_basket_has_one_to_fifty_lines(count: int) -> None:
    assert len(asked(a_body(lines=[FISH] * count)).lines) == count


def test_the_largest_amount_is_what_every_json_reader_keeps_exact() -> None:
    assert asked(a_body(lines=[FISH | {"amount": MONEY_LIMIT_RUPIAH}])).amount == 2**53 - 1


def test_lines_cannot_add_up_to_more_than_the_largest_amount() -> None:
    lines = [FISH | {"amount": MONEY_LIMIT_RUPIAH}, FISH | {"amount": 1}]
    assert fields(refused(a_body(lines=lines))) == ["amount"]


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("5", 5_000),
        ("5.0", 5_000),
        ("5.000", 5_000),
        ("05", 5_000),
        ("0.5", 500),
        ("0.05", 50),
        ("0.001", 1),
        ("2.333", 2_333),
        ("999999999", 999_999_999_000),
        ("999999999.999", 999_999_999_999),
    ],
)
def test_a_quantity_is_read_in_thousandths(text: str, thousandths: int) -> None:
    line = a_line_of_rice(quantity=text, unit_price=1_000, amount=thousandths)
    assert asked(a_body(lines=[line])).lines[0].quantity == thousandths


@pytest.mark.parametrize(
    ("quantity", "unit_price", "amount"),
    [
        ("0.001", 500, 1),
        ("0.001", 1_499, 1),
        ("0.001", 1_500, 2),
        ("0.125", 1_003, 125),
        ("0.125", 1_004, 126),
        ("2.333", 15_400, 35_928),
        ("0.333", 30_001, 9_990),
        ("1.5", 1, 2),
        ("2.5", 1, 3),
    ],
)
def test_a_line_amount_is_quantity_times_price_rounded_half_up(quantity: str, unit_price: int, amount: int) -> None:
    line = a_line_of_rice(quantity=quantity, unit_price=unit_price, amount=amount)
    assert asked(a_body(lines=[line])).amount == amount
    for wrong in (amount - 1, amount + 1):
        if wrong > 0:
            problem = refused(a_body(lines=[FISH, line | {"amount": wrong}]))
            assert problem.more["errors"][0]["code"] == "line_amount"


def test_a_line_that_is_worth_less_than_half_a_rupiah_cannot_be_sold() -> None:
    assert times_quantity(499, 1) == 0
    for amount in (0, 1):
        assert isinstance(
            refused(a_body(lines=[a_line_of_rice(quantity="0.001", unit_price=499, amount=amount)])), Invalid
        )


@given(st.integers(1, MONEY_LIMIT_RUPIAH), st.integers(1, 999_999_999_999))
def test_rounding_is_exact_at_any_size(unit_price: int, thousandths: int) -> None:
    twice_the_error = 2 * (times_quantity(unit_price, thousandths) * 1_000 - unit_price * thousandths)
    assert -1_000 < twice_the_error <= 1_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-11-05T10:00:00+08:00", "2024-11-05T02:00:00Z"),
        ("2024-11-05T02:00:00Z", "2024-11-05T02:00:00Z"),
        ("2024-11-05t02:00:00z", "2024-11-05T02:00:00Z"),
        ("2024-11-04T23:30:00-02:30", "2024-11-05T02:00:00Z"),
        ("2024-11-05T02:00:00-00:00", "2024-11-05T02:00:00Z"),
        ("2024-11-05T02:00:00.1Z", "2024-11-05T02:00:00.100000Z"),
        ("2024-02-29T10:00:00+08:00", "2024-02-29T02:00:00Z"),
        ("2000-01-01T00:00:00+14:00", "1999-12-31T10:00:00Z"),
        ("2100-12-31T23:59:59-12:00", "2101-01-01T11:59:59Z"),
    ],
)
def test_a_time_is_an_instant_in_utc(text: str, expected: str) -> None:
    moment = asked(a_body(terminal_time=text)).terminal_time
    assert moment == instant(expected)
    assert moment.tzinfo is UTC


def test_a_card_number_that_fails_its_check_digit_is_well_formed() -> None:
    """It is a decline, `card_unknown`, and no 422."""
    assert asked(a_body(card_number="9360000000000014")).card_number == "9360000000000014"


@pytest.mark.parametrize(
    ("adapter", "body", "wrong"),
    [
        (CAPTURE, {"amount": 0}, "amount"),
        (CAPTURE, {"amount": -1}, "amount"),
        (CAPTURE, {"amount": 1.0}, "amount"),
        (CAPTURE, {"amount": "1"}, "amount"),
        (CAPTURE, {"amount": 2**53}, "amount"),
        (CAPTURE, {"final": 1}, "final"),
        (CAPTURE, {"final": "false"}, "final"),
        (CAPTURE, {"final": None}, "final"),
        (CAPTURE, {"reason": "x"}, "reason"),
        (VOID, {"reason": ""}, "reason"),
        (VOID, {"reason": "   "}, "reason"),
        (VOID, {"reason": "x" * 201}, "reason"),
        (VOID, {"reason": "a\x00"}, "reason"),
        (VOID, {"reason": "a\nb"}, "reason"),
        (VOID, {"reason": 1}, "reason"),
        (VOID, {"amount": 1}, "amount"),
        (REFUND, {"amount": 1}, "reason"),
        (REFUND, {"amount": 1, "reason": None}, "reason"),
        (REFUND, {"amount": 1, "reason": ""}, "reason"),
        (REFUND, {"amount": 1, "reason": " "}, "reason"),
        (REFUND, {"amount": 1, "reason": "a\x00"}, "reason"),
        (REFUND, {"amount": 1, "reason": CARD_NUMBER}, "reason"),
        (REFUND, {"reason": "rusak"}, "amount"),
        (REFUND, {"amount": 0, "reason": "rusak"}, "amount"),
        (REFUND, {"amount": None, "reason": "rusak"}, "amount"),
        (REFUND, {"amount": 1.0, "reason": "rusak"}, "amount"),
        (REFUND, {"amount": 1, "reason": "rusak", "to": "cash"}, "to"),
        (REVERSAL, {"stan": "12345", "terminal_time": "2024-11-05T10:00:00+08:00"}, "stan"),
        (REVERSAL, {"stan": "000123", "terminal_time": "2024-11-05T10:00:00"}, "terminal_time"),
        (REVERSAL, {"idempotency_key": ""}, "idempotency_key"),
        (REVERSAL, {"idempotency_key": "k" * 65}, "idempotency_key"),
        (REVERSAL, {"idempotency_key": "a b"}, "idempotency_key"),
        (REVERSAL, {"idempotency_key": "kunci\n"}, "idempotency_key"),
        (REVERSAL, {"idempotency_key": "\u00e9"}, "idempotency_key"),
        (REVERSAL, {"idempotency_key": "k", "authorization_id": "auth_1"}, "authorization_id"),
        (BALANCE, {}, "card_number"),
        (BALANCE, {"card_number": "12"}, "card_number"),
        (BALANCE, {"card_number": CARD_NUMBER, "amount": 1}, "amount"),
        (BALANCE, {"card_number": CARD_NUMBER, "pin_block": "1"}, "pin_block"),
    ],
)
def test_the_later_calls_are_read_as_strictly(adapter: TypeAdapter[Any], body: object, wrong: str) -> None:
    assert fields(refused(body, adapter)) == [wrong]


BY_STAN = {"stan": "000123", "terminal_time": "2024-11-05T10:00:00+08:00"}
BY_KEY = {"idempotency_key": "k-1"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        BY_STAN | BY_KEY,
        without("stan", BY_STAN),
        without("terminal_time", BY_STAN),
        without("stan", BY_STAN) | BY_KEY,
        without("terminal_time", BY_STAN) | BY_KEY,
        BY_STAN | {"stan": None},
        {"idempotency_key": None},
    ],
)
def test_a_reversal_names_one_request_in_one_way(body: dict[str, Any]) -> None:
    problem = refused(body, REVERSAL)
    assert [error["code"] for error in problem.more["errors"]] == ["one_original"]


def test_a_reversal_names_a_request_by_stan_and_time_or_by_its_key() -> None:
    assert parse(REVERSAL, as_bytes(BY_STAN)) == Reversal(stan="000123", terminal_time=A_MORNING)
    assert parse(REVERSAL, as_bytes(BY_KEY | {"stan": None})) == Reversal(idempotency_key="k-1")
    longest = "!" + "~" * 63
    assert parse(REVERSAL, as_bytes({"idempotency_key": longest})).idempotency_key == longest


def test_an_empty_body_of_a_later_call_means_all_of_it() -> None:
    assert parse(CAPTURE, b"{}") == parse(CAPTURE, b'{"amount": null, "final": true}') == Capture()
    assert parse(VOID, b"{}") == parse(VOID, b'{"reason": null}') == Void()


# Never echoed.

MARKER_CARD, MARKER_PIN = "9360881234567893", "4F1E2D3C4B5A6978"
ECHOES = [
    a_body() | {"card_number": MARKER_CARD + "0000"},
    a_body() | {"card_number": [MARKER_CARD]},
    a_body() | {"card_number": int(MARKER_CARD)},
    a_body() | {"card_number": MARKER_CARD + "\x00"},
    a_body() | {"pin_block": MARKER_PIN + "x"},
    a_body() | {"pin_block": {"block": MARKER_PIN}},
    a_body() | {MARKER_CARD: 1},
    a_body() | {MARKER_PIN: MARKER_CARD},
    a_body() | {f"card {MARKER_CARD}": 1},
    a_body() | {"currency": MARKER_CARD},
    a_body() | {"stan": MARKER_CARD},
    a_body() | {"terminal_time": MARKER_CARD},
    a_body() | {"terminal_time": f"2024-11-05T10:00:00+{MARKER_CARD}"},
    a_body() | {"amount": int(MARKER_CARD)},
    a_body() | {"amount": MARKER_CARD},
    a_body() | {"merchant_id": MARKER_CARD * 5},
    a_body() | {"capture": MARKER_PIN},
    a_body() | {"lines": MARKER_CARD},
    a_body() | {"lines": [MARKER_CARD]},
    a_body() | {"lines": [{MARKER_CARD: MARKER_PIN}]},
    a_body() | {"lines": [FISH | {"category": f"\n{MARKER_CARD}"}]},
    a_body() | {"lines": [a_line_of_rice(quantity=MARKER_CARD)]},
    a_body() | {"lines": [FISH | {MARKER_PIN: {MARKER_CARD: [MARKER_PIN]}}]},
    [MARKER_CARD],
    MARKER_CARD,
    f'{{"card_number": "{MARKER_CARD}", "pin_block": "{MARKER_PIN}'.encode(),
    f'{{"card_number": "{MARKER_CARD}", "card_number": "{MARKER_PIN}"}}'.encode(),
    f'{{"{MARKER_CARD}": 1, "{MARKER_CARD}": 2}}'.encode(),
    MARKER_CARD.encode() + b"\xff",
    raw(amount=f"{MARKER_CARD}e9"),
]


@pytest.mark.parametrize("body", ECHOES, ids=range(len(ECHOES)))
def test_no_answer_contains_what_was_sent(body: object) -> None:
    problem = refused(body)
    told = problem.document("req_1").decode() + str(problem) + repr(problem)
    assert MARKER_CARD not in told
    assert MARKER_PIN.lower() not in told.lower()


def test_an_unknown_field_is_named_only_if_its_name_could_be_a_fields() -> None:
    assert fields(refused(a_body() | {"cashback": 1})) == ["cashback"]
    assert fields(refused(a_body() | {"Cash Back": 1})) == ["(unknown)"]


def test_a_request_in_a_log_line_shows_neither_card_nor_pin() -> None:
    inquiry = parse(BALANCE, as_bytes({"card_number": MARKER_CARD, "pin_block": MARKER_PIN}))
    for request in (asked(a_body(card_number=MARKER_CARD, pin_block=MARKER_PIN)), inquiry):
        assert MARKER_CARD not in repr(request)
        assert MARKER_PIN not in repr(request)


# The canonical form: when are two bodies the same request?


def same(one: object, other: object) -> bool:
    return canonical(asked(one)) == canonical(asked(other))


FULL = a_body(
    lines=[a_line_of_rice(), FISH],
    capture=False,
    partial_approval=False,
    pin_block=PIN_BLOCK,
    merchant_id="mrc_1",
    terminal_id="trm_1",
)


@pytest.mark.parametrize(
    "other",
    [
        json.dumps(FULL, indent=4).encode(),
        json.dumps(FULL, separators=(",", ":")).encode(),
        json.dumps(FULL, sort_keys=True).encode(),
        dict(reversed(FULL.items())),
        json.dumps(FULL).replace("IDR", "\\u0049DR").encode(),
        without("capture", FULL),
        without("partial_approval", FULL),
        FULL | {"terminal_time": "2024-11-05T02:00:00Z"},
        FULL | {"terminal_time": "2024-11-05T02:00:00.000000Z"},
        FULL | {"lines": [dict(reversed(a_line_of_rice().items())), FISH]},
        FULL | {"lines": [a_line_of_rice(quantity="5.0"), FISH]},
        FULL | {"lines": [a_line_of_rice(quantity="5.000"), FISH]},
        FULL | {"lines": [a_line_of_rice(), FISH | {"product": None, "unit": None}]},
        FULL | {"pin_block": None},
        FULL | {"pin_block": PIN_BLOCK[::-1]},
        without("pin_block", FULL),
    ],
)
def test_the_same_request_has_the_same_canonical_form(other: object) -> None:
    assert same(FULL, other)


@pytest.mark.parametrize(
    "other",
    [
        FULL | {"card_number": "9360000000000021"},
        FULL | {"stan": "000124"},
        FULL | {"terminal_time": "2024-11-05T10:00:00+07:00"},
        FULL | {"terminal_time": "2024-11-05T10:00:00.000001+08:00"},
        FULL | {"capture": True},
        FULL | {"partial_approval": True},
        FULL | {"merchant_id": "mrc_2"},
        without("terminal_id", FULL),
        FULL | {"lines": [FISH, a_line_of_rice()]},
        FULL | {"lines": [a_line_of_rice(product="beras medium"), FISH]},
        FULL | {"lines": [a_line_of_rice(quantity="10", unit_price=7_700), FISH]},
        FULL | {"lines": [a_line_of_rice(), FISH | {"category": "susu"}]},
        FULL | {"lines": [a_line_of_rice(), FISH | {"amount": 12_999}], "amount": 89_999},
    ],
)
def test_another_request_has_another_canonical_form(other: object) -> None:
    assert not same(FULL, other)


def test_the_canonical_form_names_no_pin_and_no_default() -> None:
    form = canonical(asked(a_body(pin_block=PIN_BLOCK)))
    assert PIN_BLOCK not in str(form)
    assert [name for name, _ in form] == ["card_number", "stan", "terminal_time", "amount", "currency", "lines"]


def test_a_capture_of_less_or_more_to_come_is_another_request() -> None:
    forms = [canonical(parse(CAPTURE, body)) for body in (b"{}", b'{"amount": 1}', b'{"final": false}')]
    assert all(one != other for number, one in enumerate(forms) for other in forms[number + 1 :])
    assert canonical(Void(reason="a")) != canonical(Void(reason="b")) != canonical(Void())


def test_a_reversal_or_refund_of_something_else_is_another_request() -> None:
    by_stan = canonical(parse(REVERSAL, as_bytes(BY_STAN)))
    assert by_stan == canonical(parse(REVERSAL, as_bytes(BY_STAN | {"terminal_time": "2024-11-05T02:00:00Z"})))
    assert by_stan != canonical(parse(REVERSAL, as_bytes(BY_STAN | {"stan": "000124"})))
    refunds = [Refund(amount=1, reason="a"), Refund(amount=2, reason="a"), Refund(amount=1, reason="b")]
    assert len({str(canonical(each)) for each in refunds}) == 3


# Numbers and ids.


@pytest.mark.parametrize(
    ("number", "is_valid"),
    [
        ("9360000000000013", True),
        ("9360000000000014", False),
        ("4111111111111111", True),
        ("378282246310005", True),
        ("6011000990139424", True),
        ("79927398713", True),
        *((f"7992739871{digit}", False) for digit in (0, 1, 2, 4, 5, 6, 7, 8, 9)),
        # Two neighbours changed places.
        ("9630000000000013", False),
        ("", False),
        ("93600000000000 13", False),
        ("-79927398713", False),
        ("\u0667992739871\u0663", False),
        ("\u00b2", False),
    ],
)
def test_the_check_digit_is_luhns(number: str, is_valid: bool) -> None:
    assert luhn_is_valid(number) is is_valid


@given(st.text("0123456789", min_size=1, max_size=18))
def test_exactly_one_check_digit_fits(digits: str) -> None:
    fitting = [number for digit in "0123456789" if luhn_is_valid(number := digits + digit)]
    assert fitting == [with_luhn(digits)]


INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
CHANCE = st.binary(min_size=CHANCE_BYTES, max_size=CHANCE_BYTES)


@quickly
@given(INSTANTS, st.integers(1, 10**12), CHANCE, CHANCE)
def test_ids_sort_by_time_to_the_millisecond(earlier: datetime, milliseconds: int, one: bytes, other: bytes) -> None:
    later = earlier + timedelta(milliseconds=milliseconds)
    assert new_id("auth", earlier, one) < new_id("auth", later, other)


@given(CHANCE, CHANCE)
def test_ids_of_one_instant_sort_by_chance(one: bytes, other: bytes) -> None:
    assert (new_id("auth", A_MORNING, one) < new_id("auth", A_MORNING, other)) is (one < other)


@given(INSTANTS, CHANCE)
def test_an_id_is_a_prefix_and_26_characters_that_can_be_sent_back(moment: datetime, chance: bytes) -> None:
    merchant_id = new_id("mrc", moment, chance)
    assert len(merchant_id) == len("mrc_") + 26
    assert not set(merchant_id.removeprefix("mrc_")) - set("0123456789abcdefghjkmnpqrstvwxyz")
    assert asked(a_body(merchant_id=merchant_id)).merchant_id == merchant_id


@given(CHANCE)
def test_an_approval_code_has_six_characters_that_are_not_mistaken(chance: bytes) -> None:
    code = approval_code(chance)
    assert len(code) == 6
    assert not set(code) & set("01IO")
    assert code.isascii()
    assert code.isalnum()


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "Rp0"),
        (5, "Rp5"),
        (999, "Rp999"),
        (1_000, "Rp1.000"),
        (150_000, "Rp150.000"),
        (1_800_000, "Rp1.800.000"),
        (1_776_600_000, "Rp1.776.600.000"),
    ],
)
def test_rupiah_are_written_as_on_indonesian_receipts(amount: int, text: str) -> None:
    assert in_rupiah(amount) == text
