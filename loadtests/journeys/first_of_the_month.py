"""The first of the month: the new allowance is there, families queue at every shop, and each wants its package."""

from locust import between, task

from authz_service.demo.goods import Size
from loadtests.journeys.counter import PACKAGE_RUPIAH, Counter
from loadtests.journeys.pace import NEXT_IN_THE_QUEUE_SECONDS, played
from loadtests.journeys.people import FAMILIES


class FirstOfTheMonth(Counter):
    """A queue that does not end: what is left is asked first, then as much is bought as the card allows at once."""

    journey = "first_of_the_month"
    people = "till with a queue"
    wait_time = between(*played(NEXT_IN_THE_QUEUE_SECONDS))

    @task
    def next_in_the_queue(self) -> None:
        family = next(FAMILIES)
        left = self.balance(family.card_number)["largest_approvable_amount"]
        if left:
            self.sells(family.card_number, Size.FULL, min(left, PACKAGE_RUPIAH))
