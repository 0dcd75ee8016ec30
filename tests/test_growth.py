"""Books that are filled for a measurement are books: they are in order, and a check of what is new reads only that."""

from collections.abc import Iterator, Sequence
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
from loadtests.books import GROWN, PROGRAMME, Cards, DiskTooSmallError, Made, Size, card_number, fill, fitting, opened
from loadtests.growth_facts import OF_PURCHASES, Disk, Memory, wal_position, written_whole
from loadtests.growth_report import Checked, Grown, GrowthRun, Round, document, verdicts
from loadtests.shots import Shot
from tests.conftest import Cluster
from tests.test_migrations import CATALOG

FAMILIES = 6_000
PURCHASES = 9_000
"""More than there are families: some bought twice."""
IN_ORDER = "The books are in order: all 52 invariants hold."


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


def a_round(number: int, families: int, per_second: float, *, p99_us: float = 2000.0, astray: int = 0) -> Round:
    shot = Shot(requests=round(per_second), seconds=1.0, p50_us=1000.0, p99_us=p99_us, p999_us=3000.0, errors=0)
    memory = dict.fromkeys(("service", "postgres", "valkey"), Memory(processes=1, rss=2_000_000, pss=1_000_000))
    return Round(
        number=number,
        families=families,
        shot=shot,
        astray=astray,
        wal_bytes=4_000_000,
        wal_fpi=300,
        wal_fpi_bytes=900_000,
        memory=memory,
    )


def a_growth(*sizes: Sequence[Round], disturbed: Sequence[str] = (), summary: str = IN_ORDER) -> GrowthRun:
    """Each size by its rounds."""
    checked = Checked(
        full_seconds=1.0,
        full=summary,
        recent_seconds=0.5,
        recent=summary,
        recent_families=10,
        recent_authorisations=3_000,
    )
    by_table = dict.fromkeys(OF_PURCHASES, 800.0)
    return GrowthRun(
        began_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        arguments={"sizes": [rounds[0].families for rounds in sizes]},
        machine={"cores": 2},
        generator="loadtests/driver.py",
        disturbed=disturbed,
        sizes=[
            Grown(
                books=Made(families=rounds[0].families, purchases=100, fill_seconds=1.0),
                disk=Disk(tables=[], authorisations=100, bytes_an_authorisation=by_table),
                rounds=rounds,
                checked=checked,
            )
            for rounds in sizes
        ],
        empty_endpoint=[rounds[0].shot for rounds in sizes],
    )


def test_growth_is_judged_by_the_median_of_the_rounds_ratios() -> None:
    """By medians of the sizes it would be 700 of 1000; round by round the larger books kept 0,9."""
    small = [a_round(number, 10, rate) for number, rate in enumerate((1000.0, 500.0, 2000.0))]
    large = [a_round(number, 1000, rate) for number, rate in enumerate((900.0, 700.0, 600.0))]
    (rate, keeps), (p99, _) = verdicts(a_growth(small, large).sizes)
    assert (keeps, "0.900 x" in rate, "1.000 x" in p99) == (True, True, True)


def test_a_ratio_is_judged_as_it_is_printed() -> None:
    small = [a_round(1, 10, 1000.0, p99_us=1000.0)]
    large = [a_round(1, 1000, 899.0, p99_us=1301.0)]
    (rate, keeps), (p99, stays) = verdicts(a_growth(small, large).sizes)
    assert (keeps, stays) == (False, False)
    assert ("0.899" in rate, "1.301" in p99) == (True, True)


def test_a_growth_run_with_anything_but_new_approvals_is_void() -> None:
    run = a_growth([a_round(1, 10, 1000.0)], [a_round(1, 1000, 1000.0, astray=7)])
    assert run.void == ["7 answers were no new approvals"]
    assert document(run)["void"]


def test_a_growth_run_with_broken_books_is_void() -> None:
    run = a_growth([a_round(1, 10, 1000.0)], summary="One invariant is broken.")
    assert run.void == ["the books are not in order: 10 families"]


def test_a_disturbed_growth_run_says_so_in_its_file() -> None:
    run = a_growth([a_round(1, 10, 1000.0)], disturbed=["the load average was 3.0"])
    assert (document(run)["void"], document(run)["disturbed"]) == (False, ["the load average was 3.0"])
    assert a_growth([a_round(1, 10, 1000.0)]).marks == []


async def test_pages_that_are_written_whole_are_read_from_the_log(
    books: Connection, filled: tuple[Servers, str]
) -> None:
    """A new index is written whole, page by page; a table of a few rows is not."""
    servers, url = filled
    before = await wal_position(url)
    await books.execute("CREATE TABLE told (n int); INSERT INTO told VALUES (1)")
    between = await wal_position(url)
    await books.execute("CREATE INDEX told_key ON told (n)")
    after = await wal_position(url)
    await books.execute("DROP TABLE told")
    assert await written_whole(servers.database_url, before, between) == (0, 0)
    pages, in_bytes = await written_whole(servers.database_url, between, after)
    assert pages
    assert in_bytes
    assert pages < 10
    assert in_bytes < after - between
    assert await written_whole(servers.database_url, 1, 2) == (None, None)
