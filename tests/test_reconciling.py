"""A statement is in the books once, with all that follows from it, or not at all; two people close what is odd."""

import asyncio
import os
from typing import Any

import asyncpg
import pytest

from authz_service.bank.funding import expect_funding
from authz_service.bank.partners import SignatureStyle
from authz_service.closing import what_is_open
from authz_service.reconciliation.exceptions import approve, resolve
from authz_service.reconciliation.outcomes import ExceptionRefused, Outcome
from authz_service.reconciliation.statement_lines import Format, StatementRefused
from tests.bank import a_bank, followed
from tests.harm import address_of
from tests.reconciling import (
    A_DAY,
    OPENING,
    a_statement,
    counts,
    open_ones,
    read,
    reconciled,
    states,
    today,
    tomorrow,
)
from tests.settling import SAMARINDA, batch_closed, batches, instructions, said
from tests.world import World

A_SALE = 1_000
NEW: dict[str, Any] = {"chance": os.urandom}


async def payouts(world: World, number: int) -> list[str]:
    """So many shops have sold for Rp1.000 each, and the bank has been told to pay them."""
    for till, card in zip(world.tills.terminals[:number], world.tills.cards, strict=False):
        sold = await world.authorise(amount=A_SALE, capture=True, till=till, card_number=card.card_number)
        assert sold["decision"] == "approved"
    await batch_closed(world)
    return [reference for reference, *_ in await instructions(world)]


async def events(world: World, reference: str) -> list[tuple[str, str]]:
    rows = await world.database.fetch(
        "SELECT event, source FROM payout_event WHERE instruction_id = $1"
        " ORDER BY array_position(ARRAY['settled', 'failed', 'returned', 'released'], event)",
        reference,
    )
    return [tuple(row) for row in rows]


async def test_what_left_and_no_notice_told_is_settled_by_the_statement(world: World) -> None:
    (reference,) = await payouts(world, 1)
    done = await reconciled(world, (-A_SALE, reference))
    assert (states(done), done.steps, done.queued.open) == ({reference: "matched"}, 1, 0)
    assert await events(world, reference) == [("settled", "statement")]
    assert await world.database.fetchval("SELECT bank_reference FROM payout_event") == "BKT0001"
    await world.books_balance()


async def test_what_a_notice_told_before_is_only_matched(world: World) -> None:
    bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    (reference,) = await payouts(world, 1)
    await bank.tell(reference, "success", A_SALE)
    await followed(world)
    done = await reconciled(world, (-A_SALE, reference))
    assert (states(done), done.steps) == ({reference: "matched"}, 0)
    assert await events(world, reference) == [("settled", "notice")]
    await world.books_balance()


async def test_a_notice_that_comes_after_the_statement_changes_nothing(world: World) -> None:
    bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    (reference,) = await payouts(world, 1)
    await reconciled(world, (-A_SALE, reference), (A_SALE, reference))
    for told in ("returned", "success"):
        await bank.tell(reference, told, A_SALE)
    await followed(world)
    assert [event for event, _ in await events(world, reference)] == ["settled", "returned", "released"]
    assert await world.database.fetchval("SELECT count(*) FROM notice_standing WHERE standing <> 'followed'") == 0
    await world.books_balance()


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], [("settled", "statement"), ("returned", "statement"), ("released", "statement")]),
        (["settled"], [("settled", "operator"), ("returned", "statement"), ("released", "statement")]),
        (["settled", "returned"], [("settled", "operator"), ("returned", "operator"), ("released", "statement")]),
        (["failed"], [("failed", "operator"), ("released", "statement")]),
    ],
)
async def test_what_came_back_is_released_by_the_statement_and_in_the_next_batch(
    world: World, before: list[str], expected: list[tuple[str, str]]
) -> None:
    (reference,) = await payouts(world, 1)
    for event in before:
        await said(world, event, reference)
    rows = ((-A_SALE, reference), (A_SALE, reference))
    rehearsed = await reconciled(world, *rows, is_rehearsal=True)
    await batch_closed(world)
    assert len(await instructions(world)) == 1, "a dry run releases nothing"
    done = await reconciled(world, *rows)
    assert rehearsed.steps == done.steps > 0
    assert await events(world, reference) == expected
    await batch_closed(world)
    (first, second) = await instructions(world)
    assert first[1:] == second[1:]
    assert (await batches(world))[-1]["returned_rupiah"] == A_SALE
    await world.books_balance()


async def test_a_statement_that_is_read_again_adds_nothing(world: World) -> None:
    first, second = await payouts(world, 2)
    content = a_statement((-A_SALE, first), (-2_500, "", "FEE"), first=today(world))
    assert (await read(world, content)).statement.new_lines == 2
    before = await counts(world)
    for _ in range(2):
        again = await read(world, content)
        assert (again.statement.is_new, again.steps, again.queued.raised) == (False, 0, 0)
    assert await counts(world) == before
    assert states(again) == {first: "matched", second: "under_way", "FEE": "missing_here"}


async def test_overlapping_statements_have_each_booking_once(world: World) -> None:
    first, second = await payouts(world, 2)
    monday = today(world)
    one = await reconciled(world, (-A_SALE, first), (-2_500, "", "FEE"))
    tuesday = tomorrow(world)
    day = a_statement((-A_SALE, second), first=tuesday, opening=OPENING - A_SALE - 2_500)
    both = (
        a_statement((-A_SALE, first), (-2_500, "", "FEE"), first=monday, last=tuesday)
        .replace(f"{tuesday},,,,,{OPENING - A_SALE - 2_500},SALDO AKHIR\n".encode(), b"")
        .rstrip()
        + b"\n"
        + b"\n".join(day.splitlines()[2:])
    )
    two = await read(world, both)
    three = await read(world, day)
    assert [each.statement.new_lines for each in (one, two, three)] == [2, 1, 0]
    assert states(three) == {first: "matched", second: "matched", "FEE": "missing_here"}
    assert await world.database.fetchval("SELECT count(*) FROM bank_statement_line") == 3
    assert await world.database.fetchval("SELECT count(*) FROM bank_statement") == 3
    await world.books_balance()


async def test_a_dry_run_says_all_and_writes_nothing(world: World) -> None:
    first, second, third = await payouts(world, 3)
    rows = ((-A_SALE, first), (A_SALE, first), (-A_SALE - 1, second), (-2_500, "", "FEE"))
    last = tomorrow(world)
    before = await counts(world)
    rehearsed = await reconciled(world, *rows, is_rehearsal=True, last=last)
    assert await counts(world) == before
    done = await reconciled(world, *rows, last=last)
    assert (rehearsed.is_rehearsal, done.is_rehearsal) == (True, False)
    assert rehearsed.findings == done.findings
    assert rehearsed.queued == done.queued
    assert states(done) == {first: "matched", second: "amount_differs", third: "missing_there", "FEE": "missing_here"}


async def test_each_exception_has_its_figures_and_its_age(world: World) -> None:
    first, second, third, fourth = await payouts(world, 4)
    await said(world, "failed", third)
    monday = today(world)
    rows = ((-A_SALE - 1, first), (-A_SALE, third), (-A_SALE, fourth), (-A_SALE, fourth, "B9"), (7, "gift"))
    world.later(days=10)
    done = await reconciled(world, *rows, first=monday, last=monday + 10 * A_DAY)
    queued = [
        (each["kind"], each["reference"], each["ours_rupiah"], each["theirs_rupiah"]) for each in await open_ones(world)
    ]
    assert queued == [
        ("amount_differs", first, A_SALE, A_SALE + 1),
        ("missing_here", "gift", None, 7),
        ("missing_there", second, A_SALE, None),
        ("more_than_once", fourth, A_SALE, 2 * A_SALE),
        ("paid_though_failed", third, A_SALE, A_SALE),
    ]
    assert {each.age_days(done.today) for each in done.findings} == {10}
    assert done.steps == 0
    assert await world.database.fetchval("SELECT count(*) FROM payout_event") == 1
    assert "the oldest since 7 October 2024" in " ".join(await what_is_open(world.database, SAMARINDA, world.now))
    await world.books_balance()


async def test_a_later_statement_closes_what_it_explains(world: World) -> None:
    (reference,) = await payouts(world, 1)
    missing = await reconciled(world, last=tomorrow(world), first=today(world) - A_DAY)
    assert (states(missing), missing.queued.open) == ({reference: "missing_there"}, 1)
    explained = await reconciled(world, (-A_SALE, reference))
    assert (explained.queued.explained, explained.queued.open) == (1, 0)
    row = await world.database.fetchrow("SELECT * FROM reconciliation_exception")
    assert row is not None
    assert (row["closed_at"] is not None, row["approved_by"]) == (True, None)
    with pytest.raises(ExceptionRefused):
        await resolve(
            world.database,
            SAMARINDA,
            [row["exception_id"]],
            outcome=Outcome.EXPLAINED,
            reason="x",
            actor="a",
            now=world.now,
            **NEW,
        )


async def test_a_return_whose_payment_is_on_a_statement_that_comes_later_is_followed_then(world: World) -> None:
    (reference,) = await payouts(world, 1)
    monday = today(world)
    tuesday = tomorrow(world)
    early = await reconciled(world, (A_SALE, reference, "B2"), first=tuesday, opening=OPENING - A_SALE)
    # The payment is not in the books, and the account has opened without its money.
    assert (states(early), early.steps) == ({reference: "return_without_payment", "fund": "balance_differs"}, 0)
    late = await reconciled(world, (-A_SALE, reference, "B1"), first=monday)
    assert (states(late), late.steps, late.queued.open) == ({reference: "matched"}, 3, 0)
    await world.books_balance()


async def test_two_people_close_an_exception_and_it_is_not_raised_again(world: World) -> None:
    await reconciled(world, (-2_500, "", "FEE"), (-99, "", "ODD"))
    fee, odd = [row["exception_id"] for row in sorted(await open_ones(world), key=lambda row: row["reference"])]
    fee_first = await world.database.fetchval(
        "SELECT reference FROM reconciliation_exception WHERE exception_id = $1", fee
    )
    assert fee_first == "FEE"
    words: dict[str, Any] = {"outcome": Outcome.EXPLAINED, "reason": "biaya bank", "now": world.now, **NEW}
    with pytest.raises(ExceptionRefused, match="somebody else has resolved"):
        await approve(world.database, world.settings, SAMARINDA, [fee], actor="Inspektorat", now=world.now, **NEW)
    await resolve(world.database, SAMARINDA, [fee], actor="Dinsos", **words)
    for same in ("Dinsos", " dinsos "):
        with pytest.raises(ExceptionRefused, match="somebody else has resolved"):
            await approve(world.database, world.settings, SAMARINDA, [fee], actor=same, now=world.now, **NEW)
    with pytest.raises(ExceptionRefused, match="nothing was changed"):
        await approve(world.database, world.settings, SAMARINDA, [fee, odd], actor="Inspektorat", now=world.now, **NEW)
    assert len(await open_ones(world)) == 2
    await approve(world.database, world.settings, SAMARINDA, [fee], actor="Inspektorat", now=world.now, **NEW)
    again = await reconciled(world, (-2_500, "", "FEE"), (-99, "", "ODD"))
    assert (again.queued.raised, again.queued.open) == (0, 1)
    with pytest.raises(ExceptionRefused):
        await approve(world.database, world.settings, SAMARINDA, [fee], actor="x", now=world.now, **NEW)
    with pytest.raises(ExceptionRefused):
        await resolve(world.database, SAMARINDA, [fee], actor="x", **words)
    with pytest.raises(ExceptionRefused, match="printable"):
        await resolve(world.database, SAMARINDA, [odd], actor="x", **{**words, "reason": "a\x1bb"})
    kinds = await world.database.fetch("SELECT kind, actor FROM office_order WHERE kind LIKE 'exception%' ORDER BY 1")
    assert [tuple(row) for row in kinds] == [("exception_approved", "Inspektorat"), ("exception_resolved", "Dinsos")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE bank_statement_line SET amount_rupiah = 1",
        "DELETE FROM bank_statement",
        "TRUNCATE bank_statement_match",
        "UPDATE reconciliation_exception SET theirs_rupiah = 1",
        "DELETE FROM reconciliation_exception",
        "TRUNCATE dispute",
    ],
)
async def test_the_database_keeps_what_was_read(world: World, statement: str) -> None:
    (reference,) = await payouts(world, 1)
    await reconciled(world, (-A_SALE, reference), (-2_500, "", "FEE"))
    with pytest.raises(asyncpg.RestrictViolationError):
        await world.database.execute(statement)


async def test_the_database_takes_a_line_once_and_no_approval_by_one(world: World) -> None:
    await reconciled(world, (-2_500, "", "FEE"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.database.execute(
            "INSERT INTO bank_statement_line SELECT programme_id, statement_id, line + 1, identity, booked_on,"
            " amount_rupiah, reference, bank_reference, description FROM bank_statement_line"
        )
    with pytest.raises(asyncpg.CheckViolationError):
        await world.database.execute(
            "UPDATE reconciliation_exception SET resolved_at = now(), resolved_by = 'A', outcome = 'explained',"
            " reason = 'x', approved_by = 'a', closed_at = now()"
        )


async def test_announced_money_that_the_statement_shows_is_the_programmes(world: World) -> None:
    await expect_funding(world.database, SAMARINDA, "SP2D-7", 5_000, actor="Dinsos", now=world.now, **NEW)
    done = await reconciled(world, (5_000, "SP2D-7"))
    assert (states(done), done.steps) == ({"SP2D-7": "matched"}, 1)
    bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    await bank.tell("SP2D-7", "success", 5_000)
    await followed(world)
    assert await world.database.fetchval("SELECT count(*) FROM transfer WHERE kind = 'fund' AND reason = 'SP2D-7'") == 1
    await world.books_balance()


async def test_the_banks_own_reference_of_a_notice_finds_the_payout(world: World) -> None:
    bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    (reference,) = await payouts(world, 1)
    await bank.tell(reference, "success", A_SALE)
    await followed(world)
    done = await reconciled(world, (-A_SALE, "", "2024100700000000000000000001"))
    assert states(done) == {reference: "matched"}


@pytest.mark.parametrize(
    ("forgery", "named"),
    [
        ("UPDATE hold SET captured_rupiah = captured_rupiah - 1 WHERE captured_rupiah > 0", "authorisation"),
        ("UPDATE settlement_item SET amount_rupiah = amount_rupiah + 1", "authorisation"),
        ("UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE kind = 'payout'", "instruction"),
        ("DELETE FROM transfer WHERE kind = 'payout_settled'", "instruction"),
    ],
)
async def test_books_that_say_two_things_are_an_exception(world: World, forgery: str, named: str) -> None:
    (reference,) = await payouts(world, 1)
    await said(world, "settled", reference)
    await world.database.execute("SET session_replication_role = replica")
    await world.database.execute(forgery)
    await world.database.execute("SET session_replication_role = origin")
    await reconciled(world, (-A_SALE, reference))
    (row,) = await open_ones(world)
    assert row["kind"] == "books_differ"
    assert row["reference"].startswith("auth_" if named == "authorisation" else "pay_")
    assert row["detail"]


async def test_a_statement_of_a_day_to_come_of_another_account_or_of_nobody_is_refused(world: World) -> None:
    before = await counts(world)
    with pytest.raises(StatementRefused, match="today is 2024-10-07"):
        await reconciled(world, first=today(world) + A_DAY)
    assert await counts(world) == before
    message = ":20:X\n:25:{}\n:28C:1\n:60F:C241007IDR5,\n:62F:C241007IDR5,\n"
    await read(world, message.format("0000001234").encode(), kind=Format.MT940)
    with pytest.raises(StatementRefused, match=r"of account \*\*\*\*5678; the statements before are of \*\*\*\*1234"):
        await read(world, message.format("0000005678").encode(), kind=Format.MT940)


async def test_two_who_read_one_statement_at_once_book_it_once(world: World) -> None:
    references = await payouts(world, 4)
    content = a_statement(
        *((sign * A_SALE, each) for each in references for sign in (-1, 1)), first=today(world), opening=OPENING
    )
    others = [await asyncpg.connect(address_of(world)) for _ in range(3)]

    await asyncio.gather(*(read(world, content, connection=each) for each in others))
    for each in others:
        await each.close()
    assert await world.database.fetchval("SELECT count(*) FROM bank_statement") == 1
    assert await world.database.fetchval("SELECT count(*) FROM payout_event") == 12
    await batch_closed(world)
    assert len(await instructions(world)) == 8
    await world.books_balance()


async def test_a_return_after_the_close_is_an_exception_and_moves_nothing(world: World) -> None:
    (reference,) = await payouts(world, 1)
    await said(world, "settled", reference)
    await world.database.execute("UPDATE programme SET closed_at = ends_at")
    done = await reconciled(world, (-A_SALE, reference), (A_SALE, reference))
    assert (states(done), done.steps) == ({reference: "after_the_close"}, 0)
    assert await events(world, reference) == [("settled", "operator")]


async def test_reading_dies_whole(world: World) -> None:
    """Its server process is ended while it waits to write an exception, after it has booked."""
    (reference,) = await payouts(world, 1)
    before = await counts(world)
    content = a_statement((-A_SALE, reference), (-2_500, "", "FEE"), first=today(world))
    other, dying = await asyncpg.connect(address_of(world)), await asyncpg.connect(address_of(world))
    async with other.transaction():
        await other.execute("LOCK TABLE reconciliation_exception IN SHARE MODE")
        reading = asyncio.create_task(read(world, content, connection=dying))
        for _ in range(500):
            waits = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1"
            if await world.database.fetchval(waits, dying.get_server_pid()) == "Lock":
                break
            await asyncio.sleep(0.01)
        await world.database.execute("SELECT pg_terminate_backend($1)", dying.get_server_pid())
        with pytest.raises(Exception, match="connection to PostgreSQL was lost"):
            await reading
    await other.close()
    assert await counts(world) == before
    assert (await read(world, content)).steps == 1
    await world.books_balance()
