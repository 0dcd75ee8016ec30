"""Shops: do they sell, and what points at one of them."""

from typing import Final

from authz_service.alerting.panels import Look, Panel, Query, Row
from authz_service.alerting.queries import of_programmes

SHOPS: Final = Row(
    title="Shops",
    panels=(
        Panel(
            title="Purchases an hour, today and a week ago",
            says="Asked for, with declines: silence shows here first.",
            queries=(
                Query(expr="sum(increase(authz_decisions_total[1h]))", legend="today"),
                Query(expr="sum(increase(authz_decisions_total[1h] offset 1w))", legend="a week ago"),
            ),
        ),
        Panel(
            title="Silent shops",
            says="Active, and nothing sold for hours in which they are open.",
            queries=(Query(expr=of_programmes("authz_merchants_silent"), legend="{{programme}}"),),
            look=Look.FIGURE,
            width=4,
            bad_from=3,
        ),
        Panel(
            title="Purchases held back",
            says="Flagged; the family has its groceries, the shop waits for its money until a person decides.",
            queries=(Query(expr=of_programmes("authz_settlement_waiting"), legend="{{programme}}"),),
            look=Look.FIGURE,
            width=4,
        ),
        Panel(
            title="Signals of misuse, a day",
            says="By what was done: flagged, settlement held, or declined.",
            queries=(
                Query(
                    expr="sum by (signal, action) (increase(authz_signals_total[1d]))", legend="{{signal}}: {{action}}"
                ),
            ),
        ),
        Panel(
            title="What the service calls operators for, a day",
            says="Cash asked for, reversals that came too late, receivers that are gone.",
            queries=(Query(expr="sum by (kind) (increase(authz_alerts_total[1d]))", legend="{{kind}}"),),
            look=Look.BARS,
            width=12,
        ),
        Panel(
            title="Declines that point at a shop or its machine",
            says="Unknown or suspended shop, a terminal that is not permitted, goods and prices.",
            queries=(
                Query(
                    expr='sum by (reason) (increase(authz_decisions_total{reason=~"merchant_.+|terminal_.+|category_.+|'
                    'product_.+|price_.+|cash_.+"}[1h]))',
                    legend="{{reason}}",
                ),
            ),
            width=12,
        ),
    ),
)
