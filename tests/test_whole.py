"""A request that came whole is answered in one write; however else it comes, it is answered with the same bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from authz_service.answers import Answer
from authz_service.api.arrival import body_of, head_of
from authz_service.api.pos import _send
from authz_service.serving import HTTP
from authz_service.settings import Settings

LARGE = b"x" * 8_000_000
"""More than the buffers of a socket hold."""


@dataclass
class Echo:
    """Answers with the body that came, and knows of each whether it came whole."""

    port: int = 0
    came_whole: list[bool] = field(default_factory=list)
    answered: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    server: uvicorn.Server | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = head_of(scope, lambda _: "req_1")
        body = await body_of(arrived, receive, Settings())
        self.came_whole.append(arrived.whole is not None)
        await self.may_answer.wait()
        await _send(send, Answer(status=201, body=LARGE if body == b"large" else body), [], arrived)
        self.answered += 1


@asynccontextmanager
async def echoing() -> AsyncIterator[Echo]:
    echo = Echo()
    echo.may_answer.set()
    echo.server = uvicorn.Server(
        uvicorn.Config(
            echo,
            port=0,
            http=HTTP,
            ws="none",
            lifespan="off",
            log_level="critical",
            date_header=False,
            server_header=False,
        )
    )
    serving = asyncio.create_task(echo.server.serve())
    while not echo.server.started:
        await asyncio.sleep(0.005)
    echo.port = echo.server.servers[0].sockets[0].getsockname()[1]
    try:
        yield echo
    finally:
        echo.may_answer.set()
        echo.server.should_exit = True
        await serving


def a_request(body: bytes, *more: bytes, method: bytes = b"POST", version: bytes = b"1.1") -> bytes:
    lines = [b"%b /v1/authorizations HTTP/%b" % (method, version), b"Host: t", b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join([*lines, b"", body])


def an_answer(body: bytes, *more: bytes) -> bytes:
    lines = [
        b"HTTP/1.1 201 Created",
        b"x-request-id: req_1",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"cache-control: no-store",
        *more,
    ]
    return b"\r\n".join([*lines, b"", body])


async def until(what: object) -> None:
    async with asyncio.timeout(5):
        while not what():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_a_post_that_came_in_one_read_came_whole() -> None:
    async with echoing() as echo:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(a_request(b"{}"))
        assert await reader.readexactly(len(an_answer(b"{}"))) == an_answer(b"{}")
        assert echo.came_whole == [True]
        writer.close()


async def test_in_pieces_it_is_answered_with_the_same_bytes() -> None:
    async with echoing() as echo:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        sent = a_request(b"{}")
        for place in (5, len(sent) - 2, len(sent) - 1):
            for piece in (sent[:place], sent[place:]):
                writer.write(piece)
                await asyncio.sleep(0.02)
            assert await reader.readexactly(len(an_answer(b"{}"))) == an_answer(b"{}")
        # The head was there before the body in the last two.
        assert echo.came_whole[1:] == [False, False]
        writer.close()


async def test_requests_in_one_read_are_answered_in_their_order() -> None:
    async with echoing() as echo:
        echo.may_answer.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(a_request(b"one") + a_request(b"two") + a_request(b"three"))
        await until(lambda: len(echo.came_whole) == 1)
        echo.may_answer.set()
        expected = an_answer(b"one") + an_answer(b"two") + an_answer(b"three")
        assert await reader.readexactly(len(expected)) == expected
        assert echo.came_whole[0] is True
        writer.close()


@pytest.mark.parametrize(
    "sent", [a_request(b"{}", b"Connection: close"), a_request(b"{}", version=b"1.0")], ids=["close", "1.0"]
)
async def test_who_wants_one_answer_has_the_connection_closed(sent: bytes) -> None:
    async with echoing() as echo:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(sent)
        assert await reader.read() == an_answer(b"{}", b"connection: close")
        assert echo.came_whole == [True]
        writer.close()


async def test_only_a_post_is_whole() -> None:
    async with echoing() as echo:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(a_request(b"", method=b"GET"))
        assert await reader.readexactly(len(an_answer(b""))) == an_answer(b"")
        assert echo.came_whole == [False]
        writer.close()


async def test_a_till_that_went_away_gets_nothing_and_harms_nobody() -> None:
    async with echoing() as echo:
        echo.may_answer.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(a_request(b"{}"))
        await until(lambda: echo.came_whole)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        echo.may_answer.set()
        await until(lambda: echo.answered)


async def test_what_is_no_http_after_a_whole_request_is_refused() -> None:
    async with echoing() as echo:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(a_request(b"{}") + b"\x00\x01 nonsense\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request")
        writer.close()


async def test_who_does_not_read_is_not_answered_without_end() -> None:
    async with echoing() as echo:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port, limit=1024)
        writer.write(a_request(b"large"))
        await until(lambda: echo.answered == 1)
        writer.write(a_request(b"{}"))
        await until(lambda: len(echo.came_whole) == 2)
        await asyncio.sleep(0.05)
        assert echo.answered == 1
        expected = len(an_answer(LARGE)) + len(an_answer(b"{}"))
        assert (await reader.readexactly(expected)).endswith(an_answer(b"{}"))
        writer.close()


async def test_a_server_that_is_told_to_end_answers_first() -> None:
    async with echoing() as echo:
        echo.may_answer.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(a_request(b"{}"))
        await until(lambda: echo.came_whole)
        assert echo.server is not None
        echo.server.should_exit = True
        await asyncio.sleep(0.2)
        echo.may_answer.set()
        assert await reader.read() == an_answer(b"{}", b"connection: close")
        writer.close()
