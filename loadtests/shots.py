"""One measurement of one kind of request: what came back, how fast, and by whom it was sent."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Final

from pydantic import TypeAdapter

from loadtests.percentiles import percentile

WRK: Final = shutil.which("wrk")
SCRIPT: Final = Path(__file__).with_name("wrk.lua")
DRIVER: Final = (sys.executable, "-m", "loadtests.driver")
BOUND: Final = (sys.executable, "-IS", str(Path(__file__).with_name("bound.py")))
"""Before a command: it ends with this process, also where that is killed and cannot end it."""
LONGER_SECONDS: Final = 30.0
"""So much more than it was told to take a load generator may take before it is given up."""


class ShotMissedError(Exception):
    """The load generator did not say what it measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """Latencies are from the moment of sending; at a given rate from the moment at which it should have been sent."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    errors: int
    """Answers that are not 2xx (by wrk, which knows no more: above 399), and connections that broke."""
    generator_cpu_seconds: float = 0.0
    late_p99_us: float = 0.0
    """At a given rate: how long after its moment a request was sent."""

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


_SHOT: Final = TypeAdapter(Shot)


def shot_of(
    latencies_us: Sequence[float],
    *,
    seconds: float,
    errors: int,
    late_us: Sequence[float] = (),
    generator_cpu_seconds: float = 0.0,
) -> Shot:
    ascending = sorted(latencies_us)
    return Shot(
        requests=len(ascending),
        seconds=seconds,
        p50_us=percentile(ascending, 50),
        p99_us=percentile(ascending, 99),
        p999_us=percentile(ascending, 99.9),
        errors=errors,
        generator_cpu_seconds=generator_cpu_seconds,
        late_p99_us=percentile(sorted(late_us), 99),
    )


def as_fast_as_it_answers(
    requests: Path, port: int, *, connections: int, seconds: float, keys: Path | None = None, wrk: str | None = WRK
) -> Shot:
    """Each connection sends the next request when it has its answer. With `keys`, approvals are captured."""
    if wrk:
        command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s"]
        command += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(requests)]
    else:
        command = [*DRIVER, "--port", str(port), "--connections", str(connections), "--seconds", str(seconds)]
        command += ["--requests", str(requests)]
    if keys:
        command += [str(keys)] if wrk else ["--keys", str(keys)]
    return _fired(command, seconds)


def at_a_rate(requests: Path, port: int, *, connections: int, seconds: float, per_second: float) -> Shot:
    """Requests are due at moments drawn beforehand, whether or not the earlier ones are answered; by our own driver."""
    command = [*DRIVER, "--port", str(port), "--connections", str(connections), "--seconds", str(seconds)]
    return _fired([*command, "--requests", str(requests), "--rate", str(per_second)], seconds)


def _fired(command: list[str], seconds: float) -> Shot:
    output, cpu_seconds = run_counted(command, seconds)
    for line in output.splitlines():
        if line.startswith("shot "):
            return replace(_SHOT.validate_json(line.removeprefix("shot ")), generator_cpu_seconds=cpu_seconds)
    raise ShotMissedError(f"{command[0]} said: {output}")


def run_counted(command: Sequence[str], seconds: float) -> tuple[str, float]:
    """What the command said, and its processor time: that of the only child that has ended meanwhile."""
    before = getrusage(RUSAGE_CHILDREN)
    bound = [*BOUND, str(os.getpid()), *command]
    done = subprocess.run(bound, capture_output=True, text=True, timeout=seconds + LONGER_SECONDS, check=False)
    after = getrusage(RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise ShotMissedError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
