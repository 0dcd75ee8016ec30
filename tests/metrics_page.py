"""Draws docs/metrics.md from the code: `python -m tests.metrics_page`. A test compares."""

from pathlib import Path
from typing import Final

from authz_service import metrics
from authz_service.metric_kinds import Described, Label, described

PAGE: Final = Path(__file__).parent.parent / "docs" / "metrics.md"
BEGIN, END = "<!-- drawn from the code: python -m tests.metrics_page -->\n", "<!-- end -->\n"
_UNITS: Final = {"seconds": "seconds", "rupiah": "rupiah", "total": "count", "ratio": "ratio"}


def unit_of(metric: Described) -> str:
    """By its name, as Prometheus wants it."""
    name = metric.name.removesuffix("_total") if metric.name.endswith("_seconds_total") else metric.name
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(f"_{suffix}")), "count")


def _labels(labels: tuple[Label, ...]) -> str:
    if not labels:
        return "none"
    return "; ".join(f"`{each.name}`: {', '.join(each.values) or each.bound}" for each in labels)


def section() -> str:
    assert metrics.BUILD_INFO.described in described()
    rows = [
        f"### `{each.name}`\n\n{each.kind}, {unit_of(each)}. {each.meaning}\n\nLabels: {_labels(each.labels)}.\n"
        for each in described()
    ]
    return "\n".join([BEGIN, *rows, END])


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    PAGE.write_text(head + section() + rest.partition(END)[2], encoding="utf-8")
