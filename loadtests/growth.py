"""`make bench-scale`: whether the books may grow. The same sales on small and on large books, in turn, on one machine.

For each size a database is filled (`books.py`). Then, round by round, every size is asked for fresh approved purchases
of random cards of all families, and so is the empty endpoint: what the machine does to one it does to all. At the end
the books are checked, in full and from the last checkpoint. A run with another answer than a new approval, or whose
books are not in order, is void.
"""

import asyncio
import math
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path
from random import Random
from time import monotonic
from typing import Annotated, Final

import asyncpg
import typer

from authz_service.embedded import Servers, embedded_servers
from authz_service.ledger.audit import check, check_since, summary
from authz_service.serving import free_port
from loadtests.bars import AT_CONNECTIONS
from loadtests.books import PROGRAMME, SMALLEST, Books, Size, execute, fill, fitting, is_there, opened
from loadtests.counted import APPROVALS, astray, settled, since
from loadtests.ending import ends_in_order
from loadtests.families import url_of
from loadtests.growth_facts import Disk, disk_of, memory_of, servers_of, wal_position, written_whole
from loadtests.growth_report import Checked, Grown, GrowthRun, Round, console, show, write
from loadtests.machine import disturbances, generator, machine_facts
from loadtests.scene import empty_endpoint, service_of
from loadtests.shots import Shot, as_fast_as_it_answers
from loadtests.traffic import PERMITTED, Traffic
from loadtests.traffic import write as write_requests

RESULTS: Final = Path(__file__).parent / "results"
WARM_UP_SECONDS: Final = 3.0
REQUESTS_A_SECOND: Final = 9_000
"""So many are written for each second of a shot: more than any machine here answers, so that none is sent twice."""
COPIED_UP_TO: Final = 100_000
"""Books of so many families are copied for each round: else their families would soon have bought more than others."""
RECENT: Final = 2_000
"""So many authorisations are new for the check that goes on from a checkpoint; it begins a margin before them."""
LOADING: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""Of the server while the books are filled, and only then: it gets them at its start, so whoever starts it next, also
after a run that was killed, has a server that is durable."""
_SETTING: Final = re.compile(r"(?P<name>[a-z_]+)=(?P<value>.+)")
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


def finite(value: float) -> float:
    """A bound lets pass what has no end."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to count with.")
    return value


def main(
    *,
    sizes: Annotated[str, typer.Option(help="Families, ascending.")] = "10_000,1_000_000",
    purchases: Annotated[
        float, typer.Option(min=0, callback=finite, help="Past authorisations for each family, as the disk allows.")
    ] = 1.0,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=1, callback=finite, help="Of each measurement.")] = 10.0,
    keep_free_gb: Annotated[float, typer.Option(min=0, callback=finite, help="The disk keeps so much room.")] = 15.0,
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
    wanted, settings = sizes_of(sizes), settings_of(postgres)
    began_at, load_average = datetime.now(UTC), os.getloadavg()
    _begin(data_dir, settings)
    for families in wanted:
        _fill_unless_there(data_dir, families, purchases, int(keep_free_gb * 1e9))
    with embedded_servers(data_dir, settings=settings) as servers:
        addresses = {"database_url": servers.database_url, "redis_url": servers.redis_url}
        machine = asyncio.run(machine_facts(**addresses, load_average=load_average))
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
    run = GrowthRun(
        began_at=began_at,
        arguments={"sizes": wanted, "purchases": purchases, "rounds": rounds, "seconds": seconds, "postgres": settings},
        machine=machine,
        generator=generator(machine),
        disturbed=disturbances(load_average),
        sizes=grown,
        empty_endpoint=empty,
    )
    show(run)
    console.print(f"Raw results: {write(run, RESULTS)}", soft_wrap=True)
    if run.void:
        sys.exit(f"The run is void: {'; '.join(run.void)}.")


def sizes_of(text: str) -> list[int]:
    """Families, the fewest first."""
    try:
        sizes = [int(each) for each in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} are not numbers of families with commas between.") from None
    if sizes[0] < SMALLEST or any(larger <= smaller for smaller, larger in pairwise(sizes)):
        raise typer.BadParameter(f"{text!r} must ascend from {SMALLEST} families or more.")
    return sizes


def settings_of(text: str) -> dict[str, str]:
    """By name; whether PostgreSQL takes them, it says itself at its first start."""
    given = [_SETTING.fullmatch(each) for each in text.split(",")] if text else []
    if not all(given):
        raise typer.BadParameter(f"{text!r} is not name=value, with commas between.")
    return {each["name"]: each["value"] for each in given if each}


def _begin(data_dir: Path, settings: dict[str, str]) -> None:
    """PostgreSQL starts with these settings, which is known before anything is filled, and keeps none of another run.

    Runs of an earlier version wrote theirs into the cluster, and left them there when they were killed.
    """
    with embedded_servers(data_dir, settings=settings) as servers:
        asyncio.run(execute(servers.database_url, "ALTER SYSTEM RESET ALL"))
    os.sync()


def _fill_unless_there(data_dir: Path, families: int, purchases: float, kept_bytes: int) -> None:
    """The books of this size are there, from now or from an earlier run."""
    if is_there(data_dir, families):
        return _tell(f"{families:,} families: the books of an earlier run")
    with embedded_servers(data_dir, settings=LOADING) as servers:
        asked = Size(families=families, purchases=int(families * purchases))
        size = fitting(asked, data_dir, kept_bytes=kept_bytes)
        _tell(f"{families:,} families and {size.purchases:,} purchases, about {size.bytes_on_disk / 1e9:.1f} GB")
        fill(servers, size, data_dir, lambda what: _tell(f"{families:,}: {what}"))
    os.sync()  # What was written without fsync is on the disk before anything is measured.


def _measured(
    servers: Servers, all_books: Sequence[Books], data_dir: Path, *, rounds: int, seconds: float
) -> tuple[list[Round], list[Shot]]:
    """Every size in every round, and the empty endpoint."""
    measured, empty = [], []
    numbers = count(int(datetime.now(UTC).timestamp()) % 1_000_000_000 * 1_000_000)
    requests = data_dir / "requests"
    for number in range(rounds):
        for books in all_books:
            traffic = Traffic(
                cards=books.cards,
                tills=books.tills,
                chance=Random(number),  # noqa: S311 - the same in every run, and nothing hangs on it
                mark="growth",
                numbers=numbers,
            )
            write_requests(
                traffic.purchases(PERMITTED, int(WARM_UP_SECONDS * REQUESTS_A_SECOND)), requests.with_suffix(".warm")
            )
            write_requests(traffic.purchases(PERMITTED, int(seconds * REQUESTS_A_SECOND)), requests)
            measured.append(_sold(number + 1, servers, books, requests, data_dir, seconds))
            shot = measured[-1].shot
            _tell(
                f"round {number + 1}, {books.made.families:,} families: {shot.per_second:,.0f}/s,"
                f" p50 {shot.p50_us / 1000:.2f} ms, p99 {shot.p99_us / 1000:.2f} ms,"
                f" {shot.errors + measured[-1].astray} errors"
            )
        port = free_port()
        with empty_endpoint(port, data_dir / "empty.log"):
            as_fast_as_it_answers(requests, port, connections=AT_CONNECTIONS, seconds=1)
            empty.append(as_fast_as_it_answers(requests, port, connections=AT_CONNECTIONS, seconds=seconds / 2))
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


def _sold(number: int, servers: Servers, books: Books, requests: Path, data_dir: Path, seconds: float) -> Round:
    """A service of its own, warm, as busy as `AT_CONNECTIONS` can make it.

    A copy forces a checkpoint, and after one each page is written whole at its first change: so every size begins with
    a checkpoint, and all of them are measured as long after it.
    """
    url = _copied_anew(servers, books)
    asyncio.run(_read_ahead(url))
    asyncio.run(execute(url, "CHECKPOINT"))
    port = free_port()
    with service_of(servers, url, port, data_dir) as service:
        as_fast_as_it_answers(requests.with_suffix(".warm"), port, connections=AT_CONNECTIONS, seconds=WARM_UP_SECONDS)
        before, began_at = settled(service.metrics_url), asyncio.run(wal_position(url))
        shot = as_fast_as_it_answers(requests, port, connections=AT_CONNECTIONS, seconds=seconds)
        ended_at = asyncio.run(wal_position(url))
        added = since(before, settled(service.metrics_url))
        processes = {"service": [service.process.pid], **servers_of(os.getpid())}
        memory = {name: memory_of(each) for name, each in processes.items()}
    fpi, fpi_bytes = asyncio.run(written_whole(servers.database_url, began_at, ended_at))
    return Round(
        number=number,
        families=books.made.families,
        shot=shot,
        astray=astray(added, (APPROVALS,), answered=shot.requests - shot.errors),
        wal_bytes=ended_at - began_at,
        wal_fpi=fpi,
        wal_fpi_bytes=fpi_bytes,
        memory=memory,
    )


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
        new_since = await connection.fetchval(_RECENT, PROGRAMME, RECENT)
        began = monotonic()
        recent = await check_since(connection, PROGRAMME, now=now, since=new_since)
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


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()


def _tell(what: str) -> None:
    console.print(f"{datetime.now(UTC):%H:%M:%S} {what}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    with ends_in_order():
        typer.run(main)
