"""Figures of many measurements: percentiles of what was observed, never between two observations."""

from collections.abc import Sequence
from math import ceil


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The smallest observation that is not below `percent` of all (nearest rank); 0 where nothing was observed."""
    if not ascending:
        return 0.0
    # Rounded first: 99.9 % of 1000 is 999, and in floats a little more.
    rank = ceil(round(percent * len(ascending) / 100, 6))
    return ascending[max(rank, 1) - 1]
