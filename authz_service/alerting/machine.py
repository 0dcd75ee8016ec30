"""Alerts on the machine: is it there, can it decide, can it write, is it watched."""

from typing import Final

from authz_service.alerting.alert import Alert, Case, Fired, Group, Severity

_AT: Final = 'instance="authz:9464",job="authz"'
_WHERE: Final = {"instance": "authz:9464", "job": "authz"}
_LIMIT: Final = f'authz_database_pool_limit{{{_AT},pool="office"}}'
_UP: Final = {f"up{{{_AT}}}": "1x200"}


def _pool(state: str) -> str:
    return f'authz_database_pool_connections{{{_AT},pool="office",state="{state}"}}'


MACHINE: Final = Group(
    name="machine",
    interval="30s",
    alerts=(
        Alert(
            name="AuthzDown",
            expr='up{job="authz"} == 0 or absent(up{job="authz"})',
            holds_for="2m",
            severity=Severity.PAGE,
            summary="The service does not answer Prometheus",
            description="No figures have come from {{ $labels.job }} for two minutes: no card may be working.",
            reason="A restart takes less than a minute. Two minutes of no answer are not one.",
            cases=(
                Case(
                    says="it stopped answering",
                    series={f"up{{{_AT}}}": "1x10 0x10"},
                    at="15m",
                    not_yet_at="12m",
                    fired=(Fired(labels=_WHERE),),
                ),
                Case(
                    says="nobody is asked at all",
                    series={},
                    at="15m",
                    not_yet_at="1m",
                    fired=(Fired(labels={"job": "authz"}),),
                ),
                Case(says="it was restarted", series={f"up{{{_AT}}}": "1x10 0 1x10"}, at="12m"),
            ),
        ),
        Alert(
            name="AuthzLanesDead",
            expr=('authz_lanes_alive == 0\nor\n(up{job="authz"} == 1 unless on (instance, job) authz_lanes_alive)'),
            holds_for="1m",
            severity=Severity.PAGE,
            summary="The service is up, and nothing in it can decide",
            description="{{ $labels.instance }} has no lane that lives: every sale there is answered 503.",
            reason="A lane takes a new connection within seconds; a process without one never comes back by itself.",
            cases=(
                Case(
                    says="the last lane ended",
                    series={**_UP, f"authz_lanes_alive{{{_AT}}}": "2x5 0x10"},
                    at="10m",
                    not_yet_at="6m",
                    fired=(Fired(labels=_WHERE),),
                ),
                Case(says="all workers are gone", series=_UP, at="10m", not_yet_at="0m", fired=(Fired(labels=_WHERE),)),
                Case(says="both lanes live", series={**_UP, f"authz_lanes_alive{{{_AT}}}": "2x15"}, at="10m"),
            ),
        ),
        Alert(
            name="AuthzLaneLost",
            expr="authz_lanes_alive < max_over_time(authz_lanes_alive[6h])",
            holds_for="10m",
            severity=Severity.TICKET,
            summary="Fewer lanes decide than before",
            description="{{ $labels.instance }} has {{ $value }} lanes left. Its worker says that it is not ready.",
            reason="A worker that is replaced has its lanes again within a minute; six hours after workers were taken"
            " away on purpose this ends by itself.",
            cases=(
                Case(
                    says="one of two lanes ended",
                    series={f"authz_lanes_alive{{{_AT}}}": "2x60 1x30"},
                    at="1h20m",
                    not_yet_at="1h10m",
                    fired=(Fired(labels=_WHERE, value="1"),),
                ),
                Case(says="a worker was replaced", series={f"authz_lanes_alive{{{_AT}}}": "4x60 2x2 4x60"}, at="1h20m"),
            ),
        ),
        Alert(
            name="AuthzLaneFaults",
            expr='sum by (kind) (increase(authz_lane_faults_total{kind=~"bug|guilty"}[1h])) > 0',
            holds_for="0m",
            severity=Severity.TICKET,
            summary="A sale could not be written for a reason that nobody foresaw",
            description="Faults of the kind {{ $labels.kind }} in the last hour; each is a 503, or a sale asked again.",
            reason="Lost connections and races are foreseen and mended. These two kinds are a mistake of the program or"
            " a row that nothing can be done with, and happen again.",
            cases=(
                Case(
                    says="one request stood alone and was still refused by the database",
                    series={f'authz_lane_faults_total{{{_AT},kind="guilty"}}': "0x10 1x20"},
                    at="20m",
                    not_yet_at="10m",
                    fired=(Fired(labels={"kind": "guilty"}),),
                ),
                Case(
                    says="two tills raced, and one of them was decided again",
                    series={f'authz_lane_faults_total{{{_AT},kind="raced"}}': "0x10 5x20"},
                    at="20m",
                ),
            ),
        ),
        Alert(
            name="AuthzDatabaseDown",
            expr="authz_database_up == 0",
            holds_for="1m",
            severity=Severity.PAGE,
            summary="PostgreSQL does not answer",
            description="{{ $labels.instance }} reaches no database: every sale is answered 503, and no money moves.",
            reason="Asked every five seconds; a switch to the standby takes 20 to 30 seconds.",
            cases=(
                Case(
                    says="away for good",
                    series={f"authz_database_up{{{_AT}}}": "1x5 0x5"},
                    at="8m",
                    not_yet_at="6m",
                    fired=(Fired(labels=_WHERE),),
                ),
                Case(says="the standby took over", series={f"authz_database_up{{{_AT}}}": "1x5 0 1x5"}, at="8m"),
            ),
        ),
        Alert(
            name="AuthzDatabaseSlow",
            expr="min_over_time(authz_database_ping_seconds[5m]) > 0.1",
            holds_for="5m",
            severity=Severity.TICKET,
            summary="PostgreSQL answers slowly",
            description="For minutes a connection and a SELECT took {{ $value | humanizeDuration }} or more.",
            reason="It takes a millisecond. A sale asks twice, and is late at 250 ms.",
            cases=(
                Case(
                    says="never below a fifth of a second",
                    series={f"authz_database_ping_seconds{{{_AT}}}": "0.2x20"},
                    at="15m",
                    not_yet_at="4m",
                    fired=(Fired(labels=_WHERE, value="200ms"),),
                ),
                Case(
                    says="one slow minute",
                    series={f"authz_database_ping_seconds{{{_AT}}}": "0.002x5 0.4 0.002x15"},
                    at="15m",
                ),
            ),
        ),
        Alert(
            name="AuthzPoolExhausted",
            expr=(
                'sum by (instance, job, pool) (authz_database_pool_connections{state="used"})\n'
                ">= sum by (instance, job, pool) (authz_database_pool_limit)"
            ),
            holds_for="5m",
            severity=Severity.TICKET,
            summary="All database connections of a pool are in use",
            description="All {{ $value }} connections of the pool {{ $labels.pool }} have been in use for five"
            " minutes.",
            reason="Sales have connections of their own. A page or a report may take all for seconds, not for minutes;"
            " readiness waits for one too.",
            cases=(
                Case(
                    says="four of four",
                    series={_pool("used"): "4x20", _pool("idle"): "0x20", _LIMIT: "4x20"},
                    at="15m",
                    not_yet_at="4m",
                    fired=(Fired(labels={**_WHERE, "pool": "office"}, value="4"),),
                ),
                Case(
                    says="three of four",
                    series={_pool("used"): "3x20", _pool("idle"): "1x20", _LIMIT: "4x20"},
                    at="15m",
                ),
            ),
        ),
        Alert(
            name="AuthzRedisDown",
            expr="authz_redis_up == 0",
            holds_for="5m",
            severity=Severity.TICKET,
            summary="Redis does not answer",
            description="{{ $labels.instance }} works without Redis: every answer is right, repeats are slower.",
            reason="Nothing in Redis has to survive, so nobody is woken.",
            cases=(
                Case(
                    says="away for ten minutes",
                    series={f"authz_redis_up{{{_AT}}}": "1x5 0x10"},
                    at="12m",
                    not_yet_at="10m",
                    fired=(Fired(labels=_WHERE),),
                ),
                Case(says="restarted", series={f"authz_redis_up{{{_AT}}}": "1x5 0x2 1x10"}, at="12m"),
            ),
        ),
        Alert(
            name="AuthzWatcherStale",
            expr="time() - max(authz_watch_timestamp_seconds) > 300",
            holds_for="5m",
            severity=Severity.TICKET,
            summary="Nobody looks at backlogs, money and books",
            description="The last look was {{ $value | humanizeDuration }} ago. Alerts on the bank and books are"
            " blind.",
            reason="A look every 15 s; another process takes over within that time. Just started, the last look is 0,"
            " so it must last.",
            cases=(
                Case(
                    says="the last look was at four minutes",
                    series={f"authz_watch_timestamp_seconds{{{_AT}}}": "240x30"},
                    at="20m",
                    not_yet_at="14m",
                    fired=(Fired(value="16m 0s"),),
                ),
                Case(
                    says="another process looks",
                    series={
                        f"authz_watch_timestamp_seconds{{{_AT}}}": "0x30",
                        'authz_watch_timestamp_seconds{instance="authz-2:9464",job="authz"}': "0+60x30",
                    },
                    at="20m",
                ),
            ),
        ),
        Alert(
            name="AuthzWatchFailures",
            expr="sum(increase(authz_watch_failures_total[1h])) > 20",
            holds_for="0m",
            severity=Severity.TICKET,
            summary="Looks at a programme fail or take too long",
            description="{{ $value | humanize }} looks failed within an hour: some backlog is not seen.",
            reason="There are several hundred looks in an hour; a database that is switched over costs a few.",
            cases=(
                Case(
                    says="one look fails every time",
                    series={f"authz_watch_failures_total{{{_AT}}}": "0+4x90"},
                    at="1h10m",
                    not_yet_at="5m",
                    fired=(Fired(value="240"),),
                ),
                Case(
                    says="five failed while the database was away",
                    series={f"authz_watch_failures_total{{{_AT}}}": "0x30 5x60"},
                    at="1h10m",
                ),
            ),
        ),
    ),
)
