"""What the machinery asks: is it alive, is it ready. What it has counted, `metrics_port.py` says elsewhere."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from authz_service.readiness import Readiness

AskReadiness = Callable[[], Awaitable[Readiness]]


def operations(readiness: AskReadiness) -> APIRouter:
    """Liveness says that the process answers; readiness that a decision can be made and written."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        """Nothing is asked for: who restarts a process for this must not do so because the database is away."""
        return {"status": "alive"}

    @router.get("/readyz", responses={503: {"description": "A check has failed, or it is told to stop"}})
    async def ready(response: Response) -> dict[str, str | dict[str, str]]:
        """`ready` or `degraded` (Redis is away: slower, nothing else), else 503; `checks` says which has failed."""
        found = await readiness()
        response.headers["cache-control"] = "no-store"
        if not found.is_ready:
            response.status_code = 503
        return {"status": found.status, "checks": {name: check.value for name, check in found.checks.items()}}

    return router
