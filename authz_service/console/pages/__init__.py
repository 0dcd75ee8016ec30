"""The parts of the menu: a module each, with the router of its addresses."""

from typing import Final

from authz_service.console.pages import (
    audit,
    books,
    deeds,
    exceptions,
    families,
    home,
    inbox,
    purchases,
    roll,
    settlement,
    shops,
    sign_in,
    signals,
    today,
    vouchers,
)

ROUTERS: Final = (
    *(sign_in.router, home.router, families.router, purchases.router),
    *(deeds.router, audit.router),
    *(today.router, shops.router, vouchers.router, settlement.router),
    *(inbox.router, exceptions.router, signals.router, roll.router, books.router),
)
