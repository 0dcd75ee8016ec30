"""Every hot statement finds its rows by an index, few of them, in books that grew while nobody looked at statistics.

The service itself asks; what it sends is explained beside it, with the plan that it would get, and taken back.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import pytest

from authz_service.database import connect_hot
from authz_service.ledger.statements import FACTS, PARTS
from tests.office import vouch
from tests.world import PROGRAMME, World, by_stan

PURCHASES: Final = 20_000
ROWS_A_REQUEST: Final = 8
"""Of one table and at one place in the plan: a family's few holds are more than one row."""
GROWING: Final = {
    *("request_key", "authorisation", "hold", "transfer", "allowance", "voucher", "voucher_movement"),
    *("wallet", "beneficiary", "card"),
}
_FILL: Final = """
-- The past of the families that do not shop here; whether it adds up does not matter to a plan.
WITH purchase AS MATERIALIZED (
       SELECT format('%s_filled%s', kind, n) AS id, n, b.beneficiary_id
         FROM generate_series(1, $2) n,
              (VALUES ('auth')) AS prefix(kind),
              LATERAL (SELECT beneficiary_id FROM beneficiary WHERE programme_id = $1 AND beneficiary_id <> $3
                        ORDER BY beneficiary_id DESC OFFSET n % 800 LIMIT 1) b),
     keys AS (
       INSERT INTO request_key
       SELECT $1, 'trm_filled' || n % 27, decode(md5(n::text), 'hex'), 1, '\\x00', lpad((n % 1000000)::text, 6, '0'),
              '2024-10-01T00:00:00Z'::timestamptz + n * interval '1 second', id, 201, NULL, NULL, now()
         FROM purchase),
     decided AS (
       INSERT INTO authorisation
       SELECT $1, id, now(), 'mrc_filled', 'trm_filled', beneficiary_id, 'crd_filled', '2024-10-01', 'approved', 1000,
              1000, 0, 'req', '{}', '\\x00' FROM purchase),
     held AS (
       INSERT INTO hold
       SELECT $1, id, beneficiary_id, 'mrc_filled', '2024-10-01', 'held', 1000, 1000, 0, 0, 0,
              '2024-10-08T00:00:00Z'::timestamptz FROM purchase),
     moved AS (
       INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id,
                             amount_rupiah, authorisation_id, created_at)
       SELECT $1, 'trf_' || id, 'hold', 'authorise', beneficiary_id, 'mrc_filled', 1000, id, now() FROM purchase),
     months AS (
       INSERT INTO allowance
       SELECT $1, beneficiary_id, ('2020-01-01'::date + n % 48 * interval '1 month')::date, NULL, NULL, 0, 0, 0, 0
         FROM purchase ON CONFLICT DO NOTHING),
     permitted AS (
       INSERT INTO voucher (programme_id, voucher_id, beneficiary_id, companion_id, month, extra_rupiah, extra_packages,
                            used_rupiah, packages_used, reason, created_at, expires_at, approved_at)
       SELECT $1, 'vch_' || id, beneficiary_id, 'cmp_filled', '2020-01-01'::date, 1000, 0, 0, 0, 'x', now(),
              now() + interval '1 day', now() FROM purchase)
INSERT INTO voucher_movement (programme_id, transfer_id, voucher_id, authorisation_id, used_rupiah, packages_used)
SELECT $1, 'trf_' || id, 'vch_' || id, id, 1, 0 FROM purchase
"""


@dataclass
class Explained:
    """What the service sent, each with its plan."""

    plans: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    """(name, how many requests, the plan as it ran)"""

    def scans(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        for name, requests, plan in self.plans:
            yield from ((name, requests, node) for node in _nodes(plan) if node.get("Relation Name") in GROWING)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


@pytest.fixture
async def explained(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Explained]:
    """The books were filled behind the service's back, and never analysed."""
    await world.database.execute(_FILL, PROGRAMME, PURCHASES, world.card.beneficiary_id)
    url = world.settings.database_url
    assert url is not None
    beside = await connect_hot(world.settings, url.get_secret_value())
    seen, fetch = Explained(), asyncpg.Connection.fetch

    async def watched(connection: Any, query: str, *arguments: Any, **more: Any) -> Any:
        name = "facts" if query == FACTS else "record" if "still AS MATERIALIZED" in query else None
        if name is not None and connection is not beside:
            seen.plans.append((name, _requests(arguments), await _plan(beside, query, arguments)))
        return await fetch(connection, query, *arguments, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetch", watched)
    yield seen
    await beside.close()


async def _plan(connection: asyncpg.Connection, statement: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """As a prepared statement of the hot path runs: the plan does not know the arguments."""
    types = [each.name for each in (await connection.prepare(statement)).get_parameters()]
    quoted = ", ".join(f"quote_nullable(${place}::{kind}::text)" for place, kind in enumerate(types, start=1))
    literals = await connection.fetchrow(f"SELECT {quoted}", *arguments)
    assert literals is not None
    given = ", ".join(f"{literal}::{kind}" for literal, kind in zip(literals, types, strict=True))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"PREPARE hot({', '.join(types)}) AS {statement}")
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE hot({given})")
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE hot")
    found: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return found


def _requests(arguments: Sequence[Any]) -> int:
    return max(len(each) for each in arguments if isinstance(each, list | tuple))


async def a_day(world: World) -> None:
    """Every kind of request, so that every part of the record statement has rows."""
    await vouch(world, extra_amount=300_000, extra_packages=1)
    for key in ("first", "second", "third"):
        body = world.a_purchase(amount=300_000)
        sold = await world.sell(body, key)
        assert sold["decision"] == "approved", sold.raw
    assert sold["vouchers_used"]
    await world.capture(sold["id"], amount=100_000, final=False)
    await world.void(sold["id"])
    await world.refund(sold["id"], amount=1_000)
    await world.reverse(idempotency_key="first")
    await world.reverse(**by_stan(world.a_purchase()))
    late = world.a_purchase()
    await world.reverse(idempotency_key="late")
    await world.sell(late, "late")
    await world.authorise(card_number="9360000000000013")
    await world.balance()
    world.later(days=2)
    await world.authorise(amount=1_000)


async def test_the_hot_statements_touch_a_few_rows_each_and_find_them_by_an_index(
    world: World, explained: Explained
) -> None:
    await a_day(world)
    parts = {node["Subplan Name"].removeprefix("CTE ") for _, _, plan in explained.plans for node in _nodes(plan)
             if node.get("Subplan Name", "").startswith("CTE ")}  # fmt: skip
    assert set(PARTS) <= parts, set(PARTS) - parts
    for name, requests, node in explained.scans():
        if not node["Actual Loops"]:
            continue
        where = (name, node["Relation Name"], node["Node Type"], node.get("Index Name"), node.get("Index Cond"))
        assert "Index" in node["Node Type"] or node["Node Type"] in {"ModifyTable", "Bitmap Heap Scan"}, where
        touched = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        assert touched * node["Actual Loops"] <= ROWS_A_REQUEST * requests, (*where, touched, node["Actual Loops"])
    assert {node["Relation Name"] for _, _, node in explained.scans()} == GROWING


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
