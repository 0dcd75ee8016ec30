"""How fast answers come, beside what is promised."""

from typing import Final

from authz_service.alerting.burn import COUNT as BAD
from authz_service.alerting.burn import RATIO, asked, bad
from authz_service.alerting.panels import SECONDS, SHARE, Look, Panel, Query, Row
from authz_service.alerting.queries import limit_of, quantile_of
from authz_service.slo import OBJECTIVES, WINDOW_DAYS, promises

_LATENCY: Final = "authz_http_request_duration_seconds_bucket"

SPEED: Final = Row(
    title="Latency against the SLO",
    panels=(
        Panel(
            title="A sale, from its head to its answer",
            says="The dashed line is the limit in which 99 of 100 must come; it comes from the service itself.",
            queries=(
                Query(expr=quantile_of(0.5, _LATENCY, matchers='{call="authorise"}'), legend="half"),
                Query(expr=quantile_of(0.99, _LATENCY, matchers='{call="authorise"}'), legend="99 of 100"),
                limit_of("sale"),
            ),
            unit=SECONDS,
        ),
        Panel(
            title="99 of 100 of the other groups",
            says="Captures, voids, refunds and reversals; inquiries; the office; the bank.",
            queries=(
                *(
                    Query(
                        expr=quantile_of(0.99, _LATENCY, matchers=f'{{call=~"{"|".join(each.calls)}"}}'),
                        legend=each.name,
                    )
                    for each in OBJECTIVES
                    if each.name != "sale"
                ),
                limit_of("later"),
                limit_of("bank"),
            ),
            unit=SECONDS,
        ),
        Panel(
            title="Where the time of a batch goes",
            says="The mean of each stage; `record` is the record and its commit.",
            queries=(
                Query(
                    expr="sum by (stage) (rate(authz_stage_duration_seconds_sum[$__rate_interval]))"
                    " / sum by (stage) (rate(authz_stage_duration_seconds_count[$__rate_interval]))",
                    legend="{{stage}}",
                ),
            ),
            unit=SECONDS,
            look=Look.STACK,
        ),
        Panel(
            title=f"What is left of {WINDOW_DAYS} days' budget",
            says="1 is untouched, 0 is used up, below 0 the promise was broken.",
            queries=tuple(
                Query(
                    expr=f"1 - {bad(each, f'{WINDOW_DAYS}d')} / {asked(each, f'{WINDOW_DAYS}d')}"
                    f' / (1 - max(authz_slo_objective_ratio{{slo="{each.slo}"}}))',
                    legend=each.slo,
                )
                for each in promises()
            ),
            unit=SHARE,
            look=Look.BARS,
            width=12,
        ),
        Panel(
            title="How fast budgets burn",
            says="At 1 a budget lasts exactly its time; 14,4 for an hour calls somebody.",
            queries=(
                Query(expr=f"{RATIO}1h / on (slo) (1 - max by (slo) (authz_slo_objective_ratio))", legend="{{slo}}"),
                Query(expr="vector(14.4)", legend="called at once", is_limit=True),
            ),
            width=12,
        ),
        Panel(
            title="Bad answers in an hour",
            says="Fewer than five are not judged.",
            queries=(Query(expr=f"{BAD}1h", legend="{{slo}}"),),
            width=6,
        ),
        Panel(
            title="Requests decided together",
            says="A lone sale is a batch of one; a busy second makes larger ones.",
            queries=(
                Query(
                    expr="sum(rate(authz_batch_requests_sum[$__rate_interval]))"
                    " / sum(rate(authz_batch_requests_count[$__rate_interval]))",
                    legend="mean",
                ),
            ),
            width=6,
        ),
        Panel(
            title="Neighbours",
            says="1 is there. Without Redis all is right, and repeats are slower.",
            queries=(
                Query(expr='min(up{job="authz"})', legend="service"),
                Query(expr="min(authz_database_up)", legend="PostgreSQL"),
                Query(expr="min(authz_redis_up)", legend="Redis"),
                Query(expr="sum(authz_lanes_alive)", legend="lanes"),
            ),
            look=Look.FIGURE,
            width=6,
        ),
        Panel(
            title="Database",
            says="A connection and a SELECT as a worker sees it; and how full each pool is.",
            queries=(
                Query(expr="max(authz_database_ping_seconds)", legend="ping, seconds"),
                Query(
                    expr='sum by (pool) (authz_database_pool_connections{state="used"})'
                    " / sum by (pool) (authz_database_pool_limit)",
                    legend="{{pool}}, share in use",
                ),
                Query(expr="sum(authz_redis_queue_size)", legend="news for Redis that wait"),
                Query(expr="sum(increase(authz_redis_failures_total[5m]))", legend="Redis failed, in 5 minutes"),
                Query(
                    expr="sum by (kind) (increase(authz_lane_faults_total[5m]))", legend="lane: {{kind}}, in 5 minutes"
                ),
            ),
            width=6,
        ),
    ),
)
