"""Who is let in to wait, and who is turned away because the wait would be too long."""

import asyncio
from http import HTTPStatus
from typing import Any

import pytest

from authz_service.clock import monotonic_seconds
from authz_service.problems import Overloaded
from authz_service.registry import Principal
from authz_service.requests import Expiry
from authz_service.settings import Settings
from authz_service.tracing import Names
from authz_service.vocabulary import MerchantId, ProgrammeId, TerminalId
from authz_service.waiting import Asked, Batch, WaitingRoom

PROGRAMME = ProgrammeId("samarinda-2024")
SETTINGS = Settings(lanes=2, batch_limit=64, admission_seconds=0.7)


def asked(number: int, programme_id: ProgrammeId = PROGRAMME) -> Asked:
    principal = Principal(
        programme_id=programme_id,
        merchant_id=MerchantId("m-1"),
        terminal_id=TerminalId(f"t-{number}"),
        key_digest=b"",
    )
    nothing: dict[str, Any] = dict.fromkeys(
        ("key_digest", "fingerprint", "original_digest", "card_digest", "authorisation_id")
    )
    return Asked(
        body=Expiry(),
        principal=principal,
        names=Names(f"req_{number}"),
        dry_run=False,
        deadline=monotonic_seconds() + 60,
        answer=asyncio.get_running_loop().create_future(),
        **nothing,
    )


async def let_in(room: WaitingRoom, arriving: int, programmes: int = 1) -> tuple[int, list[Overloaded]]:
    """How many of so many who come at once, of so many programmes in turn, wait, and what the others are told."""
    names = [ProgrammeId(f"{PROGRAMME}-{number}") for number in range(programmes)]
    waiting = [
        asyncio.ensure_future(room.answer(asked(number, names[number % programmes]))) for number in range(arriving)
    ]
    await asyncio.sleep(0)
    refused = [error for each in waiting if each.done() and isinstance(error := each.exception(), Overloaded)]
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return arriving - len(refused), refused


def served(room: WaitingRoom, requests: int, *, seconds: float) -> None:
    """The lanes have been serving batches of so many requests for a while."""
    for _ in range(50):
        batch = Batch(programme_id=PROGRAMME, asked=[asked(number) for number in range(requests)], cards=frozenset())
        room.done(batch, seconds)


@pytest.mark.parametrize("seconds", [0.002, 0.02, 0.1])
async def test_a_burst_after_a_quiet_hour_is_let_in(seconds: float) -> None:
    """A batch of one takes nearly as long as one of 64: by the request, 256 would be expected to wait for minutes."""
    room = WaitingRoom(SETTINGS)
    served(room, 1, seconds=seconds)
    assert await let_in(room, 256) == (256, [])


async def test_who_would_wait_too_long_is_turned_away_and_told_when_to_come_again() -> None:
    """One full batch is half a second away from a free lane, two are a whole one."""
    room = WaitingRoom(SETTINGS)
    served(room, SETTINGS.batch_limit, seconds=1.0)
    waiting, refused = await let_in(room, 200)
    assert waiting == SETTINGS.batch_limit + 1
    assert {(each.status, each.retry_after_seconds) for each in refused} == {
        (HTTPStatus.SERVICE_UNAVAILABLE, SETTINGS.retry_after_seconds)
    }


async def test_a_database_that_stood_still_for_minutes_turns_nobody_away_once_it_is_back() -> None:
    """Both lanes had a batch that took three minutes; before it a batch took 5 ms."""
    room = WaitingRoom(SETTINGS)
    served(room, 30, seconds=0.005)
    for _ in range(SETTINGS.lanes):
        room.done(Batch(programme_id=PROGRAMME, asked=[], cards=frozenset()), 180.0)
    assert await let_in(room, 2 * SETTINGS.batch_limit) == (2 * SETTINGS.batch_limit, [])


async def test_of_many_programmes_each_needs_a_batch_of_its_own() -> None:
    """Four batches of 0,3 s by two lanes are 0,6 s; a fifth programme would wait for longer than it may."""
    room = WaitingRoom(SETTINGS)
    served(room, 1, seconds=0.3)
    waiting, _ = await let_in(room, 100, programmes=10)
    assert waiting == 5
