"""Alerts on the books: do they agree, are they checked and sealed, is what is over written so."""

from typing import Final

from authz_service.alerting.alert import Alert, Case, Fired, Group, Severity

_PROGRAMME: Final = {"programme": "samarinda-2024"}
_CHAIN: Final = 'authz_sealed_head_age_seconds{programme="samarinda-2024",chain="transfers"}'
_UNWRITTEN: Final = 'authz_holds_expired_unwritten{programme="samarinda-2024"}'
_HELD_BACK: Final = 'authz_settlement_waiting{programme="samarinda-2024"}'
_VOUCHERS: Final = 'authz_vouchers_waiting_seconds{programme="samarinda-2024"}'

BOOKS: Final = Group(
    name="books",
    interval="1m",
    alerts=(
        Alert(
            name="AuthzLedgerViolation",
            expr="max by (invariant) (authz_ledger_violations) > 0",
            holds_for="0m",
            severity=Severity.PAGE,
            summary="The books do not agree with themselves",
            description="{{ $value }} rows break the invariant {{ $labels.invariant }}.",
            reason="It has never been seen outside of tests. One rupiah that is not where the books say is one too"
            " many, and what is built on it afterwards must be undone by hand.",
            cases=(
                Case(
                    says="one wallet is not the fold of its transfers",
                    series={'authz_ledger_violations{invariant="wallet_is_fold"}': "0x5 1x10"},
                    at="8m",
                    not_yet_at="5m",
                    fired=(Fired(labels={"invariant": "wallet_is_fold"}, value="1"),),
                ),
                Case(says="none", series={'authz_ledger_violations{invariant="wallet_is_fold"}': "0x15"}, at="8m"),
            ),
        ),
        Alert(
            name="AuthzLedgerCheckStale",
            expr="time() - max(authz_ledger_checked_timestamp_seconds) > 3600",
            holds_for="30m",
            severity=Severity.TICKET,
            summary="Nobody has checked the books for an hour",
            description="The last check was {{ $value | humanizeDuration }} ago: a violation would not be seen.",
            reason="Checked every five minutes; the first check of large books may take minutes. Just started, the last"
            " one is 0, so it must last.",
            cases=(
                Case(
                    says="never again after ten minutes",
                    series={"authz_ledger_checked_timestamp_seconds": "600x120"},
                    at="1h50m",
                    not_yet_at="1h40m",
                    fired=(Fired(value="1h 40m 0s"),),
                ),
                Case(says="every minute", series={"authz_ledger_checked_timestamp_seconds": "0+60x120"}, at="1h50m"),
            ),
        ),
        Alert(
            name="AuthzSealedHeadOld",
            expr="max by (programme, chain) (authz_sealed_head_age_seconds) > 900",
            holds_for="5m",
            severity=Severity.TICKET,
            summary="What is committed has not been sealed",
            description="The oldest row of {{ $labels.chain }} in {{ $labels.programme }} that has no number yet is"
            " {{ $value | humanizeDuration }} old.",
            reason="Sealing takes seconds. Until then a row could be changed without anybody being able to show it.",
            cases=(
                Case(
                    says="the sealer stands still",
                    series={_CHAIN: "0+60x60"},
                    at="40m",
                    not_yet_at="20m",
                    fired=(Fired(labels={**_PROGRAMME, "chain": "transfers"}, value="40m 0s"),),
                ),
                Case(says="it is behind for five minutes", series={_CHAIN: "0x20 300x5 0x30"}, at="40m"),
            ),
        ),
        Alert(
            name="AuthzSealedLate",
            expr='sum(increase(authz_alerts_total{kind="sealed_late"}[6h])) > 0',
            holds_for="0m",
            severity=Severity.TICKET,
            summary="Rows were committed that the sealer had passed over",
            description="The daily look back found rows in no block, and sealed them, within the last six hours.",
            reason="A transaction that was open for very long may do so; so does somebody who writes rows by hand.",
            cases=(
                Case(
                    says="one look back found some",
                    series={'authz_alerts_total{kind="sealed_late"}': "0x10 1x60"},
                    at="1h",
                    not_yet_at="10m",
                    fired=(Fired(),),
                ),
                Case(
                    says="one, yesterday",
                    series={'authz_alerts_total{kind="sealed_late"}': "0 1x50"},
                    at="24h",
                    every="30m",
                ),
            ),
        ),
        Alert(
            name="AuthzHoldsUnwritten",
            expr="max by (programme) (min_over_time(authz_holds_expired_unwritten[15m])) > 100",
            holds_for="5m",
            severity=Severity.TICKET,
            summary="Holds end, and nobody writes it down",
            description="For a quarter of an hour {{ $value }} holds or more of {{ $labels.programme }} were over and"
            " not written so.",
            reason="The sweeper writes a hundred families' in 30 s. Families lose nothing, decisions count these as"
            " given back; but reports, and the close, wait for them.",
            cases=(
                Case(
                    says="more and more",
                    series={_UNWRITTEN: "0+10x60"},
                    at="45m",
                    not_yet_at="28m",
                    fired=(Fired(labels=_PROGRAMME, value="300"),),
                ),
                Case(says="an evening's, written in turn", series={_UNWRITTEN: "0x20 400 300 200 100 0x60"}, at="45m"),
            ),
        ),
        Alert(
            name="AuthzVouchersWaiting",
            expr="max by (programme) (authz_vouchers_waiting_seconds) > 14400",
            holds_for="5m",
            severity=Severity.TICKET,
            summary="A family waits for its voucher",
            description="A voucher in {{ $labels.programme }} has waited {{ $value | humanizeDuration }} for an"
            " officer.",
            reason="A companion asked because the family needs food now. Four hours: asked in the morning, seen the"
            " same afternoon.",
            cases=(
                Case(
                    says="asked five hours ago",
                    series={_VOUCHERS: "0+60x400"},
                    at="5h",
                    not_yet_at="4h5m",
                    fired=(Fired(labels=_PROGRAMME, value="5h 0m 0s"),),
                ),
                Case(says="approved after two", series={_VOUCHERS: "0+60x120 0x300"}, at="5h"),
            ),
        ),
        Alert(
            name="AuthzPurchasesHeldBack",
            expr="max by (programme) (authz_settlement_waiting) > 0",
            holds_for="3d",
            severity=Severity.TICKET,
            summary="A shop's money is held back, and nobody has decided",
            description="{{ $value }} flagged purchases of {{ $labels.programme }} have been held back for three days.",
            reason="A signal holds the settlement, not the groceries. A poor shop may wait two working days for an"
            " answer, not longer.",
            cases=(
                Case(
                    says="four days",
                    series={_HELD_BACK: "2x200"},
                    at="4d",
                    not_yet_at="71h30m",
                    every="30m",
                    fired=(Fired(labels=_PROGRAMME, value="2"),),
                ),
                Case(says="decided after two", series={_HELD_BACK: "2x96 0x200"}, at="4d", every="30m"),
            ),
        ),
    ),
)
