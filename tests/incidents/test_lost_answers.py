"""Answers that others lost, invented, or could not give again (rows 6 to 8)."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from authz_service.keys import Keys
from authz_service.vocabulary import with_luhn
from tests.harm import A_RECORD, Premises, is_a_fault, wire_to
from tests.world import Reply, World, answered, by_stan

OCTOBER = date(2024, 10, 1)


@pytest.mark.parametrize("swept_by", ["nobody", "the next purchase", "the sweeper"])
async def test_06_a_confirm_after_the_expiry_sweep_was_dropped_but_reported_as_success(
    premises: Premises, swept_by: str
) -> None:
    """Row 6: a confirm that came after the sweep had expired its reserve did nothing, and was answered with success.
    Here a capture after the hold's time is told which state won, again and again alike, whoever wrote the expiry or
    nobody yet; and a capture that did succeed in time still says so."""
    sweep_seconds = 0.01 if swept_by == "the sweeper" else 3600.0
    async with premises.service(sweep_seconds=sweep_seconds) as world:
        held, partly = await world.authorise(), await world.authorise(amount=100000)
        in_time = await world.capture(partly["id"], key="in-time", amount=60000, final=False)
        world.at(datetime.fromisoformat(partly["expires_at"]) + timedelta(milliseconds=1))
        if swept_by == "the next purchase":
            assert (await world.authorise(amount=300000))["decision"] == "approved"
        while swept_by == "the sweeper" and await world.database.fetchval("SELECT sum(held_rupiah) FROM hold"):
            await asyncio.sleep(0.01)

        for authorisation, state in ((held, "expired"), (partly, "captured")):
            bodies: list[dict[str, Any]] = [{}, {"amount": 1}, {"amount": 1, "final": False}]
            for body in bodies:
                key = world.fresh_key()
                late, again = [await world.capture(authorisation["id"], key=key, **body) for _ in range(2)]
                assert (late.status, late["code"], late["response_code"]) == (409, "state_conflict", "12")
                assert (late["authorization_status"], late["retryable"]) == (state, False)
                assert (again.raw, again.headers["idempotent-replayed"]) == (late.raw, "true")
            assert (await world.void(authorisation["id"]))["authorization_status"] == state
            shown = await world.get(f"/v1/authorizations/{authorisation['id']}")
            assert (shown["status"], shown["held_amount"]) == (state, 0)
        again = await world.capture(partly["id"], key="in-time", amount=60000, final=False)
        assert (again.status, again.raw) == (201, in_time.raw)
        spent = await world.database.fetchval("SELECT sum(amount_rupiah) FROM transfer WHERE kind = 'post'")
        assert spent == 60000
        now_held = 300000 if swept_by == "the next purchase" else 0
        assert await world.wallet() == (1740000 - now_held, now_held, 60000)
        await world.books_balance()


async def test_07_ids_were_random_per_attempt_so_a_replay_after_a_crash_was_refused(premises: Premises) -> None:
    """Row 7: ids were drawn anew at each attempt, so the repeat of a request that had been written before a crash
    did not fit what was there, and was refused. Here the process is killed when a call of each kind is committed and
    not yet answered: the repeat gets byte for byte what was written, as often as it asks, and nothing is made again.
    """
    async with wire_to(premises.database_url) as (wire, through):
        wired = Premises(through, premises.redis_url, premises.tills, premises.directory)
        # A lane for each call: it is left waiting for the answer that the wire has heard.
        async with wired.child(lanes=8, deadline_seconds=20, stall_seconds=21) as (world, child):
            captured = await world.authorise(capture=True)
            second, third = world.tills.cards[1].card_number, world.tills.cards[2].card_number
            voided = await world.authorise(card_number=second)
            await world.authorise(card_number=second, key="reversed")
            held = await world.authorise(card_number=third)
            of = "/v1/authorizations"
            requests: dict[str, tuple[str, dict[str, Any], bytes]] = {
                "approval": (of, world.a_purchase(), A_RECORD),
                "decline": (of, world.a_purchase(amount=300001, card_number=third), A_RECORD),
                "unknown": (of, world.a_purchase(card_number=with_luhn("936000009999999")), A_RECORD),
                "capture": (f"{of}/{held['id']}/captures", {"amount": 60000, "final": False}, b"cap_0"),
                "too-much": (f"{of}/{held['id']}/captures", {"amount": 90001}, b"capture_exceeds_hold"),
                "void": (f"{of}/{voided['id']}/void", {"reason": "batal"}, b"trf_0"),
                "refund": (f"{of}/{captured['id']}/refunds", {"amount": 50000, "reason": "telur pecah"}, b"ref_0"),
                "reversal": ("/v1/reversals", {"idempotency_key": "reversed"}, b"rev_0"),
            }
            wire.stops = True
            sending = []
            for key, (path, body, written) in requests.items():
                wire.stopped.clear()
                wire.trigger = written
                sending.append(asyncio.create_task(world.post(path, body, key=key)))
                await asyncio.wait_for(wire.stopped.wait(), 5)
            child.process.kill()
            unheard = await asyncio.gather(*sending, return_exceptions=True)
            # With luck the head of an answer came through; its body did not.
            cut_off = aiohttp.ClientConnectionError | aiohttp.ClientPayloadError
            assert all(isinstance(each, cut_off) for each in unheard), unheard
            counts = await world.counts()
            await asyncio.to_thread(child.kill_and_restart)
            for key, (path, body, _) in requests.items():
                stored = await written_for(world, key)
                for _ in range(2):
                    again = await answered(world.post, path, body, key=key)
                    assert (again.status, again.raw) == stored, key
                    assert again.headers["idempotent-replayed"] == "true"
            assert await world.counts() == counts
            await world.books_balance()


async def test_07_killed_between_many_requests_it_did_not_answer_each_as_before(premises: Premises) -> None:
    """Row 7, with six tills at once and two kills at any moment: each request has one answer, the same afterwards."""
    async with premises.child() as (world, child):
        cards, tills = world.tills.cards, world.tills.terminals
        bodies = {f"k{n}": world.a_purchase(card_number=cards[n % 30].card_number, amount=1000 + n) for n in range(90)}
        replies: dict[str, Reply] = {}

        async def play(start: int) -> None:
            for key, body in list(bodies.items())[start::6]:
                replies[key] = await answered(world.sell, body, key, till=tills[start])
                await asyncio.sleep(0.005)

        async def kill() -> None:
            for share in (len(bodies) // 4, len(bodies) // 2):
                while len(replies) < share:
                    await asyncio.sleep(0.001)
                await asyncio.to_thread(child.kill_and_restart)

        await asyncio.gather(kill(), *map(play, range(6)))
        told = [reply["reason"] for reply in replies.values()]
        assert (told.count("approved"), told.count("packages_used_up")) == (60, 30)
        for n, (key, body) in enumerate(bodies.items()):
            again = await world.sell(body, key, till=tills[n % 6])
            assert (again.status, again.raw, again.headers["idempotent-replayed"]) == (201, replies[key].raw, "true")
        counts = await world.counts()
        assert (counts["authorisation"], counts["hold"]) == (90, 60)
        await world.books_balance()


@pytest.mark.parametrize("capture", [False, True], ids=["held", "captured at once"])
@pytest.mark.parametrize("by_key", [True, False], ids=["by key", "by stan"])
@pytest.mark.parametrize("heard", [True, False], ids=["approval heard", "approval lost"])
async def test_08_the_issuer_approved_after_the_network_had_declined(
    premises: Premises, redis_url: str, heard: bool, by_key: bool, capture: bool
) -> None:
    """Row 8: an issuer approved after 3,2 s what the network had declined after 3,0 s, and the money stayed held. Here
    the approval is written and its answer lost (or heard once, and replayed once); the till reverses, by key or by
    what the receipt says. Nothing is held any more, and the original is refused however and whenever it comes back."""
    limits: dict[str, Any] = {"deadline_seconds": 0.6, "record_reserve_seconds": 0.1, "stall_seconds": 0.5}
    async with premises.wired(**limits) as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        body = world.a_purchase(capture=capture)
        if heard:
            first, again = await world.sell(body, "k"), await world.sell(body, "k")
            assert (again.raw, again.headers["idempotent-replayed"]) == (first.raw, "true")
        else:
            wire.trigger, wire.stops = A_RECORD, True
            assert is_a_fault(await world.sell(body, "k"), "outcome_unknown")
        assert (await world.wallet())[0] == 1650000

        name: dict[str, Any] = {"idempotency_key": "k"} if by_key else by_stan(body)
        reply = await answered(world.reverse, key="r", **name)
        authorisation_id = await world.database.fetchval(
            "SELECT authorisation_id FROM authorisation WHERE beneficiary_id = $1", world.card.beneficiary_id
        )
        assert reply.status == 201
        assert reply.body == {
            "id": reply["id"],
            "status": "reversed",
            "undone": True,
            "reversed_amount": 150000,
            "authorization_id": authorisation_id,
        }
        await nothing_is_left(world)
        shown = await world.get(f"/v1/authorizations/{authorisation_id}")
        kinds = [event["type"] for event in shown["events"]]
        assert kinds == ["authorised", *(["captured"] if capture else []), "reversed"]

        redis: Redis = Redis.from_url(redis_url)
        await redis.flushall()
        await redis.aclose()
        for late in (await world.sell(body, "k"), await world.sell(body, "another"), await world.sell(body, "k")):
            assert (late.status, late["code"], late["response_code"]) == (409, "request_reversed", "12")
            assert "idempotent-replayed" not in late.headers
        assert (await answered(world.reverse, key="r", **name)).raw == reply.raw
        await nothing_is_left(world)


@pytest.mark.parametrize("by_key", [True, False], ids=["by key", "by stan"])
async def test_08_the_late_original_arrived_after_its_reversal(premises: Premises, by_key: bool) -> None:
    """Row 8, the other way round: the approval is decided and on its way to the books when the reversal overtakes it.
    What arrives later finds its name dead, is never written, and is refused."""
    async with premises.wired() as (world, wire):
        await world.authorise(card_number=world.tills.cards[9].card_number)
        body = world.a_purchase()
        wire.trigger, wire.holds = A_RECORD, True
        selling = asyncio.create_task(world.sell(body, "k"))
        await wire.stopped.wait()
        reversal = await world.reverse(**({"idempotency_key": "k"} if by_key else by_stan(body)))
        assert (reversal.status, reversal["status"], reversal["undone"]) == (201, "not_known", True)
        wire.let_go.set()
        late = await selling
        assert (late.status, late["code"]) == (409, "request_reversed")
        assert (await world.sell(body, "k"))["code"] == "request_reversed"
        await nothing_is_left(world)


async def test_08_an_original_and_its_reversal_at_once_left_money_held(pair: tuple[World, World]) -> None:
    """Row 8, with nothing between the two but chance: whoever is first, nothing stays held, the name is dead."""
    one, two = pair
    for n in range(16):
        body, key = one.a_purchase(amount=1000), f"k{n}"
        name = {"idempotency_key": key} if n % 2 else by_stan(body)
        here, there = (one, two) if n % 4 < 2 else (two, one)
        sold, first, second = await asyncio.gather(
            answered(here.sell, body, key), answered(there.reverse, **name), answered(here.reverse, **name)
        )
        assert (first.status, second.status, first.raw) == (201, 201, second.raw)
        assert sold.status == 201 or sold["code"] == "request_reversed"
        assert {(await at.sell(body, key))["code"] for at in (one, two)} == {"request_reversed"}
    await nothing_is_left(one)


async def nothing_is_left(world: World) -> None:
    """The family has its whole entitlement, its month and its packages, and the books say so too."""
    remaining = (await world.balance())["remaining"]
    assert (remaining["programme"], remaining["month"], remaining["packages_this_month"]) == (1800000, 600000, 2)
    assert await world.wallet() == (1800000, 0, 0)
    assert await world.month(OCTOBER) == (0, 0)
    await world.books_balance()


async def written_for(world: World, key: str) -> tuple[int, bytes]:
    """The answer that is stored for this key."""
    digest = Keys(world.settings.root_key.get_secret_value()).request_digest(key.encode())
    row = await world.database.fetchrow(
        "SELECT k.status, coalesce(k.answer, a.answer) FROM request_key k LEFT JOIN authorisation a"
        " ON a.authorisation_id = k.authorisation_id WHERE k.key_digest = $1",
        digest,
    )
    assert row is not None
    return row[0], row[1]
