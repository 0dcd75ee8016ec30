"""What a benchmark needs around it: durable servers, a programme of many families, the service, the empty endpoint."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Final

from authz_service.clock import monotonic_seconds
from authz_service.embedded import Servers, embedded_servers
from authz_service.enrolment.edition import PROGRAMMES_FOLDER
from authz_service.serving import NotServedError, Served, free_port, served
from loadtests.families import Families, fresh_books

EDITION: Final = "samarinda-2024"
SHOPS: Final = 512
"""The first half sells at a till of its own each; the tills of the other half are given to one busy shop."""
NO_END_RUPIAH: Final = 10_000_000_000
"""Of each family: a run must never meet a limit that it does not mean to meet, not even with one card."""
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that runs; the processes are those whose work is counted."""

    servers: Servers
    families: Families
    service: Served
    service_port: int
    empty: "subprocess.Popen[bytes]"
    empty_port: int


@contextmanager
def scene(data_dir: Path, families: int) -> Iterator[Scene]:
    """PostgreSQL commits durably, the books are new and of so many families, both endpoints answer."""
    with embedded_servers(data_dir) as servers:
        edition = bench_edition(data_dir, families)
        books = asyncio.run(fresh_books(servers, edition, data_dir))
        service_port, empty_port = free_port(), free_port()
        with (
            empty_endpoint(empty_port, data_dir / "empty.log") as empty,
            service_of(servers, books.database_url, service_port, data_dir) as service,
        ):
            yield Scene(
                servers=servers,
                families=books,
                service=service,
                service_port=service_port,
                empty=empty,
                empty_port=empty_port,
            )


@contextmanager
def service_of(servers: Servers, database_url: str, port: int, data_dir: Path, *, workers: int = 1) -> Iterator[Served]:
    """`authz serve` is ready on these books."""
    own = {"DATABASE_URL": database_url, "REDIS_URL": servers.redis_url, "AUTHZ_WORKERS": str(workers)}
    environment = {**own, "AUTHZ_DATA_DIR": str(data_dir)}
    log_file = data_dir / "service.log"
    with served(environment, port, log_file, start_seconds=START_SECONDS, stop_seconds=STOP_SECONDS) as service:
        yield service


def bench_edition(folder: Path, families: int) -> Path:
    """Samarinda's edition with so many families, many shops, and limits that no run reaches; every rule is asked."""
    target = folder / "bench"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(PROGRAMMES_FOLDER / EDITION, target)
    terms = (target / "programme.toml").read_text(encoding="utf-8")
    for name, value in (
        ("families", families),
        ("funding_rupiah", families * NO_END_RUPIAH),
        ("entitlement_rupiah", NO_END_RUPIAH),
        ("month_cap_rupiah", NO_END_RUPIAH),
        ("month_packages", 1_000_000),
        ("starts_on", "2024-10-01"),
        ("ends_on", "2099-12-31"),
    ):
        terms, found = re.subn(rf"^{name} = .*$", f"{name} = {value}", terms, flags=re.MULTILINE)
        if found != 1:
            raise NotServedError(f"The edition {EDITION} does not say {name} once.")
    # No cut-off: a batch with all sales of a run must not be closed in the middle of a measurement.
    terms = terms.partition("[settlement]")[0]
    (target / "programme.toml").write_text(terms, encoding="utf-8")
    districts = (target / "kecamatan.csv").read_text(encoding="utf-8").splitlines()
    each, rest = divmod(families, len(districts) - 1)
    rows = [f"{row.rpartition(',')[0]},{each + (number < rest)}" for number, row in enumerate(districts[1:])]
    _write_table(target / "kecamatan.csv", districts[0], rows)
    codes = [row.partition(",")[0] for row in rows]
    shops = [f"KUBE {number:03d},{codes[number % len(codes)]},07:00,21:00,synthetic" for number in range(SHOPS)]
    _write_table(target / "merchants.csv", "name,kecamatan,opens_at,closes_at,source", shops)
    return target


def _write_table(path: Path, heading: str, rows: list[str]) -> None:
    path.write_text("\n".join([heading, *rows]) + "\n", encoding="utf-8")


@contextmanager
def empty_endpoint(port: int, log_file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The empty endpoint listens, in a process of its own."""
    command = [sys.executable, "-m", "loadtests.empty_endpoint", str(port), str(os.getpid())]
    with (
        log_file.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            until = monotonic_seconds() + START_SECONDS
            while not _listens(port):
                if process.poll() is not None or monotonic_seconds() > until:
                    raise NotServedError(f"The empty endpoint does not listen: see {log_file}.")
                sleep(0.05)
            yield process
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
