"""`authz cap`: what a family may spend in a month changes, with a month that has not begun."""

import asyncio
import os
from datetime import datetime
from typing import Annotated, Final

import typer

from authz_service.commands.place import Actor, console, now_of, office, programme_of, refusals, servers
from authz_service.settings import Settings
from authz_service.terms import CAP_LIMIT_RUPIAH, Caps, TermsRefused, change_cap
from authz_service.vocabulary import in_rupiah

cap = typer.Typer(no_args_is_help=True, help="The month's caps.")
NO_LIMIT: Final = "none"
DIGITS_LIMIT: Final = len(str(CAP_LIMIT_RUPIAH))


@cap.callback()
def _noun() -> None:
    """A single command would otherwise lose its name."""


@cap.command("set")
def set_command(
    month: Annotated[datetime, typer.Argument(formats=["%Y-%m"], help="The first month that it is for: 2024-11.")],
    *,
    rupiah: Annotated[str, typer.Option(help="Rupiah in a month, or `none`.")],
    packages: Annotated[str, typer.Option(help="Purchases in a month, or `none`.")],
    actor: Actor,
    programme: Annotated[str | None, typer.Option(help="The programme; the only one if it is not said.")] = None,
) -> None:
    """From MONTH on each family may spend so much in a month; the running month keeps its caps."""
    with refusals(), servers(sandbox=True) as settings:
        caps = Caps(cap_rupiah=_number(rupiah), packages_cap=_number(packages))
        before = asyncio.run(_changed(settings, programme, month, caps, actor))
        said = f"From {month:%Y-%m} on: {_said(caps)}. Before: {_said(before)}."
        console.print(said, soft_wrap=True, highlight=False)


async def _changed(settings: Settings, programme: str | None, month: datetime, caps: Caps, actor: str) -> Caps:
    async with office(settings) as connection:
        programme_id = await programme_of(connection, programme)
        now = await now_of(connection, settings)
        return await change_cap(
            connection,
            programme_id=programme_id,
            month=month.date(),
            caps=caps,
            actor=actor,
            now=now,
            chance=os.urandom,
        )


def _number(text: str) -> int | None:
    if text == NO_LIMIT:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_LIMIT):
        raise TermsRefused(f"A cap is a whole number of at most {DIGITS_LIMIT} digits, without dots, or `{NO_LIMIT}`.")
    return int(text)


def _said(caps: Caps) -> str:
    money = "any amount" if caps.cap_rupiah is None else in_rupiah(caps.cap_rupiah)
    return f"{money} and {'any number of' if caps.packages_cap is None else caps.packages_cap} packages a month"
