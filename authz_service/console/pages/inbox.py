"""What the bank told and the books cannot follow: one person says what becomes of it, another one approves."""

from typing import Final

from fastapi import APIRouter, Response

from authz_service.bank.inbox import KeptNotice, approve, listed, resolve
from authz_service.console.ordering import Asked, Order, ask, give, may
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.vocabulary import in_rupiah

router: Final = APIRouter(route_class=Page)
SHOWN: Final = 100
_RESOLUTION: Final = Asked(name="resolution", word="inbox.resolution")


@router.get("/inbox")
async def inbox(visit: Here) -> Response:
    async with visit.lent() as connection:
        parked = await listed(connection, visit.programme_id, parked_only=True, limit=SHOWN + 1)
        newest = await listed(connection, visit.programme_id, parked_only=False, limit=20)
    return visit.page(
        "inbox.html",
        parked=parked[:SHOWN],
        more=len(parked) > SHOWN,
        newest=newest,
        me=visit.person.sign_in,
        may_order=may(visit, "POST /inbox/{notice_id}/{deed}"),
    )


@router.get("/inbox/{notice_id}/{deed}")
async def ask_notice(visit: Here, notice_id: str, deed: str) -> Response:
    return ask(visit, await _order(visit, notice_id, deed))


@router.post("/inbox/{notice_id}/{deed}")
async def order_notice(visit: Here, notice_id: str, deed: str) -> Response:
    order = await _order(visit, notice_id, deed)

    async def done(connection: Connection) -> None:
        actor, now, chance = visit.person.sign_in, visit.now, visit.desk.chance
        if deed == "approve":
            return await approve(connection, visit.programme_id, notice_id, actor=actor, now=now, chance=chance)
        resolution = visit.form["resolution"]
        what = (connection, visit.programme_id, notice_id)
        return await resolve(*what, resolution=resolution, actor=actor, now=now, chance=chance)

    return await give(visit, order, done)


async def _order(visit: Visit, notice_id: str, deed: str) -> Order | None:
    """None where nobody has resolved what is to be approved, or the notice is not parked any more."""
    async with visit.lent() as connection:
        parked = await listed(connection, visit.programme_id, parked_only=True, limit=SHOWN)
    found = next((each for each in parked if each.notice_id == notice_id), None)
    if found is None or deed not in {"resolve", "approve"} or (deed == "approve" and found.resolved_by is None):
        return None
    return Order(
        word=f"inbox.{deed}",
        back="/inbox",
        said=f"notice_{deed}d",
        facts=_facts(found),
        asked=(_RESOLUTION,) if deed == "resolve" else (),
    )


def _facts(notice: KeptNotice) -> list[tuple[str, str]]:
    facts = [
        ("inbox.reference", notice.reference),
        ("inbox.bank_reference", notice.bank_reference),
        ("inbox.amount", in_rupiah(notice.amount_rupiah)),
        ("inbox.told", notice.status),
        ("inbox.parked_because", notice.reason or ""),
    ]
    if notice.resolved_by is not None:
        facts += [("inbox.resolved_by", notice.resolved_by), ("inbox.resolution", notice.resolution or "")]
    return facts
