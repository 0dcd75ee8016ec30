"""What an operator types about events, what is shown and done, and the exit code."""

import asyncio
import os
import re
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from authz_service.events.backlog import waiting_deliveries
from authz_service.events.endpoints import EndpointRefused, add_endpoint, disable, enable, rotate
from authz_service.events.kinds import TYPES, NoticeResolved
from authz_service.events.outbox import publish
from authz_service.events.record import ResendRefused, event_body, resend
from authz_service.orders import OrderRefused
from tests.events import SAMARINDA, Receiver, a_sender, an_endpoint, receiving, secret_of, verified
from tests.settling import batch_closed
from tests.test_reconcile_command import Typed
from tests.world import PROGRAMME, World

pytestmark = pytest.mark.timeout(300)
"""Each command is a process of its own, and on a busy machine takes seconds to start."""


async def typed(world: World, *words: str, columns: int = 80) -> Typed:
    """`authz …` beside the running service, on its clock, in a window of 80 columns."""
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
            "COLUMNS": str(columns),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await command.communicate()
    return Typed(command.returncode, out.decode(), err.decode())


async def happened(world: World, name: str) -> None:
    event = NoticeResolved(notice_id=name)
    await publish(world.database, PROGRAMME, event, at=world.now, chance=os.urandom)


async def test_what_was_told_is_shown_and_sent_again(world: World) -> None:
    async with receiving() as receiver, a_sender(world) as sender:
        endpoint_id = await an_endpoint(world, receiver.url, "settlement.*", "payout.*")
        await world.authorise(capture=True)
        await batch_closed(world)
        await sender.round()

        listed = (await typed(world, "events", "list")).out
        assert re.findall(r"evt_[0-9a-z]{26}", listed) == receiver.ids[::-1]
        assert all(len(line.rstrip()) <= 80 for line in listed.splitlines())
        assert listed.count("1 (0, 0)") == 2
        only = (await typed(world, "events", "list", "--type", "payout.*")).out
        assert re.findall(r"evt_[0-9a-z]{26}", only) == [receiver.ids[1]]
        for which, others in ((receiver.ids[0], [endpoint_id]), (endpoint_id, receiver.ids[::-1])):
            attempts = (await typed(world, "events", "attempts", which)).out
            assert re.findall(r"(?:evt|end)_[0-9a-z]{26}", attempts) == others
            assert all(len(line.rstrip()) <= 80 for line in attempts.splitlines())
            assert "delivered" in attempts

        since = await typed(world, "events", "resend", "--since", "2024-10-07", "--to", endpoint_id)
        assert since.out == "2 will be sent again.\n"
        await sender.round()
        assert receiver.ids[2:] == receiver.ids[:2]


async def test_an_endpoint_is_added_rotated_and_disabled(world: World) -> None:
    async with receiving() as receiver, a_sender(world) as sender:
        added = await typed(world, "events", "endpoint", "add", receiver.url, "--types", "*", "--label", "Dinsos [b]")
        assert (added.status, added.err) == (0, "")
        (endpoint_id,) = re.findall(r"end_[0-9a-z]{26}", added.out)
        assert added.out.splitlines()[-1] == secret_of(endpoint_id)
        await happened(world, "one")
        await sender.round()
        verified(receiver.heard[0], added.out.splitlines()[-1])
        shown = await typed(world, "events", "show", receiver.ids[0])
        assert shown.out.encode() == receiver.heard[0].raw + b"\n"
        rotated = await typed(world, "events", "endpoint", "rotate", endpoint_id, "--overlap-days", "1")
        assert rotated.out.strip() == secret_of(endpoint_id, 2)
        assert (await typed(world, "events", "endpoint", "disable", endpoint_id)).status == 0
        state = (await typed(world, "events", "endpoint", "list")).out
        for said in (endpoint_id, "Dinsos [b]", "secrets 1, 2; waiting 0", "DISABLED since 2", "by order"):
            assert said in state
    orders = (await typed(world, "programme", "orders", columns=300)).out
    for kind in ("endpoint_added", "endpoint_key_added", "endpoint_disabled"):
        assert kind in orders, orders
    assert "whsec_" not in orders


@pytest.mark.parametrize(
    "words",
    [
        ("endpoint", "add", "https://u:geheim@example.org/", "--types", "*", "--label", "x"),
        ("resend", "--since", "2024-10-07"),
    ],
)
async def test_a_refusal_is_one_sentence(world: World, words: tuple[str, ...]) -> None:
    refused = await typed(world, "events", *words, columns=300)
    assert refused.status == 1
    assert re.fullmatch(r"authz: [^\n]+\n", refused.err), refused.err
    assert "geheim" not in refused.err


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://example.org/"},
        {"url": "https://10.0.0.1/"},
        {"types": ["payout.paid"]},
        {"types": []},
        {"label": ""},
        {"actor": "9360000000000013"},
        {"actor": " "},
    ],
)
async def test_an_endpoint_that_is_refused_is_not_kept(world: World, changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {"url": "https://example.org/", "types": ["*"], "label": "x", "actor": "dinsos"}
    asked = {**good, **changes}
    place = (world.database, world.settings, SAMARINDA, asked.pop("url"))
    with pytest.raises((EndpointRefused, OrderRefused)):
        await add_endpoint(*place, **asked, now=world.now, chance=os.urandom)
    for table in ("event_endpoint", "event_secret", "office_order"):
        assert await world.database.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_what_is_not_there_is_said(world: World) -> None:
    how: Any = {"actor": "dinsos", "now": world.now, "chance": os.urandom}
    for order in (disable, enable):
        with pytest.raises(EndpointRefused, match="end_nobody"):
            await order(world.database, SAMARINDA, "end_nobody", **how)
    with pytest.raises(EndpointRefused, match="end_nobody"):
        await rotate(world.database, SAMARINDA, "end_nobody", overlap=timedelta(0), **how)
    with pytest.raises(ResendRefused):
        await resend(world.database, SAMARINDA, event_id="evt_nothing", **how)
    assert await event_body(world.database, SAMARINDA, "evt_nothing") is None


async def test_the_types_are_all_listed(world: World) -> None:
    shown = (await typed(world, "events", "types")).out
    assert [line.split()[0] for line in shown.splitlines()[1:] if line[:2].strip()] == list(TYPES)


async def test_what_waits_and_every_attempt_are_counted(world: World) -> None:
    async with receiving() as receiver, a_sender(world, sweep_seconds=0.0) as sender:
        receiver.answers = [500]
        await an_endpoint(world, receiver.url)
        await happened(world, "one")
        await happened(world, "two")
        before = (await world.metrics())['authz_event_attempts_total{outcome="refused"}']
        await sender.round()
        await sender.round()
    after = await world.metrics()
    assert after['authz_event_attempts_total{outcome="refused"}'] == before + 2
    waiting = await waiting_deliveries(world.database, SAMARINDA)
    assert waiting.deliveries == 2
    assert 0 < waiting.seconds < 60


async def test_the_commands_of_the_readme_run_as_they_stand_there(world: World) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    lines = readme.partition("## Other systems are told")[2].split("```")[1].strip().splitlines()
    async with receiving() as receiver, a_sender(world) as sender:
        ran = []
        for line in lines:
            ids = await _ids(world, receiver, sender)
            program, *words = shlex.split(line, comments=True)
            assert program == "authz"
            done = await typed(world, *(ids.get(word, word) for word in words))
            assert (done.status, done.err) == (0, ""), line
            ran.append(" ".join(words[:3] if words[1] == "endpoint" else words[:2]))
            if len(ran) == 1:
                await happened(world, "one")
        assert set(ran) == {
            *(f"events endpoint {name}" for name in ("add", "list", "rotate", "disable", "enable")),
            *(f"events {name}" for name in ("types", "list", "show", "attempts", "resend")),
        }


async def _ids(world: World, receiver: Receiver, sender: Any) -> dict[str, str]:
    await sender.round()
    endpoint_id = await world.database.fetchval("SELECT max(endpoint_id) FROM event_endpoint")
    event_id = await world.database.fetchval("SELECT max(event_id) FROM event")
    return {"https://dinsos.example/events": receiver.url, "end_…": endpoint_id or "", "evt_…": event_id or ""}
