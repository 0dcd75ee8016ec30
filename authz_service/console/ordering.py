"""An order that somebody gives at the console: first a page that says what will be so, then the deed itself.

The deed is the same function as the command's. What it refuses is said on the page, and nothing was changed.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

from fastapi import Response

from authz_service.bank.inbox import InboxRefused
from authz_service.console.permissions import PERMITTED
from authz_service.console.visit import Visit
from authz_service.database import Connection
from authz_service.ledger.entries import BooksBusy
from authz_service.orders import OrderRefused, ReasonRefused
from authz_service.problems import Problem
from authz_service.reconciliation.outcomes import ExceptionRefused
from authz_service.roll.orders import RollRefused
from authz_service.settlement.accounts import AccountRefused
from authz_service.settlement.instructions import PayoutRefused
from authz_service.settlement.waits import WaitRefused
from authz_service.shops import ShopRefused
from authz_service.signals.standing import FindingRefused

REFUSALS: Final = (
    *(OrderRefused, ShopRefused, InboxRefused, ExceptionRefused, PayoutRefused, WaitRefused, AccountRefused),
    *(FindingRefused, RollRefused, BooksBusy, Problem),
)
Deed = Callable[[Connection], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A field of the form; `word` is its label's. A choice has (value, what it says)."""

    name: str
    word: str
    choices: Sequence[tuple[str, str]] = ()
    limit: int = 200


REASON: Final = Asked(name="reason", word="order.reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the page says before it is done. `word` names its title, sentence and button: `<word>.title` and so on."""

    word: str
    back: str
    """The page to go to afterwards, below /console."""
    said: str
    """The sentence there, once it is done: `said.<said>`."""
    facts: Sequence[tuple[str, str]] = ()
    """(word of the label, what it is)."""
    asked: Sequence[Asked] = (REASON,)
    kind: Literal["plain", "danger"] = "plain"


def ask(visit: Visit, order: Order | None, refusal: str | None = None) -> Response:
    """The page before the deed; where there is nothing to order, there is no such page."""
    if order is None:
        return visit.refused(HTTPStatus.NOT_FOUND, "refused.address")
    status = HTTPStatus.OK if refusal is None else HTTPStatus.CONFLICT
    return visit.page("order.html", status, order=order, refusal=refusal, form=visit.form)


async def give(visit: Visit, order: Order | None, deed: Deed) -> Response:
    """It is done, and the next page says so; or it is not, and this one says why."""
    if order is None:
        return ask(visit, order)
    missing = [asked for asked in order.asked if not visit.form.get(asked.name)]
    chosen = [asked for asked in order.asked if asked.choices]
    if missing:
        return ask(visit, order, visit.t("order.missing"))
    if any(visit.form[asked.name] not in dict(asked.choices) for asked in chosen):
        return ask(visit, order, visit.t("order.missing"))
    try:
        async with visit.lent() as connection:
            await deed(connection)
    except ReasonRefused:
        return ask(visit, order, visit.t("order.reason_refused"))
    except REFUSALS as refusal:
        return ask(visit, order, str(refusal))
    return visit.redirect(order.back, order.said)


def may(visit: Visit, address: str) -> bool:
    """Whether the person's role may open it: what it may not is no button on a page."""
    return visit.person.role in (PERMITTED[address] or ())
