"""Finding a family, saying why, and its page. What is sought is never in the address: it may be a name or a NIK."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Response
from pydantic import TypeAdapter, ValidationError

from authz_service.console.families_found import find_families, keep_look, opened_lately, shown_masked
from authz_service.console.family_page import family_page
from authz_service.console.permissions import CARDS
from authz_service.console.visit import Here, Page, Visit
from authz_service.requests import Reason
from authz_service.roll.cards import MAY_BECOME
from authz_service.roll.orders import RollRefused
from authz_service.vocabulary import CardStatus

router = APIRouter(route_class=Page)
REASONS: Final = ("complaint", "card_desk", "companion_asks", "check_of_data", "audit", "other")
_REASON: Final = TypeAdapter[str](Reason)
_SECONDS_A_MINUTE: Final = 60
BECOMES: Final = {
    "block": CardStatus.BLOCKED,
    "unblock": CardStatus.ACTIVE,
    "activate": CardStatus.ACTIVE,
    "lost": CardStatus.LOST,
    "stolen": CardStatus.STOLEN,
}
"""What is done to a card → what it is then."""


@router.get("/families")
async def find_page(visit: Here) -> Response:
    """One field for everything that a family may be known by."""
    return visit.page("families.html", found=None, more=False)


@router.post("/families")
async def find(visit: Here) -> Response:
    """The families that match, their names masked."""
    sought = visit.form.get("sought", "")
    async with visit.lent() as connection:
        found, more = await find_families(connection, visit.desk.keys, visit.programme_id, sought, visit.now)
    return visit.page("families.html", found=found, more=more)


@router.get("/families/{beneficiary_id}")
async def family(visit: Here, beneficiary_id: str) -> Response:
    """The family, to whoever has said why not long ago; else the question."""
    if not await is_open(visit, beneficiary_id):
        return await _ask_why(visit, beneficiary_id)
    desk = visit.desk
    try:
        async with visit.lent() as connection:
            page = await family_page(
                connection,
                desk.keys,
                desk.clock,
                visit.programme,
                beneficiary_id,
                after=visit.asked("after") or None,
            )
    except RollRefused:
        return visit.refused(HTTPStatus.NOT_FOUND, "family.none")
    may_change = visit.person.role in CARDS
    return visit.page(
        "family.html",
        page=page,
        family=page.shown,
        may_change=may_change,
        deeds_of=lambda status: deeds_of(CardStatus(status)) if may_change else [],
        paged=bool(visit.asked("after")),
    )


@router.post("/families/{beneficiary_id}/open")
async def open_family(visit: Here, beneficiary_id: str) -> Response:
    """The look is kept with its reason, and the family is open to this person for a while."""
    why, more = visit.form.get("why", ""), visit.form.get("more", "")
    if why not in REASONS or (why == "other" and not more):
        return await _ask_why(visit, beneficiary_id, "look.choose")
    try:
        reason = _REASON.validate_python(f"{why}: {more}" if more else why)
    except ValidationError:
        return await _ask_why(visit, beneficiary_id, "look.bad")
    async with visit.lent() as connection:
        if not await shown_masked(connection, visit.desk.keys, visit.programme_id, [beneficiary_id], visit.now):
            return visit.refused(HTTPStatus.NOT_FOUND, "family.none")
        await keep_look(connection, visit.person, beneficiary_id, reason, visit.where)
    return visit.redirect(f"/families/{beneficiary_id}")


async def is_open(visit: Visit, beneficiary_id: str) -> bool:
    """Whether this person has said, not long ago, why it looks at the family."""
    seconds = visit.desk.settings.console_look_seconds
    async with visit.lent() as connection:
        return await opened_lately(connection, visit.person, beneficiary_id, visit.now, seconds)


def deeds_of(status: CardStatus) -> list[str]:
    """What the card desk may make of such a card, the mildest first."""
    back = "activate" if status is CardStatus.NOT_ACTIVATED else "unblock"
    offered = ("block", back, "lost", "stolen")
    return [deed for deed in offered if status in MAY_BECOME[BECOMES[deed]]]


async def _ask_why(visit: Visit, beneficiary_id: str, wrong: str | None = None) -> Response:
    async with visit.lent() as connection:
        found = await shown_masked(connection, visit.desk.keys, visit.programme_id, [beneficiary_id], visit.now)
    if not found:
        return visit.refused(HTTPStatus.NOT_FOUND, "family.none")
    status = HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY
    return visit.page(
        "why_open.html",
        status,
        family=found[0],
        reasons=REASONS,
        wrong=wrong,
        minutes=int(visit.desk.settings.console_look_seconds) // _SECONDS_A_MINUTE,
    )
