"""Signals in a served programme: found within seconds, held in settlement, judged by people, declined where told so."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from authz_service.explanation.explain import explanation_document, recorded_of, seen_at
from authz_service.explanation.recorded import agrees, decided_again
from authz_service.orders import OrderKind, kept_orders
from authz_service.settlement.waits import unwait
from authz_service.signals.backtest import backtest
from authz_service.signals.kinds import Action, Signal
from authz_service.signals.rules import RuleRefused, set_rule
from authz_service.signals.standing import FindingRefused, Standing, confirm, dismiss, findings, one_finding
from authz_service.signals.thresholds import thresholds_of
from authz_service.signals.watching import SignalWatcher, alone_at
from tests.settling import batch_closed, batches
from tests.signalling import SAMARINDA, night_of, watcher_of
from tests.world import A_MORNING, PROGRAMME, Reply, World

TODAY = A_MORNING.date()


@pytest.fixture
async def watcher(world: World) -> AsyncIterator[SignalWatcher]:
    made, pool = await watcher_of(world)
    yield made
    await pool.close()


def how(world: World, actor: str = "Inspektorat") -> dict[str, Any]:
    return {"actor": actor, "clock": world.clock, "chance": os.urandom}


async def collected(world: World, cards: int, **changes: Any) -> list[Reply]:
    """So many cards are swiped at one till, each for all of a package."""
    sold = []
    for card in world.tills.cards[:cards]:
        reply = await world.authorise(card_number=card.card_number, amount=300_000, capture=True, **changes)
        sold.append(reply)
    assert {reply.status for reply in sold} == {201}
    return sold


async def waiting(world: World) -> set[str]:
    rows = await world.database.fetch("SELECT authorisation_id FROM settlement_wait WHERE released_at IS NULL")
    return {row[0] for row in rows}


async def set_to(world: World, signal: Signal, **what: Any) -> Any:
    what = {"enabled": None, "action": None, "thresholds": {}, "reason": "uji coba"} | what
    return await set_rule(world.database, world.settings, SAMARINDA, signal, **what, **how(world, "dinsos"))


async def tried(world: World, signal: Signal, **thresholds: int) -> Any:
    asked = thresholds_of(signal, thresholds)
    return await backtest(world.database, world.settings, SAMARINDA, signal, asked, TODAY, TODAY, **how(world))


async def test_collected_cards_are_found_within_a_round_and_their_settlement_waits(
    world: World, watcher: SignalWatcher
) -> None:
    await watcher.watch()
    sold = await collected(world, 14)
    honest = await world.authorise(till=world.other_till, card_number=world.tills.cards[20].card_number, capture=True)
    await watcher.watch()
    assert await waiting(world) == {reply["id"] for reply in sold}
    found = {
        each.signal: each for each in await findings(world.database, SAMARINDA, standing=None, signal=None, limit=9)
    }
    cards = found[Signal.MANY_CARDS]
    assert (cards.subject_id, cards.evidence["cards"], cards.action) == (world.till.terminal_id, 14, Action.HOLD)
    assert cards.shop == world.till.name
    _, purchases = await one_finding(world.database, SAMARINDA, cards.finding_id)
    assert {each.authorisation_id for each in purchases} == {reply["id"] for reply in sold}
    reason = await world.database.fetchval("SELECT min(reason) FROM settlement_wait")
    assert reason.startswith("score ")
    assert cards.finding_id in reason
    assert {(reply["decision"], reply["status"]) for reply in (*sold, honest)} == {("approved", "captured")}
    await batch_closed(world)
    assert (await batches(world))[0]["captured_rupiah"] == 150_000
    await world.books_balance()


async def test_a_round_or_a_night_that_is_repeated_changes_nothing(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    await collected(world, 14)
    await watcher.watch()
    tables = ("signal_finding", "signal_purchase", "settlement_wait", "office_order")

    async def everything() -> list[Any]:
        return [await world.database.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]

    before = await everything()
    await watcher.watch()
    again = await watcher_of(world)
    await again[0].watch()
    await again[1].close()
    assert await everything() == before
    first = await night_of(world, TODAY)
    by_night = await everything()
    assert (await night_of(world, TODAY)).findings == []
    assert await everything() == by_night
    assert first.held == []


async def test_a_weak_signal_alone_flags_and_holds_nothing(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    for card in world.tills.cards[:9]:
        await world.authorise(card_number=card.card_number, capture=True)
    await watcher.watch()
    (found,) = await findings(world.database, SAMARINDA, standing=None, signal=None, limit=9)
    assert (found.signal, found.action, found.score) == (Signal.MANY_CARDS, Action.FLAG, 50)
    assert await waiting(world) == set()


async def test_what_is_only_flagged_by_the_programme_is_never_held(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    for signal in (Signal.MANY_CARDS, Signal.EXACT_CAP):
        await set_to(world, signal, action=Action.FLAG)
    await collected(world, 16)
    await watcher.watch()
    found = await findings(world.database, SAMARINDA, standing=None, signal=None, limit=9)
    assert {each.action for each in found} == {Action.FLAG}
    assert len(found) == 2
    assert await waiting(world) == set()


async def test_a_signal_that_is_off_finds_nothing(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    for signal in Signal:
        await set_to(world, signal, enabled=False)
    await collected(world, 14)
    await watcher.watch()
    await night_of(world, TODAY)
    assert await findings(world.database, SAMARINDA, standing=None, signal=None, limit=9) == []


async def test_a_dismissal_releases_what_was_held_for_it_alone_and_says_why(
    world: World, watcher: SignalWatcher
) -> None:
    await watcher.watch()
    sold = await collected(world, 14)
    await watcher.watch()
    found = await findings(world.database, SAMARINDA, standing=Standing.OPEN, signal=None, limit=9)
    assert {each.signal for each in found} == {Signal.MANY_CARDS, Signal.EXACT_CAP}
    by_signal = {each.signal: each.finding_id for each in found}
    where = (world.database, world.settings, SAMARINDA)
    # Alone, fourteen at the cap are not strong enough, so with the cards' dismissal nothing is held any more.
    assert await dismiss(*where, by_signal[Signal.EXACT_CAP], reason="hari pasar", **how(world)) == []
    assert len(await waiting(world)) == 14
    released = await dismiss(*where, by_signal[Signal.MANY_CARDS], reason="kader mengantar", **how(world))
    assert set(released) == {reply["id"] for reply in sold}
    assert await waiting(world) == set()
    rows = await world.database.fetch("SELECT DISTINCT released_by, release_reason FROM settlement_wait")
    assert [tuple(row) for row in rows] == [("Inspektorat", "kader mengantar")]
    with pytest.raises(FindingRefused, match="dismissed already"):
        await dismiss(*where, by_signal[Signal.MANY_CARDS], reason="lagi", **how(world))
    await watcher.watch()
    await night_of(world, TODAY)
    assert await waiting(world) == set()
    kinds = [order.kind for order in await kept_orders(world.database, SAMARINDA)]
    assert kinds.count(OrderKind.SIGNAL_DISMISSED) == 2


async def test_two_people_confirm_and_what_is_held_stays_held(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    await collected(world, 14)
    await watcher.watch()
    (cards,) = await findings(world.database, SAMARINDA, standing=None, signal=Signal.MANY_CARDS, limit=9)
    where = (world.database, world.settings, SAMARINDA, cards.finding_id)
    assert await confirm(*where, reason="kartu dikumpulkan", **how(world, "dinsos")) is Standing.OPEN
    with pytest.raises(FindingRefused, match="somebody else"):
        await confirm(*where, reason="kartu dikumpulkan", **how(world, " dinsos "))
    with pytest.raises(FindingRefused, match="somebody else"):
        await confirm(*where, reason="kartu dikumpulkan", **how(world, "DINSOS"))
    assert await confirm(*where, reason="sudah diperiksa", **how(world)) is Standing.CONFIRMED
    assert len(await waiting(world)) == 14
    with pytest.raises(FindingRefused, match="confirmed already"):
        await dismiss(*where, reason="lagi", **how(world))


async def test_what_somebody_released_by_hand_is_not_held_again(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    sold = await collected(world, 14)
    await watcher.watch()
    one = sold[0]["id"]
    await unwait(world.database, world.settings, SAMARINDA, one, reason="sudah diperiksa", **how(world))
    await night_of(world, TODAY)
    assert await waiting(world) == {reply["id"] for reply in sold[1:]}


async def test_what_is_paid_already_is_found_and_said_to_be_too_late(world: World) -> None:
    await collected(world, 14)
    await batch_closed(world)
    kept = await night_of(world, TODAY)
    assert kept.held == []
    found = await findings(world.database, SAMARINDA, standing=None, signal=Signal.MANY_CARDS, limit=9)
    assert [(each.action, each.evidence["settled_already"]) for each in found] == [(Action.FLAG, 14)]


async def test_sales_that_are_taken_back_are_found_when_the_refunds_come(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    sold = await collected(world, 6, till=world.other_till)
    world.later(hours=3)
    await watcher.watch()
    for reply in sold:
        assert (await world.refund(reply["id"], 300_000, till=world.other_till)).status == 201
    await watcher.watch()
    (found,) = await findings(world.database, SAMARINDA, standing=None, signal=Signal.TAKEN_BACK, limit=9)
    assert (found.subject_id, found.score, found.evidence["families"]) == (world.other_till.merchant_id, 80, 6)
    assert await waiting(world) == {reply["id"] for reply in sold}


async def test_another_process_that_is_at_it_is_left_alone(world: World, watcher: SignalWatcher) -> None:
    await watcher.watch()
    await collected(world, 14)
    async with alone_at(world.database, SAMARINDA) as is_alone:
        assert is_alone
        await watcher.watch()
        assert await waiting(world) == set()
    await watcher.watch()
    assert len(await waiting(world)) == 14


async def test_the_day_so_far_is_computed_before_its_cut_off_and_whole_in_the_night(
    world: World, watcher: SignalWatcher
) -> None:
    lines = [{"category": "susu", "product": "susu bubuk 400 g", "unit": "kotak", "quantity": "2"}]
    for place, till in enumerate(world.tills.terminals[:6]):
        price = 50_000 if place else 79_000
        for card in world.tills.cards[2 * place : 2 * place + 2]:
            priced = [line | {"unit_price": price, "amount": 2 * price} for line in lines]
            reply = await world.authorise(till=till, card_number=card.card_number, lines=priced, capture=True)
            assert reply["decision"] == "approved"
    await watcher.watch()
    assert await findings(world.database, SAMARINDA, standing=None, signal=None, limit=9) == []
    world.at(A_MORNING.replace(hour=14, minute=40))
    await watcher.watch()
    (found,) = await findings(world.database, SAMARINDA, standing=None, signal=None, limit=9)
    assert (found.signal, found.evidence["percent_above"], found.action) == (Signal.FAR_PRICES, 58, Action.HOLD)
    assert len(await waiting(world)) == 2
    assert await world.database.fetchval("SELECT nights_through FROM signal_watch") == TODAY - timedelta(days=1)
    world.at(A_MORNING.replace(hour=2, minute=5) + timedelta(days=1))
    await watcher.watch()
    assert await world.database.fetchval("SELECT nights_through FROM signal_watch") == TODAY


async def test_no_signal_declines_before_a_backtest_of_the_very_thresholds(world: World) -> None:
    with pytest.raises(RuleRefused, match="nobody has looked how many"):
        await set_to(world, Signal.MANY_CARDS, action=Action.DECLINE)
    await tried(world, Signal.MANY_CARDS, at_least=9)
    with pytest.raises(RuleRefused, match="same thresholds first"):
        await set_to(world, Signal.MANY_CARDS, action=Action.DECLINE)
    rule, rests_on = await set_to(world, Signal.MANY_CARDS, action=Action.DECLINE, thresholds={"at_least": 9})
    assert (rule.action, rule.thresholds.at_least) == (Action.DECLINE, 9)
    assert rests_on.figures["declined_purchases"] == 0
    with pytest.raises(RuleRefused, match="same thresholds first"):
        await set_to(world, Signal.MANY_CARDS, thresholds={"at_least": 10})
    world.later(days=15)
    with pytest.raises(RuleRefused, match="older than 14 days"):
        await set_to(world, Signal.MANY_CARDS, action=Action.DECLINE)


async def test_where_a_signal_declines_the_next_purchase_is_declined_neutrally_and_explained(
    world: World, watcher: SignalWatcher
) -> None:
    await watcher.watch()
    await tried(world, Signal.MANY_CARDS)
    await set_to(world, Signal.MANY_CARDS, action=Action.DECLINE)
    await collected(world, 14)
    await watcher.watch()
    card = world.tills.cards[30]
    declined = await world.authorise(card_number=card.card_number)
    assert (declined["reason"], declined["response_code"]) == ("suspected_misuse", "59")
    assert declined["message"] == "Belanja ini belum dapat diproses. Hubungi Dinsos PM Kota Samarinda."
    assert (declined["largest_approvable_amount"], declined["remaining"]["month"]) == (0, 600_000)
    balance = await world.balance(card)
    assert (balance["reason"], balance["largest_approvable_amount"]) == ("suspected_misuse", 0)
    elsewhere = await world.authorise(card_number=card.card_number, till=world.other_till)
    assert elsewhere["decision"] == "approved"
    told = await world_explains(world, declined["id"])
    check = next(each for each in told["checks"] if each["check"] == "suspected_misuse")
    assert check["outcome"] == "failed"
    assert (check["figures"]["signal"], check["figures"]["on"]) == ("many_cards", world.till.terminal_id)
    row = await world.database.fetchrow(
        "SELECT *, NULL AS last_four FROM authorisation WHERE reason = 'suspected_misuse'"
    )
    assert row is not None
    recorded = recorded_of(row)
    version, marked = recorded.reference_version, [recorded.terminal_id]
    seen = await seen_at(world.database, PROGRAMME, version, recorded.merchant_id, marked)
    again = decided_again(recorded, seen)
    assert again is not None
    assert agrees(recorded, again)
    # A refusal for a signal is no sign of one: the mark ends by itself.
    world.later(minutes=121)
    await watcher.watch()
    assert (await world.authorise(card_number=card.card_number))["decision"] == "approved"
    await world.books_balance()


async def world_explains(world: World, authorisation_id: str) -> Any:
    told = await explanation_document(world.database, PROGRAMME, authorisation_id, world.clock)
    assert told is not None
    return told


@pytest.mark.parametrize("ends", ["dismissed", "set to flag", "switched off"])
async def test_a_mark_ends_when_the_finding_is_dismissed_or_the_signal_declines_no_more(
    world: World, watcher: SignalWatcher, ends: str
) -> None:
    await watcher.watch()
    await tried(world, Signal.MANY_CARDS)
    await set_to(world, Signal.MANY_CARDS, action=Action.DECLINE)
    await collected(world, 14)
    await watcher.watch()
    card = world.tills.cards[30].card_number
    assert (await world.authorise(card_number=card))["reason"] == "suspected_misuse"
    (found,) = await findings(world.database, SAMARINDA, standing=None, signal=Signal.MANY_CARDS, limit=9)
    match ends:
        case "dismissed":
            where = (world.database, world.settings, SAMARINDA, found.finding_id)
            await dismiss(*where, reason="kader mengantar", **how(world))
        case "set to flag":
            await set_to(world, Signal.MANY_CARDS, action=Action.FLAG)
        case _:
            await set_to(world, Signal.MANY_CARDS, enabled=False)
    assert (await world.authorise(card_number=card))["decision"] == "approved"


async def test_a_backtest_says_what_would_have_been_touched_and_declined_and_changes_nothing(world: World) -> None:
    sold = await collected(world, 20)
    before = await world.counts()
    done = await tried(world, Signal.MANY_CARDS)
    assert done.figures == {
        "findings": 1,
        "strong_findings": 1,
        "purchases": 20,
        "families": 20,
        "shops": 1,
        "rupiah": 6_000_000,
        "held_purchases": 20,
        "held_rupiah": 6_000_000,
        # Strong enough (70) with the eleventh card.
        "declined_purchases": 9,
        "declined_families": 9,
        "declined_rupiah": 2_700_000,
        "confirmed": 0,
        "dismissed": 0,
    }
    assert len(sold) == 20
    assert (await tried(world, Signal.MANY_CARDS, at_least=21, strongly=30)).figures["findings"] == 0
    assert await world.counts() == before
    assert await findings(world.database, SAMARINDA, standing=None, signal=None, limit=9) == []
    kept = await world.database.fetch("SELECT signal, from_on, to_on FROM signal_backtest ORDER BY backtest_id")
    assert {tuple(row) for row in kept} == {("many_cards", TODAY, TODAY)}
