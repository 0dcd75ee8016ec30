"""The first page: what waits for people, the programme's terms, and where to begin."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Response

from authz_service.bank.backlog import open_notices
from authz_service.bank.inbox import Kept
from authz_service.console.menu import menu_of
from authz_service.console.visit import Here, Page, Visit
from authz_service.ledger.standing import vouchers_now
from authz_service.reconciliation.backlog import open_exceptions
from authz_service.roll.importing.lists import lists_to_approve
from authz_service.settlement.backlog import payouts
from authz_service.signals.standing import open_findings

router: Final = APIRouter(route_class=Page)
WAIT: Final = frozenset({"/vouchers", "/settlement", "/inbox", "/exceptions", "/signals", "/roll"})
"""Pages on which something may wait for somebody."""


@router.get("/")
async def home(visit: Here) -> Response:
    """What everybody may know; of what waits, that of which the person may open the page."""
    programme = visit.programme.programme
    last = programme.ends_at - timedelta(microseconds=1)
    may_open = menu_of(visit.person.role)
    waits = await _what_waits(visit) if any(item.path in WAIT for item in may_open) else {}
    return visit.page(
        "home.html",
        programme=programme,
        last=last,
        shops=len(visit.programme.shops),
        waits=[(item, waits[item.path]) for item in may_open if waits.get(item.path)],
        may_wait=any(item.path in WAIT for item in may_open),
    )


async def _what_waits(visit: Visit) -> Mapping[str, int]:
    """How many of each, by the path of its page."""
    programme_id = visit.programme_id
    async with visit.lent() as connection:
        return {
            "/vouchers": (await vouchers_now(connection, programme_id, visit.now)).waiting,
            "/settlement": (await payouts(connection, programme_id)).failed,
            "/inbox": (await open_notices(connection, programme_id))[Kept.PARKED].notices,
            "/exceptions": sum((await open_exceptions(connection, programme_id)).of_kind.values()),
            "/signals": await open_findings(connection, programme_id),
            "/roll": await lists_to_approve(connection, programme_id),
        }
