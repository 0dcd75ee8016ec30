"""How badly the bank behaves: what happens to a payment, and how it tells of that; the same for a seed. Pure.

Two banks with one seed pay alike, however badly each of them tells: what happens to a payment hangs on its account and
batch alone, and on no reference, no clock and no other payment. Money that the city pays in always comes.

BehaviourRefused    no bank behaves so; the message is one sentence
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final, Self

from authz_service.serving import NotServedError
from authz_service.simulation.orders import Business, Deposit


class BehaviourRefused(NotServedError):  # noqa: N818 - it says what is so, as declines do
    """No bank behaves so; the message is one sentence."""


class Misbehaviour(StrEnum):
    # What happens to a payment.
    FAILS = "fails"
    """It never leaves the bank."""
    RETURNS = "returns"
    """It is paid and comes back."""
    PENDING = "pending"
    """It takes some time."""
    # How the bank tells.
    LATE = "late"
    TWICE = "twice"
    """A second notice, under an X-EXTERNAL-ID of its own."""
    OUT_OF_ORDER = "out-of-order"
    """The last thing first; where there is only one, it is pending afterwards."""
    WRONG_AMOUNT = "wrong-amount"
    """Genuinely signed, a rupiah too much; the right one follows."""
    WRONG_SIGNATURE = "wrong-signature"
    """Refused; the right one follows."""
    SILENT = "silent"
    """Not a word; it stands in the statement alone."""
    ERROR_500 = "error-500"
    """The bank's own gateway makes a 500 of our answer, so it sends the same notice again."""


OF_THE_PAYMENT: Final = frozenset({Misbehaviour.FAILS, Misbehaviour.RETURNS, Misbehaviour.PENDING})
"""A bank may do these and still be good."""


class Outcome(StrEnum):
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What is not in `shares` never happens."""

    seed: int
    shares: Mapping[Misbehaviour, float] = field(default_factory=dict)

    def does(self, what: Misbehaviour, order: Business) -> bool:
        drawn = Random(f"{self.seed}/{what}/{order.known_as}").random()
        return drawn < self.shares.get(what, 0.0)

    def outcome(self, order: Business) -> Outcome:
        if isinstance(order, Deposit):
            return Outcome.PAID
        if self.does(Misbehaviour.FAILS, order):
            return Outcome.FAILED
        return Outcome.RETURNED if self.does(Misbehaviour.RETURNS, order) else Outcome.PAID

    def told_well(self) -> Self:
        """The same payments, told by a bank that behaves."""
        kept = {what: share for what, share in self.shares.items() if what in OF_THE_PAYMENT}
        return type(self)(seed=self.seed, shares=kept)


def behaviour_of(written: str, seed: int) -> Behaviour:
    """As in `late=0.2,twice`: a share of all payments, and all of them where none is given."""
    shares: dict[Misbehaviour, float] = {}
    for part in filter(None, (each.strip() for each in written.split(","))):
        name, _, share = part.partition("=")
        try:
            what, chosen = Misbehaviour(name), float(share or 1)
        except ValueError:
            raise BehaviourRefused(f"{part!r} is none of {', '.join(Misbehaviour)}, with a share as =0.2.") from None
        if not 0 <= chosen <= 1 or what in shares:
            raise BehaviourRefused(f"{name} is said once, with a share of 0 to 1.")
        shares[what] = chosen
    return Behaviour(seed=seed, shares=shares)
