"""The port that Prometheus scrapes, apart from the tills': what a programme's money does is nobody's at a counter.

A thread of the process that was started: it alone, or the supervisor of several workers, which reads what they count.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

import structlog

from authz_service.exposition import exposition

PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SOCKET_SECONDS: Final = 10.0
"""Whoever says nothing for so long has gone; Prometheus itself waits as long for the whole answer."""
_STOPS_WITHIN_SECONDS: Final = 0.05
"""So often its thread looks whether it is to end: whoever ends the process waits for it."""
log = structlog.get_logger()


@contextmanager
def metrics_served(host: str, port: int) -> Iterator[str]:
    """The address that is scraped, on a free port where it is 0; OSError where somebody else has it."""
    server = _Server((host, port), _Scrape)
    thread = Thread(target=server.serve_forever, args=(_STOPS_WITHIN_SECONDS,), name="metrics", daemon=True)
    thread.start()
    try:
        yield address(host, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, place: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        super().__init__(place, handler)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  (the library's names)
        """Whoever hangs up has not been answered, and that is no news; a fault of ours is told as all faults are."""
        if not isinstance(sys.exception(), OSError):
            log.error("metrics_not_sent", exc_info=sys.exception())


class _Scrape(BaseHTTPRequestHandler):
    """`GET /metrics`, and nothing else."""

    timeout = _SOCKET_SECONDS
    server_version, sys_version = "authz", ""

    def do_GET(self) -> None:
        status, body = HTTPStatus.OK, b""
        if self.path.partition("?")[0] != PATH:
            status, body = HTTPStatus.NOT_FOUND, b"Metrics are at /metrics.\n"
        else:
            try:
                body = exposition()
            except Exception:
                log.exception("metrics_not_read")
                status, body = HTTPStatus.INTERNAL_SERVER_ERROR, b"The counts cannot be read now.\n"
        self.send_response(status)
        self.send_header("content-type", CONTENT_TYPE)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
        """A scrape is no news."""
