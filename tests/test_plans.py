"""Each hot statement reads few pages for each row that it looks up, in books that grew while nobody looked at
statistics; and these tests see it if one does not."""

from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import pytest

from authz_service.ledger.statements import PARTS
from authz_service.waiting import Batch, WaitingRoom
from tests.explained import GROWING, Shop
from tests.harm import Premises
from tests.world import World, by_stan

BATCH: Final = 24
PLANNED_ANEW: Final = 2**20
"""A lane makes its plans anew at this batch, and then not for a million."""
_PLACED: Final = "request_keys authorisations holds_placed transfers allowances_used"
_MOVED: Final = "request_keys holds_changed transfers"
_BY_VOUCHER: Final = " vouchers voucher_movements"
MADE: Final = {
    "authorise": _PLACED,
    "authorise by voucher": _PLACED + _BY_VOUCHER,
    "capture": _MOVED,
    "refund": _MOVED + " allowances_returned",
    "refund by voucher": _MOVED + " allowances_returned" + _BY_VOUCHER,
    "void": _MOVED + " allowances_returned",
    "void by voucher": _MOVED + " allowances_returned" + _BY_VOUCHER,
    "reversal": _MOVED + " allowances_returned keys_reversed",
    "reversal by voucher": _MOVED + " allowances_returned keys_reversed" + _BY_VOUCHER,
    "reversal at once": _MOVED + " allowances_returned keys_reversed",
    "reversal at once by voucher": _MOVED + " allowances_returned keys_reversed" + _BY_VOUCHER,
    "decline": "request_keys authorisations",
    "decline of nobody": "request_keys authorisations",
    "reversal of nothing": "request_keys",
    "late by STAN": "request_keys",
    "late by key": "tombstones_met",
    "expiry": "holds_changed transfers allowances_returned",
    "expiry by voucher": "holds_changed transfers allowances_returned" + _BY_VOUCHER,
}
"""The parts of the record statement that the service makes for a batch of one kind of request."""
_OUT_OF_ORDER: Final = """
DROP INDEX hold_programme_id_beneficiary_id_idx;
CREATE INDEX ON hold (programme_id, authorisation_id, beneficiary_id)
"""
HARMS: Final = (
    ("facts", "hold", _OUT_OF_ORDER),
    ("facts", "hold", "DROP INDEX hold_programme_id_beneficiary_id_idx"),
    ("facts", "hold", "ALTER TABLE hold DROP CONSTRAINT hold_pkey"),
    ("facts", "voucher", "DROP INDEX voucher_programme_id_beneficiary_id_month_idx"),
    ("facts", "voucher_movement", "DROP INDEX voucher_movement_programme_id_voucher_id_idx"),
    ("facts", "request_key", "ALTER TABLE request_key DROP CONSTRAINT request_key_pkey"),
    ("facts", "request_key", "DROP INDEX request_key_stan_key"),
    ("facts", "authorisation", "ALTER TABLE authorisation DROP CONSTRAINT authorisation_pkey"),
    ("facts", "card", "ALTER TABLE card DROP CONSTRAINT card_programme_id_card_digest_key"),
    ("facts", "beneficiary", "ALTER TABLE beneficiary DROP CONSTRAINT beneficiary_pkey"),
    ("facts", "wallet", "ALTER TABLE wallet DROP CONSTRAINT wallet_pkey"),
    ("facts", "allowance", "ALTER TABLE allowance DROP CONSTRAINT allowance_pkey"),
    ("record", "wallet", "ALTER TABLE wallet DROP CONSTRAINT wallet_pkey"),
    ("record", "hold", "ALTER TABLE hold DROP CONSTRAINT hold_pkey"),
    ("record", "voucher", "ALTER TABLE voucher DROP CONSTRAINT voucher_pkey"),
    ("due", "hold", "DROP INDEX hold_programme_id_expires_at_idx"),
)
"""(statement, the table of which it must then be seen to read too much, what is done to its indexes)"""


@pytest.fixture
async def shop(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """Its books are empty, and are never analysed."""
    async with premises.service(
        lanes=1, waiting_per_terminal=BATCH, deadline_seconds=20.0, admission_seconds=20.0
    ) as world:
        for table in GROWING:
            await world.database.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        it, fetch, taken_from = Shop(world=world), asyncpg.Connection.fetch, WaitingRoom._taken_from

        async def watched(connection: Any, query: str, *arguments: Any, **more: Any) -> Any:
            await it.explain(connection, query, arguments)
            return await fetch(connection, query, *arguments, **more)

        def taken_together(room: WaitingRoom, programme_id: Any) -> Batch | None:
            if len(room) < it.awaited:
                return None
            it.awaited = 1
            return taken_from(room, programme_id)

        monkeypatch.setattr(asyncpg.Connection, "fetch", watched)
        monkeypatch.setattr(WaitingRoom, "_taken_from", taken_together)
        yield it


async def a_day(shop: Shop, families: int, *, vouched: bool) -> None:
    """Every kind of request, each of as many families at once."""
    world, at_once, named = shop.world, shop.at_once, " by voucher" if vouched else ""
    cards = [next(shop.families) for _ in range(families)]

    async def sell(asked_for: str, *, capture: bool = False) -> list[tuple[str, str]]:
        keys = [world.fresh_key() for _ in cards]
        bought = [world.a_purchase(card_number=card.card_number, amount=30_000, capture=capture) for card in cards]
        sold = await at_once(asked_for, *map(world.sell, bought, keys))
        assert {each["decision"] for each in sold} == {"approved"}, sold
        return [(each["id"], key) for each, key in zip(sold, keys, strict=True)]

    if vouched:
        for card in cards:
            await world.vouched(world.now.date().replace(day=1), extra_packages=2, card=card)
        await sell("")
        await sell("")
    sold = await sell("authorise" + named)
    await at_once("capture", *(world.capture(sale) for sale, _ in sold))
    await at_once("refund" + named, *(world.refund(sale, amount=30_000) for sale, _ in sold))
    sold = await sell("authorise" + named)
    await at_once("void" + named, *(world.void(sale) for sale, _ in sold), answered=(200,))
    sold = await sell("authorise" + named)
    await at_once("reversal" + named, *(world.reverse(idempotency_key=key) for _, key in sold))
    sold = await sell("authorise" + named, capture=True)
    await at_once("reversal at once" + named, *(world.reverse(idempotency_key=key) for _, key in sold))
    await sell("authorise" + named)
    await at_once("balance", *(world.balance(card) for card in cards), answered=(200,))
    await at_once("decline", *(world.authorise(card_number=card.card_number, amount=9_000_000) for card in cards))
    await at_once("decline of nobody", *(world.authorise(card_number="9360000000000013") for _ in cards))
    unheard = [world.a_purchase(card_number=card.card_number) for card in cards]
    await at_once("reversal of nothing", *(world.reverse(**by_stan(each)) for each in unheard))
    await at_once("late by STAN", *(world.sell(each, world.fresh_key()) for each in unheard), answered=(409,))
    late = [world.fresh_key() for _ in cards]
    await at_once("reversal of nothing", *(world.reverse(idempotency_key=key) for key in late))
    await at_once("late by key", *(world.sell(world.a_purchase(), key) for key in late), answered=(409,))
    since = world.now
    world.later(days=2)
    await shop.sweep("expiry" + named, families, since)


async def a_rush(shop: Shop) -> None:
    """One batch for which the record statement has all its parts."""
    world, cards = shop.world, [next(shop.families) for _ in range(5)]
    bought = [world.a_purchase(card_number=card.card_number, amount=30_000) for card in cards]
    sold = await shop.at_once("", *(world.sell(each, world.fresh_key()) for each in bought[:3]))
    await world.sell(bought[3], "reversed")
    await world.reverse(idempotency_key="late")
    for _ in range(2):
        await world.authorise(card_number=cards[4].card_number, amount=30_000)
    await world.vouched(world.now.date().replace(day=1), extra_packages=1, card=cards[4])
    await shop.at_once(
        "rush",
        world.capture(sold[0]["id"]),
        world.void(sold[1]["id"]),
        world.authorise(card_number=cards[2].card_number, amount=30_000),
        world.reverse(idempotency_key="reversed"),
        world.authorise(card_number=cards[4].card_number, amount=30_000),
        world.sell(world.a_purchase(), "late"),
        answered=(200, 201, 409),
    )


async def _days(shop: Shop) -> None:
    for families in (1, BATCH):
        for vouched in (False, True):
            await a_day(shop, families, vouched=vouched)


async def test_every_hot_statement_reads_few_pages_as_the_books_grow(shop: Shop) -> None:
    """The first batches' plans may walk through all of the books, which are small then; no later one may."""
    await _days(shop)
    shop.plans.clear()
    await shop.fill()
    shop.has_served(PLANNED_ANEW - 1)
    await _days(shop)
    # As many batches again as there were, before which plans are not made anew.
    await shop.fill()
    await _days(shop)
    made = {(plan.asked_for, plan.requests, frozenset(plan.kinds)) for plan in shop.plans if plan.kinds}
    assert made == {(name, size, frozenset(kinds.split())) for name, kinds in MADE.items() for size in (1, BATCH)}
    await a_rush(shop)
    assert shop.plans[-1].kinds == tuple(PARTS)
    assert {plan.statement for plan in shop.plans} == {"facts", "record", "due"}
    assert {node["Relation Name"] for plan in shop.plans for node in plan.scans()} == GROWING
    broken = [found for plan in shop.plans for found in plan.too_much()]
    assert not broken


async def test_a_worse_index_breaks_the_bound(shop: Shop) -> None:
    await shop.fill()
    shop.has_served(PLANNED_ANEW - 1)
    unseen = []
    for statement, table, harm in HARMS:
        shop.plans.clear()
        shop.harm = (statement, harm)
        await a_day(shop, 1, vouched=True)
        broken = {where for plan in shop.plans for where, _ in plan.too_much()}
        if (statement, table) not in broken:
            unseen.append((statement, harm))
    assert not unseen


async def test_a_plan_that_is_kept_from_empty_books_breaks_the_bound(shop: Shop) -> None:
    await a_day(shop, 1, vouched=True)
    await shop.fill()
    shop.has_served(PLANNED_ANEW)
    shop.plans.clear()
    await a_day(shop, 1, vouched=True)
    assert "facts" in {statement for plan in shop.plans for (statement, _), _ in plan.too_much()}


async def test_plans_are_made_anew_as_the_books_grow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    execute = asyncpg.Connection.execute

    async def heard(connection: Any, query: str, *arguments: Any, **more: Any) -> Any:
        told.append(query)
        return await execute(connection, query, *arguments, **more)

    monkeypatch.setattr(asyncpg.Connection, "execute", heard)
    for lane in world.service._running.lanes:  # type: ignore[union-attr]
        lane.batches = 0
    for _ in range(40):
        await world.balance()
    # 40 batches of two lanes, however they share them: after 1, 2, 4, 8 and 16 of one lane at the least.
    assert 5 <= told.count("DISCARD PLANS") <= 10
