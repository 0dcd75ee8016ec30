"""Incident 15: families change while money is in flight. The hold is honoured, nothing new is approved."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import product
from pathlib import Path

import asyncpg
import pytest

from authz_service.roll.orders import RollRefused
from tests.conftest import EnrolledTemplate
from tests.operators import Operator, a_card_number, a_newcomer
from tests.world import WITA, Reply, World, running

TOMORROW = date(2024, 10, 8)
THE_NEXT_DAY = datetime(2024, 10, 8, tzinfo=WITA)
HELD = 150_000
ENTITLEMENT = 1_800_000
CONTROL_TOTAL = 987 * ENTITLEMENT


@pytest.fixture
async def operator(world: World) -> Operator:
    """Days begin at midnight, so here the shops never close."""
    await world.database.execute("UPDATE merchant SET opens_at = NULL, closes_at = NULL")
    return Operator(world, world.database)


async def dated_removal(world: World, operator: Operator) -> None:
    """It becomes due while the hold is open, and no worker has written it."""
    await operator.remove(on=TOMORROW)
    world.at(THE_NEXT_DAY)


CHANGES: dict[str, tuple[Callable[[World, Operator], Awaitable[object]], str, bool]] = {
    "suspend": (lambda _, operator: operator.suspend(), "beneficiary_suspended", False),
    "remove": (lambda _, operator: operator.remove(), "beneficiary_removed", True),
    "re-card": (lambda _, operator: operator.new_card(a_card_number()), "card_blocked", False),
    "merge": (lambda world, operator: operator.merge(world.tills.cards[1], world.card), "card_blocked", True),
    "move": (lambda _, operator: operator.move(), "", False),
    "dated removal": (dated_removal, "beneficiary_removed", True),
}
"""Change → how, what the old card is told afterwards, and whether the family leaves the programme."""


async def captured(world: World, held: str, _: str) -> None:
    assert (await world.capture(held)).status == 201


async def voided(world: World, held: str, _: str) -> None:
    assert (await world.void(held)).status == 200


async def expired(world: World, held: str, _: str) -> None:
    world.later(hours=25)
    assert (await world.capture(held))["authorization_status"] == "expired"


async def refunded(world: World, held: str, _: str) -> None:
    await captured(world, held, "")
    refund = {"amount": 100_000, "reason": "busuk"}
    assert (await world.post(f"/v1/authorizations/{held}/refunds", refund, key=world.fresh_key())).status == 201


async def reversed_(world: World, _: str, key: str) -> None:
    reply = await world.post("/v1/reversals", {"idempotency_key": key}, key=world.fresh_key())
    assert (reply.status, reply["undone"], reply["reversed_amount"]) == (201, True, HELD)


EVENTS: dict[str, tuple[Callable[[World, str, str], Awaitable[None]], int]] = {
    "capture": (captured, HELD),
    "void": (voided, 0),
    "expire": (expired, 0),
    "refund": (refunded, 50_000),
    "reversal": (reversed_, 0),
}
"""Event → how, and what the family has spent afterwards."""


@pytest.mark.parametrize(("change", "event"), list(product(CHANGES, EVENTS)))
async def test_the_hold_is_honoured_and_nothing_new_is_approved(
    world: World, operator: Operator, change: str, event: str
) -> None:
    changed, told, leaves = CHANGES[change]
    happens, spent = EVENTS[event]
    held = await world.authorise(key="sale")
    await changed(world, operator)
    assert await world.wallet() == (ENTITLEMENT - HELD, HELD, 0)
    declined = await world.authorise(amount=1000)
    if told:
        assert (declined["reason"], declined["largest_approvable_amount"]) == (told, 0)
    else:
        assert (await world.void(declined["id"])).status == 200
    assert (await operator.control_total(), await operator.unallocated()) == (CONTROL_TOTAL, 0)
    await world.books_balance()
    await happens(world, held["id"], "sale")
    left = 0 if leaves else ENTITLEMENT - spent
    assert await world.wallet() == (left, 0, spent)
    # The control total falls by what was returned, and that is what is unallocated now.
    assert await operator.unallocated() == (ENTITLEMENT - spent if leaves else 0)
    assert await operator.control_total() == CONTROL_TOTAL - await operator.unallocated()
    await operator.write_due()
    assert await world.wallet() == (left, 0, spent)
    await world.books_balance()


async def test_a_refund_to_a_family_that_left_goes_on_to_unallocated(world: World, operator: Operator) -> None:
    sold = await world.authorise(capture=True)
    await operator.merge(world.tills.cards[1], world.card)
    assert await operator.unallocated() == ENTITLEMENT - HELD
    refund = {"amount": HELD, "reason": "salah barang"}
    await world.post(f"/v1/authorizations/{sold['id']}/refunds", refund, key="r")
    assert (await world.wallet(), await operator.unallocated()) == ((0, 0, 0), ENTITLEMENT)
    await world.books_balance()


@pytest.mark.parametrize("change", ["remove", "merge", "move"])
async def test_a_hold_keeps_what_it_uses_of_a_revoked_voucher(world: World, operator: Operator, change: str) -> None:
    for _ in range(2):
        await world.authorise(amount=300000, capture=True)
    await operator.vouch(rupiah=200000, packages=2)
    held = await world.authorise(amount=HELD)
    await CHANGES[change][0](world, operator)
    assert (await world.capture(held["id"], amount=100000)).status == 201
    used = await world.database.fetchrow("SELECT used_rupiah, packages_used, revoked_at FROM voucher")
    assert used is not None
    assert (used["used_rupiah"], used["packages_used"]) == (100000, 1)
    assert used["revoked_at"] is not None
    await world.books_balance()


# Days


async def test_a_dated_change_holds_from_midnight_in_wita_to_the_second_with_no_worker(
    world: World, operator: Operator
) -> None:
    resumed, removed, suspended = world.tills.cards[:3]
    await operator.suspend(resumed)
    await operator.resume(resumed, on=TOMORROW)
    await operator.remove(removed, on=TOMORROW)
    await operator.suspend(suspended, on=TOMORROW)
    before = await _told_before_midnight(world, resumed.card_number, removed.card_number, suspended.card_number)
    world.at(THE_NEXT_DAY)
    after = [await world.authorise(card_number=card.card_number) for card in (resumed, removed, suspended)]
    assert [each["reason"] for each in before] == ["beneficiary_suspended", "approved", "approved"]
    assert [each["reason"] for each in after] == ["approved", "beneficiary_removed", "beneficiary_suspended"]
    await world.books_balance()


async def _told_before_midnight(world: World, *cards: str) -> list[Reply]:
    """In the last second; on a busy machine that takes more than one try."""
    for _ in range(20):
        world.at(THE_NEXT_DAY - timedelta(seconds=1))
        told = [await world.authorise(card_number=card, amount=1000) for card in cards]
        if all(datetime.fromisoformat(each["created_at"]) < THE_NEXT_DAY for each in told):
            return told
    raise AssertionError("the machine is too busy for a second")


async def test_what_is_due_is_written_once_and_only_then_its_money_moves(world: World, operator: Operator) -> None:
    await operator.vouch()
    change = await operator.remove(on=TOMORROW, reason="pindah kota")
    assert change.waits
    assert await operator.write_due() == 0
    world.at(THE_NEXT_DAY)
    await world.books_balance()
    assert (await operator.on_the_roll())["status"] == "active"
    assert await operator.write_due() == 1
    row = await operator.on_the_roll()
    assert (row["status"], row["next_status"]) == ("removed", None)
    assert (await world.wallet(), await operator.unallocated()) == ((0, 0, 0), ENTITLEMENT)
    revoked = await world.database.fetchrow("SELECT revoked_by, revocation_reason FROM voucher")
    assert revoked is not None
    assert tuple(revoked) == ("dinsos", "pindah kota")
    assert await operator.write_due() == 0
    await world.books_balance()


async def test_a_round_writes_no_more_than_its_limit_and_the_next_goes_on(world: World, operator: Operator) -> None:
    for card in world.tills.cards[:3]:
        await operator.remove(card, on=TOMORROW)
    world.at(THE_NEXT_DAY)
    assert [await operator.write_due(limit=2) for _ in range(3)] == [2, 1, 0]
    assert await operator.unallocated() == 3 * ENTITLEMENT


async def test_a_family_that_somebody_is_at_work_on_is_left_for_the_next_round(
    world: World, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = world.tills.cards[:2]
    await operator.remove(first, on=TOMORROW)
    await operator.remove(second, on=TOMORROW)
    world.at(THE_NEXT_DAY)
    busy = await asyncpg.connect(world.settings.database_url.get_secret_value())  # type: ignore[union-attr]
    monkeypatch.setattr("authz_service.roll.opened.settings_from_environment", _Impatient)
    async with busy.transaction():
        await busy.execute("SELECT FROM wallet WHERE beneficiary_id = $1 FOR UPDATE", first.beneficiary_id)
        assert await operator.write_due() == 1
        with pytest.raises(RollRefused, match="Somebody else is at work"):
            await operator.suspend(first)
    await busy.close()
    assert await operator.write_due() == 1


class _Impatient:
    office_statement_timeout_ms = 50


async def test_whoever_changes_a_family_writes_first_what_is_due(world: World, operator: Operator) -> None:
    await operator.remove(on=TOMORROW)
    await operator.suspend(world.tills.cards[1], on=TOMORROW)
    world.at(THE_NEXT_DAY)
    with pytest.raises(RollRefused, match="a removal is final"):
        await operator.resume()
    await operator.resume(world.tills.cards[1])
    assert (await operator.on_the_roll(world.tills.cards[1]))["status"] == "active"


async def test_a_second_dated_change_is_refused_and_one_that_holds_at_once_takes_its_place(
    world: World, operator: Operator
) -> None:
    await operator.remove(on=TOMORROW)
    for again in (operator.remove, operator.suspend):
        with pytest.raises(RollRefused, match="to be removed from 2024-10-08 00:00 on: withdraw that first"):
            await again(on=date(2024, 10, 9))
    change = await operator.resume(reason="salah orang")
    assert change.effects.withdrawn is not None
    assert change.effects.withdrawn.status == "removed"
    world.at(THE_NEXT_DAY)
    assert await operator.write_due() == 0
    assert (await world.authorise())["decision"] == "approved"
    await world.books_balance()


async def test_a_past_day_holds_at_once_and_changes_no_decision(world: World, operator: Operator) -> None:
    await world.authorise(capture=True)
    change = await operator.remove(on=date(2024, 10, 2))
    assert (change.waits, change.effective_at) == (False, datetime(2024, 10, 2, tzinfo=WITA))
    assert await world.wallet() == (0, 0, HELD)
    with pytest.raises(RollRefused, match="0204-12-01 is before"):
        await operator.suspend(world.tills.cards[1], on=date(204, 12, 1))
    with pytest.raises(RollRefused, match="entered only on 2024-09-25"):
        await operator.suspend(world.tills.cards[1], on=date(2024, 9, 24))
    await world.books_balance()


@pytest.mark.parametrize("day", [date(2025, 1, 1), date(2025, 3, 1)])
async def test_nothing_is_dated_after_the_end(world: World, operator: Operator, day: date) -> None:
    for change in (operator.remove, operator.suspend):
        with pytest.raises(RollRefused, match="The programme ends before"):
            await change(on=day)
    await operator.remove(world.tills.cards[1])
    with pytest.raises(RollRefused, match="The programme ends before"):
        await operator.enter(a_newcomer(), on=day)
    await operator.remove(on=date(2024, 12, 31))


async def test_what_cannot_wait_says_so(world: World, operator: Operator) -> None:
    with pytest.raises(RollRefused, match="happens at once"):
        await operator.move(on=TOMORROW)
    with pytest.raises(RollRefused, match="happens at once"):
        await operator.new_card(a_card_number(), on=TOMORROW)


async def test_a_family_that_enters_on_a_day_has_its_money_at_once_and_buys_from_then_on(
    world: World, operator: Operator
) -> None:
    await operator.remove(world.tills.cards[1])
    newcomer = a_newcomer()
    change = await operator.enter(newcomer, on=TOMORROW)
    assert await operator.unallocated() == 0
    early = await world.authorise(card_number=newcomer.card.number)
    world.at(THE_NEXT_DAY)
    on_time = await world.authorise(card_number=newcomer.card.number)
    assert (early["reason"], on_time["reason"]) == ("beneficiary_suspended", "approved")
    assert await operator.write_due() == 1
    row = await world.database.fetchrow("SELECT * FROM beneficiary WHERE beneficiary_id = $1", change.beneficiary_id)
    assert row is not None
    assert (row["status"], row["entered_on"]) == ("active", TOMORROW)
    await world.books_balance()


async def test_a_family_that_does_not_come_after_all_gives_its_money_back(world: World, operator: Operator) -> None:
    await operator.remove(world.tills.cards[1])
    newcomer = a_newcomer()
    entered = await operator.enter(newcomer, on=TOMORROW)
    change = await operator.remove(replace(world.card, beneficiary_id=entered.beneficiary_id))
    assert (change.effects.returned_rupiah, change.effects.withdrawn is None) == (ENTITLEMENT, False)
    world.at(THE_NEXT_DAY)
    assert (await world.authorise(card_number=newcomer.card.number))["reason"] == "beneficiary_removed"
    await world.books_balance()


async def test_a_dated_merge_comes_on_its_day_and_its_survivor_stays_until_then(
    world: World, operator: Operator
) -> None:
    survivor, other = world.tills.cards[1], world.card
    await operator.merge(survivor, other, on=TOMORROW)
    assert (await world.authorise(amount=1000))["decision"] == "approved"
    with pytest.raises(RollRefused, match="is to be merged into"):
        await operator.remove(survivor)
    with pytest.raises(RollRefused, match="a survivor is not merged again"):
        await operator.merge(world.tills.cards[2], survivor)
    await world.books_balance()
    world.at(THE_NEXT_DAY)
    assert (await world.authorise())["reason"] == "beneficiary_removed"
    await operator.write_due()
    assert (await world.authorise())["reason"] == "card_blocked"
    assert await operator.cards(other) == ["replaced"]
    await operator.remove(survivor)
    world.later(hours=25)
    await world.books_balance()


async def test_a_dated_merge_that_is_withdrawn_leaves_no_trace_on_the_roll(world: World, operator: Operator) -> None:
    survivor, other = world.tills.cards[1], world.card
    await operator.merge(survivor, other, on=TOMORROW)
    await operator.resume(other)
    assert (await operator.on_the_roll(other))["merged_into"] is None
    await operator.remove(survivor, on=TOMORROW)
    with pytest.raises(RollRefused, match="is to be removed on"):
        await operator.merge(survivor, other)
    assert await operator.cards(other) == ["active"]


async def test_the_sweeper_writes_what_is_due(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills, sweep_seconds=0.02) as world:
        operator = Operator(world, world.database)
        await operator.remove(on=TOMORROW)
        world.at(THE_NEXT_DAY)
        async with asyncio.timeout(20):
            while (await operator.on_the_roll())["status"] != "removed":
                await asyncio.sleep(0.02)
        assert (await world.wallet(), await operator.unallocated()) == ((0, 0, 0), ENTITLEMENT)
        await world.books_balance()
