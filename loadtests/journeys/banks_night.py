"""The bank's night, as far as there is one today: an operator's batch pages through the day and reads what changed.

The settlement webhooks come with the settlement issue; their journey is not this one.
"""

from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Final
from urllib.parse import urlencode

from locust import constant, task
from locust.env import Environment

from authz_service.demo.goods import Size
from authz_service.demo.plan import Repeat
from loadtests.journeys.calls import EXPLANATION, PAGE, Document
from loadtests.journeys.counter import PACKAGE_RUPIAH, Counter
from loadtests.journeys.people import CHANCE, FAMILIES, operator_key
from loadtests.journeys.till import Caller

PAGE_LIMIT: Final = 100
BETWEEN_ROUNDS_SECONDS: Final = 2.0
SALES_A_ROUND: Final = 3
EXPLAINED_AT_MOST: Final = 200
"""In one round; the others wait for the next one."""


class LateShop(Counter):
    """A shop that still sells while the batch is at work: without it fresh books have nothing to explain, and books
    that were explained have nothing new. The batch has it trade between two rounds, so nobody takes time over it."""

    abstract = True
    journey = "banks_night"

    def __init__(self, environment: Environment) -> None:
        # Locust tells its own users only.
        self.host = environment.host
        super().__init__(environment)
        self._held: list[str] = []

    def trades(self) -> None:
        """What was held is captured, and some more is held, or declined where a family has no package left."""
        while self._held:
            self.capture(self._held.pop(), None)
        for _ in range(SALES_A_ROUND):
            basket = self.stall.basket(Size.SMALL, PACKAGE_RUPIAH, CHANCE)
            sale = self.authorise(next(FAMILIES).card_number, basket, capture=False, repeat=Repeat.NEVER)
            if sale["decision"] == "approved":
                self._held.append(sale["id"])


class BanksNight(Caller):
    """One batch, round after round: every page of the business day, then each authorisation that is not as it was."""

    journey = "banks_night"
    people = "batch that reads what one late shop sells"
    fixed_count = 1
    wait_time = constant(BETWEEN_ROUNDS_SECONDS)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.key = operator_key()
        self._shop = LateShop(environment)
        self._known: dict[str, Document] = {}
        """Each authorisation as it was when it was read the last time."""

    @task
    def reconcile(self) -> None:
        self._shop.trades()
        newest = self._page(limit=1)["data"][0]
        day = datetime.fromisoformat(newest["created_at"])
        midnight = datetime.combine(day, time(), tzinfo=day.tzinfo)
        changed = [each for each in self._listed(midnight) if self._known.get(each["id"]) != each]
        for each in changed[:EXPLAINED_AT_MOST]:
            self.read(EXPLANATION, f"/v1/authorizations/{each['id']}/explanation")
            self._known[each["id"]] = each

    def _listed(self, midnight: datetime) -> list[Document]:
        """All authorisations of that day, each once, the newest first."""
        day: dict[str, str] = {
            "created_from": midnight.isoformat(),
            "created_to": (midnight + timedelta(days=1)).isoformat(),
        }
        page = self._page(limit=PAGE_LIMIT, **day)
        listed: list[Document] = page["data"]
        while page["has_more"]:
            page = self._page(limit=PAGE_LIMIT, after=listed[-1]["id"], **day)
            listed += page["data"]
        return listed

    def _page(self, **filters: object) -> Document:
        """A page is in order and begins after the one before."""

        def in_order(page: Document) -> str | None:
            ids = [filters.get("after", "auth_~"), *(each["id"] for each in page["data"])]
            is_right = all(newer > older for newer, older in pairwise(ids))
            return None if is_right else "a page that is not the next one, the newest first"

        return self.read(PAGE, f"/v1/authorizations?{urlencode(filters)}", in_order)
