"""Numbers that others let pass through a float, and secrets that others repeated (rows 16 and 20)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict
from redis.asyncio import Redis

from authz_service.keys import Keys
from authz_service.vocabulary import with_luhn
from tests.harm import Premises, is_a_fault, refuse, refuse_no_more
from tests.world import Reply, World, by_stan

LARGEST = 2**53 - 1


async def is_granted_all_that_can_be_written(world: World) -> None:
    """The family has Rp9.007.199.254.740.991 and no limit but that; the fund has it, too."""
    await world.change(package_rupiah=None, month_cap_rupiah=None, month_packages=None, package_counting="no_limit")
    await world.database.execute("ALTER TABLE transfer DISABLE TRIGGER transfer_is_immutable")
    for amount, whose in ((LARGEST, world.card.beneficiary_id), (LARGEST + 986 * 1800000, "unallocated")):
        await world.database.execute(
            "UPDATE transfer SET amount_rupiah = $1 WHERE kind IN ('fund', 'grant') AND credit_account_id = $2",
            amount,
            whose,
        )
    await world.database.execute("ALTER TABLE transfer ENABLE TRIGGER transfer_is_immutable")
    await world.database.execute(
        "UPDATE wallet SET available_rupiah = $2 WHERE beneficiary_id = $1", world.card.beneficiary_id, LARGEST
    )


async def test_16_approved_amounts_passed_through_float64(world: World) -> None:
    """Row 16: a tracer kept approved amounts as float64, which counts no single rupiah above 2^53. Here the largest
    amount that every JSON reader keeps exact is approved, captured in two parts, refunded and told to the rupiah, and
    the books have the same digits; it takes one rupiah more to be refused."""
    await is_granted_all_that_can_be_written(world)
    lines = [{"category": "ikan_kaleng", "amount": LARGEST - 1}, {"category": "gula", "amount": 1}]
    lines[1] |= {"product": "gula pasir", "unit": "kg", "quantity": "1", "unit_price": 1}
    held = await world.authorise(lines=lines)
    assert (held["decision"], held["remaining"]["programme"]) == ("approved", 0)
    assert b'"amount":9007199254740991,"approved_amount":9007199254740991' in held.raw
    assert held["message"].startswith("Disetujui Rp9.007.199.254.740.991.")
    assert [line["approved_amount"] for line in held["lines"]] == [LARGEST - 1, 1]

    whole = await world.capture(held["id"], amount=LARGEST, key="all")
    assert (whole.status, whole["capture"]["amount"]) == (201, LARGEST)
    refunded = await world.refund(held["id"], LARGEST - 2)
    assert (refunded["refund"]["amount"], refunded["authorization"]["refunded_amount"]) == (LARGEST - 2, LARGEST - 2)
    over = await world.refund(held["id"], 3)
    assert (over["code"], over["refundable_amount"]) == ("refund_exceeds_captured", 2)
    assert await world.wallet() == (LARGEST - 2, 0, 2)

    parts = await world.authorise(amount=LARGEST - 2)
    first = await world.capture(parts["id"], amount=LARGEST - 4, final=False)
    assert (first["authorization"]["held_amount"], first["capture"]["amount"]) == (2, LARGEST - 4)
    over = await world.capture(parts["id"], amount=3)
    assert (over["code"], over["held_amount"]) == ("capture_exceeds_hold", 2)
    last = await world.capture(parts["id"], amount=1)
    assert last["authorization"]["captured_amount"] == LARGEST - 3
    assert await world.wallet() == (1, 0, LARGEST - 1)
    assert (await world.balance())["remaining"]["programme"] == 1
    shown = await world.get(f"/v1/authorizations/{parts['id']}")
    assert [event["amount"] for event in shown["events"]] == [LARGEST - 2, LARGEST - 4, 1, 1]
    month = await world.month(date(2024, 10, 1))
    assert month == (LARGEST - 1, 0)
    await world.books_balance()

    for amount in (LARGEST, LARGEST - 1):
        declined = await world.authorise(amount=amount)
        assert (declined["reason"], declined["amount"], declined["tender_due"]) == ("entitlement_exceeded",) + 2 * (
            amount,
        )
    assert (await world.authorise(amount=LARGEST + 1)).status == 422


@pytest.mark.parametrize(
    ("quantity", "unit_price", "amount"),
    [
        ("1", LARGEST, LARGEST),
        # In each of these the product of two floats is off by one.
        ("0.999", 9007199254740880, 8998192055486139),
        ("1.001", 8998200054686303, 9007198254740989),
        ("999999999.999", 9007199, 9007198999990993),
        ("999999999.999", 9007000, 9006999999990993),
    ],
)
async def test_16_a_price_times_a_quantity_passed_through_float64(
    world: World, quantity: str, unit_price: int, amount: int
) -> None:
    """Row 16, for the one product that is computed: quantity times unit price is exact and rounded half up; one rupiah
    less or more, which is what a float would make of it, is refused."""
    line: dict[str, Any] = {"category": "ikan_kaleng", "product": "sarden 155 g", "unit": "kaleng"}
    line |= {"quantity": quantity, "unit_price": unit_price}
    exact = await world.authorise(lines=[{**line, "amount": amount}])
    assert (exact.status, exact["amount"]) == (201, amount)
    for off in (amount - 1, amount + 1):
        assert (await world.authorise(lines=[{**line, "amount": off}])).status == 422


NO_RUPIAH = [
    "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "1" + "0" * 30, "9" * 400, "1e5", "1E5", "1e+5", "100000e0", "1.0", "100000.0", "100000.5", "9007199254740991.0",
    "1e400", "0", "-0", "-0.0", "-1", "-100000", '"100000"', '"1e5"', "true", "[100000]", "{}",
]  # fmt: skip
"""How a till could write an amount, and must not."""


@dataclass(frozen=True, slots=True)
class Place:
    """A member that holds money: where it stands, in the body of which call, and what is wrong with it is named."""

    name: str
    path: str
    body: dict[str, Any]

    def written(self, number: str) -> bytes:
        return orjson.dumps(self.body).replace(b'"HERE"', number.encode())


def places(world: World, authorisation_id: str) -> Iterator[Place]:
    sale, of = world.a_purchase(), f"/v1/authorizations/{authorisation_id}"
    first, *others = sale["lines"]
    for call in ("/v1/authorizations", "/v1/authorizations?dry_run=true"):
        yield Place("amount", call, sale | {"amount": "HERE"})
        for name in ("amount", "unit_price"):
            yield Place(f"lines[0].{name}", call, sale | {"lines": [first | {name: "HERE"}, *others]})
    yield Place("amount", f"{of}/captures", {"amount": "HERE", "final": False})
    yield Place("amount", f"{of}/refunds", {"amount": "HERE", "reason": "telur pecah"})


async def test_16_a_float_or_too_large_a_number_was_taken_for_an_amount(world: World) -> None:
    """Row 16, at the door: in every member of every call that holds money, what is no whole number of rupiah up to
    2^53 - 1 is refused, a float even where it stands for a whole number; nothing is written, no key is used up."""
    sold = await world.authorise(amount=100000)
    assert (await world.capture(sold["id"], amount=50000, final=False)).status == 201
    before = await world.counts()
    for place in places(world, sold["id"]):
        for number in NO_RUPIAH:
            reply = await world.post(place.path, place.written(number), key="k")
            assert (reply.status, reply["code"]) == (422, "invalid"), (place, number, reply.raw)
            assert place.name in {error["field"] for error in reply["errors"]}, (place, number, reply.raw)
            # Its own id may hold any digits.
            said = reply.raw.decode().replace(reply["request_id"], "")
            assert number not in said or len(number) < 3
        for number in ("NaN", "Infinity", "01", "+1", "1.", ".5", "0x10", "1_000"):
            assert (await world.post(place.path, place.written(number), key="k")).status == 400, (place, number)
    assert await world.counts() == before
    assert (await world.sell(world.a_purchase(), "k")).status == 201
    for path in (f"/v1/authorizations/{sold['id']}/captures", f"/v1/authorizations/{sold['id']}/refunds"):
        body = {"amount": 1} | ({"reason": "telur pecah"} if path.endswith("refunds") else {})
        assert (await world.post(path, body, key=path[-8:])).status == 201
    await world.books_balance()


A_PIN = "4F1E2D3C4B5A6978"


async def the_secrets_of(world: World) -> dict[str, str]:
    """A family's own card number and NIK, a PIN block, and a card number that is nobody's."""
    row = await world.database.fetchrow(
        "SELECT beneficiary_id, nik_sealed FROM beneficiary WHERE beneficiary_id = $1", world.card.beneficiary_id
    )
    assert row is not None
    keys = Keys(world.settings.root_key.get_secret_value())
    nik = keys.open_field(row["nik_sealed"], f"beneficiary.nik_sealed:{row['beneficiary_id']}")
    assert re.fullmatch(r"\d{16}", nik)
    return {"card": world.card.card_number, "nobody's card": with_luhn("936088123456789"), "nik": nik, "pin": A_PIN}


def in_fours(secret: str) -> str:
    """As it stands on a card."""
    return "-".join(secret[n : n + 4] for n in range(0, 16, 4))


def everywhere(body: Any, secret: str) -> Iterator[Any]:
    """`body` with the secret in place of each value, as text, as part of a text and as a number; and as a name."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from ({**body, name: changed} for changed in everywhere(value, secret))
        yield {**body, secret: 1}
        yield {**body, "nik": secret}
    elif isinstance(body, list):
        for n, value in enumerate(body):
            yield from ([*body[:n], changed, *body[n + 1 :]] for changed in everywhere(value, secret))
    else:
        yield secret
        yield f"no. {secret}!"
        yield in_fours(secret) if secret.isdigit() else [secret]
        yield int(secret) if secret.isdigit() else {secret: secret}


def every_request(world: World, sold: Reply, secret: str) -> Iterator[tuple[str, bytes, CIMultiDict[str]]]:
    """Path, body and headers."""
    of = f"/v1/authorizations/{sold['id']}"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/v1/authorizations", world.a_purchase(pin_block=A_PIN, merchant_id=None, terminal_id=None)),
        ("/v1/authorizations?dry_run=true", world.a_purchase(pin_block=A_PIN)),
        (f"{of}/captures", {"amount": 1, "final": False}),
        (f"{of}/void", {"reason": "batal"}),
        (f"{of}/refunds", {"amount": 1, "reason": "telur pecah"}),
        ("/v1/reversals", {"idempotency_key": "k"}),
        ("/v1/reversals", by_stan(world.a_purchase())),
        ("/v1/balance-inquiries", {"card_number": world.card.card_number, "pin_block": A_PIN}),
    ]
    for path, good in calls:
        raw = orjson.dumps(good)
        bodies = [raw, *map(orjson.dumps, everywhere(good, secret))]
        bodies += [raw[:-1], raw[:-1] + f',"amount":{secret}}}'.encode(), secret.encode() + b"\xff", b"\x00"]
        yield from ((path, body, CIMultiDict({"idempotency-key": world.fresh_key()})) for body in bodies)
        for query in (f"?dry_run={secret}", f"?{secret}={secret}"):
            yield path.partition("?")[0] + query, raw, CIMultiDict({"idempotency-key": world.fresh_key()})
        yield from ((path, raw, headers) for headers in every_header(secret))
    for call in ("captures", "void", "refunds"):
        yield f"/v1/authorizations/{secret}/{call}", b"{}", CIMultiDict({"idempotency-key": world.fresh_key()})


def every_header(secret: str) -> Iterator[CIMultiDict[str]]:
    everything = {"x-card": secret, "x-request-id": secret, "traceparent": secret, "user-agent": secret}
    everything |= {"cookie": f"nik={secret}", "referer": f"/{secret}", "if-none-match": f'"{secret}"'}
    for key in (secret, f"{secret} x", f'"{secret}', secret * 5):
        yield CIMultiDict(everything | {"idempotency-key": key})
    for more in ({"authorization": f"Bearer {secret}"}, {"content-type": secret}, {secret: secret}):
        yield CIMultiDict(everything | {"idempotency-key": "k"} | more)


@pytest.mark.parametrize("kind", ["card", "nobody's card", "nik", "pin"])
async def test_20_a_422_echoed_what_was_sent(premises: Premises, kind: str) -> None:
    """Row 20: a framework's 422 repeats the input, and with it a card number, a PIN or a NIK. Here each is sent in
    every place of every call: in each member and as its name, in the path, the query and the headers, valid and not,
    also while the database refuses to write; and is in no answer, header, log line, traceback or metric, in no text,
    JSON or bytes of any table, and nowhere in Redis."""
    async with premises.child() as (world, child):
        secret = (await the_secrets_of(world))[kind]
        sold = await world.authorise(capture=True, pin_block=A_PIN)
        told = [sold]
        for path, body, headers in every_request(world, sold, secret):
            told.append(await world.post(path, body, headers=headers))
        for path in (f"/v1/authorizations/{secret}", f"/v1/{secret}", f"/{secret}", f"/v1/catalogue?nik={secret}"):
            told += [await world.get(path, headers=headers) for headers in every_header(secret)]
        told.append(await world.get(f"/v1/authorizations/{sold['id']}"))
        # A write that is refused leaves a traceback in the log.
        await refuse(world, "transfer", "true", "23514")
        other = world.a_purchase(pin_block=A_PIN, card_number=world.tills.cards[1].card_number)
        refused = [await world.sell(body, world.fresh_key()) for body in (other, *everywhere(other, secret))]
        assert is_a_fault(refused[0], "not_decided")
        await refuse_no_more(world, "transfer")
        told += [*refused, Reply(200, (await world.scraped()).encode(), {})]

        assert {reply.status for reply in told} == {200, 201, 400, 401, 403, 404, 409, 422, 503}
        for reply in told:
            assert not any(form in reply.raw.decode() + str(reply.headers) for form in (secret, in_fours(secret))), (
                reply
            )
        log = child.log.read_text()
        for expected in ("service_started", "request_cannot_be_decided", "CheckViolationError"):
            assert expected in log
        assert secret not in log
        assert await columns_with(world, sold["id"]) != []
        assert await columns_with(world, secret) == []
        redis: Redis = Redis.from_url(premises.redis_url)
        async for name in redis.scan_iter():
            kept = await redis.get(name)
            assert secret.encode() not in name + (kept if isinstance(kept, bytes) else b"")
        await redis.aclose()


async def columns_with(world: World, text: str) -> list[str]:
    """The columns of the database that hold this text somewhere, in whatever form they keep it."""
    columns = await world.database.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
    )
    found = []
    for table, column, kind in columns:
        value = f"position($1::bytea IN {column})" if kind == "bytea" else f"strpos({column}::text, $1)"
        argument = text.encode() if kind == "bytea" else text
        if await world.database.fetchval(f"SELECT EXISTS (SELECT FROM {table} WHERE {value} > 0)", argument):
            found.append(f"{table}.{column}")
    return found
