"""What a till sees of an authorisation, as `contract.md` has it, over HTTP."""

import re
from datetime import datetime
from typing import Any

import pytest

from authz_service.vocabulary import luhn_is_valid, with_luhn
from tests.world import THREE_LINES, WITA, Reply, World

AN_ID = r"auth_[0-9a-hjkmnp-tv-z]{26}"
RICE = {
    "category": "beras",
    "product": "beras premium",
    "unit": "kg",
    "quantity": "5",
    "unit_price": 15400,
    "amount": 77000,
}
DEAR_RICE = RICE | {"unit_price": 16000, "amount": 80000}
FISH = {"category": "ikan_kaleng", "amount": 50000}
TYRES = {"category": "ban_motor", "amount": 90000}


def reasons(reply: Reply) -> list[Any]:
    return [each["reason"] for each in reply["reasons"]]


async def change(world: World, statement: str, *values: object) -> None:
    assert await world.database.execute(statement, *values) != "UPDATE 0"


# --- The example -----------------------------------------------------------------------------------------------------


async def test_the_example_of_the_contract_is_answered_to_the_letter(world: World) -> None:
    world.at(datetime(2024, 12, 1, 9, 15, tzinfo=WITA))
    purchase = {
        "card_number": world.card.card_number,
        "stan": "000123",
        "terminal_time": "2024-12-01T09:15:00+08:00",
        "amount": 150000,
        "currency": "IDR",
        "lines": THREE_LINES,
        "capture": False,
        "partial_approval": False,
        "pin_block": None,
    }
    reply = await world.post("/v1/authorizations", purchase, key="the-example")
    assert (reply.status, reply.headers["content-type"]) == (201, "application/json")
    answer = reply.body
    assert re.fullmatch(AN_ID, answer.pop("id"))
    assert re.fullmatch(r"[A-Z2-9]{6}", answer.pop("approval_code"))
    assert set(answer.pop("receipt")) == {"columns_32", "columns_48"}
    created, expires = (datetime.fromisoformat(answer.pop(name)) for name in ("created_at", "expires_at"))
    assert (expires - created).total_seconds() == 24 * 3600
    assert abs((created - world.now).total_seconds()) < 5
    assert created.utcoffset() == expires.utcoffset() == world.now.astimezone(WITA).utcoffset()
    assert answer == {
        "decision": "approved",
        "status": "held",
        "response_code": "00",
        "reason": "approved",
        "amount": 150000,
        "approved_amount": 150000,
        "tender_due": 0,
        "price_reduction": 0,
        "currency": "IDR",
        "held_amount": 150000,
        "captured_amount": 0,
        "refunded_amount": 0,
        "lines": [
            {"line": 1, "action": "accepted", "approved_amount": 77000},
            {"line": 2, "action": "accepted", "approved_amount": 60000},
            {"line": 3, "action": "accepted", "approved_amount": 13000},
        ],
        "reasons": [],
        "largest_approvable_amount": 300000,
        "remaining": {
            "package": 300000,
            "packages_this_month": 1,
            "month": 450000,
            "programme": 1650000,
            "month_ends_at": "2025-01-01T00:00:00+08:00",
            "programme_ends_at": "2025-01-01T00:00:00+08:00",
        },
        "message": "Disetujui Rp150.000. Sisa bulan ini Rp450.000, 1 kali belanja lagi. Sisa bantuan Rp1.650.000.",
        "vouchers_used": [],
        "merchant_id": world.till.merchant_id,
        "terminal_id": world.till.terminal_id,
        "stan": "000123",
    }
    await world.books_balance()


async def test_capture_true_authorises_and_captures_in_one_step(world: World) -> None:
    reply = await world.authorise(capture=True)
    assert reply.status == 201
    assert (reply["decision"], reply["status"]) == ("approved", "captured")
    assert (reply["held_amount"], reply["captured_amount"]) == (0, 150000)
    assert await world.wallet() == (1650000, 0, 150000)
    assert (await world.capture(reply["id"])).status == 409
    await world.books_balance()


async def test_the_shop_and_terminal_of_the_key_may_be_said(world: World) -> None:
    reply = await world.authorise(merchant_id=world.till.merchant_id, terminal_id=world.till.terminal_id)
    assert (reply.status, reply["decision"]) == (201, "approved")


# --- Declines --------------------------------------------------------------------------------------------------------


async def test_a_decline_is_an_answer_with_an_id_and_changes_no_money(world: World) -> None:
    reply = await world.authorise(amount=300001)
    assert reply.status == 201
    assert re.fullmatch(AN_ID, reply["id"])
    assert (reply["decision"], reply["status"], reply["approval_code"]) == ("declined", "declined", None)
    assert (reply["amount"], reply["approved_amount"], reply["tender_due"]) == (300001, 0, 300001)
    assert (reply["held_amount"], reply["captured_amount"], reply["refunded_amount"]) == (0, 0, 0)
    assert reply["lines"] == [{"line": 1, "action": "rejected", "approved_amount": 0}]
    assert (reply["reason"], reply["response_code"]) == ("package_cap_exceeded", "61")
    assert reply["remaining"]["package"] == reply["largest_approvable_amount"] == 300000
    assert await world.wallet() == (1800000, 0, 0)
    await world.books_balance()


async def test_what_a_decline_says_would_pass_does_pass(world: World) -> None:
    await world.change(month_packages=9)
    await world.authorise(amount=300000)
    await world.authorise(amount=160000)
    declined = await world.authorise(amount=150000)
    assert reasons(declined) == ["monthly_cap_exceeded"]
    assert declined["largest_approvable_amount"] == declined["remaining"]["package"] == 140000
    assert (await world.authorise(amount=140001))["decision"] == "declined"
    assert (await world.authorise(amount=140000))["decision"] == "approved"
    await world.books_balance()


SQL_REASONS = [
    ("UPDATE merchant SET leaves_on = '2024-10-06'", "merchant_unknown", "03"),
    ("UPDATE merchant SET admitted_on = '2024-10-08'", "merchant_unknown", "03"),
    ("UPDATE merchant SET status = 'suspended'", "merchant_suspended", "03"),
    ("UPDATE terminal SET status = 'suspended'", "terminal_not_permitted", "58"),
    ("UPDATE terminal SET status = 'unbound'", "terminal_not_permitted", "58"),
    ("UPDATE merchant SET opens_at = '09:30'", "terminal_not_permitted", "58"),
    ("UPDATE card SET status = 'not_activated'", "card_not_activated", "78"),
    ("UPDATE card SET status = 'lost'", "card_lost", "41"),
    ("UPDATE card SET status = 'stolen'", "card_stolen", "43"),
    ("UPDATE card SET expires_on = '2024-10-06'", "card_expired", "54"),
    ("UPDATE card SET status = 'blocked'", "card_blocked", "62"),
    ("UPDATE card SET status = 'replaced'", "card_blocked", "62"),
    ("UPDATE beneficiary SET status = 'suspended'", "beneficiary_suspended", "62"),
    ("UPDATE beneficiary SET status = 'removed'", "beneficiary_removed", "62"),
]


async def test_every_change_of_a_row_is_effective_for_the_very_next_request(world: World) -> None:
    """The cache is warm each time: what a decision sees is never stale."""
    await world.change(package_counting="no_limit", month_packages=None, month_cap_rupiah=None)
    own = {
        "merchant": ("merchant_id", world.till.merchant_id),
        "terminal": ("terminal_id", world.till.terminal_id),
        "card": ("beneficiary_id", world.card.beneficiary_id),
        "beneficiary": ("beneficiary_id", world.card.beneficiary_id),
    }
    for statement, reason, response_code in SQL_REASONS:
        column, value = own[statement.split()[1]]
        assert (await world.authorise(amount=1000))["decision"] == "approved", f"before {statement}"
        undo = await world.database.fetchrow(f"SELECT * FROM {statement.split()[1]} WHERE {column} = $1", value)
        assert undo is not None
        await change(world, f"{statement} WHERE {column} = $1", value)
        reply = await world.authorise(amount=1000)
        assert (reply.status, reply["decision"], reply["reason"]) == (201, "declined", reason), statement
        assert (reply["response_code"], reply["reasons"][0]["response_code"]) == (response_code, response_code)
        assert (reply["largest_approvable_amount"], "remaining" in reply.body) == (0, False), statement
        changed = re.findall(r"(\w+) = ", statement)[0]
        await change(
            world, f"UPDATE {statement.split()[1]} SET {changed} = $2 WHERE {column} = $1", value, undo[changed]
        )
    await world.books_balance()


async def test_a_suspended_shop_stays_suspended_for_requests_that_were_under_way(world: World) -> None:
    """Requests without a pause, and a suspension among them: none that was sent after it is approved."""
    await world.change(package_counting="no_limit", month_packages=None, month_cap_rupiah=None)
    for card in world.tills.cards[:5]:
        assert (await world.authorise(amount=1000, card_number=card.card_number))["decision"] == "approved"
        await change(world, "UPDATE merchant SET status = 'suspended' WHERE merchant_id = $1", world.till.merchant_id)
        assert (await world.authorise(amount=1000, card_number=card.card_number))["reason"] == "merchant_suspended"
        await change(world, "UPDATE merchant SET status = 'active' WHERE merchant_id = $1", world.till.merchant_id)


async def test_a_revoked_key_opens_nothing_from_the_next_request_on(world: World) -> None:
    assert (await world.authorise(amount=1000)).status == 201
    await change(world, "UPDATE terminal SET status = 'revoked' WHERE terminal_id = $1", world.till.terminal_id)
    reply = await world.authorise(amount=1000)
    assert (reply.status, reply["code"], reply["response_code"]) == (401, "unauthenticated", "58")
    assert await world.wallet() == (1799000, 1000, 0)


async def test_a_terminal_that_moved_to_another_shop_sells_and_captures_for_its_new_shop(world: World) -> None:
    assert (await world.authorise(amount=1000)).status == 201
    new_shop = world.other_till.merchant_id
    await change(world, "UPDATE terminal SET merchant_id = $2 WHERE terminal_id = $1", world.till.terminal_id, new_shop)
    sold = await world.authorise(amount=2000)
    assert (sold["decision"], sold["merchant_id"]) == ("approved", new_shop)
    booked = await world.database.fetchrow(
        "SELECT a.merchant_id, h.merchant_id FROM authorisation a JOIN hold h USING (programme_id, authorisation_id)"
        " WHERE authorisation_id = $1",
        sold["id"],
    )
    assert booked is not None
    assert tuple(booked) == (new_shop, new_shop)
    assert (await world.capture(sold["id"])).status == 201
    await world.books_balance()


async def test_a_number_that_fails_its_check_digit_or_is_nobodys_is_card_unknown(world: World) -> None:
    number = world.card.card_number
    wrong_digit = number[:-1] + str((int(number[-1]) + 1) % 10)
    nobodys = with_luhn("936000009999999")
    assert not luhn_is_valid(wrong_digit)
    assert luhn_is_valid(nobodys)
    for each in (wrong_digit, nobodys):
        reply = await world.authorise(card_number=each)
        assert (reply.status, reply["reason"], reply["response_code"]) == (201, "card_unknown", "14")
        assert "remaining" not in reply.body
        assert each not in reply.raw.decode()


async def test_of_the_first_stages_only_the_first_that_fails_is_told_and_all_of_it(world: World) -> None:
    await change(
        world,
        "UPDATE merchant SET status = 'suspended', opens_at = '09:30' WHERE merchant_id = $1",
        world.till.merchant_id,
    )
    await change(world, "UPDATE card SET status = 'lost' WHERE beneficiary_id = $1", world.card.beneficiary_id)
    reply = await world.authorise(amount=400000)
    assert reasons(reply) == ["merchant_suspended", "terminal_not_permitted"]
    await change(world, "UPDATE merchant SET status = 'active', opens_at = '07:00'")
    await change(world, "UPDATE beneficiary SET status = 'removed'")
    assert reasons(await world.authorise(amount=400000)) == ["card_lost"]
    await change(world, "UPDATE card SET status = 'active'")
    assert reasons(await world.authorise(amount=400000)) == ["beneficiary_removed"]
    await change(world, "UPDATE beneficiary SET status = 'active'")
    assert reasons(await world.authorise(amount=400000)) == ["package_cap_exceeded"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([FISH, {"category": "tunai", "amount": 10000}], [("cash_not_permitted", "57", 2)]),
        ([FISH, TYRES], [("category_not_permitted", "57", 2)]),
        ([{"category": "beras", "amount": 10000}], [("product_not_permitted", "57", 1)]),
        ([RICE | {"unit": "karung"}], [("product_not_permitted", "57", 1)]),
        ([RICE | {"product": "beras siluman"}], [("product_not_permitted", "57", 1)]),
        ([FISH, DEAR_RICE], [("price_above_ceiling", "13", 2)]),
        (
            [TYRES, FISH | {"amount": 290000}, DEAR_RICE, {"category": "pulsa", "amount": 5}],
            [
                ("cash_not_permitted", "57", 4),
                ("category_not_permitted", "57", 1),
                ("price_above_ceiling", "13", 3),
                ("package_cap_exceeded", "61", None),
            ],
        ),
    ],
)
async def test_one_line_that_is_not_permitted_declines_the_purchase(
    world: World, lines: list[dict[str, Any]], told: list[tuple[str, str, int | None]]
) -> None:
    reply = await world.authorise(lines=lines)
    assert (reply.status, reply["decision"]) == (201, "declined")
    assert [(each["reason"], each["response_code"], each.get("line")) for each in reply["reasons"]] == told
    assert (reply["reason"], reply["response_code"]) == told[0][:2]
    assert {line["action"] for line in reply["lines"]} == {"rejected"}
    assert await world.wallet() == (1800000, 0, 0)


async def test_the_entitlement_ends_at_its_last_rupiah_and_that_alone_is_called_not_enough(world: World) -> None:
    await world.change(package_counting="no_limit", month_packages=None, month_cap_rupiah=None)
    for _ in range(6):
        assert (await world.authorise(amount=300000, capture=True))["decision"] == "approved"
    reply = await world.authorise(amount=1)
    assert (reply["reason"], reply["response_code"]) == ("entitlement_exceeded", "51")
    assert reply["message"].startswith("Saldo tidak cukup")
    assert (reply["remaining"]["programme"], reply["remaining"]["month"]) == (0, None)
    await world.books_balance()


async def test_the_third_purchase_of_a_month_names_the_companion(world: World) -> None:
    for _ in range(2):
        assert (await world.authorise(amount=1000))["decision"] == "approved"
    reply = await world.authorise(amount=1000)
    assert (reply["reason"], reply["response_code"]) == ("packages_used_up", "65")
    label = await world.database.fetchval(
        "SELECT label FROM companion WHERE companion_id = $1", world.card.companion_id
    )
    assert label in reply["message"]
    assert (reply["remaining"]["package"], reply["remaining"]["packages_this_month"]) == (0, 0)
    assert reply["largest_approvable_amount"] == 0


async def test_every_message_is_at_most_three_sentences(world: World) -> None:
    await world.change(above_ceiling="reduce")
    replies = [
        await world.authorise(),
        await world.authorise(amount=400000),
        await world.authorise(amount=400000, partial_approval=True),
        await world.authorise(amount=1),
        await world.authorise(lines=[TYRES]),
        await world.authorise(card_number=with_luhn("936000009999999")),
        await world.balance(),
    ]
    world.at(datetime(2025, 1, 1, 12, 0, tzinfo=WITA))
    replies += [await world.authorise(), await world.balance()]
    for reply in replies:
        assert 1 <= len(re.findall(r"\.(?= |$)", reply["message"])) <= 3, reply["message"]


# --- Partial approval and price reduction ----------------------------------------------------------------------------


async def test_a_partial_approval_funds_lines_in_their_order_with_code_10(world: World) -> None:
    lines = [FISH | {"amount": 200000}, TYRES, FISH | {"amount": 150000}, FISH | {"amount": 1000}]
    reply = await world.authorise(lines=lines, partial_approval=True)
    assert (reply["decision"], reply["response_code"], reply["reason"]) == ("approved", "10", "approved")
    assert reply["lines"] == [
        {"line": 1, "action": "accepted", "approved_amount": 200000},
        {"line": 2, "action": "rejected", "approved_amount": 0},
        {"line": 3, "action": "partly_funded", "approved_amount": 100000},
        {"line": 4, "action": "rejected", "approved_amount": 0},
    ]
    assert [(each["reason"], each["line"]) for each in reply["reasons"]] == [
        ("category_not_permitted", 2),
        ("package_cap_exceeded", 3),
        ("package_cap_exceeded", 4),
    ]
    assert (reply["approved_amount"], reply["tender_due"], reply["price_reduction"]) == (300000, 141000, 0)
    assert reply["held_amount"] == 300000
    await world.books_balance()


async def test_a_partial_approval_that_cuts_nothing_is_00(world: World) -> None:
    reply = await world.authorise(partial_approval=True)
    assert (reply["response_code"], reply["tender_due"], reply["reasons"]) == ("00", 0, [])


async def test_a_partial_approval_of_nothing_is_a_decline(world: World) -> None:
    reply = await world.authorise(lines=[TYRES], partial_approval=True)
    assert (reply["decision"], reply["reason"], reply["tender_due"]) == ("declined", "category_not_permitted", 90000)


async def test_a_cash_line_declines_the_whole_also_in_partial_approval(world: World) -> None:
    reply = await world.authorise(lines=[FISH, {"category": "tarik_tunai", "amount": 1}], partial_approval=True)
    assert (reply["decision"], reply["reason"], reply["approved_amount"]) == ("declined", "cash_not_permitted", 0)


async def test_a_reduction_alone_is_00_and_needs_no_partial_approval(world: World) -> None:
    await world.change(above_ceiling="reduce")
    reply = await world.authorise(lines=[DEAR_RICE, FISH])
    assert (reply["decision"], reply["response_code"]) == ("approved", "00")
    assert reply["lines"][0] == {"line": 1, "action": "price_reduced", "approved_amount": 77000}
    assert (reply["amount"], reply["approved_amount"], reply["price_reduction"], reply["tender_due"]) == (
        130000,
        127000,
        3000,
        0,
    )
    assert await world.wallet() == (1673000, 127000, 0)
    await world.books_balance()


# --- Dry run ---------------------------------------------------------------------------------------------------------


async def test_a_dry_run_decides_and_explains_without_key_id_or_trace(world: World) -> None:
    before = await world.counts()
    for purchase, decision in [(world.a_purchase(), "approved"), (world.a_purchase(amount=400000), "declined")]:
        reply = await world.post("/v1/authorizations?dry_run=true", purchase)
        assert (reply.status, reply["decision"]) == (200, decision)
        assert "id" not in reply.body
        assert reply["approval_code"] is None
    assert await world.counts() == before
    assert await world.wallet() == (1800000, 0, 0)


async def test_a_dry_run_uses_neither_the_key_nor_the_stan(world: World) -> None:
    purchase = world.a_purchase()
    dry = await world.post("/v1/authorizations?dry_run=true", purchase, key="later")
    real = await world.post("/v1/authorizations", purchase, key="later")
    assert (dry.status, real.status, real["decision"]) == (200, 201, "approved")
    assert "idempotent-replayed" not in real.headers
    assert real["remaining"] == dry["remaining"]


async def test_a_query_that_is_not_known_never_becomes_a_sale(world: World) -> None:
    before = await world.counts()
    for query in (
        "dry-run=true", "dry_run=yes", "dry_run", "dry_run=", "dry_run=true&dry_run=false", "x=1", "dry_run=true&x=1",
        "%ff=%00", "dry_run=TRUE", "&".join(f"dry_run{n}=true" for n in range(20)),
    ):  # fmt: skip
        reply = await world.post(f"/v1/authorizations?{query}", world.a_purchase(), key="k")
        assert reply.status == 422, query
    assert await world.counts() == before


# --- Who may ask -----------------------------------------------------------------------------------------------------


async def test_a_key_that_is_missing_or_unknown_is_401(world: World) -> None:
    before = await world.counts()
    key = world.till.key
    for sent in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer nobody",
        f"Basic {key}",
        key,
        f"Bearer {key}x",
        "Bearer " + "x" * 5000,
    ):
        headers = {"authorization": sent}
        for path in ("/v1/authorizations", "/v1/balance-inquiries"):
            reply = await world.post(path, world.a_purchase(), key="k", headers=headers)
            assert (reply.status, reply["code"], reply["response_code"]) == (401, "unauthenticated", "58"), sent
        async with world.http.get(world.base_url + "/v1/catalogue", headers=headers) as response:
            assert response.status == 401, sent
    assert await world.counts() == before


async def test_without_an_authorization_header_nothing_is_told(world: World) -> None:
    for path in ("/v1/authorizations", "/v1/authorizations/auth_x/void", "/v1/balance-inquiries"):
        async with world.http.post(world.base_url + path, json=world.a_purchase()) as response:
            assert response.status == 401


@pytest.mark.parametrize("name", ["merchant_id", "terminal_id"])
async def test_another_shops_or_terminals_id_in_the_body_is_403(world: World, name: str) -> None:
    before = await world.counts()
    reply = await world.authorise(key="k", **{name: getattr(world.other_till, name)})
    assert (reply.status, reply["response_code"], reply["retryable"]) == (403, "58", False)
    assert await world.counts() == before
    assert (await world.authorise(key="k")).status == 201


async def test_an_address_where_nothing_is_is_404(world: World) -> None:
    for path in ("/v1/", "/v1/nothing", "/v1/authorizations/auth_x/nothing", "/v1/authorizations/auth_x/void/more"):
        reply = await world.post(path, {}, key="k")
        assert (reply.status, reply["code"], reply["response_code"]) == (404, "not_found", "25"), path


async def test_a_method_that_an_address_does_not_take_is_405_and_the_right_ones_are_named(world: World) -> None:
    paths = {
        "/v1/authorizations": "POST", "/v1/authorizations/auth_x": "GET", "/v1/authorizations/auth_x/void": "POST",
        "/v1/authorizations/auth_x/captures": "POST", "/v1/balance-inquiries": "POST", "/v1/catalogue": "GET",
    }  # fmt: skip
    for path, allowed in paths.items():
        async with world.http.delete(world.base_url + path) as response:
            assert (response.status, response.content_type) == (405, "application/problem+json")
            # RFC 9110, 15.5.6: a 405 MUST say what is allowed.
            assert allowed in response.headers.get("allow", ""), path


async def test_an_id_of_any_shape_that_is_not_the_keys_is_not_permitted(world: World) -> None:
    for member in ("merchant_id", "terminal_id"):
        body = world.a_purchase(**{member: "toko-1"})
        reply = await world.post("/v1/authorizations", body, key=world.fresh_key())
        assert (reply.status, reply["code"], reply["response_code"]) == (403, "not_permitted", "58")
