"""The parts of the menu: a module each, with the router of its addresses."""

from typing import Final

from authz_service.console.pages import audit, deeds, families, home, purchases, sign_in

ROUTERS: Final = (
    *(sign_in.router, home.router, families.router, purchases.router),
    *(deeds.router, audit.router),
)
