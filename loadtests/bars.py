"""The bars that authorise has to clear, each a ratio of measurements of one run. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from loadtests.kinds import AUTHORISE, BALANCE, BUSY_CARD, BUSY_SHOP, EMPTY, REPLAY, TPC_B
from loadtests.measures import Measure

AT_CONNECTIONS: Final = 64
KEPT_AT_LEAST: Final = 0.9
"""Who does less of a rate than this has not kept it, and its latencies there say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`ratio` is the median of the rounds' ratios; None where it cannot be said, and `why` says why."""

    name: str
    ratio: float | None
    bound: float
    is_floor: bool
    """At least `bound`; otherwise at most."""
    why: str = ""

    @property
    def met(self) -> bool | None:
        if self.ratio is None:
            return None
        return self.ratio >= self.bound if self.is_floor else self.ratio <= self.bound


def bars(measures: Sequence[Measure]) -> list[Bar]:
    """Those for which the run has measurements."""
    fast = [each for each in measures if each.asked_per_second is None]
    paced = [each for each in measures if each.asked_per_second is not None]
    found = [
        _rates("authorise / empty endpoint, 64 connections", fast, AUTHORISE.name, EMPTY.name, 64, 1.0),
        _rates("authorise / empty endpoint, 256 connections", fast, AUTHORISE.name, EMPTY.name, 256, 1.3),
        _against_tpc_b(fast),
        _alone(fast),
        _tail(paced),
        _rates("one busy shop / spread", fast, BUSY_SHOP.name, AUTHORISE.name, AT_CONNECTIONS, 0.9),
        # One request in ten names the card, with it as without it: the rest's rates are to each other as the whole's.
        _rates("the rest beside one busy card / spread", fast, BUSY_CARD.name, AUTHORISE.name, AT_CONNECTIONS, 0.9),
        _rates("replay / authorise", fast, REPLAY.name, AUTHORISE.name, AT_CONNECTIONS, 1.0),
        _rates("balance inquiry / authorise", fast, BALANCE.name, AUTHORISE.name, AT_CONNECTIONS, 1.0),
    ]
    return [bar for bar in found if bar is not None]


def peak_per_second(measures: Iterable[Measure], kind: str) -> float:
    """The best median rate that the kind had at any number of connections."""
    rates: dict[int, list[float]] = {}
    for each in measures:
        if each.kind == kind and each.asked_per_second is None:
            rates.setdefault(each.connections, []).append(each.shot.per_second)
    return max(map(median, rates.values()), default=0.0)


def _rates(
    name: str, measures: Iterable[Measure], upper: str, lower: str, connections: int, bound: float
) -> Bar | None:
    here = [each for each in measures if each.connections == connections]
    ratios = _by_round(here, (upper, lower), lambda rates: rates[0] / rates[1], lambda each: each.shot.per_second)
    return Bar(name=name, ratio=median(ratios), bound=bound, is_floor=True) if ratios else None


def _against_tpc_b(measures: Sequence[Measure]) -> Bar | None:
    best = peak_per_second(measures, TPC_B)
    rates = [each.shot.per_second for each in measures if (each.kind, each.connections) == (AUTHORISE.name, 64)]
    if not best or not rates:
        return None
    return Bar(name="authorise at 64 connections / best TPC-B", ratio=median(rates) / best, bound=1.0, is_floor=True)


def _alone(measures: Iterable[Measure]) -> Bar | None:
    here = [each for each in measures if each.connections == 1]
    kinds = (AUTHORISE.name, EMPTY.name, TPC_B)
    ratios = _by_round(here, kinds, lambda p50: p50[0] / (p50[1] + p50[2]), lambda each: each.shot.p50_us)
    name = "one connection: p50 / (empty endpoint + TPC-B)"
    return Bar(name=name, ratio=median(ratios), bound=1.5, is_floor=False) if ratios else None


def _tail(measures: Sequence[Measure]) -> Bar | None:
    name = "half of the peak rate: p99 / (empty endpoint + TPC-B)"
    kinds = (AUTHORISE.name, EMPTY.name, TPC_B)
    ratios = _by_round(measures, kinds, lambda p99: p99[0] / (p99[1] + p99[2]), lambda each: each.shot.p99_us)
    if not ratios:
        return None
    # Authorise itself is judged also where it falls behind: that is what its latencies then say.
    behind = sorted({each.kind for each in measures if not _kept(each)} - {AUTHORISE.name})
    if behind:
        why = f"{' and '.join(behind)} did not keep the rate"
        return Bar(name=name, ratio=None, bound=3.0, is_floor=False, why=why)
    return Bar(name=name, ratio=median(ratios), bound=3.0, is_floor=False)


def _kept(measure: Measure) -> bool:
    return measure.shot.per_second >= KEPT_AT_LEAST * (measure.asked_per_second or 0.0)


def _by_round(
    measures: Iterable[Measure],
    kinds: Sequence[str],
    ratio: Callable[[list[float]], float],
    figure: Callable[[Measure], float],
) -> list[float]:
    """One ratio for each round that has all of the kinds."""
    rounds: dict[int, dict[str, float]] = {}
    for each in measures:
        rounds.setdefault(each.round, {})[each.kind] = figure(each)
    return [ratio([found[kind] for kind in kinds]) for found in rounds.values() if all(map(found.get, kinds))]
