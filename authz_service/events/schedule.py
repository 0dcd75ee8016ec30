"""When an event is sent again, and what an answer means. Pure; chance comes in as a fraction."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final

JITTER: Final = 0.1
"""A wait is longer by up to a tenth: endpoints that failed together do not come back together."""
_REST_EXPONENT_LIMIT: Final = 20
_SLOW_DOWN: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class Outcome(StrEnum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    GONE = "gone"
    """The receiver wants nothing any more."""
    SLOW_DOWN = "slow_down"
    REFUSED = "refused"
    """Any other answer, redirects too: they are not followed."""
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    """The address is none that we send to."""


def outcome_of(status: int) -> Outcome:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome.DELIVERED
    if status == HTTPStatus.GONE:
        return Outcome.GONE
    return Outcome.SLOW_DOWN if status in _SLOW_DOWN else Outcome.REFUSED


def retry_in_seconds(
    tries: int, schedule: Sequence[float], *, asked_seconds: float | None, limit_seconds: float, chance: float
) -> float | None:
    """After so many tries that failed: how long until the next, None after the last.

    A receiver that asked for more time gets it, up to the limit.
    """
    if tries > len(schedule):
        return None
    return max(schedule[tries - 1] * (1 + JITTER * chance), min(asked_seconds or 0.0, limit_seconds))


def rest_seconds(failures: int, *, asked_seconds: float | None, rest_limit: float, asked_limit: float) -> float:
    """How long an endpoint that failed so often in a row is left alone, whatever else waits for it."""
    rest: float = min(2 ** min(failures - 1, _REST_EXPONENT_LIMIT), rest_limit)
    return max(rest, min(asked_seconds or 0.0, asked_limit))


def asked_seconds(retry_after: str | None, now: datetime) -> float | None:
    """What Retry-After asks for, as seconds or as a date; None where it says nothing that can be read."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        # Years are as good as for ever, and no digits are too many.
        return float(retry_after[:9])
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds())
