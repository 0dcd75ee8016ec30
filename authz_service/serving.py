"""How the service is put under uvicorn, in production as in the demo: the same command, the same options."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from math import ceil
from multiprocessing import parent_process
from pathlib import Path
from time import sleep
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from authz_service import logs
from authz_service.clock import monotonic_seconds
from authz_service.draining import Server, Supervisor
from authz_service.exposition import METRICS_VARIABLE
from authz_service.metrics_port import address, metrics_served
from authz_service.settings import Settings

_PR_SET_PDEATHSIG: Final = 1
HTTP: Final = "authz_service.api.whole:WholeRequests"


class NotServedError(RuntimeError):
    """The service did not come up; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A service in a process of its own."""

    base_url: str
    metrics_url: str
    process: "subprocess.Popen[bytes]"
    log_file: Path

    def require_alive(self) -> None:
        """NotServedError, if it has ended."""
        if self.process.poll() is not None:
            raise NotServedError(f"The service ended with exit code {self.process.returncode}: see {self.log_file}.")


def serve(settings: Settings) -> None:
    """Serves until it is told to stop."""
    logs.configure()
    if settings.workers > 1:
        # Named by the address: two instances of one machine may share a directory, but neither's counts.
        _count_together(settings.data_dir / f"metrics-{settings.host.replace(':', '-')}-{settings.port}")
    logs.own_the_process(settings.log_level)
    config = uvicorn.Config(
        "authz_service.serving:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        **uvicorn_options(settings),
    )
    with _metrics_served(settings):
        if settings.workers > 1:
            code = Supervisor(config, [config.bind_socket()], settings).run()
        else:
            server = Server(config, settings)
            server.run()
            code = 0 if server.started else STARTUP_FAILURE
    if code:
        sys.exit(code)


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """Whatever is served is served so; the benchmark's empty endpoint, too, but for `http`."""
    return {
        "loop": "uvloop",
        "http": HTTP,
        "ws": "none",
        "log_config": None,  # logs.py writes all that the process writes
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": ceil(settings.shutdown_seconds),
    }


def create_app() -> ASGIApp:
    """What each process serves; a worker ends with its supervisor, in whatever way that ends."""
    from authz_service import main  # noqa: PLC0415  (the commands need none of it)

    if (supervisor := parent_process()) is not None and supervisor.pid is not None:
        end_with(supervisor.pid)
    return main.create_app()


@contextmanager
def served(
    environment: Mapping[str, str], port: int, log_file: Path, *, start_seconds: float, stop_seconds: float
) -> Iterator["Served"]:
    """`authz serve` runs in a process of its own, logs to `log_file`, is ready, and ends with the block. Its metrics
    are on the port that the environment names, or else on a free one."""
    metrics_port = int(environment.get("AUTHZ_METRICS_PORT") or another_free_port(port))
    own = {"AUTHZ_PORT": str(port), "AUTHZ_HOST": "127.0.0.1", "AUTHZ_METRICS_PORT": str(metrics_port)}
    own |= {"AUTHZ_METRICS_HOST": "127.0.0.1"}
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, "-m", "authz_service.cli", "serve", "--sandbox", "--parent", str(os.getpid())],
            env={**os.environ, **environment, **own},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, who stop it in order
        )
    try:
        _wait_until_ready(process, port, start_seconds, log_file)
        yield Served(
            base_url=f"http://127.0.0.1:{port}",
            metrics_url=address("127.0.0.1", metrics_port),
            process=process,
            log_file=log_file,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_with(parent: int) -> None:
    """This process is told to end when `parent`, which started it, ends in whatever way (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended")


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def another_free_port(taken: int) -> int:
    """A free one that is not `taken`, which its owner may not have bound yet."""
    while (port := free_port()) == taken:
        pass
    return port


def require_free_ports(settings: Settings) -> None:
    """Nobody listens yet where tills and Prometheus will ask; NotServedError otherwise."""
    require_free_port(settings.host, settings.port)
    if settings.metrics_port:
        require_free_port(settings.metrics_host, settings.metrics_port, variable="AUTHZ_METRICS_PORT")


def require_free_port(host: str, port: int, *, variable: str = "AUTHZ_PORT") -> None:
    """Nobody listens there yet; NotServedError otherwise."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NotServedError(f"Port {port} of {host} is taken ({error.strerror}): set {variable}.") from error


@contextmanager
def _metrics_served(settings: Settings) -> Iterator[None]:
    with ExitStack() as stack:
        if settings.metrics_port:
            try:
                stack.enter_context(metrics_served(settings.metrics_host, settings.metrics_port))
            except OSError as error:
                raise NotServedError(
                    f"Port {settings.metrics_port} of {settings.metrics_host} cannot be had for metrics"
                    f" ({error.strerror}): set AUTHZ_METRICS_HOST or AUTHZ_METRICS_PORT."
                ) from error
        yield


def _count_together(directory: Path) -> None:
    """Workers add up their counts in files; what an earlier run left is not counted again."""
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise NotServedError(f"The workers' counts cannot be kept in {directory}: {error.strerror}.") from None
    os.environ[METRICS_VARIABLE] = str(directory)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, limit_seconds: float, log_file: Path) -> None:
    until = monotonic_seconds() + limit_seconds
    while monotonic_seconds() < until:
        if process.poll() is not None:
            raise NotServedError(
                f"The service ended with exit code {process.returncode} before it was ready: see {log_file}."
            )
        if _is_ready(port):
            return
        sleep(0.05)
    raise NotServedError(f"The service was not ready within {limit_seconds:.0f} seconds: see {log_file}.")


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
