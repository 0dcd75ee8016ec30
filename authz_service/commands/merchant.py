"""`authz merchant` and `authz terminal`: who may sell, from the next purchase on."""

import os
from datetime import datetime
from typing import Annotated, Final

import typer

from authz_service.commands.place import Actor, Named, console, done, say, shown
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.registry import read_reference
from authz_service.reports.silence import silent_shops
from authz_service.settings import Settings
from authz_service.shops import KnownShop, set_shop_status, set_terminal_status, shops, terminals
from authz_service.vocabulary import MerchantStatus, ProgrammeId, TerminalStatus

merchants: Final = typer.Typer(no_args_is_help=True, help="Shops: who may sell.")
terminals_said: Final = typer.Typer(no_args_is_help=True, help="Tills of shops.")
Shop = Annotated[str, typer.Argument(metavar="SHOP", help="mrc_…")]
Till = Annotated[str, typer.Argument(metavar="TERMINAL", help="trm_…")]
Reason = Annotated[str, typer.Option(help="Why; it is kept for good, so nothing personal.")]
_SHOPS: Final = ("shop", "name", "kecamatan", "hours", "status")
_TILLS: Final = ("terminal", "shop", "status")
_SILENT: Final = ("shop", "name", "kecamatan", "silent since")


@merchants.command("suspend")
def suspend_shop_command(shop: Shop, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """The shop sells nothing more until it is resumed; what is held is honoured."""
    _set_shop(programme_id, shop, MerchantStatus.SUSPENDED, reason, actor)


@merchants.command("resume")
def resume_shop_command(shop: Shop, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """The shop may sell again."""
    _set_shop(programme_id, shop, MerchantStatus.ACTIVE, reason, actor)


@merchants.command("list")
def list_shops_command(*, programme_id: Named = None) -> None:
    """Every shop, its hours and whether it may sell."""

    async def work(connection: Connection, chosen: ProgrammeId, _: Settings, __: datetime) -> None:
        found = await shops(connection, chosen)
        rows = [(each.merchant_id, each.name, each.district, _hours(each), each.status) for each in found]
        print_table(console, _SHOPS, rows, nothing=f"{chosen} has no shop.")

    done(programme_id, work)


@merchants.command("silent")
def silent_command(*, programme_id: Named = None) -> None:
    """Shops that usually sell, are open, and of which nothing was heard for AUTHZ_SILENT_HOURS of their hours."""

    async def work(connection: Connection, chosen: ProgrammeId, settings: Settings, now: datetime) -> None:
        zone = (await read_reference(connection, chosen)).programme.zone
        found = await silent_shops(connection, settings, chosen, now)
        rows = [(each.shop.merchant_id, each.shop.name, each.shop.district, shown(each.since, zone)) for each in found]
        print_table(console, _SILENT, rows, nothing="No shop is silent that should not be.")

    done(programme_id, work)


@terminals_said.command("suspend")
def suspend_terminal_command(terminal: Till, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """The till sells nothing more until it is resumed; its shop's other tills go on."""
    _set_terminal(programme_id, terminal, TerminalStatus.SUSPENDED, reason, actor)


@terminals_said.command("resume")
def resume_terminal_command(terminal: Till, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """The till may sell again."""
    _set_terminal(programme_id, terminal, TerminalStatus.ACTIVE, reason, actor)


@terminals_said.command("list")
def list_terminals_command(
    *,
    shop: Annotated[str | None, typer.Option(help="mrc_…: this shop's alone.")] = None,
    programme_id: Named = None,
) -> None:
    """Every till that is not revoked."""

    async def work(connection: Connection, chosen: ProgrammeId, _: Settings, __: datetime) -> None:
        found = await terminals(connection, chosen, merchant_id=shop)
        rows = [(each.terminal_id, each.merchant_id, each.status) for each in found]
        print_table(console, _TILLS, rows, nothing="There is no such till.")

    done(programme_id, work)


def _set_shop(programme_id: str | None, shop: str, status: MerchantStatus, reason: str, actor: str) -> None:
    async def work(connection: Connection, chosen: ProgrammeId, _: Settings, now: datetime) -> None:
        name = await set_shop_status(
            connection, chosen, shop, status, reason=reason, actor=actor, now=now, chance=os.urandom
        )
        say(f"{name} ({shop}) is {status} from the next purchase on.")

    done(programme_id, work)


def _set_terminal(programme_id: str | None, terminal: str, status: TerminalStatus, reason: str, actor: str) -> None:
    async def work(connection: Connection, chosen: ProgrammeId, _: Settings, now: datetime) -> None:
        merchant_id = await set_terminal_status(
            connection, chosen, terminal, status, reason=reason, actor=actor, now=now, chance=os.urandom
        )
        say(f"{terminal} of {merchant_id} is {status} from the next purchase on.")

    done(programme_id, work)


def _hours(shop: KnownShop) -> str:
    return "" if shop.opens_at is None or shop.closes_at is None else f"{shop.opens_at:%H:%M}-{shop.closes_at:%H:%M}"
