"""A family at the counter, with the habits of the demo's families (`authz_service/demo/habits.py`)."""

from collections.abc import Sequence
from typing import Final, TypeVar, assert_never

import gevent  # type: ignore[import-untyped]
from locust.env import Environment

from authz_service.declines import DeclineReason
from authz_service.demo import habits
from authz_service.demo.goods import Basket, Size, total_rupiah
from authz_service.demo.plan import IN_PART, Repeat, Settling
from loadtests.journeys.calls import Document
from loadtests.journeys.pace import HANDING_OVER_SECONDS, PACKING_SECONDS, Seconds, played
from loadtests.journeys.people import CHANCE, stall_of
from loadtests.journeys.till import Till, declined

T = TypeVar("T")
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
        if wrong := self._mishap(card_number, basket):
            wrong_number, wrong_basket = wrong
            self.pause(PACKING_SECONDS)
            self.authorise(wrong_number, wrong_basket, capture=False, repeat=self.repeat(), check=declined)
        self.pause(PACKING_SECONDS)
        self.sale(card_number, basket, drawn(habits.SETTLINGS))

    def sale(self, card_number: str, basket: Basket, settling: Settling) -> None:
        """If it was approved it is settled in this way; one thing alone is captured whole instead of in part."""
        if settling in IN_PART and len(basket) == 1:
            settling = Settling.CAPTURED
        at_once = settling in (Settling.AT_ONCE, Settling.TAKEN_BACK)
        sale = self.authorise(card_number, basket, capture=at_once, repeat=self.repeat())
        if sale["decision"] == "approved":
            self._settles(sale, basket, settling)

    def pause(self, seconds: Seconds) -> None:
        """People have taken their time."""
        gevent.sleep(CHANCE.uniform(*played(seconds)))

    def repeat(self) -> Repeat:
        return drawn(habits.REPEATS)

    def _settles(self, sale: Document, basket: Basket, settling: Settling) -> None:
        """The sale is in the state that `settling` names; what is not taken, or comes back, is its last line."""
        if settling is not Settling.AT_ONCE:
            self.pause(HANDING_OVER_SECONDS)
        last_rupiah = basket[-1].amount
        repeat = Repeat.AFTERWARDS if CHANCE.random() < habits.SETTLING_REPEATED else Repeat.NEVER
        match settling:
            case Settling.AT_ONCE | Settling.LEFT_OPEN:
                pass
            case Settling.CAPTURED:
                self.capture(sale["id"], None, repeat)
            case Settling.CAPTURED_IN_PART:
                self.capture(sale["id"], total_rupiah(basket) - last_rupiah, repeat)
            case Settling.REFUNDED_IN_PART:
                self.capture(sale["id"], None)
                self.pause(HANDING_OVER_SECONDS)
                self.refund(sale["id"], last_rupiah, repeat)
            case Settling.TAKEN_BACK:
                self.refund(sale["id"], total_rupiah(basket), repeat)
            case Settling.VOIDED:
                self.void(sale["id"], repeat)
            case unreachable:
                assert_never(unreachable)

    def _mishap(self, card_number: str, basket: Basket) -> tuple[str, Basket] | None:
        """Card number and basket as the cashier sends them first; None where nothing is wrong with them."""
        roll = CHANCE.random()
        for reason, part in habits.MISHAPS:
            roll -= part
            if roll >= 0:
                continue
            if reason is DeclineReason.CARD_UNKNOWN:
                return _mistyped(card_number), basket
            if reason is DeclineReason.PACKAGE_CAP_EXCEEDED:
                return card_number, self.stall.with_too_much(basket, PACKAGE_RUPIAH, CHANCE)
            return card_number, self.stall.with_mishap(basket, reason, CHANCE)
        return None


def _mistyped(card_number: str) -> str:
    """The last digit is wrong: no card has this number, since that digit checks the others."""
    return f"{card_number[:-1]}{(int(card_number[-1]) + 1) % 10}"


def drawn(choices: Sequence[tuple[T, float]]) -> T:
    """One of the choices, each as often as it says."""
    return CHANCE.choices([choice for choice, _ in choices], [weight for _, weight in choices])[0]
