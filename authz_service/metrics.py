"""What operators watch, in Prometheus' words. With several workers the counts add up over PROMETHEUS_MULTIPROC_DIR."""

import os
from functools import lru_cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from authz_service.declines import APPROVED, DeclineReason

_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 1.5, 2.5)

_DECISIONS = Counter("authz_decisions_total", "Decisions recorded, by reason.", ["reason"])
DECISIONS = {reason: _DECISIONS.labels(reason) for reason in (APPROVED, *DeclineReason)}
"""Bound beforehand: the hot path only adds one."""
_REQUESTS = Counter("authz_http_requests_total", "Answers sent to terminals, by call and status.", ["call", "status"])
_REQUEST_SECONDS = Histogram(
    "authz_http_request_seconds", "From the first byte to the answer, by call.", ["call"], buckets=_SECONDS
)
BATCH_SIZE = Histogram(
    "authz_batch_requests", "Requests decided together.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
DECIDED_AGAIN = Counter("authz_decided_again_total", "Requests whose facts had changed before they were recorded.")
ALERTS = Counter("authz_alerts_total", "What an operator should look at, by kind.", ["kind"])
SECURITY_EVENTS = Counter("authz_security_events_total", "Refusals at the bank's door, by what was wrong.", ["kind"])
REPLAYS = Counter("authz_replays_total", "Requests that got the answer they had got before.")
LANE_FAULTS = Counter("authz_lane_faults_total", "Hot statements that failed, by what it meant.", ["kind"])
LANES_ALIVE = Gauge("authz_lanes_alive", "Lanes that can decide.", multiprocess_mode="livesum")
HINT_FAILURES = Counter("authz_redis_failures_total", "Times that Redis was not there or too slow.")
HINT_TOLD = Counter("authz_redis_told_total", "Answers and locks that Redis was told of.")
EXPIRED_UNWRITTEN = Gauge(
    "authz_holds_expired_unwritten",
    "Holds that are over and not yet written so, when the sweeper last looked; decisions count them as given back.",
    ["programme"],
    multiprocess_mode="mostrecent",
)
EVENTS_WAITING = Gauge(
    "authz_events_waiting",
    "Deliveries that are due or will be tried again, to endpoints that are enabled, when a process last looked.",
    ["programme"],
    multiprocess_mode="mostrecent",
)
EVENTS_WAITING_SECONDS = Gauge(
    "authz_events_waiting_seconds",
    "Age of the oldest of these deliveries.",
    ["programme"],
    multiprocess_mode="mostrecent",
)
EVENT_ATTEMPTS = Counter("authz_event_attempts_total", "Events sent to endpoints, by what came of it.", ["outcome"])
SIGNALS_SEEN = Counter(
    "authz_signals_total",
    "Signals of misuse that were found, or found with more purchases, by what followed.",
    ["signal", "action"],
)
EXPIRED_WRITTEN = Counter("authz_holds_expired_total", "Holds whose expiry was written.")


def count_answer(call: str, status: int, seconds: float) -> None:
    """An answer was sent, so long after its request began to come."""
    answers, latency = _bound(call, status)
    answers.inc()
    latency.observe(seconds)


@lru_cache(maxsize=512)
def _bound(call: str, status: int) -> tuple[Counter, Histogram]:
    """Looking a child up by its labels costs more than counting; there are few calls, and few statuses of each."""
    return _REQUESTS.labels(call, status), _REQUEST_SECONDS.labels(call)


def exposition(*, multiprocess: bool) -> bytes:
    """The text that Prometheus scrapes, of this process or of all workers."""
    if not multiprocess:
        return generate_latest()
    _forget_dead_workers()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_dead_workers() -> None:
    """A lane of a worker that was killed is no lane that lives."""
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
