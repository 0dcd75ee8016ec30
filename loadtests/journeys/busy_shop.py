"""One busy shop: everybody buys at the same merchant, whose account every capture credits.

The shop is the one that has most tills in the sandbox file. Every shop of Samarinda has one till, so there all cashiers
work with the key of a single till, which no shop does: what this journey then loads is one merchant and one till.
"""

from itertools import cycle
from typing import Final

from locust import between, task

from authz_service.demo.goods import Size
from authz_service.enrolment.sandbox import SandboxTerminal
from loadtests.journeys.counter import PACKAGE_RUPIAH, Counter
from loadtests.journeys.pace import NEXT_IN_THE_QUEUE_SECONDS, played
from loadtests.journeys.people import FAMILIES, busiest_shop

_SHOP: Final = busiest_shop()
_TILLS: Final = cycle(_SHOP)


class BusyShop(Counter):
    """A cashier of that shop. A till takes eight requests at a time: more cashiers share one at their risk."""

    journey = "busy_shop"
    people = "cashier of one shop with " + ("one till key" if len(_SHOP) == 1 else f"{len(_SHOP)} till keys")
    wait_time = between(*played(NEXT_IN_THE_QUEUE_SECONDS))

    def post(self) -> SandboxTerminal:
        return next(_TILLS)

    @task
    def next_in_the_queue(self) -> None:
        self.sells(next(FAMILIES).card_number, Size.SMALL, PACKAGE_RUPIAH)
