"""Shops and their terminals: who may sell, and the orders that change it from the next purchase on."""

from collections import defaultdict
from typing import Final

from fastapi import APIRouter, Response

from authz_service.console.ordering import Order, ask, give, may
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.reports.silence import silent_shops
from authz_service.shops import KnownTerminal, set_shop_status, set_terminal_status, shops, terminals
from authz_service.vocabulary import MerchantStatus, TerminalStatus

router: Final = APIRouter(route_class=Page)
SHOWN: Final = 200
_SHOP_DEEDS: Final = {"suspend": MerchantStatus.SUSPENDED, "resume": MerchantStatus.ACTIVE}
_TERMINAL_DEEDS: Final = {"suspend": TerminalStatus.SUSPENDED, "resume": TerminalStatus.ACTIVE}


@router.get("/shops")
async def listed(visit: Here, q: str = "") -> Response:
    sought = q.strip().lower()
    async with visit.lent() as connection:
        found = await shops(connection, visit.programme_id)
        tills: dict[str, list[KnownTerminal]] = defaultdict(list)
        for till in await terminals(connection, visit.programme_id):
            tills[till.merchant_id].append(till)
        silent = await silent_shops(connection, visit.desk.settings, visit.programme_id, visit.now)
    fitting = [shop for shop in found if not sought or sought in f"{shop.name} {shop.district}".lower()]
    return visit.page(
        "shops.html",
        shops=fitting[:SHOWN],
        more=max(0, len(fitting) - SHOWN),
        tills=tills,
        silent={each.shop.merchant_id: each.since for each in silent},
        q=q.strip()[:60],
        may_order=may(visit, "POST /shops/{merchant_id}/{deed}"),
    )


@router.get("/shops/{merchant_id}/{deed}")
async def ask_shop(visit: Here, merchant_id: str, deed: str) -> Response:
    return ask(visit, await _shop_order(visit, merchant_id, deed))


@router.post("/shops/{merchant_id}/{deed}")
async def order_shop(visit: Here, merchant_id: str, deed: str) -> Response:
    order = await _shop_order(visit, merchant_id, deed)

    async def done(connection: Connection) -> None:
        await set_shop_status(
            connection,
            visit.programme_id,
            merchant_id,
            _SHOP_DEEDS[deed],
            reason=visit.form["reason"],
            actor=visit.person.sign_in,
            now=visit.now,
            chance=visit.desk.chance,
        )

    return await give(visit, order, done)


@router.get("/terminals/{terminal_id}/{deed}")
async def ask_terminal(visit: Here, terminal_id: str, deed: str) -> Response:
    return ask(visit, await _terminal_order(visit, terminal_id, deed))


@router.post("/terminals/{terminal_id}/{deed}")
async def order_terminal(visit: Here, terminal_id: str, deed: str) -> Response:
    order = await _terminal_order(visit, terminal_id, deed)

    async def done(connection: Connection) -> None:
        await set_terminal_status(
            connection,
            visit.programme_id,
            terminal_id,
            _TERMINAL_DEEDS[deed],
            reason=visit.form["reason"],
            actor=visit.person.sign_in,
            now=visit.now,
            chance=visit.desk.chance,
        )

    return await give(visit, order, done)


async def _shop_order(visit: Visit, merchant_id: str, deed: str) -> Order | None:
    async with visit.lent() as connection:
        known = await shops(connection, visit.programme_id)
    shop = next((each for each in known if each.merchant_id == merchant_id), None)
    if shop is None or deed not in _SHOP_DEEDS:
        return None
    return Order(
        word=f"shops.{deed}",
        back="/shops",
        said=f"shop_{deed}",
        facts=(("shops.shop", shop.name), ("shops.district", shop.district), ("shops.id", shop.merchant_id)),
        kind="danger" if deed == "suspend" else "plain",
    )


async def _terminal_order(visit: Visit, terminal_id: str, deed: str) -> Order | None:
    async with visit.lent() as connection:
        known = await terminals(connection, visit.programme_id)
    till = next((each for each in known if each.terminal_id == terminal_id), None)
    if till is None or deed not in _TERMINAL_DEEDS:
        return None
    shop = visit.programme.shops.get(till.merchant_id)  # type: ignore[call-overload]
    return Order(
        word=f"terminals.{deed}",
        back="/shops",
        said=f"terminal_{deed}",
        facts=(("shops.shop", shop.name if shop else till.merchant_id), ("shops.terminal", till.terminal_id)),
        kind="danger" if deed == "suspend" else "plain",
    )
