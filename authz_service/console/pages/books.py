"""The books' health: when they were last checked, what broke, whose the money is, and how far they are sealed."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Response

from authz_service.console.charts import bar
from authz_service.console.visit import Here, Page, Visit
from authz_service.ledger.checkpoints import last_checks
from authz_service.ledger.sealed_books import head_of
from authz_service.ledger.sealed_rows import CHAINS
from authz_service.ledger.standing import money

router: Final = APIRouter(route_class=Page)
_CHECKS: Final = 10
_UNITS: Final = (("days", 86_400), ("hours", 3_600), ("minutes", 60))
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
        seals = [(name, await head_of(connection, visit.programme_id, chain)) for name, chain in CHAINS.items()]
        database_now = await connection.fetchval("SELECT clock_timestamp()")
    return visit.page(
        "books.html",
        checks=checks,
        seals=[(name, head, head and age(database_now - head.sealed_at, visit)) for name, head in seals],
        money=found,
        accounts=[(account, getattr(found, account)) for account in ACCOUNTS],
        bar=bar,
        adds_up=found.fund == sum(getattr(found, account) for account in ACCOUNTS),
    )


def age(since: timedelta, visit: Visit) -> str:
    """`3 menit`: in the largest unit of which there are two, and seconds only below two minutes."""
    seconds = max(0, round(since.total_seconds()))
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return visit.t(f"books.age.{unit}", number=seconds // length)
    return visit.t("books.age.seconds", number=seconds)
