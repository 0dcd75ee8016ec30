"""The load generator of ours against a server whose answers are known, and the requests that it sends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random

import orjson

from authz_service.enrolment.sandbox import SandboxTerminal
from authz_service.vocabulary import MerchantId, TerminalId
from loadtests.driver import as_fast_as_it_answers, at_a_rate
from loadtests.traffic import PERMITTED, Traffic, capture, read, request, write

CREATED = "201 Created"
Answer = Callable[[bytes], tuple[str, bytes]]


def a_till(number: int) -> SandboxTerminal:
    return SandboxTerminal(
        merchant_id=MerchantId(f"mrc_{number}"),
        terminal_id=TerminalId(f"trm_{number}"),
        key=f"key_{number}",
        name="",
        district_code="",
    )


def traffic() -> Traffic:
    return Traffic(
        cards=[f"{number:016d}" for number in range(50)],
        tills=[a_till(number) for number in range(4)],
        chance=Random(1),
        mark="run",
        numbers=count(),
    )


@asynccontextmanager
async def a_server(answer: Answer, *, seconds: float = 0.0) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers each request after so long; its port, and the heads and bodies that it was sent."""
    seen: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            seen.append(head + await reader.readexactly(length))
            await asyncio.sleep(seconds)
            status, body = answer(seen[-1])
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        await server.wait_closed()


def created(_: bytes) -> tuple[str, bytes]:
    return CREATED, b"{}"


REQUESTS = [request("/", b"{}", till_key="key", key=str(number)) for number in range(1000)]


async def test_who_answers_slowly_is_not_asked_less_often() -> None:
    """At 100 a second and 20 ms an answer one connection falls behind, and the last requests have waited longest."""
    async with a_server(created, seconds=0.02) as (port, _):
        shot = await at_a_rate(REQUESTS, port, connections=1, seconds=0.5, per_second=100)
    assert shot.errors == 0
    assert shot.requests > 35
    assert shot.p99_us > 200_000
    assert shot.late_p99_us > 150_000


async def test_with_connections_enough_a_latency_is_what_the_answer_took() -> None:
    async with a_server(created, seconds=0.02) as (port, _):
        shot = await at_a_rate(REQUESTS, port, connections=32, seconds=0.5, per_second=100)
    assert shot.errors == 0
    assert 20_000 <= shot.p50_us < 40_000


async def test_an_answer_that_is_not_2xx_is_an_error() -> None:
    async with a_server(lambda _: ("429 Too Many Requests", b"{}")) as (port, seen):
        shot = await as_fast_as_it_answers(REQUESTS, port, connections=4, seconds=0.2, keys={})
    assert shot.errors == shot.requests
    assert 0 < shot.requests <= len(seen)


async def test_each_approval_is_captured_by_its_own_till() -> None:
    approval = orjson.dumps({"id": "auth_7", "decision": "approved", "terminal_id": "trm_2"})

    def answer(asked: bytes) -> tuple[str, bytes]:
        return CREATED, b'{"capture":{}}' if b"/captures" in asked else approval

    async with a_server(answer) as (port, seen):
        shot = await as_fast_as_it_answers(REQUESTS, port, connections=1, seconds=0.2, keys={"trm_2": "key_2"})
    assert shot.errors == 0
    assert seen[1] == capture("auth_7", "key_2")
    assert b"POST /v1/authorizations/auth_7/captures " in seen[1]
    assert b"Bearer key_2\r\n" in seen[1]
    assert b"/captures" not in seen[2]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    requests = [*traffic().purchases(PERMITTED, 20), *traffic().balance_inquiries(3)]
    assert write(iter(requests), tmp_path / "requests") == 23
    assert read(tmp_path / "requests") == requests


def test_no_two_purchases_share_a_key_and_the_tills_come_in_turn() -> None:
    requests = list(traffic().purchases(PERMITTED, 40))
    keys = [each.partition(b"Idempotency-Key: ")[2].partition(b"\r\n")[0] for each in requests]
    tills = [each.partition(b"Bearer ")[2].partition(b"\r\n")[0] for each in requests]
    assert len(set(keys)) == 40
    assert tills[:5] == [b"key_0", b"key_1", b"key_2", b"key_3", b"key_0"]


def test_the_busy_card_is_named_by_one_request_in_ten() -> None:
    bodies = [
        orjson.loads(each.partition(b"\r\n\r\n")[2]) for each in traffic().purchases_with_a_busy_card(PERMITTED, 400)
    ]
    cards = [body["card_number"] for body in bodies]
    assert len({card for number, card in enumerate(cards) if number % 10 == 0}) == 1
    assert len(set(cards)) > 30
