"""A measurement is a shot with what it cost whom, and with proof that the answers were those that were meant."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtests import shots
from loadtests.counted import APPROVALS, astray, batch_mean, counted, refused, settled, since
from loadtests.kinds import EMPTY, REPLAY, TPC_B, Kind, Streets
from loadtests.processes import child_named, cpu_seconds
from loadtests.scene import Scene
from loadtests.shots import Shot, ShotMissedError
from loadtests.tpcb import TpcB
from loadtests.traffic import write, write_keys

MOST_PER_SECOND: Final = 12_000
"""No endpoint here answers more: so many requests are written for each second of a shot."""
REPLAYED: Final = 2_000
"""Requests that are sent over and over; far more than can be under way at once."""
FIRST_SHOTS: Final = 10
FIRST_SECONDS: Final = 2
"""So often, and so long each, they may be sent until all of them have had their first answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    kind: str
    round: int
    connections: int
    asked_per_second: float | None
    """None: as fast as it answers."""
    shot: Shot
    cpu_us_per_request: dict[str, float]
    batch_mean: float
    refused: dict[str, int]
    """By status, as the service counted them; those that were under way at the end as well."""
    astray: int
    """Answers that were 2xx and yet not what was meant (`counted.astray`): a decline where an approval was due, say."""

    @property
    def errors(self) -> int:
        return self.shot.errors + self.astray


@dataclass(slots=True)
class Measuring:
    """Whatever a measurement needs; `wrk` is the program, or None for our own driver."""

    scene: Scene
    streets: Streets
    directory: Path
    wrk: str | None
    pids: dict[str, int] = field(init=False)
    replayed: Path | None = None

    def __post_init__(self) -> None:
        self.pids = {
            "service": self.scene.service.process.pid,
            "empty": self.scene.empty.pid,
            "postgres": child_named("postgres"),
            "valkey": child_named("valkey"),
        }
        families = self.scene.families
        write_keys([*families.spread, *families.busy], self.directory / "keys")

    def measure(
        self, kind: Kind, *, number: int, connections: int, seconds: float, per_second: float | None = None
    ) -> Measure:
        """`number` is the round's."""
        port = self.scene.empty_port if kind is EMPTY else self.scene.service_port
        requests, written = self._requests_file(kind, seconds)
        before = counted(self.scene.service.metrics_url)
        cost: dict[str, float] = {}
        with self._costing(cost):
            if per_second is None:
                keys = self.directory / "keys" if kind.captures else None
                shot = shots.as_fast_as_it_answers(
                    requests, port, connections=connections, seconds=seconds, keys=keys, wrk=self.wrk
                )
            else:
                shot = shots.at_a_rate(requests, port, connections=connections, seconds=seconds, per_second=per_second)
        added = since(before, settled(self.scene.service.metrics_url))
        if kind is not REPLAY and shot.requests > written * (2 if kind.captures else 1):
            raise ShotMissedError(f"{kind.name}: more was answered than the {written} requests that were written")
        return Measure(
            kind=kind.name,
            round=number,
            connections=connections,
            asked_per_second=per_second,
            shot=shot,
            cpu_us_per_request=_per_request(cost, shot),
            batch_mean=0.0 if kind is EMPTY else batch_mean(added),
            refused=refused(added),
            astray=astray(added, kind.counts, answered=shot.requests - shot.errors),
        )

    def measure_tpc_b(
        self, tpc_b: TpcB, *, number: int, clients: int, seconds: float, per_second: float | None = None
    ) -> Measure:
        cost: dict[str, float] = {}
        with self._costing(cost):
            shot = tpc_b.shot(clients=clients, seconds=seconds, per_second=per_second)
        return Measure(
            kind=TPC_B,
            round=number,
            connections=clients,
            asked_per_second=per_second,
            shot=shot,
            cpu_us_per_request=_per_request(cost, shot),
            batch_mean=0.0,
            refused={},
            astray=0,
        )

    def answer_once(self, connections: int) -> None:
        """What `REPLAY` sends has its first answers."""
        self.replayed = self.directory / "replayed"
        write(REPLAY.requests(self.streets, REPLAYED), self.replayed)
        before = counted(self.scene.service.metrics_url)
        for _ in range(FIRST_SHOTS):
            shots.as_fast_as_it_answers(
                self.replayed, self.scene.service_port, connections=connections, seconds=FIRST_SECONDS, wrk=self.wrk
            )
            if since(before, counted(self.scene.service.metrics_url)).get(APPROVALS) == REPLAYED:
                return
        raise ShotMissedError(f"not all of {REPLAYED} requests were answered in {FIRST_SHOTS * FIRST_SECONDS} seconds")

    def _requests_file(self, kind: Kind, seconds: float) -> tuple[Path, int]:
        """The file of its requests, and how many are in it."""
        if kind is REPLAY and self.replayed:
            return self.replayed, REPLAYED
        requests = self.directory / "requests"
        return requests, write(kind.requests(self.streets, round(MOST_PER_SECOND * max(1, seconds))), requests)

    @contextmanager
    def _costing(self, cost: dict[str, float]) -> Iterator[None]:
        """`cost` has the processor seconds of every process that is not the load generator."""
        before = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        yield
        # What was under way when the shot ended is answered, and is counted with it.
        settled(self.scene.service.metrics_url)
        cost.update({name: cpu_seconds(pid) - before[name] for name, pid in self.pids.items()})


def _per_request(cost: dict[str, float], shot: Shot) -> dict[str, float]:
    everybody = {**cost, "generator": shot.generator_cpu_seconds}
    return {name: seconds / max(1, shot.requests) * 1e6 for name, seconds in everybody.items()}
