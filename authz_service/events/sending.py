"""One attempt: a POST with its limits. No redirect is followed; of an answer only status and Retry-After are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from authz_service import __version__
from authz_service.clock import monotonic_seconds
from authz_service.events.addresses import Addresses, AddressForbidden, JudgingResolver
from authz_service.events.schedule import Outcome, asked_seconds, outcome_of
from authz_service.settings import Settings

ERROR_LIMIT: Final = 120
_HEADERS: Final = {
    "content-type": "application/json",
    "user-agent": f"authz-service/{__version__}",
    "accept-encoding": "identity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of an attempt. `error` is of our making: nothing that a receiver says is kept."""

    outcome: Outcome
    status: int | None = None
    error: str | None = None
    duration_ms: int
    asked_seconds: float | None = None


def open_session(settings: Settings) -> ClientSession:
    """Connections to receivers. No proxy of the environment is used, and no cookie is kept."""
    return ClientSession(
        connector=TCPConnector(
            resolver=JudgingResolver(Addresses(settings)), use_dns_cache=False, limit=settings.event_endpoints_at_once
        ),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(
            total=settings.event_timeout_seconds, sock_connect=settings.event_connect_timeout_seconds
        ),
        headers=_HEADERS,
    )


async def send(
    session: ClientSession, settings: Settings, url: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> Sent:
    """Within `event_timeout_seconds` it is known what came of it; nothing is raised."""
    began = monotonic_seconds()
    status = asked = error = None
    try:
        # Again: the settings may have changed since the endpoint was added, and no resolver sees an address in digits.
        Addresses(settings).require_url(url)
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            status, outcome = response.status, outcome_of(response.status)
            asked = asked_seconds(response.headers.get("retry-after"), now)
            error = None if outcome is Outcome.DELIVERED else f"answered {status}"
    except TimeoutError:
        outcome, error = Outcome.TIMED_OUT, f"no answer within {settings.event_timeout_seconds:g} s"
    except (ClientError, OSError, ValueError) as fault:
        forbidden = next((each for each in _causes(fault) if isinstance(each, AddressForbidden)), None)
        outcome = Outcome.UNREACHABLE if forbidden is None else Outcome.FORBIDDEN
        error = type(fault).__name__ if forbidden is None else str(forbidden)
    return Sent(
        outcome=outcome,
        status=status,
        error=error and error[:ERROR_LIMIT],
        duration_ms=round((monotonic_seconds() - began) * 1000),
        asked_seconds=asked,
    )


def _causes(fault: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while fault is not None and len(causes) < 10:  # noqa: PLR2004  (no chain of ours is as long)
        causes.append(fault)
        fault = fault.__cause__ or getattr(fault, "os_error", None) or fault.__context__
    return causes
