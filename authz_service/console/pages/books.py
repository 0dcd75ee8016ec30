"""The books' health: when they were last checked, what broke, whose the money is, and how far they are sealed."""

from typing import Final

from fastapi import APIRouter, Response

from authz_service.console.charts import bar
from authz_service.console.visit import Here, Page
from authz_service.ledger.checkpoints import last_checks
from authz_service.ledger.standing import money

router: Final = APIRouter(route_class=Page)
_CHECKS: Final = 10
ACCOUNTS: Final = ("unallocated", "available", "held", "payable", "clearing", "sponsor")
"""Whose the money in the fund is; together they are the fund."""


@router.get("/books")
async def books(visit: Here) -> Response:
    async with (
        visit.lent() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await money(connection, visit.programme_id)
        checks = await last_checks(connection, visit.programme_id, _CHECKS)
    return visit.page(
        "books.html",
        checks=checks,
        money=found,
        accounts=[(account, getattr(found, account)) for account in ACCOUNTS],
        bar=bar,
        adds_up=found.fund == sum(getattr(found, account) for account in ACCOUNTS),
    )
