"""A shop's day: it opens, families come most often in the morning and late afternoon, it closes.

A day passes in a minute. What people do at the counter has the pace of the other journeys (`pace.py`), which is slower
than that: only the waiting for the next customer is cut so short.
"""

import os
from collections.abc import Iterator
from time import monotonic
from typing import Final

import gevent  # type: ignore[import-untyped]
from locust import constant, task
from locust.env import Environment

from authz_service.demo import habits
from authz_service.demo.market import AFTERNOON, IN_THE_MORNING, MORNING
from loadtests.journeys.counter import PACKAGE_RUPIAH, Counter, drawn
from loadtests.journeys.people import CHANCE, FAMILIES

DAY_SECONDS: Final = float(os.environ.get("AUTHZ_DAY_SECONDS", "60"))
"""How long opening hours take in the run."""
OPENS, CLOSES = 7.0, 18.0
CUSTOMERS: Final = 7
"""Of one shop on one of the month's first five days: 5.922 packages in three months, 27 shops, `habits.BUSY_DAYS`."""


class ShopsDay(Counter):
    """One shop, day after day: it sells, mostly captures, sometimes voids or refunds, and is asked what is left."""

    journey = "shops_day"
    people = "shop with one till"
    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._day: Iterator[float] = iter(())
        self._opened_at = 0.0
        self._package_rupiah = PACKAGE_RUPIAH

    @task
    def next_customer(self) -> None:
        moment = next(self._day, None)
        if moment is None:
            moment = self._opens()
        gevent.sleep(max(0.0, self._opened_at + moment - monotonic()))
        family, habit = next(FAMILIES), drawn([(each, each.weight) for each in habits.HABITS])
        if CHANCE.random() < habits.ASKS_FIRST:
            self.balance(family.card_number)
        self.sells(family.card_number, drawn(habit.sizes), self._package_rupiah)

    def _opens(self) -> float:
        """The next day has begun; when its first customer comes."""
        self._opened_at = self._opened_at + DAY_SECONDS if self._opened_at else monotonic()
        self._package_rupiah = self.catalogue()["package"] or PACKAGE_RUPIAH
        self._day = iter(customers())
        return next(self._day)


def customers() -> list[float]:
    """When families stand at the till, in the run's seconds after the shop has opened."""
    hours = [CHANCE.gauss(*(MORNING if CHANCE.random() < IN_THE_MORNING else AFTERNOON)) for _ in range(CUSTOMERS)]
    return sorted((min(max(hour, OPENS), CLOSES) - OPENS) / (CLOSES - OPENS) * DAY_SECONDS for hour in hours)
