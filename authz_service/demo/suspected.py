"""What the signals found of the quarter's schemes, and what they took for one that was honest: the plan knows.

A day is computed before its shops are paid. At the end two people judge what was found; what is still held then is
released, since nobody else would close the programme for them.
"""

from collections import defaultdict
from collections.abc import Mapping
from os import urandom
from typing import Any, Final

import asyncpg
from rich import box
from rich.console import Console
from rich.table import Table

from authz_service.clock import ShiftedClock
from authz_service.declines import APPROVED, DeclineReason
from authz_service.demo.misuse import HELD, SEEN_BY, Scheme
from authz_service.demo.plan import Plan
from authz_service.demo.report import counted
from authz_service.demo.town import DemoFailedError
from authz_service.settings import Settings
from authz_service.settlement.waits import unwait
from authz_service.signals.keeping import WATCHER
from authz_service.signals.kinds import Signal
from authz_service.signals.standing import Standing, confirm, dismiss
from authz_service.vocabulary import ProgrammeId, in_rupiah, several

_DINSOS: Final = "dinsos"
_INSPECTORATE: Final = "Inspektorat"
_DECISIONS: Final = """
-- What came of the requests with the cards of these families.
SELECT a.authorisation_id, a.beneficiary_id, a.terminal_id, (a.created_at AT TIME ZONE p.zone)::date AS on_day, a.reason
  FROM authorisation a
  JOIN programme p USING (programme_id)
 WHERE a.programme_id = $1 AND a.beneficiary_id = ANY ($2)
"""
_FOUND: Final = """
SELECT f.finding_id, f.signal, f.standing, s.authorisation_id
  FROM signal_finding f
  JOIN signal_purchase s USING (programme_id, finding_id)
 WHERE f.programme_id = $1
 ORDER BY f.finding_id
"""
_HELD: Final = """
-- What the signals have ever held, what of it waits, and how much was approved.
SELECT w.authorisation_id, w.released_at IS NULL AS waits, a.approved_rupiah
  FROM settlement_wait w
  JOIN authorisation a USING (programme_id, authorisation_id)
 WHERE w.programme_id = $1 AND w.flagged_by = $2
 ORDER BY w.authorisation_id
"""


class Truth:
    """Which decisions are somebody's scheme."""

    def __init__(self, scheme_of: Mapping[str, Scheme]) -> None:
        self.scheme_of = scheme_of

    def of(self, signal: Signal) -> set[str]:
        """What it is to find."""
        return {purchase for purchase, scheme in self.scheme_of.items() if signal in SEEN_BY[scheme]}

    @property
    def to_hold(self) -> set[str]:
        return {purchase for purchase, scheme in self.scheme_of.items() if scheme in HELD}


async def truth_of(connection: "asyncpg.Connection[asyncpg.Record]", programme_id: ProgrammeId, plan: Plan) -> Truth:
    """By family, till and day, since only the service knows its ids."""
    zone = plan.town.terms.zone
    planned = {
        (visit.beneficiary_id, visit.terminal_id, visit.at.astimezone(zone).date()): Scheme(scheme)
        for scheme, visit in plan.misused
    }
    rows = await connection.fetch(_DECISIONS, programme_id, [who for who, _, _ in planned])
    scheme_of = {}
    for row in rows:
        scheme = planned.get((row["beneficiary_id"], row["terminal_id"], row["on_day"]))
        wrong = DeclineReason.PRODUCT_NOT_PERMITTED if scheme is Scheme.EGGS_BY_PIECE else APPROVED
        if scheme is not None and row["reason"] == wrong:
            scheme_of[row["authorisation_id"]] = scheme
    return Truth(scheme_of)


async def print_suspected(
    connection: "asyncpg.Connection[asyncpg.Record]",
    settings: Settings,
    programme_id: ProgrammeId,
    plan: Plan,
    clock: ShiftedClock,
    console: Console,
) -> None:
    """The console shows precision and recall of each signal, of all, and of what was held; then all of it is judged."""
    truth = await truth_of(connection, programme_id, plan)
    found: dict[str, set[str]] = defaultdict(set)
    findings: dict[str, tuple[str, set[str]]] = {}
    for row in await connection.fetch(_FOUND, programme_id):
        found[row["signal"]].add(row["authorisation_id"])
        findings.setdefault(row["finding_id"], (row["standing"], set()))[1].add(row["authorisation_id"])
    held = await connection.fetch(_HELD, programme_id, WATCHER)
    _print(console, truth, found, {row["authorisation_id"] for row in held})
    missed = set(truth.scheme_of) - set().union(*found.values())
    if missed:
        raise DemoFailedError(f"The signals missed {several(len(missed), 'request')} that was somebody's scheme.")
    here: Any = {"clock": clock, "chance": urandom}
    for finding_id, (standing, purchases) in findings.items():
        where = (connection, settings, programme_id, finding_id)
        if standing != Standing.OPEN:
            continue
        if purchases & set(truth.scheme_of):
            await confirm(*where, reason="penyalahgunaan", actor=_DINSOS, **here)
            await confirm(*where, reason="sudah diperiksa", actor=_INSPECTORATE, **here)
        else:
            await dismiss(*where, reason="belanja jujur", actor=_DINSOS, **here)
    waiting = [row for row in await connection.fetch(_HELD, programme_id, WATCHER) if row["waits"]]
    for row in waiting:
        where = (connection, settings, programme_id, row["authorisation_id"])
        await unwait(*where, reason="diselesaikan di luar program", actor=_INSPECTORATE, **here)
    rupiah = in_rupiah(sum(row["approved_rupiah"] for row in held))
    console.print(
        f"\nThe settlement of {several(len(held), 'purchase')} ({rupiah}) was held; it was released when two people had"
        " judged what was found.",
        highlight=False,
        soft_wrap=True,
    )


def _print(console: Console, truth: Truth, found: Mapping[str, set[str]], held: set[str]) -> None:
    console.print("\nSignals of misuse", style="bold", highlight=False)
    console.print(
        "Requests by what the plan says of them. Precision: of those found, how many were a scheme; recall: of the"
        " scheme's, how many were found.",
        style="dim",
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, heading in enumerate(("signal", "found", "a scheme", "precision", "to be found", "recall")):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    every = set(truth.scheme_of)
    for signal in Signal:
        _row(table, signal, found.get(signal, set()), every, truth.of(signal))
    table.add_section()
    _row(table, "in all", set().union(*found.values()), every, every)
    _row(table, "settlement held", held, every, truth.to_hold)
    console.print(table)


def _row(table: Table, name: str, found: set[str], schemes: set[str], wanted: set[str]) -> None:
    right = len(found & schemes)
    precision, recall = _percent(right, len(found)), _percent(len(found & wanted), len(wanted))
    table.add_row(name, counted(len(found)), counted(right), precision, counted(len(wanted)), recall)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
