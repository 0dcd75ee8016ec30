"""What is looked at of a programme, and what the looks tell: each is a question of some other station, and its gauges.

`LOOKS` go by indexes alone, at every turn. `SUMS` may read all wallets or all open holds, and come more rarely.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.bank.backlog import open_notices, resolved_notices
from authz_service.database import Connection
from authz_service.events.backlog import waiting_deliveries
from authz_service.ledger.standing import money, open_holds, vouchers_now
from authz_service.metric_kinds import Sample
from authz_service.metrics import (
    EVENTS_WAITING,
    EVENTS_WAITING_SECONDS,
    EXCEPTIONS_OLDEST_SECONDS,
    EXCEPTIONS_OPEN,
    HOLDS_OPEN,
    HOLDS_OPEN_RUPIAH,
    INBOX_NOTICES,
    INBOX_OLDEST_SECONDS,
    MERCHANTS_SILENT,
    MONEY,
    PAYOUTS_FAILED,
    PAYOUTS_OPEN,
    PAYOUTS_OPEN_SECONDS,
    SETTLEMENT_UNSETTLED,
    SETTLEMENT_UNSETTLED_SECONDS,
    SETTLEMENT_WAITING,
    STATEMENT_AGE_SECONDS,
    VOUCHERS_OPEN,
    VOUCHERS_WAITING,
    VOUCHERS_WAITING_SECONDS,
)
from authz_service.reconciliation.backlog import covered_until, open_exceptions
from authz_service.reports.silence import silent_shops
from authz_service.settings import settings_from_environment
from authz_service.settlement.backlog import batched_rupiah, held_back, oldest_unsettled, payouts
from authz_service.vocabulary import ProgrammeId

Ask = Callable[[Connection, ProgrammeId, datetime], Awaitable[list[Sample]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A question, asked of every programme, or only of those that are not closed."""

    name: str
    ask: Ask
    after_the_close: bool = False


async def _settlement(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    oldest_at = await oldest_unsettled(connection, programme_id)
    return [
        SETTLEMENT_UNSETTLED_SECONDS.of(_age(now, oldest_at), programme_id),
        SETTLEMENT_WAITING.of(await held_back(connection, programme_id), programme_id),
    ]


async def _inbox(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    return [
        sample
        for standing, found in (await open_notices(connection, programme_id)).items()
        for sample in (
            INBOX_NOTICES.of(found.notices, programme_id, standing),
            INBOX_OLDEST_SECONDS.of(_age(now, found.oldest_at), programme_id, standing),
        )
    ]


async def _exceptions(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    found = await open_exceptions(connection, programme_id)
    return [
        *(EXCEPTIONS_OPEN.of(count, programme_id, kind) for kind, count in found.of_kind.items()),
        EXCEPTIONS_OLDEST_SECONDS.of(_age(now, found.since), programme_id),
    ]


async def _statement(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    until = await covered_until(connection, programme_id)
    return [] if until is None else [STATEMENT_AGE_SECONDS.of(_age(now, until), programme_id)]


async def _events(connection: Connection, programme_id: ProgrammeId, _: datetime) -> list[Sample]:
    found = await waiting_deliveries(connection, programme_id)
    return [
        EVENTS_WAITING.of(found.deliveries, programme_id),
        EVENTS_WAITING_SECONDS.of(found.seconds, programme_id),
    ]


async def _holds(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    found = await open_holds(connection, programme_id, now)
    return [HOLDS_OPEN.of(found.holds, programme_id), HOLDS_OPEN_RUPIAH.of(found.rupiah, programme_id)]


async def _vouchers(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    found = await vouchers_now(connection, programme_id, now)
    return [
        VOUCHERS_OPEN.of(found.open, programme_id),
        VOUCHERS_WAITING.of(found.waiting, programme_id),
        VOUCHERS_WAITING_SECONDS.of(_age(now, found.waiting_since), programme_id),
    ]


async def _payouts(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    found = await payouts(connection, programme_id)
    return [
        PAYOUTS_OPEN.of(found.open, programme_id),
        PAYOUTS_OPEN_SECONDS.of(_age(now, found.open_since), programme_id),
        PAYOUTS_FAILED.of(found.failed, programme_id),
    ]


async def _money(connection: Connection, programme_id: ProgrammeId, _: datetime) -> list[Sample]:
    # Both of one snapshot: a batch that is closed between them would count twice.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found, batched = await money(connection, programme_id), await batched_rupiah(connection, programme_id)
    accounts = {
        "fund": found.fund,
        "unallocated": found.unallocated,
        "available": found.available,
        "held": found.held,
        "spent": found.spent,
        "payable": found.payable,
        "clearing": found.clearing,
        "sponsor": found.sponsor,
    }
    return [
        *(MONEY.of(rupiah, programme_id, account) for account, rupiah in accounts.items()),
        SETTLEMENT_UNSETTLED.of(found.spent - batched, programme_id),
    ]


async def _resolved(connection: Connection, programme_id: ProgrammeId, _: datetime) -> list[Sample]:
    return [INBOX_NOTICES.of(await resolved_notices(connection, programme_id), programme_id, "resolved")]


async def _silent(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[Sample]:
    silent = await silent_shops(connection, settings_from_environment(), programme_id, now)
    return [MERCHANTS_SILENT.of(len(silent), programme_id)]


def _age(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


LOOKS: Final = (
    Look(name="settlement", ask=_settlement),
    Look(name="statement", ask=_statement),
    Look(name="inbox", ask=_inbox, after_the_close=True),
    Look(name="exceptions", ask=_exceptions, after_the_close=True),
    Look(name="events", ask=_events, after_the_close=True),
)
SUMS: Final = (
    Look(name="holds", ask=_holds),
    Look(name="vouchers", ask=_vouchers),
    Look(name="payouts", ask=_payouts),
    Look(name="money", ask=_money),
    Look(name="silent", ask=_silent),
    Look(name="resolved", ask=_resolved, after_the_close=True),
)
