"""A programme is not closed over what the bank has told: all of it is followed, or two people have said what it is."""

import os
from typing import Any

import pytest

from authz_service.bank.funding import expect_funding
from authz_service.bank.inbox import approve, resolve
from authz_service.closing import ClosingRefused, what_is_open
from authz_service.reconciliation.disputes import open_dispute
from tests.bank import SAMARINDA, became, followed, kept_notice
from tests.harm import Premises
from tests.reconciling import reconciled, tomorrow
from tests.settling import batch_closed, instructions, said, settled
from tests.test_closing import LONG_AFTER, PAID, THE_END, at_the_end, closed
from tests.world import World

PARKED = (
    "Parked: 1 notice of the bank, the first of 2 January 2025; `authz inbox list --parked` shows why. Say with `authz"
    " inbox resolve` what becomes of each, and somebody else approves it with `authz inbox approve`."
)


def how(world: World, actor: str = "Dinsos") -> dict[str, Any]:
    return {"actor": actor, "now": world.now, "chance": os.urandom}


async def test_a_parked_notice_keeps_a_programme_open_until_two_people_have_said_what_it_is(world: World) -> None:
    """Programme.md: closing refuses while a parked bank notice is open."""
    world.at(PAID.replace(day=2))
    await kept_notice(world, "pay_of_somebody_else", "success", 1_000)
    await followed(world)
    world.at(LONG_AFTER)
    for first in ("Dinsos", "Kecamatan"):
        with pytest.raises(ClosingRefused) as refused:
            await closed(world)
        assert refused.value.reasons == (PARKED,)
        notice_id = await world.database.fetchval("SELECT notice_id FROM bank_notice")
        await resolve(world.database, SAMARINDA, notice_id, resolution="dari program lain", **how(world, first))
    await approve(world.database, SAMARINDA, notice_id, **how(world, "Inspektorat"))
    assert (await closed(world)).now
    await world.books_balance()


async def test_a_notice_that_nobody_has_looked_at_keeps_a_programme_open(premises: Premises) -> None:
    """It may be the return of a payout that the books say is settled: after a close it could not be followed."""
    async with premises.service(notice_seconds=3600.0) as world:
        await at_the_end(world)
        await world.authorise(capture=True)
        world.at(LONG_AFTER)
        await settled(world)
        ((reference, _, amount),) = await instructions(world)
        await kept_notice(world, reference, "returned", amount)
        with pytest.raises(ClosingRefused, match=r"- Not followed: 1 notice of the bank that came just now; .* again"):
            await closed(world)
        await followed(world)
        (came_back,) = await what_is_open(world.database, SAMARINDA, world.now)
        assert came_back.startswith("Failed or returned: Rp150.000 in 1 payout;")
        await said(world, "released", reference, reason="rekening baru")
        await settled(world)
        assert (await closed(world)).statement.paid_rupiah == 150_000
        await world.books_balance()


async def test_an_unexplained_difference_with_the_bank_keeps_a_programme_open_and_a_dispute_does_not(
    world: World,
) -> None:
    await at_the_end(world)
    sold = await world.authorise(capture=True)
    await open_dispute(world.database, SAMARINDA, sold["id"], reason="barang kurang", **how(world))
    world.at(THE_END)
    await batch_closed(world)
    ((reference, _, amount),) = await instructions(world)
    await reconciled(world, (-amount - 1, reference), first=tomorrow(world))
    world.at(LONG_AFTER)
    with pytest.raises(ClosingRefused) as refused:
        await closed(world)
    assert [reason.partition(":")[0] for reason in refused.value.reasons] == ["On its way", "Not explained"]


async def test_announced_money_that_comes_after_the_close_is_parked_and_moves_nothing(world: World) -> None:
    """It is no reason to stay open, since it may never come; what comes is the sponsor's to ask the bank for."""
    world.at(LONG_AFTER)
    await expect_funding(world.database, SAMARINDA, "SP2D-7", 5_000_000, **how(world))
    statement = (await closed(world)).statement
    await kept_notice(world, "SP2D-7", "pending", 5_000_000)
    await followed(world)
    assert await became(world) == [("pending", "followed", None)]
    await kept_notice(world, "SP2D-7", "success", 5_000_000)
    await followed(world)
    assert [why for *_, why in await became(world)] == ["programme_closed"] * 2
    assert await world.database.fetchval("SELECT count(*) FROM transfer WHERE kind = 'fund'") == 1
    again = await closed(world)
    assert (again.now, again.statement) == (False, statement)
    await world.books_balance()
