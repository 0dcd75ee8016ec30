"""The card desk: a page that says what will be so, a reason, and then it is so; sent twice it is done once.

What is done is an order of the roll like any other: kept, told, in the audit log with before and after, and the next
purchase is decided by it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import APIRouter, Response
from pydantic import TypeAdapter, ValidationError

from authz_service.answers import Answer
from authz_service.console.families_found import shown_masked
from authz_service.console.pages.families import BECOMES, deeds_of, is_open
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.once import Keyed, once
from authz_service.requests import CardNumber, Reason
from authz_service.roll.cards import CardFromTheBank, new_card, set_card_status
from authz_service.roll.orders import Change, Order, RollRefused
from authz_service.roll.orders import Here as InProgramme
from authz_service.roll.showing import FamilyShown, show
from authz_service.roll.status import resume, suspend
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, CardId, CardStatus, luhn_is_valid

router = APIRouter(route_class=Page)
_REASON: Final = TypeAdapter[str](Reason)
_NUMBER: Final = TypeAdapter[str](CardNumber)
Do = Callable[[Connection, InProgramme, Order], Awaitable[Change]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What is about to be done, in words of the catalogue."""

    name: str
    beneficiary_id: str
    path: str
    now: str
    """How what it changes stands now, as a word of the catalogue."""
    then: str
    last_four: str | None = None
    asks_number: bool = False


@router.get("/families/{beneficiary_id}/cards/{card_id}/{deed}")
async def card_page(visit: Here, beneficiary_id: str, card_id: str, deed: str) -> Response:
    """What will be so if it is done."""
    about = await _card_deed(visit, beneficiary_id, card_id, deed)
    return about if isinstance(about, Response) else await _asked(visit, about)


@router.post("/families/{beneficiary_id}/cards/{card_id}/{deed}")
async def card_deed(visit: Here, beneficiary_id: str, card_id: str, deed: str) -> Response:
    """The card is blocked, unblocked, lost or stolen from this instant on."""
    # The card is one of the family that was opened, with a reason; a card never changes its family.
    about = await _card_deed(visit, beneficiary_id, card_id, deed, is_said=True)
    if isinstance(about, Response):
        return about
    status = BECOMES[deed]

    async def do(connection: Connection, here: InProgramme, order: Order) -> Change:
        return await set_card_status(connection, card_id=CardId(card_id), status=status, order=order, **here)

    return await _done(
        visit, deed, beneficiary_id, do, again=lambda: _card_deed(visit, beneficiary_id, card_id, deed, is_said=True)
    )


@router.get("/families/{beneficiary_id}/do/{deed}")
async def family_deed_page(visit: Here, beneficiary_id: str, deed: str) -> Response:
    """What will be so if it is done."""
    about = await _family_deed(visit, beneficiary_id, deed)
    return about if isinstance(about, Response) else await _asked(visit, about)


@router.post("/families/{beneficiary_id}/do/{deed}")
async def family_deed(visit: Here, beneficiary_id: str, deed: str) -> Response:
    """The family is suspended or active again, or has a new card, from this instant on."""
    who, number = BeneficiaryId(beneficiary_id), visit.form.get("number", "").replace(" ", "")

    async def do(connection: Connection, here: InProgramme, order: Order) -> Change:
        match deed:
            case "suspend":
                return await suspend(connection, beneficiary_id=who, order=order, **here)
            case "resume":
                return await resume(connection, beneficiary_id=who, order=order, **here)
            case _:
                card = CardFromTheBank(number=number)
                keys = visit.desk.keys
                return await new_card(connection, beneficiary_id=who, card=card, keys=keys, order=order, **here)

    if deed not in {"suspend", "resume", "replace"}:
        return visit.refused(HTTPStatus.NOT_FOUND, "refused.address")

    async def about() -> "Deed | Response":
        return await _family_deed(visit, beneficiary_id, deed, is_said=True)

    if deed == "replace" and not _is_a_card_number(number):
        said = await about()
        return said if isinstance(said, Response) else await _asked(visit, said, wrong="will.number.missing")
    return await _done(visit, deed, beneficiary_id, do, again=about, content=number)


async def _done(
    visit: Visit,
    deed: str,
    beneficiary_id: str,
    do: Do,
    *,
    again: Callable[[], Awaitable["Deed | Response"]],
    content: str = "",
) -> Response:
    """It is done, once for each page that asked; or the page again, with what is wrong."""
    if not await is_open(visit, beneficiary_id):
        return visit.redirect(f"/families/{beneficiary_id}")
    try:
        reason = _REASON.validate_python(visit.form.get("reason", ""))
    except ValidationError:
        return await _again(visit, again, "will.reason.missing")
    desk, person = visit.desk, visit.person
    order = Order(actor=person.sign_in, reason=reason)
    here = InProgramme(programme_id=visit.programme_id, now=visit.now, chance=desk.chance)

    async def work(connection: Connection) -> Answer:
        change = await do(connection, here, order)
        return Answer(status=HTTPStatus.OK, body=orjson.dumps({"change_id": change.change_id}))

    path = visit.request.url.path
    keyed = Keyed(
        programme_id=visit.programme_id,
        principal_id=person.person_id,
        key_digest=desk.keys.request_digest(visit.form.get("once", "").encode()),
        fingerprint=desk.keys.request_digest(f"{path} {content} {reason}".encode()),
        request_id=visit.request_id,
    )
    try:
        async with visit.lent() as connection:
            limit = desk.settings.office_lock_timeout_ms
            await once(connection, keyed, work, clock=desk.clock, lock_timeout_ms=limit)
    except RollRefused as refusal:
        return await _again(visit, again, "will.impossible", str(refusal))
    return visit.redirect(f"/families/{beneficiary_id}", deed)


async def _again(
    visit: Visit, again: Callable[[], Awaitable["Deed | Response"]], wrong: str, system_says: str | None = None
) -> Response:
    said = await again()
    return said if isinstance(said, Response) else await _asked(visit, said, wrong=wrong, system_says=system_says)


async def _asked(visit: Visit, deed: Deed, *, wrong: str | None = None, system_says: str | None = None) -> Response:
    async with visit.lent() as connection:
        [family] = await shown_masked(connection, visit.desk.keys, visit.programme_id, [deed.beneficiary_id], visit.now)
    return visit.page(
        "deed.html",
        HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        deed=deed,
        family=family,
        wrong=wrong,
        system_says=system_says,
        reason=visit.form.get("reason", ""),
        once=visit.form.get("once") or visit.new_token(),
    )


async def _card_deed(
    visit: Visit, beneficiary_id: str, card_id: str, deed: str, *, is_said: bool = False
) -> Deed | Response:
    """The deed, if it can be done to the card as it is; `is_said` where a refusal has been found already."""
    shown = await _open_family(visit, beneficiary_id)
    if isinstance(shown, Response):
        return shown
    card = next((each for each in shown.cards if each["card_id"] == card_id), None)
    if card is None or deed not in BECOMES or not (is_said or deed in deeds_of(CardStatus(card["status"]))):
        return visit.refused(HTTPStatus.NOT_FOUND, "refused.address")
    return Deed(
        name=deed,
        beneficiary_id=beneficiary_id,
        path=f"/families/{beneficiary_id}/cards/{card_id}/{deed}",
        now=f"cards.status.{card['status']}",
        then=f"cards.status.{BECOMES[deed]}",
        last_four=card["last_four"],
    )


async def _family_deed(visit: Visit, beneficiary_id: str, deed: str, *, is_said: bool = False) -> Deed | Response:
    shown = await _open_family(visit, beneficiary_id)
    if isinstance(shown, Response):
        return shown
    path = f"/families/{beneficiary_id}/do/{deed}"
    if deed not in deeds_of_family(shown.status) and not is_said:
        return visit.refused(HTTPStatus.NOT_FOUND, "refused.address")
    if deed == "replace":
        present = next((each for each in shown.cards if each["status"] == "active"), None)
        status = "cards.none" if not shown.cards else f"cards.status.{(present or shown.cards[-1])['status']}"
        last_four = present["last_four"] if present else None
        return Deed(
            name=deed, beneficiary_id=beneficiary_id, path=path, now=status, then="cards.status.replaced",
            last_four=last_four, asks_number=True,
        )  # fmt: skip
    then = BeneficiaryStatus.SUSPENDED if deed == "suspend" else BeneficiaryStatus.ACTIVE
    now = f"family.status.{shown.status}"
    return Deed(name=deed, beneficiary_id=beneficiary_id, path=path, now=now, then=f"family.status.{then}")


def deeds_of_family(status: BeneficiaryStatus) -> list[str]:
    """What the card desk may do to a family that is so."""
    match status:
        case BeneficiaryStatus.ACTIVE:
            return ["replace", "suspend"]
        case BeneficiaryStatus.SUSPENDED:
            return ["replace", "resume"]
        case BeneficiaryStatus.REMOVED:
            return []


async def _open_family(visit: Visit, beneficiary_id: str) -> FamilyShown | Response:
    if not await is_open(visit, beneficiary_id):
        return visit.redirect(f"/families/{beneficiary_id}")
    try:
        async with visit.lent() as connection:
            return await show(connection, programme_id=visit.programme_id, beneficiary_id=beneficiary_id, now=visit.now)
    except RollRefused:
        return visit.refused(HTTPStatus.NOT_FOUND, "family.none")


def _is_a_card_number(number: str) -> bool:
    try:
        return luhn_is_valid(_NUMBER.validate_python(number))
    except ValidationError:
        return False
