"""A shop whose service explains what it sends to the database, in books that grow behind its back.

Before a hot statement runs, the service's own connection explains the very plan that it has for it, by running it, and
takes back what that wrote.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from authz_service.enrolment.sandbox import SandboxCard
from authz_service.ledger.statements import FACTS, PARTS
from authz_service.sweeping import _DUE, Sweeper
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME, Reply, World

PURCHASES: Final = 8_000
"""Of two a family: the smallest index has then several times the pages of the bound. In books half as large a plan may
still walk through a table, of a hundred pages; that one is not asked for here."""
PAGES_A_LOOKUP: Final = 16
"""Read in one loop for one key: three or four of an index (so deep it is with a hundred million rows), one of the table
for each of a family's few rows, and some for versions that are over: what is explained leaves its own behind."""
LOOPS_A_REQUEST: Final = 12
"""Of one place in a plan: each hold of a voucher is one."""
GROWING: Final = {
    *("request_key", "authorisation", "hold", "transfer", "allowance", "voucher", "voucher_movement"),
    *("wallet", "beneficiary", "card", "settlement_item"),
}
_FILL: Final = """
-- The past of families that do not shop here; whether it adds up does not matter to a plan.
WITH purchase AS MATERIALIZED (
       SELECT n, 'auth_filled' || n AS id, 'ben_filled' || n / 2 AS who, n % 2 AS held
         FROM generate_series($2::int, $3::int) n),
     family AS MATERIALIZED (
       SELECT who FROM purchase WHERE held = 0),
     families AS (
       INSERT INTO beneficiary
       SELECT $1, who, 'cmp_filled', '64.72.01', 'active', '2024-09-01', '\\x00', '\\x00', decode(md5(who), 'hex')
         FROM family),
     cards AS (
       INSERT INTO card
       SELECT $1, 'crd_' || who, who, decode(md5(who), 'hex'), 1, '0000', 'active', '2030-01-01' FROM family),
     wallets AS (
       INSERT INTO wallet SELECT $1, who, 1, 0, 0, 0 FROM family),
     keys AS (
       INSERT INTO request_key
       SELECT $1, 'trm_filled' || n % 27, decode(md5(n::text), 'hex'), 1, '\\x00', lpad(n::text, 6, '0'),
              '2024-10-01T00:00:00Z'::timestamptz + n * interval '1 second', id, 201, NULL, NULL, now()
         FROM purchase),
     decided AS (
       INSERT INTO authorisation
       SELECT $1, id, now(), 'mrc_filled', 'trm_filled', who, 'crd_filled', '2024-09-01', 'approved', 1000, 1000, 0,
              'req', '{}', '\\x00' FROM purchase),
     held AS (
       INSERT INTO hold
       SELECT $1, id, who, 'mrc_filled', '2024-09-01', CASE held WHEN 1 THEN 'held' ELSE 'captured' END, 1000,
              1000 * held, 1000 * (1 - held), 0, 0, '2024-09-01T00:00:00Z'::timestamptz + held * interval '1 year'
         FROM purchase),
     moved AS (
       INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id,
                             amount_rupiah, authorisation_id, created_at)
       SELECT $1, 'trf_' || id, 'hold', 'authorise', who, 'mrc_filled', 1000, id, now() FROM purchase),
     batched AS (
       INSERT INTO settlement_item SELECT $1, 'trf_' || id, 'set_filled', 'mrc_filled', 1000 FROM purchase),
     months AS (
       INSERT INTO allowance
       SELECT $1, who, '2024-09-01'::date + held * interval '1 month', NULL, NULL, 0, 0, 0, 0 FROM purchase),
     permitted AS (
       INSERT INTO voucher (programme_id, voucher_id, beneficiary_id, companion_id, month, extra_rupiah, extra_packages,
                            used_rupiah, packages_used, reason, created_at, expires_at, approved_at)
       SELECT $1, 'vch_' || id, who, 'cmp_filled', '2024-10-01'::date, 1000, 0, 0, 0, 'x', now(),
              now() + interval '1 day', now() FROM purchase)
INSERT INTO voucher_movement (programme_id, transfer_id, voucher_id, authorisation_id, used_rupiah, packages_used)
SELECT $1, 'trf_' || id, 'vch_' || id, id, 1, 0 FROM purchase
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One that was run: of `facts`, `record` or `due`, for so many requests of one kind."""

    statement: str
    asked_for: str
    requests: int
    kinds: tuple[str, ...]
    """Of PARTS, that a record wrote."""
    arguments: Sequence[Any]
    root: dict[str, Any]

    def scans(self) -> Iterator[dict[str, Any]]:
        """Of growing tables, and run at all. That of a bitmap has those of its indexes in it."""
        for node in _nodes(self.root):
            if node.get("Relation Name") in GROWING and node["Node Type"] != "ModifyTable" and node["Actual Loops"]:
                yield node

    def too_much(self) -> Iterator[tuple[tuple[str, str], str]]:
        """((statement, table), what is wrong)"""
        for node in self.scans():
            pages, loops = _pages(node), node["Actual Loops"]
            if pages > PAGES_A_LOOKUP * self._keys(node) * loops or loops > LOOPS_A_REQUEST * self.requests:
                where = (node["Relation Name"], node["Node Type"], node.get("Index Name"), node.get("Index Cond"))
                said = f"{self.asked_for} of {self.requests}: {pages} pages in {loops} loops, {where}"
                yield (self.statement, node["Relation Name"]), said

    def _keys(self, node: dict[str, Any]) -> int:
        """Looked up in one loop: one, unless the index is asked for each of an array."""
        if self.statement == "due":
            return self.requests
        arrays = re.findall(r"= ANY \(\$(\d+)\)", json.dumps([*_nodes(node)]))
        return max((len(set(self.arguments[int(place) - 1])) for place in arrays), default=1)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def _pages(node: dict[str, Any]) -> int:
    found: int = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    return found


@dataclass(slots=True, kw_only=True)
class Shop:
    """A till with one lane behind it; what its service sends to the database is explained first."""

    world: World
    plans: list[Plan] = field(default_factory=list)
    asked_for: str = ""
    """No name: nothing is explained."""
    requests: int = 1
    """In the batch that is served."""
    awaited: int = 1
    """So many must wait before the lane takes them."""
    harm: tuple[str, str] | None = None
    """To be done before a statement of that name is explained, and taken back with it."""
    families: Iterator[SandboxCard] = field(init=False)
    filled: int = 0

    def __post_init__(self) -> None:
        self.families = iter(self.world.tills.cards)

    async def fill(self) -> None:
        """As many purchases more; the office's connections are new ones, as they are to a statement after minutes."""
        await self.world.database.execute(_FILL, PROGRAMME, self.filled, self.filled + PURCHASES - 1)
        self.filled += PURCHASES
        running: Any = self.world.service._running  # type: ignore[union-attr]
        await running.pool.expire_connections()

    def has_served(self, batches: int) -> None:
        (lane,) = self.world.service._running.lanes  # type: ignore[union-attr]
        lane.batches = batches

    async def at_once(self, asked_for: str, *calls: Awaitable[Any], answered: tuple[int, ...] = (201,)) -> list[Reply]:
        """They are one batch, and are explained unless they have no name."""
        self.asked_for, self.requests, self.awaited = asked_for, len(calls), len(calls)
        replies = await asyncio.gather(*calls)
        self.asked_for = ""
        assert {reply.status for reply in replies} <= set(answered), (asked_for, [reply.raw for reply in replies])
        return replies

    async def sweep(self, asked_for: str, families: int, since: datetime) -> None:
        running: Any = self.world.service._running  # type: ignore[union-attr]
        (lane,) = running.lanes
        sweeper = Sweeper(
            settings=lane.settings, room=lane.room, pool=running.pool, clock=lane.clock, chance=os.urandom
        )
        self.asked_for, self.requests, self.awaited = asked_for, families, families
        assert await sweeper.sweep(ProgrammeId(PROGRAMME), since) > since
        self.asked_for = ""

    async def explain(self, connection: Any, query: str, arguments: Sequence[Any]) -> None:
        statement = {FACTS: "facts", _DUE: "due"}.get(query, "record" if "still AS MATERIALIZED" in query else "")
        if not statement or not self.asked_for:
            return
        if statement == "facts":
            self.requests = len(arguments[1])
        transaction = connection.transaction()
        await connection._get_statement(query, None)
        await transaction.start()
        try:
            if self.harm is not None and self.harm[0] == statement:
                await connection.execute(self.harm[1])
            root = await _explained(connection, query, arguments)
        finally:
            await transaction.rollback()
        kinds = tuple(kind for kind in PARTS if f"\n     {kind} AS (" in query)
        plan = Plan(
            statement=statement,
            asked_for=self.asked_for,
            requests=self.requests,
            kinds=kinds,
            arguments=arguments,
            root=root,
        )
        self.plans.append(plan)


async def _explained(connection: asyncpg.Connection, query: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """The plan that the connection has for it, or makes now because it has none."""
    name, types = await connection.fetchrow(  # type: ignore[misc]
        "SELECT name, parameter_types::text[] FROM pg_prepared_statements WHERE statement = $1", query
    )
    quoted = ", ".join(f"quote_nullable(${place}::{kind}::text)" for place, kind in enumerate(types, start=1))
    literals = await connection.fetchrow(f"SELECT {quoted}", *arguments)
    assert literals is not None
    given = ", ".join(f"{literal}::{kind}" for literal, kind in zip(literals, types, strict=True))
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}({given})")
    root: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return root
