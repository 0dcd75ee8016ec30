"""The floor of the database: pgbench's TPC-B on the same server, in a database of its own."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from authz_service.embedded import Servers
from loadtests.shots import Shot, run_counted, shot_of

SCALE: Final = 10
"""A million accounts, 150 MB with their index: a little more than the shared buffers' 128 MB, the rest of it in the
machine's memory. What is read so often stays in the buffers, so this is near TPC-B's best."""
DATABASE: Final = "tpcb"
MICROSECONDS_FIELD: Final = 2
NOT_DONE: Final = {"failed", "skipped"}
"""What the log has in a latency's place; `failed` counts them from what pgbench says."""
PREPARE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class TpcB:
    """pgbench, and where it finds the server; `logs` is a directory for what it writes."""

    servers: Servers
    logs: Path

    def prepare(self) -> None:
        """A new database of that scale, and an earlier one is gone."""
        self._run("psql", "-q", "-d", "authz", "-c", f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        self._run("psql", "-q", "-d", "authz", "-c", f"CREATE DATABASE {DATABASE}")
        self._run("pgbench", "-i", "-q", "-s", str(SCALE), DATABASE)

    def shot(self, *, clients: int, seconds: float, per_second: float | None = None) -> Shot:
        """At a rate its latencies count from the moment at which a transaction was due, as pgbench defines it."""
        for old in self.logs.glob("tpcb.*"):
            old.unlink()
        command = [*self._command("pgbench"), "-n", "-M", "prepared", "-j", "1", "-c", str(clients)]
        command += ["-T", str(max(1, round(seconds))), "-l", f"--log-prefix={self.logs / 'tpcb'}"]
        command += [f"--rate={per_second}"] if per_second else []
        said, cpu_seconds = run_counted([*command, DATABASE], seconds)
        latencies = [each for log in self.logs.glob("tpcb.*") for each in latencies_us(log)]
        return shot_of(
            latencies, seconds=len(latencies) / tps(said), errors=failed(said), generator_cpu_seconds=cpu_seconds
        )

    def _command(self, program: str) -> list[str]:
        socket = parse_qs(urlsplit(self.servers.database_url).query)["host"][0]
        return [str(self.servers.postgres_bin / program), "-h", socket, "-U", "authz"]

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([*self._command(program), *arguments], check=True, capture_output=True, timeout=PREPARE_SECONDS)


def latencies_us(log: Path) -> Iterator[float]:
    """Of the transactions that were done."""
    for line in log.read_text(encoding="ascii").splitlines():
        if (latency := line.split()[MICROSECONDS_FIELD]) not in NOT_DONE:
            yield float(latency)


def tps(said: str) -> float:
    """Transactions a second, without the time that connecting took."""
    line = next(line for line in said.splitlines() if line.startswith("tps = "))
    return float(line.split()[2])


def failed(said: str) -> int:
    line = next(line for line in said.splitlines() if line.startswith("number of failed transactions:"))
    return int(line.split()[4])
