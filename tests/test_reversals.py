"""A reversal is always answered 201, and what it names is dead from then on, whatever was answered before."""

import asyncio
from typing import Any

import pytest

from tests.world import Reply, World


async def reverse(world: World, *, key: str | None = None, till: Any = None, **body: Any) -> Reply:
    return await world.post("/v1/reversals", body, key=key or world.fresh_key(), till=till)


def named(body: dict[str, Any]) -> dict[str, str]:
    return {"stan": body["stan"], "terminal_time": body["terminal_time"]}


async def sell(world: World, body: dict[str, Any], key: str) -> Reply:
    return await world.post("/v1/authorizations", body, key=key)


async def metrics(world: World) -> str:
    async with world.http.get(world.base_url + "/metrics") as answer:
        return await answer.text()


@pytest.mark.parametrize("by_key", [True, False])
async def test_a_held_sale_is_undone_and_its_request_is_dead(world: World, by_key: bool) -> None:
    """Incident 8: our answer was lost, the terminal reverses, and the late original is refused."""
    body = world.a_purchase()
    sold = await sell(world, body, "k")
    reply = await reverse(world, **({"idempotency_key": "k"} if by_key else named(body)))
    assert reply.status == 201
    assert reply.body == {
        "id": reply["id"],
        "status": "reversed",
        "undone": True,
        "reversed_amount": 150000,
        "authorization_id": sold["id"],
    }
    assert await world.wallet() == (1800000, 0, 0)
    assert (await world.balance())["remaining"]["packages_this_month"] == 2
    for late in (await sell(world, body, "k"), await sell(world, body, "another")):
        assert (late.status, late["code"], late["response_code"]) == (409, "request_reversed", "12")
    shown = await world.get(f"/v1/authorizations/{sold['id']}")
    assert [event["type"] for event in shown["events"]] == ["authorised", "reversed"]
    await world.books_balance()


@pytest.mark.parametrize("by_key", [True, False])
async def test_a_reversal_before_its_original_leaves_a_tombstone(world: World, by_key: bool) -> None:
    body = world.a_purchase()
    reply = await reverse(world, **({"idempotency_key": "k"} if by_key else named(body)))
    assert (reply.status, reply["status"], reply["undone"], reply["reversed_amount"]) == (201, "not_known", True, 0)
    assert "authorization_id" not in reply.body
    late = await sell(world, body, "k")
    assert (late.status, late["code"]) == (409, "request_reversed")
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_a_repeat_gets_the_answer_of_the_first_also_under_a_new_key(world: World) -> None:
    body = world.a_purchase()
    await sell(world, body, "k")
    first = await reverse(world, key="r", **named(body))
    same = await reverse(world, key="r", **named(body))
    other = await reverse(world, key="r2", idempotency_key="k")
    assert (same.raw, same.headers["idempotent-replayed"]) == (first.raw, "true")
    assert (other.status, other.raw) == (201, first.raw)
    never = await reverse(world, stan="999999", terminal_time="2024-10-07T09:00:00+08:00")
    again = await reverse(world, stan="999999", terminal_time="2024-10-07T09:00:00+08:00")
    assert never.raw == again.raw
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_captured_in_the_same_step_is_undone_whole(world: World) -> None:
    body = world.a_purchase(capture=True)
    sold = await sell(world, body, "k")
    reply = await reverse(world, idempotency_key="k")
    assert (reply["status"], reply["undone"], reply["reversed_amount"]) == ("reversed", True, 150000)
    assert await world.wallet() == (1800000, 0, 0)
    assert (await world.get(f"/v1/authorizations/{sold['id']}"))["status"] == "reversed"
    await world.books_balance()


async def test_what_a_later_call_captured_stands(world: World) -> None:
    body = world.a_purchase()
    sold = await sell(world, body, "k")
    await world.capture(sold["id"], amount=50000, final=False)
    reply = await reverse(world, idempotency_key="k")
    assert (reply["status"], reply["undone"], reply["reversed_amount"]) == ("captured", False, 100000)
    assert await world.wallet() == (1750000, 0, 50000)
    assert 'authz_alerts_total{kind="reversal_not_undone"}' in await metrics(world)
    assert (await sell(world, body, "k"))["code"] == "request_reversed"
    await world.books_balance()


async def test_a_decline_a_void_and_an_expiry_have_nothing_to_give_back_and_are_dead(world: World) -> None:
    declined, voided, expired = world.a_purchase(amount=300001), world.a_purchase(), world.a_purchase(amount=1000)
    await sell(world, declined, "d")
    await world.void((await sell(world, voided, "v"))["id"])
    await sell(world, expired, "e")
    world.later(hours=25)
    for key, status in (("d", "declined"), ("v", "voided"), ("e", "expired")):
        reply = await reverse(world, idempotency_key=key)
        assert (reply["status"], reply["undone"], reply["reversed_amount"]) == (status, True, 0)
    assert (await sell(world, declined, "d"))["code"] == "request_reversed"
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_only_the_terminal_that_sent_it_can_reverse(world: World) -> None:
    await sell(world, world.a_purchase(), "k")
    reply = await reverse(world, till=world.other_till, idempotency_key="k")
    assert reply["status"] == "not_known"
    assert await world.wallet() == (1650000, 150000, 0)


async def test_the_key_of_a_capture_is_no_authorise_request(world: World) -> None:
    sold = await world.authorise()
    await world.capture(sold["id"], key="c")
    reply = await reverse(world, idempotency_key="c")
    assert (reply.status, reply["undone"], reply["reversed_amount"]) == (201, False, 0)
    assert (await world.capture(sold["id"], key="c")).status == 201
    assert await world.wallet() == (1650000, 0, 150000)
    await world.books_balance()


async def test_an_original_and_its_reversal_at_once_leave_nothing_held(world: World) -> None:
    for n in range(12):
        body, key = world.a_purchase(amount=1000), f"k{n}"
        name = {"idempotency_key": key} if n % 2 else named(body)
        requests = [sell(world, body, key), reverse(world, **name), reverse(world, **name)]
        sold, first, second = await asyncio.gather(*requests)
        assert (first.status, second.status, first.raw) == (201, 201, second.raw)
        assert sold.status == 201 or sold["code"] == "request_reversed"
        assert (await sell(world, body, key))["code"] == "request_reversed"
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_capture_void_and_reversal_at_once_have_one_winner(world: World) -> None:
    """Incident 4."""
    for n in range(6):
        card = world.tills.cards[n]
        body = world.a_purchase(card_number=card.card_number)
        sold = await sell(world, body, f"k{n}")
        captured, voided, reversal = await asyncio.gather(
            world.capture(sold["id"]), world.void(sold["id"]), reverse(world, idempotency_key=f"k{n}")
        )
        assert [captured.status == 201, voided.status == 200, reversal["reversed_amount"] > 0].count(True) == 1
        assert reversal["undone"] is (captured.status != 201)
    await world.books_balance()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"stan": "000001"},
        {"terminal_time": "2024-10-07T09:00:00+08:00"},
        {"stan": "000001", "terminal_time": "2024-10-07T09:00:00+08:00", "idempotency_key": "k"},
        {"idempotency_key": ""},
        {"idempotency_key": "with blank"},
    ],
)
async def test_a_reversal_names_exactly_one_request(world: World, body: dict[str, str]) -> None:
    assert (await reverse(world, **body)).status == 422
