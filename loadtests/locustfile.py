"""The switch under load, as the teams around it would load it. `loadtests/README.md` says how it is run.

AUTHZ_TILLS names the sandbox file with terminals and cards, AUTHZ_OPERATOR_KEY the key of the bank's batch,
AUTHZ_TARGETS another table than `targets.toml`. When the run ends, its table is printed; what it missed is exit code 1,
and so is a run that was cut short.
"""

import os
import sys
from pathlib import Path
from typing import Any, Final

from locust import events
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_SPAWNING, WorkerRunner
from rich.console import Console

from loadtests.journeys.banks_night import BanksNight
from loadtests.journeys.busy_shop import BusyShop
from loadtests.journeys.calls import NAMES
from loadtests.journeys.first_of_the_month import FirstOfTheMonth
from loadtests.journeys.shops_day import ShopsDay
from loadtests.targets import (
    Targets,
    TargetsRefusedError,
    is_passed,
    judged,
    load_targets,
    print_table,
    verdict_in_words,
    without_targets,
)

JOURNEYS: Final = (ShopsDay, FirstOfTheMonth, BusyShop, BanksNight)


def _targets() -> Targets:
    file = Path(os.environ.get("AUTHZ_TARGETS") or Path(__file__).with_name("targets.toml"))
    try:
        return load_targets(file, journeys=[each.journey for each in JOURNEYS], calls=NAMES)
    except TargetsRefusedError as refused:
        sys.exit(str(refused))


TARGETS: Final = _targets()
WIDTH: Final = 140
"""Of a table that goes to a file or a pipe."""


@events.init.add_listener  # type: ignore[untyped-decorator]
def require_targets(environment: Environment, **_: Any) -> None:
    """Without locust's page it is known now what will be played: nobody waits a minute to hear that it says nothing."""
    is_chosen = environment.parsed_options is not None and environment.parsed_options.headless
    if is_chosen and (refusal := without_targets(TARGETS, _played(environment))):
        sys.exit(refusal)


@events.init.add_listener  # type: ignore[untyped-decorator]
def say_who_plays(environment: Environment, **_: Any) -> None:
    """Said when all are there: locust plays fewer than `--users` where a journey has its own number."""
    if isinstance(environment.runner, WorkerRunner):
        return

    def say(**_: Any) -> None:
        counts = environment.runner.target_user_classes_count if environment.runner else {}
        for each in JOURNEYS:
            if count := counts.get(each.__name__):
                print(f"{each.__name__}: {count} x {each.people}", flush=True)

    environment.events.spawning_complete.add_listener(say)  # type: ignore[no-untyped-call]


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def the_run_is_judged(environment: Environment, **_: Any) -> None:
    """Exit code 1 where a target was missed, a journey broke or the run was cut short; the table is printed last."""
    if isinstance(environment.runner, WorkerRunner):
        # Only a part of the run: its master judges the whole.
        return
    played = _played(environment)
    rows = judged(environment.stats, TARGETS, played)
    broken = list(environment.runner.exceptions.values()) if environment.runner else []
    wrong = [each for each in (_cut_short(environment), without_targets(TARGETS, played)) if each]
    passes = is_passed(rows) and not broken and not wrong
    environment.process_exit_code = 0 if passes else 1

    def tell(**_: Any) -> None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
        print_table(rows, console)
        for each in broken:
            console.print(f"A journey broke {each['count']} times: {each['msg']}", markup=False)
        for sentence in wrong:
            console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        console.print(verdict_in_words(rows) if passes else "The run has failed.", style="bold", soft_wrap=True)

    environment.events.quit.add_listener(tell)  # type: ignore[no-untyped-call]


def _played(environment: Environment) -> list[str]:
    return [each.journey for each in JOURNEYS if each in environment.user_classes]


def _cut_short(environment: Environment) -> str | None:
    """At its time a run stops its people first; at SIGTERM or Ctrl-C they are still at work when it quits."""
    options, runner = environment.parsed_options, environment.runner
    if options and options.run_time and runner and runner.state in {STATE_INIT, STATE_SPAWNING, STATE_RUNNING}:
        return f"The run was cut short: it was to last {options.run_time} seconds."
    return None
