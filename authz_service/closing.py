"""The end of a programme: what is over is written, what is unspent goes back to the sponsor, and nothing moves again.

A close is one transaction under the programme's lock and every wallet's. It raises the version of the reference data
and of each wallet, also of those that it does not empty: a refund that was decided before it is then either in the
books before it, and in its statement, or finds its family changed, is decided again, and is refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.bank.inbox import open_notices
from authz_service.clock import Clock
from authz_service.closing_statement import ClosingStatement, closing_statement, statement_of
from authz_service.database import Connection
from authz_service.events.kinds import ProgrammeClosed
from authz_service.events.outbox import publish
from authz_service.last_sweep import sweep_to_the_end
from authz_service.ledger.accounts import UNALLOCATED
from authz_service.ledger.entries import alone_with, enter, one_snapshot, said_clearly
from authz_service.ledger.postings import Transfer, left_over, returned_to_the_sponsor
from authz_service.orders import OrderKind, keep_order
from authz_service.reconciliation.exceptions import open_exceptions
from authz_service.settings import Settings
from authz_service.settlement.unsettled import what_is_unsettled
from authz_service.vocabulary import (
    CHANCE_BYTES,
    BeneficiaryId,
    Chance,
    ProgrammeId,
    TransferId,
    in_rupiah,
    new_id,
    several,
)

_PROGRAMME: Final = "SELECT zone, ends_at, closed_at FROM programme WHERE programme_id = $1"
_HOLDS: Final = """
-- What is still held; `over` is what has ended although nobody has written it.
SELECT count(*) FILTER (WHERE expires_at > $2) AS holds,
       coalesce(sum(held_rupiah) FILTER (WHERE expires_at > $2), 0)::bigint AS rupiah,
       max(expires_at) AS last_ends_at,
       count(*) FILTER (WHERE expires_at <= $2) AS holds_over,
       coalesce(sum(held_rupiah) FILTER (WHERE expires_at <= $2), 0)::bigint AS rupiah_over
  FROM hold
 WHERE programme_id = $1 AND held_rupiah > 0
"""
_OWN_ACCOUNT: Final = """
-- What one of the programme's own accounts has; no purchase moves money on it.
SELECT coalesce(sum(CASE WHEN credit_account_id = $2 THEN amount_rupiah ELSE -amount_rupiah END), 0)::bigint
  FROM transfer
 WHERE programme_id = $1 AND authorisation_id IS NULL AND $2 IN (debit_account_id, credit_account_id)
"""
_FAMILIES: Final = """
-- Dated changes that nobody has applied, and what removed families have not returned.
SELECT count(*) FILTER (WHERE b.next_status_at IS NOT NULL OR b.leaves_at IS NOT NULL) AS changes,
       min(least(b.next_status_at, b.leaves_at)) AS first_at,
       count(*) FILTER (WHERE b.status = 'removed' AND w.available_rupiah > 0 AND w.held_rupiah = 0) AS removed,
       coalesce(sum(w.available_rupiah) FILTER (WHERE b.status = 'removed' AND w.held_rupiah = 0), 0)::bigint AS rupiah
  FROM beneficiary b
  JOIN wallet w ON w.programme_id = $1 AND w.beneficiary_id = b.beneficiary_id
 WHERE b.programme_id = $1 AND (b.next_status_at IS NOT NULL OR b.leaves_at IS NOT NULL OR b.status = 'removed')
"""
_ROLL_IMPORTS: Final = "SELECT import_id FROM roll_import WHERE programme_id = $1 AND finished_at IS NULL"
_LOCK_WALLETS: Final = """
-- Every family's root, in the order of their ids: no till records anything until the close is written.
SELECT beneficiary_id, available_rupiah FROM wallet WHERE programme_id = $1 ORDER BY beneficiary_id FOR UPDATE
"""
_EMPTY_WALLETS: Final = """
-- All of them, for their versions: whatever was decided about a family before is decided again.
UPDATE wallet SET available_rupiah = 0, version = version + 1 WHERE programme_id = $1
"""
_CLOSE: Final = """
-- A trigger raises the version of the reference data: from this commit on every process knows.
UPDATE programme SET closed_at = $2 WHERE programme_id = $1
"""


class ClosingRefused(Exception):  # noqa: N818
    """Nothing was changed; the message gives every reason."""

    def __init__(self, programme_id: ProgrammeId, reasons: Sequence[str]) -> None:
        super().__init__("\n  - ".join([f"{programme_id} cannot be closed yet:", *reasons]))
        self.reasons = tuple(reasons)


class BooksDoNotTie(Exception):  # noqa: N818
    """The closing statement does not add up, so nothing was changed: `authz ledger check` says where it is wrong."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """`now` is False where the programme had been closed before."""

    statement: ClosingStatement
    now: bool


async def close(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    *,
    reason: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> Closed:
    """The programme is closed, now or before, and this is its statement; ClosingRefused while something is open."""
    with said_clearly():
        await sweep_to_the_end(settings, programme_id, clock, chance)
    # Looked at without a lock first: a close that is refused keeps no till waiting.
    async with one_snapshot(connection, settings):
        await _require_nothing_open(connection, programme_id, clock)
    closed_now = False
    async with alone_with(connection, settings, programme_id):
        if not await _is_closed(connection, programme_id):
            await _close(connection, programme_id, reason, actor, clock, chance)
            closed_now = True
    return Closed(statement=await closing_statement(connection, settings, programme_id), now=closed_now)


async def what_is_open(connection: Connection, programme_id: ProgrammeId, now: datetime) -> list[str]:
    """Every reason why the programme cannot be closed at `now`, in words and figures; none for a closed one."""
    programme = await connection.fetchrow(_PROGRAMME, programme_id)
    if programme is None or programme["closed_at"] is not None:
        return []
    zone = ZoneInfo(programme["zone"])
    reasons = [f"It runs until {_at(programme['ends_at'], zone)}."] if now < programme["ends_at"] else []
    reasons += _about_holds(await connection.fetchrow(_HOLDS, programme_id, now), zone)
    reasons += await what_is_unsettled(connection, programme_id)
    reasons += await open_notices(connection, programme_id)
    reasons += await open_exceptions(connection, programme_id)
    reasons += _about_families(await connection.fetchrow(_FAMILIES, programme_id), zone)
    reasons += [
        f"Not finished: the roll {row[0]}; apply or withdraw it first."
        for row in await connection.fetch(_ROLL_IMPORTS, programme_id)
    ]
    return reasons


async def _close(
    connection: Connection, programme_id: ProgrammeId, reason: str, actor: str, clock: Clock, chance: Chance
) -> None:
    wallets = await connection.fetch(_LOCK_WALLETS, programme_id)
    now = await _require_nothing_open(connection, programme_id, clock)
    # Nothing is open, and nobody can open anything. After this point only books that do not tie end the close.
    unallocated = await connection.fetchval(_OWN_ACCOUNT, programme_id, UNALLOCATED)
    transfers = list(_returns(wallets, unallocated, reason, now, chance))
    await enter(connection, programme_id, transfers)
    await connection.execute(_EMPTY_WALLETS, programme_id)
    await connection.execute(_CLOSE, programme_id, now)
    returned_rupiah = unallocated + sum(wallet["available_rupiah"] for wallet in wallets)
    await publish(connection, programme_id, ProgrammeClosed(returned_amount=returned_rupiah), at=now, chance=chance)
    await keep_order(
        connection,
        programme_id,
        OrderKind.PROGRAMME_CLOSED,
        actor=actor,
        reason=reason,
        now=now,
        chance=chance,
        detail={"returned_rupiah": returned_rupiah},
    )
    statement = await statement_of(connection, programme_id)
    if not all(tie.holds for tie in statement.ties):
        raise BooksDoNotTie


def _returns(
    wallets: Sequence[asyncpg.Record], unallocated_rupiah: int, reason: str, now: datetime, chance: Chance
) -> Iterator[Transfer]:
    """What each family has not spent becomes nobody's, and all that is nobody's the sponsor's."""

    def fresh_id() -> TransferId:
        return TransferId(new_id("trf", now, chance(CHANCE_BYTES)))

    for wallet in wallets:
        if amount_rupiah := wallet["available_rupiah"]:
            unallocated_rupiah += amount_rupiah
            yield left_over(fresh_id(), BeneficiaryId(wallet["beneficiary_id"]), amount_rupiah, reason, now)
    if unallocated_rupiah:
        yield returned_to_the_sponsor(fresh_id(), unallocated_rupiah, reason, now)


async def _require_nothing_open(connection: Connection, programme_id: ProgrammeId, clock: Clock) -> datetime:
    """The instant at which nothing was open."""
    now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
    if reasons := await what_is_open(connection, programme_id, now):
        raise ClosingRefused(programme_id, reasons)
    return now


async def _is_closed(connection: Connection, programme_id: ProgrammeId) -> bool:
    programme = await connection.fetchrow(_PROGRAMME, programme_id)
    return programme is not None and programme["closed_at"] is not None


def _about_holds(row: asyncpg.Record | None, zone: ZoneInfo) -> Iterator[str]:
    if row is not None and row["holds"]:
        yield (
            f"Held: {in_rupiah(row['rupiah'])} in {several(row['holds'], 'hold')}, the last until"
            f" {_at(row['last_ends_at'], zone)}; capture or void them, or wait."
        )
    if row is not None and row["holds_over"]:
        yield (
            f"Over but not written: {in_rupiah(row['rupiah_over'])} in {several(row['holds_over'], 'hold')};"
            " a close writes their end first: try again."
        )


def _about_families(row: asyncpg.Record | None, zone: ZoneInfo) -> Iterator[str]:
    if row is not None and row["changes"]:
        yield (
            f"Not applied: the dated change of {several(row['changes'], 'family', 'families')}, the first of"
            f" {_at(row['first_at'], zone)}; apply it first."
        )
    if row is not None and row["removed"]:
        yield (
            f"Not returned: {in_rupiah(row['rupiah'])} of {several(row['removed'], 'family', 'families')} removed"
            " meanwhile; return it first."
        )


def _at(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%-d %B %Y at %H:%M %Z}"
