"""Every answer of the framework says what its request is called, also those that no route of ours makes."""

from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from authz_service.api.arrival import NAMES, head_of
from authz_service.tracing import NewRequestId

_HEADER = b"x-request-id"


class Identified:
    """In front of FastAPI. The terminals' door needs none: it names each request itself."""

    def __init__(self, inner: ASGIApp, new_request_id: NewRequestId) -> None:
        self._inner = inner
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._inner(scope, receive, send)
        names = scope[NAMES] = head_of(scope, self._new_request_id).names
        header = (_HEADER, names.request_id.encode())

        async def identified(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                if not any(name == _HEADER for name, _ in headers):
                    message = {**message, "headers": [*headers, header]}
            await send(message)

        await self._inner(scope, receive, identified)
