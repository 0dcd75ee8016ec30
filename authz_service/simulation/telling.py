"""What the bank does with one payment order, or with money paid in: what moves on its account, and which notices it
sends, and when. Pure.

Time goes in rounds: in the command one every so many seconds, in the quarter one a settlement day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from authz_service.simulation.misbehaviour import Behaviour, Misbehaviour, Outcome
from authz_service.simulation.orders import Business, Deposit

LATE_ROUNDS: Final = 2
RETURNED: Final = "RETUR"
PAID_IN: Final = "PENCAIRAN KAS DAERAH"
_DIGITS: Final = 22


class Status(StrEnum):
    """`latestTransactionStatus`."""

    SUCCESS = "00"
    PENDING = "03"
    RETURNED = "04"
    FAILED = "06"


_NEWS: Final = {
    Outcome.PAID: (Status.SUCCESS,),
    Outcome.FAILED: (Status.FAILED,),
    Outcome.RETURNED: (Status.SUCCESS, Status.RETURNED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """On the programme's account, so many rounds after the order came. Below nothing it is a debit."""

    after: int
    amount_rupiah: int
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One notice, so many rounds after the order came. The same `external_id` is the same notice, sent again."""

    after: int
    status: Status
    amount_rupiah: int
    external_id: str
    is_signed: bool = True


def movements_of(order: Business, behaviour: Behaviour) -> Sequence[Movement]:
    """A payment that fails leaves no trace; one that comes back does so a round later."""
    if isinstance(order, Deposit):
        return [Movement(after=0, amount_rupiah=order.amount_rupiah, description=PAID_IN)]
    paid = Movement(after=0, amount_rupiah=-order.amount_rupiah, description=order.holder)
    match behaviour.outcome(order):
        case Outcome.FAILED:
            return []
        case Outcome.RETURNED:
            back = f"{RETURNED} {order.holder}"
            return [paid, Movement(after=1, amount_rupiah=order.amount_rupiah, description=back)]
        case Outcome.PAID:
            return [paid]


def tellings_of(order: Business, behaviour: Behaviour) -> Sequence[Telling]:
    """In the order in which they are sent. Whatever else it does, a bank that is not silent also tells what is true."""
    if behaviour.does(Misbehaviour.SILENT, order):
        return []
    news = list(_NEWS[behaviour.outcome(order)])
    if behaviour.does(Misbehaviour.PENDING, order):
        news.insert(0, Status.PENDING)
    if behaviour.does(Misbehaviour.OUT_OF_ORDER, order):
        news = [*reversed(news)] if len(news) > 1 else [*news, Status.PENDING]
    late = LATE_ROUNDS if behaviour.does(Misbehaviour.LATE, order) else 0
    told: list[Telling] = []
    for place, status in enumerate(news):
        told += _told(order, behaviour, status, place + late)
    return told


def _told(order: Business, behaviour: Behaviour, status: Status, after: int) -> Sequence[Telling]:
    """One piece of news, with what goes wrong before it and after it."""
    true = Telling(
        after=after,
        status=status,
        amount_rupiah=order.amount_rupiah,
        external_id=_digits(order.reference, status, "true"),
    )
    before, afterwards = [], []
    if behaviour.does(Misbehaviour.WRONG_SIGNATURE, order):
        before.append(_but(true, order, "forged", is_signed=False))
    if behaviour.does(Misbehaviour.WRONG_AMOUNT, order):
        before.append(_but(true, order, "wrong", amount_rupiah=order.amount_rupiah + 1))
    if behaviour.does(Misbehaviour.ERROR_500, order):
        afterwards.append(true)
    if behaviour.does(Misbehaviour.TWICE, order):
        afterwards.append(_but(true, order, "again"))
    return [*before, true, *afterwards]


def _but(
    true: Telling, order: Business, why: str, *, amount_rupiah: int | None = None, is_signed: bool = True
) -> Telling:
    """Another notice of the same news."""
    return Telling(
        after=true.after,
        status=true.status,
        amount_rupiah=true.amount_rupiah if amount_rupiah is None else amount_rupiah,
        external_id=_digits(order.reference, true.status, why),
        is_signed=is_signed,
    )


def bank_reference_of(order: Business) -> str:
    """The bank's own; a bank that was started again gives the same one."""
    return _digits(order.reference, "payment")


def _digits(*what: str) -> str:
    """The same digits for the same things, so that a bank that was started again sends the same notice."""
    return str(int.from_bytes(sha256("/".join(what).encode()).digest()))[:_DIGITS]
