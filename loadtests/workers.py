"""What a second worker is worth on this machine: sales a second with two workers and with one, turn by turn.

Both services run all the time, on one PostgreSQL that commits durably; only one has traffic at a time. The books are
checked at the end, and without them in order the figure is void. wrk sends; it needs a core of its own as well.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg
import orjson
from rich.console import Console
from rich.table import Table

from authz_service.database import migrate
from authz_service.embedded import embedded_servers
from authz_service.enrolment.enrol import enrol
from authz_service.enrolment.sandbox import SandboxTills
from authz_service.keys import Keys
from authz_service.ledger.audit import check
from authz_service.serving import free_port, served
from authz_service.settings import SANDBOX_ROOT_KEY

EDITION: Final = "samarinda-2024"
PROGRAMME: Final = "bench-workers"
CONNECTIONS: Final = 64
ROUNDS: Final = 3
SECONDS: Final = 8
SALES: Final = 60_000
"""Written beforehand for each turn; more than one turn can send."""
LINE_RUPIAH: Final = (500, 300, 200)
"""So small that no family's entitlement comes to its end; the basket has three lines as a usual one."""
LAST_DAY: Final = date(2099, 12, 31)
NO_LIMIT_OF_PACKAGES: Final = "UPDATE programme SET month_packages = NULL WHERE programme_id = $1"
RESULTS: Final = Path(__file__).with_name("results") / "workers.json"
_WRK: Final = """
local sales, n = {}, 0
function init(arguments)
  local file = io.open(arguments[1], "rb")
  while true do
    local length = file:read(8)
    if not length then break end
    sales[#sales + 1] = file:read(tonumber(length))
  end
end
function request()
  n = n % #sales + 1
  return sales[n]
end
function done(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    workers: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


def main() -> None:
    """The ratio is printed and kept in `loadtests/results/workers.json`."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed (on Debian and Ubuntu: apt install wrk).")
    console, load_before = Console(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="authz-workers-") as directory:
        turns = _turns(Path(directory), console)
    ratio = _rate(turns, 2) / _rate(turns, 1)
    _print(turns, console)
    console.print(
        f"Two workers do {ratio:.2f} times what one does: {os.cpu_count()} cores for the service, PostgreSQL, Valkey "
        f"and wrk together; load before the run {load_before:.1f}.",
        highlight=False,
    )
    RESULTS.parent.mkdir(exist_ok=True)
    facts = {"at": datetime.now(UTC), "cores": os.cpu_count(), "load_before": load_before, "connections": CONNECTIONS}
    document = {**facts, "seconds": SECONDS, "ratio": round(ratio, 3), "turns": [asdict(turn) for turn in turns]}
    RESULTS.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


def _turns(directory: Path, console: Console) -> list[Turn]:
    """One worker and two in turn, after a turn of each that does not count."""
    with embedded_servers(directory) as servers:
        migrate(servers.database_url)
        tills = asyncio.run(_enrolled(servers.database_url))
        script, numbers, turns = directory / "sales.lua", count(), list[Turn]()
        script.write_text(_WRK)
        ports = {workers: free_port() for workers in (1, 2)}
        addresses = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        own = {
            workers: {**addresses, "AUTHZ_WORKERS": str(workers), "AUTHZ_DATA_DIR": str(directory)} for workers in ports
        }
        log, limits = directory / "service.log", {"start_seconds": 60.0, "stop_seconds": 15.0}
        with served(own[1], ports[1], log, **limits), served(own[2], ports[2], log, **limits):
            for number in range(ROUNDS + 1):
                for workers, port in ports.items():
                    _write_sales(directory / "sales", tills, numbers)
                    turn = _turn(workers, port, script, directory / "sales", seconds=SECONDS if number else 2)
                    console.print(f"{workers} workers: {turn.rate:.0f}/s{'' if number else ' (to warm up)'}")
                    turns += [turn] if number else []
                # The plans that were made for empty tables are made anew, as autovacuum would have it in a minute.
                asyncio.run(_analysed(servers.database_url))
        asyncio.run(_require_books(servers.database_url))
    return turns


async def _enrolled(database_url: str) -> SandboxTills:
    connection = await asyncpg.connect(database_url)
    try:
        keys, now = Keys(SANDBOX_ROOT_KEY), datetime.now(UTC)
        done = await enrol(
            connection, keys, EDITION, seed=1, at=now, programme_id=PROGRAMME, always_open=True, ends_on=LAST_DAY
        )
        await connection.execute(NO_LIMIT_OF_PACKAGES, PROGRAMME)
    finally:
        await connection.close()
    return done.tills


async def _analysed(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _write_sales(path: Path, tills: SandboxTills, numbers: Iterator[int]) -> None:
    """Each family and each till in turn, so that no till has more waiting than it may."""
    with path.open("wb") as file:
        for number, _ in zip(numbers, range(SALES), strict=False):
            body = orjson.dumps(
                {
                    "card_number": tills.cards[number % len(tills.cards)].card_number,
                    "stan": f"{number % 1_000_000:06d}",
                    "terminal_time": "2024-12-01T09:15:00+08:00",
                    "amount": sum(LINE_RUPIAH),
                    "currency": "IDR",
                    "lines": [{"category": "ikan_kaleng", "amount": rupiah} for rupiah in LINE_RUPIAH],
                }
            )
            sale = (
                f"POST /v1/authorizations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer {tills.terminals[number % len(tills.terminals)].key}\r\n"
                f"Idempotency-Key: sale-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body
            file.write(b"%08d" % len(sale) + sale)


def _turn(workers: int, port: int, script: Path, sales: Path, *, seconds: int) -> Turn:
    options = f"-t1 -c{CONNECTIONS} -d{seconds}s --latency -s {script} http://127.0.0.1:{port} -- {sales}"
    said = subprocess.run(
        ["wrk", *options.split()],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    ).stdout
    came = orjson.loads(said.partition("RESULT ")[2].splitlines()[0])
    return Turn(
        workers=workers,
        rate=round(came["requests"] / came["microseconds"] * 1e6, 1),
        p50_ms=came["p50"] / 1000,
        p99_ms=came["p99"] / 1000,
        errors=came["errors"],
    )


async def _require_books(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        findings = await check(connection, PROGRAMME, now=datetime.now(UTC))
    finally:
        await connection.close()
    if any(finding.violations for finding in findings):
        sys.exit("The books are not right: the figures are void.")


def _rate(turns: list[Turn], workers: int) -> float:
    return median(turn.rate for turn in turns if turn.workers == workers)


def _print(turns: list[Turn], console: Console) -> None:
    table = Table(
        "workers", "sales/s", "p50 ms", "p99 ms", "errors", title=f"{CONNECTIONS} connections, {SECONDS} s each"
    )
    for turn in sorted(turns, key=lambda turn: turn.workers):
        table.add_row(
            str(turn.workers), f"{turn.rate:.0f}", f"{turn.p50_ms:.1f}", f"{turn.p99_ms:.1f}", str(turn.errors)
        )
    console.print(table)


if __name__ == "__main__":
    main()
