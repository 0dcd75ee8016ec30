"""What the office types when families come and go: one sentence for what was done, one for what was refused."""

import asyncio
import os
import sys
from dataclasses import dataclass

import orjson

from tests.operators import a_card_number
from tests.world import World


@dataclass(frozen=True, slots=True)
class Typed:
    status: int | None
    out: str
    err: str


async def typed(world: World, *words: str, stdin: bytes = b"") -> Typed:
    """`authz …` beside the running service, on its clock."""
    settings = world.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.cli", *words),
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(settings.clock_offset_file),
            "AUTHZ_ACTOR": "dinsos",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await command.communicate(stdin)
    return Typed(command.returncode, out.decode(), err.decode())


async def test_a_family_is_suspended_and_resumed_and_its_changes_are_shown(world: World) -> None:
    who = world.card.beneficiary_id
    done = await typed(world, "family", "suspend", who, "--reason", "data diperiksa")
    assert (done.status, who in done.out) == (0, True)
    assert (await world.authorise())["reason"] == "beneficiary_suspended"
    again = await typed(world, "family", "suspend", who, "--reason", "data diperiksa")
    assert (again.status, again.out, again.err.startswith("authz: ")) == (1, "", True)
    assert (await typed(world, "family", "resume", who, "--reason", "data benar")).status == 0
    assert (await world.authorise())["decision"] == "approved"
    shown = (await typed(world, "family", "show", who)).out
    assert all(each in shown for each in ("data diperiksa", "data benar", "dinsos"))
    await world.books_balance()


async def test_a_newcomer_comes_from_a_file_and_needs_money_that_is_unallocated(world: World) -> None:
    card_number = a_card_number()
    content = orjson.dumps(
        {
            "name": "KELUARGA BARU",
            "nik": "6472050000990001",
            "companion": "P-001",
            "district_code": "64.72.05",
            "card_number": card_number,
        }
    )
    enter = ("family", "enter", "-", "--sandbox", "--reason", "verifikasi susulan")
    poor = await typed(world, *enter, stdin=content)
    assert (poor.status, poor.out) == (1, "")
    left = await typed(world, "family", "remove", world.card.beneficiary_id, "--reason", "data ganda")
    assert (left.status, "Rp1.800.000" in left.out) == (0, True)
    done = await typed(world, *enter, stdin=content)
    assert (done.status, card_number in done.out) == (0, False)
    assert (await world.authorise(card_number=card_number))["decision"] == "approved"
    assert (await typed(world, *enter, stdin=content)).status == 1
    assert (await typed(world, *enter, stdin=b'{"nik": "1"}')).status == 1
    await world.books_balance()


async def test_a_new_card_kills_the_old_one_and_a_cap_changes_with_a_month(world: World) -> None:
    card_number = a_card_number()
    who = world.card.beneficiary_id
    content = orjson.dumps({"card_number": card_number})
    done = await typed(world, "family", "card", who, "-", "--sandbox", "--reason", "kartu rusak", stdin=content)
    assert done.status == 0, done.err
    assert (await world.authorise())["reason"] == "card_blocked"
    assert (await world.authorise(card_number=card_number))["decision"] == "approved"
    assert (await typed(world, "cap", "set", "2024-11", "--rupiah", "400000", "--packages", "2")).status == 0
    late = await typed(world, "cap", "set", "2024-10", "--rupiah", "400000", "--packages", "2")
    assert (late.status, late.out) == (1, "")
