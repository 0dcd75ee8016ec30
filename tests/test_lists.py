"""Every list filter finds what a plain scan finds (incident 14), and pages cover everything once."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import cycle, product
from random import Random
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from authz_service.api import office_wire
from authz_service.enrolment.sandbox import SandboxCard
from tests import office
from tests.office import companion_of, get, operators_key, pages
from tests.test_bad_input import problem
from tests.world import WITA, World

Item = dict[str, Any]
Holds = Callable[[Item, str], bool]
DAYS = [datetime(2024, 10, day, 9, tzinfo=WITA) for day in (7, 29, 31)] + [datetime(2024, 11, 1, 9, tzinfo=WITA)]


def equal(member: str) -> Holds:
    return lambda item, value: bool(item[member] == value)


AUTHORISATION_FILTERS: dict[str, Holds] = {
    "beneficiary_id": equal("beneficiary_id"),
    "merchant_id": equal("merchant_id"),
    "terminal_id": equal("terminal_id"),
    "decision": equal("decision"),
    "reason": equal("reason"),
    "status": equal("status"),
    "month": equal("month"),
    "created_from": lambda item, value: datetime.fromisoformat(item["created_at"]) >= datetime.fromisoformat(value),
    "created_to": lambda item, value: datetime.fromisoformat(item["created_at"]) < datetime.fromisoformat(value),
}
VOUCHER_FILTERS: dict[str, Holds] = {
    "beneficiary_id": equal("beneficiary_id"),
    "companion_id": equal("companion_id"),
    "month": equal("month"),
    "status": equal("status"),
}


async def a_busy_month(world: World, chance: Random) -> None:
    """Families at two tills, each purchase with a later life of its own; vouchers of every status."""
    await world.change(voucher_approval_above_rupiah=250_000, voucher_month_limit_packages=100)
    cards = [*world.tills.cards[:13], office.another_familys_card(world)]
    lives = cycle(["captured", "left", "captured in part", "left", "voided", "left", "reversed"])
    made: list[str] = []
    for day in DAYS:
        world.at(day)
        for card in cards[-4:]:
            for _ in range(3):
                reply = await office.vouch(
                    world,
                    by=companion_of(world, card).key,
                    beneficiary_id=card.beneficiary_id,
                    extra_amount=chance.choice([50_000, 100_000, 200_000]),
                    month=chance.choice(["2024-10", "2024-11"]) if day.month == 10 else "2024-11",
                )
                made += [reply["id"]] if reply.status == 201 else []
        for each in chance.sample(made, len(made) // 4):
            await office.approve(world, each)
            if chance.random() < 0.5:
                await office.revoke(world, each, by=operators_key(world))
        for card in cards * 2:
            await a_purchase(world, chance, card.card_number, next(lives))
        await a_purchase(world, chance, "9360000000000013", "left")
        if day == DAYS[2]:
            await whose_ends_nobody_writes(world)
    await a_used_up_voucher(world, world.tills.cards[20])
    world.later(hours=20)


async def whose_ends_nobody_writes(world: World) -> None:
    """Two families that do not come again: one purchase was left, of the other a part was captured."""
    left, in_part = [await world.authorise(card_number=card.card_number) for card in world.tills.cards[21:23]]
    assert left["status"] == "held"
    await world.capture(in_part["id"], amount=20_000, final=False)


async def a_used_up_voucher(world: World, card: SandboxCard) -> None:
    by, who = companion_of(world, card).key, card.beneficiary_id
    await office.vouch(world, by=by, beneficiary_id=who, month="2024-11", extra_amount=0, extra_packages=1)
    for _ in range(3):
        assert (await world.authorise(card_number=card.card_number, amount=1_000))["decision"] == "approved"


async def a_purchase(world: World, chance: Random, card_number: str, life: str) -> None:
    amount, till = chance.choice([20_000, 60_000, 140_000, 300_001]), chance.choice([world.till, world.other_till])
    lines = [{"category": chance.choice([*["ikan_kaleng"] * 9, "tunai"]), "amount": amount}]
    capture = chance.random() < 0.2
    sold = await world.authorise(card_number=card_number, lines=lines, till=till, capture=capture)
    if sold["status"] != "held":
        return
    match life:
        case "captured":
            await world.capture(sold["id"], till=till)
        case "captured in part":
            await world.capture(sold["id"], amount=20_000, final=False, till=till)
        case "voided":
            await world.void(sold["id"], till=till)
        case "reversed":
            body = {"stan": sold["stan"], "terminal_time": world.a_purchase()["terminal_time"]}
            await world.post("/v1/reversals", body, key=world.fresh_key(), till=till)


def status_of(voucher: Item, now: datetime) -> str:
    """What its other members make of it."""
    if voucher["revoked_at"] is not None:
        return "revoked"
    if datetime.fromisoformat(voucher["expires_at"]) <= now:
        return "expired"
    if voucher["approved_at"] is None:
        return "awaiting_approval"
    used, given = (("used_amount", "used_packages"), ("extra_amount", "extra_packages"))
    return "used_up" if [voucher[name] for name in used] == [voucher[name] for name in given] else "live"


def combinations(items: list[Item], filters: dict[str, Holds], chance: Random) -> Iterator[dict[str, str]]:
    """Every set of filters, each with a value that some item has (or, now and then, none)."""
    for chosen in product([False, True], repeat=len(filters)):
        for _ in range(2):
            item = chance.choice(items)
            values = {name: value_of(item, name, chance) for name, on in zip(filters, chosen, strict=True) if on}
            yield {name: value for name, value in values.items() if value is not None}


def value_of(item: Item, name: str, chance: Random) -> str | None:
    if name in {"created_from", "created_to"}:
        at = datetime.fromisoformat(item["created_at"])
        return (at + timedelta(milliseconds=1) * chance.choice([0, 1])).isoformat()
    value: str | None = item[name]
    return value


async def agrees(world: World, path: str, filters: dict[str, Holds], chance: Random, *, by: str) -> set[str]:
    """Each combination of filters finds, in the list's own order, the items of the whole list for which all hold."""
    everything = await pages(world, path, by=by)
    seen = set()
    for asked in combinations(everything, filters, chance):
        expected = [item for item in everything if all(filters[name](item, value) for name, value in asked.items())]
        found = await pages(world, path, by=by, **asked, limit=chance.choice([7, 100]))
        assert found == expected, asked
        seen |= {f"{name}={value}" for name, value in asked.items() if expected}
    return seen


@pytest.mark.timeout(240)
async def test_14_list_filters_disagreed_with_the_data(world: World) -> None:
    """Incident 14."""
    chance = Random(14)
    await a_busy_month(world, chance)
    by = operators_key(world)

    sold = await pages(world, "/v1/authorizations", by=by)
    TypeAdapter(list[office_wire.ListedAuthorisation]).validate_json(orjson.dumps(sold))
    rows = await world.database.fetch(
        "SELECT authorisation_id AS id, beneficiary_id, terminal_id, reason FROM authorisation ORDER BY 1 DESC"
    )
    assert [{name: item[name] for name in dict(row)} for row, item in zip(rows, sold, strict=True)] == [
        dict(row) for row in rows
    ]
    for item in sold:
        till = world.till if item["terminal_id"] == world.till.terminal_id else world.other_till
        alone = (await world.get(f"/v1/authorizations/{item['id']}", till=till)).body
        assert {name: value for name, value in item.items() if name not in {"beneficiary_id", "month"}} == {
            name: value for name, value in alone.items() if name != "events"
        }
    assert {item["status"] for item in sold} == {
        *("declined", "held", "partly_captured", "captured", "voided", "expired", "reversed")
    }
    unwritten = "SELECT DISTINCT status FROM hold WHERE held_rupiah > 0 AND expires_at <= $1"
    assert {row[0] for row in await world.database.fetch(unwritten, world.now)} == {"held", "partly_captured"}
    found = await agrees(world, "/v1/authorizations", AUTHORISATION_FILTERS, chance, by=by)
    assert {each for each in found if each.startswith("status=")} >= {"status=expired", "status=held"}

    made = await pages(world, "/v1/vouchers", by=by)
    TypeAdapter(list[office_wire.Voucher]).validate_json(orjson.dumps(made))
    ids = [row[0] for row in await world.database.fetch("SELECT voucher_id FROM voucher ORDER BY 1 DESC")]
    assert [item["id"] for item in made] == ids
    for item in made:
        assert item["status"] == status_of(item, world.now)
        alone = await office.voucher(world, item["id"])
        assert item == {name: value for name, value in alone.items() if name != "uses"}
    assert {item["status"] for item in made} == {"awaiting_approval", "live", "used_up", "expired", "revoked"}
    await agrees(world, "/v1/vouchers", VOUCHER_FILTERS, chance, by=by)

    own = companion_of(world, world.tills.cards[12])
    theirs = [item for item in made if item["companion_id"] == own.companion_id]
    assert await pages(world, "/v1/vouchers", by=own.key) == theirs
    assert 0 < len(theirs) < len(made)
    await agrees(world, "/v1/vouchers", VOUCHER_FILTERS, chance, by=own.key)
    # Another's are not there, whatever is asked for.
    for item in made:
        for name in ("companion_id", "beneficiary_id"):
            expected = [each for each in theirs if each[name] == item[name]]
            assert await pages(world, "/v1/vouchers", by=own.key, **{name: item[name]}) == expected
    await world.books_balance()


@pytest.mark.parametrize("path", ["/v1/vouchers", "/v1/authorizations"])
async def test_pages_of_any_size_cover_everything_once_while_new_things_come(world: World, path: str) -> None:
    for card in world.tills.cards[:5]:
        await world.authorise(card_number=card.card_number, amount=1_000)
        await office.vouch(world, beneficiary_id=card.beneficiary_id, by=companion_of(world, card).key)
    by = operators_key(world)
    everything = await pages(world, path, by=by)
    assert len(everything) == 5
    for limit in range(1, 7):
        assert await pages(world, path, by=by, limit=limit) == everything
    first = await get(world, f"{path}?limit=2", by=by)
    await world.authorise(amount=1_000)
    await office.vouch(world)
    second = await get(world, f"{path}?limit=100&after={first['data'][-1]['id']}", by=by)
    assert first["data"] + second["data"] == everything


@pytest.mark.parametrize(
    ("path", "wrong", "field"),
    [
        ("/v1/vouchers", "status=open", "status"), ("/v1/vouchers", "status=", "status"),
        ("/v1/vouchers", "month=2024-1", "month"), ("/v1/vouchers", "month=2024-10-01", "month"),
        ("/v1/vouchers", "beneficiary_id=ben_1", "beneficiary_id"), ("/v1/vouchers", "after=auth_1", "after"),
        ("/v1/vouchers", "after=vch_%00", "after"), ("/v1/vouchers", "limit=0", "limit"),
        ("/v1/vouchers", "limit=101", "limit"), ("/v1/vouchers", "limit=x", "limit"),
        *(("/v1/vouchers", f"limit={each}", "limit") for each in ("3.0", "1_0", "%203", "3%20", "%2B3", "-3", "")),
        ("/v1/vouchers", "limit=%D9%A3", "limit"),
        ("/v1/beneficiaries", "limit=3.0", "limit"), ("/v1/authorizations", "limit=1_0", "limit"),
        ("/v1/vouchers", "limit=" + "9" * 5_000, "limit"),
        ("/v1/vouchers", "stauts=live", "stauts"), ("/v1/vouchers", "9360881234567893=1", "(unknown)"),
        ("/v1/beneficiaries", "status=active", "status"), ("/v1/beneficiaries", "after=ben_", "after"),
        ("/v1/authorizations", "decision=maybe", "decision"), ("/v1/authorizations", "reason=poor", "reason"),
        ("/v1/authorizations", "created_from=2024-10-07", "created_from"),
        ("/v1/authorizations", "created_to=2024-10-07T09:00:00", "created_to"),
        ("/v1/authorizations", "created_to=2024-10-07T09:00:00+08:00", "created_to"),
        ("/v1/authorizations", "terminal_id=9360881234567893", "terminal_id"),
    ],
)  # fmt: skip
async def test_a_filter_that_is_not_one_is_refused_by_name_and_echoes_nothing(
    world: World, path: str, wrong: str, field: str
) -> None:
    by = companion_of(world).key if path == "/v1/beneficiaries" else operators_key(world)
    reply = await get(world, f"{path}?{wrong}", by=by)
    told = problem(reply, 422, "query_invalid")
    assert field in {each["field"] for each in told["errors"]}
    assert "9360881234567893" not in reply.raw.decode()


async def test_a_filter_that_stands_there_twice_is_refused(world: World) -> None:
    problem(await get(world, "/v1/vouchers?status=live&status=revoked", by=operators_key(world)), 422, "query_invalid")
