"""What the service has counted itself: `/metrics` before and after says what its answers were, and in what batches."""

import re
from collections.abc import Collection
from time import sleep
from typing import Final
from urllib.request import urlopen

from authz_service.declines import APPROVED, DeclineReason

Counted = dict[str, float]

APPROVALS: Final = f'authz_decisions_total{{outcome="approved",reason="{APPROVED}"}}'
REFUSALS_OF_GOODS: Final = (
    f'authz_decisions_total{{outcome="declined",reason="{DeclineReason.CATEGORY_NOT_PERMITTED}"}}'
)
CAPTURES: Final = 'authz_http_requests_total{call="capture",status="201"}'
BALANCES: Final = 'authz_http_requests_total{call="balance_inquiry",status="200"}'
REPLAYS: Final = "authz_replays_total"
SETTLING_SECONDS: Final = 0.1
MOST_READINGS: Final = 100
"""No answer takes so long."""
_SAID: Final = re.compile(r"authz_decisions_total\{.*\}|authz_replays_total")
_ANSWERED: Final = re.compile(r'authz_http_requests_total\{.*status="(?P<status>[0-9]+)".*\}')
_BATCHED: Final = "authz_batch_requests_sum"
_BATCHES: Final = "authz_batch_requests_count"


def counted(metrics_url: str) -> Counted:
    """Every sample by its name and labels, as they are written."""
    with urlopen(metrics_url, timeout=5) as answer:  # noqa: S310  (our own service)
        return samples(answer.read().decode())


def settled(metrics_url: str) -> Counted:
    """The same, when nothing is under way any more: two readings in a row have counted the same answers."""
    found = counted(metrics_url)
    for _ in range(MOST_READINGS):
        sleep(SETTLING_SECONDS)
        before, found = found, counted(metrics_url)
        if _answered(before) == _answered(found):
            break
    return found


def _answered(found: Counted) -> float:
    return sum(value for name, value in found.items() if _ANSWERED.fullmatch(name))


def samples(exposition: str) -> Counted:
    lines = (line for line in exposition.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def since(before: Counted, after: Counted) -> Counted:
    """What has been added; a sample that was not there before began at 0."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def refused(added: Counted) -> dict[str, int]:
    """How many answers were not 2xx, by their status."""
    found: dict[str, int] = {}
    for name, value in added.items():
        if value and (match := _ANSWERED.fullmatch(name)) and not match["status"].startswith("2"):
            found[match["status"]] = found.get(match["status"], 0) + round(value)
    return found


def not_meant(added: Counted, meant: Collection[str]) -> int:
    """How many decisions had another reason than those meant, and how many answers had been given before."""
    return round(sum(value for name, value in added.items() if _SAID.fullmatch(name) and name not in meant))


def astray(added: Counted, meant: Collection[str], *, answered: int) -> int:
    """Of so many answers that were 2xx, how many were not what was meant; no name means nothing to compare with.

    Other decisions are counted as such. What is no decision (a capture, a balance) can only be missing: there the
    answers that were under way when the shot ended, which the service has counted as well, may hide a few.
    """
    if not meant:
        return 0
    return max(not_meant(added, meant), answered - round(sum(added.get(name, 0.0) for name in meant)), 0)


def batch_mean(added: Counted) -> float:
    """How many requests were decided together; 0 where nothing was."""
    return added[_BATCHED] / added[_BATCHES] if added.get(_BATCHES) else 0.0
