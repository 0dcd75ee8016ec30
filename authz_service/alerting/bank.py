"""Alerts on what is between the programme and its bank: batches, payouts, notices, statements; and outgoing events."""

from typing import Final

from authz_service.alerting.alert import Alert, Case, Fired, Group, Severity

_PROGRAMME: Final = {"programme": "samarinda-2024"}
_OF: Final = 'programme="samarinda-2024"'
_UNSETTLED: Final = f"authz_settlement_unsettled_seconds{{{_OF}}}"
_PAYOUTS: Final = f"authz_settlement_payouts_open_seconds{{{_OF}}}"
_FAILED: Final = f"authz_settlement_payouts_failed{{{_OF}}}"
_STATEMENT: Final = f"authz_reconciliation_statement_age_seconds{{{_OF}}}"
_FUND: Final = f'authz_money_rupiah{{{_OF},account="fund"}}'
_EXCEPTIONS: Final = f"authz_reconciliation_exceptions_oldest_seconds{{{_OF}}}"
_EVENTS: Final = f"authz_events_waiting_seconds{{{_OF}}}"
_SECURITY: Final = 'authz_security_events_total{kind="73 signature"}'


def _notices(standing: str) -> str:
    return f'authz_inbox_oldest_seconds{{{_OF},standing="{standing}"}}'


BANK: Final = Group(
    name="bank",
    interval="1m",
    alerts=(
        Alert(
            name="AuthzSettlementOld",
            expr=(
                "max by (programme) (authz_settlement_unsettled_seconds) > 75 * 3600\n"
                "or\n(max by (programme) (authz_settlement_unsettled_seconds) > 26 * 3600\n"
                "  and on () (day_of_week() > 1 and day_of_week() < 6))"
            ),
            holds_for="30m",
            severity=Severity.TICKET,
            summary="A cut-off has passed, and sales are in no batch",
            description="The oldest sale of {{ $labels.programme }} that is in no batch is"
            " {{ $value | humanizeDuration }} old: its shop is not being paid.",
            reason="Batches are due on working days. From Tuesday to Friday no sale is older than a day and two hours"
            " once the cut-off has come; over a weekend three days and three hours. After a holiday it may say so for"
            " nothing, until that day's cut-off.",
            cases=(
                Case(
                    says="Friday evening, and Thursday's are still open",
                    series={_UNSETTLED: "0+1800x73"},
                    at="30h",
                    not_yet_at="26h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="1d 6h 0m 0s"),),
                ),
                Case(
                    says="Monday noon, and Thursday's are still open",
                    series={_UNSETTLED: "0+1800x216"},
                    at="108h",
                    not_yet_at="75h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="4d 12h 0m 0s"),),
                ),
                Case(
                    says="Tuesday morning, and Monday's are still open",
                    series={_UNSETTLED: "0x199 0+1800x100"},
                    at="130h",
                    not_yet_at="126h",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="1d 6h 0m 0s"),),
                ),
                Case(
                    says="Monday morning, with what was sold since Sunday",
                    series={_UNSETTLED: "0x152 0+1800x80"},
                    at="106h",
                    every="30m",
                ),
                Case(
                    says="Saturday, with all since Friday's cut-off",
                    series={_UNSETTLED: "0x62 0+1800x80"},
                    at="60h",
                    every="30m",
                ),
                Case(
                    says="Sunday, with all since Friday's cut-off",
                    series={_UNSETTLED: "0x62 0+1800x133"},
                    at="80h",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzPayoutsOpenLong",
            expr="max by (programme) (authz_settlement_payouts_open_seconds) > 84 * 3600",
            holds_for="30m",
            severity=Severity.TICKET,
            summary="The bank is silent about a payout",
            description="A payout of {{ $labels.programme }} has been under way for {{ $value | humanizeDuration }}.",
            reason="Ordered on Friday at three and paid on Monday evening are 77 hours. Three and a half days are"
            " longer than any weekend.",
            cases=(
                Case(
                    says="four days",
                    series={_PAYOUTS: "0+1800x200"},
                    at="4d",
                    not_yet_at="84h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="4d 0h 0m 0s"),),
                ),
                Case(says="a weekend", series={_PAYOUTS: "0+1800x153 0x50"}, at="4d", every="30m"),
            ),
        ),
        Alert(
            name="AuthzPayoutsFailed",
            expr="max by (programme) (authz_settlement_payouts_failed) > 0",
            holds_for="1h",
            severity=Severity.TICKET,
            summary="A shop was not paid",
            description="{{ $value }} payouts of {{ $labels.programme }} failed or came back, and wait for a person.",
            reason="Nothing pays them again by itself: the account may be closed. An hour, since a batch's failures are"
            " often released together.",
            cases=(
                Case(
                    says="two since this morning",
                    series={_FAILED: "0x10 2x120"},
                    at="1h30m",
                    not_yet_at="1h10m",
                    fired=(Fired(labels=_PROGRAMME, value="2"),),
                ),
                Case(says="released within the hour", series={_FAILED: "0x10 2x30 0x90"}, at="1h30m"),
            ),
        ),
        Alert(
            name="AuthzInboxParked",
            expr='max by (programme) (authz_inbox_oldest_seconds{standing="parked"}) > 86400',
            holds_for="5m",
            severity=Severity.TICKET,
            summary="A notice of the bank has waited a day for people",
            description="A notice to {{ $labels.programme }} has been parked for {{ $value | humanizeDuration }}.",
            reason="Two people are needed, so a working day is fair. Until then a payout may stand as unpaid that is"
            " paid, and the programme cannot be closed.",
            cases=(
                Case(
                    says="two days",
                    series={_notices("parked"): "0+1800x100"},
                    at="2d",
                    not_yet_at="24h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="2d 0h 0m 0s"),),
                ),
                Case(
                    says="resolved within the day", series={_notices("parked"): "0+1800x40 0x66"}, at="2d", every="30m"
                ),
            ),
        ),
        Alert(
            name="AuthzInboxNotFollowed",
            expr='max by (programme) (authz_inbox_oldest_seconds{standing="new"}) > 900',
            holds_for="5m",
            severity=Severity.TICKET,
            summary="The bank told something, and the books do not follow",
            description="A notice to {{ $labels.programme }} came {{ $value | humanizeDuration }} ago and was neither"
            " followed nor parked.",
            reason="Notices are followed within seconds, or parked. A quarter of an hour is a follower that stands"
            " still.",
            cases=(
                Case(
                    says="half an hour",
                    series={_notices("new"): "0+60x60"},
                    at="30m",
                    not_yet_at="20m",
                    fired=(Fired(labels=_PROGRAMME, value="30m 0s"),),
                ),
                Case(says="one that was parked", series={_notices("parked"): "0+60x60"}, at="30m"),
            ),
        ),
        Alert(
            name="AuthzStatementOld",
            expr="max by (programme) (authz_reconciliation_statement_age_seconds) > 84 * 3600",
            holds_for="30m",
            severity=Severity.TICKET,
            summary="No statement of the bank has been read for days",
            description="The last day of {{ $labels.programme }} that a statement covers ended"
            " {{ $value | humanizeDuration }} ago.",
            reason="A bank gives one each working day. Friday's is the newest until Monday evening, three days and a"
            " half after Friday's midnight is Tuesday noon.",
            cases=(
                Case(
                    says="four days",
                    series={_STATEMENT: "0+1800x200"},
                    at="4d",
                    not_yet_at="84h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="4d 0h 0m 0s"),),
                ),
                Case(says="read on Monday", series={_STATEMENT: "0+1800x133 0+1800x66"}, at="4d", every="30m"),
            ),
        ),
        Alert(
            name="AuthzStatementMissing",
            expr=(
                'max by (programme) (authz_money_rupiah{account="fund"}) > 0\n'
                "unless on (programme) authz_reconciliation_statement_age_seconds"
            ),
            holds_for="4d",
            severity=Severity.TICKET,
            summary="The programme has money, and no statement was ever read",
            description="Nobody has compared the books of {{ $labels.programme }} with its bank account yet.",
            reason="The first statement comes within a few working days of the money.",
            cases=(
                Case(
                    says="funded five days ago",
                    series={_FUND: "1776600000x266"},
                    at="5d",
                    not_yet_at="95h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME),),
                ),
                Case(
                    says="its statements are read",
                    series={_FUND: "1776600000x266", _STATEMENT: "3600x266"},
                    at="5d",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzExceptionsOld",
            expr="max by (programme) (authz_reconciliation_exceptions_oldest_seconds) > 3 * 86400",
            holds_for="5m",
            severity=Severity.TICKET,
            summary="Bank and books differ, and nobody has said why",
            description="An exception of {{ $labels.programme }} has been open for {{ $value | humanizeDuration }}.",
            reason="Most explain themselves with the next day's statement; three days are a weekend. What is left then"
            " needs two people, and keeps the programme open.",
            cases=(
                Case(
                    says="four days",
                    series={_EXCEPTIONS: "0+1800x200"},
                    at="4d",
                    not_yet_at="72h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="4d 0h 0m 0s"),),
                ),
                Case(
                    says="explained by the next statement",
                    series={_EXCEPTIONS: "0+1800x48 0x166"},
                    at="4d",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzEventsWaiting",
            expr="max by (programme) (authz_events_waiting_seconds) > 3600",
            holds_for="15m",
            severity=Severity.TICKET,
            summary="Another system has not been told for an hour",
            description="The oldest event of {{ $labels.programme }} has waited {{ $value | humanizeDuration }}.",
            reason="An hour is past the first three attempts: the receiver is down, or refuses. Events are kept and"
            " tried for three days.",
            cases=(
                Case(
                    says="two hours",
                    series={_EVENTS: "0+60x200"},
                    at="2h",
                    not_yet_at="1h15m",
                    fired=(Fired(labels=_PROGRAMME, value="2h 0m 0s"),),
                ),
                Case(says="delivered at the third attempt", series={_EVENTS: "0+60x36 0x100"}, at="2h"),
            ),
        ),
        Alert(
            name="AuthzEventEndpointDisabled",
            expr='sum(increase(authz_alerts_total{kind="event_endpoint_disabled"}[6h])) > 0',
            holds_for="0m",
            severity=Severity.TICKET,
            summary="A receiver of events has said that it is gone",
            description="An endpoint answered 410 within the last six hours: nothing is sent there any more.",
            reason="Each one counts: nothing that happens meanwhile is kept for it by itself.",
            cases=(
                Case(
                    says="one",
                    series={'authz_alerts_total{kind="event_endpoint_disabled"}': "0x10 1x60"},
                    at="1h",
                    not_yet_at="10m",
                    fired=(Fired(),),
                ),
                Case(
                    says="one, yesterday",
                    series={'authz_alerts_total{kind="event_endpoint_disabled"}': "0 1x50"},
                    at="24h",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzSecurityEvents",
            expr="sum by (kind) (increase(authz_security_events_total[15m])) > 20",
            holds_for="0m",
            severity=Severity.TICKET,
            summary="Somebody knocks at the bank's door with wrong keys",
            description="{{ $labels.kind }}: {{ $value | humanize }} refusals within a quarter of an hour.",
            reason="A bank that changes its key has a few refusals, and repeats them slowly. No refusal moves money or"
            " says who is a partner.",
            cases=(
                Case(
                    says="forged signatures, two every minute",
                    series={_SECURITY: "0x30 2+2x60"},
                    at="1h",
                    not_yet_at="38m",
                    fired=(Fired(labels={"kind": "73 signature"}, value="30"),),
                ),
                Case(says="a bank's new key came late", series={_SECURITY: "0x30 1 2 3x60"}, at="40m"),
            ),
        ),
    ),
)
