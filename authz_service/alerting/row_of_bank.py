"""Between the programme and its bank."""

from typing import Final

from authz_service.alerting.panels import RUPIAH, SINCE, Look, Panel, Query, Row
from authz_service.alerting.queries import of_programmes

BANK: Final = Row(
    title="Bank",
    panels=(
        Panel(
            title="Sold and in no batch",
            says="Captured less refunded; it falls at each cut-off.",
            queries=(Query(expr=of_programmes("authz_settlement_unsettled_rupiah"), legend="{{programme}}"),),
            unit=RUPIAH,
        ),
        Panel(
            title="Oldest of what waits",
            says="A sale in no batch, a payout, a notice, an exception, the last day of a statement, an event.",
            queries=(
                Query(
                    expr=of_programmes("authz_settlement_unsettled_seconds"), legend="sale in no batch ({{programme}})"
                ),
                Query(expr=of_programmes("authz_settlement_payouts_open_seconds"), legend="payout ({{programme}})"),
                Query(
                    expr=of_programmes("authz_inbox_oldest_seconds", "standing"),
                    legend="notice, {{standing}} ({{programme}})",
                ),
                Query(
                    expr=of_programmes("authz_reconciliation_exceptions_oldest_seconds"),
                    legend="exception ({{programme}})",
                ),
                Query(
                    expr=of_programmes("authz_reconciliation_statement_age_seconds"), legend="statement ({{programme}})"
                ),
                Query(expr=of_programmes("authz_events_waiting_seconds"), legend="event ({{programme}})"),
            ),
            unit=SINCE,
            look=Look.BARS,
        ),
        Panel(
            title="Payouts",
            says="Open: the bank has said nothing yet. Failed: a person must release them.",
            queries=(
                Query(expr=of_programmes("authz_settlement_payouts_open"), legend="open ({{programme}})"),
                Query(expr=of_programmes("authz_settlement_payouts_failed"), legend="failed ({{programme}})"),
            ),
        ),
        Panel(
            title="Notices of the bank",
            says="Parked ones wait for two people.",
            queries=(
                Query(expr=of_programmes("authz_inbox_notices", "standing"), legend="{{standing}} ({{programme}})"),
            ),
        ),
        Panel(
            title="Open exceptions",
            says="Differences between authorisations, books and statement that nothing explains yet.",
            queries=(
                Query(
                    expr=f"{of_programmes('authz_reconciliation_exceptions_open', 'kind')} > 0",
                    legend="{{kind}} ({{programme}})",
                ),
            ),
            look=Look.BARS,
        ),
        Panel(
            title="Refused at the bank's door, an hour",
            says="By call and what was wrong.",
            queries=(Query(expr="sum by (kind) (increase(authz_security_events_total[1h]))", legend="{{kind}}"),),
        ),
        Panel(
            title="Other systems",
            says="Events that wait for their receivers, and how attempts ended.",
            queries=(
                Query(expr=of_programmes("authz_events_waiting"), legend="waiting ({{programme}})"),
                Query(
                    expr="sum by (outcome) (increase(authz_event_attempts_total[1h]))", legend="{{outcome}}, an hour"
                ),
            ),
            width=24,
        ),
    ),
)
