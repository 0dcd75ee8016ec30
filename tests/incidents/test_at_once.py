"""Money that others promised, took or gave back twice, because two came at once (rows 1 to 5 and 11).

Every call goes to two instances of the service on one database; who is told to wait repeats the call, as a till must.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from authz_service.vocabulary import with_luhn
from tests.harm import Premises, is_state_conflict, terminate_lanes
from tests.world import Reply, World, answered

OCTOBER = date(2024, 10, 1)


async def events(world: World, authorisation_id: str) -> list[tuple[str, int]]:
    shown = await world.get(f"/v1/authorizations/{authorisation_id}")
    return [(event["type"], event["amount"]) for event in shown["events"]]


NO_LIMIT = {"package_counting": "no_limit", "month_packages": None}
ROOM_FOR_FIVE: dict[str, tuple[dict[str, Any], int, str]] = {
    "entitlement": (
        NO_LIMIT | {"month_cap_rupiah": None, "package_rupiah": 360000}, 360000, "entitlement_exceeded"
    ),
    "month": (NO_LIMIT, 120000, "monthly_cap_exceeded"),
    "packages": ({"month_packages": 5}, 1000, "packages_used_up"),
    "packages on a voucher": (
        {"voucher_limit_packages": None, "voucher_approval_above_packages": None}, 1000, "packages_used_up"
    ),
}  # fmt: skip
"""Limit → the programme's terms, the amount of a purchase, and what the sixth one hears."""


@pytest.mark.parametrize("limit", ROOM_FOR_FIVE)
async def test_01_six_holds_were_accepted_on_room_for_five(pair: tuple[World, World], limit: str) -> None:
    """Row 1: a ledger let six holds of 1.000 through at once on a balance of 5.000. Here, whatever limits the
    family, of six purchases at once on room for five exactly five are approved; for eight families at a time."""
    one, two = pair
    terms, amount, refused = ROOM_FOR_FIVE[limit]
    await one.change(**terms)
    cards, tills = one.tills.cards[:8], one.tills.terminals[:4]
    if limit == "packages on a voucher":
        for card in cards:
            await one.vouched(OCTOBER, extra_packages=3, card=card)
    purchases = [(card, one.a_purchase(amount=amount, card_number=card.card_number)) for card in cards * 6]
    replies = await asyncio.gather(
        *(
            answered((one, two)[n % 2].sell, purchase, f"k{n}", till=tills[n % 4])
            for n, (_, purchase) in enumerate(purchases)
        )
    )
    for card in cards:
        told = [reply["reason"] for reply, (whose, _) in zip(replies, purchases, strict=True) if whose is card]
        assert Counter(told) == {"approved": 5, refused: 1}
        assert await one.wallet(card) == (1800000 - 5 * amount, 5 * amount, 0)
        assert (await one.month(OCTOBER, card))[0] == 5 * amount
    used = await one.database.fetch("SELECT packages_used FROM voucher")
    assert [row[0] for row in used] == ([3] * 8 if limit == "packages on a voucher" else [])
    await one.books_balance()


async def test_02_a_rejected_hold_could_still_be_committed(pair: tuple[World, World]) -> None:
    """Row 2: an inflight transaction that had been rejected was committed later on. Here a declined authorisation is
    never captured: by no id, by no till, at no time, and not when the reason of its decline is gone."""
    one, two = pair
    suspended = one.tills.cards[1]
    await one.database.execute(
        "UPDATE beneficiary SET status = 'suspended' WHERE beneficiary_id = $1", suspended.beneficiary_id
    )
    cash = [{"category": "tunai", "amount": 50000}, {"category": "ikan_kaleng", "amount": 1000}]
    purchases = [
        one.a_purchase(amount=300001),
        one.a_purchase(amount=300001, capture=True),
        one.a_purchase(lines=cash, partial_approval=True, capture=True),
        one.a_purchase(card_number=with_luhn("936000009999999")),
        one.a_purchase(card_number=suspended.card_number, capture=True),
    ]
    declined = [await one.sell(purchase, f"k{n}") for n, purchase in enumerate(purchases)]
    assert {reply["status"] for reply in declined} == {"declined"}
    before = await one.counts()

    await one.change(package_rupiah=None)
    await one.database.execute("UPDATE beneficiary SET status = 'active'")
    for hours in (0, 25):
        one.later(hours=hours)
        for each in declined:
            calls = [(one, f"{each['id']}-{hours}-one"), (two, f"{each['id']}-{hours}-two")]
            tries = [
                call
                for at, key in calls
                for call in (
                    answered(at.capture, each["id"], key=f"{key}-c"),
                    answered(at.capture, each["id"], key=f"{key}-p", amount=1, final=False),
                    answered(at.void, each["id"], key=f"{key}-v"),
                    answered(at.refund, each["id"], 1, key=f"{key}-r"),
                )
            ]
            assert all(is_state_conflict(reply, "declined") for reply in await asyncio.gather(*tries))
    for n, each in enumerate(declined):
        time_ordered = each["id"].partition("_")[2]
        others = [each["id"].upper(), f"cap_{time_ordered}", time_ordered, f"k{n}", each["stan"]]
        for name in others:
            assert (await one.capture(name, amount=1)).status == 404, name
        assert (await one.capture(each["id"], amount=1, till=one.other_till)).status == 404
        reversal = await one.reverse(idempotency_key=f"k{n}")
        assert (reversal["status"], reversal["reversed_amount"]) == ("declined", 0)
        assert is_state_conflict(await one.capture(each["id"], amount=1), "declined")
        assert await events(one, each["id"]) == [("declined", 0)]
    after = await one.counts()
    assert {table: after[table] - before[table] for table in ("hold", "transfer", "allowance")} == {
        "hold": 0,
        "transfer": 0,
        "allowance": 0,
    }
    assert await one.wallet() == await one.wallet(suspended) == (1800000, 0, 0)
    await one.books_balance()


async def test_03_parallel_commits_read_the_same_remainder(pair: tuple[World, World]) -> None:
    """Row 3: commits of one inflight hold that came at once all read the same rest and took more than was held. Here
    fifty captures at once, each key at both instances, stay within the hold, and each key has one answer."""
    one, two = pair
    held = await one.authorise(amount=150000)
    replies = await asyncio.gather(
        *(
            answered(at.capture, held["id"], key=f"c{n}", amount=4000, final=False)
            for n in range(50)
            for at in (one, two)
        )
    )
    for first, second in zip(replies[::2], replies[1::2], strict=True):
        assert (first.status, first.raw) == (second.status, second.raw)
        assert {first.headers.get("idempotent-replayed"), second.headers.get("idempotent-replayed")} == {None, "true"}
    assert Counter(reply.status for reply in replies[::2]) == {201: 37, 422: 13}
    captured = {reply["capture"]["id"]: reply["capture"]["amount"] for reply in replies if reply.status == 201}
    assert sum(captured.values()) == 37 * 4000
    assert await one.wallet() == (1650000, 2000, 148000)
    assert (await events(one, held["id"]))[1:] == [("captured", 4000)] * 37
    await one.books_balance()


async def test_03_of_fifty_final_commits_more_than_one_won(pair: tuple[World, World]) -> None:
    """Row 3, for captures that close the hold: one of fifty wins, the others hear that it did."""
    one, two = pair
    held = await one.authorise(amount=150000)
    replies = await asyncio.gather(
        *(answered((one, two)[n % 2].capture, held["id"], key=f"c{n}", amount=4000 + n) for n in range(50))
    )
    (winner,) = [reply for reply in replies if reply.status == 201]
    assert all(is_state_conflict(reply, "captured") for reply in replies if reply is not winner)
    spent = winner["capture"]["amount"]
    assert await one.wallet() == (1800000 - spent, 0, spent)
    assert await events(one, held["id"]) == [
        ("authorised", 150000),
        ("captured", spent),
        ("remainder_released", 150000 - spent),
    ]
    await one.books_balance()


async def test_03_one_commit_was_taken_with_each_of_its_amounts(pair: tuple[World, World]) -> None:
    """Row 3, for one key: of five amounts under the same key, at once, one is decided and the others are refused."""
    one, two = pair
    held = await one.authorise(amount=150000)
    replies = await asyncio.gather(
        *(
            answered((one, two)[amount % 2].capture, held["id"], key=f"c{n}", amount=4000 + amount, final=False)
            for n in range(10)
            for amount in range(5)
        )
    )
    spent = 0
    for n in range(10):
        of_the_key = replies[5 * n : 5 * n + 5]
        (winner,) = [reply for reply in of_the_key if reply.status == 201]
        assert {reply["code"] for reply in of_the_key if reply is not winner} == {"key_reused"}
        spent += winner["capture"]["amount"]
    assert await one.wallet() == (1650000, 150000 - spent, spent)
    await one.books_balance()


@dataclass(frozen=True, slots=True)
class Round:
    """One family's hold, and what is done to it at once."""

    number: int
    sold: Reply
    next_purchase: dict[str, Any]

    @property
    def key(self) -> str:
        return f"k{self.number}"


WAVES, FAMILIES = 6, 8


@pytest.mark.parametrize("captured", [0, 50000], ids=["nothing captured yet", "a part captured"])
async def test_04_commit_and_cancel_both_succeeded_and_the_events_came_twice(premises: Premises, captured: int) -> None:
    """Row 4: a commit and a cancel of one transaction both reported success, and each sent its events. Here capture,
    void, reversal and expiry (by a sweeper and by the family's next purchase) meet at the last instant of 48 holds:
    each ends in one state, by one event, and every caller hears the same."""
    seen = Counter[str]()
    async with premises.pair(sweep_seconds=0.003) as (one, two):
        for wave in range(WAVES):
            numbers = range(wave * FAMILIES, (wave + 1) * FAMILIES)
            rounds = [await a_round(one, number, captured) for number in numbers]
            # So that some of the holds are over when their calls arrive, and some are not yet.
            one.at(datetime.fromisoformat(rounds[FAMILIES // 2].sold["expires_at"]) - timedelta(milliseconds=15))
            outcomes = await asyncio.gather(*(all_at_once(one, two, each) for each in rounds))
            seen.update(outcomes)
        assert seen.total() == WAVES * FAMILIES
        assert len(seen) > 1, f"always the same one was first: {seen}"
        one.later(seconds=1)
        await one.books_balance()


async def a_round(world: World, number: int, captured: int) -> Round:
    card_number = world.tills.cards[number].card_number
    sold = await world.sell(world.a_purchase(card_number=card_number), f"k{number}")
    if captured:
        assert (await world.capture(sold["id"], amount=captured, final=False)).status == 201
    return Round(number, sold, world.a_purchase(amount=1000, card_number=card_number))


async def all_at_once(one: World, two: World, each: Round) -> str:
    """Who closed the hold; it was one, and everybody was told so."""
    authorisation_id, key = each.sold["id"], each.key
    here, there = (one, two) if each.number % FAMILIES < FAMILIES // 2 else (two, one)
    calls = [
        answered(here.capture, authorisation_id, key=f"c{key}", amount=40000),
        answered(there.void, authorisation_id, key=f"v{key}"),
        answered(there.reverse, key=f"r{key}", idempotency_key=key),
        answered(here.sell, each.next_purchase, f"n{key}"),
    ]
    # Each goes first in some rounds, and at both instances.
    first = each.number % len(calls)
    replies = await asyncio.gather(*calls[first:], *calls[:first])
    capture, void, reversal, _ = replies[len(calls) - first :] + replies[: len(calls) - first]
    shown, also = [await at.get(f"/v1/authorizations/{authorisation_id}") for at in (one, two)]
    assert shown.raw == also.raw
    happened = [(event["type"], event["amount"]) for event in shown["events"]]
    before = shown["captured_amount"] - (40000 if capture.status == 201 else 0)
    rest = 150000 - before
    closings = {
        "captured": [("captured", 40000), ("remainder_released", rest - 40000)],
        "voided": [("voided", rest)],
        "reversed": [("reversed", rest)],
        "expired": [("expired", rest)],
    }
    won = {
        "captured": capture.status == 201,
        "voided": void.status == 200,
        "reversed": reversal["reversed_amount"] > 0,
    }
    won["expired"] = not any(won.values())
    (winner,) = [name for name, is_so in won.items() if is_so]
    opening = [("authorised", 150000), *([("captured", before)] if before else [])]
    assert sorted(happened) == sorted(opening + closings[winner])
    assert shown["status"] == ("captured" if before else winner)
    assert (shown["held_amount"], reversal["status"]) == (0, shown["status"])
    assert reversal["undone"] is (shown["captured_amount"] == 0)
    if winner != "captured":
        assert is_state_conflict(capture, shown["status"])
    if winner != "voided":
        assert is_state_conflict(void, shown["status"])
    return winner


async def test_05_a_retried_reserve_held_twice_and_leaked_for_ever(pair: tuple[World, World]) -> None:
    """Row 5: a reserve that was sent again held the money a second time, and nothing ever gave that back. Here a
    repeat, many at once or a day later, changes no counter, and every one gets the first answer with its id."""
    one, two = pair
    purchase = one.a_purchase()
    first = await one.sell(purchase, "k")

    async def all_counters() -> tuple[Any, ...]:
        said = await one.metrics()
        decisions = {name: value for name, value in said.items() if name.startswith("authz_decisions_total")}
        return await one.counts(), await one.wallet(), await one.month(OCTOBER), decisions

    async def repeated() -> None:
        before = await all_counters()
        again = await asyncio.gather(*(answered((one, two)[n % 2].sell, purchase, "k") for n in range(20)))
        assert {(reply.status, reply.raw) for reply in again} == {(201, first.raw)}
        assert {reply.headers.get("idempotent-replayed") for reply in again} == {"true"}
        assert await all_counters() == before

    await repeated()
    await one.capture(first["id"], amount=50000, final=False)
    await repeated()
    one.later(hours=25)
    await repeated()
    assert (await one.get(f"/v1/authorizations/{first['id']}"))["held_amount"] == 0
    await one.authorise(amount=1000)
    assert await one.wallet() == (1749000, 1000, 50000)
    assert await one.month(OCTOBER) == (51000, 2)
    await repeated()
    await one.books_balance()


async def test_11_refunds_were_paid_twice_and_a_leg_was_silently_not_posted(pair: tuple[World, World]) -> None:
    """Row 11: refunds that came at once were paid twice, and of one a leg was missing without an error. Here forty
    refunds, each key at both instances, while connections are lost, give back no more than was captured; and each
    that was confirmed is in the books once, from the shop to the family, in wallet, month and hold alike."""
    one, two = pair
    bought = await one.authorise(capture=True)

    enough = asyncio.Event()

    async def lose_connections() -> None:
        while not enough.is_set():
            await terminate_lanes(one)
            await asyncio.sleep(0.15)

    losing = asyncio.create_task(lose_connections())
    replies = await asyncio.gather(
        *(answered(at.refund, bought["id"], 7000, key=f"r{n}") for n in range(40) for at in (one, two))
    )
    enough.set()
    await losing
    for first, second in zip(replies[::2], replies[1::2], strict=True):
        assert (first.status, first.raw) == (second.status, second.raw)
    assert Counter(reply.status for reply in replies[::2]) == {201: 21, 422: 19}
    confirmed = {reply["refund"]["id"] for reply in replies if reply.status == 201}
    posted = await one.database.fetch(
        "SELECT transfer_id, debit_account_id, credit_account_id, amount_rupiah FROM transfer WHERE kind = 'refund'"
    )
    assert {row["transfer_id"] for row in posted} == confirmed
    assert {tuple(row)[1:] for row in posted} == {(one.till.merchant_id, one.card.beneficiary_id, 7000)}
    assert len(posted) == len(confirmed) == 21
    shown = await two.get(f"/v1/authorizations/{bought['id']}")
    assert (shown["captured_amount"], shown["refunded_amount"]) == (150000, 147000)
    assert await one.wallet() == (1797000, 0, 3000)
    assert await one.month(OCTOBER) == (3000, 1)
    await one.books_balance()
