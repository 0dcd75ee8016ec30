"""A family at the counter, with the habits of the demo's families (`authz_service/demo/habits.py`)."""

from collections.abc import Sequence
from typing import Final, TypeVar

import gevent  # type: ignore[import-untyped]
from locust.env import Environment

from authz_service.declines import DeclineReason
from authz_service.demo import habits
from authz_service.demo.goods import Basket, Size, total_rupiah
from authz_service.demo.plan import Repeat, Settling
from loadtests.journeys.calls import Document
from loadtests.journeys.people import CHANCE, stall_of
from loadtests.journeys.till import Till, declined

T = TypeVar("T")
PACKING_SECONDS: Final = (1.0, 4.0)
"""The cashier reads the basket in and the family looks for its card."""
HANDING_OVER_SECONDS: Final = (0.5, 2.0)
"""Between the answer and the capture."""
REFUNDED: Final = 0.01
"""Sales of which something comes back the same day."""
PACKAGE_RUPIAH: Final = 300_000
"""What families try for where a programme has no limit."""


class Counter(Till):
    """A till with a shop around it."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.stall = stall_of(self.terminal)

    def sells(self, card_number: str, size: Size, most_rupiah: int) -> None:
        """The family has bought, or knows why not; what goes wrong first is declined and mended."""
        if not (basket := self.stall.basket(size, most_rupiah, CHANCE)):
            return
        if wrong := self._mishap(basket):
            self.pause(PACKING_SECONDS)
            self.authorise(card_number, wrong, capture=False, repeat=self.repeat(), check=declined)
        self.pause(PACKING_SECONDS)
        settling = drawn(habits.SETTLINGS)
        at_once = settling is Settling.AT_ONCE
        sale = self.authorise(card_number, basket, capture=at_once, repeat=self.repeat())
        if sale["decision"] == "approved":
            self._settles(sale, basket, settling)

    def pause(self, seconds: tuple[float, float]) -> None:
        """People take their time."""
        gevent.sleep(CHANCE.uniform(*seconds))

    def repeat(self) -> Repeat:
        return drawn(habits.REPEATS)

    def _settles(self, sale: Document, basket: Basket, settling: Settling) -> None:
        """As shops do: most sales are captured, a few are voided, some left to expire, and little comes back."""
        captured_rupiah = total_rupiah(basket)
        if settling is not Settling.AT_ONCE:
            self.pause(HANDING_OVER_SECONDS)
        repeat = Repeat.AFTERWARDS if CHANCE.random() < habits.SETTLING_REPEATED else Repeat.NEVER
        match settling:
            case Settling.LEFT_OPEN:
                return
            case Settling.VOIDED:
                self.void(sale["id"], repeat)
                return
            case Settling.CAPTURED_IN_PART if len(basket) > 1:
                captured_rupiah -= basket[-1].amount
                self.capture(sale["id"], captured_rupiah, repeat)
            case Settling.CAPTURED | Settling.CAPTURED_IN_PART:
                self.capture(sale["id"], None, repeat)
            case Settling.AT_ONCE:
                pass
        if CHANCE.random() < REFUNDED:
            self.pause(PACKING_SECONDS)
            self.refund(sale["id"], min(captured_rupiah, basket[0].amount))

    def _mishap(self, basket: Basket) -> Basket | None:
        """The basket as the cashier sends it first; None where nothing is wrong with it."""
        roll = CHANCE.random()
        for reason, part in habits.MISHAPS:
            roll -= part
            if roll < 0 and reason is DeclineReason.PACKAGE_CAP_EXCEEDED:
                return self.stall.with_too_much(basket, PACKAGE_RUPIAH, CHANCE)
            if roll < 0 and reason is not DeclineReason.CARD_UNKNOWN:
                return self.stall.with_mishap(basket, reason, CHANCE)
        return None


def drawn(choices: Sequence[tuple[T, float]]) -> T:
    """One of the choices, each as often as it says."""
    return CHANCE.choices([choice for choice, _ in choices], [weight for _, weight in choices])[0]
