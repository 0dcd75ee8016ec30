"""One alert, and the cases that say when it fires."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """PAGE: families or shops are hurt now, somebody is called, day and night. TICKET: within the working day."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What fires then: its labels, and its value as the description says it."""

    labels: Mapping[str, str] = field(default_factory=dict)
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series in promtool's notation, with a sample `every` so often, and what fires `at` that time after midnight of a
    Thursday (UTC). Days are told in longer steps, or a test would take minutes."""

    says: str
    series: Mapping[str, str]
    at: str
    fired: tuple[Fired, ...] = ()
    every: str = "1m"
    not_yet_at: str | None = None
    """The last step at which the same series have set nothing off: below the limit, or not for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A row of the rules. `{{ $labels.x }}` and `{{ $value … }}` in the texts are Prometheus'."""

    name: str
    expr: str
    holds_for: str
    """So long it must be so before anybody is told."""
    severity: Severity
    summary: str
    description: str
    reason: str
    """Why this threshold and this time; it stands on the runbook's page."""
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        if not any(case.fired for case in self.cases) or all(case.fired for case in self.cases):
            raise ValueError(f"{self.name} has no case that fires, or none that does not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A series that Prometheus computes beforehand."""

    name: str
    expr: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together: one file."""

    name: str
    interval: str
    alerts: tuple[Alert, ...]
    recorded: tuple[Recorded, ...] = ()
