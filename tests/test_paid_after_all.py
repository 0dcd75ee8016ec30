"""What the books call failed and the bank has paid is never paid again, and two people make the books say so."""

import os
from typing import Any

import pytest

from authz_service.bank.partners import SignatureStyle
from authz_service.closing import what_is_open
from authz_service.ledger.audit import check
from authz_service.reconciliation.exceptions import approve, resolve
from authz_service.reconciliation.outcomes import ExceptionRefused, Outcome
from authz_service.reconciliation.reconciling import Reconciled
from authz_service.settlement.instructions import PayoutInDoubt, PayoutRefused
from authz_service.simulation.play import at_the_bank
from tests.bank import Bank, a_bank, followed
from tests.reconciling import OPENING, a_statement, open_ones, read, reconciled, states, today, tomorrow
from tests.settling import SAMARINDA, batch_closed, batches, instructions, said
from tests.simulated import stage_of
from tests.test_reconcile_command import typed
from tests.test_reconciling import A_SALE, NEW, events, payouts
from tests.world import World

WHY: dict[str, Any] = {"reason": "bank membayar juga", "actor": "Dinsos"}
PAID: dict[str, Any] = {"outcome": Outcome.PAID_AFTER_ALL, **WHY}
STANDINGS = "SELECT status, standing, s.reason FROM bank_notice n JOIN notice_standing s USING (notice_id) ORDER BY 1"


@pytest.fixture
async def bank(world: World) -> Bank:
    return await a_bank(world, SignatureStyle.WITHOUT_TOKEN)


async def a_slip(world: World) -> str:
    """The payout of one shop, of which an operator has said that it failed."""
    (reference,) = await payouts(world, 1)
    await said(world, "failed", reference, reason="salah baca")
    return reference


async def left(world: World, reference: str) -> Reconciled:
    """The bank's statement shows that it was paid."""
    return await reconciled(world, (-A_SALE, reference))


async def the_exception(world: World) -> str:
    (row,) = await open_ones(world)
    assert row["kind"] == "paid_though_failed"
    exception_id: str = row["exception_id"]
    return exception_id


async def said_paid_after_all(world: World) -> str:
    exception_id = await the_exception(world)
    await resolve(world.database, SAMARINDA, [exception_id], **PAID, now=world.now, **NEW)
    desk: dict[str, Any] = {"actor": "Inspektorat", "now": world.now, **NEW}
    booked = await approve(world.database, world.settings, SAMARINDA, [exception_id], **desk)
    assert [each.amount_rupiah for each in booked] == [A_SALE]
    return exception_id


async def owed(world: World) -> list[int]:
    """What shops are owed, and what is on its way to them, where it is anything."""
    rows = await world.database.fetch(
        "SELECT sum(CASE a.account_id WHEN credit_account_id THEN amount_rupiah ELSE -amount_rupiah END)::bigint AS has"
        "  FROM account a JOIN transfer t ON a.account_id IN (debit_account_id, credit_account_id)"
        " WHERE a.kind IN ('merchant', 'clearing') AND t.kind NOT IN ('hold', 'release') GROUP BY a.account_id"
    )
    return [row["has"] for row in rows if row["has"]]


async def test_two_people_say_that_it_was_paid_after_all_and_statement_and_books_are_one(bank: Bank) -> None:
    world = bank.world
    (reference,) = await payouts(world, 1)
    before = await at_the_bank(stage_of(world))
    for told in ("failed", "success"):
        await bank.tell(reference, told, A_SALE)
    await followed(world)
    assert await owed(world) == [A_SALE]
    assert states(await left(world, reference)) == {reference: "paid_though_failed"}
    exception_id = await said_paid_after_all(world)
    assert await events(world, reference) == [("settled", "operator"), ("failed", "notice")]
    assert (await owed(world), await at_the_bank(stage_of(world))) == ([], before - A_SALE)
    assert await world.database.fetchval("SELECT bank_reference FROM payout_event WHERE event = 'settled'") == "BKT0001"
    again = await left(world, reference)
    assert (states(again), again.steps, again.queued.open) == ({reference: "matched"}, 0, 0)
    # The parked success is followed by itself, and the failure that was followed once stays so.
    await followed(world)
    rows = [tuple(row) for row in await world.database.fetch(STANDINGS)]
    assert rows == [("failed", "followed", None), ("success", "followed", None)]
    closing = " ".join(await what_is_open(world.database, SAMARINDA, world.now))
    assert not any(word in closing for word in ("In doubt", "Failed or returned", "Not explained", "Parked"))
    order = "SELECT detail::text FROM office_order WHERE kind = 'exception_approved'"
    assert reference in await world.database.fetchval(order)
    assert exception_id in await world.database.fetchval(order)
    await batch_closed(world)
    assert len(await instructions(world)) == 1, "it is paid once"
    (first, _) = await batches(world)
    shown = (await typed(world, "settlement", "list")).out
    assert (first["number"], "1 paid" in shown, "came back" in shown) == (1, True, False)
    await world.books_balance()


@pytest.mark.parametrize("is_reported", [True, False])
async def test_what_may_be_with_the_shop_is_not_released_and_the_close_says_what_to_do(
    bank: Bank, *, is_reported: bool
) -> None:
    """By the statement, or by a notice alone, also before anybody has looked at it."""
    world = bank.world
    reference = await a_slip(world)
    if is_reported:
        await left(world, reference)
    else:
        await bank.tell(reference, "success", A_SALE)
    match = "statement shows that .* left" if is_reported else "notice is parked"
    for _ in range(2):
        with pytest.raises(PayoutInDoubt, match=match):
            await said(world, "released", reference)
        await followed(world)
    closing = " ".join(await what_is_open(world.database, SAMARINDA, world.now))
    assert "In doubt: Rp1.000 in 1 payout" in closing
    assert "settlement release" not in closing
    done = await typed(world, "settlement", "release", reference, "--reason", "x", "--actor", "Dinsos")
    assert (done.status, "twice" in done.err.replace("\n", " ")) == (1, True)
    await batch_closed(world)
    assert len(await instructions(world)) == 1
    assert await events(world, reference) == [("failed", "operator")]
    await world.books_balance()


async def test_a_notice_that_two_people_have_resolved_keeps_nobody_from_being_paid(bank: Bank) -> None:
    from authz_service.bank import inbox  # noqa: PLC0415  (its names are those of exceptions)

    world = bank.world
    reference = await a_slip(world)
    await bank.tell(reference, "success", A_SALE)
    await followed(world)
    notice_id = await world.database.fetchval("SELECT notice_id FROM bank_notice")
    where = (world.database, SAMARINDA, notice_id)
    how: dict[str, Any] = {"now": world.now, "chance": os.urandom}
    await inbox.resolve(*where, resolution="salah kirim", actor="Dinsos", **how)
    with pytest.raises(PayoutInDoubt):
        await said(world, "released", reference)
    await inbox.approve(*where, actor="Inspektorat", **how)
    await said(world, "released", reference)
    await batch_closed(world)
    assert len(await instructions(world)) == 2
    await world.books_balance()


async def test_the_bank_that_takes_the_money_back_ends_the_exception_and_the_shop_is_paid_again(world: World) -> None:
    reference = await a_slip(world)
    await left(world, reference)
    tomorrow(world)
    done = await reconciled(world, (A_SALE, reference, "B9"), opening=OPENING - A_SALE)
    assert (states(done), done.steps, done.queued.open) == ({reference: "matched"}, 1, 0)
    await batch_closed(world)
    assert len(await instructions(world)) == 2
    await world.books_balance()


@pytest.mark.parametrize("teller", ["statement", "operator"])
async def test_what_was_paid_after_all_may_still_come_back_and_is_then_paid_once_more(
    world: World, teller: str
) -> None:
    reference = await a_slip(world)
    await left(world, reference)
    await said_paid_after_all(world)
    monday = today(world)
    tomorrow(world)
    if teller == "operator":
        await said(world, "returned", reference)
        with pytest.raises(PayoutInDoubt, match="Read the statement on which it comes back"):
            await said(world, "released", reference)
    await reconciled(world, (A_SALE, reference, "B9"), opening=OPENING - A_SALE)
    assert [event for event, _ in await events(world, reference)] == ["settled", "failed", "returned", "released"]
    await batch_closed(world)
    assert [rupiah for *_, rupiah in await instructions(world)] == [A_SALE, A_SALE]
    assert (await batches(world))[-1]["returned_rupiah"] == A_SALE
    again = await read(world, a_statement((-A_SALE, reference), first=monday))
    assert (again.steps, again.queued.open) == (0, 0)
    await world.books_balance()


async def test_a_tick_beside_wrong_books_and_a_booking_without_a_line_are_refused(world: World) -> None:
    reference = await a_slip(world)
    await reconciled(world, (-A_SALE, reference), (-2_500, "", "FEE"))
    fee, odd = [row["exception_id"] for row in await open_ones(world)]
    for named, outcome in ((odd, Outcome.EXPLAINED), (odd, Outcome.CLAIMED), (fee, Outcome.PAID_AFTER_ALL)):
        with pytest.raises(ExceptionRefused, match="paid"):
            await resolve(world.database, SAMARINDA, [named], **{**PAID, "outcome": outcome}, now=world.now, **NEW)
    assert await world.database.fetchval("SELECT count(*) FROM reconciliation_exception WHERE outcome IS NULL") == 2
    await resolve(world.database, SAMARINDA, [odd], **PAID, now=world.now, **NEW)
    with pytest.raises(ExceptionRefused, match="somebody else"):
        await approve(world.database, world.settings, SAMARINDA, [odd], actor=" dinsos", now=world.now, **NEW)
    with pytest.raises(PayoutRefused, match="failed, so it cannot be paid"):
        await said(world, "settled", reference, bank_reference="x")
    assert await events(world, reference) == [("failed", "operator")]


async def test_one_that_was_ticked_off_before_this_was_known_is_raised_again(world: World) -> None:
    reference = await a_slip(world)
    await left(world, reference)
    await world.database.execute(
        "UPDATE reconciliation_exception SET resolved_at = first_seen_at, resolved_by = 'A', outcome = 'claimed',"
        " reason = 'x', approved_by = 'B', closed_at = first_seen_at"
    )
    assert (await left(world, reference)).queued.raised == 1
    await said_paid_after_all(world)
    assert (await left(world, reference)).queued.open == 0
    await world.books_balance()


async def test_one_that_was_released_before_the_bank_showed_it_is_claimed_and_not_booked(world: World) -> None:
    """The shop is paid twice: no booking makes that right, and nobody says that it did not happen."""
    reference = await a_slip(world)
    await said(world, "released", reference)
    await left(world, reference)
    exception_id = await the_exception(world)
    desk: dict[str, Any] = {"actor": "Inspektorat", "now": world.now, **NEW}
    await resolve(world.database, SAMARINDA, [exception_id], **PAID, now=world.now, **NEW)
    with pytest.raises(ExceptionRefused, match="was released for the next batch, so it cannot be paid"):
        await approve(world.database, world.settings, SAMARINDA, [exception_id], **desk)
    otherwise = {**PAID, "outcome": Outcome.CLAIMED, "actor": "Kecamatan"}
    await resolve(world.database, SAMARINDA, [exception_id], **otherwise, now=world.now, **NEW)
    assert await approve(world.database, world.settings, SAMARINDA, [exception_id], **desk) == []
    assert (await left(world, reference)).queued.raised == 0
    await world.books_balance()


@pytest.mark.parametrize(
    "forgery",
    [
        "DELETE FROM transfer WHERE transfer_id = (SELECT max(transfer_id) FROM transfer WHERE kind = 'payout')",
        "DELETE FROM payout_event WHERE event = 'failed'",
        "UPDATE payout_event SET event = 'released' WHERE event = 'failed'",
    ],
)
async def test_the_audit_sees_when_half_of_it_is_missing(world: World, forgery: str) -> None:
    reference = await a_slip(world)
    await left(world, reference)
    await said_paid_after_all(world)
    await world.books_balance()
    await world.database.execute("SET session_replication_role = replica")
    await world.database.execute(forgery)
    await world.database.execute("SET session_replication_role = origin")
    findings = await check(world.database, SAMARINDA, now=world.now)
    assert "payouts_have_their_instruction" in {each.invariant.name for each in findings if each.violations}
