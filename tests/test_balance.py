"""The bank's closing balance is the books' fund, or there is an exception that says by how much it is not."""

import os
from datetime import date

from authz_service.bank.funding import expect_funding
from authz_service.reconciliation.balance import Move, balance_of
from authz_service.reconciliation.exceptions import approve, resolve
from authz_service.reconciliation.findings import State
from authz_service.reconciliation.outcomes import Outcome
from authz_service.reconciliation.statement_chain import Span
from tests.bank import SAMARINDA, followed, kept_notice
from tests.reconciling import OPENING, open_ones, reconciled, states, tomorrow
from tests.settling import batch_closed, instructions, settled
from tests.world import World

DAY = date(2024, 10, 7)


async def fund(world: World) -> int:
    """What the books have at the bank."""
    found: int = await world.database.fetchval(
        "SELECT sum(CASE 'fund' WHEN debit_account_id THEN amount_rupiah ELSE -amount_rupiah END)::bigint FROM transfer"
        " WHERE 'fund' IN (debit_account_id, credit_account_id)"
    )
    return found


async def test_money_that_is_booked_with_the_enrolment_and_by_the_banks_notice_is_an_exception(world: World) -> None:
    """The city has paid once, and the books have it twice, though notice, line and announcement agree."""
    how = {"actor": "Dinsos", "now": world.now, "chance": os.urandom}
    await expect_funding(world.database, SAMARINDA, "SP2D-7", OPENING, **how)  # type: ignore[arg-type]
    await kept_notice(world, "SP2D-7", "success", OPENING)
    await followed(world)
    done = await reconciled(world, (OPENING, "SP2D-7"), first=tomorrow(world), opening=0)
    assert states(done) == {"SP2D-7": "matched", "fund": "balance_differs"}
    assert (
        (done.balance.bank_rupiah, done.balance.books_rupiah) == (OPENING, 2 * OPENING) == (OPENING, await fund(world))
    )
    (row,) = await open_ones(world)
    assert (row["kind"], row["ours_rupiah"], row["theirs_rupiah"]) == ("balance_differs", OPENING, 0)
    # It is one exception on the next day, too, and none once two people have closed it.
    again = await reconciled(world, first=tomorrow(world), opening=OPENING)
    assert (again.queued.raised, again.queued.explained, again.queued.open) == (0, 0, 1)
    words = {"outcome": Outcome.CORRECTED, "reason": "dibukukan dua kali"}
    await resolve(world.database, SAMARINDA, [row["exception_id"]], **words, **how)  # type: ignore[arg-type]
    await approve(world.database, world.settings, SAMARINDA, [row["exception_id"]], **how | {"actor": "Inspektorat"})  # type: ignore[arg-type]
    last = await reconciled(world, first=tomorrow(world), opening=OPENING)
    assert (last.queued.raised, last.queued.open) == (0, 0)


async def test_a_balance_that_is_the_books_is_no_exception_with_payouts_and_charges(world: World) -> None:
    """A payment under way, one that a notice told before the statement, and a charge have their own findings."""
    await world.authorise(capture=True)
    await batch_closed(world)
    ((reference, _, amount),) = await instructions(world)
    done = await reconciled(world, (-2_500, "", "FEE"))
    assert states(done) == {reference: "under_way", "FEE": "missing_here"}
    await settled(world)
    early = await reconciled(world, (-2_500, "", "FEE"))
    assert "fund" not in states(early)
    paid = await reconciled(world, (-amount, reference), first=tomorrow(world), opening=OPENING - 2_500)
    assert "fund" not in states(paid)
    assert paid.balance.bank_rupiah == OPENING - 2_500 - amount == await fund(world) - 2_500


async def test_a_balance_that_an_earlier_statement_explains_is_no_exception_any_more(world: World) -> None:
    monday, tuesday = tomorrow(world), tomorrow(world)
    await reconciled(world, first=tuesday, opening=OPENING - 2_500)
    assert [row["kind"] for row in await open_ones(world)] == ["balance_differs"]
    await reconciled(world, (-2_500, "", "FEE"), first=monday)
    assert [row["kind"] for row in await open_ones(world)] == ["missing_here"]


def test_what_the_books_have_from_before_the_first_statement_is_in_its_opening_balance() -> None:
    """And what they have since then, and no line shows, is not."""
    spans = [Span(from_on=DAY, to_on=DAY, opening_rupiah=900, closing_rupiah=900)]
    moves = [
        Move(reference=None, on=DAY, amount_rupiah=1_000),
        Move(reference="pay_1", on=date(2024, 10, 6), amount_rupiah=-100),
        Move(reference="pay_2", on=DAY, amount_rupiah=-50),
    ]
    assert balance_of(spans, [], moves).finding is None
    finding = balance_of(spans, [], moves[:1]).finding
    assert finding is not None
    assert (finding.state, finding.ours_rupiah, finding.theirs_rupiah) == (State.BALANCE_DIFFERS, 1_000, 900)
    assert finding.detail.endswith("on 2024-10-07 the bank's balance is Rp900, and by the books it would be Rp1.000.")
