"""Whether a run reached what `targets.toml` asks for, as a table and as the exit code."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    # Where locust is imported, gevent takes the place of much of Python; the table needs none of that.
    from locust.stats import RequestStats, StatsEntry

_MEDIAN, _TAIL = 0.5, 0.99
TAIL_OF_MORE_THAN: Final = 100
"""Requests: of so many or fewer, the 99th percentile is the slowest one."""
_NONE: Final = "–"  # noqa: RUF001 - a dash, as tables have it
_HEADINGS: Final = ("", "call", "requests", "rate/s", "p50 ms", "p99 ms", "errors")
_CAPTION: Final = f"Up to {TAIL_OF_MORE_THAN} requests have no p99: their slowest is shown and not judged."


class Target(BaseModel):
    """What one call of one journey must reach."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least_rate: float | None = Field(default=None, gt=0)
    """Requests a second; where it is given, a call that never came has failed."""
    most_p50_ms: float | None = Field(default=None, gt=0)
    most_p99_ms: float | None = Field(default=None, gt=0)
    most_errors: Decimal = Field(default=Decimal(0), ge=0, le=1)
    """Of all requests, as a share: of 390 a thousandth is none."""


class TargetsRefusedError(ValueError):
    """A run cannot be held against this file of targets; the sentence says why."""


Targets = dict[str, dict[str, Target]]
_TARGETS: Final = TypeAdapter(Targets)


class Verdict(StrEnum):
    """What is said of a call."""

    REACHED = "pass"
    FAIL = "FAIL"
    NEVER_CAME = _NONE
    """And no rate was asked: there is nothing to judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What one call did in a run."""

    requests: int = 0
    rate: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a row, what was asked, and whether that was reached."""

    text: str
    is_reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    journey: str
    call: str
    requests: int
    figures: tuple[Figure, ...]
    """In the order of the table's headings."""

    @property
    def verdict(self) -> Verdict:
        if not all(each.is_reached for each in self.figures):
            return Verdict.FAIL
        return Verdict.REACHED if self.requests else Verdict.NEVER_CAME


def load_targets(path: Path, *, journeys: Iterable[str], calls: Iterable[str]) -> Targets:
    """The table; TargetsRefusedError where it names what does not exist, and so would never fail."""
    try:
        targets = _TARGETS.validate_python(tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal))
    except OSError as error:
        raise TargetsRefusedError(f"{path} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise TargetsRefusedError(f"{path} is no table of targets: {found}.") from None
    except ValueError as error:
        raise TargetsRefusedError(f"{path} is no TOML: {error}.") from None
    known, named = set(calls), {call for journey in targets.values() for call in journey}
    if wrong := sorted((targets.keys() - set(journeys)) | (named - known)):
        raise TargetsRefusedError(f"{path} names no journey or call: {', '.join(wrong)}.")
    return targets


def without_targets(targets: Targets, journeys: Iterable[str]) -> str | None:
    """Why a run of these journeys says nothing, in a sentence: whatever they did, they would pass."""
    missing = [each for each in journeys if not targets.get(each)]
    return f"The file of targets asks nothing of {', '.join(missing)}." if missing else None


def judged(stats: "RequestStats", targets: Targets, journeys: Iterable[str]) -> list[Row]:
    """A row for each call that came or should have come in these journeys."""
    reached = {tuple(entry.name.split(" ", 1)): _reached(entry) for entry in stats.entries.values()}
    asked = {(journey, call): target for journey in journeys for call, target in targets.get(journey, {}).items()}
    return [
        _row(journey, call, reached.get((journey, call), Reached()), asked.get((journey, call), Target()))
        for journey, call in [*asked, *sorted(reached.keys() - asked.keys())]
    ]


def is_passed(rows: Sequence[Row]) -> bool:
    """Something came, and nothing has failed."""
    verdicts = {row.verdict for row in rows}
    return Verdict.REACHED in verdicts and Verdict.FAIL not in verdicts


def verdict_in_words(rows: Sequence[Row]) -> str:
    """The whole run in a sentence, and a second one where a target had nothing to judge."""
    if not is_passed(rows):
        return "The run has failed."
    never = [f"{row.journey} {row.call}" for row in rows if row.verdict is Verdict.NEVER_CAME]
    if never:
        return f"Every target of a call that came was reached. Never came: {', '.join(never)}."
    return "Every target was reached."


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Each call with what it did and, behind it, what was asked."""
    table = Table(*_HEADINGS, title="What the run reached, and what was asked", caption=_CAPTION)
    for journey in dict.fromkeys(row.journey for row in rows):
        for row in (each for each in rows if each.journey == journey):
            shown = [Text(each.text, "" if each.is_reached else "bold red") for each in row.figures]
            table.add_row(Text(row.verdict, _STYLES[row.verdict]), f"{journey} {row.call}", str(row.requests), *shown)
        table.add_section()
    console.print(table)


_STYLES: Final = {Verdict.REACHED: "green", Verdict.FAIL: "bold red", Verdict.NEVER_CAME: "yellow"}


def _row(journey: str, call: str, reached: Reached, target: Target) -> Row:
    came = reached.requests > 0
    return Row(
        journey=journey,
        call=call,
        requests=reached.requests,
        figures=(
            _at_least(reached.rate, target.least_rate),
            _at_most(reached.p50_ms, target.most_p50_ms) if came else _nothing(target.most_p50_ms),
            _tail(reached, target.most_p99_ms) if came else _nothing(target.most_p99_ms),
            _errors(reached, target.most_errors) if came else _nothing(None),
        ),
    )


def _at_least(figure: float, least: float | None) -> Figure:
    if least is None:
        return Figure(text=f"{figure:.2f}", is_reached=True)
    return Figure(text=f"{figure:.2f} ≥ {least:g}", is_reached=figure >= least)


def _at_most(figure: float, most: float | None) -> Figure:
    if most is None:
        return Figure(text=f"{figure:.0f}", is_reached=True)
    return Figure(text=f"{figure:.0f} ≤ {most:g}", is_reached=figure <= most)


def _nothing(most: float | None) -> Figure:
    """What was asked stays visible."""
    return Figure(text=_NONE if most is None else f"{_NONE} ≤ {most:g}", is_reached=True)


def _tail(reached: Reached, most_ms: float | None) -> Figure:
    if reached.requests <= TAIL_OF_MORE_THAN:
        return Figure(text=f"slowest {reached.p99_ms:.0f}", is_reached=True)
    return _at_most(reached.p99_ms, most_ms)


def _errors(reached: Reached, most_share: Decimal) -> Figure:
    """So many, and how many the share allows of so many requests."""
    most = int(most_share * reached.requests)
    return Figure(text=f"{reached.errors} ≤ {most}", is_reached=reached.errors <= most)


def _reached(entry: "StatsEntry") -> Reached:
    return Reached(
        requests=entry.num_requests,
        rate=entry.total_rps,
        p50_ms=entry.get_response_time_percentile(_MEDIAN),
        p99_ms=entry.get_response_time_percentile(_TAIL),
        errors=entry.num_failures,
    )
