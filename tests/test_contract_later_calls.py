"""The later life of a hold, the balance and the catalogue, as `contract.md` has them, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authz_service.vouching import vouch
from tests.conftest import EnrolledTemplate
from tests.world import PROGRAMME, WITA, Reply, World, running

OCTOBER = date(2024, 10, 1)
NOVEMBER = date(2024, 11, 1)


@pytest.fixture
async def held(world: World) -> Reply:
    """A hold of Rp150.000."""
    return await world.authorise()


def amounts(document: dict[str, Any]) -> tuple[str, int, int, int]:
    """status, held, captured, refunded."""
    return document["status"], document["held_amount"], document["captured_amount"], document["refunded_amount"]


def a_problem(reply: Reply) -> tuple[int, str, str, bool]:
    assert reply.headers["content-type"] == "application/problem+json"
    return reply.status, reply["code"], reply["response_code"], reply["retryable"]


def the_end_of(held: Reply) -> datetime:
    """`expires_at`, which is shown to the millisecond before."""
    return datetime.fromisoformat(held["expires_at"]) + timedelta(milliseconds=1)


def without_receipt(reply: Reply) -> dict[str, Any]:
    """What later answers repeat: the receipt was for the moment of the decision."""
    return {name: value for name, value in reply.body.items() if name != "receipt"}


def events(reply: Reply) -> list[tuple[str, int]]:
    return [(event["type"], event["amount"]) for event in reply["events"]]


# --- Capture ---------------------------------------------------------------------------------------------------------


async def test_a_capture_without_an_amount_takes_the_whole_hold(world: World, held: Reply) -> None:
    reply = await world.post(f"/v1/authorizations/{held['id']}/captures", key="c")
    assert reply.status == 201
    assert set(reply.body) == {"capture", "authorization"}
    assert set(reply["capture"]) == {"id", "amount", "created_at"}
    assert reply["capture"]["id"].startswith("cap_")
    assert reply["capture"]["amount"] == 150000
    assert amounts(reply["authorization"]) == ("captured", 0, 150000, 0)
    changed = {"status", "held_amount", "captured_amount", "receipt"}
    assert {k: v for k, v in reply["authorization"].items() if k not in changed} == {
        k: v for k, v in held.body.items() if k not in changed
    }
    assert "receipt" not in reply["authorization"]
    assert await world.wallet() == (1650000, 0, 150000)
    assert await world.month(OCTOBER) == (150000, 1)
    await world.books_balance()


async def test_a_final_capture_of_less_gives_the_rest_back_and_keeps_the_package(world: World, held: Reply) -> None:
    reply = await world.capture(held["id"], amount=100000)
    assert amounts(reply["authorization"]) == ("captured", 0, 100000, 0)
    assert await world.wallet() == (1700000, 0, 100000)
    assert await world.month(OCTOBER) == (100000, 1)
    await world.books_balance()


async def test_several_captures_until_nothing_is_left(world: World, held: Reply) -> None:
    first = await world.capture(held["id"], amount=50000, final=False)
    assert amounts(first["authorization"]) == ("partly_captured", 100000, 50000, 0)
    second = await world.capture(held["id"], amount=60000, final=False)
    assert amounts(second["authorization"]) == ("partly_captured", 40000, 110000, 0)
    last = await world.capture(held["id"], amount=40000, final=False)
    assert amounts(last["authorization"]) == ("captured", 0, 150000, 0)
    assert len({reply["capture"]["id"] for reply in (first, second, last)}) == 3
    assert a_problem(await world.capture(held["id"])) == (409, "state_conflict", "12", False)
    await world.books_balance()


async def test_a_capture_above_the_hold_is_422_and_takes_nothing(world: World, held: Reply) -> None:
    reply = await world.capture(held["id"], amount=150001)
    assert (reply.status, reply["code"]) == (422, "capture_exceeds_hold")
    assert await world.wallet() == (1650000, 150000, 0)
    await world.capture(held["id"], amount=100000, final=False)
    assert (await world.capture(held["id"], amount=50001, final=False)).status == 422
    assert (await world.capture(held["id"], amount=50000, final=False)).status == 201
    await world.books_balance()


async def test_a_capture_never_runs_the_rules_again(world: World, held: Reply) -> None:
    """A promise to the shop: also when everything has been taken away since."""
    for statement in (
        "UPDATE card SET status = 'lost'",
        f"UPDATE beneficiary SET status = 'removed' WHERE beneficiary_id = '{world.card.beneficiary_id}'",
        "UPDATE merchant SET status = 'suspended', opens_at = '10:00'",
        "UPDATE terminal SET status = 'suspended'",
        "UPDATE programme SET ends_at = '2024-10-07T00:00:00+08:00'",
    ):
        await world.database.execute(statement)
    assert (await world.authorise())["decision"] == "declined"
    assert (await world.capture(held["id"])).status == 201
    await world.books_balance()


async def test_a_capture_in_the_grace_of_its_hold_succeeds_after_the_programmes_end(world: World) -> None:
    world.at(datetime(2024, 12, 31, 20, 0, tzinfo=WITA))
    held = await world.authorise()
    world.at(datetime(2025, 1, 1, 19, 59, tzinfo=WITA))
    reply = await world.capture(held["id"], amount=100000)
    assert (reply.status, reply["authorization"]["status"]) == (201, "captured")
    assert await world.month(date(2024, 12, 1)) == (100000, 1)
    await world.books_balance()


# --- Void ------------------------------------------------------------------------------------------------------------


async def test_a_void_gives_wallet_month_and_package_back(world: World, held: Reply) -> None:
    reply = await world.void(held["id"], reason="salah ketik")
    assert reply.status == 200
    assert amounts(reply.body) == ("voided", 0, 0, 0)
    assert reply["id"] == held["id"]
    assert await world.wallet() == (1800000, 0, 0)
    assert await world.month(OCTOBER) == (0, 0)
    assert (await world.balance())["remaining"]["packages_this_month"] == 2
    await world.books_balance()


async def test_a_void_after_a_partial_capture_closes_to_captured(world: World, held: Reply) -> None:
    await world.capture(held["id"], amount=60000, final=False)
    reply = await world.void(held["id"])
    assert amounts(reply.body) == ("captured", 0, 60000, 0)
    assert await world.month(OCTOBER) == (60000, 1)
    await world.books_balance()


async def test_a_void_without_a_body_is_a_void(world: World, held: Reply) -> None:
    assert (await world.post(f"/v1/authorizations/{held['id']}/void", key="v")).status == 200


async def test_whoever_comes_too_late_hears_which_state_won(world: World) -> None:
    voided, captured = await world.authorise(amount=1000), await world.authorise(amount=1000)
    await world.void(voided["id"])
    await world.capture(captured["id"])
    for authorisation, won in [(voided, "voided"), (captured, "captured")]:
        for reply in (await world.capture(authorisation["id"]), await world.void(authorisation["id"])):
            assert a_problem(reply) == (409, "state_conflict", "12", False)
            assert reply["authorization_status"] == won
    await world.books_balance()


# --- What cannot be touched ------------------------------------------------------------------------------------------


async def test_another_shops_authorisation_is_a_404_for_every_call(world: World, held: Reply) -> None:
    declined = await world.authorise(amount=300001)
    before = await world.counts()
    for target in (held["id"], declined["id"], "auth_00000000000000000000000000", "held"):
        till = world.other_till
        for reply in (
            await world.capture(target, till=till, key="x"),
            await world.void(target, till=till, key="x"),
            await world.get(f"/v1/authorizations/{target}", till=till),
        ):
            assert a_problem(reply) == (404, "not_found", "25", False), target
    assert await world.counts() == before
    assert (await world.capture(held["id"])).status == 201


# --- Reading ---------------------------------------------------------------------------------------------------------


async def test_get_shows_the_authorisation_as_it_stands_with_its_events(world: World, held: Reply) -> None:
    path = f"/v1/authorizations/{held['id']}"
    first = await world.get(path)
    assert first.status == 200
    assert {k: v for k, v in first.body.items() if k != "events"} == without_receipt(held)
    assert events(first) == [("authorised", 150000)]
    await world.capture(held["id"], amount=60000, final=False)
    await world.capture(held["id"], amount=50000)
    last = await world.get(path)
    assert amounts(last.body) == ("captured", 0, 110000, 0)
    assert events(last)[:2] == [("authorised", 150000), ("captured", 60000)]
    assert sorted(events(last)[2:]) == [("captured", 50000), ("remainder_released", 40000)]
    assert [event["created_at"] for event in last["events"]] == sorted(event["created_at"] for event in last["events"])
    assert all(event["created_at"].endswith("+08:00") for event in last["events"])


async def test_the_events_of_a_captured_sale_begin_with_its_authorisation(world: World) -> None:
    sale = await world.authorise(capture=True)
    shown = await world.get(f"/v1/authorizations/{sale['id']}")
    assert events(shown) == [("authorised", 150000), ("captured", 150000)]


async def test_get_of_a_decline_shows_it(world: World) -> None:
    declined = await world.authorise(amount=300001)
    shown = await world.get(f"/v1/authorizations/{declined['id']}")
    assert {k: v for k, v in shown.body.items() if k != "events"} == without_receipt(declined)
    assert events(shown) == [("declined", 0)]


# --- Expiry ----------------------------------------------------------------------------------------------------------


async def test_the_next_write_to_the_family_writes_the_expiry_dated_when_it_was(world: World, held: Reply) -> None:
    world.later(hours=30)
    next_one = await world.authorise(amount=100000)
    assert next_one["remaining"]["programme"] == 1700000
    assert await world.wallet() == (1700000, 100000, 0)
    assert await world.month(OCTOBER) == (100000, 1)
    released = await world.database.fetchrow("SELECT * FROM transfer WHERE kind = 'release'")
    assert released is not None
    assert (released["authorisation_id"], released["cause"]) == (held["id"], "expire")
    assert abs((released["created_at"] - datetime.fromisoformat(held["expires_at"])).total_seconds()) < 0.001
    await world.books_balance()


async def test_a_decline_too_writes_the_expiry(world: World, held: Reply) -> None:
    world.later(hours=30)
    assert (await world.authorise(amount=300001))["decision"] == "declined"
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_expiry_after_a_partial_capture_closes_to_captured(world: World, held: Reply) -> None:
    await world.capture(held["id"], amount=60000, final=False)
    world.later(hours=25)
    assert amounts((await world.get(f"/v1/authorizations/{held['id']}")).body) == ("captured", 0, 60000, 0)
    assert (await world.capture(held["id"], amount=1))["authorization_status"] == "captured"
    assert await world.wallet() == (1740000, 0, 60000)
    assert await world.month(OCTOBER) == (60000, 1)
    await world.books_balance()


async def test_what_expired_can_be_spent_again_in_the_same_request(world: World) -> None:
    """Both packages are held and over: one purchase writes two releases and its own hold."""
    for _ in range(2):
        await world.authorise(amount=300000)
    assert (await world.authorise(amount=1))["decision"] == "declined"
    world.later(hours=25)
    again = await world.authorise(amount=300000)
    assert (again["decision"], again["remaining"]["packages_this_month"]) == ("approved", 1)
    assert await world.wallet() == (1500000, 300000, 0)
    await world.books_balance()


@pytest.fixture
async def swept_world(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> AsyncIterator[World]:
    """A service whose sweeper comes round all the time, a few families each time."""
    often = {"sweep_seconds": 0.02, "sweep_families": 3, "watch_seconds": 0.02}
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills, **often) as world:
        yield world


async def test_the_sweeper_writes_the_expiries_of_families_that_nobody_visits(swept_world: World) -> None:
    world = swept_world
    kept = await world.authorise(card_number=world.tills.cards[20].card_number)
    await world.capture(kept["id"], amount=1000, final=False)
    for card in world.tills.cards[:8]:
        assert (await world.authorise(card_number=card.card_number))["decision"] == "approved"
    world.later(hours=25)
    for _ in range(200):
        if not await world.database.fetchval("SELECT count(*) FROM hold WHERE held_rupiah > 0"):
            break
        await asyncio.sleep(0.02)
    statuses = await world.database.fetch(
        "SELECT status, count(*), sum(packages) FROM hold GROUP BY status ORDER BY status"
    )
    assert [tuple(row) for row in statuses] == [("captured", 1, 1), ("expired", 8, 0)]
    for card in world.tills.cards[:8]:
        assert await world.wallet(card) == (1800000, 0, 0)
        assert await world.month(OCTOBER, card) == (0, 0)
    await world.books_balance()


async def test_holds_that_are_over_and_not_written_so_are_a_gauge(swept_world: World) -> None:
    world = swept_world
    cards = world.tills.cards[:4]
    for card in cards:
        await world.authorise(card_number=card.card_number)
    async with world.database.transaction():
        # Whoever holds a family's wallet keeps the sweeper from it.
        ids = [card.beneficiary_id for card in cards]
        await world.database.execute("SELECT FROM wallet WHERE beneficiary_id = ANY ($1) FOR UPDATE", ids)
        world.later(hours=25)
        await until_the_gauge_says(world, 4)
    await until_the_gauge_says(world, 0)


async def until_the_gauge_says(world: World, holds: int) -> None:
    said: dict[str, float] = {}
    for _ in range(250):
        said = await world.metrics()
        if said.get(f'authz_holds_expired_unwritten{{programme="{PROGRAMME}"}}') == holds:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(said)


# --- Vouchers --------------------------------------------------------------------------------------------------------


async def test_a_voucher_lifts_the_month_and_gets_back_what_was_not_spent(world: World) -> None:
    for _ in range(2):
        assert (await world.authorise(amount=300000, capture=True))["decision"] == "approved"
    voucher_id = await vouch(
        world.database, programme_id=PROGRAMME, beneficiary_id=world.card.beneficiary_id, month=OCTOBER,
        extra_rupiah=200000, extra_packages=1, reason="anak sakit", now=world.now, chance=bytes,
    )  # fmt: skip
    assert (await world.balance())["remaining"]["package"] == 200000
    sold = await world.authorise(amount=200000)
    assert sold["vouchers_used"] == [{"voucher_id": voucher_id, "amount": 200000, "packages": 1}]
    assert (sold["remaining"]["month"], sold["remaining"]["packages_this_month"]) == (0, 0)
    await world.books_balance()
    voided = await world.void(sold["id"])
    assert voided["vouchers_used"] == []
    assert (await world.balance())["remaining"]["package"] == 200000
    await world.books_balance()


# --- Balance inquiry -------------------------------------------------------------------------------------------------


async def test_a_balance_inquiry_tells_what_is_left_and_writes_nothing(world: World, held: Reply) -> None:
    before = await world.counts()
    reply = await world.balance()
    assert reply.status == 200
    assert (reply["decision"], reply["response_code"], reply["reason"], reply["reasons"]) == (
        "approved",
        "00",
        "approved",
        [],
    )
    assert reply["remaining"] == held["remaining"]
    assert reply["largest_approvable_amount"] == 300000
    assert reply["message"] == "Sisa bulan ini Rp450.000, 1 kali belanja lagi. Sisa bantuan Rp1.650.000."
    assert await world.counts() == before


async def test_a_balance_inquiry_that_is_refused_is_200_with_the_reason_and_tells_nothing(world: World) -> None:
    await world.database.execute("UPDATE card SET status = 'lost'")
    reply = await world.balance()
    assert reply.status == 200
    assert (reply["decision"], reply["reason"], reply["response_code"]) == ("declined", "card_lost", "41")
    assert (reply["largest_approvable_amount"], "remaining" in reply.body) == (0, False)
    assert reply["message"]
    await world.database.execute("UPDATE merchant SET status = 'suspended'")
    assert (await world.balance())["reason"] == "merchant_suspended"


async def test_a_balance_inquiry_of_another_shops_terminal_id_is_403(world: World) -> None:
    body = {"card_number": world.card.card_number, "terminal_id": world.other_till.terminal_id}
    assert (await world.post("/v1/balance-inquiries", body)).status == 403


# --- Catalogue -------------------------------------------------------------------------------------------------------


async def test_the_catalogue_lists_goods_units_and_the_ceilings_of_today(world: World) -> None:
    reply = await world.get("/v1/catalogue")
    assert reply.status == 200
    goods = {
        (category["category"], product["product"], product["unit"]): product["price_ceiling"]
        for category in reply["categories"]
        for product in category["products"]
    }
    assert goods["beras", "beras premium", "kg"] == 15400
    assert goods["minyak_goreng", "Minyakita", "liter"] == 15700
    assert goods["ikan_kaleng", "sarden 155 g", "kaleng"] is None
    assert [category["category"] for category in reply["categories"]] == [
        "beras", "telur", "ayam", "ikan_kaleng", "minyak_goreng", "gula", "susu",
    ]  # fmt: skip


async def test_the_catalogue_has_an_etag_and_answers_304_while_it_holds(world: World) -> None:
    first = await world.get("/v1/catalogue")
    etag = first.headers["etag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = await world.get("/v1/catalogue", headers={"if-none-match": sent})
        assert (reply.status, reply.raw, reply.headers["etag"]) == (304, b"", etag), sent
    assert (await world.get("/v1/catalogue", headers={"if-none-match": '"other"'})).raw == first.raw
    # What may not be stored can never be asked about again.
    assert "no-store" not in first.headers.get("cache-control", "")


async def test_a_new_price_ceiling_changes_the_catalogue_and_its_etag(world: World) -> None:
    first = await world.get("/v1/catalogue")
    await world.database.execute("UPDATE price_ceiling SET price_rupiah = 15000 WHERE product = 'beras premium'")
    assert (await world.authorise())["reason"] == "price_above_ceiling"
    second = await world.get("/v1/catalogue", headers={"if-none-match": first.headers["etag"]})
    assert second.status == 200
    assert b'"price_ceiling":15000' in second.raw


async def test_the_reason_of_a_void_is_kept_with_its_event(world: World) -> None:
    held = await world.authorise()
    await world.void(held["id"], reason="pelanggan batal")
    events = (await world.get(f"/v1/authorizations/{held['id']}"))["events"]
    assert [(event["type"], event.get("reason")) for event in events] == [
        ("authorised", None),
        ("voided", "pelanggan batal"),
    ]


@pytest.mark.parametrize("call", ["captures", "void", "refunds", "reversal"])
async def test_a_till_may_say_who_it_is_in_every_call_and_must_be_right(world: World, call: str) -> None:
    body = world.a_purchase(capture=call == "refunds")
    sold = await world.sell(body, "k")
    path = "/v1/reversals" if call == "reversal" else f"/v1/authorizations/{sold['id']}/{call}"
    bodies: dict[str, dict[str, Any]] = {
        "captures": {"amount": 1000, "final": False},
        "void": {},
        "refunds": {"amount": 1000, "reason": "beras basah"},
        "reversal": {"idempotency_key": "k"},
    }
    said = bodies[call]
    own = {"merchant_id": world.till.merchant_id, "terminal_id": world.till.terminal_id}
    for name in own:
        foreign = await world.post(path, said | own | {name: "somebody"}, key=world.fresh_key())
        assert (foreign.status, foreign["response_code"]) == (403, "58")
    assert (await world.post(path, said | own, key=world.fresh_key())).status in {200, 201}
