"""The kinds of requests that are measured, and what the service counts when they are answered as is meant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final

from loadtests.counted import APPROVALS, BALANCES, CAPTURES, REFUSALS_OF_GOODS, REPLAYS
from loadtests.families import Families
from loadtests.traffic import NOT_PERMITTED, PERMITTED, Traffic


@dataclass(frozen=True, slots=True)
class Streets:
    """The same cards at tills that are spread over the town, and at those of one busy shop."""

    spread: Traffic
    busy: Traffic

    @staticmethod
    def of(families: Families, mark: str) -> "Streets":
        chance, numbers = Random(mark), count()  # noqa: S311 - it guards nothing
        spread, busy = (
            Traffic(cards=families.cards, tills=tills, chance=chance, mark=mark, numbers=numbers)
            for tills in (families.spread, families.busy)
        )
        return Streets(spread, busy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`counts` are the samples that together go up by one for every answer that is as meant."""

    name: str
    requests: Callable[[Streets, int], Iterator[bytes]]
    counts: tuple[str, ...]
    captures: bool = False


EMPTY: Final = Kind(name="empty endpoint", requests=lambda town, n: town.spread.purchases(PERMITTED, n), counts=())
AUTHORISE: Final = Kind(
    name="authorise", requests=lambda town, n: town.spread.purchases(PERMITTED, n), counts=(APPROVALS,)
)
AUTHORISE_AND_CAPTURE: Final = Kind(
    name="authorise + capture",
    requests=lambda town, n: town.spread.purchases(PERMITTED, n),
    counts=(APPROVALS, CAPTURES),
    captures=True,
)
DECLINE: Final = Kind(
    name="decline", requests=lambda town, n: town.spread.purchases(NOT_PERMITTED, n), counts=(REFUSALS_OF_GOODS,)
)
REPLAY: Final = Kind(name="replay", requests=lambda town, n: town.spread.purchases(PERMITTED, n), counts=(REPLAYS,))
BALANCE: Final = Kind(
    name="balance inquiry", requests=lambda town, n: town.spread.balance_inquiries(n), counts=(BALANCES,)
)
BUSY_SHOP: Final = Kind(
    name="one busy shop", requests=lambda town, n: town.busy.purchases(PERMITTED, n), counts=(APPROVALS,)
)
BUSY_CARD: Final = Kind(
    name="one busy card",
    requests=lambda town, n: town.spread.purchases_with_a_busy_card(PERMITTED, n),
    counts=(APPROVALS,),
)
TPC_B: Final = "TPC-B"

EVERYWHERE: Final = (EMPTY, AUTHORISE, AUTHORISE_AND_CAPTURE, DECLINE, REPLAY, BALANCE)
"""At every number of connections, in this order in each round."""
CROWDED: Final = (BUSY_SHOP, BUSY_CARD)
"""Right after them, at the number of connections at which the bars are set."""
