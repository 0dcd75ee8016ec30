"""Everything that operators can watch, in Prometheus' words: each metric once, with the bound of its labels.

A counter, a histogram and a gauge of a process are Prometheus' own, and are added up over the workers. What is so of a
programme is `Watched`: one process at a time looks (`watching/`), and what it found is told whole or not at all, so
that nothing outlives its programme. `docs/metrics.md` is drawn from here; `exposition.py` writes what is scraped.
"""

from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Histogram

from authz_service.declines import APPROVED, PARTLY_APPROVED, DeclineReason
from authz_service.metric_kinds import Label, counter, gauge, histogram, watched
from authz_service.slo import OBJECTIVES, promises

PROGRAMME: Final = Label(name="programme", bound="programmes that are enrolled")
_OUTCOMES: Final = ("approved", "partly_approved", "declined")
_CALL: Final = Label(
    name="call",
    values=(
        *("authorise", "capture", "void", "refund", "reverse", "balance_inquiry", "get_authorisation", "catalogue"),
        *("vouch", "list_vouchers", "get_voucher", "revoke_voucher", "approve_voucher", "list_beneficiaries"),
        *("list_authorisations", "explain_authorisation", "access_token", "debit_notify", "bank_method", "console"),
        "unknown",
    ),
)
STAGES: Final = ("idempotency", "waiting", "lock", "facts", "rules", "record", "answer")
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5)
_STAGE_SECONDS: Final = (0.0001, 0.00025, 0.0005, *_SECONDS)
_POOL: Final = Label(name="pool", values=("office", "console"))

# What this process is, and what tills get.
BUILD_INFO = watched(
    "authz_build_info",
    "Always 1; the labels say what runs.",
    Label(name="version", bound="one, of the program"),
    Label(name="revision", bound="one, the commit that AUTHZ_REVISION named when it was built"),
    Label(name="python", bound="one"),
)
SLO_OBJECTIVE = watched(
    "authz_slo_objective_ratio",
    "What is promised: so much of all answers is no error (`…_availability`), or comes in time (`…_latency`).",
    Label(name="slo", values=tuple(each.slo for each in promises())),
)
SLO_LIMIT = watched(
    "authz_slo_latency_limit_seconds",
    "What is in time.",
    Label(name="slo", values=tuple(each.slo for each in promises() if each.limit_seconds is not None)),
)
_DECISIONS = counter(
    "authz_decisions_total",
    "Decisions recorded. `partly_approved` leaves the till a rest to collect.",
    Label(name="outcome", values=_OUTCOMES),
    Label(name="reason", values=(APPROVED, *DeclineReason)),
)
DECISIONS: Final[dict[str, Counter]] = {
    APPROVED: _DECISIONS.labels("approved", APPROVED),
    PARTLY_APPROVED: _DECISIONS.labels("partly_approved", APPROVED),
    **{reason: _DECISIONS.labels("declined", reason) for reason in DeclineReason},
}
"""Bound beforehand: the hot path only adds one."""
_REQUESTS = counter(
    "authz_http_requests_total",
    "Answers sent to terminals, companions, operators, banks and, all as `console`, the people of the console.",
    _CALL,
    Label(name="status", bound="the HTTP statuses of the contract, about 20"),
)
_REQUEST_SECONDS = histogram(
    "authz_http_request_duration_seconds",
    "From a request's head to its answer; where the body came later, a slow line counts with it.",
    _CALL,
    buckets=_SECONDS,
)
_STAGE = histogram(
    "authz_stage_duration_seconds",
    "Where the time of a sale goes; but for `idempotency` one observation a batch, not a request. `waiting`: how long"
    " the batch's first request had waited for a lane. `lock`: the card locks in Redis, while `facts` are read: the"
    " one SELECT, that looks keys up, too. `rules`: all decisions of the batch. `record`: record and commit, which are"
    " one statement. `answer`: answers given to those who wait. `idempotency`: how long a request waited that came"
    " while an equal one was being decided in the same process.",
    Label(name="stage", values=STAGES),
    buckets=_STAGE_SECONDS,
)
STAGE_IDEMPOTENCY, STAGE_WAITING, STAGE_LOCK, STAGE_FACTS, STAGE_RULES, STAGE_RECORD, STAGE_ANSWER = (
    _STAGE.labels(stage) for stage in STAGES
)
BATCH_SIZE = histogram(
    "authz_batch_requests",
    "Requests taken to be decided together. One that waits for its card or family is taken, and counted, again.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
REPLAYS = counter("authz_replays_total", "Requests that got the answer they had got before.")
DECIDED_AGAIN = counter("authz_decided_again_total", "Requests whose facts had changed before they were recorded.")
ALERTS = counter(
    "authz_alerts_total",
    "What an operator should look at.",
    Label(
        name="kind",
        values=("cash_asked", "reversal_not_undone", "event_endpoint_disabled", "ledger_violation", "sealed_late"),
    ),
)
SECURITY_EVENTS = counter(
    "authz_security_events_total",
    "Refusals at the bank's door, by the call (73 access token, 56 notification) and what was wrong.",
    Label(name="kind", bound="2 calls and 13 reasons"),
)
LANE_FAULTS = counter(
    "authz_lane_faults_total",
    "Hot statements that failed, by what it meant.",
    Label(name="kind", values=("bug", "raced", "connection_lost", "guilty")),
)
LANES_ALIVE = gauge("authz_lanes_alive", "Lanes that can decide, of all workers.", workers="livesum")
EXPIRED_WRITTEN = counter("authz_holds_expired_total", "Holds whose expiry was written.")
EVENT_ATTEMPTS = counter(
    "authz_event_attempts_total",
    "Events sent to endpoints, by what came of it.",
    Label(
        name="outcome",
        values=("delivered", "gone", "slow_down", "refused", "timed_out", "unreachable", "forbidden"),
    ),
)

# The neighbours, as each worker finds them every `health_seconds`.
REDIS_UP = gauge(
    "authz_redis_up", "1 if Redis answers every worker; without it all is right, and slower.", workers="livemin"
)
REDIS_FAILURES = counter("authz_redis_failures_total", "Times that Redis was not there or too slow.")
REDIS_TOLD = counter("authz_redis_told_total", "Answers and locks that Redis was told of.")
REDIS_QUEUE = gauge("authz_redis_queue_size", "Batches whose news wait to be told to Redis.", workers="livesum")
DATABASE_UP = gauge("authz_database_up", "1 if PostgreSQL answers every worker.", workers="livemin")
DATABASE_PING = gauge(
    "authz_database_ping_seconds", "The longest that a worker waited for a connection and a SELECT.", workers="livemax"
)
POOL_CONNECTIONS = gauge(
    "authz_database_pool_connections",
    "Connections that are open, of all workers.",
    _POOL,
    Label(name="state", values=("idle", "used")),
    workers="livesum",
)
POOL_LIMIT = gauge(
    "authz_database_pool_limit", "Connections that may be open, of all workers.", _POOL, workers="livesum"
)

# What is so of each programme. "Now and then" is every `watch_sums_seconds`, or more rarely where the look takes long.
WATCHED_AT = gauge(
    "authz_watch_timestamp_seconds",
    "When this instance last looked at the programmes; 0 where another one does. The newest of all instances counts.",
    workers="max",
)
WATCH_FAILURES = counter("authz_watch_failures_total", "Looks at a programme that failed or took too long.")
HOLDS_OPEN = watched("authz_holds_open", "Holds that reserve something; counted now and then.", PROGRAMME)
HOLDS_OPEN_RUPIAH = watched("authz_holds_open_rupiah", "What they reserve; added up now and then.", PROGRAMME)
HOLDS_EXPIRING = watched("authz_holds_expiring", "Open holds that end within the next hour.", PROGRAMME)
HOLDS_EXPIRED_UNWRITTEN = watched(
    "authz_holds_expired_unwritten",
    "Holds that ended within the last `watch_look_back_seconds` and are not written so yet; decisions count them as"
    " given back.",
    PROGRAMME,
)
VOUCHERS_OPEN = watched(
    "authz_vouchers_open", "Vouchers that are approved, not revoked, not over and not used up; now and then.", PROGRAMME
)
VOUCHERS_WAITING = watched("authz_vouchers_waiting", "Vouchers that wait for approval; now and then.", PROGRAMME)
VOUCHERS_WAITING_SECONDS = watched(
    "authz_vouchers_waiting_seconds", "Since when the oldest of them waits; 0 if none does; now and then.", PROGRAMME
)
MONEY = watched(
    "authz_money_rupiah",
    "Where the programme's money is, added up now and then: `fund` at the bank = unallocated + available + held +"
    " payable + clearing + sponsor; `spent` is what families bought. Computed from the wallets and the few transfers of"
    " no purchase: that the books agree, the ledger's checks say.",
    PROGRAMME,
    Label(
        name="account",
        values=("fund", "unallocated", "available", "held", "spent", "payable", "clearing", "sponsor"),
    ),
)
SETTLEMENT_UNSETTLED = watched(
    "authz_settlement_unsettled_rupiah",
    "Captured less refunded, and in no batch yet, with what is held back; added up now and then.",
    PROGRAMME,
)
SETTLEMENT_UNSETTLED_SECONDS = watched(
    "authz_settlement_unsettled_seconds",
    "Age of the oldest capture that is in no batch and not held back; 0 if none.",
    PROGRAMME,
)
PAYOUTS_OPEN = watched(
    "authz_settlement_payouts_open", "Payouts of which the bank has said nothing yet; now and then.", PROGRAMME
)
PAYOUTS_OPEN_SECONDS = watched(
    "authz_settlement_payouts_open_seconds", "Age of the oldest of them; 0 if none; now and then.", PROGRAMME
)
PAYOUTS_FAILED = watched(
    "authz_settlement_payouts_failed",
    "Payouts that failed or came back and are not released to be paid again; now and then.",
    PROGRAMME,
)
SETTLEMENT_WAITING = watched("authz_settlement_waiting", "Flagged purchases that are held back.", PROGRAMME)
INBOX_NOTICES = watched(
    "authz_inbox_notices",
    "The bank's notices that nobody has followed yet, that wait for people, or, now and then, that two resolved.",
    PROGRAMME,
    Label(name="standing", values=("new", "parked", "resolved")),
)
INBOX_OLDEST_SECONDS = watched(
    "authz_inbox_oldest_seconds",
    "Age of the oldest notice that is new or parked; 0 if none.",
    PROGRAMME,
    Label(name="standing", values=("new", "parked")),
)
EXCEPTIONS_OPEN = watched(
    "authz_reconciliation_exceptions_open",
    "Differences between authorisations, books and statement that nothing explains yet.",
    PROGRAMME,
    Label(
        name="kind",
        values=(
            *("amount_differs", "missing_here", "missing_there", "paid_though_failed", "return_without_payment"),
            *("more_than_once", "after_the_close", "books_differ", "statements_do_not_join", "days_missing"),
            "balance_differs",
        ),
    ),
)
EXCEPTIONS_OLDEST_SECONDS = watched(
    "authz_reconciliation_exceptions_oldest_seconds",
    "Age of the oldest of them, from the first moment of the day on which it began; 0 if none.",
    PROGRAMME,
)
STATEMENT_AGE_SECONDS = watched(
    "authz_reconciliation_statement_age_seconds",
    "Since the end of the last day that a statement of the bank covers; none where none was ever read.",
    PROGRAMME,
)
EVENTS_WAITING = watched(
    "authz_events_waiting",
    "Deliveries that are due or will be tried again, to endpoints that are enabled.",
    PROGRAMME,
)
EVENTS_WAITING_SECONDS = watched(
    "authz_events_waiting_seconds", "Age of the oldest of these deliveries; 0 if none.", PROGRAMME
)

# The sealed books.
_CHAIN: Final = Label(name="chain", values=("transfers", "audit"))
SEALED_HEAD_AGE = gauge(
    "authz_sealed_head_age_seconds",
    "Age of the oldest committed row that is not sealed yet; 0 if none. While rounds fail, since nothing was left.",
    PROGRAMME,
    _CHAIN,
    workers="mostrecent",
)
SEALED_ROWS = gauge("authz_sealed_rows", "Rows that are sealed.", PROGRAMME, _CHAIN, workers="mostrecent")

# Signals of misuse, and shops of which nothing is heard.
MERCHANTS_SILENT = watched(
    "authz_merchants_silent",
    "Active shops that usually sell, without any request in their last `silent_hours` opening hours; now and then.",
    PROGRAMME,
)
SIGNALS: Final = (
    *("many_cards", "exact_cap", "same_basket", "fixed_bags", "night_hours", "taken_back", "far_prices"),
    *("eggs_by_piece", "one_companion", "one_evening", "far_sales"),
)
_ACTIONS: Final = ("flag", "hold", "decline")
SIGNALS_SEEN = counter(
    "authz_signals_total",
    "Signals of misuse that were found, or found with more purchases, by what followed.",
    Label(name="signal", values=SIGNALS),
    Label(name="action", values=_ACTIONS),
)
for _signal in SIGNALS:
    for _action in _ACTIONS:
        SIGNALS_SEEN.labels(_signal, _action)  # a series that begins at 1 has grown by nothing

# The books, checked in the background.
LEDGER_VIOLATIONS = watched(
    "authz_ledger_violations",
    "Rows that break the invariant, of all programmes, when what is new was last checked.",
    Label(name="invariant", bound="the invariants of `authz_service/ledger/invariants`, about 70"),
)
LEDGER_CHECKED_AT = gauge(
    "authz_ledger_checked_timestamp_seconds",
    "When this instance last checked what is new in the books; 0 where another one does. The newest counts.",
    workers="max",
)
LEDGER_CHECK_FAILURES = counter(
    "authz_ledger_check_failures_total", "Background checks that could not be done; they say nothing of the books."
)


def count_answer(call: str, status: int, seconds: float) -> None:
    """An answer was sent, so long after its request began to come."""
    answers, latency = _bound(call, status)
    answers.inc()
    latency.observe(seconds)


@lru_cache(maxsize=512)
def _bound(call: str, status: int) -> tuple[Counter, Histogram]:
    """Looking a child up by its labels costs more than counting; there are few calls, and few statuses of each."""
    return _REQUESTS.labels(call, status), _REQUEST_SECONDS.labels(call)


def _begin_at_zero() -> None:
    """The first error of a call is seen as one: a series that begins at 1 has grown by nothing."""
    for objective in OBJECTIVES:
        for call in objective.calls:
            _bound(call, 500)
            _bound(call, 503)


_begin_at_zero()
