"""What a request is called: the caller's name where it may stand in a log, else one of ours, the same everywhere."""

import asyncio
from collections.abc import Callable
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.personal_numbers import could_hold_one, without_them
from authz_service.tracing import given_request_id, headers_of_its_cause, names_of, new_request_id, trace_id_of
from authz_service.vocabulary import with_luhn
from tests.events import a_sender, an_endpoint, receiving
from tests.world import World

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CARD = with_luhn("936000000004711")
NIK = "6472034101900001"


@pytest.mark.parametrize(
    "name",
    [
        "8f14e45f-ceea-467f-ab0c-9d1c1f4d5b3e",
        "01JE9Z8V6T3M5N7P9R1S3T5V7X",
        "till-27.000123",
        "a" * 63 + "1",
        "1732492800000-7",
        "req_3f2b8c1d9a7e4f6x1a",
        "urn:7:abc",
    ],
)
def test_a_name_as_generators_make_it_is_taken(name: str) -> None:
    assert given_request_id(name.encode()) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "short-1",
        "a" * 64 + "1",
        "SitiAminah",
        "two words 1",
        "line\nbreak1",
        "-starts-1",
        "ends-1-",
        "é1234567",
        '{"a":12345}',
        CARD,
        NIK,
        f"sale-{CARD}",
        f"{CARD[:4]}-{CARD[4:8]}-{CARD[8:12]}-{CARD[12:]}",
        f"{CARD[:8]}.{CARD[8:]}",
        f"a{NIK}b",
        f"1{CARD}",
        f"{NIK}123",
        "1111222233334444",
        "4F1E2D3C4B5A6978",
        "4F1E-2D3C-4B5A-6978",
    ],
)
def test_a_name_that_is_none_or_could_hold_the_number_of_a_card_or_a_person_is_not(name: str) -> None:
    assert given_request_id(name.encode("latin-1")) is None


@given(st.text("0123456789abcdef", min_size=0, max_size=20), st.integers(0, 10**14), st.booleans())
def test_no_card_and_no_nik_gets_through_whatever_stands_around_it(around: str, number: int, at_the_end: bool) -> None:
    card = with_luhn(f"9{number:014d}")
    name = around + card if at_the_end else card + around
    assert could_hold_one(name.encode())
    assert given_request_id(name.encode()[:64]) is None or len(around) > 48


def test_few_random_names_are_refused_by_chance() -> None:
    """Made anew, not lost: the caller reads it in the answer."""
    chance = Random(7)
    refused = sum(could_hold_one(chance.randbytes(16).hex().encode()) for _ in range(5_000))
    assert refused < 60


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (PARENT, TRACE),
        (f"00-{TRACE}-{SPAN}-00", TRACE),
        (f"cc-{TRACE}-{SPAN}-01", TRACE),
        (f"cc-{TRACE}-{SPAN}-01-what.comes.later", TRACE),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"cc-{TRACE}-{SPAN}-01more", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE[:-1]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"0-{TRACE}-{SPAN}-01", None),
        (f" {PARENT}", None),
        (f"{PARENT}\n", None),
        (f"{PARENT}, {PARENT}", None),
        (f"00-{CARD}abcdef0123456789-{SPAN}-01", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_to_the_letter(header: str, trace: str | None) -> None:
    assert trace_id_of(header.encode()) == trace


NEW: Callable[[str | None], str] = new_request_id


def test_a_request_without_a_name_is_called_by_its_trace_and_tells_of_it_later() -> None:
    names = names_of({b"traceparent": PARENT.encode()}, frozenset(), NEW)
    assert names.trace_id == TRACE
    assert names.request_id.startswith(f"req_{TRACE}x")
    assert len(names.request_id) <= 64
    assert headers_of_its_cause(names.request_id, SPAN) == {
        "x-request-id": names.request_id,
        "traceparent": f"00-{TRACE}-{SPAN}-00",
    }
    assert given_request_id(names.request_id.encode()) == names.request_id
    plain = names_of({}, frozenset(), NEW)
    assert plain.trace_id is None
    assert headers_of_its_cause(plain.request_id, SPAN) == {"x-request-id": plain.request_id}
    assert headers_of_its_cause(None, SPAN) == {}
    assert given_request_id(plain.request_id.encode()) == plain.request_id


def test_names_of_ours_are_never_the_same() -> None:
    names = {new_request_id(trace) for trace in (None, TRACE, None, TRACE) for _ in range(100)}
    assert len(names) == 400


def test_what_stands_there_twice_or_is_a_part_of_the_callers_key_names_nothing() -> None:
    headers = {b"x-request-id": b"mine-1234", b"traceparent": PARENT.encode()}
    assert names_of(headers, frozenset(), NEW).request_id == "mine-1234"
    twice = names_of(headers, frozenset(headers), NEW)
    assert (twice.request_id.startswith("req_"), twice.trace_id) == (True, None)
    key = {b"x-request-id": b"sandbox_1a2b", b"authorization": b"Bearer sandbox_1a2b3c"}
    assert names_of(key, frozenset(), NEW).request_id.startswith("req_")


def test_numbers_in_a_text_are_withheld_and_others_are_not() -> None:
    said = without_them(
        f"{CARD}, {NIK} and {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}; Rp1776600000 at 1732492800123"
    )
    assert said == "[number withheld], [number withheld] and [number withheld]; Rp1776600000 at 1732492800123"


PATHS = (
    ("POST", "/v1/authorizations"),
    ("POST", "/v1/balance-inquiries"),
    ("GET", "/v1/catalogue"),
    ("GET", "/v1/authorizations/auth_none"),
    ("GET", "/v1/authorizations"),
    ("POST", "/v1/vouchers"),
    ("DELETE", "/v1/authorizations"),
    ("POST", "/snap/v1.0/debit/notify"),
    ("GET", "/snap/v1.0/debit/notify"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/nowhere"),
    ("DELETE", "/healthz"),
)


async def test_every_answer_says_the_name_that_was_given(world: World) -> None:
    for method, path in PATHS:
        for name in ("till-27-000123", CARD):
            headers = {"x-request-id": name, "authorization": f"Bearer {world.till.key}", "idempotency-key": "k"}
            async with world.http.request(method, world.base_url + path, headers=headers, data=b"{") as response:
                said, body = response.headers.getall("x-request-id"), await response.read()
            assert len(said) == 1
            assert (said[0] == name) is (name != CARD), (method, path)
            assert CARD.encode() not in body
            if response.content_type == "application/problem+json":
                assert orjson.loads(body)["request_id"] == said[0]


async def test_the_journal_has_the_name_and_the_trace(world: World) -> None:
    purchase = world.a_purchase()
    named = await world.post("/v1/authorizations", purchase, key="a", headers={"x-request-id": "till-27-000124"})
    traced = await world.post("/v1/authorizations", world.a_purchase(), key="b", headers={"traceparent": PARENT})
    rows = await world.database.fetch("SELECT authorisation_id, request_id FROM authorisation")
    kept = {row["authorisation_id"]: row["request_id"] for row in rows}
    assert kept == {named["id"]: "till-27-000124", traced["id"]: traced.headers["x-request-id"]}
    assert TRACE in kept[traced["id"]]
    again = await world.post("/v1/authorizations", purchase, key="a", headers={"x-request-id": "till-27-000125"})
    assert again.raw == named.raw
    assert again.headers["x-request-id"] == "till-27-000125"


async def test_bytes_that_are_no_request_are_answered_with_a_name_too(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(world.base_url.rpartition(":")[2]))
    writer.write(b"nonsense\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert b"\r\nx-request-id: req_" in answer


async def test_an_event_of_a_purchase_tells_what_its_request_was_called(world: World) -> None:
    async with receiving() as receiver, a_sender(world) as sender:
        await an_endpoint(world, receiver.url, "purchase.*")
        purchase = world.a_purchase(amount=1_000)
        sold = await world.post("/v1/authorizations", purchase, key="k", headers={"traceparent": PARENT})
        await sender.round()
        await sender.round()
    (heard,) = receiver.heard
    assert heard.headers["x-request-id"] == sold.headers["x-request-id"]
    assert trace_id_of(heard.headers["traceparent"].encode()) == TRACE
