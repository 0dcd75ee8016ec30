"""The bank's night, as far as there is one today: an operator's batch pages through the day and reads what changed.

The settlement webhooks come with the settlement issue; their journey is not this one.
"""

from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Final
from urllib.parse import urlencode

from locust import constant, task
from locust.env import Environment

from loadtests.journeys.calls import EXPLANATION, PAGE, Document
from loadtests.journeys.people import operator_key
from loadtests.journeys.till import Caller

PAGE_LIMIT: Final = 100
BETWEEN_ROUNDS_SECONDS: Final = 2.0
EXPLAINED_AT_MOST: Final = 200
"""In one round; the others wait for the next one."""


class BanksNight(Caller):
    """One batch, round after round: every page of the business day, then each authorisation that is not as it was."""

    journey = "banks_night"
    fixed_count = 1
    wait_time = constant(BETWEEN_ROUNDS_SECONDS)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.key = operator_key()
        self._known: dict[str, Document] = {}
        """Each authorisation as it was when it was read the last time."""

    @task
    def reconcile(self) -> None:
        newest = self._page(limit=1)["data"]
        if not newest:
            return
        day = datetime.fromisoformat(newest[0]["created_at"])
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
