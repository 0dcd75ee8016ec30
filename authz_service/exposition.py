"""What is scraped: the counts of this process, or of all workers, and what was found by watching.

Workers count in files below PROMETHEUS_MULTIPROC_DIR, which outlive them; a gauge of a live worker goes with it. What
was found by watching is written as one file a group, and read as long as it is young: a worker that takes over writes
over it, and an instance that watches no more soon tells nothing of it.
"""

import os
import platform
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Final

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from authz_service import __version__
from authz_service.clock import epoch_seconds
from authz_service.metric_kinds import REGISTRY, Described, Sample, described
from authz_service.metrics import BUILD_INFO, SLO_LIMIT, SLO_OBJECTIVE
from authz_service.slo import promises

METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FOUND: Final = "found-"
_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.02
"""A worker that starts has a file of no length for a moment, and one that could not start removes its own."""
_one_at_a_time: Final = Lock()
_found_here: Final[dict[str, bytes]] = {}


def tell(group: str, samples: Sequence[Sample], *, good_for_seconds: float) -> None:
    """From now on all of the group is this, until something else is told or the time is over."""
    rows = [(sample.name, sample.labels, sample.value) for sample in samples]
    content = orjson.dumps({"until": epoch_seconds() + good_for_seconds, "samples": rows})
    if (directory := os.environ.get(METRICS_VARIABLE)) is None:
        _found_here[group] = content
        return
    # Renamed: a reader finds the one or the other, never a half.
    new = Path(directory, f"{_FOUND}{group}.{os.getpid()}")
    new.write_bytes(content)
    new.replace(Path(directory, f"{_FOUND}{group}.json"))


def exposition() -> bytes:
    """The text that Prometheus scrapes, of this process or, where they count together, of all workers."""
    with _one_at_a_time:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _written()
            except (FileNotFoundError, struct.error):
                if attempt == _ATTEMPTS:
                    raise
                sleep(_PAUSE_SECONDS)
    raise AssertionError("every attempt returns or raises")


def _written() -> bytes:
    registry = CollectorRegistry()
    registry.register(_Found())
    if METRICS_VARIABLE not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(registry)
    _forget_dead_workers()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class _Found(Collector):
    """What runs, what is promised, and what was found by watching."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        by_name = {each.name: each for each in described()}
        build = (__version__, os.environ.get("AUTHZ_REVISION") or "unknown", platform.python_version())
        yield _family(BUILD_INFO.described, [(build, 1.0)])
        yield _family(SLO_OBJECTIVE.described, [((each.slo,), each.ratio) for each in promises()])
        limits = [((each.slo,), each.limit_seconds) for each in promises() if each.limit_seconds is not None]
        yield _family(SLO_LIMIT.described, limits)
        found: dict[str, list[tuple[Sequence[str], float]]] = {}
        for content in _told():
            document = orjson.loads(content)
            if document["until"] > epoch_seconds():
                for name, labels, value in document["samples"]:
                    found.setdefault(name, []).append((labels, value))
        for name in sorted(found):
            yield _family(by_name[name], found[name])


def _family(of: Described, samples: Sequence[tuple[Sequence[str], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(of.name, of.meaning, labels=[label.name for label in of.labels])
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _told() -> list[bytes]:
    if (directory := os.environ.get(METRICS_VARIABLE)) is None:
        return list(_found_here.values())
    return [file.read_bytes() for file in sorted(Path(directory).glob(f"{_FOUND}*.json"))]


def _forget_dead_workers() -> None:
    """A lane of a worker that was killed is no lane that lives."""
    for file in Path(os.environ[METRICS_VARIABLE]).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
