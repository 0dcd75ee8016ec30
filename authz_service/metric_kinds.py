"""What kinds of metric there are: each is described once, and made from that."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # several workers have none, one would have


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The values that a label can have: these, or as many as `bound` says."""

    name: str
    values: tuple[str, ...] = ()
    bound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One metric, for the page of them."""

    name: str
    kind: str
    meaning: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """A gauge that one process at a time sets: with all others of its group at once."""

    described: Described

    def of(self, value: float, *labels: str) -> "Sample":
        """One sample of it, its labels in their order."""
        if len(labels) != len(self.described.labels):
            raise ValueError(f"{self.described.name} has {len(self.described.labels)} labels")
        return Sample(self.described.name, labels, float(value))


@dataclass(frozen=True, slots=True)
class Sample:
    """What a watched gauge was found to be."""

    name: str
    labels: tuple[str, ...]
    value: float


REGISTRY: Final = CollectorRegistry()
_DESCRIBED: Final[dict[str, Described]] = {}


def described() -> tuple[Described, ...]:
    """Every metric there is, by name."""
    return tuple(_DESCRIBED[name] for name in sorted(_DESCRIBED))


def _described(name: str, kind: str, meaning: str, labels: Iterable[Label]) -> tuple[str, ...]:
    _DESCRIBED[name] = Described(name=name, kind=kind, meaning=meaning, labels=tuple(labels))
    return tuple(label.name for label in _DESCRIBED[name].labels)


def counter(name: str, meaning: str, *labels: Label) -> Counter:
    """A counter; one of a single closed label begins at 0 for each of its values, so that the first one is seen."""
    made = Counter(name, meaning, _described(name, "counter", meaning, labels), registry=REGISTRY)
    if len(labels) == 1:
        for value in labels[0].values:
            made.labels(value)
    return made


def histogram(name: str, meaning: str, *labels: Label, buckets: tuple[float, ...]) -> Histogram:
    names = _described(name, "histogram", meaning, labels)
    return Histogram(name, meaning, names, buckets=buckets, registry=REGISTRY)


def gauge(name: str, meaning: str, *labels: Label, workers: str) -> Gauge:
    """A gauge of a process; `workers` says what several make together, as Prometheus' library calls it."""
    names = _described(name, "gauge", meaning, labels)
    return Gauge(name, meaning, names, multiprocess_mode=workers, registry=REGISTRY)  # type: ignore[arg-type]


def watched(name: str, meaning: str, *labels: Label) -> Watched:
    """A gauge of which one process at a time tells all samples at once (`exposition.tell`)."""
    _described(name, "gauge", meaning, labels)
    return Watched(_DESCRIBED[name])
