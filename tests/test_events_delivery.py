"""Events reach real receivers: signed, in order, again after a failure, and never lost when the service is killed."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from pydantic import SecretStr
from standardwebhooks import WebhookVerificationError

from authz_service.events.endpoints import disable, enable, endpoints, rotate
from authz_service.events.kinds import NoticeResolved
from authz_service.events.outbox import publish
from authz_service.events.record import event_body, resend
from tests.conftest import EnrolledTemplate
from tests.events import (
    SAMARINDA,
    Receiver,
    a_sender,
    an_endpoint,
    outcomes,
    receiving,
    secret_of,
    standing,
    verified,
)
from tests.harm import address_of
from tests.settling import batch_closed
from tests.world import PROGRAMME, World, running_child


async def happened(world: World, *names: str) -> None:
    """Things with these names, one after the other."""
    for name in names:
        event = NoticeResolved(notice_id=name)
        await publish(world.database, PROGRAMME, event, at=world.now, chance=os.urandom)


def names(receiver: Receiver) -> list[str]:
    return [each.body["data"]["notice_id"] for each in receiver.heard]


async def test_a_receiver_verifies_what_it_gets_with_another_implementation(world: World) -> None:
    async with receiving() as receiver, a_sender(world) as sender:
        endpoint_id = await an_endpoint(world, receiver.url, "settlement.*", "payout.*")
        await world.authorise(capture=True)
        await batch_closed(world)
        await sender.round()
    assert receiver.types == ["settlement.batch_closed", "payout.instructed"]
    for number, heard in enumerate(receiver.heard, start=1):
        body = verified(heard, secret_of(endpoint_id))
        assert list(body) == ["type", "timestamp", "data"]
        assert (body["data"]["programme_id"], body["data"]["number"]) == (PROGRAMME, number)
        assert body["timestamp"].startswith("2024-10-07T09:00:0")
        assert body["timestamp"].endswith("+08:00")
        assert heard.headers["content-type"] == "application/json"
        assert abs(int(heard.headers["webhook-timestamp"]) - time.time()) < 30
        assert len(heard.raw) < 20_000
        assert "." not in heard.event_id
    with pytest.raises(WebhookVerificationError):
        verified(receiver.heard[0], secret_of(endpoint_id, 2))
    assert await standing(world) == [("delivered", 1), ("delivered", 1)]


async def test_an_endpoint_gets_the_types_that_it_asked_for_from_then_on(world: World) -> None:
    async with receiving() as receiver, a_sender(world) as sender:
        await happened(world, "before")
        await sender.round()
        await an_endpoint(world, receiver.url, "notice.resolved")
        await happened(world, "after")
        await world.authorise(capture=True)
        await batch_closed(world)
        await sender.round()
    assert names(receiver) == ["after"]


async def test_while_a_secret_is_rotated_both_are_good_and_then_the_new_one_alone(world: World) -> None:
    how: Any = {"actor": "dinsos", "now": world.now, "chance": os.urandom}
    async with receiving() as receiver, a_sender(world) as sender:
        endpoint_id = await an_endpoint(world, receiver.url)
        number = await rotate(world.database, SAMARINDA, endpoint_id, overlap=timedelta(days=1), **how)
        await happened(world, "one")
        await sender.round()
        # At once: whoever learns that a secret is lost needs no overlap.
        await rotate(world.database, SAMARINDA, endpoint_id, overlap=timedelta(0), **how)
        await happened(world, "two")
        await sender.round()
    assert number == 2
    one, two = receiver.heard
    assert [len(each.headers["webhook-signature"].split()) for each in (one, two)] == [2, 1]
    verified(one, secret_of(endpoint_id, 1))
    verified(one, secret_of(endpoint_id, 2))
    verified(two, secret_of(endpoint_id, 3))
    with pytest.raises(WebhookVerificationError):
        verified(two, secret_of(endpoint_id, 2))


async def hangs(_: web.Request) -> int:
    await asyncio.sleep(3)
    return 204


async def drips(request: web.Request) -> web.StreamResponse:
    """A status at once and a body without end: the status is the answer."""
    response = web.StreamResponse(status=200, headers={"content-length": "1000000000"})
    await response.prepare(request)
    await response.write(b"x" * 100_000)
    return response


def away(status: int, **headers: str) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"location": "http://127.0.0.1:1/", **headers})

    return answer


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(500, "refused"), (400, "refused"), (503, "slow_down"), (hangs, "timed_out"), (away(302), "refused")],
    ids=["500", "400", "503", "hangs", "redirects"],
)
async def test_what_fails_is_sent_again_under_its_id_with_a_new_timestamp(
    world: World, answer: Any, outcome: str
) -> None:
    async with receiving() as receiver, a_sender(world, event_timeout_seconds=0.3) as sender:
        endpoint_id = await an_endpoint(world, receiver.url)
        receiver.answers = [answer, 204]
        await happened(world, "one")
        await sender.round()
        assert await standing(world) == [("pending", 1)]
        await asyncio.sleep(1.0)
        await sender.round()
    first, again = receiver.heard
    assert first.event_id == again.event_id
    assert first.raw == again.raw
    assert int(again.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    verified(again, secret_of(endpoint_id))
    assert await outcomes(world) == [outcome, "delivered"]
    assert await standing(world) == [("delivered", 2)]


async def test_an_answer_without_end_is_not_read(world: World) -> None:
    async with receiving() as receiver, a_sender(world, event_timeout_seconds=2.0) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [drips, 204]
        await happened(world, "one", "two")
        began = time.monotonic()
        await sender.round()
        assert time.monotonic() - began < 1.5
    assert await outcomes(world) == ["delivered", "delivered"]


async def test_nobody_there_is_an_attempt_like_others_and_nothing_of_an_answer_is_kept(world: World) -> None:
    async def talks(_: web.Request) -> web.Response:
        return web.Response(status=500, text="NIK 6472055205870001")

    async with receiving() as receiver, a_sender(world) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [talks]
        await happened(world, "one")
        await sender.round()
    async with a_sender(world) as sender:
        await sender.round()
    rows = await world.database.fetch("SELECT outcome, status, error FROM event_attempt ORDER BY attempt")
    assert [tuple(row) for row in rows] == [
        ("refused", 500, "answered 500"),
        ("unreachable", None, "ClientConnectorError"),
    ]


async def test_events_come_in_order_one_at_a_time(world: World) -> None:
    async def slow(_: web.Request) -> int:
        await asyncio.sleep(0.01)
        return 200

    async with receiving() as receiver, a_sender(world) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [slow]
        wanted = [str(n) for n in range(25)]
        await happened(world, *wanted)
        await sender.round()
    assert names(receiver) == wanted
    assert receiver.most_at_once == 1


async def test_one_event_that_always_fails_keeps_no_other_waiting(world: World) -> None:
    async def poisoned(request: web.Request) -> int:
        return 500 if b'"poison"' in await request.read() else 204

    async with receiving() as receiver, a_sender(world, event_retry_seconds=(0.0, 3600.0)) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [poisoned]
        await happened(world, "one", "poison", "two", "three")
        for _ in range(4):
            await sender.round()
    assert [name for name in names(receiver) if name != "poison"] == ["one", "two", "three"]
    assert await standing(world) == [("delivered", 1), ("pending", 2), ("delivered", 1), ("delivered", 1)]


async def test_who_takes_others_stays_when_one_event_is_given_up(world: World) -> None:
    async def poisoned(request: web.Request) -> int:
        return 500 if b'"poison"' in await request.read() else 204

    async with receiving() as receiver, a_sender(world, event_retry_seconds=(0.0,)) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [500, 204, poisoned]
        await happened(world, "poison")
        await sender.round()
        await happened(world, "other")
        receiver.answers = [poisoned]
        await world.database.execute("UPDATE event_delivery SET due_at = now() + interval '1 hour' WHERE number = 1")
        await sender.round()
        await world.database.execute("UPDATE event_delivery SET due_at = now() WHERE number = 1")
        await sender.round()
        (endpoint,) = await endpoints(world.database, SAMARINDA)
    assert await standing(world) == [("given_up", 2), ("delivered", 1)]
    assert endpoint.disabled_at is None


async def test_after_the_last_try_a_dead_endpoint_is_disabled_and_goes_on_once_it_is_enabled(world: World) -> None:
    how: Any = {"actor": "dinsos", "now": world.now, "chance": os.urandom}
    async with receiving() as receiver, a_sender(world, event_retry_seconds=(0.0, 0.0)) as sender:
        endpoint_id = await an_endpoint(world, receiver.url)
        receiver.answers = [500]
        await happened(world, "one", "two")
        for _ in range(6):
            await sender.round()
        (endpoint,) = await endpoints(world.database, SAMARINDA)
        assert (endpoint.disabled_because, endpoint.waiting) == ("dead", 1)
        assert names(receiver) == ["one"] * 3
        receiver.answers = [204]
        await happened(world, "while it was disabled")
        await sender.round()
        await enable(world.database, SAMARINDA, endpoint_id, **how)
        await sender.round()
        assert names(receiver)[3:] == ["two"]
        # What was given up, and what happened meanwhile, is sent when somebody asks for it.
        since = world.now - timedelta(hours=1)
        assert await resend(world.database, SAMARINDA, endpoint_id=endpoint_id, since=since, **how) == 3
        await sender.round()
        assert names(receiver)[4:] == ["one", "two", "while it was disabled"]
    assert len(set(receiver.ids)) == 3
    assert await standing(world) == [("delivered", 4), ("delivered", 2), ("delivered", 1)]


async def test_410_disables_the_endpoint_at_once(world: World) -> None:
    async with receiving() as receiver, a_sender(world) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [410]
        await happened(world, "one", "two")
        for _ in range(3):
            await sender.round()
        (endpoint,) = await endpoints(world.database, SAMARINDA)
    assert (names(receiver), endpoint.disabled_because, endpoint.waiting) == (["one"], "gone", 2)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [({"retry-after": "120"}, 120), ({"retry-after": "999999999"}, 600), ({"retry-after": "bald"}, 5)],
)
async def test_a_receiver_that_asks_for_time_gets_it_up_to_the_limit(
    world: World, headers: dict[str, str], waits: int
) -> None:
    limits: Any = {"event_retry_seconds": (5.0,), "event_retry_after_limit_seconds": 600.0}
    async with receiving() as receiver, a_sender(world, event_rest_limit_seconds=5.0, **limits) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [away(429, **headers), 204]
        await happened(world, "one", "two")
        await sender.round()
        await sender.round()
    assert names(receiver) == ["one"]
    due = await world.database.fetchval(
        "SELECT extract(epoch FROM due_at - now())::float8 FROM event_delivery WHERE tries = 1"
    )
    assert waits - 2 < due < waits * 1.11
    rests = await world.database.fetchval("SELECT extract(epoch FROM rests_until - now())::float8 FROM event_endpoint")
    assert (rests > 100) == (waits > 100)


async def test_an_endpoint_that_fails_does_not_slow_another_one(world: World) -> None:
    async with receiving() as slow, receiving() as good, a_sender(world, event_timeout_seconds=1.0) as sender:
        await an_endpoint(world, slow.url)
        await an_endpoint(world, good.url)
        slow.answers = [hangs]
        await happened(world, *"abcdef")
        turning = asyncio.create_task(sender.round())
        await good.has(6, seconds=0.9)
        await turning
    assert names(good) == list("abcdef")


async def test_an_order_to_disable_holds_from_the_next_event_on(world: World) -> None:
    how: Any = {"actor": "dinsos", "now": world.now, "chance": os.urandom}
    async with receiving() as receiver, a_sender(world) as sender:
        endpoint_id = await an_endpoint(world, receiver.url)

        async def disables(_: web.Request) -> int:
            await disable(world.database, SAMARINDA, endpoint_id, **how)
            return 204

        receiver.answers = [disables]
        await happened(world, "one", "two")
        await sender.round()
    assert names(receiver) == ["one"]


async def test_an_address_that_was_allowed_and_is_not_any_more_is_not_called(world: World) -> None:
    """As after the sandbox: the same database under a secret root key."""
    async with receiving() as receiver, a_sender(world, root_key=SecretStr("a secret one")) as sender:
        await an_endpoint(world, receiver.url)
        await happened(world, "one")
        await sender.round()
    assert receiver.heard == []
    assert await outcomes(world) == ["forbidden"]


async def test_a_name_that_leads_into_a_private_network_is_not_called(world: World) -> None:
    """What DNS says is judged, not how the address is written."""
    async with receiving() as receiver, a_sender(world, root_key=SecretStr("a secret one")) as sender:
        await an_endpoint(world, receiver.url)
        port = receiver.url.split(":")[2].partition("/")[0]
        for host in ("localhost", "2130706433", "0x7f000001", "127.1"):
            await world.database.execute("UPDATE event_endpoint SET url = $1", f"https://{host}:{port}/")
            await happened(world, host)
            await sender.round()
    assert receiver.heard == []
    # Odd ways to write an address are refused here, whatever the HTTP client or the resolver makes of them.
    assert await outcomes(world) == ["forbidden"] * 4


async def test_several_dispatchers_at_once_send_nothing_twice_while_all_is_well(world: World) -> None:
    async def takes_a_moment(_: web.Request) -> int:
        await asyncio.sleep(0.002)
        return 204

    async with receiving() as one, receiving() as two, a_sender(world) as a, a_sender(world) as b, a_sender(world) as c:
        for receiver in (one, two):
            receiver.answers = [takes_a_moment]
            await an_endpoint(world, receiver.url)
        wanted = [str(n) for n in range(60)]

        async def happen() -> None:
            for name in wanted:
                await happened(world, name)

        async def turn(sender: Any) -> None:
            for _ in range(20):
                await sender.round()
                await asyncio.sleep(0.003)

        await asyncio.gather(happen(), *map(turn, (a, b, c)))
        await a.round()
    for receiver in (one, two):
        assert names(receiver) == wanted
        assert receiver.most_at_once == 1
    assert set(await standing(world)) == {("delivered", 1)}


async def test_a_service_that_stops_ends_what_is_under_way_and_keeps_it(world: World) -> None:
    async def takes_time(_: web.Request) -> int:
        await asyncio.sleep(0.5)
        return 204

    async with receiving() as receiver, a_sender(world, event_seconds=0.05) as sender:
        await an_endpoint(world, receiver.url)
        receiver.answers = [takes_time]
        await happened(world, "one", "two")
        running = asyncio.create_task(sender.dispatcher.dispatch_for_ever())
        await receiver.has(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert names(receiver) == ["one"]
    assert await standing(world) == [("delivered", 1), ("pending", 0)]
    assert await world.database.fetchval("SELECT claim FROM event_endpoint") is None


@asynccontextmanager
async def leases_of_less_than_a_second(world: World, database_url: str) -> AsyncIterator[None]:
    """Each is let end long before its time: settings that are so short are refused."""
    other = await asyncpg.connect(database_url)

    async def end_them() -> None:
        while True:
            await asyncio.sleep(0.05)
            await other.execute(
                "UPDATE event_endpoint SET claimed_until = clock_timestamp()"
                " WHERE claimed_until > clock_timestamp() AND claimed_until < clock_timestamp() + $1::interval",
                timedelta(seconds=world.settings.event_lease_seconds - 0.4),
            )

    ending = asyncio.create_task(end_them())
    try:
        yield
    finally:
        ending.cancel()
        await asyncio.wait([ending])
        await other.close()


async def test_a_service_that_is_killed_in_the_middle_of_a_delivery_sends_the_event_again(
    enrolled_url: str, redis_url: str, tmp_path: Any, enrolled: EnrolledTemplate
) -> None:
    """kill -9 while the receiver has the event and has not answered; then again and again at any point."""
    async with (
        receiving() as receiver,
        running_child(enrolled_url, redis_url, tmp_path, enrolled.tills, event_seconds=0.05) as (world, child),
        leases_of_less_than_a_second(world, enrolled_url),
    ):
        await an_endpoint(world, receiver.url)
        receiver.answers = [hangs, 204]
        await happened(world, "first")
        await receiver.has(1)
        child.kill_and_restart()
        await receiver.has(2)
        assert receiver.ids[0] == receiver.ids[1]
        for n in range(4):
            await happened(world, *(f"{n}-{m}" for m in range(20)))
            await receiver.has(len(receiver.heard) + 3 + 4 * n)
            child.kill_and_restart()
        async with asyncio.timeout(60):
            while set(await standing(world)) and {state for state, _ in await standing(world)} != {"delivered"}:
                await asyncio.sleep(0.05)
            while await world.database.fetchval("SELECT count(*) FROM event WHERE number IS NULL"):
                await asyncio.sleep(0.05)
    heard = list(dict.fromkeys(names(receiver)))
    assert heard == ["first", *(f"{n}-{m}" for n in range(4) for m in range(20))]


async def test_one_event_is_sent_again_to_one_endpoint_and_its_log_goes_on(world: World) -> None:
    how: Any = {"actor": "dinsos", "now": world.now, "chance": os.urandom}
    async with receiving() as one, receiving() as two, a_sender(world) as sender:
        endpoint_id = await an_endpoint(world, one.url)
        await an_endpoint(world, two.url)
        await happened(world, "a", "b")
        await sender.round()
        event_id = one.ids[0]
        assert await resend(world.database, SAMARINDA, event_id=event_id, endpoint_id=endpoint_id, **how) == 1
        await sender.round()
        assert (names(one), names(two)) == (["a", "b", "a"], ["a", "b"])
        assert await resend(world.database, SAMARINDA, event_id=event_id, **how) == 2
        await sender.round()
        assert (names(one), names(two)) == (["a", "b", "a", "a"], ["a", "b", "a"])
    assert {each.raw for each in one.heard if each.event_id == event_id} == {
        await event_body(world.database, SAMARINDA, event_id)
    }
    assert await world.database.fetchval("SELECT count(*) FROM event_attempt") == 7
    kinds = await world.database.fetch("SELECT kind FROM office_order ORDER BY kind")
    assert [row[0] for row in kinds] == ["endpoint_added"] * 2 + ["events_resent"] * 2


async def test_a_database_that_is_away_is_no_end_of_it(world: World) -> None:
    """A round in which PostgreSQL ends every connection is a warning; the next one sends."""
    async with receiving() as receiver, a_sender(world) as sender:
        await an_endpoint(world, receiver.url)

        async def cuts(_: web.Request) -> int:
            other = await asyncpg.connect(address_of(world))
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'authz-office' AND datname = current_database()"
            )
            await other.close()
            return 204

        receiver.answers = [cuts, 204]
        await happened(world, "one")
        await sender.round()
        await world.database.execute("UPDATE event_endpoint SET claimed_until = now() WHERE claim IS NOT NULL")
        for _ in range(3):
            await sender.round()
    assert set(names(receiver)) == {"one"}
    assert [state for state, _ in await standing(world)] == ["delivered"]
