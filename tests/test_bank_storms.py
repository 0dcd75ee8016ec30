"""One payment that is told of a thousand times, one that is told of twice as another, and one that cannot be followed:
neither the tills nor other payments wait for them, and what two people have resolved moves no money."""

import asyncio
import os
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from authz_service.bank.follower import Follower
from authz_service.bank.following import follow
from authz_service.bank.funding import expect_funding
from authz_service.bank.inbox import InboxRefused, approve, listed, resolve
from authz_service.bank.partners import SignatureStyle, add_key
from authz_service.clock import monotonic_seconds
from authz_service.database import OfficePool, asyncpg_dsn
from tests.bank import SAMARINDA, a_bank, a_notice, became, followed, kept_notice
from tests.harm import Premises, address_of
from tests.settling import batch_closed, instructions
from tests.world import World

TOLD_ALREADY = 16_000
LOOP_STANDS_SECONDS = 1.0
"""Of a busy machine; it stood for four seconds once."""
STORM = """
INSERT INTO bank_notice (programme_id, notice_id, partner_id, external_id, received_on, received_at, body, body_digest,
                         reference, bank_reference, status, amount_rupiah)
SELECT $1, 'ntc_' || lpad(number::text, 26, '0'), 'BANKALTIMTARA', number::text, now(), now(), $2, $2, $3, 'b',
       'pending', $4
  FROM generate_series(1, $5::int) AS number
"""
IS_REFUSED = """
CREATE FUNCTION refuse_this() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER refuses BEFORE INSERT ON payout_event FOR EACH ROW WHEN (NEW.instruction_id = '{}')
       EXECUTE FUNCTION refuse_this()
"""


def how(world: World, actor: str = "Dinsos") -> dict[str, Any]:
    return {"actor": actor, "now": world.now, "chance": os.urandom}


async def paid_soon(world: World) -> tuple[str, int]:
    """A payout that the bank has been told of: its reference and amount."""
    await world.authorise(capture=True)
    await batch_closed(world)
    ((reference, _, amount),) = await instructions(world)
    return reference, amount


async def the_loop_stands(watched: "asyncio.Task[Any]") -> float:
    """The longest time for which nothing else ran while `watched` did (seconds)."""
    longest = 0.0
    while not watched.done():
        before = monotonic_seconds()
        await asyncio.sleep(0.01)
        longest = max(longest, monotonic_seconds() - before)
    await watched
    return longest


async def test_one_more_of_sixteen_thousand_notices_stops_nobody(premises: Premises) -> None:
    """X-EXTERNAL-ID is not signed: whoever has overheard one genuine request may send it again under new ones."""
    async with premises.service(notice_seconds=3600.0) as world:
        reference, amount = await paid_soon(world)
        body = a_notice(reference, "pending", amount)
        await world.database.execute(STORM, SAMARINDA, body, reference, amount, TOLD_ALREADY)
        await world.database.execute(
            "INSERT INTO notice_standing (programme_id, notice_id, standing)"
            " SELECT programme_id, notice_id, 'new' FROM bank_notice"
        )
        following: dict[str, Any] = {"clock": world.clock, "chance": os.urandom}
        await follow(world.database, world.settings, SAMARINDA, **following)
        await kept_notice(world, reference, "success", amount)
        one_more = asyncio.create_task(follow(world.database, world.settings, SAMARINDA, **following))
        assert await the_loop_stands(one_more) < LOOP_STANDS_SECONDS
        looked = await world.database.fetch("SELECT count(*) FROM notice_standing GROUP BY looked_at ORDER BY 1")
        assert [row[0] for row in looked] == [1, TOLD_ALREADY], "what is so already is not written again"
        assert [row[0] for row in await world.database.fetch("SELECT event FROM payout_event")] == ["settled"]


async def test_what_two_people_have_resolved_is_not_heard_any_more(world: World) -> None:
    """They have said that the money never came back; so the success that comes later is not taken for its return."""
    reference, amount = await paid_soon(world)
    await kept_notice(world, reference, "returned", amount)
    await followed(world)
    notice_id = await world.database.fetchval("SELECT notice_id FROM bank_notice")
    await resolve(world.database, SAMARINDA, notice_id, resolution="tidak pernah kembali", **how(world))
    await approve(world.database, SAMARINDA, notice_id, **how(world, "Inspektorat"))
    await kept_notice(world, reference, "success", amount)
    await followed(world)
    assert await became(world) == [
        ("returned", "resolved", "return_before_success"),
        ("success", "followed", None),
    ]
    assert [row[0] for row in await world.database.fetch("SELECT event FROM payout_event")] == ["settled"]
    await world.books_balance()


@pytest.mark.parametrize("second", ["ani", "ANI", " Ani "])
async def test_one_person_under_two_spellings_is_not_two(world: World, second: str) -> None:
    await kept_notice(world, "pay_of_nobody", "success", 1_000)
    await followed(world)
    notice_id = await world.database.fetchval("SELECT notice_id FROM bank_notice")
    await resolve(world.database, SAMARINDA, notice_id, resolution="diperiksa", **how(world, "Ani"))
    with pytest.raises(InboxRefused, match="somebody else"):
        await approve(world.database, SAMARINDA, notice_id, **how(world, second))
    with pytest.raises(asyncpg.CheckViolationError):
        await world.database.execute(
            "UPDATE notice_standing SET standing = 'resolved', approved_at = $1, approved_by = $2", world.now, second
        )


async def test_a_payment_that_the_bank_tells_of_as_two_waits_for_people(world: World) -> None:
    reference, amount = await paid_soon(world)
    for second, name in enumerate(("first", "second", "first")):
        at = world.now + timedelta(seconds=second)
        await kept_notice(world, reference, "success", amount, bank_reference=name, at=at)
    await followed(world)
    assert [why for _, _, why in await became(world)] == [None, "paid_under_another_reference", None]
    assert [row[0] for row in await world.database.fetch("SELECT event FROM payout_event")] == ["settled"]


async def test_the_citys_money_that_the_bank_tells_of_as_two_comes_once(world: World) -> None:
    await expect_funding(world.database, SAMARINDA, "SP2D-7", 1_000_000, **how(world))
    for second, name in enumerate(("first", "second")):
        at = world.now + timedelta(seconds=second)
        await kept_notice(world, "SP2D-7", "success", 1_000_000, bank_reference=name, at=at)
    await followed(world)
    assert [why for _, _, why in await became(world)] == [None, "paid_under_another_reference"]
    came = "SELECT count(*) FROM transfer WHERE kind = 'fund' AND reason = 'SP2D-7'"
    assert await world.database.fetchval(came) == 1


async def test_who_has_said_what_becomes_of_a_notice_cannot_say_otherwise(world: World) -> None:
    """Somebody may be reading it, to approve it; a colleague can say otherwise, and then it takes another one."""
    await kept_notice(world, "pay_of_nobody", "success", 1_000)
    await followed(world)
    notice_id = await world.database.fetchval("SELECT notice_id FROM bank_notice")
    await resolve(world.database, SAMARINDA, notice_id, resolution="diperiksa", **how(world, "Ani"))
    with pytest.raises(InboxRefused, match="only somebody else can say otherwise"):
        await resolve(world.database, SAMARINDA, notice_id, resolution="dibayar", **how(world, "ani "))
    await resolve(world.database, SAMARINDA, notice_id, resolution="milik program lain", **how(world, "Budi"))
    with pytest.raises(InboxRefused, match="somebody else"):
        await approve(world.database, SAMARINDA, notice_id, **how(world, "Budi"))
    await approve(world.database, SAMARINDA, notice_id, **how(world, "Ani"))
    assert [standing for _, standing, _ in await became(world)] == ["resolved"]


async def test_two_new_secrets_at_once_have_a_number_each(world: World) -> None:
    await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    others = [await asyncpg.connect(address_of(world)) for _ in range(4)]
    until: dict[str, Any] = {"older_end_at": world.now + timedelta(days=7)}
    numbers = await asyncio.gather(
        *(add_key(each, SAMARINDA, "BANKALTIMTARA", None, **until, **how(world)) for each in others)
    )
    assert sorted(numbers) == list(range(min(numbers), min(numbers) + 4))
    for each in others:
        await each.close()


async def test_what_cannot_be_followed_keeps_no_other_payment_waiting(world: World) -> None:
    for till, card in zip(world.tills.terminals[:2], world.tills.cards, strict=False):
        assert (await world.authorise(capture=True, till=till, card_number=card.card_number))["decision"] == "approved"
    await batch_closed(world)
    first, second = await instructions(world)
    await world.database.execute(IS_REFUSED.format(first[0]))
    for reference, _, amount in (first, second):
        await kept_notice(world, reference, "success", amount)
    await follow(world.database, world.settings, SAMARINDA, clock=world.clock, chance=os.urandom)
    assert [row[0] for row in await world.database.fetch("SELECT instruction_id FROM payout_event")] == [second[0]]
    await world.database.execute("DROP TRIGGER refuses ON payout_event")
    await followed(world)
    assert {standing for _, standing, _ in await became(world)} == {"followed"}


async def test_a_busy_programme_keeps_no_other_programmes_notices_waiting(world: World) -> None:
    columns = [
        row[0]
        for row in await world.database.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'programme'"
        )
    ]
    its_own = ", ".join("'aaa'" if each == "programme_id" else each for each in columns)
    await world.database.execute(f"INSERT INTO programme ({', '.join(columns)}) SELECT {its_own} FROM programme")
    for programme_id in ("aaa", SAMARINDA):
        await world.database.execute(
            "INSERT INTO bank_partner VALUES ($1, $2, 'b', 'without_token', true, now()) ON CONFLICT DO NOTHING",
            programme_id,
            f"B{programme_id.upper()}",
        )
    await kept_notice(world, "SP2D", "success", 1_000)
    await world.database.execute(
        "INSERT INTO bank_notice SELECT 'aaa', notice_id, 'BAAA', external_id, received_on, received_at, body,"
        " body_digest, reference, bank_reference, status, amount_rupiah FROM bank_notice"
    )
    await world.database.execute("INSERT INTO notice_standing SELECT 'aaa', notice_id, 'new' FROM bank_notice LIMIT 1")
    settings = world.settings.model_copy(update={"closing_lock_timeout_ms": 200})
    other = await asyncpg.connect(address_of(world))
    pool = OfficePool(settings, asyncpg_dsn(address_of(world)), {})
    await pool
    try:
        async with other.transaction():
            await other.execute("SELECT true FROM programme WHERE programme_id = 'aaa' FOR NO KEY UPDATE")
            follower = Follower(
                settings=settings, pool=pool, clock=world.clock, chance=os.urandom, news=asyncio.Event()
            )
            await follower.follow_all()
        rows = await world.database.fetch("SELECT programme_id, standing FROM notice_standing ORDER BY 1")
        assert [tuple(row) for row in rows] == [("aaa", "new"), (SAMARINDA, "parked")]
    finally:
        await pool.close()
        await other.close()


async def test_the_longest_wait_is_listed_first(world: World) -> None:
    for number in range(3):
        await kept_notice(world, f"SP2D-{number}", "success", 1_000, at=world.now + timedelta(seconds=number))
    await followed(world)
    parked = await listed(world.database, SAMARINDA, parked_only=True, limit=2)
    assert [each.reference for each in parked] == ["SP2D-0", "SP2D-1"]
    newest = await listed(world.database, SAMARINDA, parked_only=False, limit=2)
    assert [each.reference for each in newest] == ["SP2D-2", "SP2D-1"]
