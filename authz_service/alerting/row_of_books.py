"""What an auditor asks for."""

from typing import Final

from authz_service.alerting.panels import SECONDS, SINCE, Look, Panel, Query, Row
from authz_service.alerting.queries import of_programmes

BOOKS: Final = Row(
    title="Books",
    panels=(
        Panel(
            title="Violations",
            says="Rows that break an invariant. Anything but 0 calls somebody.",
            queries=(Query(expr="sum(max by (invariant) (authz_ledger_violations))", legend="all invariants"),),
            look=Look.FIGURE,
            width=6,
            bad_from=1,
        ),
        Panel(
            title="Which",
            says="By invariant.",
            queries=(Query(expr="max by (invariant) (authz_ledger_violations) > 0", legend="{{invariant}}"),),
            look=Look.ROWS,
            width=6,
        ),
        Panel(
            title="Last looks",
            says="Since the books were checked, and since somebody looked at the backlogs.",
            queries=(
                Query(expr="time() - max(authz_ledger_checked_timestamp_seconds)", legend="books checked"),
                Query(expr="time() - max(authz_watch_timestamp_seconds)", legend="backlogs looked at"),
            ),
            unit=SINCE,
            look=Look.FIGURE,
            width=6,
        ),
        Panel(
            title="Looks that failed, an hour",
            says="They say nothing of the books.",
            queries=(
                Query(expr="sum(increase(authz_watch_failures_total[1h]))", legend="backlogs"),
                Query(expr="sum(increase(authz_ledger_check_failures_total[1h]))", legend="books"),
            ),
            look=Look.FIGURE,
            width=6,
        ),
        Panel(
            title="Committed and not sealed",
            says="Age of the oldest row without a number in its chain.",
            queries=(
                Query(expr=of_programmes("authz_sealed_head_age_seconds", "chain"), legend="{{chain}} ({{programme}})"),
            ),
            unit=SECONDS,
        ),
        Panel(
            title="Sealed rows",
            says="How long each chain is.",
            queries=(Query(expr=of_programmes("authz_sealed_rows", "chain"), legend="{{chain}} ({{programme}})"),),
        ),
        Panel(
            title="What runs",
            says="Version, commit and Python of each instance.",
            queries=(Query(expr="max by (instance, version, revision, python) (authz_build_info)"),),
            look=Look.ROWS,
        ),
    ),
)
