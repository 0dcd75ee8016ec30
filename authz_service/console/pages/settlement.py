"""The shops' money: what no batch has yet, what failed and waits for somebody, batches and their payouts."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Response

from authz_service.console.ordering import Order, ask, give, may
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.ledger.standing import money
from authz_service.settlement.accounts import approve_account, masked
from authz_service.settlement.backlog import batched_rupiah, payouts
from authz_service.settlement.batches import BatchRefused
from authz_service.settlement.by_hand import say_of_payouts
from authz_service.settlement.instructions import PayoutEvent
from authz_service.settlement.open_matters import asked_accounts, open_payouts, waiting_purchases
from authz_service.settlement.reading import all_batches, one_batch, payouts_of, shops_of
from authz_service.settlement.waits import unwait
from authz_service.vocabulary import in_rupiah

router: Final = APIRouter(route_class=Page)
SHOWN: Final = 100
_BATCHES: Final = 20


@router.get("/settlement")
async def settlement(visit: Here) -> Response:
    programme_id = visit.programme_id
    async with (
        visit.lent() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        batches = await all_batches(connection, programme_id)
        open_now = await open_payouts(connection, programme_id, SHOWN)
        shown: dict[str, Any] = {
            "unsettled": (await money(connection, programme_id)).spent - await batched_rupiah(connection, programme_id),
            "counts": await payouts(connection, programme_id),
            "waits": await waiting_purchases(connection, programme_id, SHOWN),
            "accounts": await asked_accounts(connection, programme_id, SHOWN),
        }
    return visit.page(
        "settlement.html",
        **shown,
        batches=list(reversed(batches[-_BATCHES:])),
        under_way=[each for each in open_now if not each.came_back],
        came_back=[each for each in open_now if each.came_back],
        me=visit.person.sign_in,
        may_order=may(visit, "POST /settlement/payouts/{instruction_id}/release"),
    )


@router.get("/settlement/batches/{batch_id}")
async def batch(visit: Here, batch_id: str) -> Response:
    async with (
        visit.lent() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        try:
            found = await one_batch(connection, visit.programme_id, batch_id)
        except BatchRefused:
            return visit.refused(HTTPStatus.NOT_FOUND, "refused.address")
        shops = await shops_of(connection, visit.programme_id, found.batch_id)
        told = await payouts_of(connection, visit.programme_id, found.batch_id)
    names = {shop.merchant_id: shop.name for shop in shops}
    return visit.page("batch.html", batch=found, shops=shops, payouts=told, names=names, masked=masked)


@router.get("/settlement/payouts/{instruction_id}/release")
async def ask_release(visit: Here, instruction_id: str) -> Response:
    return ask(visit, await _release(visit, instruction_id))


@router.post("/settlement/payouts/{instruction_id}/release")
async def order_release(visit: Here, instruction_id: str) -> Response:
    order = await _release(visit, instruction_id)

    async def done(connection: Connection) -> None:
        what = (connection, visit.desk.settings, visit.programme_id, PayoutEvent.RELEASED, [instruction_id])
        await say_of_payouts(*what, reason=visit.form["reason"], **_by(visit))

    return await give(visit, order, done)


@router.get("/settlement/purchases/{authorisation_id}/unwait")
async def ask_unwait(visit: Here, authorisation_id: str) -> Response:
    return ask(visit, await _unwait(visit, authorisation_id))


@router.post("/settlement/purchases/{authorisation_id}/unwait")
async def order_unwait(visit: Here, authorisation_id: str) -> Response:
    order = await _unwait(visit, authorisation_id)

    async def done(connection: Connection) -> None:
        what = (connection, visit.desk.settings, visit.programme_id, authorisation_id)
        await unwait(*what, reason=visit.form["reason"], **_by(visit))

    return await give(visit, order, done)


@router.get("/settlement/accounts/{account_ref}/approve")
async def ask_account(visit: Here, account_ref: str) -> Response:
    return ask(visit, await _account(visit, account_ref))


@router.post("/settlement/accounts/{account_ref}/approve")
async def order_account(visit: Here, account_ref: str) -> Response:
    order = await _account(visit, account_ref)

    async def done(connection: Connection) -> None:
        what = (connection, visit.desk.settings, visit.programme_id, account_ref)
        await approve_account(*what, **_by(visit))

    return await give(visit, order, done)


def _by(visit: Visit) -> dict[str, Any]:
    return {"actor": visit.person.sign_in, "clock": visit.desk.clock, "chance": visit.desk.chance}


async def _release(visit: Visit, instruction_id: str) -> Order | None:
    """None where it is no payout that came back."""
    async with visit.lent() as connection:
        found = await open_payouts(connection, visit.programme_id, SHOWN)
    one = next((each for each in found if each.came_back and each.instruction_id == instruction_id), None)
    if one is None:
        return None
    facts = (
        ("shops.shop", one.shop),
        ("settlement.amount", in_rupiah(one.amount_rupiah)),
        ("settlement.batch", str(one.batch_number)),
        ("settlement.because", one.reason or ""),
        ("settlement.payout", one.instruction_id),
    )
    return Order(word="settlement.release", back="/settlement", said="payout_released", facts=facts)


async def _unwait(visit: Visit, authorisation_id: str) -> Order | None:
    async with visit.lent() as connection:
        found = await waiting_purchases(connection, visit.programme_id, SHOWN)
    one = next((each for each in found if each.authorisation_id == authorisation_id), None)
    if one is None:
        return None
    facts = (
        ("shops.shop", one.shop),
        ("settlement.amount", in_rupiah(one.net_rupiah)),
        ("settlement.flagged_by", one.flagged_by),
        ("settlement.because", one.reason),
        ("settlement.purchase", one.authorisation_id),
    )
    return Order(word="settlement.unwait", back="/settlement", said="purchase_freed", facts=facts)


async def _account(visit: Visit, account_ref: str) -> Order | None:
    async with visit.lent() as connection:
        found = await asked_accounts(connection, visit.programme_id, SHOWN)
    one = next((each for each in found if each.account_ref == account_ref), None)
    if one is None:
        return None
    facts = (
        ("shops.shop", one.shop),
        ("settlement.bank", one.bank_code),
        ("settlement.account_number", f"{one.masked} {one.holder}"),
        ("settlement.asked_by", one.requested_by),
    )
    return Order(word="settlement.account", back="/settlement", said="account_approved", facts=facts, asked=())
