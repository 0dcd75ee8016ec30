"""What the machinery asks: is it alive, is it ready. What it has counted, `metrics_port.py` says elsewhere."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

Ready = Callable[[], Awaitable[bool]]


def operations(is_ready: Ready) -> APIRouter:
    """Liveness says that the process answers; readiness that a decision could be made and written."""
    router = APIRouter(tags=["operations"])

    @router.get("/health/live", response_class=Response, status_code=204)
    async def live() -> Response:
        return Response(status_code=204)

    @router.get("/health/ready", responses={503: {"description": "A lane is dead or the database is away"}})
    async def ready(response: Response) -> dict[str, str]:
        if await is_ready():
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not_ready"}

    return router
