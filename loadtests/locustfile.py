"""The switch under load, as the teams around it would load it. `loadtests/README.md` says how it is run.

AUTHZ_TILLS names the sandbox file with terminals and cards, AUTHZ_OPERATOR_KEY the key of the bank's batch,
AUTHZ_TARGETS another table than `targets.toml`. When the run ends, its table is printed; what it missed is exit code 1.
"""

import os
from pathlib import Path
from typing import Any, Final

from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner
from rich.console import Console

from loadtests.journeys.banks_night import BanksNight
from loadtests.journeys.busy_shop import BusyShop
from loadtests.journeys.calls import NAMES
from loadtests.journeys.first_of_the_month import FirstOfTheMonth
from loadtests.journeys.shops_day import ShopsDay
from loadtests.targets import is_passed, judged, load_targets, print_table, verdict_in_words

JOURNEYS: Final = (ShopsDay, FirstOfTheMonth, BusyShop, BanksNight)
TARGETS: Final = load_targets(
    Path(os.environ.get("AUTHZ_TARGETS") or Path(__file__).with_name("targets.toml")),
    journeys=[each.journey for each in JOURNEYS],
    calls=NAMES,
)

WIDTH: Final = 140
"""Of a table that goes to a file or a pipe."""


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
    """Exit code 1 where a target was missed or a journey broke; the table comes last of all that locust prints."""
    if isinstance(environment.runner, WorkerRunner):
        # Only a part of the run: its master judges the whole.
        return
    played = [each.journey for each in JOURNEYS if each in environment.user_classes]
    rows = judged(environment.stats, TARGETS, played)
    broken = list(environment.runner.exceptions.values()) if environment.runner else []
    passes = is_passed(rows) and not broken
    environment.process_exit_code = 0 if passes else 1

    def tell(**_: Any) -> None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
        print_table(rows, console)
        for each in broken:
            console.print(f"A journey broke {each['count']} times: {each['msg']}", markup=False)
        console.print("The run has failed." if broken else verdict_in_words(rows), style="bold", soft_wrap=True)

    environment.events.quit.add_listener(tell)  # type: ignore[no-untyped-call]
