"""`authz ledger check`, as typed: how far a check came is kept, and the next one goes on from there."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from authz_service.database import Connection
from authz_service.ledger.checkpoints import Checkpoint, keep, last_clean, last_in_full, settled_at
from authz_service.ledger.invariants import INVARIANTS
from authz_service.ledger.invariants.given import Reach
from tests.world import PROGRAMME, World

A_DAY = timedelta(days=1)
NOON = datetime(2024, 10, 7, 12, tzinfo=UTC)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """To a database without a programme."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@dataclass(frozen=True, slots=True)
class Said:
    exit_code: int
    output: str


async def _check(world: World, *words: str) -> Said:
    assert world.settings.database_url is not None
    environment = {
        "DATABASE_URL": world.settings.database_url.get_secret_value(),
        "REDIS_URL": "redis://nowhere",
        "AUTHZ_CLOCK_OFFSET_FILE": str(world.settings.clock_offset_file),
        "AUTHZ_AUDIT_MARGIN_SECONDS": "0",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.cli", "ledger", "check", *words),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return Said(process.returncode or 0, output.decode())


async def test_the_first_check_is_of_all_and_the_next_one_of_what_is_new(world: World) -> None:
    first = await _check(world, "--since-last")
    assert first.exit_code == 0, first.output
    assert "No check of all has found these books in order, or the last one did not: all of them" in first.output
    assert f"all {len(INVARIANTS)} invariants hold" in first.output

    await world.authorise()
    second = await _check(world, "--since-last")
    assert second.exit_code == 0, second.output
    asked = sum(invariant.reach is not Reach.PROGRAMME for invariant in INVARIANTS)
    assert f"all {asked} invariants hold" in second.output
    assert "Checked: 1 family touched since" in second.output
    assert "with all their past: 1 authorisation." in second.output
    assert f"Not checked: {len(INVARIANTS) - asked} invariants of the whole programme" in second.output
    assert "it was last in order at" in second.output


async def test_what_was_found_is_found_again_until_it_is_mended(world: World) -> None:
    await _check(world)
    await world.authorise()
    await world.database.execute("UPDATE wallet SET available_rupiah = available_rupiah - 1 WHERE held_rupiah > 0")
    for _ in range(2):
        found = await _check(world, "--since-last")
        assert found.exit_code == 1
        assert "✗ A wallet has what the family's transfers make: available, held and spent. (1)" in found.output
    await world.database.execute("UPDATE wallet SET available_rupiah = available_rupiah + 1 WHERE held_rupiah > 0")
    assert (await _check(world, "--since-last")).exit_code == 0
    kept = await world.database.fetch("SELECT violations FROM audit_checkpoint ORDER BY checked_at")
    assert [row["violations"] > 0 for row in kept] == [False, True, True, False]


async def test_what_was_found_of_a_family_that_does_nothing_is_not_forgotten(world: World) -> None:
    await _check(world)
    await world.database.execute(
        "UPDATE wallet SET available_rupiah = available_rupiah + 777"
        " WHERE beneficiary_id = (SELECT min(beneficiary_id) FROM wallet)"
    )
    assert (await _check(world)).exit_code == 1
    assert (await _check(world, "--since-last")).exit_code == 1


async def test_a_check_goes_on_from_the_furthest_that_found_nothing(connection: Connection) -> None:
    assert await last_clean(connection, PROGRAMME) is None
    assert await last_in_full(connection, PROGRAMME) is None
    for day, (began, violations) in enumerate([(None, 0), (NOON, 0), (NOON, 1)]):
        assert await keep(connection, PROGRAMME, _checkpoint(NOON + day * A_DAY, began, violations))
    clean = await last_clean(connection, PROGRAMME)
    assert clean is not None
    assert clean.checked_until == NOON + A_DAY
    assert await last_in_full(connection, PROGRAMME) == NOON
    assert await last_clean(connection, "another") is None


async def test_what_a_check_of_all_has_found_is_looked_for_everywhere_until_it_is_gone(connection: Connection) -> None:
    """It may be of a family that does nothing, which no check of what is new would look at."""
    kept = [(None, 0), (NOON, 0), (None, 1), (NOON, 0), (None, 0)]
    may_go_on = []
    for day, (began, violations) in enumerate(kept):
        await keep(connection, PROGRAMME, _checkpoint(NOON + day * A_DAY, began, violations))
        may_go_on.append(await last_clean(connection, PROGRAMME) is not None)
    assert may_go_on == [True, True, False, False, True]


def _checkpoint(at: datetime, began: datetime | None, violations: int) -> Checkpoint:
    return Checkpoint(checked_at=at, checked_from=began, checked_until=at, violations=violations)


async def test_a_checkpoint_is_never_changed(connection: Connection) -> None:
    checkpoint = Checkpoint(checked_at=NOON, checked_from=None, checked_until=NOON, violations=1)
    await keep(connection, PROGRAMME, checkpoint)
    for statement in ("UPDATE audit_checkpoint SET violations = 0", "DELETE FROM audit_checkpoint"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute(statement)


async def test_where_nothing_can_be_written_nothing_is_kept(connection: Connection) -> None:
    await connection.execute("SET default_transaction_read_only = on")
    checkpoint = Checkpoint(checked_at=NOON, checked_from=None, checked_until=NOON, violations=0)
    assert not await keep(connection, PROGRAMME, checkpoint)
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute("CREATE ROLE auditor_who_only_reads")
    try:
        await connection.execute("SET ROLE auditor_who_only_reads")
        assert not await keep(connection, PROGRAMME, checkpoint)
    finally:
        await connection.execute("RESET ROLE")
        await connection.execute("DROP ROLE auditor_who_only_reads")


async def test_a_transaction_that_is_still_open_is_not_passed_over(connection: Connection, database_url: str) -> None:
    """It may have written rows that no snapshot shows yet, under ids of the time when it began."""
    before = await settled_at(connection)
    assert before is not None
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        began = await other.fetchval("SELECT now()")
        assert before <= began
        assert await settled_at(connection) == began
    await other.close()
    settled = await settled_at(connection)
    assert settled is not None
    assert settled > began


async def test_where_the_beginning_of_a_transaction_is_hidden_nothing_is_taken_as_settled(
    connection: Connection, database_url: str
) -> None:
    other = await asyncpg.connect(database_url, server_settings={"track_activities": "off"})
    async with other.transaction():
        await other.execute("SELECT pg_current_xact_id()")
        assert await settled_at(connection) is None
    await other.close()
    # Nor where another role's may be open.
    role = f"reader_{os.urandom(4).hex()}"
    await connection.execute(f"CREATE ROLE {role}")
    other = await asyncpg.connect(database_url)
    await connection.execute(f"SET ROLE {role}")
    assert await settled_at(connection) is None
    await connection.execute(f"RESET ROLE; DROP ROLE {role}")
    await other.close()
    assert await settled_at(connection) is not None
