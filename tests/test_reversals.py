"""A reversal is always answered 201, and what it names is dead from then on, whatever was answered before."""

import asyncio
from typing import Any

import pytest

from tests.world import World, by_stan


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
    assert (await world.metrics())['authz_alerts_total{kind="reversal_not_undone"}'] >= 1
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


async def test_a_reversal_that_names_itself_is_refused_and_harms_nobody_in_its_batch(world: World) -> None:
    cards = world.tills.cards
    sales = [world.a_purchase(amount=1000, card_number=cards[place].card_number) for place in range(1, 8)]
    itself, *sold = await asyncio.gather(
        world.reverse(key="itself", idempotency_key="itself"),
        *(
            world.sell(body, f"k{place}", till=world.tills.terminals[place])
            for place, body in enumerate(sales, start=1)
        ),
    )
    assert (itself.status, itself["code"], itself["retryable"]) == (422, "key_reused", False)
    assert [reply.status for reply in sold] == [201] * len(sales)


async def test_a_late_original_takes_its_stan_with_it_when_its_key_was_reversed(world: World) -> None:
    body, other = world.a_purchase(amount=20000), world.a_purchase(amount=20000)
    await world.reverse(idempotency_key="k")
    assert (await world.sell(body, "k"))["code"] == "request_reversed"
    for key in ("k2", "k3", "k"):
        assert (await world.sell(body, key))["code"] == "request_reversed"
    assert (await world.sell(other, "k"))["code"] == "request_reversed"
    assert (await world.sell(other, "other"))["decision"] == "approved"
    assert await world.wallet() == (1780000, 20000, 0)
    await world.books_balance()


async def test_a_late_original_takes_its_key_with_it_when_its_stan_was_reversed(world: World) -> None:
    body, other = world.a_purchase(amount=20000), world.a_purchase(amount=20000)
    await world.reverse(**by_stan(body))
    assert (await world.sell(body, "k"))["code"] == "request_reversed"
    assert (await world.sell(other, "k"))["code"] == "request_reversed"
    assert (await world.sell(other, "other"))["decision"] == "approved"
    await world.books_balance()


async def test_originals_and_reversals_by_both_names_at_once_never_leave_a_sale_alive(world: World) -> None:
    for round_ in range(20):
        key, body = f"k{round_}", world.a_purchase(amount=20000)
        replies = await asyncio.gather(
            world.reverse(idempotency_key=key),
            world.sell(body, key),
            world.reverse(**by_stan(body)),
            world.sell(body, key),
        )
        assert [replies[0].status, replies[2].status] == [201, 201]
        assert (await world.sell(body, key))["code"] == "request_reversed"
        assert (await world.sell(body, f"{key}-again"))["code"] == "request_reversed"
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


@pytest.mark.parametrize("call", ["capture", "reversal"])
async def test_the_key_of_another_call_is_dead_as_well_and_every_reversal_of_it_says_the_same(
    world: World, call: str
) -> None:
    body = world.a_purchase(amount=20000)
    sold = await world.sell(body, "k")
    if call == "capture":
        await world.capture(sold["id"], key="named", amount=5000, final=False)
    else:
        await world.reverse(key="named", idempotency_key="never")
    replies = await asyncio.gather(*(world.reverse(key=f"r{place}", idempotency_key="named") for place in range(4)))
    await world.void(sold["id"])
    replies.append(await world.reverse(key="later", idempotency_key="named"))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.raw for reply in replies}) == 1
    assert (replies[0]["undone"], replies[0]["reversed_amount"]) == (False, 0)
    assert replies[0]["status"] == ("partly_captured" if call == "capture" else "not_known")
    again = (
        await world.capture(sold["id"], key="named", amount=5000, final=False)
        if call == "capture"
        else await world.reverse(key="named", idempotency_key="never")
    )
    assert (again.status, again["code"]) == (409, "request_reversed")
    await world.books_balance()
