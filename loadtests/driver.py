"""A load generator of ours, in a process of its own: asyncio on uvloop, httptools, requests from a file.

wrk sends as fast as it is answered and nothing else; this one also keeps a rate. There a request is due at a moment
drawn beforehand, and its latency counts from that moment: who answers slowly is not asked less often (no coordinated
omission). Where wrk is missing it stands in for it.
"""

import argparse
import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final, cast

import httptools
import orjson
import uvloop

from loadtests.alarm import Alarm
from loadtests.shots import Shot, shot_of
from loadtests.traffic import capture, read

LAST_ANSWERS_SECONDS: Final = 5.0
"""So long after the last request was due its answer is waited for."""
APPROVED: Final = b'"decision":"approved"'
Answered = Callable[["Conversation"], None]


class Conversation(asyncio.Protocol):
    """One connection; it asks, and says when it is answered."""

    def __init__(self, answered: Answered) -> None:
        self.status = 0
        self.body = b""
        self.since = 0.0
        self.is_waiting = False
        self.is_open = True
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport

    def ask(self, request: bytes, since: float) -> None:
        self.since = since
        self.body = b""
        self.is_waiting = True
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.is_open = False

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.is_waiting = False
        self._answered(self)


@dataclass(slots=True)
class Seen:
    """What came back."""

    latencies_us: list[float] = field(default_factory=list)
    late_us: list[float] = field(default_factory=list)
    errors: int = 0

    def answer(self, conversation: Conversation) -> None:
        self.latencies_us.append((monotonic() - conversation.since) * 1e6)
        if not HTTPStatus.OK <= conversation.status < HTTPStatus.MULTIPLE_CHOICES:
            self.errors += 1


async def as_fast_as_it_answers(
    requests: Sequence[bytes], port: int, *, connections: int, seconds: float, keys: dict[str, str]
) -> Shot:
    """Each connection sends the next request when it has its answer; what is unanswered at the end does not count."""
    seen, coming = Seen(), cycle(requests)
    over = asyncio.Event()

    def answered(conversation: Conversation) -> None:
        if over.is_set():
            return
        seen.answer(conversation)
        body = conversation.body
        if keys and body.startswith(b'{"id":') and APPROVED in body:
            sale = orjson.loads(body)
            conversation.ask(capture(sale["id"], keys[sale["terminal_id"]]), monotonic())
        else:
            conversation.ask(next(coming), monotonic())

    conversations = await _connected(port, connections, answered)
    started = monotonic()
    for each in conversations:
        each.ask(next(coming), monotonic())
    await asyncio.sleep(seconds)
    over.set()
    took = monotonic() - started
    return _ended(conversations, seen, took, lost=sum(not each.is_open for each in conversations))


async def at_a_rate(
    requests: Sequence[bytes], port: int, *, connections: int, seconds: float, per_second: float
) -> Shot:
    """Requests are due at random moments (Poisson's), and go out then, or as soon as a connection is free."""
    seen, coming = Seen(), iter(requests)
    due = _moments(per_second, seconds)
    unsent = deque[float]()
    free = deque[Conversation]()

    def send() -> None:
        """Whatever is due and finds a connection."""
        while unsent and free:
            conversation = free.popleft()
            if conversation.is_open:
                moment = unsent.popleft()
                seen.late_us.append((monotonic() - moment) * 1e6)
                conversation.ask(next(coming), moment)

    def answered(conversation: Conversation) -> None:
        seen.answer(conversation)
        free.append(conversation)
        send()

    conversations = await _connected(port, connections, answered)
    free.extend(conversations)
    started = monotonic()

    def ring() -> float | None:
        """The next moment at which something is due."""
        while due and started + due[0] <= monotonic():
            unsent.append(started + due.popleft())
        send()
        return started + due[0] if due else None

    planned = len(due)
    with Alarm(asyncio.get_running_loop(), ring):
        while due or unsent or any(each.is_waiting for each in conversations):
            await asyncio.sleep(0.01)
            if monotonic() > started + seconds + LAST_ANSWERS_SECONDS:
                break
    took = max(seconds, monotonic() - started)
    return _ended(conversations, seen, took, lost=planned - len(seen.latencies_us))


def _moments(per_second: float, seconds: float) -> deque[float]:
    """The same for the same rate, so that both endpoints get the same."""
    chance, moments, moment = Random(per_second), deque[float](), 0.0  # noqa: S311 - it guards nothing
    while (moment := moment + chance.expovariate(per_second)) < seconds:
        moments.append(moment)
    return moments


async def _connected(port: int, connections: int, answered: Answered) -> list[Conversation]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Conversation(answered), "127.0.0.1", port) for _ in range(connections)]
    return [conversation for _, conversation in made]


def _ended(conversations: list[Conversation], seen: Seen, took: float, *, lost: int) -> Shot:
    for each in conversations:
        each.close()
    return shot_of(seen.latencies_us, seconds=took, errors=seen.errors + lost, late_us=seen.late_us)


def _keys(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    return dict(line.split(" ", 1) for line in file.read_text(encoding="ascii").splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, help="requests a second; without it as fast as they are answered")
    parser.add_argument("--keys", type=Path, help="tills and their keys: approvals are captured")
    given = parser.parse_args()
    requests, where = read(given.requests), {"connections": given.connections, "seconds": given.seconds}
    if given.rate:
        shot = uvloop.run(at_a_rate(requests, given.port, per_second=given.rate, **where))
    else:
        shot = uvloop.run(as_fast_as_it_answers(requests, given.port, keys=_keys(given.keys), **where))
    print(f"shot {orjson.dumps(asdict(shot)).decode()}")


if __name__ == "__main__":
    main()
