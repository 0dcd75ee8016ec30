"""What is sent: requests as bytes, written before the clock runs, so that making them costs the measurement nothing.

A file of requests is a row of records: eight digits that say how long the request is, then the request.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import orjson

from authz_service.enrolment.sandbox import SandboxTerminal

LENGTH_DIGITS: Final = 8
STANS: Final = 1_000_000
BUSY_CARD_EVERY: Final = 10
"""One request in so many names the busy card."""
THREE_LINES: Final = (
    {
        "category": "beras",
        "product": "beras premium",
        "unit": "kg",
        "quantity": "5",
        "unit_price": 15_400,
        "amount": 77_000,
    },
    {
        "category": "telur",
        "product": "telur ayam ras",
        "unit": "kg",
        "quantity": "2",
        "unit_price": 30_000,
        "amount": 60_000,
    },
    {"category": "ikan_kaleng", "amount": 13_000},
)
PERMITTED: Final = {"amount": 150_000, "currency": "IDR", "lines": THREE_LINES}
NOT_PERMITTED: Final = {
    "amount": 150_000,
    "currency": "IDR",
    "lines": [*THREE_LINES[:2], {"category": "rokok", "amount": 13_000}],
}


@dataclass(slots=True)
class Traffic:
    """Requests of random cards, the tills in turn, so that no till has two of its requests waiting for long.

    No two requests of a run share a key, or a STAN with its time: the number counts them, the mark is the run's.
    """

    cards: Sequence[str]
    tills: Sequence[SandboxTerminal]
    chance: Random
    mark: str
    numbers: "count[int]"

    def purchases(self, goods: Mapping[str, object], requests: int) -> Iterator[bytes]:
        for _ in range(requests):
            yield self._purchase(goods, self.chance.choice(self.cards))

    def purchases_with_a_busy_card(self, goods: Mapping[str, object], requests: int) -> Iterator[bytes]:
        """One card, drawn anew each time this is called, in one request of ten."""
        busy = self.chance.choice(self.cards)
        for number in range(requests):
            yield self._purchase(goods, self.chance.choice(self.cards) if number % BUSY_CARD_EVERY else busy)

    def balance_inquiries(self, requests: int) -> Iterator[bytes]:
        for _ in range(requests):
            body = orjson.dumps({"card_number": self.chance.choice(self.cards)})
            yield request("/v1/balance-inquiries", body, till_key=self._till(next(self.numbers)).key, key=None)

    def _purchase(self, goods: Mapping[str, object], card: str) -> bytes:
        number = next(self.numbers)
        body = {
            "card_number": card,
            "stan": f"{number % STANS:06d}",
            "terminal_time": datetime.fromtimestamp(1_733_000_000 + number // STANS, UTC).isoformat(),
            **goods,
        }
        key = f"{self.mark}-{number}"
        return request("/v1/authorizations", orjson.dumps(body), till_key=self._till(number).key, key=key)

    def _till(self, number: int) -> SandboxTerminal:
        return self.tills[number % len(self.tills)]


def capture(authorisation_id: str, key: str) -> bytes:
    """Of the whole hold, under a key of its own; `wrk.lua` writes the same."""
    return request(f"/v1/authorizations/{authorisation_id}/captures", b"{}", till_key=key, key=authorisation_id)


def request(path: str, body: bytes, *, till_key: str, key: str | None) -> bytes:
    """As it goes over the wire."""
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {till_key}",
        *([f"Idempotency-Key: {key}"] if key else []),
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def write(requests: Iterator[bytes], file: Path) -> int:
    """How many the file holds now."""
    written = 0
    with file.open("wb") as written_to:
        for each in requests:
            written_to.write(b"%0*d" % (LENGTH_DIGITS, len(each)))
            written_to.write(each)
            written += 1
    return written


def read(file: Path) -> list[bytes]:
    """What `write` wrote."""
    requests, rest = [], memoryview(file.read_bytes())
    while rest:
        length = int(rest[:LENGTH_DIGITS])
        requests.append(bytes(rest[LENGTH_DIGITS : LENGTH_DIGITS + length]))
        rest = rest[LENGTH_DIGITS + length :]
    return requests


def write_keys(tills: Sequence[SandboxTerminal], file: Path) -> None:
    """A line for each till: its id and its key, for whoever captures what a till has authorised."""
    file.write_text("".join(f"{till.terminal_id} {till.key}\n" for till in tills), encoding="ascii")
