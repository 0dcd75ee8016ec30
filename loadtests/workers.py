"""`make bench-workers`: what a second worker is worth on this machine, sales by two workers and by one in turn.

Both services run all the time, on one PostgreSQL that commits durably and on the same books; only one has traffic at a
time. The books are checked at the end, and without them in order, or with an answer that
was no new approval, the run is void.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from statistics import median
from typing import Final

from authz_service.ledger.audit import render, summary
from authz_service.serving import free_port
from loadtests.bars import AT_CONNECTIONS
from loadtests.bench import DATA_DIR, FAMILIES, RESULTS, books, warm_up
from loadtests.ending import ends_in_order
from loadtests.kinds import AUTHORISE, Kind, Streets
from loadtests.machine import disturbances, generator, machine_facts
from loadtests.measures import Measure, Measuring
from loadtests.report import Run, console, show_marks, show_of, write
from loadtests.scene import Scene, scene, service_of
from loadtests.shots import WRK

ONE: Final = replace(AUTHORISE, name="one worker")
TWO: Final = replace(AUTHORISE, name="two workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """So many, and how long each of them lasts."""

    rounds: int
    seconds: int


WHOLE: Final = Turns(rounds=5, seconds=8)
QUICK: Final = Turns(rounds=1, seconds=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, for whoever works on the harness")
    quick = parser.parse_args().quick
    with ends_in_order():
        run = measured(QUICK if quick else WHOLE)
    show_of(run)
    file = write(run, RESULTS, "workers-quick" if quick else "workers", {"two_workers_to_one": ratios(run.measures)})
    if not quick:
        each = ", ".join(f"{one:.3f}" for one in ratios(run.measures))
        said = f"Two workers do {median(ratios(run.measures)):.3f} times what one does (by rounds: {each})"
        console.print(f"{said}, on {run.machine['cores']} cores for the services, the servers and the sender together.")
    show_marks(run)
    console.print(f"{summary(run.findings)} Sent by {run.generator}. Written to {file}.", markup=False, soft_wrap=True)
    if any(each.violations for each in run.findings):
        render(run.findings, console)
    if run.void:
        sys.exit(f"This run is void: {'; '.join(run.void)}.")


def measured(turns: Turns) -> Run:
    """One worker and two in turn, after a turn of each that does not count."""
    began_at, load_average = datetime.now(UTC), os.getloadavg()
    with scene(DATA_DIR, FAMILIES) as one, beside_it(one) as two:
        machine = asyncio.run(
            machine_facts(
                database_url=one.families.database_url, redis_url=one.servers.redis_url, load_average=load_average
            )
        )
        # The requests are numbered for both together, so that no two have the same key.
        streets = Streets.of(one.families, f"{began_at:%Y%m%d%H%M%S}")
        measuring = {kind.name: Measuring(here, streets, DATA_DIR, WRK) for kind, here in ((ONE, one), (TWO, two))}
        for kind in (ONE, TWO):
            warm_up(measuring[kind.name], (kind,))
        measures = list(in_turn(measuring, turns))
        findings, audit_seconds = asyncio.run(books(one))
    return Run(
        began_at=began_at,
        plan={**asdict(turns), "connections": AT_CONNECTIONS},
        machine={**machine, "families": len(one.families.cards), "tills": len(one.families.spread)},
        disturbed=disturbances(load_average),
        generator=generator(machine),
        measures=measures,
        findings=findings,
        audit_seconds=audit_seconds,
    )


@contextmanager
def beside_it(one: Scene) -> Iterator[Scene]:
    """The same scene with a service of two workers, on the same books."""
    port = free_port()
    with service_of(one.servers, one.families.database_url, port, DATA_DIR, workers=2) as service:
        yield replace(one, service=service, service_port=port)


def in_turn(measuring: dict[str, Measuring], turns: Turns) -> Iterator[Measure]:
    for number in range(1, turns.rounds + 1):
        for kind in _ordered(number):
            yield measuring[kind.name].measure(kind, number=number, connections=AT_CONNECTIONS, seconds=turns.seconds)


def _ordered(number: int) -> tuple[Kind, Kind]:
    """Who comes second finds larger books: each is second in every other round."""
    return (ONE, TWO) if number % 2 else (TWO, ONE)


def ratios(measures: Sequence[Measure]) -> list[float]:
    """What two workers do of what one does, in each round."""
    rates = {(each.round, each.kind): each.shot.per_second for each in measures}
    return [round(rates[number, TWO.name] / rates[number, ONE.name], 3) for number, kind in rates if kind == ONE.name]


if __name__ == "__main__":
    main()
