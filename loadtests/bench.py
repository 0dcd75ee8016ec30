"""`make bench`: authorise beside an empty endpoint and beside TPC-B, in one run, on the same cores, in turn."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from authz_service.clock import monotonic_seconds
from authz_service.ledger.audit import Finding, check, render, summary
from loadtests.bars import AT_CONNECTIONS, bars, peak_per_second
from loadtests.ending import ends_in_order
from loadtests.families import PROGRAMME
from loadtests.kinds import AUTHORISE, CROWDED, EMPTY, EVERYWHERE, Kind, Streets
from loadtests.machine import disturbances, generator, machine_facts
from loadtests.measures import Measure, Measuring
from loadtests.report import Run, console, show_bars, show_marks, show_of, write
from loadtests.scene import Scene, scene
from loadtests.shots import WRK
from loadtests.tpcb import TpcB

DATA_DIR: Final = Path("var/bench")
RESULTS: Final = Path(__file__).with_name("results")
FAMILIES: Final = 100_000
PACED_CLIENTS: Final = 16
"""More of pgbench's only stand in each other's way."""
PACED_LONGER: Final = 2
"""At half of the rate the slowest hundredth of a shot would else be few."""
ANALYZE: Final = """
-- What autovacuum does of itself within a minute: until then the plans are those of empty tables.
ANALYZE
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    rounds: int
    seconds: int
    """Of each shot."""
    connections: tuple[int, ...]
    clients: tuple[int, ...]
    """Of pgbench."""
    paced_rounds: int
    """At half of the peak rate. More than of the others: a tail is moved by a stall, and a round with one is void."""


WHOLE: Final = Plan(rounds=3, seconds=3, connections=(1, 16, 64, 256), clients=(1, 16, 64), paced_rounds=5)
QUICK: Final = Plan(rounds=1, seconds=2, connections=(1, 64), clients=(1, 16), paced_rounds=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, for whoever works on the harness: no verdicts")
    quick = parser.parse_args().quick
    with ends_in_order():
        run = bench(QUICK if quick else WHOLE)
    show_of(run)
    if not quick:
        show_bars(bars(run.measures))
    if any(each.violations for each in run.findings):
        render(run.findings, console)
    console.print(f"{summary(run.findings)} Checked in {run.audit_seconds:.0f} s.", highlight=False)
    file = write(run, RESULTS, "quick" if quick else "bench")
    console.print(f"Sent by {run.generator}. Written to {file}.", markup=False, highlight=False, soft_wrap=True)
    show_marks(run)
    if run.void:
        sys.exit(f"This run is void: {'; '.join(run.void)}.")


def bench(plan: Plan) -> Run:
    """All that the plan says is measured, and the books are checked."""
    load_average = os.getloadavg()  # before the enrolment, which is work of our own
    began_at, since = datetime.now(UTC), monotonic_seconds()

    def say(what: str) -> None:
        console.print(f"{monotonic_seconds() - since:4.0f} s  {what}", highlight=False)

    say(f"servers, {FAMILIES} families, the service, the empty endpoint")
    with scene(DATA_DIR, FAMILIES) as all_up:
        machine = asyncio.run(
            machine_facts(
                database_url=all_up.families.database_url,
                redis_url=all_up.servers.redis_url,
                load_average=load_average,
            )
        )
        measuring = Measuring(all_up, Streets.of(all_up.families, f"{began_at:%Y%m%d%H%M%S}"), DATA_DIR, WRK)
        tpc_b = TpcB(all_up.servers, DATA_DIR)
        say("warming up")
        warm_up(measuring, (*EVERYWHERE, *CROWDED))
        measuring.answer_once(AT_CONNECTIONS)
        tpc_b.prepare()
        tpc_b.shot(clients=PACED_CLIENTS, seconds=1)
        measures = [*in_turn(measuring, tpc_b, plan, say)]
        measures += at_half_the_peak(measuring, tpc_b, plan, measures, say)
        say("checking the books")
        findings, audit_seconds = asyncio.run(books(all_up))
    return Run(
        began_at=began_at,
        plan=asdict(plan),
        machine={**machine, "families": len(all_up.families.cards), "tills": len(all_up.families.spread)},
        disturbed=disturbances(load_average),
        generator=f"{generator(machine)}; at a rate by loadtests/driver.py" if WRK else generator(machine),
        measures=measures,
        findings=findings,
        audit_seconds=audit_seconds,
    )


def warm_up(measuring: Measuring, kinds: Iterable[Kind]) -> None:
    """Each kind has been sent, and PostgreSQL knows how its tables grow."""
    for kind in kinds:
        measuring.measure(kind, number=0, connections=AT_CONNECTIONS, seconds=1)
    asyncio.run(_analyze(measuring.scene.families.database_url))


def in_turn(measuring: Measuring, tpc_b: TpcB, plan: Plan, say: Callable[[str], None]) -> Iterator[Measure]:
    """Round by round, so that whatever disturbs the machine disturbs all kinds alike."""
    for number in range(1, plan.rounds + 1):
        for connections in plan.connections:
            say(f"round {number} of {plan.rounds}, {connections} connections")
            for kind in (*EVERYWHERE, *(CROWDED if connections == AT_CONNECTIONS else ())):
                yield measuring.measure(kind, number=number, connections=connections, seconds=plan.seconds)
        for clients in plan.clients:
            say(f"round {number} of {plan.rounds}, TPC-B with {clients} clients")
            yield measuring.measure_tpc_b(tpc_b, number=number, clients=clients, seconds=plan.seconds)


def at_half_the_peak(
    measuring: Measuring, tpc_b: TpcB, plan: Plan, measures: list[Measure], say: Callable[[str], None]
) -> Iterator[Measure]:
    """All three at the rate that is half of authorise's best."""
    rate, seconds = round(peak_per_second(measures, AUTHORISE.name) / 2), plan.seconds * PACED_LONGER
    for number in range(1, plan.paced_rounds + 1):
        say(f"round {number} of {plan.paced_rounds}, {rate} a second")
        for kind in (EMPTY, AUTHORISE):
            yield measuring.measure(kind, number=number, connections=AT_CONNECTIONS, seconds=seconds, per_second=rate)
        yield measuring.measure_tpc_b(tpc_b, number=number, clients=PACED_CLIENTS, seconds=seconds, per_second=rate)


async def books(scene: Scene) -> tuple[list[Finding], float]:
    """What `authz ledger check` finds in all that was written, and how long it took."""
    connection, since = await asyncpg.connect(scene.families.database_url), monotonic_seconds()
    try:
        return await check(connection, PROGRAMME, now=datetime.now(UTC)), monotonic_seconds() - since
    finally:
        await connection.close()


async def _analyze(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(ANALYZE)
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
