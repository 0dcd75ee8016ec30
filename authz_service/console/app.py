"""The console's application: its pages put together, its two files, and the headers of every answer."""

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authz_service.console.drawing import HERE, STATIC
from authz_service.console.pages import ROUTERS
from authz_service.console.visit import PREFIX, Desk, arrived

POLICY: Final = "; ".join(
    (
        *("default-src 'none'", "style-src 'self'", "img-src 'self'", "form-action 'self'"),
        *("base-uri 'none'", "frame-ancestors 'none'"),
    )
)
"""Nothing comes from elsewhere, nothing is written into the page, and there is no script."""
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "cache-control": "no-store",
}
_GZIP_FROM_BYTES: Final = 600
_FOR_EVER: Final = "public, max-age=31536000, immutable"


class WithHeaders:
    """Every answer of the console has them; what a file says of its own keeping stays."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._inner(scope, receive, sent)


def console() -> FastAPI:
    """To be mounted at /console; `state.desk` is there before the first request."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_FROM_BYTES)
    app.add_middleware(WithHeaders)
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route("/static/{name}", _static, methods=["GET"])
    app.add_exception_handler(HTTPException, _not_here)
    return app


def mount(app: FastAPI, pages: FastAPI) -> None:
    """The pages are below /console, which itself leads to them."""
    app.mount(PREFIX, pages)

    async def first_page() -> Response:
        return RedirectResponse(f"{PREFIX}/", HTTPStatus.PERMANENT_REDIRECT)

    app.add_api_route(PREFIX, first_page, methods=["GET"], include_in_schema=False)


def seat_desk(pages: FastAPI, desk: Desk) -> None:
    """From now on the pages can be asked for."""
    pages.state.desk = desk


async def _static(name: str) -> Response:
    if name not in STATIC:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    body = (HERE / "static" / name).read_bytes()
    return Response(body, media_type=STATIC[name], headers={"cache-control": _FOR_EVER})


async def _not_here(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    if not hasattr(request.app.state, "desk"):
        return PlainTextResponse("not served", HTTPStatus.SERVICE_UNAVAILABLE)
    visit = arrived(request)
    response = visit.refused(status, "refused.address")
    response.headers["x-request-id"] = visit.request_id
    return response
