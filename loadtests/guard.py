"""`make bench-guard`: CI fails when authorise has become far slower beside an empty endpoint.

A margin as wide as a shared machine needs; what the figures really are, `make bench` says.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from loadtests.bars import AT_CONNECTIONS
from loadtests.bench import books, warm_up
from loadtests.ending import ends_in_order
from loadtests.kinds import AUTHORISE, EMPTY, Streets
from loadtests.measures import Measure, Measuring
from loadtests.report import console, show
from loadtests.scene import scene

RATIO_AT_LEAST: Final = 0.25
"""Authorise ÷ empty endpoint, at `AT_CONNECTIONS`: a little below what it does where others use the same cores, so that
only the code can miss it, and near enough to what it does in quiet that a slip by half is noticed."""
DATA_DIR: Final = Path("var/guard")
FAMILIES: Final = 2_000
ROUNDS: Final = 3
SECONDS: Final = 2


def main() -> None:
    with ends_in_order():
        measures, books_in_order = measured()
    show(measures)
    if said := refusal(measures, books_in_order=books_in_order):
        sys.exit(said)
    console.print(f"Authorise does {ratio(measures):.3f} of an empty endpoint; at least {RATIO_AT_LEAST} are wanted.")


def measured() -> tuple[list[Measure], bool]:
    """Both endpoints in turn, by our own driver, since wrk is not everywhere."""
    with scene(DATA_DIR, FAMILIES) as all_up:
        streets = Streets.of(all_up.families, f"{datetime.now(UTC):%Y%m%d%H%M%S}")
        measuring = Measuring(all_up, streets, DATA_DIR, None)
        warm_up(measuring, (EMPTY, AUTHORISE))
        measures = [
            measuring.measure(kind, number=number, connections=AT_CONNECTIONS, seconds=SECONDS)
            for number in range(1, ROUNDS + 1)
            for kind in (EMPTY, AUTHORISE)
        ]
        findings, _ = asyncio.run(books(all_up))
    return measures, not any(finding.violations for finding in findings)


def refusal(measures: list[Measure], *, books_in_order: bool) -> str | None:
    """Why CI must fail, in a sentence."""
    if not books_in_order:
        return "The guard's books are not in order: see `authz ledger check`."
    if errors := sum(each.errors for each in measures):
        return f"{errors} answers were not what was meant, so the ratio says nothing."
    if (found := ratio(measures)) < RATIO_AT_LEAST:
        return f"Authorise does {found:.3f} of an empty endpoint and must do {RATIO_AT_LEAST}: what made it slow?"
    return None


def ratio(measures: list[Measure]) -> float:
    """The median of the rounds' ratios, judged as it is printed."""
    rates = {(each.round, each.kind): each.shot.per_second for each in measures}
    rounds = {each.round for each in measures}
    return round(median(rates[number, AUTHORISE.name] / rates[number, EMPTY.name] for number in rounds), 3)


if __name__ == "__main__":
    main()
