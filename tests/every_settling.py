"""A locust file: every way to settle a sale, played once with a basket of three lines and once with a single line."""

from typing import Any

from locust import constant, task

from authz_service.demo.goods import BasketLine
from authz_service.demo.plan import Settling
from loadtests.journeys.counter import Counter
from loadtests.journeys.people import FAMILIES

THREE_LINES = tuple(BasketLine(category="ikan_kaleng", amount=amount) for amount in (50_000, 30_000, 20_000))


class EverySettling(Counter):
    """It ends the run itself, so that it is played once."""

    journey = "every_settling"
    fixed_count = 1
    wait_time = constant(0)

    @task
    def settle(self) -> None:
        runner: Any = self.environment.runner
        try:
            for basket in (THREE_LINES, THREE_LINES[:1]):
                for settling in Settling:
                    self.sale(next(FAMILIES).card_number, basket, settling)
        finally:
            runner.quit()
