"""Alerts on what happens at the counters: declines, silence, cash, misuse."""

from typing import Final

from authz_service.alerting.alert import Alert, Case, Fired, Group, Severity

_APPROVED: Final = 'authz_decisions_total{outcome="approved",reason="approved"}'
_PROGRAMME: Final = {"programme": "samarinda-2024"}


def _declined(reason: str) -> str:
    return f'authz_decisions_total{{outcome="declined",reason="{reason}"}}'


def _kind(kind: str) -> str:
    return f'authz_alerts_total{{kind="{kind}"}}'


def _counted(kind: str, name: str, summary: str, description: str, reason: str) -> Alert:
    """One of the things that the service itself calls the operators for; each one counts."""
    return Alert(
        name=name,
        expr=f'sum(increase(authz_alerts_total{{kind="{kind}"}}[1h])) > 0',
        holds_for="0m",
        severity=Severity.TICKET,
        summary=summary,
        description=description,
        reason=reason,
        cases=(
            Case(
                says="once",
                series={_kind(kind): "0x10 1x20"},
                at="20m",
                not_yet_at="10m",
                fired=(Fired(),),
            ),
            Case(says="once, two hours ago", series={_kind(kind): "0x10 1x200"}, at="2h30m"),
        ),
    )


_NOW: Final = 'sum by (reason) (increase(authz_decisions_total{outcome="declined"}[1h]))'
_USUAL: Final = 'sum by (reason) (increase(authz_decisions_total{outcome="declined"}[1w] offset 1h))'
_SIGNALS_NOW: Final = "sum by (signal) (increase(authz_signals_total[1h]))"

COUNTER: Final = Group(
    name="counter",
    interval="1m",
    alerts=(
        Alert(
            name="AuthzMostPurchasesDeclined",
            expr=(
                'sum(increase(authz_decisions_total{outcome="declined"}[1h]))'
                " / sum(increase(authz_decisions_total[1h])) > 0.5\n"
                "and sum(increase(authz_decisions_total[1h])) >= 20"
            ),
            holds_for="10m",
            severity=Severity.PAGE,
            summary="Most families are sent away",
            description="{{ $value | humanizePercentage }} of the purchases of the last hour were declined.",
            reason="On a usual day one in ten is. Of twenty purchases or more, so that one family which tries again and"
            " again is not a wave; ten minutes, so that one shop's evening is not.",
            cases=(
                Case(
                    says="four of five for an hour",
                    series={_APPROVED: "0+0.1x120", _declined("card_unknown"): "0+0.4x120"},
                    at="1h30m",
                    not_yet_at="45m",
                    fired=(Fired(value="80%"),),
                ),
                Case(
                    says="twelve of fifteen",
                    series={_APPROVED: "0x60 3x60", _declined("monthly_cap_exceeded"): "0x60 4 8 12x60"},
                    at="1h30m",
                ),
                Case(
                    says="a usual day",
                    series={_APPROVED: "0+9x120", _declined("monthly_cap_exceeded"): "0+1x120"},
                    at="1h30m",
                ),
            ),
        ),
        Alert(
            name="AuthzDeclineWave",
            expr=(
                f"({_NOW} >= 5)\n"
                f"and ({_NOW} / on () group_left () sum(increase(authz_decisions_total[1h])) > 0.1)\n"
                f"and ({_NOW} / on () group_left () sum(increase(authz_decisions_total[1h]))\n"
                f"  > 3 * {_USUAL}\n"
                "  / on () group_left () sum(increase(authz_decisions_total[1w] offset 1h)))"
            ),
            holds_for="5m",
            severity=Severity.TICKET,
            summary="One reason declines far more purchases than usual",
            description="{{ $labels.reason }} declined {{ $value | humanize }} purchases within an hour, three times"
            " its usual share or more.",
            reason="Five are more than one family that tries again; a tenth of all purchases and three times the share"
            " of the last week are a cause of their own: a shop, a list of cards, a price, a date.",
            cases=(
                Case(
                    says="a new file of cards is not known here",
                    series={_APPROVED: "0+30x100", _declined("card_unknown"): "0x96 0+30x3"},
                    at="49h30m",
                    not_yet_at="49h",
                    every="30m",
                    fired=(Fired(labels={"reason": "card_unknown"}, value="60"),),
                ),
                Case(
                    says="a reason that is usual",
                    series={_APPROVED: "0+240x100", _declined("monthly_cap_exceeded"): "0+60x100"},
                    at="49h30m",
                    every="30m",
                ),
                Case(
                    says="a reason that is twice as frequent as usual",
                    series={_APPROVED: "0+27x100", _declined("monthly_cap_exceeded"): "0+3x96 294 300 306"},
                    at="49h30m",
                    every="30m",
                ),
                Case(
                    says="one family tried four times",
                    series={_APPROVED: "0+3x100", _declined("card_blocked"): "0x97 2 4x3"},
                    at="49h30m",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzNoSales",
            expr=(
                "sum(increase(authz_decisions_total[2h])) == 0\n"
                "and sum(increase(authz_decisions_total[2h] offset 1d)) >= 10\n"
                "and sum(increase(authz_decisions_total[2h] offset 1w)) >= 10"
            ),
            holds_for="5m",
            severity=Severity.PAGE,
            summary="No shop has asked for anything for two hours",
            description="Not one purchase was asked for; yesterday and a week ago these two hours had ten or more.",
            reason="Compared with the same hours of yesterday and of last week, so that opening hours, Sundays and the"
            " quiet end of a month need no table. Where ten are usual, none is less than one chance in ten thousand.",
            cases=(
                Case(
                    says="silence since two hours, busy a day and a week ago",
                    series={_APPROVED: "0+3x340 1020x6"},
                    at="172h30m",
                    not_yet_at="172h",
                    every="30m",
                    fired=(Fired(),),
                ),
                Case(
                    says="silent yesterday as well", series={_APPROVED: "0+30x286 8580x66"}, at="172h30m", every="30m"
                ),
                Case(
                    says="too quiet a programme to tell",
                    series={_APPROVED: "0+2x340 680x6"},
                    at="172h30m",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzMerchantsSilent",
            expr="max by (programme) (authz_merchants_silent) >= 3",
            holds_for="1h",
            severity=Severity.TICKET,
            summary="Several shops that usually sell are silent",
            description="{{ $value }} shops of {{ $labels.programme }} have sold nothing in hours in which they are"
            " open.",
            reason="One shop may be closed for a wedding; three of 27 at once share a cause, a line or a delivery.",
            cases=(
                Case(
                    says="four shops",
                    series={'authz_merchants_silent{programme="samarinda-2024"}': "4x100"},
                    at="1h30m",
                    not_yet_at="59m",
                    fired=(Fired(labels=_PROGRAMME, value="4"),),
                ),
                Case(
                    says="two shops",
                    series={'authz_merchants_silent{programme="samarinda-2024"}': "2x100"},
                    at="1h30m",
                ),
            ),
        ),
        _counted(
            "cash_asked",
            "AuthzCashAsked",
            "A shop tried to sell cash",
            "A basket with cash, credit or a transfer was sent within the last hour, and declined whole.",
            "It is never an accident: the goods are chosen by name. Each one is looked at.",
        ),
        _counted(
            "reversal_not_undone",
            "AuthzReversalNotUndone",
            "A till took a sale back, and the shop is still paid for it",
            "A reversal came too late within the last hour: the purchase was captured or is in a batch.",
            "The family may have paid for goods that it does not have; only people can tell.",
        ),
        Alert(
            name="AuthzSignalsBurst",
            expr=(
                f"({_SIGNALS_NOW} >= 10)\n"
                f"unless ({_SIGNALS_NOW} <= 3 * sum by (signal) (increase(authz_signals_total[1w] offset 1h)) / 168)\n"
                f"unless ({_SIGNALS_NOW} <= 2 * sum by (signal) (increase(authz_signals_total[1h] offset 1d)))"
            ),
            holds_for="0m",
            severity=Severity.TICKET,
            summary="A signal of misuse is raised again and again",
            description="{{ $labels.signal }} was raised {{ $value | humanize }} times within an hour, three times its"
            " usual rate or more, and more than yesterday.",
            reason="Ten in an hour are more than one family or one evening of a shop. Either cards are being collected,"
            " or the signal is wrong: both are looked at on the day. What each night finds is"
            " compared with the night before.",
            cases=(
                Case(
                    says="twelve times, where it is rare",
                    series={
                        'authz_signals_total{signal="many_cards",action="flag"}': "0x99 6 12x3",
                        'authz_signals_total{signal="many_cards",action="hold"}': "0x103",
                    },
                    at="50h30m",
                    not_yet_at="49h30m",
                    every="30m",
                    fired=(Fired(labels={"signal": "many_cards"}, value="12"),),
                ),
                Case(
                    says="nine in an hour",
                    series={'authz_signals_total{signal="many_cards",action="flag"}': "0x99 5 9x3"},
                    at="50h30m",
                    every="30m",
                ),
                Case(
                    says="a night finds as many as the night before",
                    series={'authz_signals_total{signal="far_prices",action="flag"}': "0x47 12x47 24x47 36x10"},
                    at="72h30m",
                    every="30m",
                ),
                Case(
                    says="a signal that is raised twelve times in every hour",
                    series={'authz_signals_total{signal="many_cards",action="flag"}': "0+6x345"},
                    at="172h",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzSignalsDecline",
            expr='sum by (signal) (increase(authz_signals_total{action="decline"}[1h])) >= 3',
            holds_for="0m",
            severity=Severity.TICKET,
            summary="Families are refused groceries on suspicion",
            description="{{ $labels.signal }} declined {{ $value | humanize }} purchases within an hour.",
            reason="A signal that declines was tried on history first. Three in an hour are more than it should find:"
            " honest families may be among them.",
            cases=(
                Case(
                    says="six purchases",
                    series={'authz_signals_total{signal="many_cards",action="decline"}': "0x30 1 2 3 4 5 6x30"},
                    at="50m",
                    not_yet_at="32m",
                    fired=(Fired(labels={"signal": "many_cards"}, value="6"),),
                ),
                Case(
                    says="flags refuse nobody",
                    series={'authz_signals_total{signal="many_cards",action="flag"}': "0+1x60"},
                    at="50m",
                ),
            ),
        ),
    ),
)
