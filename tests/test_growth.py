"""Books that are filled for a measurement are books: they are in order, and a check of what is new reads only that."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from authz_service.database import Connection
from authz_service.embedded import Servers, embedded_servers
from authz_service.ledger.audit import check, check_since, recent_statement
from authz_service.ledger.invariants import INVARIANTS
from authz_service.ledger.invariants.given import Reach, given_arguments
from authz_service.ledger.recent import read_recent
from loadtests.books import GROWN, PROGRAMME, Cards, DiskTooSmallError, Size, card_number, fill, fitting, opened
from tests.conftest import Cluster
from tests.test_migrations import CATALOG

FAMILIES = 6_000
PURCHASES = 9_000
"""More than there are families: some bought twice."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Servers, str]]:
    """Servers with filled books, and their address."""
    data_dir = tmp_path_factory.mktemp("filled")
    with embedded_servers(data_dir, durable=False) as servers:
        fill(servers, Size(families=FAMILIES, purchases=PURCHASES), data_dir, lambda _: None)
        yield servers, opened(servers, data_dir, FAMILIES).database_url


@pytest.fixture
async def books(filled: tuple[Servers, str]) -> Any:
    connection = await asyncpg.connect(filled[1])
    yield connection
    await connection.close()


async def test_filled_books_are_in_order(books: Connection) -> None:
    findings = await check(books, PROGRAMME, now=datetime.now(UTC))
    assert {finding.invariant.name: finding.examples for finding in findings if finding.violations} == {}
    assert await books.fetchval("SELECT count(*) FROM wallet") == FAMILIES
    assert await books.fetchval("SELECT count(*) FROM authorisation") == PURCHASES + 1


async def test_filling_leaves_every_index_and_guard_in_its_place(
    books: Connection, cluster: Cluster, database_url: str
) -> None:
    migrated = await asyncpg.connect(database_url)
    for name, query in CATALOG.items():
        lines = [sorted(str(tuple(row)) for row in await each.fetch(query)) for each in (books, migrated)]
        assert lines[0] == lines[1], name
    await migrated.close()


async def test_a_filled_purchase_is_as_large_as_one_of_the_service(books: Connection) -> None:
    """What counts on the disk: the row, the answer beside it, and how well it was compressed."""
    rows = await books.fetch(
        "SELECT pg_column_size(a.*) AS row, pg_column_size(answer) AS answer, length(answer) AS said,"
        " pg_column_size(journal) AS journal, pg_column_toast_chunk_id(answer) IS NULL AS inline,"
        " authorisation_id = (SELECT max(authorisation_id) FROM authorisation) AS is_the_pattern FROM authorisation a"
    )
    (pattern,) = [row for row in rows if row["is_the_pattern"]]
    for name in ("row", "answer", "said", "journal"):
        sizes = [row[name] for row in rows]
        assert pattern[name] * 0.97 < min(sizes) <= max(sizes) < pattern[name] * 1.03, name
    assert {row["inline"] for row in rows} == {pattern["inline"]}


async def test_a_check_of_what_is_new_reads_no_table_that_grows_from_end_to_end(books: Connection) -> None:
    last_hundred = await books.fetchval(
        "SELECT created_at FROM authorisation ORDER BY authorisation_id DESC OFFSET 100 LIMIT 1"
    )
    await books.execute("BEGIN; SET LOCAL enable_nestloop = off")
    recent = await read_recent(books, PROGRAMME, last_hundred)
    assert 90 < len(recent.authorisations) < 400
    arguments = (PROGRAMME, datetime.now(UTC), *given_arguments(), *recent.arguments())
    for invariant in INVARIANTS:
        if invariant.reach is not Reach.PROGRAMME:
            plan = orjson.loads(
                await books.fetchval(f"EXPLAIN (FORMAT JSON) {recent_statement(invariant)}", *arguments)
            )
            read = {node["Relation Name"] for node in _nodes(plan[0]["Plan"]) if node["Node Type"] == "Seq Scan"}
            # The index on the time of request keys knows only which megabyte: here there are two.
            assert not read & set(GROWN) - {"request_key"}, (invariant.name, read)
    await books.execute("ROLLBACK")


async def test_a_check_of_what_is_new_costs_as_much_as_is_new(books: Connection) -> None:
    """Blocks that it looked at, whether they were in memory or not."""
    now = datetime.now(UTC)
    at = await books.fetch("SELECT created_at FROM authorisation ORDER BY authorisation_id DESC LIMIT 401")
    few, many = at[20]["created_at"], at[400]["created_at"]

    async def read_by(since: datetime) -> int:
        before = await books.fetchval(_BLOCKS)
        await check_since(books, PROGRAMME, now=now, since=since)
        await books.execute("SELECT pg_stat_force_next_flush()")
        read: int = await books.fetchval(_BLOCKS) - before
        return read

    assert await read_by(few) * 2 < await read_by(many)


_BLOCKS = """
SELECT sum(heap_blks_read + heap_blks_hit)::bigint FROM pg_statio_user_tables
"""


def test_every_card_has_a_number_of_its_own() -> None:
    cards = Cards(1_000)
    assert len({cards[n] for n in range(1_000)}) == len(cards) == 1_000
    assert cards[7] == card_number(7)
    with pytest.raises(IndexError):
        cards[1_000]


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DiskTooSmallError, match=r"need about .* GB; .* GB are free, of which 15 GB are to stay free"):
        fitting(Size(families=10**12, purchases=10**12), tmp_path, kept_bytes=15 * 10**9)
    asked = Size(families=10, purchases=10**12)
    assert 0 < fitting(asked, tmp_path, kept_bytes=0).purchases < 10**12


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
