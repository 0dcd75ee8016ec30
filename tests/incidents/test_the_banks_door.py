"""What others let a bank's messages do: headers that raised, changed bytes, notices in disorder (18, 19, 22)."""

import asyncio
import json
import re
from itertools import permutations
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from authz_service.bank.partners import SignatureStyle
from tests.bank import NOTIFY, TOKEN, Bank, a_bank, a_notice, became, followed
from tests.settling import batch_closed, instructions
from tests.world import World

HEADERS = [
    *("x-signature", "x-timestamp", "x-partner-id", "x-client-key", "x-external-id", "channel-id", "authorization"),
]
MALFORMED = [
    *(
        b"",
        b" ",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"=",
        b"====",
        b"AAA",
        b"AAAA=",
        b"v1,",
        b"v1,,,",
        b"%%%",
        b"\x80" * 200,
    ),
    *(b"Bearer", b"Bearer \xff", b"Bearer AAAA=", b"9" * 5_000, b"-1", b"1e999", b"0x10", b"2024-13-45T99:99:99+99:99"),
    *(b"9999-12-31T23:59:59-23:59", b"0000-00-00T00:00:00Z", b"NaN", b"null", b"{}", "١٢٣".encode(), "…".encode()),
]


async def answer_to(world: World, path: str, headers: dict[str, bytes], body: bytes) -> bytes:
    """To these bytes, which no client library has looked at; empty where the connection was ended."""
    address = urlsplit(world.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [f"POST {path} HTTP/1.1".encode(), b"host: bank", b"content-length: %d" % len(body), b"connection: close"]
    writer.write(b"\r\n".join([*lines, *(name.encode() + b": " + value for name, value in headers.items())]))
    writer.write(b"\r\n\r\n" + body)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@pytest.mark.parametrize("path", [NOTIFY, TOKEN])
async def test_18_malformed_signature_headers_raised_value_errors(world: World, path: str) -> None:
    """Row 18: a webhook library split and decoded what stood in its headers, and a byte that was none of base64 or
    UTF-8 was a 500 that anybody could make. Here each of SNAP's headers has each kind of nonsense, alone and all at
    once, and so has the body: every answer is a refusal of SNAP's, or the server's own for what is no HTTP."""
    bank = await a_bank(world, SignatureStyle.WITH_TOKEN)
    body = a_notice("pay_1", "success", 5)
    good = {name: value.encode() for name, value in bank.headers(body).items()}
    good["x-client-key"] = bank.partner_id.encode()
    asked = [good | {name: nonsense} for name in HEADERS for nonsense in MALFORMED]
    asked += [dict.fromkeys(HEADERS, nonsense) for nonsense in MALFORMED]
    chance = Random(18)
    bodies = [body, *MALFORMED, *(chance.randbytes(length) for length in (1, 10, 100, 1_000))]
    answers = [await answer_to(world, path, headers, body) for headers in asked]
    answers += [await answer_to(world, path, good, each) for each in bodies[1:]]
    codes = set()
    for answer in answers:
        status = int(answer.split(b" ", 2)[1])
        head, _, document = answer.partition(b"\r\n\r\n")
        assert 200 <= status < 500, answer
        if b"application/json" in head:
            codes.add(code := json.loads(document)["responseCode"])
            assert code[:3] == str(status)
        else:
            assert status == 400, answer
    assert len(codes) > 2
    # A channel of nonsense is one that banks may have; nothing but that was genuine.
    assert {status for status, *_ in await became(world)} <= {"success"}


SAME_TO_A_PARSER = [
    (b'"text":"A  B"', b'"text":"A B"'),
    (b'"text":"caf\\u00e9"', '"text":"café"'.encode()),
    (b'"text":"a\\/b"', b'"text":"a/b"'),
    (b'"additionalInfo":{"rate":1.0}', b'"additionalInfo":{"rate":1}'),
    (b'"additionalInfo":{"n":12345678901234567890123}', b'"additionalInfo":{"n":1.2345678901234568e22}'),
    (b'"additionalInfo":{"b":1,"a":null}', b'"additionalInfo":{"a":null,"b":1}'),
    (b'"additionalInfo":{"t":"\\" , \\" : {"}', b'"additionalInfo":{"t":"\\",\\":{"}'),  # to one without a tokenizer
]


@pytest.fixture(params=list(SignatureStyle))
async def bank(world: World, request: pytest.FixtureRequest) -> Bank:
    """One that signs in either way."""
    return await a_bank(world, request.param)


async def test_19_json_minified_by_parse_and_dump_changed_the_signed_bytes(bank: Bank) -> None:
    """Row 19: some servers read the body and wrote it again before they checked its signature; escapes, large numbers,
    order and `1.0` came out otherwise, so genuine notices were refused and others were taken for them. Here a body is
    genuine with any white space between its tokens, and a signature of what a parser would make of it is none."""
    for written, read_and_written in SAME_TO_A_PARSER:
        body, other = (
            a_notice("pay_1", "pending", 5)[:-1] + b"," + each + b"}" for each in (written, read_and_written)
        )
        spaced = b" { " + body[1:-1].replace(b'","original', b'" ,\r\n "original') + b"\t}\n"
        assert json.loads(spaced) == json.loads(body)
        for sent, signed, status in ((body, body, 200), (spaced, body, 200), (body, other, 401), (other, body, 401)):
            reply = await bank.tell("", "", 0, body=sent, signed_body=signed)
            assert (reply.status, written) == (status, written), reply.raw


async def test_19_a_regex_removed_blanks_inside_strings(bank: Bank) -> None:
    """Row 19, as a bank's published sample had it: `\\s+` was removed everywhere, so two texts had one signature and
    whoever moved a blank was not noticed. Here they are two, and a signature of the blankless one opens nothing."""
    for text in (b"PAID TO KUBE", b"PAID\\tTO", b"PAID  TO", b'\\\\\\" PAID', b"a\\\\", b"  "):
        body = a_notice("pay_1", "pending", 5)[:-1] + b',"additionalInfo":{"text":"' + text + b'"}}'
        blankless = re.sub(rb"\s+", b"", body)
        genuine = await bank.tell("", "", 0, body=body)
        assert genuine.status == 200, genuine.raw
        if blankless != body:
            assert (await bank.tell("", "", 0, body=body, signed_body=blankless)).status == 401
            assert (await bank.tell("", "", 0, body=blankless, signed_body=body)).status == 401


async def test_22_a_bank_notice_arrived_twice_late_or_before_the_batch_it_speaks_of(bank: Bank) -> None:
    """Row 22: handlers booked each notice as it came, so a repeat paid twice, a late "pending" undid a success, and one
    that came before its batch was lost. Here each of six shops hears its pending, its success twice and its return in
    another order, half of it followed at once and half later, all of it twice; the books are those of one success and
    one return for each, and a notice that came too early is followed when its batch is there."""
    world = bank.world
    orders = sorted(set(permutations(["pending", "success", "returned"])))
    for till, card in zip(world.tills.terminals[: len(orders)], world.tills.cards, strict=False):
        await world.authorise(amount=1_000, capture=True, till=till, card_number=card.card_number)
    early = await bank.tell("pay_of_a_batch_to_come", "success", 1_000)
    assert early["responseCode"] == "2005600"
    await followed(world)
    assert await became(world) == [("success", "parked", "reference_unknown")]
    await batch_closed(world)
    paid = await instructions(world)
    for turn in range(2 * 3):
        for number, ((reference, _, amount), order) in enumerate(zip(paid, orders, strict=True)):
            how: dict[str, Any] = {"x_external_id": f"{number}-{turn}"}
            for _ in range(2):
                assert (await bank.tell(reference, order[turn % 3], amount, **how)).status == 200
        if turn < 3:
            await followed(world)
    await followed(world)
    events = await world.database.fetch("SELECT event, count(*) FROM payout_event GROUP BY event ORDER BY event")
    assert [tuple(row) for row in events] == [("returned", 6), ("settled", 6)]
    moved = await world.database.fetch(
        "SELECT kind, count(*) FROM transfer WHERE kind LIKE 'payout%' OR kind = 'return' GROUP BY kind ORDER BY kind"
    )
    assert [tuple(row) for row in moved] == [("payout", 6), ("payout_settled", 6), ("return", 6)]
    assert {standing for _, standing, _ in (await became(world))[1:]} == {"followed"}
    await world.books_balance()
