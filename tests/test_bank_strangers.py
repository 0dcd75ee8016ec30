"""Nobody learns at the bank's door who is a bank of ours, and nobody asks it more than a bank needs."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from authz_service.api.rates import Rate, sender_at
from authz_service.bank.partners import SignatureStyle
from tests.bank import NOTIFY, TOKEN, Bank, a_bank
from tests.harm import Premises
from tests.world import Reply, World

BAD = "bm8gc2lnbmF0dXJl"
A_KEYS_SIZE = "A" * 342 + "=="
"""As long as a signature of 2048 bits."""


async def kinds(world: World) -> Counter[str]:
    """What the security log has."""
    return Counter(row[0] for row in await world.database.fetch("SELECT kind FROM security_event"))


async def asked(bank: Bank, path: str, partner_id: str, **headers: str) -> Reply:
    if path == TOKEN:
        return await bank.fetch_token(**{"x-client-key": partner_id, "x-signature": BAD})
    return await bank.tell("pay_1", "success", 5, x_partner_id=partner_id, **headers)


@pytest.fixture
async def banks(world: World) -> dict[SignatureStyle, Bank]:
    """One of either way of signing."""
    return {each: await a_bank(world, each, each.value.replace("_", "").upper()) for each in SignatureStyle}


@pytest.mark.parametrize("path", [NOTIFY, TOKEN])
@pytest.mark.parametrize(
    "headers",
    [
        {"x_signature": BAD},
        {"x_signature": A_KEYS_SIZE},
        {"x_signature": BAD, "authorization": "Bearer nonsense"},
        {"x_signature": BAD, "authorization": ""},
        {"x_signature": "", "authorization": "Bearer nonsense"},
    ],
)
async def test_a_known_partner_with_a_wrong_signature_and_an_unknown_one_get_the_same_answer(
    banks: dict[SignatureStyle, Bank], path: str, headers: dict[str, str]
) -> None:
    """Whatever stands where the token should: the same status, the same words, the same headers."""
    sender = banks[SignatureStyle.WITH_TOKEN]
    known = [await asked(sender, path, each.partner_id, **headers) for each in banks.values()]
    unknown = await asked(sender, path, "NOBODYATALL", **headers)
    for each in known:
        assert (each.status, each.raw) == (unknown.status, unknown.raw)
        assert set(each.headers) == set(unknown.headers)
    code = "4005602" if path == NOTIFY and not headers["x_signature"] else f"401{'73' if path == TOKEN else '56'}00"
    assert unknown["responseCode"] == code
    if code.startswith("401"):
        # Operators do see which it was.
        service = code[3:5]
        assert await kinds(sender.world) == {f"{service}_signature": 2, f"{service}_unknown_partner": 1}


async def test_a_token_of_one_bank_says_nothing_of_another(banks: dict[SignatureStyle, Bank]) -> None:
    """Who has a token of its own hears of every other name what it hears of one that nobody has."""
    bank = banks[SignatureStyle.WITH_TOKEN]
    names = [banks[SignatureStyle.WITHOUT_TOKEN].partner_id, "NOBODYATALL"]
    answers = {(await bank.tell("pay_1", "success", 5, x_partner_id=each)).raw for each in names}
    assert len(answers) == 1


async def test_what_is_wrong_with_a_token_is_told_to_the_bank_that_signed(banks: dict[SignatureStyle, Bank]) -> None:
    bank = banks[SignatureStyle.WITH_TOKEN]
    for token, code in (("", "4015603"), ("nonsense", "4015601")):
        bank.token = token
        assert (await bank.tell("pay_1", "success", 5))["responseCode"] == code
        assert (await bank.tell("pay_1", "success", 5, x_signature=BAD))["responseCode"] == "4015600"


async def test_a_strangers_signature_costs_the_same_work_as_a_wrong_one(
    banks: dict[SignatureStyle, Bank], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is in looking the partner up and in trying keys; of either there is as much."""
    tried: list[str] = []
    from authz_service.api import genuine  # noqa: PLC0415

    for name in ("is_signed_with_secret", "is_signed_with_key"):
        whole = getattr(genuine, name)

        def counted(*of: Any, whole: Any = whole, name: str = name) -> bool:
            tried.append(name)
            return bool(whole(*of))

        monkeypatch.setattr(genuine, name, counted)
    work = []
    for partner_id in ("NOBODYATALL", *(each.partner_id for each in banks.values())):
        tried.clear()
        await banks[SignatureStyle.WITH_TOKEN].tell("pay_1", "success", 5, x_partner_id=partner_id, x_signature=BAD)
        work.append(sorted(tried))
    assert work == [["is_signed_with_key", "is_signed_with_secret"]] * 3


@pytest.mark.parametrize("path", [NOTIFY, TOKEN])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_a_method_that_is_not_taken_is_snaps_405_and_the_right_one_is_named(
    world: World, path: str, method: str
) -> None:
    async with world.http.request(method, world.base_url + path) as response:
        assert (response.status, response.headers["allow"]) == (405, "POST")
        assert response.headers["x-timestamp"].endswith("+08:00")
        if method != "HEAD":
            document = await response.json()
            assert document == {
                "responseCode": f"405{'73' if path == TOKEN else '56'}00",
                "responseMessage": "Requested Function Is Not Supported",
            }
    assert await kinds(world) == {f"{'73' if path == TOKEN else '56'}_method": 1}


async def test_an_address_that_asks_too_much_is_answered_429_also_where_all_of_it_is_nonsense(
    premises: Premises,
) -> None:
    async with premises.service(bank_address_requests_per_second=1.0, bank_burst_seconds=5.0) as world:
        bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
        replies = [await bank.tell("pay_1", "success", 5, x_signature=BAD) for _ in range(4)]
        assert {each.status for each in replies} == {401}
        assert (await bank.tell("pay_1", "success", 5)).status == 200
        refused = await bank.tell("pay_2", "success", 5)
        assert (refused.status, refused["responseCode"]) == (429, "4295600")
        assert refused["responseMessage"] == "Too Many Requests"
        assert int(refused.headers["retry-after"]) == 1
        token = await bank.fetch_token()
        assert (token.status, token["responseCode"]) == (429, "4297300")
        assert await kinds(world) == {"56_signature": 4, "56_too_many": 1, "73_too_many": 1}
        assert await world.database.fetchval("SELECT count(*) FROM bank_notice") == 1
        await asyncio.sleep(1.1)
        assert (await bank.tell("pay_2", "success", 5)).status == 200


async def test_a_banks_share_is_its_own_and_nobody_else_can_use_it_up(premises: Premises) -> None:
    """Only what was genuinely signed counts: who only says that he is the bank takes nothing from it."""
    async with premises.service(bank_partner_requests_per_second=1.0, bank_burst_seconds=3.0) as world:
        bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
        other = await a_bank(world, SignatureStyle.WITHOUT_TOKEN, "ANOTHERBANK")
        for _ in range(10):
            assert (await bank.tell("pay_1", "success", 5, x_signature=BAD)).status == 401
        statuses = [(await bank.tell(f"pay_{each}", "success", 5)).status for each in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert (await other.tell("pay_1", "success", 5)).status == 200


def test_a_rate_lets_a_burst_through_and_then_one_after_the_other() -> None:
    rate = Rate(per_second=2.0, burst_seconds=2.0, senders_limit=10)
    assert [rate.wait_seconds("a", 0.0) for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert rate.wait_seconds("b", 0.0) == 0
    assert rate.wait_seconds("a", 0.5) == 0
    assert rate.wait_seconds("a", 0.5) == 0.5
    # What was refused was not counted.
    assert rate.wait_seconds("a", 1.0) == 0


def test_no_number_of_senders_fills_the_memory_and_who_is_silent_is_forgotten() -> None:
    rate = Rate(per_second=1.0, burst_seconds=5.0, senders_limit=3)
    for number in range(100):
        assert rate.wait_seconds(f"{number}", 0.0) == 0
    assert len(rate._paid_until) == 3
    assert rate.wait_seconds("last", 10.0) == 0
    assert list(rate._paid_until) == ["last"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("", "", True),
    ],
)
def test_of_ipv6_a_network_is_one_sender(one: str, other: str, same: bool) -> None:
    assert (sender_at(one) == sender_at(other)) is same
