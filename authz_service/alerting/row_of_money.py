"""Where the money is, and what waits for it."""

from typing import Final

from authz_service.alerting.panels import RUPIAH, SINCE, Look, Panel, Query, Row
from authz_service.alerting.queries import of_programmes

MONEY: Final = Row(
    title="Money",
    panels=(
        Panel(
            title="Where the money is",
            says="All of these together are the fund at the bank.",
            queries=tuple(
                Query(
                    expr=of_programmes("authz_money_rupiah", account=account), legend=f"{account} ({{{{programme}}}})"
                )
                for account in ("unallocated", "available", "held", "payable", "clearing", "sponsor")
            ),
            unit=RUPIAH,
            look=Look.STACK,
            width=12,
        ),
        Panel(
            title="Fund and spent",
            says="What is at the bank, and what families have bought since the beginning.",
            queries=tuple(
                Query(
                    expr=of_programmes("authz_money_rupiah", account=account), legend=f"{account} ({{{{programme}}}})"
                )
                for account in ("fund", "spent")
            ),
            unit=RUPIAH,
            look=Look.FIGURE,
            width=6,
        ),
        Panel(
            title="Held",
            says="Promised to shops and not captured yet.",
            queries=(Query(expr=of_programmes("authz_holds_open_rupiah"), legend="{{programme}}"),),
            unit=RUPIAH,
            look=Look.FIGURE,
            width=6,
        ),
        Panel(
            title="Holds",
            says="Open, ending within an hour, and over but not written so (decisions count these as given back).",
            queries=(
                Query(expr=of_programmes("authz_holds_open"), legend="open ({{programme}})"),
                Query(expr=of_programmes("authz_holds_expiring"), legend="end within an hour ({{programme}})"),
                Query(expr=of_programmes("authz_holds_expired_unwritten"), legend="over, not written ({{programme}})"),
            ),
        ),
        Panel(
            title="Vouchers",
            says="A family whose voucher waits goes without.",
            queries=(
                Query(expr=of_programmes("authz_vouchers_open"), legend="open ({{programme}})"),
                Query(expr=of_programmes("authz_vouchers_waiting"), legend="waiting ({{programme}})"),
            ),
        ),
        Panel(
            title="Oldest waiting voucher",
            says="Since when the oldest waits for an officer; four hours are too long.",
            queries=(Query(expr=of_programmes("authz_vouchers_waiting_seconds"), legend="{{programme}}"),),
            unit=SINCE,
            look=Look.FIGURE,
            bad_from=14_400,
        ),
    ),
)
