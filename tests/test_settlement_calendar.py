"""Cut-offs, holidays and the limit of a payout change by orders that are kept; what has begun stays as it was."""

import asyncio
import os
import sys
from dataclasses import replace
from datetime import date, time, timedelta
from typing import Any, Final

import pytest
import structlog
from structlog.testing import capture_logs

from authz_service.orders import OrderRefused
from authz_service.reconciliation.disputes import open_dispute
from authz_service.settlement.batches import BatchRefused, due
from authz_service.settlement.calendar import CalendarRefused, change_cut_off, change_holidays, change_payout_limit
from authz_service.settlement.cut_offs import CutOff
from authz_service.settlement.positions import number_of_parts, parts_of
from authz_service.settlement.scheduler import Scheduler
from tests.settling import CARD_DESK, SAMARINDA, batch_closed, instructions, said
from tests.test_closing import LONG_AFTER, closed
from tests.test_settlement_cut_offs import AT_THREE, wita
from tests.world import World

AT_NOON: Final = CutOff(at=time(12), days=frozenset(range(1, 8)))
TODAY: Final = date(2024, 10, 7)
"""A Monday; the clock of these tests begins at nine."""


def how(world: World, **changes: Any) -> dict[str, Any]:
    return {"actor": "Dinsos", "clock": world.clock, "chance": os.urandom, **changes}


async def cut_off_set(world: World, cut_off: CutOff | None, on: date | None = None, **changes: Any) -> Any:
    return await change_cut_off(
        world.database, world.settings, SAMARINDA, cut_off, **{"on": on, **how(world), **changes}
    )


async def holidays_changed(world: World, **changes: Any) -> list[date]:
    return await change_holidays(world.database, world.settings, SAMARINDA, **how(world, **changes))


async def limit_set(world: World, limit: int | None, **changes: Any) -> int | None:
    return await change_payout_limit(world.database, world.settings, SAMARINDA, limit, **how(world, **changes))


async def orders(world: World) -> list[tuple[str, str, str]]:
    rows = await world.database.fetch("SELECT kind, actor, detail::text FROM office_order ORDER BY order_id")
    return [tuple(row) for row in rows]


async def test_a_cut_off_changes_from_tomorrow_on_and_todays_stays(world: World) -> None:
    assert await cut_off_set(world, AT_NOON) == (TODAY + timedelta(days=1), AT_THREE)
    world.at(wita(7, 14))
    assert await due(world.database, SAMARINDA, world.now) == wita(4)
    world.at(wita(7))
    assert await due(world.database, SAMARINDA, world.now) == wita(7)
    world.at(wita(8, 12))
    assert await due(world.database, SAMARINDA, world.now) == wita(8, 12)
    with pytest.raises(BatchRefused, match="they are at 12:00 on Monday to Sunday, except holidays"):
        await batch_closed(world, wita(8, 11))
    assert (await batch_closed(world, wita(8, 12))).now
    assert await orders(world) == [
        (
            *("cut_off_set", "Dinsos"),
            '{"from": "2024-10-08", "before": "15:00 on Monday to Friday", "cut_off": "12:00 on Monday to Sunday"}',
        ),
        *(await orders(world))[1:],
    ]


async def test_a_programme_of_before_there_were_batches_gets_its_cut_off_by_an_order(world: World) -> None:
    """Migration 0006 gave those programmes none."""
    await world.database.execute("UPDATE programme SET settlement_cut_off = NULL, settlement_days = NULL")
    world.at(wita(8))
    assert await due(world.database, SAMARINDA, world.now) is None
    assert await cut_off_set(world, AT_THREE, date(2024, 10, 9)) == (date(2024, 10, 9), None)
    world.at(wita(9))
    assert await due(world.database, SAMARINDA, world.now) == wita(9)
    await cut_off_set(world, None, date(2024, 10, 10))
    world.at(wita(30))
    assert await due(world.database, SAMARINDA, world.now) == wita(9)


async def test_an_order_for_a_day_may_be_replaced_until_the_day_begins(world: World) -> None:
    for cut_off in (AT_NOON, AT_THREE, None):
        await cut_off_set(world, cut_off, TODAY + timedelta(days=2))
        if cut_off is AT_NOON:
            assert await cut_off_set(world, AT_NOON, TODAY + timedelta(days=1))
    with pytest.raises(CalendarRefused, match="has this cut-off already"):
        await cut_off_set(world, AT_NOON, TODAY + timedelta(days=1))
    for begun in (TODAY, TODAY - timedelta(days=1)):
        with pytest.raises(CalendarRefused, match=f"{begun} has begun"):
            await cut_off_set(world, AT_NOON, begun)
    with pytest.raises(OrderRefused):
        await cut_off_set(world, AT_NOON, TODAY + timedelta(days=9), actor=" ")
    assert await world.database.fetchval("SELECT count(*) FROM settlement_schedule") == 2


async def test_a_holiday_has_no_batch_and_is_no_working_day_of_a_claim_that_comes_later(world: World) -> None:
    sold = await world.authorise(capture=True)
    claim: dict[str, Any] = {"reason": "barang kurang", "actor": "Dinsos", "chance": os.urandom}
    before = await open_dispute(world.database, SAMARINDA, sold["id"], now=world.now, **claim)
    assert await holidays_changed(world, added=[date(2024, 10, 9), date(2024, 10, 8)]) == [
        *(date(2024, 10, 8), date(2024, 10, 9))
    ]
    other = await world.authorise(capture=True, till=world.other_till, card_number=world.tills.cards[1].card_number)
    after = await open_dispute(world.database, SAMARINDA, other["id"], now=world.now, **claim)
    assert after.answer_due_at - before.answer_due_at == timedelta(days=2)
    assert await world.database.fetchval("SELECT min(answer_due_at) FROM dispute") == before.answer_due_at
    world.at(wita(9, 23))
    assert await due(world.database, SAMARINDA, world.now) == wita(7)
    world.at(wita(10))
    assert await due(world.database, SAMARINDA, world.now) == wita(10)
    await holidays_changed(world, added=[date(2024, 12, 25), date(2024, 12, 26)])
    assert (await holidays_changed(world, removed=[date(2024, 12, 26)]))[-1] == date(2024, 12, 25)
    for wrong in ({"added": [date(2024, 12, 25)]}, {"removed": [date(2024, 12, 26)]}, {"added": [date(2024, 10, 10)]}):
        with pytest.raises(CalendarRefused):
            await holidays_changed(world, **wrong)
    assert [kind for kind, *_ in await orders(world)].count("holidays_changed") == 3


@pytest.mark.parametrize(
    ("amount", "limit", "parts"),
    [
        (0, None, []),
        (0, 100, []),
        (250, None, [250]),
        (250, 250, [250]),
        (250, 251, [250]),
        (251, 250, [250, 1]),
        (500, 250, [250, 250]),
        (501, 250, [250, 250, 1]),
    ],
)
def test_a_sum_above_the_limit_is_several_payouts(amount: int, limit: int | None, parts: list[int]) -> None:
    assert parts_of(amount, limit) == parts
    assert number_of_parts(amount, limit) == len(parts)


async def owed(world: World, rupiah: int) -> None:
    """At one shop, by as many families as that takes, a whole package each."""
    for card in world.tills.cards:
        amount = min(rupiah, 300_000)
        if not amount:
            return
        await world.authorise(capture=True, amount=amount, card_number=card.card_number)
        rupiah -= amount
    raise AssertionError("so many families there are not")


async def test_a_shop_that_is_owed_more_than_the_bank_takes_at_once_gets_several_payouts(world: World) -> None:
    """One of them may fail while the others are paid: what came back is paid again, and no more."""
    assert await limit_set(world, 1_000_000) is None
    await owed(world, 2_100_000)
    await batch_closed(world)
    told = await instructions(world)
    assert sorted(rupiah for *_, rupiah in told) == [100_000, 1_000_000, 1_000_000]
    failed = next(reference for reference, _, rupiah in told if rupiah == 100_000)
    await said(world, "settled", *(each for each, *_ in told if each != failed), bank_reference="BKT-1")
    await said(world, "failed", failed, reason="rekening ditutup")
    await said(world, "released", failed, reason="rekening baru")
    await batch_closed(world)
    assert [rupiah for *_, rupiah in (await instructions(world))[3:]] == [100_000]
    await world.books_balance()
    assert await limit_set(world, None) == 1_000_000
    for wrong in (-1, 0, 1, 250_000, 999_999, 2**53):
        with pytest.raises(CalendarRefused, match=r"at least Rp1\.000\.000, or there is none"):
            await limit_set(world, wrong)
    with pytest.raises(CalendarRefused, match="the limit already"):
        await limit_set(world, None)


async def test_a_batch_of_too_many_instructions_is_refused_in_every_round_until_the_limit_is_mended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of Rp1 that was set before there was a least: the round ends, nothing is written, no shop is forgotten."""
    await world.authorise(capture=True)
    await world.database.execute("UPDATE programme SET payout_limit_rupiah = 1")
    world.at(wita(7, 15))
    assert world.service is not None
    running = world.service._running
    assert running is not None
    scheduler = Scheduler(settings=world.settings, pool=running.pool, clock=world.clock, chance=os.urandom)
    # A logger that was used before keeps what it was configured with, and nothing is captured.
    monkeypatch.setattr("authz_service.settlement.scheduler.log", structlog.get_logger())
    with capture_logs() as logs:
        for _ in range(2):
            await asyncio.wait_for(scheduler.settle(), timeout=5)
    assert [(each["event"], each["programme"]) for each in logs] == [("batch_refused", SAMARINDA)] * 2
    assert "150000 instructions with at most Rp1 in one payout" in logs[0]["because"]
    with pytest.raises(BatchRefused, match=r"AUTHZ_BATCH_INSTRUCTIONS_LIMIT \(20000\); nothing was written"):
        await batch_closed(world)
    for table in ("settlement_item", "settlement_position", "settlement_batch", "payout_instruction"):
        assert await world.database.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await limit_set(world, 1_000_000) == 1
    await scheduler.settle()
    assert [rupiah for *_, rupiah in await instructions(world)] == [150_000]
    await world.books_balance()


async def test_as_many_instructions_as_the_setting_says_are_one_batch(world: World) -> None:
    for till, card in zip(world.tills.terminals[:3], world.tills.cards[:3], strict=True):
        await world.authorise(capture=True, till=till, card_number=card.card_number)
    shops = len({each.merchant_id for each in world.tills.terminals[:3]})
    few, enough = (world.settings.model_copy(update={"batch_instructions_limit": n}) for n in (shops - 1, shops))
    with pytest.raises(BatchRefused, match=f"would have {shops} instructions, more than"):
        await batch_closed(replace(world, settings=few))
    await batch_closed(replace(world, settings=enough))
    assert len(await instructions(world)) == shops


async def test_after_the_close_nothing_of_it_changes(world: World) -> None:
    world.at(LONG_AFTER)
    await closed(world)
    for change in (
        cut_off_set(world, AT_NOON),
        holidays_changed(world, added=[date(2025, 2, 1)]),
        limit_set(world, 5_000_000),
    ):
        with pytest.raises(CalendarRefused, match="is closed"):
            await change


async def test_what_an_operator_types(world: World) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from authz_service.cli import app\n"
        "for each in sys.argv[1:]:\n"
        "    done = CliRunner().invoke(app, each.split()); print(done.exit_code, done.output)"
    )
    assert world.settings.database_url is not None
    assert world.settings.redis_url is not None
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        *("settlement cut-off set 12:30 --days 1-3,6 --on 2024-11-01", "settlement cut-off set none --on 2024-12-30"),
        *("programme holidays add 2024-12-25 2024-12-26", "programme holidays remove 2024-12-26"),
        *("settlement limit set 250000000", "programme show"),
        *("settlement cut-off set 25:00", "settlement cut-off set 12:00 --days 5-9", "settlement limit set 1.000"),
        "settlement limit set 250000",
        env={
            **os.environ,
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "REDIS_URL": world.settings.redis_url.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(world.settings.clock_offset_file),
            "AUTHZ_ACTOR": CARD_DESK,
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    out = (await command.communicate())[0].decode()
    for line in (
        "0 From 2024-11-01 on: 12:30 on Monday, Tuesday, Wednesday, Saturday. Before: 15:00 on Monday to Friday.",
        "0 From 2024-12-30 on: no cut-off. Before: 12:30 on Monday, Tuesday, Wednesday, Saturday.",
        "0 Holidays: 2024-12-25, 2024-12-26.",
        "0 Holidays: 2024-12-25.",
        "0 One payout from the next batch on: at most Rp250.000.000. Before: no limit.",
        "shops are paid what was sold until 15:00 on Monday to Friday",
        "from 2024-11-01 on: 12:30 on Monday, Tuesday, Wednesday, Saturday",
        "from 2024-12-30 on: no cut-off, by `authz settlement close --now` alone",
        "one payout: at most Rp250.000.000",
        "holidays to come: 2024-12-25",
        "1 authz: A cut-off is a time as 15:00, or `none`.",
        "1 authz: Days are said as `1-5` or `2,5`: Monday is 1, Sunday 7.",
        "1 authz: A limit is a whole number of rupiah, without dots, or `none`.",
    ):
        assert line in out
