"""A measurement notices answers that are 2xx and not what was meant: whole shots, at a service that says so itself."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtests import measures
from loadtests.counted import APPROVALS, REPLAYS
from loadtests.families import Families
from loadtests.kinds import AUTHORISE, EMPTY, Streets
from loadtests.measures import Measure, Measuring
from loadtests.scene import Scene
from tests.test_bench_driver import a_till

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux says what a process costs")
DECLINES = 'authz_decisions_total{outcome="declined",reason="monthly_cap_exceeded"}'
AUTHORISED = 'authz_http_requests_total{call="authorise",status="201"}'


@contextmanager
def a_service(*, every_tenth: str) -> Iterator[int]:
    """Its port. Each request is answered 201; nine of ten it counts as approved, and the tenth as that."""
    counts, lock = Counter[str](), Lock()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                counts[AUTHORISED] += 1
                counts[every_tenth if counts[AUTHORISED] % 10 == 0 else APPROVALS] += 1
            self._say(201, b"{}")

        def do_GET(self) -> None:
            with lock:
                said = "".join(f"{name} {count}.0\n" for name, count in counts.items())
            self._say(200, said.encode())

        def log_message(self, *_: Any) -> None:
            pass

        def _say(self, status: int, body: bytes) -> None:
            head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """The driver closes its connections when the shot is over."""

    with Server(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the servers of a scene cost is looked up by this process."""
    monkeypatch.setattr(measures, "child_named", lambda _: os.getpid())


def measured(port: int, directory: Path, kind: Any) -> Measure:
    """A tenth of a second of it, with four connections."""
    this = SimpleNamespace(pid=os.getpid())
    families = Families(
        database_url="",
        cards=("9360000000000013",),
        spread=tuple(map(a_till, range(4))),
        busy=tuple(map(a_till, range(4, 8))),
    )
    service = SimpleNamespace(process=this, metrics_url=f"http://127.0.0.1:{port}/metrics")
    scene = SimpleNamespace(service=service, empty=this, families=families, service_port=port, empty_port=port)
    measuring = Measuring(cast("Scene", scene), Streets.of(families, "run"), directory, None)
    return measuring.measure(kind, number=1, connections=4, seconds=0.1)


@pytest.mark.parametrize("instead", [DECLINES, REPLAYS])
def test_a_decline_or_a_replay_among_approvals_is_astray(here: None, tmp_path: Path, instead: str) -> None:
    with a_service(every_tenth=instead) as port:
        measure = measured(port, tmp_path, AUTHORISE)
    assert measure.shot.errors == 0
    assert measure.shot.requests // 10 <= measure.astray <= measure.shot.requests // 10 + 1
    assert measure.errors == measure.astray > 0


def test_approvals_alone_are_what_was_meant(here: None, tmp_path: Path) -> None:
    with a_service(every_tenth=APPROVALS) as port:
        measure = measured(port, tmp_path, AUTHORISE)
    assert measure.shot.requests > 10
    assert measure.errors == 0


def test_nobody_counts_for_the_empty_endpoint(here: None, tmp_path: Path) -> None:
    with a_service(every_tenth=DECLINES) as port:
        assert measured(port, tmp_path, EMPTY).errors == 0
