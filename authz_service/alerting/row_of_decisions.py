"""What families notice first: decisions."""

from typing import Final

from authz_service.alerting.panels import SHARE, Look, Panel, Query, Row
from authz_service.alerting.queries import per_minute

DECISIONS: Final = Row(
    title="Decisions",
    panels=(
        Panel(
            title="What is wrong now",
            says="Alerts that fire; each has a page in docs/runbooks.",
            queries=(
                Query(
                    expr='sort_desc(sum by (severity, alertname, programme, slo, reason) (ALERTS{alertname=~"Authz.+",'
                    'alertstate="firing"}))'
                ),
            ),
            look=Look.ROWS,
        ),
        Panel(
            title="Decisions a minute",
            says="By what came of them. A till that repeats gets its answer again and is counted once.",
            queries=(Query(expr=per_minute("authz_decisions_total", "outcome"), legend="{{outcome}}"),),
            look=Look.STACK,
        ),
        Panel(
            title="Declined, of all",
            says="One in ten is usual; above a half somebody is called.",
            queries=(
                Query(
                    expr='sum(rate(authz_decisions_total{outcome="declined"}[1h]))'
                    " / sum(rate(authz_decisions_total[1h]))",
                    legend="the last hour",
                ),
            ),
            unit=SHARE,
            look=Look.FIGURE,
            width=4,
            bad_from=0.5,
        ),
        Panel(
            title="Repeats",
            says="Answers that were given again, and requests that were decided again since the family had changed.",
            queries=(
                Query(expr="sum(increase(authz_replays_total[1h]))", legend="replayed, an hour"),
                Query(expr="sum(increase(authz_decided_again_total[1h]))", legend="decided again, an hour"),
            ),
            look=Look.FIGURE,
            width=4,
        ),
        Panel(
            title="Declines by reason",
            says="In the time that is shown.",
            queries=(
                Query(
                    expr='sort_desc(sum by (reason) (increase(authz_decisions_total{outcome="declined"}[$__range]))'
                    " > 0)",
                    legend="{{reason}}",
                ),
            ),
            look=Look.BARS,
            width=12,
        ),
        Panel(
            title="Answers by status",
            says="A decline is a 201. 5xx is ours, 4xx the caller's, 429 too many at once.",
            queries=(Query(expr=per_minute("authz_http_requests_total", "status"), legend="{{status}}"),),
            look=Look.STACK,
            width=12,
        ),
    ),
)
