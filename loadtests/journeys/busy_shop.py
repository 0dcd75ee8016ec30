"""One busy shop: everybody buys at the same merchant, whose account every capture credits."""

from itertools import cycle
from typing import Final

from locust import between, task

from authz_service.demo.goods import Size
from authz_service.enrolment.sandbox import SandboxTerminal
from loadtests.journeys.counter import PACKAGE_RUPIAH, Counter
from loadtests.journeys.people import FAMILIES, busiest_shop

NEXT_IN_THE_QUEUE_SECONDS: Final = (0.2, 1.0)
_TILLS: Final = cycle(busiest_shop())


class BusyShop(Counter):
    """A cashier of that shop. A till takes eight requests at a time: more cashiers share one at their risk."""

    journey = "busy_shop"
    wait_time = between(*NEXT_IN_THE_QUEUE_SECONDS)

    def post(self) -> SandboxTerminal:
        return next(_TILLS)

    @task
    def next_in_the_queue(self) -> None:
        self.sells(next(FAMILIES).card_number, Size.SMALL, PACKAGE_RUPIAH)
