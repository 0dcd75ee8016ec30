"""Requests that came whole in one read, as every sale of a till does: they are handed on with their body, and answered
in one write. uvicorn does the rest, and all of it where a request comes in pieces, is pipelined, or is no POST.

By uvicorn's own way such a request costs two messages that are waited for, two that are sent, a timer for a body that
is there already, and each header of the answer is searched for what we never write.
"""

from typing import Any, Final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from authz_service.tracing import new_request_id

_EXTENSION: Final = "authz.whole"


class Whole:
    """A POST of which nothing is still to come."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self.body = bytes(cycle.body)

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Sent, unless nobody is there any more. `headers` are ours, not the till's, and say how long `body` is."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def whole_of(scope: Scope) -> Whole | None:
    """None where the request came otherwise, or through another server."""
    found: Whole | None = scope.get("extensions", {}).get(_EXTENSION, {}).get("whole")
    return found


class WholeRequests(HttpToolsProtocol):
    """One connection. While a read is being parsed its request is held, and then begins: whole, or as uvicorn does."""

    _is_reading = False
    _held: tuple[RequestResponseCycle, Any] | None = None

    def data_received(self, data: bytes) -> None:
        self._is_reading = True
        super().data_received(data)
        self._is_reading = False
        self._begin()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets uvicorn's answer, and a name as every answer does."""
        head = [STATUS_LINE[400], *(b"%b: %b\r\n" % header for header in self.server_state.default_headers)]
        head.append(b"x-request-id: %b\r\ncontent-type: text/plain; charset=utf-8\r\n" % new_request_id().encode())
        head.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(msg))
        self.transport.write(b"".join([*head, msg.encode()]))
        self.transport.close()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._held is not None:
            cycle, _ = self._held
            if cycle.scope["method"] == "POST":
                cycle.scope["extensions"] = {_EXTENSION: {"whole": Whole(cycle)}}
            self._begin()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if getattr(self.server_state, "is_draining", False):
            # Whoever sent it opens its next connection elsewhere.
            cycle.keep_alive = False
        if self._is_reading:
            self._held = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def _begin(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            super()._start_asgi_task(*held)
