"""A benchmark that is told to end leaves nothing behind, and one that cannot begin says so in a sentence."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from authz_service.embedded import Servers, embedded_servers
from loadtests import growth
from loadtests.books import execute
from loadtests.shots import ShotMissedError, run_counted

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
    pytest.mark.timeout(120),
]
ROOT = Path(__file__).parent.parent
_DIFFER = """
SELECT name, setting FROM pg_settings
 WHERE name = ANY($1) AND (source = 'command line' OR sourcefile LIKE '%postgresql.auto.conf')
"""
ENDS_SECONDS = 75
"""A benchmark ends its servers, too; on a busy machine that takes its time."""
SENDING = ("from loadtests.shots import run_counted; run_counted(['sleep', '60'], 60)",)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a benchmark runs: the servers' user can enter it, and its temporary directory is `tmp` in it."""
    directory = Path(tempfile.mkdtemp(prefix="authz-test-", dir="/tmp"))
    directory.chmod(0o711)
    (directory / "tmp").mkdir(mode=0o711)
    monkeypatch.setenv("TMPDIR", str(directory / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory / "tmp"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("benchmark", "arguments", "directory", "until"),
    [
        ("guard", (), "guard", "driver"),
        ("bench", ("--quick",), "bench", "postgres"),
        ("workers", ("--quick",), "bench", "postgres"),
        ("growth", ("--sizes", "2_000,4_000"), "growth", "valkey"),
    ],
)
def test_a_benchmark_that_is_told_to_end_leaves_no_process_and_nothing_in_tmp(
    place: Path, benchmark: str, arguments: tuple[str, ...], directory: str, until: str
) -> None:
    with started(place, "-m", f"loadtests.{benchmark}", *arguments) as process:
        assert within(40, lambda: any(until in command(each) for each in below(process.pid))), said(place)
        assert within(20, (place / "var" / directory / "servers.json").exists), said(place)
        ours = below(process.pid)
        process.terminate()
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 128 + signal.SIGTERM, said(place)
    assert [command(each) for each in ours if is_alive(each)] == []
    assert list((place / "tmp").iterdir()) == []
    assert "Traceback" not in said(place)


def test_a_sender_ends_with_the_benchmark_that_is_killed(place: Path) -> None:
    with started(place, "-c", *SENDING) as process:
        assert within(10, lambda: [command(each) for each in below(process.pid)] == ["sleep 60"]), said(place)
        (sender,) = below(process.pid)
        process.kill()
        process.wait(10)
    assert within(5, lambda: not is_alive(sender))


def test_what_a_sender_says_and_how_it_ends_is_its_own() -> None:
    assert run_counted(["echo", "shot", "a b"], 5)[0] == "shot a b\n"
    with pytest.raises(ShotMissedError, match="no-such-sender cannot be started: No such file"):
        run_counted(["no-such-sender"], 5)
    with pytest.raises(ShotMissedError, match="ended with 7"):
        run_counted(["sh", "-c", "exit 7"], 5)


@pytest.mark.parametrize(
    ("benchmark", "directory"), [("guard", "guard"), ("bench", "bench"), ("workers", "bench"), ("growth", "growth")]
)
def test_a_directory_that_is_something_else_is_a_sentence(place: Path, benchmark: str, directory: str) -> None:
    (place / "var").mkdir()
    (place / "var" / directory).write_text("no directory")
    with started(place, "-m", f"loadtests.{benchmark}") as process:
        assert process.wait(ENDS_SECONDS) == 1, said(place)
    assert said(place).splitlines()[-1] == (f"Cannot write in {place}/var/{directory}: File exists.")
    assert "Traceback" not in said(place)


@pytest.mark.parametrize(
    ("arguments", "heard"),
    [
        *(
            (f"--sizes={sizes}", "must ascend from 351 families or more")
            for sizes in ("0", "-5", "350", "500,500", "600,500")
        ),
        *((f"--sizes={sizes}", "are not numbers of families") for sizes in ("abc", ",", "500,", "", "500;600")),
        *(
            (f"--{name}={value}", f"Invalid value for '--{name}'")
            for name in ("purchases", "seconds", "keep-free-gb", "rounds")
            for value in ("nan", "inf", "-1", "many")
        ),
        ("--seconds=0", "Invalid value for '--seconds'"),
        ("--rounds=0", "Invalid value for '--rounds'"),
        *(
            (f"--postgres={given}", "is not name=value")
            for given in ("xx", "=", "xx=", "=1", "a b=1", "a=1,,b=2", ";=1")
        ),
    ],
)
def test_what_growth_cannot_do_it_says_before_it_starts_anything(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, heard: str
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "300")
    command = typer.Typer(add_completion=False)
    command.command()(growth.main)
    result = CliRunner().invoke(command, [arguments])
    assert result.exit_code == 2, result.output
    assert heard in result.output
    assert not (place / "var").exists()


@pytest.mark.parametrize(
    ("given", "heard"),
    [
        ("shared_buffers=a_lot", "invalid value for parameter"),
        ("no_such_setting=1", "unrecognized configuration parameter"),
        ("max_wal_size=1kB", "outside the valid range"),
    ],
)
def test_settings_that_postgresql_refuses_are_a_sentence_and_leave_the_books_as_they_are(
    place: Path, given: str, heard: str
) -> None:
    with started(place, "-m", "loadtests.growth", "--postgres", given) as process:
        assert process.wait(ENDS_SECONDS) == 1, said(place)
    assert said(place).startswith("postgres did not start: ")
    assert heard in said(place)
    with embedded_servers(place / "var/growth") as servers:
        assert settings_that_differ(servers) == {}


def test_a_run_that_is_killed_while_it_fills_leaves_a_server_that_is_durable(place: Path) -> None:
    with started(place, "-m", "loadtests.growth", "--sizes", "200_000") as process:
        assert within(40, lambda: any("--fsync=off" in command(each) for each in below(process.pid))), said(place)
        process.kill()
        process.wait(10)
    with embedded_servers(place / "var/growth") as servers:
        assert settings_that_differ(servers) == {}


def test_what_a_killed_run_of_an_earlier_version_left_in_the_cluster_is_reset(place: Path) -> None:
    with embedded_servers(place / "growth") as servers:
        for name, value in growth.LOADING.items():
            asyncio.run(execute(servers.database_url, f"ALTER SYSTEM SET {name} = '{value}'"))
    growth._begin(place / "growth", {"wal_compression": "pglz"})
    with embedded_servers(place / "growth", settings={"wal_compression": "pglz", "port": "7"}) as servers:
        assert settings_that_differ(servers) == {"wal_compression": "pglz"}


def settings_that_differ(servers: Servers) -> dict[str, str]:
    """From what initdb wrote, of those that growth sets."""

    async def fetched() -> dict[str, str]:
        connection = await asyncpg.connect(servers.database_url)
        names = [*growth.LOADING, "shared_buffers", "wal_compression"]
        rows = await connection.fetch(_DIFFER, names)
        await connection.close()
        return {row["name"]: row["setting"] for row in rows}

    return asyncio.run(fetched())


def test_a_directory_that_another_process_uses_is_a_sentence(place: Path) -> None:
    with embedded_servers(place / "var/guard", durable=False), started(place, "-m", "loadtests.guard") as process:
        assert process.wait(ENDS_SECONDS) == 1, said(place)
    assert said(place).startswith(f"Another process (pid {os.getpid()}) is using {place}/var/guard")


def test_a_directory_of_another_postgresql_is_a_sentence(place: Path) -> None:
    with embedded_servers(place / "var/guard"):
        pass
    (place / "var/guard/postgres/PG_VERSION").write_text("9\n")
    with started(place, "-m", "loadtests.guard") as process:
        assert process.wait(ENDS_SECONDS) == 1, said(place)
    assert "was written by PostgreSQL 9" in said(place)
    assert "Traceback" not in said(place)


@contextmanager
def started(place: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Python with these arguments, in that directory; what it starts has ended after the block."""
    with (place / "said").open("wb") as file:
        process = subprocess.Popen([sys.executable, *arguments], cwd=place, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(place: Path) -> str:
    return (place / "said").read_text()


def within(seconds: float, is_true: Callable[[], bool]) -> bool:
    """Whether it became true in time."""
    until = monotonic() + seconds
    while not (answer := is_true()) and monotonic() < until:
        sleep(0.05)
    return answer


def below(pid: int) -> list[int]:
    """All that descend from the process."""
    children = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(each) for each in (task / "children").read_text().split()]
    return [*children, *(each for child in children for each in below(child))]


def command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie, which waits only for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
