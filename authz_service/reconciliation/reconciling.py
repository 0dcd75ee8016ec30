"""A statement of the bank is reconciled: kept, matched with the books, followed where nothing contradicts it; what
disagrees is in the queue. One transaction under the programme's lock, or nothing; a dry run is that transaction undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.events.kinds import ProgrammeFunded
from authz_service.events.outbox import publish
from authz_service.ledger.accounts import FUND
from authz_service.ledger.bookings import book
from authz_service.ledger.entries import alone_with
from authz_service.ledger.postings import funded
from authz_service.orders import OrderKind, keep_order
from authz_service.reconciliation.balance import Balance, Move, balance_of
from authz_service.reconciliation.exceptions import Queued, queue
from authz_service.reconciliation.findings import Finding, Funding, Payout, State, Step
from authz_service.reconciliation.reconcile import reconcile
from authz_service.reconciliation.statement_chain import breaks_between
from authz_service.reconciliation.statement_lines import Statement, StatementRefused
from authz_service.reconciliation.statements import KeptStatement, keep_matches, keep_statement, kept_lines
from authz_service.reconciliation.three_way import books_that_differ
from authz_service.reconciliation.working_days import is_working_day
from authz_service.settings import Settings
from authz_service.settlement.instructions import Source, Told, release_payout, return_payout, settle_payout
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, TransferId, new_id

_PROGRAMME: Final = """
SELECT zone, closed_at IS NOT NULL AS is_closed, coalesce(holidays, '{}') AS holidays
  FROM programme WHERE programme_id = $1
"""
_PAYOUTS: Final = """
-- Every instruction, with the days of its events and the references under which the bank told of it.
SELECT i.instruction_id, i.merchant_id, i.amount_rupiah, i.account_number,
       (i.created_at AT TIME ZONE $2)::date AS created_on, e.events, e.days, e.bank_references, n.told_references
  FROM payout_instruction i
  LEFT JOIN (SELECT instruction_id, array_agg(event ORDER BY event) AS events,
                    array_agg((at AT TIME ZONE $2)::date ORDER BY event) AS days,
                    array_agg(bank_reference) FILTER (WHERE bank_reference IS NOT NULL) AS bank_references
               FROM payout_event
              WHERE programme_id = $1
              GROUP BY instruction_id) e USING (instruction_id)
  LEFT JOIN (SELECT reference AS instruction_id, array_agg(DISTINCT bank_reference) AS told_references
               FROM bank_notice
              WHERE programme_id = $1
              GROUP BY reference) n USING (instruction_id)
 WHERE i.programme_id = $1
"""
_FUNDINGS: Final = """
-- Money that the sponsor has announced, and the day on which it came.
SELECT f.reference, f.amount_rupiah, (f.announced_at AT TIME ZONE $2)::date AS announced_on,
       (min(t.created_at) AT TIME ZONE $2)::date AS came_on
  FROM expected_funding f
  LEFT JOIN transfer t ON t.programme_id = $1 AND t.kind = 'fund' AND t.authorisation_id IS NULL
                      AND t.reason = f.reference
 WHERE f.programme_id = $1
 GROUP BY f.reference, f.amount_rupiah, f.announced_at
"""
_MOVES: Final = """
-- What the books have moved at the bank, by day and reference; no part of a purchase moves this account.
SELECT reason AS reference, (created_at AT TIME ZONE $2)::date AS "on",
       sum(CASE debit_account_id WHEN $3 THEN amount_rupiah ELSE -amount_rupiah END)::bigint AS amount_rupiah
  FROM transfer
 WHERE programme_id = $1 AND authorisation_id IS NULL AND $3 IN (debit_account_id, credit_account_id)
 GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What is so of everything after this statement; `today` is the day in the programme's zone."""

    today: date
    statement: KeptStatement
    balance: Balance
    findings: Sequence[Finding]
    queued: Queued
    is_rehearsal: bool

    @property
    def steps(self) -> int:
        return sum(len(each.steps) for each in self.findings)

    def of(self, state: State) -> list[Finding]:
        return [each for each in self.findings if each.state is state]


class _RehearsedError(Exception):
    """The transaction is undone, and this is what it came to."""

    def __init__(self, reconciled: Reconciled) -> None:
        super().__init__()
        self.reconciled = reconciled


async def reconcile_statement(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    statement: Statement,
    *,
    actor: str,
    clock: Clock,
    chance: Chance,
    is_rehearsal: bool = False,
) -> Reconciled:
    """The statement is in the books, with all that follows from it; of a rehearsal nothing is."""
    try:
        async with alone_with(connection, settings, programme_id):
            now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
            done = await _reconcile(connection, settings, programme_id, statement, actor, now, chance)
            if is_rehearsal:
                raise _RehearsedError(done)
            return done
    except _RehearsedError as rehearsed:
        return Reconciled(
            today=rehearsed.reconciled.today,
            statement=rehearsed.reconciled.statement,
            balance=rehearsed.reconciled.balance,
            findings=rehearsed.reconciled.findings,
            queued=rehearsed.reconciled.queued,
            is_rehearsal=True,
        )


async def _reconcile(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    statement: Statement,
    actor: str,
    now: datetime,
    chance: Chance,
) -> Reconciled:
    row = await connection.fetchrow(_PROGRAMME, programme_id)
    if row is None:
        raise StatementRefused(f"There is no programme {programme_id}.")
    zone = row["zone"]
    today = now.astimezone(ZoneInfo(zone)).date()
    if statement.to_on > today:
        raise StatementRefused(f"The statement ends on {statement.to_on}, and today is {today}.")
    kept = await keep_statement(connection, programme_id, statement, actor=actor, now=now, chance=chance)
    said = await kept_lines(connection, programme_id)
    findings = reconcile(
        said.lines,
        [_payout(each) for each in await connection.fetch(_PAYOUTS, programme_id, zone)],
        [Funding(**each) for each in await connection.fetch(_FUNDINGS, programme_id, zone)],
        known=said.about,
        covered_until=said.covered_until,
        proposal_days=settings.statement_proposal_days,
        is_closed=row["is_closed"],
    )
    for each in findings:
        await _follow(connection, programme_id, each, actor, now, chance)
    matches = [
        (line.identity, each.reference)
        for each in findings
        if each.state is not State.MISSING_HERE
        for line in each.lines
        if line.identity not in said.about
    ]
    await keep_matches(connection, programme_id, matches, now)
    moves = [Move(**each) for each in await connection.fetch(_MOVES, programme_id, zone, FUND)]
    balance = balance_of(said.spans, findings, moves)
    findings += [balance.finding] if balance.finding else []
    findings += await books_that_differ(connection, programme_id, today)
    findings += breaks_between(said.spans, said.lines, lambda day: is_working_day(day, row["holidays"]))
    queued = await queue(connection, programme_id, findings, now=now, chance=chance)
    done = Reconciled(
        today=today, statement=kept, balance=balance, findings=findings, queued=queued, is_rehearsal=False
    )
    if kept.is_new or done.steps:
        detail = {
            "statement": statement.digest.hex(),
            "from": statement.from_on.isoformat(),
            "until": statement.to_on.isoformat(),
            "new_lines": kept.new_lines,
            "steps": done.steps,
            "exceptions_raised": queued.raised,
        }
        kind = OrderKind.STATEMENT_RECONCILED
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return done


def _payout(row: asyncpg.Record) -> Payout:
    return Payout(
        reference=row["instruction_id"],
        merchant_id=row["merchant_id"],
        amount_rupiah=row["amount_rupiah"],
        account_number=row["account_number"],
        created_on=row["created_on"],
        events=dict(zip(row["events"] or (), row["days"] or (), strict=True)),
        bank_references=frozenset([*(row["bank_references"] or ()), *(row["told_references"] or ())]),
    )


_STEPS: Final = {Step.SETTLE: settle_payout, Step.RETURN: return_payout, Step.RELEASE: release_payout}


async def _follow(
    connection: Connection, programme_id: ProgrammeId, finding: Finding, actor: str, now: datetime, chance: Chance
) -> None:
    """The books say what the statement shows of it."""
    for step in finding.steps:
        if step is Step.FUND:
            transfer_id = TransferId(new_id("trf", now, chance(CHANCE_BYTES)))
            transfer = funded(transfer_id, finding.ours_rupiah or 0, now, finding.reference)
            await book(connection, programme_id, transfer)
            event = ProgrammeFunded(transfer_id=transfer_id, reference=finding.reference, amount=transfer.amount_rupiah)
            await publish(connection, programme_id, event, at=now, chance=chance)
            continue
        # What left is the bank's word for the payment; what came back, for its return.
        wanted = -1 if step is Step.SETTLE else 1
        line = next(each for each in finding.lines if each.amount_rupiah * wanted > 0)
        told = Told(
            source=Source.STATEMENT,
            actor=actor.strip(),
            at=now,
            bank_reference=line.bank_reference or None,
            reason=f"statement, {line.booked_on}",
        )
        await _STEPS[step](connection, programme_id, finding.reference, told=told, chance=chance)
