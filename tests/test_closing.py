"""The end of a programme: refused while something is open, then closed once and for ever, and the sums agree."""

import asyncio
import csv
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from rich.console import Console

from authz_service.closing import Closed, ClosingRefused, close, what_is_open
from authz_service.closing_statement import NotClosedYet, StatementNotWritten, closing_statement, render, write
from authz_service.database import DatabaseUnusable
from authz_service.enrolment.sandbox import SandboxCard, SandboxTerminal
from authz_service.ledger import book
from authz_service.ledger.audit import check
from authz_service.ledger.book import AllowanceUse, FamilyRecord, Snapshot, record
from authz_service.ledger.entries import BooksBusy
from authz_service.ledger.postings import Parties, effect_on_wallet, of_hold
from authz_service.ledger.statements import record_statement
from authz_service.vocabulary import (
    AuthorisationId,
    BeneficiaryId,
    Cause,
    MerchantId,
    ProgrammeId,
    TransferKind,
)
from tests.conftest import Cluster, EnrolledTemplate, _database
from tests.operators import Operator
from tests.settling import batch_closed, settled
from tests.world import PROGRAMME, WITA, Reply, World, running

SAMARINDA: Final = ProgrammeId(PROGRAMME)
CONTROL_TOTAL: Final = 1_776_600_000
THE_END: Final = datetime(2025, 1, 1, tzinfo=WITA)
A_SECOND: Final = timedelta(seconds=1)
IN_GRACE: Final = THE_END + timedelta(hours=9)
LONG_AFTER: Final = THE_END + timedelta(days=2)
PAID: Final = LONG_AFTER - timedelta(hours=1)


async def closed(world: World, connection: "asyncpg.Connection[asyncpg.Record] | None" = None, **limits: Any) -> Closed:
    return await close(
        connection or world.database,
        world.settings.model_copy(update=limits),
        SAMARINDA,
        reason="berita acara 1/2025",
        actor="dinsos",
        clock=world.clock,
        chance=os.urandom,
    )


async def reasons(world: World) -> tuple[str, ...]:
    """Why a close was refused; and it changed nothing."""
    before = await everything(world)
    with pytest.raises(ClosingRefused) as refused:
        await closed(world)
    assert await everything(world) == before
    assert all(reason in str(refused.value) for reason in refused.value.reasons)
    return refused.value.reasons


async def everything(world: World) -> list[Any]:
    """What a close could change."""
    return [
        await world.database.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("transfer", "wallet", "programme", "reference")
    ]


async def refund(world: World, authorisation_id: str, amount: int, *, key: str, till: Any = None) -> Reply:
    body = {"amount": amount, "reason": "telur pecah"}
    return await world.post(f"/v1/authorizations/{authorisation_id}/refunds", body, key=key, till=till)


async def reverse(world: World, named: str, *, key: str, till: Any = None) -> Reply:
    return await world.post("/v1/reversals", {"idempotency_key": named}, key=key, till=till)


async def at_the_end(world: World, instant: datetime = THE_END - timedelta(hours=12)) -> None:
    """The last day of the programme; its shops are open day and night."""
    await world.database.execute("UPDATE merchant SET opens_at = NULL, closes_at = NULL")
    world.at(instant)


@dataclass(frozen=True, slots=True)
class LastDay:
    """What was sold on it: captured at once under the key `bought`; held, to be captured; held, and left alone."""

    bought: str
    kept: str
    left: str


async def last_day(world: World) -> LastDay:
    await at_the_end(world)
    bought = await world.authorise(key="bought", capture=True)
    kept = await world.authorise(amount=100_000)
    world.at(THE_END - A_SECOND)
    left = await world.authorise(amount=50_000, key="left", card_number=world.tills.cards[1].card_number)
    assert {bought["decision"], kept["decision"], left["decision"]} == {"approved"}
    return LastDay(bought["id"], kept["id"], left["id"])


async def test_the_whole_end_of_a_programme(world: World) -> None:
    """The last authorisation, a capture in its grace, a hold that nobody ends, the settlement, the close."""
    sold = await last_day(world)
    world.at(THE_END + A_SECOND)
    late = await world.authorise(card_number=world.tills.cards[1].card_number)
    assert (late["decision"], late["reason"]) == ("declined", "programme_ended")
    held, owed = await reasons(world)
    assert held == (
        "Held: Rp150.000 in 2 holds, the last until 1 January 2025 at 23:59 WITA; capture or void them, or wait."
    )
    assert owed == (
        "Captured but in no batch: Rp150.000 in 1 capture; `authz settlement close --now` takes what is captured."
    )

    world.at(IN_GRACE)
    assert (await world.capture(sold.kept, amount=80_000)).status == 201
    world.at(LONG_AFTER)
    (owed,) = await reasons_after_the_sweep(world)
    assert "Rp230.000" in owed
    assert await settled(world) == 230_000
    done = await closed(world)
    statement = done.statement
    assert done.now
    assert (statement.families, statement.granted_rupiah, statement.funded_rupiah) == (987, *[CONTROL_TOTAL] * 2)
    assert (statement.captured_rupiah, statement.refunded_rupiah, statement.spent_rupiah) == (230_000, 0, 230_000)
    assert (statement.paid_rupiah, statement.shops_paid, statement.receivables) == (230_000, 1, ())
    assert statement.returned_at_close_rupiah == statement.returned_to_sponsor_rupiah == CONTROL_TOTAL - 230_000
    assert all(tie.holds for tie in statement.ties)
    assert [tie.left_rupiah for tie in statement.ties] == [230_000, 230_000, 230_000, CONTROL_TOTAL]
    assert await world.wallet() == (0, 0, 230_000)
    await world.books_balance()

    written = await everything(world)
    world.later(days=30)
    again = await closed(world)
    assert (again.now, again.statement) == (False, statement)
    assert await everything(world) == written


async def test_after_the_close_everything_is_answered_and_nothing_moves(world: World) -> None:
    sold = await last_day(world)
    world.at(LONG_AFTER)
    with pytest.raises(ClosingRefused):
        await closed(world)
    await settled(world)
    statement = (await closed(world)).statement
    refused = await refund(world, sold.bought, 1_000, key="refund")
    assert (refused.status, refused["code"], refused["response_code"]) == (409, "programme_closed", "12")
    assert (refused["retryable"], "sudah ditutup" in refused["message"]) == (False, True)
    replayed = await refund(world, sold.bought, 1_000, key="refund")
    assert (replayed.raw, replayed.status, replayed.headers["idempotent-replayed"]) == (refused.raw, 409, "true")
    assert (await refund(world, sold.bought, 1_000, key="another", till=world.other_till)).status == 404
    undone = await reverse(world, "bought", key="reversal")
    assert (undone.status, undone["undone"], undone["reversed_amount"], undone["status"]) == (201, False, 0, "captured")
    assert (await world.authorise(key="bought", capture=True))["code"] == "request_reversed"
    expired = await reverse(world, "left", key="reversal-of-nothing")
    assert (expired["undone"], expired["reversed_amount"], expired["status"]) == (True, 0, "expired")
    for reply in (await world.capture(sold.left), await world.void(sold.left), await world.void(sold.bought)):
        assert (reply.status, reply["code"]) == (409, "state_conflict")
    asked = await world.balance()
    assert (asked["reason"], asked["remaining"]["programme"]) == ("programme_ended", 0)
    assert (await world.authorise())["reason"] == "programme_ended"
    assert (await world.get(f"/v1/authorizations/{sold.bought}"))["captured_amount"] == 150_000
    assert (await closed(world)).statement == statement
    await world.books_balance()


async def reasons_after_the_sweep(world: World) -> tuple[str, ...]:
    """A refused close has written the end of what was over, and nothing else."""
    assert await world.database.fetchval("SELECT count(*) FROM hold WHERE held_rupiah > 0")
    with pytest.raises(ClosingRefused) as refused:
        await closed(world)
    assert not await world.database.fetchval("SELECT count(*) FROM hold WHERE held_rupiah > 0")
    return refused.value.reasons


# --- Refusals. --------------------------------------------------------------------------------------------------------


async def test_a_programme_that_runs_is_not_closed(world: World) -> None:
    assert await reasons(world) == ("It runs until 1 January 2025 at 00:00 WITA.",)
    world.at(THE_END - A_SECOND)
    assert len(await reasons(world)) == 1
    world.at(THE_END)
    assert (await closed(world)).statement.returned_to_sponsor_rupiah == CONTROL_TOTAL


async def test_every_reason_is_given_at_once_with_its_figures(world: World) -> None:
    await at_the_end(world)
    cards = world.tills.cards
    await world.authorise(amount=40_000)
    await world.authorise(amount=60_000, capture=True, till=world.other_till)
    await batch_closed(world)
    await world.authorise(amount=7_000, capture=True, card_number=cards[5].card_number)
    await world.database.execute(
        "UPDATE beneficiary SET next_status = 'removed', next_status_at = $1 WHERE beneficiary_id = ANY ($2)",
        THE_END + timedelta(days=5),
        [card.beneficiary_id for card in cards[1:3]],
    )
    await world.database.execute(
        "UPDATE beneficiary SET status = 'removed' WHERE beneficiary_id = $1", cards[3].beneficiary_id
    )
    assert [reason.partition(":")[0] for reason in await reasons(world)] == [
        "It runs until 1 January 2025 at 00",
        "Held",
        "Captured but in no batch",
        "On its way",
        "Not applied",
        "Not returned",
    ]
    world.at(LONG_AFTER)
    with pytest.raises(ClosingRefused) as refused:
        await closed(world)
    assert refused.value.reasons == (
        "Captured but in no batch: Rp7.000 in 1 capture; `authz settlement close --now` takes what is captured.",
        "On its way: Rp60.000 in 1 payout, of which the bank has said nothing yet.",
        "Not applied: the dated change of 2 families, the first of 6 January 2025 at 00:00 WITA; apply it first.",
        "Not returned: Rp1.800.000 of 1 family removed meanwhile; return it first.",
    )


async def test_a_hold_whose_end_cannot_be_written_now_is_a_reason(world: World) -> None:
    await at_the_end(world)
    await world.authorise(amount=40_000)
    world.at(LONG_AFTER)
    other = await asyncpg.connect(world.settings.database_url.get_secret_value())  # type: ignore[union-attr]
    async with other.transaction():
        await other.execute("SELECT FROM wallet WHERE beneficiary_id = $1 FOR UPDATE", world.card.beneficiary_id)
        with pytest.raises(ClosingRefused, match=r"Over but not written: Rp40\.000 in 1 hold;"):
            await closed(world, closing_sweep_seconds=0.1)
    await other.close()
    assert (await closed(world)).now


async def test_more_holds_are_over_than_one_sweep_visits(world: World) -> None:
    for card in world.tills.cards[:5]:
        await world.authorise(amount=40_000, card_number=card.card_number)
    world.at(LONG_AFTER)
    assert (await closed(world, sweep_families=2)).statement.returned_to_sponsor_rupiah == CONTROL_TOTAL
    assert await world.database.fetchval("SELECT count(*) FROM hold WHERE status = 'expired'") == 5
    await world.books_balance()


async def test_a_family_that_is_locked_too_long_is_said_and_nothing_is_written(world: World) -> None:
    world.at(LONG_AFTER)
    other = await asyncpg.connect(world.settings.database_url.get_secret_value())  # type: ignore[union-attr]
    before = await everything(world)
    async with other.transaction():
        await other.execute("SELECT FROM wallet WHERE beneficiary_id = $1 FOR UPDATE", world.card.beneficiary_id)
        with pytest.raises(BooksBusy, match="nothing was written"):
            await closed(world, closing_lock_timeout_ms=50)
    await other.close()
    assert await everything(world) == before


async def test_what_removed_families_returned_meanwhile_is_told_apart(world: World) -> None:
    await world.authorise(capture=True)
    await Operator(world, world.database).remove(reason="pindah")
    world.at(LONG_AFTER)
    await settled(world)
    statement = (await closed(world)).statement
    assert statement.returned_before_rupiah == 1_650_000
    assert statement.returned_at_close_rupiah == CONTROL_TOTAL - 1_800_000
    assert statement.returned_to_sponsor_rupiah == CONTROL_TOTAL - 150_000
    assert all(tie.holds for tie in statement.ties)
    await world.books_balance()


# --- The shops' money. ------------------------------------------------------------------------------------------------


async def test_a_shop_that_refunds_after_it_was_paid_is_a_receivable_and_no_reason(world: World) -> None:
    sold = await world.authorise(capture=True)
    await world.authorise(amount=20_000, capture=True, till=world.other_till)
    world.at(LONG_AFTER)
    await settled(world)
    assert (await refund(world, sold["id"], 60_000, key="r")).status == 201
    statement = (await closed(world)).statement
    assert [(shop.merchant_id, shop.amount_rupiah) for shop in statement.receivables] == [
        (world.till.merchant_id, 60_000)
    ]
    assert (statement.paid_rupiah, statement.spent_rupiah, statement.refunded_rupiah) == (170_000, 110_000, 60_000)
    assert statement.returned_to_sponsor_rupiah == CONTROL_TOTAL - 110_000
    assert all(tie.holds for tie in statement.ties)
    await world.books_balance()


# --- Once, whole, and against everybody else. -------------------------------------------------------------------------


async def test_two_closes_at_once_are_one(world: World) -> None:
    world.at(LONG_AFTER)
    other = await asyncpg.connect(world.settings.database_url.get_secret_value())  # type: ignore[union-attr]
    one, two = await asyncio.gather(closed(world), closed(world, other))
    await other.close()
    assert {one.now, two.now} == {True, False}
    assert one.statement == two.statement
    assert await world.database.fetchval("SELECT count(*) FROM transfer WHERE cause = 'close'") == 988
    await world.books_balance()


async def test_a_close_that_dies_before_its_commit_has_written_nothing(world: World) -> None:
    """Its server process is ended while its last statement, which closes, waits for somebody else."""
    world.at(LONG_AFTER)
    before = await everything(world)
    url = world.settings.database_url.get_secret_value()  # type: ignore[union-attr]
    dying, other = await asyncpg.connect(url), await asyncpg.connect(url)
    async with other.transaction():
        await other.execute("SELECT FROM reference FOR UPDATE")
        closing = asyncio.create_task(closed(world, dying))
        await until_it_waits(world, dying.get_server_pid())
        await world.database.execute("SELECT pg_terminate_backend($1)", dying.get_server_pid())
        with pytest.raises(DatabaseUnusable, match="run the command again"):
            await closing
    await other.close()
    assert await everything(world) == before
    with pytest.raises(NotClosedYet):
        await closing_statement(world.database, world.settings, SAMARINDA)
    assert (await closed(world)).statement.returned_to_sponsor_rupiah == CONTROL_TOTAL
    await world.books_balance()


async def until_it_waits(world: World, pid: int) -> None:
    for _ in range(500):
        waits = await world.database.fetchval("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1", pid)
        if waits == "Lock":
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never waited")


async def test_a_refund_that_was_decided_before_the_close_and_is_written_after_it_writes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statement's snapshot is older than the close, and the close has nothing to take from the family."""
    sold = await world.authorise(capture=True)
    who = BeneficiaryId(world.card.beneficiary_id)
    await Operator(world, world.database).remove(reason="pindah")
    assert await world.wallet() == (0, 0, 150_000)
    world.at(LONG_AFTER)
    await settled(world)
    decided = await a_refund(world, sold["id"], who, 150_000)
    version = await world.database.fetchval("SELECT version FROM reference")
    late = await asyncpg.connect(world.settings.database_url.get_secret_value())  # type: ignore[union-attr]
    monkeypatch.setattr(book, "record_statement", slowly)
    snapshot = Snapshot(programme_id=SAMARINDA, reference_version=version, now=world.now, month=date(2024, 12, 1))
    recording = asyncio.create_task(record(late, snapshot, [decided]))
    await asyncio.sleep(0.2)
    done = await closed(world)
    assert not recording.done()
    assert who not in await recording
    await late.close()
    assert (await closing_statement(world.database, world.settings, SAMARINDA)) == done.statement
    await world.books_balance()


def slowly(kinds: tuple[str, ...]) -> str:
    """The record statement, whose snapshot is a second older than its first lock."""
    statement = record_statement(kinds)
    slow = statement.replace("SELECT * FROM unnest($6", "SELECT seen.* FROM pg_sleep(1), unnest($6", 1)
    assert slow != statement
    return slow


async def a_refund(world: World, authorisation_id: str, who: BeneficiaryId, amount: int) -> FamilyRecord:
    hold = await world.database.fetchrow("SELECT * FROM hold WHERE authorisation_id = $1", authorisation_id)
    version = await world.database.fetchval("SELECT version FROM wallet WHERE beneficiary_id = $1", who)
    assert hold is not None
    parties = Parties(
        authorisation_id=AuthorisationId(authorisation_id),
        beneficiary_id=who,
        merchant_id=MerchantId(hold["merchant_id"]),
    )
    transfer = of_hold("ref_late", TransferKind.REFUND, Cause.REFUND, parties, amount, world.now)
    family = FamilyRecord(
        beneficiary_id=who, version=version, changes=True, balance=effect_on_wallet(transfer), transfers=[transfer]
    )
    family.holds_changed[authorisation_id] = (hold["status"], 0, amount, amount, 0)
    returned = {"used_rupiah": -amount, "packages_used": -1, "covered_rupiah": 0, "covered_packages": 0}
    family.use_allowance(hold["month"], AllowanceUse(cap_rupiah=None, packages_cap=None, **returned))
    return family


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale that was captured in the same step, and the till that made it."""

    key: str
    authorisation_id: str
    till: SandboxTerminal
    card: SandboxCard


@dataclass(frozen=True, slots=True)
class Ended:
    """A database to copy, in which a programme has ended and its shops were paid; and what they had sold."""

    database: str
    sales: list[Sold]


@pytest.fixture(scope="session")
async def ended(
    cluster: Cluster, enrolled: EnrolledTemplate, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ended]:
    async for url in _database(cluster, f"TEMPLATE {enrolled.database}"):
        directory, redis_url = tmp_path_factory.mktemp("ended"), cluster.servers.redis_url
        async with running(url, redis_url, directory, enrolled.tills) as world:
            sales = []
            for n, card in enumerate(enrolled.tills.cards[:32]):
                till = enrolled.tills.terminals[n % 8]
                reply = await world.authorise(
                    card_number=card.card_number, amount=100_000, capture=True, key=f"sale-{n}", till=till
                )
                sales.append(Sold(f"sale-{n}", reply["id"], till, card))
            # The tests go on at LONG_AFTER, and nothing in a closed programme may be dated after its close: however
            # slow this machine is, its shops were paid before.
            world.at(PAID)
            await settled(world)
            database = await world.database.fetchval("SELECT current_database()")
        yield Ended(database, sales)


@pytest.mark.parametrize("head_start_ms", [0, 2, 4, 6, 8, 12])
async def test_refunds_and_reversals_at_once_with_the_close_are_in_its_statement_or_refused(
    cluster: Cluster, ended: Ended, enrolled: EnrolledTemplate, tmp_path: Path, head_start_ms: int
) -> None:
    async for url in _database(cluster, f"TEMPLATE {ended.database}"):
        async with running(url, cluster.servers.redis_url, tmp_path, enrolled.tills) as world:
            world.at(LONG_AFTER)
            done, replies = await asyncio.gather(closed(world), undone_one_by_one(world, ended, head_start_ms))
            moved = sum(_moved(reply) for reply in replies)
            assert done.statement.refunded_rupiah == done.statement.receivable_rupiah == moved
            assert await closing_statement(world.database, world.settings, SAMARINDA) == done.statement
            assert not await world.database.fetchval("SELECT sum(available_rupiah + held_rupiah) FROM wallet")
            again = await undone_one_by_one(world, ended, 0)
            assert [(reply.status, reply.raw) for reply in again] == [(reply.status, reply.raw) for reply in replies]
            assert await closing_statement(world.database, world.settings, SAMARINDA) == done.statement
            await world.books_balance()


async def undone_one_by_one(world: World, ended: Ended, head_start_ms: int) -> list[Reply]:
    """Every till gives back what it has sold, one sale after the other: refunds and reversals in turn."""

    async def one_till(till: SandboxTerminal) -> list[Reply]:
        await asyncio.sleep(head_start_ms / 1000)
        replies = []
        for n, sold in enumerate(each for each in ended.sales if each.till is till):
            key = f"undo-{sold.key}"
            if n % 2:
                replies.append(await reverse(world, sold.key, key=key, till=till))
            else:
                replies.append(await refund(world, sold.authorisation_id, 40_000, key=key, till=till))
        return replies

    tills = {sold.till.terminal_id: sold.till for sold in ended.sales}.values()
    return [reply for replies in await asyncio.gather(*map(one_till, tills)) for reply in replies]


def _moved(reply: Reply) -> int:
    """What this call gave back; the close leaves only one way to give nothing."""
    if "refund" in reply.body:
        return int(reply["refund"]["amount"])
    if reply.status == 409:
        assert reply["code"] == "programme_closed"
        return 0
    assert reply.status == 201
    assert reply["undone"] is (reply["reversed_amount"] > 0)
    return int(reply["reversed_amount"])


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE wallet SET available_rupiah = 1 WHERE beneficiary_id = (SELECT max(beneficiary_id) FROM wallet)",
        "UPDATE wallet SET held_rupiah = 1 WHERE beneficiary_id = (SELECT max(beneficiary_id) FROM wallet)",
        "UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE kind = 'fund'",
        "UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE kind = 'payout'",
        "UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE kind = 'post'",
    ],
)
async def test_whatever_is_left_in_closed_books_breaks_their_invariant(world: World, forgery: str) -> None:
    await world.authorise(capture=True)
    world.at(LONG_AFTER)
    await settled(world)
    await closed(world)
    await world.database.execute("SET session_replication_role = replica")
    await world.database.execute(forgery)
    findings = await check(world.database, PROGRAMME, now=world.now)
    assert "closed_programmes_are_empty" in {each.invariant.name for each in findings if each.violations}


async def test_books_that_do_not_tie_are_not_closed(world: World) -> None:
    """Somebody with all rights has taken from a wallet behind the books' back."""
    await world.database.execute(
        "UPDATE wallet SET available_rupiah = available_rupiah - 1 WHERE beneficiary_id = $1", world.card.beneficiary_id
    )
    world.at(LONG_AFTER)
    before = await everything(world)
    with pytest.raises(Exception, match="does not add up, so nothing was changed"):
        await closed(world)
    assert await everything(world) == before


# --- The statement, and the commands. ---------------------------------------------------------------------------------


async def test_the_statement_is_written_as_its_file_is_called_and_the_same_each_time(
    world: World, tmp_path: Path
) -> None:
    sold = await world.authorise(capture=True)
    world.at(LONG_AFTER)
    await settled(world)
    await refund(world, sold["id"], 1_000, key="r")
    statement = (await closed(world)).statement
    for name in ("a.json", "b.json", "a.csv", "b.csv"):
        write(await closing_statement(world.database, world.settings, SAMARINDA), tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    document = json.loads((tmp_path / "a.json").read_text())
    assert (document["granted_rupiah"], document["receivable_rupiah"]) == (CONTROL_TOTAL, 1_000)
    assert [tie["holds"] for tie in document["ties"]] == [True] * 4
    lines = list(csv.DictReader(StringIO((tmp_path / "a.csv").read_text())))
    figures = {line["what"]: int(line["amount_rupiah"]) for line in lines}
    assert figures["Control total: granted to 987 families"] == CONTROL_TOTAL
    for n in (1, 2, 3, 4):
        left, right = (value for what, value in figures.items() if what.startswith(f"Tie {n}, "))
        assert left == right
    console = Console(file=StringIO(), width=100)
    render(statement, console)
    assert isinstance(console.file, StringIO)
    printed = console.file.getvalue().splitlines()
    assert sum(line.startswith("✓ ") for line in printed) == 4
    assert any("Control total" in line and line.endswith("Rp1.776.600.000") for line in printed)
    for wrong in (tmp_path / "a.pdf", tmp_path / "nowhere" / "a.csv"):
        with pytest.raises(StatementNotWritten):
            write(statement, wrong)


async def test_what_an_operator_types(world: World, tmp_path: Path) -> None:
    await world.authorise(capture=True)
    shown = await typed(world, "show")
    assert (shown.status, "It runs until 1 January 2025" in shown.out) == (0, True)
    assert "a month: at most Rp600.000, 2 packages" in shown.out
    unclosed = await typed(world, "statement")
    assert (unclosed.status, "is not closed yet" in unclosed.err, unclosed.out) == (1, True, "")
    world.at(LONG_AFTER)
    refused = await typed(world, "close", "--yes")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith(f"authz: {PROGRAMME} cannot be closed yet:\n  - Captured but in no batch: Rp150.000")
    assert await settled(world) == 150_000
    assert "nothing is open: it can be closed" in (await typed(world, "show")).out
    unwritable = await typed(world, "close", "--yes", "--statement", str(tmp_path / "statement.pdf"))
    assert (unwritable.status, "not as 'statement.pdf'" in unwritable.err) == (1, True)
    assert await what_is_open(world.database, SAMARINDA, world.now) == []
    file = tmp_path / "statement.json"
    done = await typed(world, "close", "--yes", "--reason", "berita acara 1/2025", "--statement", str(file))
    assert (done.status, done.out.count("✓")) == (0, 4)
    assert json.loads(file.read_text())["spent_rupiah"] == 150_000
    orders = await world.database.fetch("SELECT kind, actor, reason, detail::text FROM office_order ORDER BY order_id")
    assert [tuple(row)[:3] for row in orders] == [
        ("batch_closed", "meja kartu bank", None),
        ("payout_settled", "meja kartu bank", None),
        ("programme_closed", "dinsos", "berita acara 1/2025"),
    ]
    assert json.loads(orders[2]["detail"]) == {"returned_rupiah": 987 * 1_800_000 - 150_000}
    causes = await world.database.fetch("SELECT DISTINCT reason FROM transfer WHERE cause = 'close'")
    assert [row["reason"] for row in causes] == ["berita acara 1/2025"]
    again, stated = await typed(world, "close", "--yes"), await typed(world, "statement", "--programme", PROGRAMME)
    assert "was closed before; nothing was changed" in again.out
    assert again.out.partition("\n")[2] == done.out.partition("\n")[2].partition("Written to")[0] == stated.out
    assert "closed on 3 January 2025" in (await typed(world, "show")).out


@dataclass(frozen=True, slots=True)
class Typed:
    status: int | None
    out: str
    err: str


async def typed(world: World, *words: str) -> Typed:
    """`authz programme …` beside the running service, on its clock."""
    settings = world.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.cli", "programme", *words),
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(settings.clock_offset_file),
            "AUTHZ_ACTOR": "dinsos",
            "COLUMNS": "120",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await command.communicate()
    return Typed(command.returncode, out.decode(), err.decode())
