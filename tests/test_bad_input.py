"""Whatever a socket is sent: a clear problem, nothing written, nothing echoed, never a 500."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.conftest import EnrolledTemplate
from tests.world import Reply, World, running

MEMBERS = {"type", "title", "status", "detail", "code", "retryable", "request_id", "message", "response_code"}
A_CARD = "9360881234567893"
NOWHERE = "/v1/authorizations/auth_00000000000000000000000000"


def problem(reply: Reply, status: int, code: str | None = None, response_code: str | None = None) -> dict[str, Any]:
    """The problem, after all that every problem must have was looked at."""
    assert reply.status == status, (reply.status, reply.raw)
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.body
    assert set(document) >= MEMBERS
    assert document["status"] == status
    assert document["request_id"] == reply.headers["x-request-id"]
    assert isinstance(document["retryable"], bool)
    assert re.search(r"[.!]$", document["message"])
    assert re.fullmatch(r"\d\d", document["response_code"])
    assert code in {None, document["code"]}
    assert response_code in {None, document["response_code"]}
    assert "Traceback" not in reply.raw.decode()
    return document


async def raw_status(world: World, sent: bytes) -> int | None:
    """The status of what comes back for these bytes; None if the connection was just closed."""
    port = int(world.base_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(5):
            line = await reader.readline()
        return int(line.split()[1]) if line.startswith(b"HTTP/1.") else None
    except ConnectionError:
        return None
    finally:
        writer.close()


def raw_request(world: World, body: bytes, *headers: bytes, path: bytes = b"/v1/authorizations") -> bytes:
    head = [
        b"POST %b HTTP/1.1" % path,
        b"Host: till",
        b"Authorization: Bearer " + world.till.key.encode(),
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


# --- 400: not JSON ---------------------------------------------------------------------------------------------------


async def test_what_is_not_json_is_400_and_burns_no_key(world: World) -> None:
    good = orjson.dumps(world.a_purchase())
    bodies = [
        b"", b" ", b"{", b"{}}", b"null x", b"'a'", b"\xff\xfe", good[:-1], good + b"x", good + good,
        good.replace(b"150000", b"NaN"), good.replace(b"150000", b"Infinity"), good.replace(b"150000", b"-Infinity"),
        good.replace(b"150000", b"0150000"), good.replace(b"150000", b"+150000"), good.replace(b"150000", b"0x10"),
        good[:-1] + b',"amount":150000}', good[:-1] + b',"stan":"000009"}', good[:-1] + b',"am\\u006funt":1}',
        good.replace(b'{"category"', b'{"category":"gula","category"', 1),
        good.replace(b"beras premium", b"beras \xe9"), good.replace(b"beras premium", b"\xed\xa0\x80"),
        good.replace(b"beras premium", b"\\ud800"), good.replace(b"beras premium", b"a\nb"),
        b"\xef\xbb\xbf" + good, good.decode().encode("utf-16"), good.decode().encode("utf-32"),
    ]  # fmt: skip
    before = await world.counts()
    for body in bodies:
        problem(await world.post("/v1/authorizations", body, key="k"), 400, "not_json", "30")
    assert await world.counts() == before
    assert (await world.post("/v1/authorizations", good, key="k")).status == 201


async def test_members_that_only_look_repeated_are_none(world: World) -> None:
    lines = [{"category": 'gula": {"gula":1,', "amount": 1}, {"category": "a\\b:\u00e9", "amount": 2}]
    assert (await world.authorise(lines=lines)).status == 201


async def test_nesting_without_end_is_refused_like_any_other_nonsense(world: World) -> None:
    before = await world.counts()
    for depth in (100, 500, 960, 1000, 1020, 30000):
        for open_, close in ((b"[", b"]"), (b'{"x":', b"}")):
            for value in (b"1", b'"\\n"'):
                nested = open_ * min(depth, 9000) + value + close * min(depth, 9000)
                reply = await world.post("/v1/authorizations", b'{"x":%b}' % nested, key="k")
                assert reply.status in {400, 422}, (depth, open_, reply.raw)
    assert await world.counts() == before


# --- 422: well-formed but not valid ----------------------------------------------------------------------------------

LINE = {
    "category": "gula",
    "product": "gula pasir",
    "unit": "kg",
    "quantity": "2",
    "unit_price": 10000,
    "amount": 20000,
}
WRONG: list[tuple[str, Any]] = [
    ("card_number", None), ("card_number", 9360000000000013), ("card_number", ""), ("card_number", "93600000000000 3"),
    ("card_number", "9" * 11), ("card_number", "9" * 20), ("card_number", "9360000000000013\n"),
    ("card_number", "٩" * 16),
    ("stan", 123), ("stan", "12345"), ("stan", "1234567"), ("stan", "12345a"), ("stan", "١٢٣٤٥٦"), ("stan", None),
    ("terminal_time", 1733015700), ("terminal_time", "1733015700"), ("terminal_time", "2024-12-01T09:15:00"),
    ("terminal_time", "2024-12-01"), ("terminal_time", "2024-13-01T09:15:00+08:00"), ("terminal_time", "today"),
    ("terminal_time", "0001-01-01T00:00:00+23:59"), ("terminal_time", "9999-12-31T23:59:59-23:59"),
    ("terminal_time", None),
    ("amount", 150000.0), ("amount", 1.5e5), ("amount", "150000"), ("amount", True), ("amount", None), ("amount", 0),
    ("amount", -150000), ("amount", 2**53), ("amount", 2**63), ("amount", 2**64 - 1), ("amount", [150000]),
    ("currency", "USD"), ("currency", "idr"), ("currency", None), ("currency", 360),
    ("lines", None), ("lines", []), ("lines", {}), ("lines", "beras"), ("lines", [[]]), ("lines", [None]),
    ("lines", [{"category": "gula", "amount": 1}] * 51),
    ("capture", 1), ("capture", "true"), ("capture", None), ("partial_approval", 0), ("partial_approval", "no"),
    ("pin_block", ""), ("pin_block", "1234"), ("pin_block", 1234567890123456), ("pin_block", "Z" * 16),
    ("merchant_id", 1), ("terminal_id", ["trm_1"]), ("tip", 1), ("Amount", 1), ("", 1), ("__proto__", {}),
]  # fmt: skip
WRONG_LINES: list[dict[str, Any]] = [
    {"category": None}, {"category": ""}, {"category": "x" * 65}, {"category": "gu\x00la"}, {"category": "gu\nla"},
    {"product": ""}, {"product": "x" * 65}, {"unit": 1}, {"quantity": 2}, {"quantity": 2.0}, {"quantity": "0"},
    {"quantity": "-2"}, {"quantity": "2.0001"}, {"quantity": "2,0"}, {"quantity": "2e0"}, {"quantity": " 2"},
    {"quantity": "2."}, {"quantity": ".5"}, {"quantity": "٢"}, {"quantity": "NaN"}, {"quantity": "9" * 10},
    {"unit_price": 10000.0}, {"unit_price": "10000"}, {"unit_price": 0}, {"unit_price": 10001}, {"amount": 20001},
    {"amount": 20000.0}, {"quantity": None}, {"product": None}, {"unit": None}, {"unit_price": None}, {"discount": 1},
]  # fmt: skip


async def test_every_field_that_is_wrong_is_named_and_burns_no_key(world: World) -> None:
    before = await world.counts()
    for name, value in WRONG:
        reply = await world.post("/v1/authorizations", world.a_purchase() | {name: value}, key="k")
        document = problem(reply, 422, "invalid", "30")
        named = {error["field"].split("[")[0] for error in document["errors"]}
        assert named & {name, "(unknown)", "body"}, (name, value, named)
        assert not document["retryable"]
    for name in ("card_number", "stan", "terminal_time", "amount", "currency", "lines"):
        purchase = world.a_purchase()
        del purchase[name]
        document = problem(await world.post("/v1/authorizations", purchase, key="k"), 422, "invalid")
        assert [error["field"] for error in document["errors"]] == [name]
    assert await world.counts() == before
    assert (await world.authorise(key="k")).status == 201


async def test_every_line_that_is_wrong_is_named(world: World) -> None:
    before = await world.counts()
    for change in WRONG_LINES:
        purchase = world.a_purchase(amount=40000, lines=[LINE, LINE | change])
        document = problem(await world.post("/v1/authorizations", purchase, key="k"), 422, "invalid", "30")
        assert any(error["field"].startswith("lines[1]") for error in document["errors"]), (change, document["errors"])
    assert await world.counts() == before


async def test_lines_that_do_not_add_up_are_422_also_by_one_rupiah(world: World) -> None:
    for amount in (149999, 150001):
        problem(
            await world.post("/v1/authorizations", world.a_purchase() | {"amount": amount}, key="k"), 422, "invalid"
        )


async def test_a_line_amount_is_rounded_half_up(world: World) -> None:
    half = LINE | {"quantity": "0.125", "unit_price": 1004, "amount": 126}
    assert (await world.authorise(lines=[half])).status == 201
    assert (await world.authorise(lines=[half | {"amount": 125}])).status == 422


async def test_the_other_bodies_refuse_what_they_do_not_know(world: World) -> None:
    held = await world.authorise()
    before = await world.counts()
    path = f"/v1/authorizations/{held['id']}"
    for call, body in [
        ("/captures", {"amount": 1, "Final": True}), ("/captures", {"final": "false"}), ("/captures", {"final": None}),
        ("/captures", [1]), ("/captures", 1), ("/captures", None), ("/void", {"reason": ""}),
        ("/void", {"reason": "x" * 201}),
        ("/void", {"reason": "a\x00b"}), ("/void", {"amount": 1}), ("/void", "x"),
    ]:  # fmt: skip
        problem(await world.post(path + call, orjson.dumps(body), key="k"), 422, "invalid")
    for query in ("/captures?final=false", "/void?dry_run=true"):
        problem(await world.post(path + query, {}, key="k"), 422)
    for body in ({}, {"card_number": 1}, {"card_number": A_CARD, "stan": "000001"}, [A_CARD]):
        problem(await world.post("/v1/balance-inquiries", body), 422, "invalid")
    assert await world.counts() == before


# --- Too large, too slow ---------------------------------------------------------------------------------------------


async def test_a_body_of_64_kib_is_read_and_one_byte_more_is_413(world: World) -> None:
    limit = 64 * 1024
    good = orjson.dumps(world.a_purchase())
    before = await world.counts()
    problem(await world.post("/v1/authorizations", good.ljust(limit + 1), key="k"), 413, None, "30")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (limit // 4)

    async with world.http.post(
        world.base_url + "/v1/authorizations",
        data=chunks(),
        headers={"authorization": f"Bearer {world.till.key}", "idempotency-key": "k"},
    ) as response:
        assert (response.status, response.content_type) == (413, "application/problem+json")
    for declared in (limit + 1, 10**15):
        head = raw_request(world, b"", b"Idempotency-Key: k").replace(b"Length: 0", b"Length: %d" % declared)
        assert await raw_status(world, head) == 413
    assert await world.counts() == before
    assert (await world.post("/v1/authorizations", good.ljust(limit), key="k")).status == 201


@pytest.fixture
async def impatient_world(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> AsyncIterator[World]:
    """A service that waits a quarter of a second for a body."""
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills, body_timeout_seconds=0.25) as world:
        yield world


async def test_a_body_that_does_not_arrive_is_not_waited_for(impatient_world: World) -> None:
    world = impatient_world
    sent = raw_request(world, orjson.dumps(world.a_purchase()), b"Idempotency-Key: k")
    before = await world.counts()
    started = asyncio.get_running_loop().time()
    assert await raw_status(world, sent[:-10]) == 408
    assert 0.2 < asyncio.get_running_loop().time() - started < 1.0
    assert await world.counts() == before
    assert await raw_status(world, sent) == 201


async def test_a_body_that_ends_with_its_connection_is_no_request(impatient_world: World) -> None:
    world = impatient_world
    before = await world.counts()
    port = int(world.base_url.rpartition(":")[2])
    for cut in (1, 10, 100, 600):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw_request(world, orjson.dumps(world.a_purchase()), b"Idempotency-Key: k")[:-cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert await world.counts() == before
    assert (await world.authorise()).status == 201


# --- Odd addresses ---------------------------------------------------------------------------------------------------


async def test_odd_ids_are_404_on_every_call(world: World) -> None:
    before = await world.counts()
    for odd in (
        "%00",
        "auth_%00",
        "a" * 65,
        "a" * 8000,
        "%F0%9F%92%B3",
        "%ff%fe",
        "%2e%2e",
        "auth_%0d%0aX:y",
        "'--",
        "%25",
        "*",
    ):
        path = f"/v1/authorizations/{odd}"
        sent = [
            b"GET %b HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %b\r\n\r\n"
            % (path.encode(), world.till.key.encode()),
            raw_request(world, b"{}", b"Idempotency-Key: k", path=path.encode() + b"/captures"),
            raw_request(world, b"{}", b"Idempotency-Key: k", path=path.encode() + b"/void"),
        ]
        assert [await raw_status(world, each) for each in sent] == [404, 404, 404], odd
    for odd in ("/v1//authorizations", "/v1/authorizations/", "/v1/authorizations//captures", "/v1/AUTHORIZATIONS"):
        assert (await world.post(odd, {}, key="k")).status in {404, 405}, odd
    assert await world.counts() == before


async def test_an_address_outside_of_the_api_is_a_problem_too(world: World) -> None:
    for path in ("/", "/v1", "/nowhere", "/v2/authorizations"):
        reply = await world.get(path)
        assert reply.status == 404
        assert reply.headers["content-type"] == "application/problem+json", path


# --- Raw bytes -------------------------------------------------------------------------------------------------------

HEADS = [
    b"GET", b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /v1/catalogue", b"GET /v1/catalogue HTTP/0.9\r\n\r\n",
    b"GET /v1/catalogue HTTP/1.0\r\n\r\n", b"GET /v1/catalogue HTTP/1.1\r\n\r\n",
    b"GET /v1/\xff HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /v1/authorizations/\xc3\xa9 HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET http://x/v1/catalogue HTTP/1.1\r\nHost: t\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\nHost: t\r\n\r\n",
    b"HEAD /v1/catalogue HTTP/1.1\r\nHost: t\r\n\r\n",
    b"TRACE /v1/authorizations HTTP/1.1\r\nHost: t\r\n\r\n", b"BREW /v1/authorizations HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nContent-Length: abc\r\n\r\n",
    b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    b"GET /v1/catalogue HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /v1/catalogue HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 100000 + b"\r\n\r\n",
    b"GET /v1/catalogue?" + b"a" * 60000 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /readyz\x00 HTTP/1.1\r\nHost: t\r\n\r\n", b"GET /docs/%00 HTTP/1.1\r\nHost: t\r\n\r\n",
    *(
        b"POST /v1/authorizations HTTP/1.1\r\nHost: t\r\nAuthorization: " + value + b"\r\nContent-Length: 2\r\n\r\n{}"
        for value in (
            b"", b"Bearer", b"Bearer \xff", b"Bearer \x00", b"\xc3\xa9 x", b"Bearer\x0bx", b"bearer " + b"x" * 9000,
            b"Basic " + b"=" * 100, b"Bearer a b c", b"Bearer\t\t",
        )
    ),
]  # fmt: skip


async def test_no_anonymous_bytes_make_a_500(impatient_world: World) -> None:
    """Incident 18: by hand, then by chance under a seed."""
    world = impatient_world
    before = await world.counts()
    chance = Random(20241001)
    anonymous = raw_request(world, orjson.dumps(world.a_purchase()), b"Idempotency-Key: k", b"If-None-Match: x")
    anonymous = anonymous.replace(world.till.key.encode(), b"sandbox_nobody")
    sent = [*HEADS, *(_spoiled(anonymous, chance) for _ in range(300))]
    for start in range(0, len(sent), 40):
        batch = sent[start : start + 40]
        for each, status in zip(
            batch, await asyncio.gather(*(raw_status_or_none(world, one) for one in batch)), strict=True
        ):
            assert status is None or 200 <= status < 500, (status, each[:300])
    assert await world.counts() == before


async def test_no_bytes_of_a_known_till_make_a_500(impatient_world: World) -> None:
    world = impatient_world
    chance = Random(20241231)
    good = raw_request(world, orjson.dumps(world.a_purchase()), b"Idempotency-Key: k", b"Connection: close")
    head = good.index(b"\r\n\r\n") + 4
    sent = [good[:head] + _spoiled(good[head:], chance).ljust(len(good) - head)[: len(good) - head] for _ in range(300)]
    sent += [_spoiled(good, chance) for _ in range(100)]
    for start in range(0, len(sent), 8):
        batch = sent[start : start + 8]
        for each, status in zip(
            batch, await asyncio.gather(*(raw_status_or_none(world, one) for one in batch)), strict=True
        ):
            assert status is None or 200 <= status < 500, (status, each)
    await world.books_balance()


async def raw_status_or_none(world: World, sent: bytes) -> int | None:
    """As `raw_status`; of bytes that are no whole request no answer is expected."""
    try:
        async with asyncio.timeout(0.6):
            return await raw_status(world, sent)
    except TimeoutError:
        return None


def _spoiled(good: bytes, chance: Random) -> bytes:
    """One to five bytes changed, or a piece taken out, doubled or replaced by something nasty."""
    spoiled = bytearray(good)
    for _ in range(chance.randint(1, 5)):
        at, until = sorted(chance.randrange(len(spoiled) + 1) for _ in "ab")
        until = min(until, at + 40)
        match chance.randrange(4):
            case 0 if at < len(spoiled):
                spoiled[at] = chance.randrange(256)
            case 1:
                del spoiled[at:until]
            case 2:
                spoiled[at:at] = spoiled[at:until]
            case _:
                nasty = (
                    b"\x00",
                    b"\xff\xfe",
                    b"\r\n",
                    b"\\u0000",
                    b"1e999",
                    b"-0",
                    b"9" * 400,
                    b"[[[[",
                    b'"',
                    b"%00",
                    b"\xf0\x9f\x92\xb3",
                )
                spoiled[at:at] = chance.choice(nasty)
    return bytes(spoiled)


async def test_keys_that_http_clients_refuse_to_send_are_400(world: World) -> None:
    before = await world.counts()
    body = orjson.dumps(world.a_purchase())
    for key in (b"a\tb", b"\xff", b"kunci-\xc3\xa9", b'"\xff"', b"a\x7fb"):
        assert await raw_status(world, raw_request(world, body, b"Idempotency-Key: " + key)) == 400, key
    assert await raw_status(world, raw_request(world, body, b"Idempotency-Key: a", b"idempotency-key: a")) == 400
    assert await world.counts() == before


# --- What a problem is -----------------------------------------------------------------------------------------------


async def test_every_problem_has_all_its_members_and_its_own_request_id(world: World) -> None:
    purchase = world.a_purchase()
    held = await world.post("/v1/authorizations", purchase, key="k")
    path = f"/v1/authorizations/{held['id']}"
    nobody = {"authorization": "Bearer nobody"}
    expected: list[tuple[Reply, int, str | None, str]] = [
        (await world.post("/v1/authorizations", b"{", key="x"), 400, "not_json", "30"),
        (await world.post("/v1/authorizations", purchase), 400, None, "30"),
        (await world.post("/v1/authorizations", purchase, key="a b"), 400, None, "30"),
        (await world.post("/v1/authorizations", purchase, key="x", headers=nobody), 401, None, "58"),
        (await world.authorise(merchant_id=world.other_till.merchant_id), 403, None, "58"),
        (await world.get(NOWHERE), 404, "not_found", "25"),
        (await world.post(f"{NOWHERE}/void", {}, key="x"), 404, "not_found", "25"),
        (await world.get(f"{path}/void"), 405, None, "30"),
        (await world.post("/v1/authorizations", purchase, key="x"), 409, "stan_already_used", "94"),
        (await world.post("/v1/authorizations", b" " * 70000, key="x"), 413, None, "30"),
        (await world.authorise(stan="1"), 422, "invalid", "30"),
        (await world.post("/v1/authorizations?x=1", purchase, key="x"), 422, None, "30"),
        (await world.post("/v1/authorizations", purchase | {"stan": "999999"}, key="k"), 422, "key_reused", "94"),
        (await world.capture(held["id"], amount=150001), 422, "capture_exceeds_hold", "30"),
        (await world.void(held["id"]), 200, None, ""),
        (await world.capture(held["id"]), 409, "state_conflict", "12"),
    ]
    request_ids = set()
    for reply, status, code, response_code in expected:
        if status != 200:
            document = problem(reply, status, code, response_code)
            assert not document["retryable"]
            request_ids.add(document["request_id"])
    assert len(request_ids) == len(expected) - 1
