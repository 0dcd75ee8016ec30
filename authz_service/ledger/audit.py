"""The books are checked: every invariant, all in one snapshot, each with the rows that break it.

In full, or only the families that were touched since an instant: the same invariants, on less.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from authz_service.database import Connection
from authz_service.ledger.invariants import INVARIANTS
from authz_service.ledger.invariants.given import GIVEN, Invariant, given_arguments
from authz_service.ledger.recent import NARROWED, Recent, read_recent
from authz_service.settings import settings_from_environment

if TYPE_CHECKING:
    from rich.console import Console

CLOCK_SLACK: Final = timedelta(minutes=1)
"""Whoever says what time it is looked at the clock before the snapshot was taken, and perhaps at another clock."""

_LIMITS: Final = """
-- Old statistics must not choose a plan that reads one table once for each row of another.
SELECT set_config('statement_timeout', $1, true), set_config('work_mem', $2, true),
       set_config('enable_nestloop', 'off', true)
"""
_BROKEN: Final = "     broken AS ("
_COUNTED: Final = """)
SELECT count(*) AS violations,
       (SELECT array_agg(what ORDER BY what) FROM (SELECT what FROM broken ORDER BY what LIMIT 20) AS first) AS examples
  FROM broken
"""
_EXPIRED_UNWRITTEN: Final = """
-- Holds that are over although nobody has written it yet.
SELECT count(*) FROM hold WHERE programme_id = $1 AND held_rupiah > 0 AND expires_at <= $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How many rows break the invariant, and what is wrong with the first of them."""

    invariant: Invariant
    violations: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentFindings:
    """Of what was written lately; an invariant that no part of the books tells anything about has no finding."""

    recent: Recent
    findings: list[Finding]


async def check(connection: Connection, programme_id: str, *, now: datetime) -> list[Finding]:
    """A finding for every invariant, in their order, all of one snapshot; `now` is the service's time."""
    async with _one_snapshot(connection):
        arguments = (programme_id, now + CLOCK_SLACK, *given_arguments())
        return [await _finding(connection, invariant, statement(invariant), arguments) for invariant in INVARIANTS]


async def check_since(connection: Connection, programme_id: str, *, now: datetime, since: datetime) -> RecentFindings:
    """A finding for every invariant that can be asked of the families touched since then; all of one snapshot."""
    async with _one_snapshot(connection):
        recent = await read_recent(connection, programme_id, since)
        arguments = (programme_id, now + CLOCK_SLACK, *given_arguments(), *recent.arguments())
        findings = [
            await _finding(connection, invariant, recent_statement(invariant), arguments)
            for invariant in INVARIANTS
            if invariant.reach in NARROWED
        ]
        return RecentFindings(recent=recent, findings=findings)


async def expired_unwritten(connection: Connection, programme_id: str, now: datetime) -> int:
    """How many holds are over and not yet released: a figure to watch, never a violation."""
    holds: int = await connection.fetchval(_EXPIRED_UNWRITTEN, programme_id, now)
    return holds


def statement(invariant: Invariant) -> str:
    """The whole statement, its sentence first."""
    return f"-- {invariant.sentence}\nWITH{GIVEN}{_BROKEN}{invariant.query}{_COUNTED}"


def recent_statement(invariant: Invariant) -> str:
    """The same, with all tables narrowed."""
    return f"-- {invariant.sentence}\nWITH{NARROWED[invariant.reach]}{GIVEN}{_BROKEN}{invariant.query}{_COUNTED}"


def render(findings: Sequence[Finding], console: "Console") -> None:
    """The console shows a line for each invariant, what is wrong under a broken one, and a sentence for all."""
    for finding in findings:
        mark, style = ("✗", "bold red") if finding.violations else ("✓", "green")
        count = f" ({finding.violations})" if finding.violations else ""
        said = [f"{mark} {finding.invariant.sentence}{count}", *(f"    {example}" for example in finding.examples)]
        if finding.violations > len(finding.examples):
            said.append(f"    and {finding.violations - len(finding.examples)} more")
        for line in said:
            console.print(line, style=style if line is said[0] else None, markup=False, highlight=False, soft_wrap=True)
    console.print(summary(findings), style="bold", markup=False, highlight=False, soft_wrap=True)


def summary(findings: Sequence[Finding]) -> str:
    broken = [finding for finding in findings if finding.violations]
    if not broken:
        return f"The books are in order: all {len(findings)} invariants hold."
    violations = sum(finding.violations for finding in broken)
    return f"The books are NOT in order: {len(broken)} of {len(findings)} invariants are broken by {violations} rows."


@asynccontextmanager
async def _one_snapshot(connection: Connection) -> AsyncIterator[None]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        settings = settings_from_environment()
        limits = (f"{settings.audit_statement_timeout_ms}ms", f"{settings.audit_work_mem_mb}MB")
        await connection.execute(_LIMITS, *limits)
        yield


async def _finding(connection: Connection, invariant: Invariant, statement: str, arguments: tuple[Any, ...]) -> Finding:
    try:
        # A savepoint: what cannot even be read is one invariant's finding and must not end the others.
        async with connection.transaction():
            row = await connection.fetchrow(statement, *arguments)
    except asyncpg.DataError as unreadable:
        return Finding(
            invariant=invariant, violations=1, examples=(f"a row cannot be read: {type(unreadable).__name__}",)
        )
    if row is None:
        raise RuntimeError("a count always has a row")
    return Finding(invariant=invariant, violations=row["violations"], examples=tuple(row["examples"] or ()))
