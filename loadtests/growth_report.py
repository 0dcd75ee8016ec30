"""What a run of `make bench-scale` says: each size beside the smallest, and why its figures may not be quoted."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from loadtests.books import Made
from loadtests.growth_facts import Disk, Memory
from loadtests.shots import Shot

LEAST_RATE: Final = 0.9
MOST_P99: Final = 1.3
console: Final = Console(width=140)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement of one size."""

    number: int
    families: int
    shot: Shot
    astray: int
    """Answers that were 2xx and no new approval."""
    wal_bytes: int
    """Written to PostgreSQL's log meanwhile: the first change of a page after a checkpoint writes the whole page."""
    wal_fpi: int | None
    """Pages that were written whole ("full page images"); None where the log was gone before it could be read."""
    wal_fpi_bytes: int | None
    memory: dict[str, Memory]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How long the books took to check."""

    full_seconds: float
    full: str
    recent_seconds: float
    recent: str
    recent_families: int
    recent_authorisations: int
    """What the check of what is new has read: it begins a margin before what is new."""

    @property
    def in_order(self) -> bool:
        return self.full.startswith("The books are in order") and self.recent.startswith("The books are in order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """All that was measured at one size."""

    books: Made
    disk: Disk
    rounds: Sequence[Round]
    checked: Checked

    @property
    def per_second(self) -> float:
        return median(each.shot.per_second for each in self.rounds)

    @property
    def p50_us(self) -> float:
        return median(each.shot.p50_us for each in self.rounds)

    @property
    def p99_us(self) -> float:
        return median(each.shot.p99_us for each in self.rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRun:
    """All that is known when it is over."""

    began_at: datetime
    arguments: dict[str, Any]
    machine: dict[str, Any]
    generator: str
    disturbed: Sequence[str]
    """Of the machine."""
    sizes: Sequence[Grown]
    """The smallest first: the others are compared with it."""
    empty_endpoint: Sequence[Shot]

    @property
    def void(self) -> list[str]:
        """Why it is not a measurement of sales at all."""
        astray = sum(one.astray for each in self.sizes for one in each.rounds)
        broken = [f"{each.books.families} families" for each in self.sizes if not each.checked.in_order]
        return [
            *([f"{astray} answers were no new approvals"] if astray else []),
            *([f"the books are not in order: {', '.join(broken)}"] if broken else []),
        ]

    @property
    def marks(self) -> list[str]:
        """Why its figures are not to be quoted."""
        errors = sum(one.shot.errors for each in self.sizes for one in each.rounds)
        return [*self.void, *self.disturbed, *([f"{errors} answers were not 2xx"] if errors else [])]


def ratio(larger: Grown, smallest: Grown, figure: Callable[[Shot], float]) -> float:
    """The median of the rounds' ratios, with three digits: as it is printed it is judged."""
    theirs = {each.number: figure(each.shot) for each in smallest.rounds}
    return round(median(figure(each.shot) / theirs[each.number] for each in larger.rounds), 3)


def verdicts(sizes: Sequence[Grown]) -> list[tuple[str, bool]]:
    """A sentence for each bar, and whether it is met: the largest books beside the smallest."""
    rate = ratio(sizes[-1], sizes[0], lambda shot: shot.per_second)
    p99 = ratio(sizes[-1], sizes[0], lambda shot: shot.p99_us)
    beside = "that of the smallest books, median of the rounds' ratios"
    return [
        (f"authorise keeps {rate:.3f} x {beside} (at least {LEAST_RATE})", rate >= LEAST_RATE),
        (f"p99 is {p99:.3f} x {beside} (at most {MOST_P99})", p99 <= MOST_P99),
    ]


def show(run: GrowthRun) -> None:
    table = Table(title="The same sales on books of these sizes, medians of the rounds", title_justify="left")
    for heading in ("", *(f"{each.books.families:,} families" for each in run.sizes)):
        table.add_column(heading, justify="right" if heading else "left")
    for heading, shown in _ROWS.items():
        table.add_row(heading, *(shown(each) for each in run.sizes))
    console.print(table)
    empty = median(shot.per_second for shot in run.empty_endpoint)
    console.print(
        f"The empty endpoint meanwhile: {empty:,.0f}/s. Sent by {run.generator}.", markup=False, highlight=False
    )
    for sentence, met in verdicts(run.sizes):
        console.print(f"{'✓' if met else '✗'} {sentence}", soft_wrap=True)
    for each in run.marks:
        console.print(f"✗ {each}: these figures are not to be quoted", soft_wrap=True)


def document(run: GrowthRun) -> dict[str, Any]:
    """What stands in the file."""
    return {
        "began_at": run.began_at,
        "void": bool(run.void),
        "disturbed": run.marks,
        "generator": run.generator,
        "arguments": run.arguments,
        "machine": run.machine,
        "verdicts": [{"sentence": sentence, "met": met} for sentence, met in verdicts(run.sizes)],
        "sizes": [
            {**asdict(each), "per_second": each.per_second, "p50_us": each.p50_us, "p99_us": each.p99_us}
            for each in run.sizes
        ],
        "empty_endpoint": [asdict(shot) for shot in run.empty_endpoint],
    }


def write(run: GrowthRun, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{run.began_at:%Y%m%dT%H%M%SZ}-growth.json"
    file.write_bytes(orjson.dumps(document(run), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return file


def _megabytes(kind: str) -> Callable[[Grown], str]:
    def shown(each: Grown) -> str:
        return f"{median(one.memory[kind].pss for one in each.rounds) / 1e6:,.0f} MB"

    return shown


def _whole_pages(each: Grown) -> str:
    counts = [one.wal_fpi / max(one.shot.requests, 1) for one in each.rounds if one.wal_fpi is not None]
    return f"{median(counts):.2f}" if counts else "?"


_ROWS: Final[dict[str, Callable[[Grown], str]]] = {
    "past authorisations": lambda each: f"{each.disk.authorisations:,}",
    "authorise, per second": lambda each: f"{each.per_second:,.0f}",
    "p50": lambda each: f"{each.p50_us / 1000:.2f} ms",
    "p99": lambda each: f"{each.p99_us / 1000:.2f} ms",
    "not 2xx, or no new approval": lambda each: f"{sum(one.shot.errors + one.astray for one in each.rounds)}",
    "log (WAL) an authorisation": lambda each: (
        f"{median(one.wal_bytes / max(one.shot.requests, 1) for one in each.rounds):,.0f} bytes"
    ),
    "  pages written whole in it": _whole_pages,
    "bytes an authorisation": lambda each: f"{sum(each.disk.bytes_an_authorisation.values()):,.0f}",
    "on disk": lambda each: f"{each.disk.bytes_in_all / 1e9:,.2f} GB",
    "service (PSS)": _megabytes("service"),
    "PostgreSQL (PSS)": _megabytes("postgres"),
    "Valkey (PSS)": _megabytes("valkey"),
    "ledger check, in full": lambda each: f"{each.checked.full_seconds:,.1f} s",
    "ledger check, what is new": lambda each: (
        f"{each.checked.recent_seconds:,.2f} s of {each.checked.recent_authorisations:,} authorisations"
    ),
}
