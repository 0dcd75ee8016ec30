"""`make bench-scale`: whether the books may grow. The same sales on small and on large books, in turn, on one machine.

For each size a database is filled (`books.py`). Then, round by round, every size is asked for fresh approved purchases
of random cards of all families, and so is the empty endpoint: what the machine does to one it does to all. At the end
the books are checked, in full and from the last checkpoint. A run whose books are not in order is void.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic
from typing import Annotated, Final

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.table import Table

from authz_service.embedded import Servers, embedded_servers
from authz_service.ledger.audit import check, check_since, summary
from authz_service.serving import free_port, served
from loadtests.books import PROGRAMME, Books, Made, Size, execute, fill, fitting, is_there, opened
from loadtests.families import url_of
from loadtests.growth_facts import Disk, Memory, disk_of, machine, memory_of, servers_of
from loadtests.machine import POSTGRES_SETTINGS
from loadtests.scene import START_SECONDS, STOP_SECONDS, empty_endpoint
from loadtests.shots import Shot, as_fast_as_it_answers
from loadtests.traffic import PERMITTED, Traffic, write

RESULTS: Final = Path(__file__).parent / "results"
CONNECTIONS: Final = 64
WARM_UP_SECONDS: Final = 3.0
REQUESTS_A_SECOND: Final = 9_000
"""So many are written for each second of a shot: more than any machine here answers, so that none is sent twice."""
COPIED_UP_TO: Final = 100_000
"""Books of so many families are copied for each round: else their families would soon have bought more than others."""
RECENT: Final = 2_000
"""So many authorisations are new for the check that goes on from a checkpoint."""
QUIET_LOAD: Final = 0.5
"""A load average above it is somebody else's work on the same cores."""
LEAST_RATE: Final = 0.9
MOST_P99: Final = 1.3
LOADING: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""Of the server while the books are filled, and only then."""
_SOLD_FROM: Final = """
-- The files of whatever a sale looks up: the family, its card, wallet, months and holds, with their indexes.
SELECT current_setting('data_directory') || '/' || pg_relation_filepath(f.oid) AS file
  FROM pg_class c
 CROSS JOIN LATERAL (SELECT c.oid UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = c.oid) AS f(oid)
 WHERE c.relname IN ('card', 'beneficiary', 'wallet', 'allowance', 'hold') AND c.relnamespace = 'public'::regnamespace
"""
_RECENT: Final = """
-- When the last so many authorisations began.
SELECT created_at FROM authorisation WHERE programme_id = $1 ORDER BY authorisation_id DESC OFFSET $2 LIMIT 1
"""
_SETTINGS: Final = "SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name"
console = Console(width=140)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement of one size."""

    families: int
    shot: Shot
    wal_bytes: int
    """Written to PostgreSQL's log meanwhile: the first change of a page after a checkpoint writes the whole page."""
    memory: dict[str, Memory]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How long the books took to check."""

    full_seconds: float
    full: str
    recent_seconds: float
    recent: str
    recent_families: int
    recent_authorisations: int

    @property
    def in_order(self) -> bool:
        return self.full.startswith("The books are in order") and self.recent.startswith("The books are in order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """All that was measured at one size."""

    books: Made
    disk: Disk
    rounds: list[Round]
    checked: Checked

    @property
    def per_second(self) -> float:
        return median(each.shot.per_second for each in self.rounds)

    @property
    def p50_us(self) -> float:
        return median(each.shot.p50_us for each in self.rounds)

    @property
    def p99_us(self) -> float:
        return median(each.shot.p99_us for each in self.rounds)


def main(
    *,
    sizes: Annotated[str, typer.Option(help="Families, ascending.")] = "10_000,1_000_000",
    purchases: Annotated[float, typer.Option(help="Past authorisations for each family, as the disk allows.")] = 1.0,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 10.0,
    keep_free_gb: Annotated[float, typer.Option(help="The disk keeps so much room.")] = 15.0,
    data_dir: Annotated[Path, typer.Option(help="Where the books stand; they stay there for the next run.")] = Path(
        "var/growth"
    ),
    postgres: Annotated[
        str, typer.Option(help="Settings of PostgreSQL while it is measured: name=value, with commas between.")
    ] = "",
) -> None:
    """Grows the books and shows what it costs."""
    # An invariant of ten million families takes longer than an operator would wait for it.
    os.environ["AUTHZ_AUDIT_STATEMENT_TIMEOUT_MS"] = "7200000"
    wanted = [int(each) for each in sizes.split(",")]
    settings = dict(each.split("=", 1) for each in postgres.split(",") if each)
    data_dir.mkdir(parents=True, exist_ok=True)
    started = datetime.now(UTC)
    facts = machine()
    for families in wanted:
        _fill_unless_there(data_dir, families, purchases, int(keep_free_gb * 1e9))
    with _configured(data_dir, settings), embedded_servers(data_dir) as servers:
        facts["postgresql"] = asyncio.run(_settings_of(servers))
        all_books = [opened(servers, data_dir, families) for families in wanted]
        disks = [asyncio.run(_disk(books)) for books in all_books]
        measured, empty = _measured(servers, all_books, data_dir, rounds=rounds, seconds=seconds)
        grown = [
            Grown(
                books=books.made,
                disk=disk,
                rounds=[each for each in measured if each.families == books.made.families],
                checked=asyncio.run(_checked(_used(servers, books), books.made.families)),
            )
            for books, disk in zip(all_books, disks, strict=True)
        ]
    _show(grown, empty)
    disturbed = _disturbances(grown, facts["load_average"][0])
    for each in disturbed:
        console.print(f"✗ {each}: these figures are not to be quoted", soft_wrap=True)
    path = RESULTS / f"{started:%Y%m%dT%H%M%SZ}-growth.json"
    path.parent.mkdir(exist_ok=True)
    arguments = {"sizes": wanted, "purchases": purchases, "rounds": rounds, "seconds": seconds, "postgres": settings}
    path.write_bytes(
        orjson.dumps(
            {
                "started": started,
                "arguments": arguments,
                "machine": facts,
                "disturbed": disturbed,
                "sizes": [
                    {**asdict(each), "per_second": each.per_second, "p50_us": each.p50_us, "p99_us": each.p99_us}
                    for each in grown
                ],
                "empty_endpoint": [asdict(shot) for shot in empty],
            },
            option=orjson.OPT_INDENT_2,
        )
        + b"\n"
    )
    console.print(f"Raw results: {path}", soft_wrap=True)
    if not all(each.checked.in_order for each in grown):
        sys.exit("The books are not in order: the run is void.")


def _fill_unless_there(data_dir: Path, families: int, purchases: float, kept_bytes: int) -> None:
    """The books of this size are there, from now or from an earlier run."""
    if is_there(data_dir, families):
        return _tell(f"{families:,} families: the books of an earlier run")
    with embedded_servers(data_dir) as servers:
        asked = Size(families=families, purchases=int(families * purchases))
        size = fitting(asked, data_dir, kept_bytes=kept_bytes)
        _tell(f"{families:,} families and {size.purchases:,} purchases, about {size.bytes_on_disk / 1e9:.1f} GB")
        asyncio.run(_configure(servers, LOADING))
        try:
            fill(servers, size, data_dir, lambda what: _tell(f"{families:,}: {what}"))
        finally:
            asyncio.run(_configure(servers, dict.fromkeys(LOADING)))
        asyncio.run(execute(servers.database_url, "CHECKPOINT"))
        os.sync()  # What was written without fsync is on the disk before anything is measured.


@contextmanager
def _configured(data_dir: Path, settings: dict[str, str]) -> Iterator[None]:
    """PostgreSQL has these settings at its next starts."""
    if settings:
        with embedded_servers(data_dir) as servers:
            asyncio.run(_configure(servers, settings))
    try:
        yield
    finally:
        if settings:
            with embedded_servers(data_dir) as servers:
                asyncio.run(_configure(servers, dict.fromkeys(settings)))


def _measured(
    servers: Servers, all_books: Sequence[Books], data_dir: Path, *, rounds: int, seconds: float
) -> tuple[list[Round], list[Shot]]:
    """Every size in every round, and the empty endpoint."""
    measured, empty = [], []
    numbers = count(int(datetime.now(UTC).timestamp()) % 1_000_000_000 * 1_000_000)
    bank = data_dir / "requests.bank"
    for number in range(rounds):
        for books in all_books:
            traffic = Traffic(
                cards=books.cards,
                tills=books.tills,
                chance=Random(number),  # noqa: S311 - the same in every run, and nothing hangs on it
                mark="growth",
                numbers=numbers,
            )
            write(traffic.purchases(PERMITTED, int(WARM_UP_SECONDS * REQUESTS_A_SECOND)), bank.with_suffix(".warm"))
            write(traffic.purchases(PERMITTED, int(seconds * REQUESTS_A_SECOND)), bank)
            measured.append(_sold(_copied_anew(servers, books), servers, books, bank, data_dir, seconds))
            shot = measured[-1].shot
            _tell(
                f"round {number + 1}, {books.made.families:,} families: {shot.per_second:,.0f}/s,"
                f" p50 {shot.p50_us / 1000:.2f} ms, p99 {shot.p99_us / 1000:.2f} ms, {shot.errors} errors"
            )
        port = free_port()
        with empty_endpoint(port, data_dir / "empty.log"):
            as_fast_as_it_answers(bank, port, connections=CONNECTIONS, seconds=1)
            empty.append(as_fast_as_it_answers(bank, port, connections=CONNECTIONS, seconds=seconds / 2))
        _tell(f"round {number + 1}, the empty endpoint: {empty[-1].per_second:,.0f}/s")
    return measured, empty


def _used(servers: Servers, books: Books) -> str:
    """Where the sales of a round go: of small books to a copy, which is used up."""
    return url_of(servers, f"{books.name}_round") if books.made.families <= COPIED_UP_TO else books.database_url


def _copied_anew(servers: Servers, books: Books) -> str:
    if (url := _used(servers, books)) != books.database_url:
        copy = f"{books.name}_round"
        asyncio.run(execute(servers.database_url, f"DROP DATABASE IF EXISTS {copy} WITH (FORCE)"))
        asyncio.run(execute(servers.database_url, f"CREATE DATABASE {copy} TEMPLATE {books.name} STRATEGY FILE_COPY"))
    return url


def _sold(url: str, servers: Servers, books: Books, bank: Path, data_dir: Path, seconds: float) -> Round:
    """A service of its own, warm, as busy as 64 connections can make it."""
    asyncio.run(_read_ahead(url))
    port = free_port()
    addresses = {"DATABASE_URL": url, "REDIS_URL": servers.redis_url, "AUTHZ_WORKERS": "1"}
    log_file = data_dir / "service.log"
    with served(addresses, port, log_file, start_seconds=START_SECONDS, stop_seconds=STOP_SECONDS) as service:
        as_fast_as_it_answers(bank.with_suffix(".warm"), port, connections=CONNECTIONS, seconds=WARM_UP_SECONDS)
        before = asyncio.run(_wal_position(url))
        shot = as_fast_as_it_answers(bank, port, connections=CONNECTIONS, seconds=seconds)
        wal_bytes = asyncio.run(_wal_position(url)) - before
        processes = {"service": [service.process.pid], **servers_of(os.getpid())}
        memory = {name: memory_of(each) for name, each in processes.items()}
    return Round(families=books.made.families, shot=shot, wal_bytes=wal_bytes, memory=memory)


async def _wal_position(url: str) -> int:
    async with _connected(url) as connection:
        position: int = await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
    return position


async def _read_ahead(url: str) -> None:
    """What a sale reads is in the machine's memory as far as it fits, as after some days of trade."""
    async with _connected(url) as connection:
        files = [row["file"] for row in await connection.fetch(_SOLD_FROM)]
    for file in files:
        for segment in sorted(Path(file).parent.glob(f"{Path(file).name}*")):
            if segment.name.partition(".")[0] == Path(file).name:
                with suppress(PermissionError), segment.open("rb") as content:
                    while content.read(1 << 24):
                        pass


async def _checked(url: str, families: int) -> Checked:
    """What the last round left behind: in full, and then its last authorisations alone."""
    async with _connected(url) as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        began = monotonic()
        full = await check(connection, PROGRAMME, now=now)
        full_seconds = monotonic() - began
        _tell(f"{families:,} families: checked in full in {full_seconds:,.1f} s")
        since = await connection.fetchval(_RECENT, PROGRAMME, RECENT)
        began = monotonic()
        recent = await check_since(connection, PROGRAMME, now=now, since=since)
        recent_seconds = monotonic() - began
    _tell(f"{families:,} families: what is new in {recent_seconds:,.2f} s")
    return Checked(
        full_seconds=full_seconds,
        full=summary(full),
        recent_seconds=recent_seconds,
        recent=summary(recent.findings),
        recent_families=len(recent.recent.families),
        recent_authorisations=len(recent.recent.authorisations),
    )


async def _disk(books: Books) -> Disk:
    async with _connected(books.database_url) as connection:
        return await disk_of(connection)


async def _settings_of(servers: Servers) -> dict[str, str]:
    async with _connected(servers.database_url) as connection:
        rows = await connection.fetch(_SETTINGS, ["server_version", *POSTGRES_SETTINGS])
    return {row["name"]: row["value"] for row in rows}


async def _configure(servers: Servers, settings: Mapping[str, str | None]) -> None:
    """As the server is to have them; None is its own default. Some wait for its next start."""
    async with _connected(servers.database_url) as connection:
        for name, value in settings.items():
            if not name.replace("_", "").isalpha():
                raise ValueError(f"{name} is not the name of a setting")
            to = "DEFAULT" if value is None else await connection.fetchval("SELECT quote_literal($1::text)", value)
            await connection.execute(f"ALTER SYSTEM SET {name} = {to}")
        await connection.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()


def _show(grown: Sequence[Grown], empty: Sequence[Shot]) -> None:
    first, last = grown[0], grown[-1]
    table = Table(title="The same sales on books of these sizes", title_justify="left")
    for heading in ("", *(f"{each.books.families:,} families" for each in grown)):
        table.add_column(heading, justify="right" if heading else "left")
    for heading, shown in _ROWS.items():
        table.add_row(heading, *(shown(each) for each in grown))
    console.print(table)
    console.print(f"The empty endpoint meanwhile: {median(shot.per_second for shot in empty):,.0f}/s.")
    rate, p99 = last.per_second / first.per_second, last.p99_us / first.p99_us
    for what, ratio, kept, bound in (
        ("authorise keeps", rate, rate >= LEAST_RATE, f"at least {LEAST_RATE}"),
        ("p99 is", p99, p99 <= MOST_P99, f"at most {MOST_P99}"),
    ):
        console.print(f"{'✓' if kept else '✗'} {what} {ratio:.2f} x that of the smallest books ({bound})")


def _disturbances(grown: Sequence[Grown], load_average: float) -> list[str]:
    """Why the run says less than it seems to."""
    errors = sum(one.shot.errors for each in grown for one in each.rounds)
    found = [f"the load average was {load_average:.1f} when the run began"] if load_average > QUIET_LOAD else []
    return [*found, *([f"{errors} answers were not 2xx"] if errors else [])]


def _megabytes(kind: str) -> Callable[[Grown], str]:
    def shown(each: Grown) -> str:
        return f"{median(one.memory[kind].pss for one in each.rounds) / 1e6:,.0f} MB"

    return shown


_ROWS: Final[dict[str, Callable[[Grown], str]]] = {
    "past authorisations": lambda each: f"{each.disk.authorisations:,}",
    "authorise, per second": lambda each: f"{each.per_second:,.0f}",
    "p50": lambda each: f"{each.p50_us / 1000:.2f} ms",
    "p99": lambda each: f"{each.p99_us / 1000:.2f} ms",
    "not 2xx": lambda each: f"{sum(one.shot.errors for one in each.rounds)}",
    "log (WAL) an authorisation": lambda each: (
        f"{median(one.wal_bytes / one.shot.requests for one in each.rounds):,.0f} bytes"
    ),
    "bytes an authorisation": lambda each: f"{sum(each.disk.bytes_an_authorisation.values()):,.0f}",
    "on disk": lambda each: f"{each.disk.bytes_in_all / 1e9:,.2f} GB",
    "service (PSS)": _megabytes("service"),
    "PostgreSQL (PSS)": _megabytes("postgres"),
    "Valkey (PSS)": _megabytes("valkey"),
    "ledger check, in full": lambda each: f"{each.checked.full_seconds:,.1f} s",
    "ledger check, what is new": lambda each: f"{each.checked.recent_seconds:,.2f} s",
}


def _tell(what: str) -> None:
    console.print(f"{datetime.now(UTC):%H:%M:%S} {what}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    typer.run(main)
