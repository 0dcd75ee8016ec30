"""What somebody who tried to break the service got through, once."""

import asyncio
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

import orjson
import pytest
from redis.asyncio import Redis

from tests.world import PROGRAMME, World

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"


async def raw(world: World, path: str, headers: bytes, body: bytes) -> bytes:
    """One request as these bytes, and all that comes back until the connection is closed or quiet."""
    address = urlsplit(world.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST {path} HTTP/1.1\r\nHost: till\r\nAuthorization: Bearer {world.till.key}\r\n".encode()
    writer.write(head + headers + b"\r\n" + body)
    received = b""
    try:
        async with asyncio.timeout(1):
            while chunk := await reader.read(65536):
                received += chunk
    except TimeoutError:
        pass
    writer.close()
    return received


async def test_a_body_that_an_upgrade_swallows_is_no_capture_of_everything(world: World) -> None:
    held = await world.authorise()
    body = b'{"amount":1,"final":false}'
    headers = H2C + b"Idempotency-Key: h2c\r\nContent-Length: %d\r\n" % len(body)
    answer = await raw(world, f"/v1/authorizations/{held['id']}/captures", headers, body)
    assert b" 201 " not in answer.split(b"\r\n", 1)[0] or b'"amount":1,' in answer
    assert await world.wallet() in ((1650000, 150000, 0), (1650000, 149999, 1))


async def test_a_length_of_thousands_of_digits_is_no_fault_of_ours(world: World) -> None:
    held = await world.authorise()
    headers = b"Idempotency-Key: long\r\nContent-Length: " + b"0" * 4500 + b"2\r\n"
    answer = await raw(world, f"/v1/authorizations/{held['id']}/void", headers, b"{}")
    assert b" 500 " not in answer.split(b"\r\n", 1)[0]


async def test_whoever_writes_into_redis_cannot_make_an_approval(world: World, redis_url: str) -> None:
    body = world.a_purchase(amount=300001)
    declined = await world.post("/v1/authorizations", body, key="forged")
    assert declined["decision"] == "declined"
    redis = Redis.from_url(redis_url)
    for _ in range(100):
        if keys := await redis.keys("*:answer:*"):
            break
        await asyncio.sleep(0.02)
    for key in keys:
        value = await redis.get(key)
        assert isinstance(value, bytes)
        await redis.set(key, value.replace(b"declined", b"approved"))
    await redis.aclose()
    again = await world.post("/v1/authorizations", body, key="forged")
    assert again.raw == declined.raw


async def test_a_programme_that_cannot_be_read_stops_no_other(world: World) -> None:
    await world.database.execute("INSERT INTO reference (programme_id, version) VALUES ('mars', 1)")
    await world.database.execute(
        "INSERT INTO programme SELECT 'mars', name, operator_name, 'Mars/Base', starts_at, ends_at, entitlement_rupiah,"
        " package_rupiah, month_cap_rupiah, month_packages, package_counting, above_ceiling, details_required,"
        " hold_seconds, cash_categories FROM programme WHERE programme_id = $1",
        PROGRAMME,
    )
    await world.database.execute("UPDATE merchant SET name = name")
    assert (await world.authorise())["decision"] == "approved"


async def test_a_revoked_key_gets_no_stored_answer_either(world: World) -> None:
    body = world.a_purchase()
    await world.post("/v1/authorizations", body, key="k")
    await world.database.execute(
        "UPDATE terminal SET status = 'revoked' WHERE terminal_id = $1", world.till.terminal_id
    )
    assert (await world.post("/v1/authorizations", body, key="k")).status == 401


@pytest.mark.parametrize("between", [" ", "-", ".", "_", "/", " - "])
async def test_a_card_number_is_refused_as_a_label_however_it_is_written(world: World, between: str) -> None:
    number = world.card.card_number
    written = between.join(number[n : n + 4] for n in range(0, 16, 4))
    reply = await world.authorise(lines=[{"category": written, "amount": 1000}])
    assert (reply.status, reply["errors"][0]["code"]) == (422, "long_number")
    assert written not in reply.raw.decode()


async def test_of_two_ceilings_of_a_district_the_newer_one_holds(world: World) -> None:
    district = world.till.district_code
    for valid_from, price in ((date(2024, 9, 1), 17000), (date(2024, 10, 1), 19000)):
        await world.database.execute(
            "INSERT INTO price_ceiling VALUES ($1, 'gula pasir', 'kg', $2, $3, NULL, $4, 'a test')",
            PROGRAMME,
            district,
            valid_from,
            price,
        )
    line = {"category": "gula", "product": "gula pasir", "unit": "kg", "quantity": "1", "unit_price": 18000}
    assert (await world.authorise(lines=[{**line, "amount": 18000}]))["decision"] == "approved"


async def test_a_lowered_cap_takes_effect_with_the_next_month(world: World) -> None:
    await world.database.execute("INSERT INTO month_cap VALUES ($1, $2, 200000, 1)", PROGRAMME, date(2024, 11, 1))
    remaining = (await world.balance())["remaining"]
    assert (remaining["month"], remaining["packages_this_month"]) == (600000, 2)
    world.at(datetime(2024, 11, 4, 2, 0, tzinfo=UTC))
    remaining = (await world.balance())["remaining"]
    assert (remaining["month"], remaining["packages_this_month"]) == (200000, 1)
    assert (await world.authorise(amount=200001))["reason"] == "monthly_cap_exceeded"


async def test_cash_is_cash_however_it_is_written(world: World) -> None:
    for written in ("TUNAI", "Tarik Tunai", "tarik-tunai"):
        reply = await world.authorise(lines=[{"category": written, "amount": 50000}], partial_approval=True)
        assert reply["reason"] == "cash_not_permitted"


async def test_the_explanation_of_a_decision_holds_the_terms_that_it_saw(world: World) -> None:
    sold = await world.authorise()
    journal = orjson.loads(
        await world.database.fetchval("SELECT journal::text FROM authorisation WHERE authorisation_id = $1", sold["id"])
    )
    assert journal["facts"]["package"] == 300000
    assert journal["facts"]["month"] == [600000, 2, 0, 0, 0, 0]
    assert journal["facts"]["window"][0].startswith("2024-09-30T16:00:00")
