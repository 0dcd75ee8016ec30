"""Lists of families that were imported: what each would change, and the second pair of eyes. Files come by command."""

from typing import Any, Final

from fastapi import APIRouter, Response

from authz_service.console.ordering import Order, ask, give, may
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.roll.importing.lists import KeptList, Standing, approve, kept_list, lists, withdraw
from authz_service.roll.orders import RollRefused
from authz_service.vocabulary import in_rupiah

router: Final = APIRouter(route_class=Page)
SHOWN: Final = 50
STANDINGS: Final = {standing: standing.name.lower() for standing in Standing}
"""Each standing's word is `roll.standing.…`."""
_OPEN: Final[dict[str, frozenset[Standing]]] = {
    "approve": frozenset({Standing.WAITS}),
    "withdraw": frozenset({Standing.WAITS, Standing.APPROVED}),
}
"""Deed → while it may be done."""


@router.get("/roll")
async def listed(visit: Here) -> Response:
    async with visit.lent() as connection:
        found = await lists(connection, visit.programme_id, limit=SHOWN + 1)
    return visit.page(
        "roll.html",
        found=found[:SHOWN],
        more=len(found) > SHOWN,
        standing=lambda each: visit.t(f"roll.standing.{STANDINGS[each.standing]}"),
        deeds=lambda each: [deed for deed, while_so in _OPEN.items() if each.standing in while_so],
        me=visit.person.sign_in,
        may_order=may(visit, "POST /roll/{import_id}/{deed}"),
    )


@router.get("/roll/{import_id}/{deed}")
async def ask_list(visit: Here, import_id: str, deed: str) -> Response:
    return ask(visit, await _order(visit, import_id, deed))


@router.post("/roll/{import_id}/{deed}")
async def order_list(visit: Here, import_id: str, deed: str) -> Response:
    order = await _order(visit, import_id, deed)

    async def done(connection: Connection) -> None:
        how: Any = {"actor": visit.person.sign_in, "now": visit.now, "chance": visit.desk.chance}
        act: Any = approve if deed == "approve" else withdraw
        await act(connection, visit.desk.settings, visit.programme_id, import_id, **how)

    return await give(visit, order, done)


async def _order(visit: Visit, import_id: str, deed: str) -> Order | None:
    """None for a list that is not there, or is past that deed."""
    try:
        async with visit.lent() as connection:
            found = await kept_list(connection, visit.programme_id, import_id)
    except RollRefused:
        return None
    if found.standing not in _OPEN.get(deed, ()):
        return None
    return Order(
        word=f"roll.{deed}",
        back="/roll",
        said="list_approved" if deed == "approve" else "list_withdrawn",
        facts=_facts(found),
        asked=(),
        kind="plain" if deed == "approve" else "danger",
    )


def _facts(found: KeptList) -> list[tuple[str, str]]:
    return [
        ("roll.imported_by", found.imported_by),
        ("roll.why", found.reason),
        ("roll.effective_on", "" if found.effective_on is None else f"{found.effective_on}"),
        ("roll.unchanged", str(found.unchanged)),
        ("roll.entering", str(found.entering)),
        ("roll.leaving", str(found.leaving)),
        ("roll.changing", str(found.changing)),
        ("roll.merging", str(found.merging)),
        ("roll.granting", in_rupiah(found.granting_rupiah)),
        ("roll.returning", in_rupiah(found.returning_rupiah)),
        ("roll.unallocated", in_rupiah(found.unallocated_rupiah)),
    ]
