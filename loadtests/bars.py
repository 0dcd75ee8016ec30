"""The bars that authorise has to clear, each a ratio of measurements of one run. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from loadtests.kinds import AUTHORISE, BALANCE, BUSY_CARD, BUSY_SHOP, EMPTY, REPLAY, TPC_B
from loadtests.measures import Measure

AT_CONNECTIONS: Final = 64
"""Where nearly all bars are set, and at which growth, guard and workers measure."""
CROWDED_CONNECTIONS: Final = 256
KEPT_AT_LEAST: Final = 0.9
"""Who does less of a rate than this has not kept it, and its latencies there say nothing."""
STRAYED: Final = 2.0
"""A floor's p99 that is so many times its median over the rounds, or as much less, is a stall of the machine. Behind it
stand some ninety requests of a round: without a stall it moves from round to round by a quarter."""
_FLOORS: Final = (EMPTY.name, TPC_B)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsRatio:
    """Of one round; `why_void` says why it does not count."""

    round: int
    ratio: float
    why_void: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Judged as it is printed, with three digits: 0.900 is at least 0.9."""

    name: str
    rounds: Sequence[RoundsRatio]
    bound: float
    is_floor: bool
    """At least `bound`; otherwise at most."""

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios; None unless more than half of the rounds count."""
        counting = [each.ratio for each in self.rounds if not each.why_void]
        return round(median(counting), 3) if 2 * len(counting) > len(self.rounds) else None

    @property
    def why_void(self) -> str:
        return "" if self.ratio is not None else "; ".join(each.why_void for each in self.rounds if each.why_void)

    @property
    def met(self) -> bool | None:
        if self.ratio is None:
            return None
        return self.ratio >= self.bound if self.is_floor else self.ratio <= self.bound


def bars(measures: Sequence[Measure]) -> list[Bar]:
    """Those for which the run has measurements."""
    fast = [each for each in measures if each.asked_per_second is None]
    paced = [each for each in measures if each.asked_per_second is not None]
    crowd, shop, card = CROWDED_CONNECTIONS, BUSY_SHOP.name, BUSY_CARD.name
    found = [
        _rates(f"authorise / empty endpoint, {AT_CONNECTIONS} connections", fast, AUTHORISE.name, EMPTY.name, 1.0),
        _rates(f"authorise / empty endpoint, {crowd} connections", fast, AUTHORISE.name, EMPTY.name, 1.3, crowd),
        _against_tpc_b(fast),
        _alone(fast),
        _tail(paced),
        _rates("one busy shop / spread", fast, shop, AUTHORISE.name, 0.9),
        # One request in ten names the card, with it as without it: the rest's rates are to each other as the whole's.
        _rates("the rest beside one busy card / spread", fast, card, AUTHORISE.name, 0.9),
        _rates("replay / authorise", fast, REPLAY.name, AUTHORISE.name, 1.0),
        _rates("balance inquiry / authorise", fast, BALANCE.name, AUTHORISE.name, 1.0),
    ]
    return [bar for bar in found if bar.rounds]


def peak_per_second(measures: Iterable[Measure], kind: str) -> float:
    """The best median rate that the kind had at any number of connections."""
    return max(_medians(measures, kind).values(), default=0.0)


def _medians(measures: Iterable[Measure], kind: str) -> dict[int, float]:
    """Of the rates at each number of connections."""
    rates: dict[int, list[float]] = {}
    for each in measures:
        if each.kind == kind and each.asked_per_second is None:
            rates.setdefault(each.connections, []).append(each.shot.per_second)
    return {connections: median(these) for connections, these in rates.items()}


def _rates(
    name: str, fast: Iterable[Measure], upper: str, lower: str, bound: float, connections: int = AT_CONNECTIONS
) -> Bar:
    here = [each for each in fast if each.connections == connections]
    rounds = _by_round(here, (upper, lower), lambda rates: rates[0] / rates[1], _rate)
    return Bar(name=name, rounds=rounds, bound=bound, is_floor=True)


def _against_tpc_b(fast: Sequence[Measure]) -> Bar:
    """TPC-B of the same round, with the number of clients that was best by its median over the rounds."""
    medians = _medians(fast, TPC_B)
    best = max(medians, key=medians.__getitem__, default=0)
    wanted = {(AUTHORISE.name, AT_CONNECTIONS), (TPC_B, best)}
    here = [each for each in fast if (each.kind, each.connections) in wanted]
    rounds = _by_round(here, (AUTHORISE.name, TPC_B), lambda rates: rates[0] / rates[1], _rate)
    name = f"authorise at {AT_CONNECTIONS} connections / best TPC-B"
    return Bar(name=name, rounds=rounds, bound=1.0, is_floor=True)


def _alone(fast: Iterable[Measure]) -> Bar:
    here = [each for each in fast if each.connections == 1]
    kinds = (AUTHORISE.name, *_FLOORS)
    rounds = _by_round(here, kinds, lambda p50: p50[0] / (p50[1] + p50[2]), lambda each: each.shot.p50_us)
    return Bar(name="one connection: p50 / (empty endpoint + TPC-B)", rounds=rounds, bound=1.5, is_floor=False)


def _tail(paced: Sequence[Measure]) -> Bar:
    """A round in which a floor stalled, or drowned, would flatter: it is shown and does not count."""
    kinds = (AUTHORISE.name, *_FLOORS)
    name = "half of the peak rate: p99 / (empty endpoint + TPC-B)"
    rounds = _by_round(paced, kinds, lambda p99: p99[0] / (p99[1] + p99[2]), _p99_us, _floors_at_fault(paced))
    return Bar(name=name, rounds=rounds, bound=3.0, is_floor=False)


def _floors_at_fault(paced: Sequence[Measure]) -> dict[int, str]:
    """By round. Authorise itself is judged also where it falls behind: that is what its latencies then say."""
    found: dict[int, list[str]] = {}
    for floor in _FLOORS:
        theirs = [each for each in paced if each.kind == floor]
        usual = median(map(_p99_us, theirs)) if theirs else 0.0
        for each in theirs:
            if not _kept(each):
                found.setdefault(each.round, []).append(f"{floor} did not keep the rate")
            elif not usual / STRAYED <= _p99_us(each) <= usual * STRAYED:
                found.setdefault(each.round, []).append(f"{floor}'s p99 was {_p99_us(each) / usual:.1f} x its median")
    return {number: ", ".join(faults) for number, faults in found.items()}


def _kept(measure: Measure) -> bool:
    return measure.shot.per_second >= KEPT_AT_LEAST * (measure.asked_per_second or 0.0)


def _rate(measure: Measure) -> float:
    return measure.shot.per_second


def _p99_us(measure: Measure) -> float:
    return measure.shot.p99_us


def _by_round(
    measures: Iterable[Measure],
    kinds: Sequence[str],
    ratio: Callable[[list[float]], float],
    figure: Callable[[Measure], float],
    why_void: dict[int, str] | None = None,
) -> list[RoundsRatio]:
    """One for each round that has all of the kinds."""
    rounds: dict[int, dict[str, float]] = {}
    for each in measures:
        rounds.setdefault(each.round, {})[each.kind] = figure(each)
    return [
        RoundsRatio(
            round=number,
            ratio=round(ratio([found[kind] for kind in kinds]), 3),
            why_void=(why_void or {}).get(number, ""),
        )
        for number, found in rounds.items()
        if all(map(found.get, kinds))
    ]
