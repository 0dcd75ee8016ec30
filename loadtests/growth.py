"""`make bench-scale`: whether the books may grow. The same sales on small and on large books, in turn, on one machine.

For each size a database is filled (`books.py`). Then, round by round, every size is asked for fresh approved purchases
of random cards of all families, and so is the empty endpoint: what the machine does to one it does to all. At the end
the books are checked, in full and from the last checkpoint. A run whose books are not in order is void.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic
from typing import Annotated, Any, Final

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.table import Table

from authz_service.clock import monotonic_seconds
from authz_service.database import Connection
from authz_service.embedded import Servers, embedded_servers
from authz_service.ledger.audit import check, check_since, summary
from authz_service.serving import free_port, served
from loadtests.books import PROGRAMME, Books, Size, fill, fitting, opened
from loadtests.families import url_of
from loadtests.growth_facts import Disk, Memory, disk_of, machine, memory_of, servers_of
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
LEAST_RATE: Final = 0.9
MOST_P99: Final = 1.3
LOADING: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""Of the server while the books are filled, and only then."""
console = Console(width=140)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement of one size."""

    families: int
    shot: Shot
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

    size: Size
    fill_seconds: float | None
    """None where the books of an earlier run were there already."""
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
    filled = [_filled(data_dir, families, purchases, int(keep_free_gb * 1e9)) for families in wanted]
    with _configured(data_dir, settings), embedded_servers(data_dir) as servers:
        all_books = [books for books, _ in filled]
        measured, empty = _measured(servers, all_books, data_dir, rounds=rounds, seconds=seconds)
        grown = [
            Grown(
                size=books.size,
                fill_seconds=fill_seconds,
                disk=asyncio.run(_disk(books)),
                rounds=[each for each in measured if each.families == books.size.families],
                checked=asyncio.run(_checked(books)),
            )
            for books, fill_seconds in filled
        ]
        facts["postgresql"] = asyncio.run(_settings_of(servers))
    _show(grown, empty)
    path = RESULTS / f"{started:%Y%m%dT%H%M%SZ}-growth.json"
    path.parent.mkdir(exist_ok=True)
    arguments = {"sizes": wanted, "purchases": purchases, "rounds": rounds, "seconds": seconds, "postgres": settings}
    path.write_bytes(
        orjson.dumps(
            {
                "started": started,
                "arguments": arguments,
                "machine": facts,
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


def _filled(data_dir: Path, families: int, purchases: float, kept_bytes: int) -> tuple[Books, float | None]:
    """The books of this size, made now if no earlier run has left them."""
    name = f"growth_{families}"
    with embedded_servers(data_dir) as servers:
        if (books := asyncio.run(opened(url_of(servers, name)))) is not None:
            _tell(f"{families:,} families: the books of an earlier run")
            return books, None
        asked = Size(families=families, purchases=int(families * purchases))
        size = fitting(asked, data_dir, kept_bytes=kept_bytes)
        unfinished = f"{name}_unfinished"
        asyncio.run(_execute(servers.database_url, f"DROP DATABASE IF EXISTS {unfinished}"))
        asyncio.run(_execute(servers.database_url, f"CREATE DATABASE {unfinished}"))
        asyncio.run(_configure(servers, LOADING))
        began = monotonic()
        try:
            books = fill(
                url_of(servers, unfinished), servers.redis_url, size, data_dir, lambda what: _tell(f"{families:,}: {what}")
            )
        finally:
            asyncio.run(_configure(servers, dict.fromkeys(LOADING)))
        asyncio.run(_execute(servers.database_url, f"ALTER DATABASE {unfinished} RENAME TO {name}"))
        asyncio.run(_execute(servers.database_url, "CHECKPOINT"))
        os.sync()  # What was written without fsync is on the disk before anything is measured.
        return Books(**{**_fields(books), "database_url": url_of(servers, name)}), monotonic() - began


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
    bank = data_dir / "requests"
    for number in range(rounds):
        for books in all_books:
            traffic = Traffic(
                cards=books.cards, tills=books.tills, chance=Random(number), mark="growth", numbers=numbers  # noqa: S311
            )
            write(traffic.purchases(PERMITTED, int((seconds + WARM_UP_SECONDS) * REQUESTS_A_SECOND)), bank)
            with _own_copy(servers, books) as url:
                measured.append(_sold(servers, books, url, bank, data_dir, seconds))
            shot = measured[-1].shot
            _tell(
                f"round {number + 1}, {books.size.families:,} families: {shot.per_second:,.0f}/s,"
                f" p50 {shot.p50_us / 1000:.2f} ms, p99 {shot.p99_us / 1000:.2f} ms, {shot.errors} errors"
            )
        port = free_port()
        with empty_endpoint(port, data_dir / "empty.log"):
            as_fast_as_it_answers(bank, port, connections=CONNECTIONS, seconds=1)
            empty.append(as_fast_as_it_answers(bank, port, connections=CONNECTIONS, seconds=seconds / 2))
        _tell(f"round {number + 1}, the empty endpoint: {empty[-1].per_second:,.0f}/s")
    return measured, empty
