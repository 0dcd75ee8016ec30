"""A reversal is always answered 201, and what it names is dead from then on, whatever was answered before."""

import asyncio
from typing import Any

import pytest

from tests.world import World, by_stan


async def metrics(world: World) -> str:
    async with world.http.get(world.base_url + "/metrics") as answer:
        return await answer.text()


@pytest.mark.parametrize("by_key", [True, False])
async def test_a_reversal_before_its_original_leaves_a_tombstone(world: World, by_key: bool) -> None:
    body = world.a_purchase()
    reply = await world.reverse(**({"idempotency_key": "k"} if by_key else by_stan(body)))
    assert (reply.status, reply["status"], reply["undone"], reply["reversed_amount"]) == (201, "not_known", True, 0)
    assert "authorization_id" not in reply.body
    late = await world.sell(body, "k")
    assert (late.status, late["code"]) == (409, "request_reversed")
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_a_repeat_gets_the_answer_of_the_first_also_under_a_new_key(world: World) -> None:
    body = world.a_purchase()
    await world.sell(body, "k")
    first = await world.reverse(key="r", **by_stan(body))
    same = await world.reverse(key="r", **by_stan(body))
    other = await world.reverse(key="r2", idempotency_key="k")
    assert (same.raw, same.headers["idempotent-replayed"]) == (first.raw, "true")
    assert (other.status, other.raw) == (201, first.raw)
    never = await world.reverse(stan="999999", terminal_time="2024-10-07T09:00:00+08:00")
    again = await world.reverse(stan="999999", terminal_time="2024-10-07T09:00:00+08:00")
    assert never.raw == again.raw
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_reversals_by_either_name_at_once_are_one(world: World) -> None:
    """One names the key, the other the STAN; decided in one batch, they say the same."""
    for round_ in range(20):
        key, body = f"k{round_}", world.a_purchase(card_number=world.tills.cards[round_].card_number)
        await world.sell(body, key)
        names = [{"idempotency_key": key}, by_stan(body)] * 2
        replies = await asyncio.gather(*(world.reverse(**name) for name in names))
        assert {reply.status for reply in replies} == {201}
        assert len({reply.raw for reply in replies}) == 1
    await world.books_balance()


async def test_captured_in_the_same_step_is_undone_whole(world: World) -> None:
    body = world.a_purchase(capture=True)
    sold = await world.sell(body, "k")
    reply = await world.reverse(idempotency_key="k")
    assert (reply["status"], reply["undone"], reply["reversed_amount"]) == ("reversed", True, 150000)
    assert await world.wallet() == (1800000, 0, 0)
    assert (await world.get(f"/v1/authorizations/{sold['id']}"))["status"] == "reversed"
    await world.books_balance()


async def test_what_a_later_call_captured_stands(world: World) -> None:
    body = world.a_purchase()
    sold = await world.sell(body, "k")
    await world.capture(sold["id"], amount=50000, final=False)
    reply = await world.reverse(idempotency_key="k")
    assert (reply["status"], reply["undone"], reply["reversed_amount"]) == ("captured", False, 100000)
    assert await world.wallet() == (1750000, 0, 50000)
    assert 'authz_alerts_total{kind="reversal_not_undone"}' in await metrics(world)
    assert (await world.sell(body, "k"))["code"] == "request_reversed"
    await world.books_balance()


async def test_a_decline_a_void_and_an_expiry_have_nothing_to_give_back_and_are_dead(world: World) -> None:
    declined, voided, expired = world.a_purchase(amount=300001), world.a_purchase(), world.a_purchase(amount=1000)
    await world.sell(declined, "d")
    await world.void((await world.sell(voided, "v"))["id"])
    await world.sell(expired, "e")
    world.later(hours=25)
    for key, status in (("d", "declined"), ("v", "voided"), ("e", "expired")):
        reply = await world.reverse(idempotency_key=key)
        assert (reply["status"], reply["undone"], reply["reversed_amount"]) == (status, True, 0)
    assert (await world.sell(declined, "d"))["code"] == "request_reversed"
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_only_the_terminal_that_sent_it_can_reverse(world: World) -> None:
    await world.sell(world.a_purchase(), "k")
    reply = await world.reverse(till=world.other_till, idempotency_key="k")
    assert reply["status"] == "not_known"
    assert await world.wallet() == (1650000, 150000, 0)


async def test_the_key_of_a_capture_is_no_authorise_request(world: World) -> None:
    sold = await world.authorise()
    await world.capture(sold["id"], key="c")
    reply = await world.reverse(idempotency_key="c")
    assert (reply.status, reply["undone"], reply["reversed_amount"]) == (201, False, 0)
    assert (await world.capture(sold["id"], key="c")).status == 201
    assert await world.wallet() == (1650000, 0, 150000)
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
async def test_a_reversal_names_exactly_one_request(world: World, body: dict[str, Any]) -> None:
    assert (await world.reverse(**body)).status == 422
