"""`make bench-profile`: where Python's time goes in a sale, by py-spy, while 64 connections authorise.

Its stacks are written as py-spy folds them, a comment above them says where, of which commit and how they came about.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from rich.box import SIMPLE
from rich.table import Table

from authz_service.ledger.audit import summary
from loadtests.bars import AT_CONNECTIONS
from loadtests.bench import DATA_DIR, RESULTS, books, warm_up
from loadtests.ending import ends_in_order
from loadtests.kinds import AUTHORISE, Streets
from loadtests.machine import disturbances, machine_facts
from loadtests.measures import Measure, Measuring
from loadtests.report import console
from loadtests.scene import scene
from loadtests.shots import WRK
from loadtests.stations import by_station, folded, of_the_loop

FAMILIES: Final = 20_000
SECONDS: Final = 15
SAMPLES_PER_SECOND: Final = 250
LIMIT_BYTES: Final = 190_000
LONGER_SECONDS: Final = 30.0
"""So much more than it was told to take py-spy may take before it is given up."""


class NoProfileError(Exception):
    """py-spy said nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--py-spy", default=_py_spy(), help="the program, where it is not on PATH")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    asked = parser.parse_args()
    if asked.py_spy is None:
        sys.exit("py-spy is missing: `pip install py-spy`, or say --py-spy /path/to/py-spy.")
    began_at, load_average = datetime.now(UTC), os.getloadavg()
    with ends_in_order():
        try:
            alone, stacks, facts = profiled(asked.py_spy, asked.seconds, began_at, load_average)
        except NoProfileError as error:
            sys.exit(str(error))
    cpu_us = alone.cpu_us_per_request["service"]
    show(stacks, cpu_us)
    about = {
        "began_at": began_at.isoformat(timespec="seconds"),
        "command": "python -m loadtests.sale_profile",
        "connections": AT_CONNECTIONS,
        "cpu_us_per_sale": round(cpu_us, 1),
        "sales_per_second": round(alone.shot.per_second, 1),
        "by_station_us": {station: round(us, 1) for station, us in in_us(stacks, cpu_us).items()},
        "disturbed": disturbances(load_average),
        "machine": facts,
    }
    file = RESULTS / f"{began_at:%Y%m%dT%H%M%SZ}-profile.txt"
    said = [f"# {line}" for line in orjson.dumps(about, option=orjson.OPT_INDENT_2).decode().splitlines()]
    file.write_text("\n".join([*said, *folded(stacks, LIMIT_BYTES)]) + "\n", encoding="utf-8")
    console.print(f"Written to {file}.", markup=False, highlight=False, soft_wrap=True)


def profiled(
    py_spy: str, seconds: int, began_at: datetime, load_average: tuple[float, float, float]
) -> tuple[Measure, Counter[str], dict[str, Any]]:
    """What a sale costs while nobody looks, and then the stacks of as long a time; NoProfileError."""
    with scene(DATA_DIR, FAMILIES) as all_up:
        facts = asyncio.run(
            machine_facts(
                database_url=all_up.families.database_url, redis_url=all_up.servers.redis_url, load_average=load_average
            )
        )
        streets = Streets.of(all_up.families, f"{began_at:%Y%m%d%H%M%S}")
        measuring = Measuring(all_up, streets, DATA_DIR, WRK)
        warm_up(measuring, (AUTHORISE,))
        alone = measuring.measure(AUTHORISE, number=1, connections=AT_CONNECTIONS, seconds=seconds)
        raw = DATA_DIR / "stacks"
        raw.unlink(missing_ok=True)
        with recording(py_spy, all_up.service.process.pid, seconds, raw):
            measuring.measure(AUTHORISE, number=2, connections=AT_CONNECTIONS, seconds=seconds + 1)
        console.print(summary(asyncio.run(books(all_up))[0]), highlight=False)
    stacks = of_the_loop(raw.read_text(encoding="utf-8").splitlines()) if raw.exists() else Counter[str]()
    if not stacks:
        raise NoProfileError(f"py-spy saw no sale: see {DATA_DIR / 'py-spy.log'}.")
    return alone, stacks, facts


@contextmanager
def recording(py_spy: str, pid: int, seconds: int, raw: Path) -> Iterator[None]:
    """py-spy looks at the process while the block runs."""
    command = [py_spy, "record", "--pid", str(pid), "--format", "raw", "--function", "--output", str(raw)]
    command += ["--rate", str(SAMPLES_PER_SECOND), "--duration", str(seconds)]
    with (DATA_DIR / "py-spy.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as spy:
        try:
            yield
            spy.wait(LONGER_SECONDS)
        finally:
            spy.terminate()


def in_us(stacks: Counter[str], cpu_us: float) -> dict[str, float]:
    """What a sale costs, shared out by the samples of each station."""
    counts = by_station(stacks)
    return {station: cpu_us * count / stacks.total() for station, count in counts.items()}


def show(stacks: Counter[str], cpu_us: float) -> None:
    table = Table("", "share", "CPU µs a sale", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    for station, us in in_us(stacks, cpu_us).items():
        table.add_row(station, f"{us / cpu_us:.0%}", f"{us:.0f}")
    table.add_row("all", "100%", f"{cpu_us:.0f}")
    console.print(table)


def _py_spy() -> str | None:
    return shutil.which("py-spy") or shutil.which(Path(sys.executable).with_name("py-spy"))


if __name__ == "__main__":
    main()
