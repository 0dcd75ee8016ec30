"""What a run says: on the console in medians over its rounds, in a file whole."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from authz_service.ledger.audit import Finding
from loadtests.bars import Bar, bars
from loadtests.kinds import EMPTY, TPC_B
from loadtests.measures import Measure

console: Final = Console(width=120)
"""As wide as its tables, also in a file."""
WRK_TAIL: Final = (
    "p99 and p99.9 at full speed are wrk's: the first answer of each connection is slow, and its correction for\n"
    "coordinated omission counts it many times over. In a shot of a few seconds they tell of the start, in one of ten\n"
    "seconds no longer. No bar rests on them; the tail at a rate is measured by loadtests/driver.py."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that is known of a run when it is over."""

    began_at: datetime
    plan: dict[str, Any]
    machine: dict[str, Any]
    disturbed: Sequence[str]
    """Why its figures are not to be quoted, though nothing was wrong with the answers."""
    generator: str
    measures: Sequence[Measure]
    findings: Sequence[Finding]
    audit_seconds: float

    @property
    def void(self) -> list[str]:
        """Why it is no measurement: the answers, or the books, are not those that this service is for."""
        astray = sum(measure.astray for measure in self.measures)
        broken = any(finding.violations for finding in self.findings)
        return [
            *([f"{astray} answers were 2xx and not what was meant"] if astray else []),
            *(["the books are not in order"] if broken else []),
        ]

    @property
    def errors(self) -> int:
        return sum(measure.errors for measure in self.measures)

    @property
    def refused(self) -> Counter[str]:
        """By status."""
        return sum((Counter(measure.refused) for measure in self.measures), Counter[str]())

    @property
    def marks(self) -> list[str]:
        """Why its figures are not to be quoted."""
        by_status = ", ".join(f"{number} x {status}" for status, number in sorted(self.refused.items()))
        wrong = f"{self.errors} answers were not what was meant ({by_status or 'none refused'})"
        return [*self.void, *self.disturbed, *([wrong] if self.errors else [])]


def show_marks(run: Run) -> None:
    for each in run.marks:
        console.print(f"This run is marked: {each}.", style="bold red", highlight=False)


def show_of(run: Run) -> None:
    """With a note on the percentiles where wrk has sent."""
    show(run.measures)
    if run.generator.startswith("wrk"):
        console.print(WRK_TAIL, highlight=False)


def show(measures: Sequence[Measure]) -> None:
    """A table for each number of connections, and one for what was sent at a rate."""
    for connections in sorted({each.connections for each in measures if each.asked_per_second is None}):
        here = [each for each in measures if each.connections == connections and each.asked_per_second is None]
        console.print(_table("1 connection" if connections == 1 else f"{connections} connections", here))
    if paced := [each for each in measures if each.asked_per_second is not None]:
        console.print(_table(f"{paced[0].asked_per_second:.0f} a second, latency from when each was due", paced))


def show_bars(found: Sequence[Bar]) -> None:
    table = Table(
        *("bar", "is", "to be", "met", "by rounds"),
        title="The bars, medians of the rounds' ratios",
        title_justify="left",
        box=SIMPLE,
    )
    for column in table.columns[1:3]:
        column.justify = "right"
    for bar in found:
        ratio = "?" if bar.ratio is None else f"{bar.ratio:.3f}"
        met = {True: "[green]yes", False: "[red]no", None: "void"}[bar.met]
        each = "  ".join(f"{one.ratio:.3f}{'*' if one.why_void else ''}" for one in bar.rounds)
        table.add_row(bar.name, ratio, f"{'≥' if bar.is_floor else '≤'} {bar.bound}", met, each)
    console.print(table)
    for bar in found:
        for one in bar.rounds:
            if one.why_void:
                console.print(f"* {bar.name}: round {one.round} does not count, {one.why_void}.", highlight=False)


def document(run: Run) -> dict[str, Any]:
    """What stands in the file."""
    return {
        "began_at": run.began_at.isoformat(timespec="seconds"),
        "void": bool(run.void),
        "errors": run.errors,
        "disturbed": run.disturbed,
        "generator": run.generator,
        "plan": run.plan,
        "machine": run.machine,
        "bars": [
            {**asdict(bar), "ratio": bar.ratio, "met": bar.met, "why_void": bar.why_void} for bar in bars(run.measures)
        ],
        "books": {
            "checked_in_seconds": round(run.audit_seconds, 1),
            "broken": {each.invariant.sentence: each.examples for each in run.findings if each.violations},
            "invariants": len(run.findings),
        },
        "measures": [{**asdict(each), "per_second": round(each.shot.per_second, 1)} for each in run.measures],
    }


def write(run: Run, folder: Path, name: str, more: Mapping[str, Any] | None = None) -> Path:
    """`more` is what this bench has to say besides."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{run.began_at:%Y%m%dT%H%M%SZ}-{name}.json"
    file.write_bytes(
        orjson.dumps({**document(run), **(more or {})}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    return file


def _table(title: str, measures: Sequence[Measure]) -> Table:
    columns = ("", "a second", "p50 ms", "p99 ms", "p99.9 ms", "errors", "batch")
    cpu_us = ("CPU µs: endpoint", "PostgreSQL", "Valkey", "sender")
    table = Table(*columns, *cpu_us, title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    for kind in dict.fromkeys(each.kind for each in measures):
        table.add_row(*_row(kind, [each for each in measures if each.kind == kind]))
    return table


def _row(kind: str, rounds: Sequence[Measure]) -> list[str]:
    endpoint = "empty" if kind == EMPTY.name else "service"
    errors = sum(each.errors for each in rounds)
    batch = median(each.batch_mean for each in rounds)
    return [
        kind,
        f"{median(each.shot.per_second for each in rounds):.0f}",
        *(
            f"{median(latencies) / 1000:.2f}"
            for latencies in zip(
                *((each.shot.p50_us, each.shot.p99_us, each.shot.p999_us) for each in rounds), strict=True
            )
        ),
        f"[red]{errors}" if errors else "0",
        f"{batch:.1f}" if batch else "",
        *(
            ""
            if kind == TPC_B and process not in {"postgres", "generator"}
            else f"{median(each.cpu_us_per_request[process] for each in rounds):.0f}"
            for process in (endpoint, "postgres", "valkey", "generator")
        ),
    ]
