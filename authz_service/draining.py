"""How the service stops without a lost or doubled answer: one process, or several under a supervisor.

At the first SIGTERM or SIGINT readiness says 503, and every answer closes its connection. For `drain_seconds` requests
are still taken, so that a balancer can turn away. Then nobody listens any more, requests that are under way get their
answers, background work ends, and the exit code is 0. A second signal ends the drain, a third waits for nobody.

A worker does not count signals: the terminal's Ctrl-C and systemd's SIGTERM reach it beside the supervisor's. That the
supervisor was told twice, it passes on by SIGUSR1.
"""

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from socket import socket
from time import sleep
from types import FrameType
from typing import Final, Protocol

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.server import ServerState
from uvicorn.supervisors.multiprocess import Process

from authz_service import logs
from authz_service.clock import monotonic_seconds
from authz_service.settings import Settings

log = structlog.get_logger()
STOPS: Final = (signal.SIGTERM, signal.SIGINT)
SOONER: Final = signal.SIGUSR1
_LOOK_SECONDS: Final = 0.1


class Drains(Protocol):
    """The application."""

    def drain(self) -> None:
        """It is not ready from now on."""


class DrainingState(ServerState):
    """What connections know of their server: `whole.py` closes them while it drains."""

    is_draining = False


class Server(uvicorn.Server):
    """One process that serves."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self.server_state: DrainingState = DrainingState()
        self._settings = settings
        self._drained_at = float("inf")

    def run(self, sockets: list[socket] | None = None) -> None:
        """Served until it was told to stop, and everything has ended."""
        logs.own_the_process(self._settings.log_level)
        try:
            super().run(sockets)
        except Exception as fault:
            log.critical("process_failed", exc_info=fault)
            sys.exit(1)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours until it has ended; none is raised again: to have been told to stop is no failure."""
        ours = {**dict.fromkeys(STOPS, self.handle_exit), SOONER: self._end_sooner}
        before = {number: signal.signal(number, handler) for number, handler in ours.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Told to stop."""
        if not self.server_state.is_draining:
            self.server_state.is_draining = True
            self._drained_at = monotonic_seconds() + self._settings.drain_seconds
            if self.config.loaded:
                app: Drains = self.config.loaded_app
                app.drain()
        elif parent_process() is None:
            self._end_sooner(sig, frame)

    def _end_sooner(self, _: int, __: FrameType | None) -> None:
        self.server_state.is_draining = True
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if monotonic_seconds() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)


class Worker(Process):
    """A process of several."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket], settings: Settings) -> None:
        self._settings = settings
        self.has_answered = False
        super().__init__(config, sockets)

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config, self._settings)
        return self._server

    def tell(self, number: int) -> None:
        if self.exitcode is None and self.pid is not None:
            os.kill(self.pid, number)


class Supervisor:
    """Starts `workers` processes on one socket, replaces those that die or freeze, and stops them in order."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket], settings: Settings) -> None:
        self._config = config
        self._sockets = sockets
        self._settings = settings
        self._workers: list[Worker] = []
        self._told = 0

    def run(self) -> int:
        """The exit code, once all workers have ended."""
        with self._told_by_signals():
            self._workers = [self._born() for _ in range(self._settings.workers)]
            code = 0
            while not self._told and not code:
                sleep(_LOOK_SECONDS)
                code = self._look_after_them()
            return self._stop() or code

    @contextmanager
    def _told_by_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._count) for number in STOPS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count(self, _: int, __: FrameType | None) -> None:
        self._told += 1

    def _born(self) -> Worker:
        worker = Worker(self._config, self._sockets, self._settings)
        worker.start()
        return worker

    def _look_after_them(self) -> int:
        """Each one lives, or another stands in its place; 3 where no start would heal what is wrong."""
        for place, worker in enumerate(self._workers):
            if self._told or self._is_well(worker):
                continue
            worker.kill()
            worker.join()
            if worker.exitcode == STARTUP_FAILURE:
                log.error("worker_cannot_start", worker=worker.pid)
                return STARTUP_FAILURE
            log.warning("worker_replaced", worker=worker.pid, exit_code=worker.exitcode)
            self._workers[place] = self._born()
        return 0

    def _is_well(self, worker: Worker) -> bool:
        """It answers within `worker_silent_seconds`; a frozen one does not."""
        if worker.exitcode is not None:
            return False
        settings = self._settings
        limit_seconds = settings.worker_silent_seconds if worker.has_answered else settings.worker_start_seconds
        until = monotonic_seconds() + limit_seconds
        try:
            worker.parent_conn.send(b"ping")
            while monotonic_seconds() < until and not self._told and worker.exitcode is None:
                if worker.parent_conn.poll(_LOOK_SECONDS):
                    worker.parent_conn.recv()
                    worker.has_answered = True
                    return True
        except (OSError, EOFError, pickle.UnpicklingError):
            return False
        return bool(self._told)

    def _stop(self) -> int:
        """All have ended: in order, which is 0, or killed after `stop_seconds` or at the third signal, which is 1."""
        self._tell(signal.SIGTERM)
        until, passed_on = monotonic_seconds() + self._settings.stop_seconds, 1
        while any(worker.exitcode is None for worker in self._workers):
            if self._told > passed_on:
                passed_on = self._told
                self._tell(SOONER)
            if monotonic_seconds() >= until or self._told > len(STOPS):
                left = [worker for worker in self._workers if worker.exitcode is None]
                log.error("workers_killed", workers=[worker.pid for worker in left])
                for worker in left:
                    worker.process.kill()
                    worker.join()
                return 1
            sleep(_LOOK_SECONDS / 2)
        return 0

    def _tell(self, number: int) -> None:
        for worker in self._workers:
            worker.tell(number)
