"""Alerts on how fast the error budgets burn: several windows, several speeds, as in Google's SRE workbook, chapter 5.

A budget is what the objective leaves: 0,1 % of a month's sales. Burning at 1 uses it up in exactly the month. Each
speed has a long window, which says that it matters, and a short one, which ends the alert soon after the trouble ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from authz_service.alerting.alert import Alert, Case, Fired, Group, Recorded, Severity
from authz_service.slo import OBJECTIVES, Promise, promises

LEAST_BAD: Final = 5
"""Below so many bad answers in the long window a share means nothing: two tills that repeated, of six sales an hour."""
RATIO: Final = "slo:authz_bad:ratio_rate"
COUNT: Final = "slo:authz_bad:increase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Uses up `budget_percent` of a month's budget within `long`."""

    factor: float
    long: str
    short: str
    budget_percent: int


FAST: Final = (
    Speed(factor=14.4, long="1h", short="5m", budget_percent=2),
    Speed(factor=6, long="6h", short="30m", budget_percent=5),
)
SLOW: Final = (Speed(factor=1, long="3d", short="6h", budget_percent=10),)
_WINDOWS: Final = ("5m", "30m", "1h", "6h", "3d")


def bad(promise: Promise, window: str, function: str = "rate") -> str:
    """Answers that broke the promise."""
    calls = "|".join(promise.of.calls)
    if promise.limit_seconds is None:
        return f'sum({function}(authz_http_requests_total{{call=~"{calls}",status=~"5.."}}[{window}]))'
    name = "authz_http_request_duration_seconds"
    return (
        f'(sum({function}({name}_count{{call=~"{calls}"}}[{window}]))'
        f' - sum({function}({name}_bucket{{call=~"{calls}",le="{promise.limit_seconds}"}}[{window}])))'
    )


def asked(promise: Promise, window: str, function: str = "rate") -> str:
    """All answers of its calls."""
    metric = (
        "authz_http_requests_total" if promise.limit_seconds is None else "authz_http_request_duration_seconds_count"
    )
    return f'sum({function}({metric}{{call=~"{"|".join(promise.of.calls)}"}}[{window}]))'


def _recorded() -> Iterator[Recorded]:
    for promise in promises():
        for window in _WINDOWS:
            share = f"{bad(promise, window)}\n/\n{asked(promise, window)}"
            yield Recorded(name=RATIO + window, expr=share, labels={"slo": promise.slo})
        for window in [speed.long for speed in (*FAST, *SLOW)]:
            yield Recorded(name=COUNT + window, expr=bad(promise, window, "increase"), labels={"slo": promise.slo})


def _burning(speed: Speed, slos: str) -> str:
    limit = f"{speed.factor:g} * (1 - max by (slo) (authz_slo_objective_ratio))"
    return (
        f'({RATIO}{speed.long}{{slo=~"{slos}"}} > on (slo) {limit})\n'
        f"and on (slo) ({RATIO}{speed.short} > on (slo) {limit})\n"
        f"and on (slo) ({COUNT}{speed.long} >= {LEAST_BAD})"
    )


def _any_of(*conditions: str) -> str:
    return "\nor\n".join(f"(\n{each}\n)" for each in conditions)


def _slos(kind: str, *, pages: bool) -> str:
    return "|".join(f"{each.name}_{kind}" for each in OBJECTIVES if each.pages is pages)


_OBJECTIVES: Final = {
    f'authz_slo_objective_ratio{{slo="{promise.slo}"}}': f"{promise.ratio}x200" for promise in promises()
}
_ALL: Final = 'authz_http_requests_total{call="authorise",status="201"}'
_FAULTS: Final = 'authz_http_requests_total{call="authorise",status="503"}'
_BANK: Final = 'authz_http_requests_total{call="debit_notify",status="200"}'
_BANK_FAULTS: Final = 'authz_http_requests_total{call="debit_notify",status="503"}'
_COUNT: Final = 'authz_http_request_duration_seconds_count{call="authorise"}'
_IN_TIME: Final = 'authz_http_request_duration_seconds_bucket{call="authorise",le="0.25"}'
_OFFICE: Final = 'authz_http_request_duration_seconds_count{call="list_authorisations"}'
_OFFICE_IN_TIME: Final = 'authz_http_request_duration_seconds_bucket{call="list_authorisations",le="1.0"}'
_SLOW_REASON: Final = (
    "A tenth of the month's budget within three days, or a fast burn of what nobody waits for at a counter."
    f" Less than {LEAST_BAD} bad answers are nothing yet."
)


def _fast_reason() -> str:
    parts = " or ".join(f"{speed.budget_percent} % of the month's budget within {speed.long}" for speed in FAST)
    return (
        f"{parts} (a burn of {FAST[0].factor:g} or {FAST[1].factor:g}), still going on, and at least {LEAST_BAD} bad"
        " answers: a till repeats what failed, so these may be two families."
    )


BURN: Final = Group(
    name="slo",
    interval="1m",
    recorded=tuple(_recorded()),
    alerts=(
        Alert(
            name="AuthzErrorsBurnFast",
            expr=_any_of(*(_burning(speed, _slos("availability", pages=True)) for speed in FAST)),
            holds_for="2m",
            severity=Severity.PAGE,
            summary="Tills get errors instead of decisions",
            description="{{ $value | humanizePercentage }} of the answers of {{ $labels.slo }} were errors (5xx).",
            reason=_fast_reason(),
            cases=(
                Case(
                    says="a tenth of the sales of the last half hour were errors",
                    series={**_OBJECTIVES, _ALL: "0+18x45", _FAULTS: "0x30 2+2x15"},
                    at="1h30m",
                    not_yet_at="1h6m",
                    every="2m",
                    fired=(Fired(labels={"slo": "sale_availability"}, value="5.263%"),),
                ),
                Case(
                    says="one sale of six failed twice, which is two errors in an hour",
                    series={**_OBJECTIVES, _ALL: "0+0.2x45", _FAULTS: "0x30 1 2x14"},
                    at="1h30m",
                    every="2m",
                ),
                Case(
                    says="the errors ended half an hour ago",
                    series={**_OBJECTIVES, _ALL: "0+18x60", _FAULTS: "0x15 2+2x15 32x30"},
                    at="1h46m",
                    every="2m",
                ),
                Case(
                    says="the bank's calls fail, which wakes nobody",
                    series={**_OBJECTIVES, _BANK: "0+18x45", _BANK_FAULTS: "0+2x45"},
                    at="40m",
                    every="2m",
                ),
            ),
        ),
        Alert(
            name="AuthzErrorsBurnSlow",
            expr=_any_of(
                *(_burning(speed, _slos("availability", pages=False)) for speed in FAST),
                *(_burning(speed, ".*_availability") for speed in SLOW),
            ),
            holds_for="15m",
            severity=Severity.TICKET,
            summary="Errors use up the month's budget",
            description="{{ $value | humanizePercentage }} of the answers of {{ $labels.slo }} were errors (5xx).",
            reason=_SLOW_REASON,
            cases=(
                Case(
                    says="two in a thousand sales fail for three days",
                    series={**_OBJECTIVES, _ALL: "0+399.2x40", _FAULTS: "0+0.8x40"},
                    at="3d",
                    not_yet_at="14h",
                    every="2h",
                    fired=(Fired(labels={"slo": "sale_availability"}, value="0.2%"),),
                ),
                Case(
                    says="a tenth of the bank's calls fail",
                    series={**_OBJECTIVES, _BANK: "0+18x60", _BANK_FAULTS: "0+2x60"},
                    at="40m",
                    not_yet_at="20m",
                    every="2m",
                    fired=(Fired(labels={"slo": "bank_availability"}, value="10%"),),
                ),
                Case(
                    says="five in ten thousand fail, which is half of what is allowed",
                    series={**_OBJECTIVES, _ALL: "0+399.8x40", _FAULTS: "0+0.2x40"},
                    at="3d",
                    every="2h",
                ),
            ),
        ),
        Alert(
            name="AuthzLatencyBurnFast",
            expr=_any_of(*(_burning(speed, _slos("latency", pages=True)) for speed in FAST)),
            holds_for="5m",
            severity=Severity.PAGE,
            summary="Families wait at the counter",
            description="{{ $value | humanizePercentage }} of the answers of {{ $labels.slo }} came late.",
            reason=_fast_reason(),
            cases=(
                Case(
                    says="every second sale takes longer than the limit",
                    series={**_OBJECTIVES, _COUNT: "0+4x45", _IN_TIME: "0+2x45"},
                    at="40m",
                    not_yet_at="10m",
                    every="2m",
                    fired=(Fired(labels={"slo": "sale_latency"}, value="50%"),),
                ),
                Case(
                    says="one in twenty takes longer, a burn of 5",
                    series={**_OBJECTIVES, _COUNT: "0+40x45", _IN_TIME: "0+38x45"},
                    at="40m",
                    every="2m",
                ),
            ),
        ),
        Alert(
            name="AuthzLatencyBurnSlow",
            expr=_any_of(
                *(_burning(speed, _slos("latency", pages=False)) for speed in FAST),
                *(_burning(speed, ".*_latency") for speed in SLOW),
            ),
            holds_for="15m",
            severity=Severity.TICKET,
            summary="Late answers use up the month's budget",
            description="{{ $value | humanizePercentage }} of the answers of {{ $labels.slo }} came late.",
            reason=_SLOW_REASON,
            cases=(
                Case(
                    says="every list of the office takes longer than its limit",
                    series={**_OBJECTIVES, _OFFICE: "0+2x60", _OFFICE_IN_TIME: "0x60"},
                    at="40m",
                    not_yet_at="20m",
                    every="2m",
                    fired=(Fired(labels={"slo": "office_latency"}, value="100%"),),
                ),
                Case(
                    says="one in twenty of the sales for three days",
                    series={**_OBJECTIVES, _COUNT: "0+80x40", _IN_TIME: "0+76x40"},
                    at="3d",
                    not_yet_at="4h",
                    every="2h",
                    fired=(Fired(labels={"slo": "sale_latency"}, value="5%"),),
                ),
                Case(
                    says="one in two hundred, which is half of what is allowed",
                    series={**_OBJECTIVES, _COUNT: "0+800x40", _IN_TIME: "0+796x40"},
                    at="3d",
                    every="2h",
                ),
            ),
        ),
    ),
)
