"""Killed at any point of an application: the old roll or the new one is in force, and given again it is finished.

Systematically, a connection that is cut at each statement in turn; and a process that is killed at random moments while
tills sell.
"""

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from tests.cutting import LOST, CutConnection
from tests.harm import Premises, address_of
from tests.operators import Operator
from tests.rolls import RollDesk, a_family, the_roll
from tests.world import World

LEAVERS: Final = 40
KILLS: Final = 6


async def a_new_roll(world: World, directory: Path, operator: Operator) -> tuple[RollDesk, str, list[str]]:
    """An approved list: forty leave, five enter, twenty change; and the newcomers' cards."""
    desk, families = RollDesk(world, world.database, directory), await the_roll(world)
    for card in world.tills.cards[-5:]:
        await operator.remove(card)
    newcomers = [a_family() for _ in range(5)]
    changed = [{**family, "PENDAMPING": "P-100"} for family in families[LEAVERS : LEAVERS + 20]]
    import_id = await desk.approved([*changed, *families[LEAVERS + 20 : -5], *newcomers])
    return desk, import_id, [str(each["NOMOR_KARTU"]) for each in newcomers]


async def sides(world: World, newcomers: list[str]) -> set[str]:
    """On which roll the service is, asked of both ends of it: {"old"}, {"new"}; more is neither."""
    found = set()
    for card in world.tills.cards[:3]:
        declined = (await world.balance(card))["reason"] == "beneficiary_removed"
        found.add("new" if declined else "old")
    for number in newcomers[:3]:
        reply = await world.post("/v1/balance-inquiries", {"card_number": number})
        found.add("old" if reply["reason"] == "card_unknown" else "new")
    return found


@pytest.mark.parametrize("is_heard", [False, True])
async def test_an_application_that_is_cut_at_any_statement_is_whole_or_not_at_all(
    world: World, operator: Operator, tmp_path: Path, *, is_heard: bool
) -> None:
    desk, import_id, newcomers = await a_new_roll(world, tmp_path, operator)
    for cut_at in range(1, 100):
        connection = await asyncpg.connect(address_of(world), connection_class=CutConnection)
        connection.cut_at, connection.is_heard = cut_at, is_heard
        applied = await world.database.fetchval("SELECT applied_at IS NOT NULL FROM roll_import")
        assert await sides(world, newcomers) == {"new" if applied else "old"}
        if cut_at % 15 == 0:
            await world.books_balance()
        try:
            await desk.apply(import_id, connection)
            written = await desk.write(connection=connection)
        except LOST:
            continue
        await connection.close()
        assert written is None or not written.left
        break
    else:
        raise pytest.fail.Exception("never whole")
    assert cut_at >= 30
    assert await sides(world, newcomers) == {"new"}
    await _is_finished(world, desk)


_APPLIER: Final = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from authz_service.clock import clock_from
from authz_service.settings import Settings
from authz_service.roll.importing.applying import apply
from authz_service.roll.importing.writing import write_applied

async def work():
    connection, settings = await asyncpg.connect(sys.argv[1]), Settings(roll_settled_at_once=5)
    how = {"clock": clock_from(Path(sys.argv[2])), "chance": os.urandom}
    print("ready", flush=True)
    await apply(connection, settings, "samarinda-2024", sys.argv[3], actor="Sekretaris", **how)
    await write_applied(connection, settings, "samarinda-2024", limit_seconds=30.0, **how)
    await asyncio.sleep(60)

asyncio.run(work())
"""


async def test_a_process_that_is_killed_while_it_applies_a_list_leaves_one_roll_and_tills_never_stop(
    premises: Premises, tmp_path: Path
) -> None:
    """SIGKILL at a random moment, again and again, while tills sell to those who leave, stay and enter."""
    chance = random.Random(7)
    async with premises.service() as world:
        desk, import_id, newcomers = await a_new_roll(world, tmp_path, Operator(world, world.database))
        stop = asyncio.Event()
        selling = [asyncio.create_task(_sold(world, newcomers, n, stop)) for n in range(3)]
        for _ in range(KILLS):
            applier = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _APPLIER, address_of(world), str(world.settings.clock_offset_file), import_id),
                stdout=asyncio.subprocess.PIPE,
            )
            assert applier.stdout is not None
            assert await applier.stdout.readline() == b"ready\n"
            await asyncio.sleep(chance.uniform(0, 0.15))
            assert applier.returncode is None
            applier.kill()
            await applier.wait()
        await desk.apply(import_id)
        written = await desk.write()
        assert written is None or not written.left
        stop.set()
        outcomes = sum(await asyncio.gather(*selling), Counter[str]())
        assert set(outcomes) <= {"approved", "beneficiary_removed", "card_unknown", "packages_used_up"}
        assert await sides(world, newcomers) == {"new"}
        await _is_one_roll_after_the_other(world)
        await _is_finished(world, desk)


async def _sold(world: World, newcomers: list[str], place: int, stop: asyncio.Event) -> "Counter[str]":
    """One till, one sale after the other: to a leaver, a newcomer, one who stays."""
    outcomes: Counter[str] = Counter()
    cards = [card.card_number for card in world.tills.cards[: LEAVERS + 60]] + newcomers
    n = place
    while not stop.is_set():
        reply = await world.authorise(
            amount=1_000, card_number=cards[n * 7 % len(cards)], till=world.tills.terminals[place]
        )
        assert reply.status == 201
        outcomes[reply["reason"]] += 1
        n += 3
    return outcomes


async def _is_one_roll_after_the_other(world: World) -> None:
    """By the version of the reference data under which each was decided, no leaver bought after a newcomer could."""
    rows: list[Any] = await world.database.fetch(
        "SELECT (a.journal #>> '{versions,reference}')::bigint AS version, a.reason, b.status,"
        "       EXISTS (SELECT FROM family_change c"
        "                WHERE c.beneficiary_id = a.beneficiary_id AND c.kind = 'enter') AS entered"
        "  FROM authorisation a JOIN beneficiary b USING (programme_id, beneficiary_id)"
    )
    old = [row["version"] for row in rows if row["status"] == "removed" and row["reason"] == "approved"]
    new = [row["version"] for row in rows if row["entered"] or row["reason"] == "beneficiary_removed"]
    assert new
    assert max(old, default=0) < min(new)


async def _is_finished(world: World, desk: RollDesk) -> None:
    assert await desk.rows() == 0
    assert await world.database.fetchval("SELECT count(*) FROM beneficiary WHERE leaves_at IS NOT NULL") == 0
    kinds = await world.database.fetch(
        "SELECT kind, count(*) FROM family_change WHERE detail ? 'import_id' GROUP BY kind ORDER BY kind"
    )
    assert [tuple(row) for row in kinds] == [("enter", 5), ("move", 20), ("remove", LEAVERS)]
    told = await world.database.fetch(
        "SELECT type, count(*) FROM event WHERE type IN ('family.left', 'family.entered', 'family.moved')"
        "   AND data ->> 'beneficiary_id' NOT IN (SELECT beneficiary_id FROM family_change"
        "                                          WHERE kind = 'remove' AND NOT detail ? 'import_id')"
        " GROUP BY type ORDER BY type"
    )
    assert [tuple(row) for row in told] == [("family.entered", 5), ("family.left", LEAVERS), ("family.moved", 20)]
    assert await world.database.fetchval("SELECT finished_at IS NOT NULL FROM roll_import")
    await world.books_balance()
