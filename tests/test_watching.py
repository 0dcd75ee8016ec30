"""One process looks, by indexes alone; what it tells is what the books say, and nothing is left of what is gone."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest
import structlog
from structlog.testing import capture_logs

from authz_service.bank import backlog as bank_backlog
from authz_service.database import BY_INDEXES, Connection
from authz_service.events import backlog as events_backlog
from authz_service.ledger import standing
from authz_service.ledger.standing import money
from authz_service.reconciliation import backlog as reconciliation_backlog
from authz_service.settlement import backlog as settlement_backlog
from authz_service.settlement.waits import wait
from tests.explained import _FILL, PURCHASES
from tests.operators import Operator
from tests.settling import SAMARINDA, batch_closed, instructions, said
from tests.watchers import Watching, a_watcher
from tests.world import PROGRAMME, World

_BALANCES: Final = """
-- Credits less debits, of all transfers that move money between accounts.
SELECT CASE a.kind WHEN 'beneficiary' THEN 'families' WHEN 'merchant' THEN 'payable' ELSE a.account_id END AS account,
       sum(side.rupiah) AS rupiah
  FROM transfer t
 CROSS JOIN LATERAL (VALUES (t.debit_account_id, -t.amount_rupiah),
                            (t.credit_account_id, t.amount_rupiah)) AS side(account_id, rupiah)
  JOIN account a ON a.programme_id = $1 AND a.account_id = side.account_id
 WHERE t.programme_id = $1 AND t.kind NOT IN ('hold', 'release')
 GROUP BY 1
"""


@pytest.fixture
async def watcher(world: World) -> AsyncIterator[Watching]:
    async with a_watcher(world) as it:
        yield it


async def told(world: World) -> Callable[..., float | None]:
    """What is scraped of the programme, by the name after `authz_` and the labels that it has beside it."""
    found = await world.metrics()

    def of(name: str, **labels: str) -> float | None:
        written = ",".join(f'{key}="{value}"' for key, value in sorted({**labels, "programme": PROGRAMME}.items()))
        return found.get(f"authz_{name}{{{written}}}")

    return of


async def test_holds_are_told_as_they_are(world: World, watcher: Watching) -> None:
    for card in world.tills.cards[:3]:
        await world.authorise(card_number=card.card_number, amount=150_000)
    await watcher.watch()
    await watcher.add_up(60.0)
    of = await told(world)
    assert (of("holds_open"), of("holds_open_rupiah")) == (3, 450_000)
    assert (of("holds_expiring"), of("holds_expired_unwritten")) == (0, 0)
    world.later(hours=23, minutes=30)
    await watcher.watch()
    of = await told(world)
    assert (of("holds_expiring"), of("holds_expired_unwritten")) == (3, 0)
    world.later(hours=1)
    for _ in range(2):
        await watcher.watch()
        of = await told(world)
        assert (of("holds_expiring"), of("holds_expired_unwritten")) == (0, 3)
    await watcher.add_up(60.0)
    of = await told(world)
    assert (of("holds_open"), of("holds_open_rupiah")) == (0, 0)
    await world.authorise(card_number=world.tills.cards[0].card_number)
    await watcher.watch()
    assert (await told(world))("holds_expired_unwritten") == 2


async def test_money_is_what_the_transfers_make(world: World, watcher: Watching, operator: Operator) -> None:
    """After every kind of transfer; the sums from the wallets are those of the accounts."""
    cards = world.tills.cards
    sold = [
        await world.authorise(card_number=card.card_number, amount=150_000, capture=True, till=till)
        for card, till in zip(cards[:6], world.tills.terminals * 2, strict=False)
    ]
    await world.refund(sold[0]["id"], amount=50_000)
    await world.authorise(card_number=cards[7].card_number)
    await operator.remove(cards[8])
    await batch_closed(world)
    paid = [instruction for instruction, *_ in await instructions(world)]
    await said(world, "settled", *paid[:2], bank_reference="BKT-1")
    await said(world, "failed", paid[2], reason="closed")
    await said(world, "returned", paid[0], reason="closed")
    await world.authorise(card_number=cards[9].card_number, amount=30_000, capture=True)
    found = await money(world.database, SAMARINDA)
    balances = {row["account"]: int(row["rupiah"]) for row in await world.database.fetch(_BALANCES, PROGRAMME)}
    assert found.fund == -balances["fund"]
    assert found.payable == balances["payable"]
    assert found.available + found.held == balances["families"]
    for account in ("unallocated", "clearing", "sponsor"):
        assert getattr(found, account) == balances.get(account, 0), account
    assert min(found.fund, found.payable, found.clearing, found.unallocated, found.held, found.spent) > 0
    await watcher.add_up(60.0)
    of = await told(world)
    assert of("money_rupiah", account="payable") == found.payable
    assert of("settlement_unsettled_rupiah") == 30_000
    assert of("settlement_payouts_open") == len(paid) - 3
    assert of("settlement_payouts_failed") == 2


async def test_the_oldest_capture_that_waits_for_a_batch_has_its_age(world: World, watcher: Watching) -> None:
    async def age() -> float | None:
        await watcher.watch()
        return (await told(world))("settlement_unsettled_seconds")

    assert await age() == 0
    first = await world.authorise(card_number=world.tills.cards[0].card_number, capture=True)
    world.later(hours=2)
    await world.authorise(card_number=world.tills.cards[1].card_number, capture=True)
    assert await age() == pytest.approx(7_200, abs=60)
    how: Any = {"reason": "odd", "actor": "meja", "clock": world.clock, "chance": os.urandom}
    await wait(world.database, world.settings, SAMARINDA, first["id"], **how)
    assert await age() == pytest.approx(0, abs=60)
    assert (await told(world))("settlement_waiting") == 1
    world.later(hours=1)
    await batch_closed(world)
    world.later(minutes=10)
    assert await age() == 0
    await world.authorise(card_number=world.tills.cards[2].card_number, capture=True)
    world.later(minutes=5)
    assert await age() == pytest.approx(300, abs=60)


async def test_vouchers_notices_and_exceptions_wait_with_their_age(world: World, watcher: Watching) -> None:
    month = world.now.date().replace(day=1)
    voucher = await world.vouched(month, extra_packages=1)
    await world.vouched(month, extra_packages=1, card=world.tills.cards[1])
    await world.database.execute("UPDATE voucher SET approved_at = NULL WHERE voucher_id = $1", voucher)
    await world.database.execute(
        "INSERT INTO reconciliation_exception (programme_id, exception_id, kind, reference, subject, since_on,"
        " first_seen_at, detail) VALUES ($1, 'exc_1', 'missing_there', 'r', 's', $2, $3, 'x')",
        PROGRAMME,
        world.now.date() - timedelta(days=2),
        world.now,
    )
    world.later(hours=3)
    await watcher.watch()
    await watcher.add_up(60.0)
    of = await told(world)
    assert (of("vouchers_open"), of("vouchers_waiting")) == (1, 1)
    assert of("vouchers_waiting_seconds") == pytest.approx(10_800, abs=60)
    assert of("reconciliation_exceptions_open", kind="missing_there") == 1
    assert of("reconciliation_exceptions_open", kind="balance_differs") == 0
    # 12 o'clock, two days later.
    assert of("reconciliation_exceptions_oldest_seconds") == pytest.approx(2.5 * 86_400, abs=60)
    assert of("inbox_notices", standing="parked") == of("inbox_oldest_seconds", standing="new") == 0
    assert of("reconciliation_statement_age_seconds") is None


async def test_nothing_is_left_of_a_programme_that_is_closed_or_gone(world: World, watcher: Watching) -> None:
    await watcher.watch()
    await watcher.add_up(60.0)
    await world.database.execute("UPDATE programme SET closed_at = ends_at")
    await watcher.watch()
    await watcher.add_up(60.0)
    of = await told(world)
    assert of("money_rupiah", account="fund") is of("holds_expiring") is of("settlement_waiting") is None
    assert of("inbox_notices", standing="new") == of("inbox_notices", standing="resolved") == 0


async def test_one_process_looks_and_when_it_dies_another_does(world: World) -> None:
    async with a_watcher(world) as first, a_watcher(world) as second:
        await first.watch()
        await second.watch()
        assert (first.watcher.leads, second.watcher.leads) == (True, False)
        killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'authz-watch'"
        assert await world.database.fetchval(f"{killed} AND datname = current_database()")
        for _ in range(100):
            # The server gives the lock back when the killed one has ended, not when it is told to.
            await second.watch()
            if second.watcher.leads:
                break
            await asyncio.sleep(0.05)
        await first.watcher._guarded(first.watch())
        await first.watch()
        assert (first.watcher.leads, second.watcher.leads) == (False, True)


async def test_a_look_that_fails_is_counted_and_keeps_no_other_back(world: World, watcher: Watching) -> None:
    before = (await world.metrics())["authz_watch_failures_total"]
    await world.database.execute("ALTER TABLE settlement_wait RENAME TO settlement_weight")
    await watcher.watch()
    after = await world.metrics()
    assert after["authz_watch_failures_total"] == before + 1
    of = await told(world)
    assert of("settlement_waiting") is None
    assert of("holds_expiring") == 0
    assert after["authz_watch_timestamp_seconds"] > 0


async def test_a_broken_invariant_is_told_until_it_is_mended(
    world: World, watcher: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'authz_ledger_violations{invariant="wallets_equal_their_transfers"}'
    alarm = 'authz_alerts_total{kind="ledger_violation"}'
    await watcher.books.check()
    before = await world.metrics()
    assert before[name] == 0
    assert before["authz_ledger_checked_timestamp_seconds"] > 0
    # Nothing that this test writes is older than what the first check saw.
    world.later(minutes=5)
    await world.authorise()
    await world.database.execute("UPDATE wallet SET available_rupiah = available_rupiah - 1 WHERE held_rupiah > 0")
    # A logger that was used before keeps what it was configured with, and nothing is captured.
    monkeypatch.setattr("authz_service.watching.books.log", structlog.get_logger())
    for _ in range(2):
        with capture_logs() as logs:
            await watcher.books.check()
        assert {(line["event"], line["log_level"]) for line in logs} == {("ledger_violation", "error")}
        assert "wallets_equal_their_transfers" in {line["invariant"] for line in logs}
        after = await world.metrics()
        assert after[name] == 1
        # It, and the two sums that it is a part of; each once.
        assert after[alarm] == before[alarm] + 3
    await world.database.execute("UPDATE wallet SET available_rupiah = available_rupiah + 1 WHERE held_rupiah > 0")
    await watcher.books.check()
    assert (await world.metrics())[name] == 0


async def test_a_check_that_cannot_be_done_says_nothing_of_the_books(world: World, watcher: Watching) -> None:
    before = (await world.metrics())["authz_ledger_check_failures_total"]
    await world.database.execute("ALTER TABLE voucher RENAME TO vowel")
    await watcher.books.check()
    after = await world.metrics()
    assert after["authz_ledger_check_failures_total"] == before + 1
    assert not any(each.startswith("authz_ledger_violations") for each in after)


async def test_looks_read_few_pages_of_large_books(world: World) -> None:
    """By EXPLAIN, on tables whose statistics are those of empty ones."""
    await world.database.execute(_FILL, PROGRAMME, 0, PURCHASES - 1)
    since, now = world.now - timedelta(days=1), world.now
    looks: dict[str, tuple[Any, ...]] = {
        standing.ENDING: (since, now),
        settlement_backlog.OLDEST: ("cap_",),
        settlement_backlog.WAITING: (),
        bank_backlog.OPEN: (),
        reconciliation_backlog.OPEN: (),
        events_backlog.WAITING: (),
    }
    assert world.settings.database_url is not None
    connection = await asyncpg.connect(world.settings.database_url.get_secret_value(), server_settings=BY_INDEXES)
    try:
        for statement, arguments in looks.items():
            plan = await _explained(connection, statement, arguments)
            assert _pages(plan) <= 30, (statement, plan)
            assert "Seq Scan" not in json.dumps(plan), statement
        await connection.execute("DROP INDEX hold_programme_id_expires_at_idx")
        assert _pages(await _explained(connection, standing.ENDING, looks[standing.ENDING])) > 30
    finally:
        await connection.close()


async def _explained(connection: Connection, statement: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", PROGRAMME, *arguments)
    root: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return root


def _pages(root: dict[str, Any]) -> int:
    pages: int = root["Shared Hit Blocks"] + root["Shared Read Blocks"]
    return pages
