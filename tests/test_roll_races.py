"""Two at once on the roll: one outcome, and books that balance."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from datetime import date

import asyncpg
import pytest

from authz_service.enrolment.sandbox import SandboxCard
from authz_service.roll.orders import Change, RollRefused
from authz_service.vocabulary import CardStatus
from tests.operators import Operator, a_card_number, a_newcomer
from tests.world import World, answered

ROUNDS = 8
ENTITLEMENT = 1_800_000


@pytest.fixture
async def two(world: World) -> AsyncIterator[tuple[Operator, Operator]]:
    """Two operators, each with a connection of their own."""
    url = world.settings.database_url
    assert url is not None
    async with AsyncExitStack() as stack:
        operators = []
        for actor in ("dinsos", "meja kartu"):
            connection = await asyncpg.connect(url.get_secret_value())
            stack.push_async_callback(connection.close)
            operators.append(Operator(world, connection, actor))
        yield operators[0], operators[1]


async def outcomes(*orders: Awaitable[Change]) -> list[Change | RollRefused]:
    """Done, or refused in a sentence; nothing else may happen."""
    done = await asyncio.gather(*orders, return_exceptions=True)
    for each in done:
        assert isinstance(each, Change | RollRefused), each
    return done  # type: ignore[return-value]


def done(results: list[Change | RollRefused]) -> int:
    return sum(isinstance(each, Change) for each in results)


async def test_a_removal_and_a_purchase_at_once_are_one_after_the_other(
    world: World, two: tuple[Operator, Operator]
) -> None:
    for card in world.tills.cards[:ROUNDS]:
        removal, reply = await asyncio.gather(
            two[0].remove(card), answered(world.authorise, card_number=card.card_number, key=f"k{card.card_number}")
        )
        if reply["decision"] == "approved":
            assert removal.effects.held_rupiah == 150000
            await world.capture(reply["id"])
            assert await world.wallet(card) == (0, 0, 150000)
        else:
            assert reply["reason"] == "beneficiary_removed"
            assert await world.wallet(card) == (0, 0, 0)
    await world.books_balance()


async def test_two_who_enter_for_the_last_money_are_one(world: World, two: tuple[Operator, Operator]) -> None:
    for card in world.tills.cards[:ROUNDS]:
        await two[0].remove(card)
        results = await outcomes(two[0].enter(a_newcomer()), two[1].enter(a_newcomer()))
        assert done(results) == 1
        assert await two[0].unallocated() == 0
    await world.books_balance()


async def test_two_who_enter_with_one_nik_are_one(world: World, two: tuple[Operator, Operator]) -> None:
    for first, second in zip(world.tills.cards[:ROUNDS:2], world.tills.cards[1:ROUNDS:2], strict=True):
        await two[0].remove(first)
        await two[0].remove(second)
        newcomer = a_newcomer()
        results = await outcomes(two[0].enter(newcomer), two[1].enter(a_newcomer(nik=newcomer.nik, amount_rupiah=1000)))
        assert done(results) == 1
    await world.books_balance()


async def test_two_families_merged_into_each_other_leave_one(world: World, two: tuple[Operator, Operator]) -> None:
    cards = world.tills.cards
    for a, b in zip(cards[: 2 * ROUNDS : 2], cards[1 : 2 * ROUNDS : 2], strict=True):
        assert done(await outcomes(two[0].merge(a, b), two[1].merge(b, a))) == 1
        wallets = {await world.wallet(a), await world.wallet(b)}
        assert wallets == {(ENTITLEMENT, 0, 0), (0, 0, 0)}
    await world.books_balance()


async def test_a_family_merged_into_two_at_once_is_merged_into_one(
    world: World, two: tuple[Operator, Operator]
) -> None:
    a, b, c = world.tills.cards[:3]
    assert done(await outcomes(two[0].merge(a, b), two[1].merge(c, b))) == 1
    assert await two[0].unallocated() == ENTITLEMENT
    await world.books_balance()


async def test_a_survivor_removed_while_somebody_merges_into_it(world: World, two: tuple[Operator, Operator]) -> None:
    """Whoever is second is refused: a dated merge keeps its survivor."""
    cards = world.tills.cards
    for a, b in zip(cards[: 2 * ROUNDS : 2], cards[1 : 2 * ROUNDS : 2], strict=True):
        assert done(await outcomes(two[0].merge(a, b, on=date(2024, 10, 8)), two[1].remove(a))) == 1
    world.later(days=1)
    await two[0].write_due()
    await world.books_balance()


async def test_the_same_removal_twice_at_once_returns_the_money_once(
    world: World, two: tuple[Operator, Operator]
) -> None:
    for number, card in enumerate(world.tills.cards[:ROUNDS], start=1):
        assert done(await outcomes(two[0].remove(card), two[1].remove(card))) == 1
        assert await two[0].unallocated() == number * ENTITLEMENT
    await world.books_balance()


async def test_two_rounds_of_the_sweeper_at_once_return_the_money_once(
    world: World, two: tuple[Operator, Operator]
) -> None:
    for card in world.tills.cards[:ROUNDS]:
        await two[0].remove(card, on=date(2024, 10, 8))
    world.later(days=1)
    await asyncio.gather(two[0].write_due(), two[1].write_due())
    assert await two[0].unallocated() == ROUNDS * ENTITLEMENT
    await world.books_balance()


async def test_what_is_due_is_written_while_the_family_is_refunded(
    world: World, two: tuple[Operator, Operator]
) -> None:
    """The desk returns what is unspent, the sweeper too; together they return it once."""
    cards = world.tills.cards[:ROUNDS]
    sold = [await world.authorise(card_number=card.card_number, capture=True) for card in cards]
    for card in cards:
        await two[0].remove(card, on=date(2024, 10, 8))
    world.later(days=1)
    refund = {"amount": 150000, "reason": "busuk"}
    refunds = [
        answered(world.post, f"/v1/authorizations/{each['id']}/refunds", refund, key=f"r{each['id']}") for each in sold
    ]
    await asyncio.gather(two[0].write_due(), *refunds)
    assert await two[0].unallocated() == ROUNDS * ENTITLEMENT
    await world.books_balance()


async def test_a_new_card_and_a_purchase_with_the_old_one_at_once(world: World, two: tuple[Operator, Operator]) -> None:
    for card in world.tills.cards[:ROUNDS]:
        number = a_card_number()
        _, reply = await asyncio.gather(
            two[0].new_card(number, card),
            answered(world.authorise, card_number=card.card_number, key=f"k{card.card_number}"),
        )
        assert reply["reason"] in {"approved", "card_blocked"}
        if reply["decision"] == "approved":
            assert (await world.capture(reply["id"])).status == 201
        assert (await world.authorise(card_number=card.card_number))["reason"] == "card_blocked"
        assert (await world.authorise(card_number=number, amount=1000))["decision"] == "approved"
    await world.books_balance()


async def test_two_new_cards_at_once_leave_one_active(world: World, two: tuple[Operator, Operator]) -> None:
    for card in world.tills.cards[:ROUNDS]:
        assert done(await outcomes(two[0].new_card(a_card_number(), card), two[1].new_card(a_card_number(), card))) == 2
        assert sorted(await two[0].cards(card)) == ["active", "replaced", "replaced"]


async def test_a_number_given_to_two_families_at_once_is_of_one(world: World, two: tuple[Operator, Operator]) -> None:
    cards = world.tills.cards
    for a, b in zip(cards[: 2 * ROUNDS : 2], cards[1 : 2 * ROUNDS : 2], strict=True):
        number = a_card_number()
        assert done(await outcomes(two[0].new_card(number, a), two[1].new_card(number, b))) == 1
        statuses = [(await two[0].cards(each))[0] for each in (a, b)]
        # The refused family keeps the card that it had.
        assert sorted(statuses) == ["active", "replaced"]


async def test_a_card_lost_and_unblocked_at_once_ends_as_lost(world: World, two: tuple[Operator, Operator]) -> None:
    for card in world.tills.cards[:ROUNDS]:
        card_id = await two[0].card_id(card)
        await two[0].card_becomes(CardStatus.BLOCKED, card_id)
        await outcomes(two[0].card_becomes(CardStatus.LOST, card_id), two[1].card_becomes(CardStatus.ACTIVE, card_id))
        assert await two[0].cards(card) == ["lost"]


async def test_a_move_and_a_purchase_on_the_voucher_at_once(world: World, two: tuple[Operator, Operator]) -> None:
    """The purchase has its cover from before the move, or is declined."""
    cards: list[SandboxCard] = list(world.tills.cards[:ROUNDS])
    for card in cards:
        for _ in range(2):
            await world.authorise(card_number=card.card_number, amount=300000, capture=True)
        await two[0].vouch(card)
        change, reply = await asyncio.gather(
            two[0].move(card, companion="P-100"),
            answered(world.authorise, card_number=card.card_number, key=f"k{card.card_number}"),
        )
        [revoked] = change.effects.vouchers_revoked
        assert revoked.unused_rupiah == (150000 if reply["decision"] == "approved" else 300000)
    await world.books_balance()
