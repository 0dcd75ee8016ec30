"""What the bank sends is genuine or refused by SNAP's codes; what is genuine is kept before it is acknowledged."""

import os
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from authz_service.bank.partners import SignatureStyle, add_key
from authz_service.keys import Keys
from tests.bank import SAMARINDA, Bank, a_bank, a_notice, became
from tests.world import WITA, World


@pytest.fixture(params=list(SignatureStyle))
async def bank(world: World, request: pytest.FixtureRequest) -> Bank:
    """One that signs in either way."""
    return await a_bank(world, request.param)


@pytest.fixture
async def with_token(world: World) -> Bank:
    return await a_bank(world, SignatureStyle.WITH_TOKEN)


async def kept(world: World) -> int:
    number: int = await world.database.fetchval("SELECT count(*) FROM bank_notice")
    return number


async def test_a_genuine_notice_is_kept_as_received_and_acknowledged(bank: Bank) -> None:
    world = bank.world
    body = (
        b' { "originalPartnerReferenceNo" : "pay_1",'
        + a_notice("pay_1", "success", 5)[len(b'{"originalPartnerReferenceNo":"pay_1",') :]
    )
    reply = await bank.tell("pay_1", "success", 5, body=body)
    assert (reply.status, reply.body) == (200, {"responseCode": "2005600", "responseMessage": "Successful"})
    assert reply.headers["x-timestamp"].endswith("+08:00")
    assert await world.database.fetchval("SELECT body FROM bank_notice") == body


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"x_partner_id": ""}, "4005602"),
        ({"x_external_id": ""}, "4005602"),
        ({"channel_id": ""}, "4005602"),
        ({"x_signature": ""}, "4005602"),
        ({"x_timestamp": ""}, "4005602"),
        ({"x_timestamp": "yesterday"}, "4005601"),
        ({"x_external_id": "a b"}, "4005601"),
        ({"x_external_id": "1" * 37}, "4005601"),
        ({"channel_id": "000009"}, "4005601"),
        ({"x_partner_id": "ANOTHER"}, "4015600"),
        ({"x_signature": "bm8gc2lnbmF0dXJl"}, "4015600"),
        ({"signed_body": b"{}"}, "4015600"),
        ({"body": b"no json"}, "4005600"),
        ({"body": b"{}"}, "4005602"),
        ({"body": a_notice("pay_1", "success", "5.50")}, "4005601"),
        ({"body": b'{"a":"' + b"x" * 70_000 + b'"}'}, "4005600"),
    ],
)
async def test_what_is_not_genuine_or_not_readable_is_refused_and_only_the_security_log_has_it(
    bank: Bank, changes: dict[str, Any], code: str
) -> None:
    reply = await bank.tell("pay_1", "success", 5, **dict(changes))
    assert reply["responseCode"] == code, reply.raw
    assert reply.status == int(code[:3])
    assert await kept(bank.world) == 0
    assert await bank.world.database.fetchval("SELECT count(*) FROM security_event") == 1


@pytest.mark.parametrize(("minutes", "status"), [(-6, 401), (-4, 200), (4, 200), (6, 401)])
async def test_a_timestamp_may_be_five_minutes_off(bank: Bank, minutes: int, status: int) -> None:
    told = (bank.world.now + timedelta(minutes=minutes)).isoformat(timespec="seconds")
    assert (await bank.tell("pay_1", "success", 5, x_timestamp=told)).status == status


async def test_the_same_external_id_on_one_day_is_the_same_notice(bank: Bank) -> None:
    """White space does not make another one; the next day in WITA, at 16:00 UTC, begins anew."""
    world = bank.world
    first = await bank.tell("pay_1", "success", 5, x_external_id="41")
    again = await bank.tell("pay_1", "success", 5, x_external_id="41")
    spaced = await bank.tell("pay_1", "", 5, x_external_id="41", body=a_notice("pay_1", "success", 5) + b"\n")
    assert first.raw == again.raw == spaced.raw
    other = await bank.tell("pay_1", "failed", 5, x_external_id="41")
    assert (other.status, other["responseCode"]) == (409, "4095600")
    assert await kept(world) == 1
    world.at(world.now.astimezone(WITA).replace(hour=23, minute=59))
    if bank.token:
        bank.token = (await bank.fetch_token())["accessToken"]
    assert (await bank.tell("pay_1", "failed", 5, x_external_id="41")).status == 409
    world.later(minutes=2)
    assert (await bank.tell("pay_1", "failed", 5, x_external_id="41")).status == 200
    assert await kept(world) == 2


async def test_a_token_is_for_its_own_bank_and_for_fifteen_minutes(with_token: Bank) -> None:
    world = with_token.world
    assert (await with_token.fetch_token())["expiresIn"] == "900"
    other = await a_bank(world, SignatureStyle.WITH_TOKEN, "ANOTHERBANK")
    good = with_token.token
    for token, code in (("", "4015603"), ("nonsense", "4015601"), (other.token, "4015601"), (good, "2005600")):
        with_token.token = token
        assert (await with_token.tell("pay_1", "success", 5))["responseCode"] == code
    world.later(minutes=15)
    assert (await with_token.tell("pay_1", "success", 5))["responseCode"] == "4015601"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-client-key": ""}, "4007302"),
        ({"x-client-key": "ANOTHER"}, "4017300"),
        ({"x-signature": "bm8gc2lnbmF0dXJl"}, "4017300"),
        ({"x-timestamp": "2024-10-07"}, "4007301"),
    ],
)
async def test_no_token_without_the_banks_own_signature(with_token: Bank, headers: dict[str, str], code: str) -> None:
    assert (await with_token.fetch_token(**headers))["responseCode"] == code


async def test_keys_change_with_an_overlap(bank: Bank) -> None:
    """The old key is good until its end, the new one from its beginning."""
    world = bank.world
    await world.database.execute("UPDATE bank_key SET valid_until = $1", world.now + timedelta(minutes=10))
    new = await renewed(bank)
    assert (await bank.tell("pay_1", "success", 5)).status == 200
    assert (await new.tell("pay_2", "success", 5, x_external_id="new-1")).status == 200
    world.later(minutes=11)
    assert (await bank.tell("pay_3", "success", 5))["responseCode"] == "4015600"
    assert (await new.tell("pay_3", "success", 5, x_external_id="new-2")).status == 200


async def renewed(bank: Bank) -> Bank:
    """The same bank with new keys."""
    world, private_key = bank.world, rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ends = world.now + timedelta(minutes=10)
    how: dict[str, Any] = {"older_end_at": ends, "actor": "Dinsos", "now": world.now, "chance": os.urandom}
    await add_key(world.database, SAMARINDA, bank.partner_id, private_key.public_key(), **how)
    number = await add_key(world.database, SAMARINDA, bank.partner_id, None, **how)
    secret = Keys(world.settings.root_key.get_secret_value()).bank_secret(bank.partner_id, number)
    return Bank(world, bank.partner_id, private_key, secret, bank.style, bank.token)


async def test_a_flood_of_forgeries_does_not_fill_the_disk(bank: Bank) -> None:
    for _ in range(70):
        await bank.tell("pay_1", "success", 5, x_signature="bm8=")
    assert await bank.world.database.fetchval("SELECT count(*) FROM security_event") <= 60
    assert await became(bank.world) == []
