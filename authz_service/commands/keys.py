"""`authz key` and `authz operator`: who may vouch, approve and look, and the keys that they come with."""

import asyncio
import os
from datetime import datetime
from typing import Annotated, Final, TypeVar
from zoneinfo import ZoneInfo

import typer

from authz_service.access import AccessRefused, Holder, IssuedKey, add_operator, issue, issued, revoke
from authz_service.commands.place import Actor, at_the_desk, console, refusals, servers, shown
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.settings import SANDBOX_ROOT_KEY, Settings
from authz_service.vocabulary import ProgrammeId

keys: Final = typer.Typer(no_args_is_help=True, help="Keys of companions and operators.")
operators: Final = typer.Typer(no_args_is_help=True, help="Operators: offices and desks, never names.")
T = TypeVar("T")
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"
_Companion = Annotated[str | None, typer.Option(help="The companion's label, for example P-001.")]
_Operator = Annotated[str | None, typer.Option(help="The operator's label.")]
_Programme = Annotated[str | None, typer.Option(help="Needed where several are enrolled.")]


@operators.command("add")
def add_command(
    label: Annotated[str, typer.Argument(help="An office or a desk, for example `Dinsos`.")],
    *,
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """Adds an operator to a programme. It comes in once `authz key issue` has given it a key."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> str:
        return await add_operator(connection, programme_id, label, actor=actor, now=now, chance=os.urandom)

    with refusals(), servers(sandbox=True) as settings:
        console.print(
            f"Operator {label}: {asyncio.run(at_the_desk(settings, programme, work))}", highlight=False, markup=False
        )


@keys.command("issue")
def issue_command(
    *, actor: Actor, companion: _Companion = None, operator: _Operator = None, programme: _Programme = None
) -> None:
    """Prints a new key, this once. The older ones go on until `authz key revoke`."""

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime) -> str:
        root_key = settings.root_key.get_secret_value()
        return await issue(
            connection,
            Keys(root_key),
            programme_id,
            _holder(companion, operator),
            mark="sandbox" if root_key == SANDBOX_ROOT_KEY else "authz",
            actor=actor,
            now=now,
            chance=os.urandom,
        )

    with refusals(), servers(sandbox=True) as settings:
        # Not through the console: it is to be copied or piped, and must not be wrapped.
        typer.echo(asyncio.run(at_the_desk(settings, programme, work)))


@keys.command("list")
def list_command(*, programme: _Programme = None) -> None:
    """Shows whose keys there are, with the numbers by which they are revoked; never a key or its digest."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime
    ) -> tuple[list[IssuedKey], ZoneInfo]:
        return await issued(connection, programme_id), ZoneInfo(await connection.fetchval(_ZONE, programme_id))

    with refusals(), servers(sandbox=True) as settings:
        listed, zone = asyncio.run(at_the_desk(settings, programme, work))
        rows = [
            (str(each.holder), str(each.number), shown(each.created_at, zone), shown(each.revoked_at, zone))
            for each in listed
        ]
        print_table(console, ("holder", "key", "issued", "revoked"), rows, nothing="No key was issued yet.")


@keys.command("revoke")
def revoke_command(
    *,
    actor: Actor,
    companion: _Companion = None,
    operator: _Operator = None,
    number: Annotated[int | None, typer.Option(help="Of the key, as `authz key list` shows it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All keys of this holder.")] = False,
    programme: _Programme = None,
) -> None:
    """Revokes a key, or all of a holder: it opens nothing from the next request on."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> int:
        if every == (number is not None):
            raise AccessRefused("Name one key with --number, or all with --all.")
        holder = _holder(companion, operator)
        return await revoke(connection, programme_id, holder, number, actor=actor, now=now, chance=os.urandom)

    with refusals(), servers(sandbox=True) as settings:
        console.print(f"Revoked: {asyncio.run(at_the_desk(settings, programme, work))}")


def _holder(companion: str | None, operator: str | None) -> Holder:
    if companion is not None and operator is None:
        return Holder(is_companion=True, label=companion)
    if operator is not None and companion is None:
        return Holder(is_companion=False, label=operator)
    raise AccessRefused("Name one holder with --companion or --operator.")
