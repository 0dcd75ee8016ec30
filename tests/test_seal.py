"""Committed rows are numbered and sealed: without gaps, by one at a time, whatever commits late or dies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from authz_service.clock import SystemClock
from authz_service.database import open_office_pool
from authz_service.ledger.seal import Sealed, seal, stragglers
from authz_service.ledger.seal_check import Checked, check_sealed
from authz_service.ledger.sealed_books import head_of
from authz_service.ledger.sealed_head import Head
from authz_service.ledger.sealed_rows import TRANSFERS
from authz_service.ledger.tree import EMPTY
from authz_service.metric_kinds import REGISTRY
from authz_service.sealing import Sealer
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME, World

SAMARINDA = ProgrammeId(PROGRAMME)
SETTINGS = Settings(seal_block_rows=100)
TRANSFER = """
INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                      created_at, recorded_at)
SELECT 'samarinda-2024', $1 || lpad(n::text, 3, '0'), 'fund', 'enrol', 'fund', 'unallocated', 1000 + n,
       '2024-10-07T01:00:00.25Z', coalesce($3, now())
  FROM generate_series(1, $2) n
"""
Connect = Callable[[], Coroutine[Any, Any, "asyncpg.Connection[asyncpg.Record]"]]


@pytest.fixture
async def connect(database_url: str) -> AsyncIterator[Connect]:
    """Connections to books in which nothing stands yet."""
    opened: list[asyncpg.Connection[asyncpg.Record]] = []

    async def another() -> "asyncpg.Connection[asyncpg.Record]":
        opened.append(await asyncpg.connect(database_url))
        return opened[-1]

    yield another
    for connection in opened:
        connection.terminate()


@pytest.fixture
async def books(connect: Connect) -> "asyncpg.Connection[asyncpg.Record]":
    return await connect()


async def enter(
    connection: "asyncpg.Connection[asyncpg.Record]", prefix: str, count: int = 1, recorded_at: datetime | None = None
) -> None:
    await connection.execute(TRANSFER, f"trf_{prefix}", count, recorded_at)


async def all_sealed(connection: "asyncpg.Connection[asyncpg.Record]", settings: Settings = SETTINGS) -> Sealed:
    sealed = await seal(connection, settings, SAMARINDA, TRANSFERS)
    assert sealed is not None
    return sealed


async def numbers(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """The sealed rows in the order of their numbers, which have no gap."""
    rows = await connection.fetch("SELECT first_row, rows, row_ids FROM seal_block ORDER BY number")
    ids: list[str] = []
    for row in rows:
        assert row["first_row"] == len(ids) + 1
        ids += row["row_ids"]
    return ids


async def checked(connection: "asyncpg.Connection[asyncpg.Record]", *heads: Head) -> Checked:
    return await check_sealed(connection, SETTINGS, SAMARINDA, TRANSFERS, heads=heads)


async def test_what_is_committed_gets_its_numbers_in_order_of_recording(
    books: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await enter(books, "b", 250)
    await enter(books, "a")
    sealed = await all_sealed(books)
    assert (sealed.rows, sealed.blocks, sealed.rows_of_all, sealed.unsealed_seconds) == (251, 3, 251, 0.0)
    ids = await numbers(books)
    assert len(set(ids)) == 251
    assert ids[-1] == "trf_a001"
    assert (await all_sealed(books)).rows == 0
    await enter(books, "c")
    assert (await all_sealed(books)).rows_of_all == 252
    assert (await numbers(books))[-1] == "trf_c001"
    assert await checked(books) == Checked(blocks=4, rows=252)


async def test_books_without_a_row_have_no_head_and_are_in_order(books: "asyncpg.Connection[asyncpg.Record]") -> None:
    assert (await all_sealed(books)).rows_of_all == 0
    assert await head_of(books, SAMARINDA, TRANSFERS) is None
    assert await checked(books) == Checked()
    none = Head(programme_id=PROGRAMME, chain="transfers", blocks=0, rows=0, root=EMPTY, sealed_at=datetime.now(UTC))
    assert await checked(books, none) == Checked()


async def test_who_commits_late_is_numbered_late_however_old_its_rows_say_they_are(
    books: "asyncpg.Connection[asyncpg.Record]", connect: Connect
) -> None:
    settings = Settings(seal_margin_seconds=0)
    slow = await connect()
    late = slow.transaction()
    await late.start()
    await enter(slow, "late")
    for name in ("one", "two", "three"):
        await enter(books, name)
        assert (await all_sealed(books, settings)).rows == 1
    await late.commit()
    await enter(books, "after")
    assert (await all_sealed(books, settings)).rows == 2
    assert await numbers(books) == ["trf_one001", "trf_two001", "trf_three001", "trf_late001", "trf_after001"]
    assert not (await checked(books)).faults
    # Now nothing is open any more, and the end that is read begins after all of it.
    await books.execute("UPDATE seal_head SET settled_until = settled_until - interval '2 minutes'")
    await all_sealed(books, settings)
    last = await books.fetchval("SELECT max(recorded_at) FROM transfer")
    assert await books.fetchval("SELECT settled_until FROM seal_head") > last


async def test_where_others_transactions_are_hidden_an_hour_is_read_again_and_again(
    books: "asyncpg.Connection[asyncpg.Record]", connect: Connect, database_url: str
) -> None:
    """A role that is not everybody's sees who is connected, and not since when."""
    await enter(books, "a", 3, datetime.now(UTC) - timedelta(minutes=50))
    role = f"sealer_{os.urandom(4).hex()}"
    await books.execute(
        f"CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}"
    )
    limited = await connect()
    await limited.execute(f"SET SESSION AUTHORIZATION {role}")
    slow = await connect()
    late = slow.transaction()
    await late.start()
    await enter(slow, "late", 1, datetime.now(UTC) - timedelta(minutes=45))
    assert (await all_sealed(limited)).rows == 3
    age = await books.fetchval("SELECT clock_timestamp() - settled_until FROM seal_head")
    assert timedelta(hours=1) < age < timedelta(hours=1, minutes=5)
    await late.commit()
    assert (await all_sealed(limited)).rows == 1
    await limited.execute("RESET SESSION AUTHORIZATION")
    await books.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_what_is_rolled_back_takes_no_number(
    books: "asyncpg.Connection[asyncpg.Record]", connect: Connect
) -> None:
    slow = await connect()
    late = slow.transaction()
    await late.start()
    await enter(slow, "late")
    await enter(books, "one")
    await all_sealed(books)
    await late.rollback()
    await enter(books, "two")
    await all_sealed(books)
    assert await numbers(books) == ["trf_one001", "trf_two001"]


async def test_several_who_seal_and_several_who_write_at_once_leave_no_gap_and_no_row_twice(
    books: "asyncpg.Connection[asyncpg.Record]", connect: Connect
) -> None:
    sealers, writers = [await connect() for _ in range(3)], [await connect() for _ in range(4)]
    goes_on = True

    async def write(number: int, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        for turn in range(15):
            async with connection.transaction():
                await enter(connection, f"w{number}_{turn}_", 7)
                await asyncio.sleep(0.001 * (number * turn % 5))

    async def go_on_sealing(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        rows = 0
        while goes_on:
            sealed = await seal(connection, SETTINGS, SAMARINDA, TRANSFERS)
            rows += sealed.rows if sealed else 0
            await asyncio.sleep(0)
        return rows

    sealing = [asyncio.create_task(go_on_sealing(each)) for each in sealers]
    await asyncio.gather(*(write(number, each) for number, each in enumerate(writers)))
    goes_on = False
    rows = sum([await each for each in sealing]) + (await all_sealed(books)).rows
    ids = await numbers(books)
    assert rows == len(ids) == len(set(ids)) == 4 * 15 * 7
    assert not (await checked(books)).faults


async def test_who_finds_another_sealing_does_not_wait(
    books: "asyncpg.Connection[asyncpg.Record]", connect: Connect
) -> None:
    await enter(books, "a")
    await all_sealed(books)
    async with books.transaction():
        await books.execute("SELECT FROM seal_head FOR UPDATE")
        assert await seal(await connect(), SETTINGS, SAMARINDA, TRANSFERS) is None


KILLED = """
import asyncio, sys
import asyncpg
from authz_service.ledger.seal import seal
from authz_service.ledger.sealed_rows import TRANSFERS
from authz_service.settings import Settings

async def main():
    connection = await asyncpg.connect(sys.argv[1])
    print("ready", flush=True)
    while True:
        await seal(connection, Settings(seal_block_rows=2), "samarinda-2024", TRANSFERS)

asyncio.run(main())
"""


async def test_a_sealer_that_is_killed_leaves_whole_rounds_and_the_next_one_goes_on(
    books: "asyncpg.Connection[asyncpg.Record]", database_url: str
) -> None:
    entered = 0
    for turn in range(3):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, database_url), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        for part in range(6):
            await enter(books, f"{turn}_{part}_", 40)
            entered += 40
            await asyncio.sleep(0.004 * turn)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert not [fault for fault in (await checked(books)).faults if "no number" not in fault]
    # PostgreSQL may take a moment to see that nobody is there any more.
    async with asyncio.timeout(10):
        while await seal(books, SETTINGS, SAMARINDA, TRANSFERS) is None:
            await asyncio.sleep(0.02)
    assert len(await numbers(books)) == entered
    assert not (await checked(books)).faults


async def test_a_round_ends_when_its_time_is_up_and_says_how_much_older_is_left(
    books: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    old = datetime.now(UTC) - timedelta(hours=5)
    await enter(books, "old", 250, old)
    await enter(books, "new", 10)
    settings = Settings(seal_block_rows=100, seal_round_seconds=0.000_001)
    first = await all_sealed(books, settings)
    assert first.rows == 100
    assert first.unsealed_seconds == pytest.approx(5 * 3600, abs=60)
    assert (await all_sealed(books, settings)).rows == 100
    last = await all_sealed(books, settings)
    assert (last.rows, last.rows_of_all, last.unsealed_seconds) == (60, 260, 0.0)
    assert not (await checked(books)).faults


async def test_a_row_that_was_passed_over_is_found_by_the_look_back_sealed_and_told(enrolled_url: str) -> None:
    sealer = await _a_sealer(enrolled_url)
    books = await asyncpg.connect(enrolled_url)
    await all_sealed(books)
    await enter(books, "passed_over", 2, datetime.now(UTC) - timedelta(days=3))
    assert (await all_sealed(books)).rows == 0
    found = await stragglers(books, SETTINGS, SAMARINDA, TRANSFERS)
    assert [row_id for row_id, _ in found] == ["trf_passed_over001", "trf_passed_over002"]
    assert any("trf_passed_over001" in fault for fault in (await checked(books)).faults)
    alerts = _alerts()
    await sealer.look_back(SAMARINDA, TRANSFERS)
    assert _alerts() == alerts, "it looks back once a day"
    await books.execute("UPDATE seal_head SET looked_back_at = looked_back_at - interval '25 hours'")
    await sealer.look_back(SAMARINDA, TRANSFERS)
    await sealer.look_back(SAMARINDA, TRANSFERS)
    assert _alerts() == alerts + 1
    assert (await numbers(books))[-2:] == ["trf_passed_over001", "trf_passed_over002"]
    assert not (await checked(books)).faults
    await books.close()
    await sealer.pool.close()


def _alerts() -> float:
    return REGISTRY.get_sample_value("authz_alerts_total", {"kind": "sealed_late"}) or 0.0


async def _a_sealer(database_url: str) -> Sealer:
    pool = await open_office_pool(SETTINGS, database_url)
    return Sealer(settings=SETTINGS, pool=pool, clock=SystemClock(), chance=os.urandom)


async def test_a_days_purchases_are_sealed_while_the_service_runs_and_it_says_how_far(world: World) -> None:
    await world.authorise(capture=True)
    sealer = await _a_sealer(world.settings.database_url.get_secret_value() if world.settings.database_url else "")
    assert await sealer.seal_all() is False
    rows = await world.database.fetchval("SELECT count(*) FROM transfer")
    place = {"programme": PROGRAMME, "chain": "transfers"}
    assert REGISTRY.get_sample_value("authz_sealed_rows", place) == rows
    assert REGISTRY.get_sample_value("authz_sealed_head_age_seconds", place) == 0
    await world.books_balance()

    # Once a day other systems are told of the head.
    await world.database.execute("UPDATE seal_head SET looked_back_at = looked_back_at - interval '25 hours'")
    await sealer.seal_all()
    told = await world.database.fetch("SELECT data::jsonb ->> 'root' FROM event WHERE type = 'books.sealed'")
    head = await head_of(world.database, SAMARINDA, TRANSFERS)
    assert head is not None
    assert [row[0] for row in told] == [head.root.hex()], "nothing is in the audit log yet"

    # Where nobody can seal, the age grows.
    await sealer.pool.close()
    await sealer.seal_all()
    assert (REGISTRY.get_sample_value("authz_sealed_head_age_seconds", place) or 0) > 0


HARM = {
    "Row 105, trf_105, was changed.": "UPDATE transfer SET amount_rupiah = 1 WHERE transfer_id = 'trf_105'",
    "Row 7, trf_007, was changed.": """
UPDATE transfer SET recorded_at = recorded_at - interval '1 us' WHERE transfer_id IN ('trf_007', 'trf_009')""",
    "Row 1, trf_001, is gone.": "DELETE FROM transfer WHERE transfer_id IN ('trf_001', 'trf_200')",
    "trf_new, recorded at": """
INSERT INTO transfer SELECT programme_id, 'trf_new', kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                            authorisation_id, reason, created_at, recorded_at - interval '1 hour'
  FROM transfer WHERE transfer_id = 'trf_001'""",
    "A row of 1 to 100 was changed, or the record of block 1.": """
UPDATE seal_block SET root = sha256('') WHERE number = 1""",
    "The record of block 2, rows 101 to 200, was changed.": """
UPDATE seal_block SET sealed_at = sealed_at + interval '1 s' WHERE number = 2""",
    "Row 103, trf_103, was changed.": """
UPDATE seal_block SET tags = set_byte(tags, 16, get_byte(tags, 16) # 1) WHERE number = 2""",
    "Block 3 with row 201 does not follow row 100.": "DELETE FROM seal_block WHERE number = 2",
    "The head speaks of 3 blocks with 250 rows; there are 2 with 200.": "DELETE FROM seal_block WHERE number = 3",
    "Row 1, trf_002, was changed.": "UPDATE seal_block SET row_ids[1] = 'trf_002' WHERE number = 1",
    "The head speaks of 3 blocks with 251 rows; there are 3 with 250.": "UPDATE seal_head SET rows = rows + 1",
}


@pytest.mark.parametrize("fault", HARM)
async def test_what_somebody_changes_in_the_database_is_found_and_the_first_row_named(
    books: "asyncpg.Connection[asyncpg.Record]", fault: str
) -> None:
    await enter(books, "", 250)
    await all_sealed(books)
    # Whoever may change the books by hand may also switch their guards off.
    await books.execute("SET session_replication_role = replica")
    await books.execute(HARM[fault])
    found = (await checked(books)).faults
    assert found[0].startswith(fault), found


async def test_a_row_with_two_numbers_is_named(books: "asyncpg.Connection[asyncpg.Record]") -> None:
    await enter(books, "", 150)
    await all_sealed(books)
    await books.execute("SET session_replication_role = replica")
    await books.execute("UPDATE seal_block SET row_ids[1] = 'trf_002' WHERE number = 2")
    assert "trf_002 has more than one number." in (await checked(books)).faults


async def test_a_head_of_before_is_among_the_heads_and_that_of_other_books_is_not(
    books: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await enter(books, "a", 250)
    await all_sealed(books)
    yesterday = await head_of(books, SAMARINDA, TRANSFERS)
    assert yesterday is not None
    await enter(books, "b", 10)
    await all_sealed(books)
    today = await head_of(books, SAMARINDA, TRANSFERS)
    assert today is not None
    assert not (await checked(books, yesterday, today)).faults
    for other in (replace(yesterday, root=EMPTY), replace(today, blocks=99)):
        assert any("that was handed out" in fault for fault in (await checked(books, other)).faults)
    # Even books that were sealed again from the beginning do not have it.
    await books.execute("SET session_replication_role = replica")
    await books.execute("DELETE FROM seal_block")
    await books.execute("DELETE FROM seal_head")
    await books.execute("UPDATE transfer SET amount_rupiah = 1 WHERE transfer_id = 'trf_a100'")
    await all_sealed(books)
    assert (await checked(books)).faults == []
    assert any("that was handed out" in fault for fault in (await checked(books, yesterday)).faults)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE seal_block SET sealed_at = now()",
        "DELETE FROM seal_block",
        "TRUNCATE seal_block",
        "UPDATE seal_head SET blocks = 0, rows = 0",
        "UPDATE seal_head SET chain = 'audit'",
        "DELETE FROM seal_head",
        "TRUNCATE seal_head",
    ],
)
async def test_what_is_sealed_is_kept(books: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    await enter(books, "a")
    await all_sealed(books)
    with pytest.raises(asyncpg.RestrictViolationError):
        await books.execute(statement)
