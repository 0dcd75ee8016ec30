"""`authz roll`: a new list of families, what it would change, and the second pair of eyes before it does.

A list has names and numbers; what is shown and kept of it here has neither.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from authz_service.clock import clock_from
from authz_service.commands.place import (
    Actor,
    Office,
    console,
    done,
    now_of,
    office,
    programme_of,
    refusals,
    say,
    servers,
)
from authz_service.commands.roll_said import difference_said, faulty_said, list_said, lists_said
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.roll.importing.applying import apply
from authz_service.roll.importing.comparing import Difference
from authz_service.roll.importing.layout import SAMARINDA, Layout, read_layout
from authz_service.roll.importing.lists import KeptList, Standing, approve, kept_list, lists, rows_of, withdraw
from authz_service.roll.importing.returned_file import path_beside
from authz_service.roll.importing.staging import Faulty, List, Told, import_list
from authz_service.roll.importing.writing import Written, write_applied
from authz_service.roll.orders import Order, RollRefused
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId, several

roll: Final = typer.Typer(no_args_is_help=True, help="Lists of families become the roll, with four eyes.")
T = TypeVar("T")
_Programme = Annotated[str | None, typer.Option(help="The programme; the only one if it is not said.")]
_Import = Annotated[str, typer.Argument(metavar="IMPORT", help="imp_…, as `authz roll list` shows it.")]
_Sandbox = Annotated[bool, typer.Option(help="Accept the public sandbox root key: synthetic data only.")]
_APPLY_SECONDS: Final = 600.0


@roll.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="The whole list, .csv or .xlsx.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept for good, so nothing personal.")],
    actor: Actor,
    mapping: Annotated[Path | None, typer.Option(help="TOML: what the list calls its columns.")] = None,
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="From which day on; else from its application on.")
    ] = None,
    leavers: Annotated[
        int | None, typer.Option(min=0, help="So many families leave: needed where they are many.")
    ] = None,
    without_newcomers: Annotated[
        bool, typer.Option("--without-newcomers", help="Rows of unknown NIK are left out: who leaves gives back first.")
    ] = False,
    errors: Annotated[Path | None, typer.Option(help="Where rows that are wrong are said; else beside FILE.")] = None,
    programme: _Programme = None,
    sandbox: _Sandbox = False,
) -> None:
    """Reads and checks a list, and shows what it would change; nothing changes until it is approved and applied.

    Where rows are wrong the exit code is 1, nothing of the list stays, and a file says what is wrong with each.
    """

    async def work(connection: Office, settings: Settings, programme_id: ProgrammeId, told: Told) -> Outcome:
        given = List(
            path=file,
            layout=_layout(mapping),
            returned=errors or path_beside(file),
            leavers=leavers,
            without_newcomers=without_newcomers,
        )
        return await import_list(
            connection,
            settings,
            programme_id=programme_id,
            given=given,
            keys=Keys(settings.root_key.get_secret_value()),
            order=order,
            now=await now_of(connection, settings),
            chance=os.urandom,
            told=told,
        )

    with refusals():
        order = Order(actor=actor, reason=reason, on=None if on is None else on.date())
        with servers(sandbox=sandbox) as settings, _progress() as told:
            outcome = asyncio.run(_worked(settings, programme, work, told))
        if isinstance(outcome, Faulty):
            faulty_said(outcome, console)
            raise typer.Exit(1)
        difference_said(outcome, console)
        say(f"Somebody else approves it: `authz roll approve {outcome.import_id}`.")


@roll.command("list")
def list_command(*, limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20, programme: _Programme = None) -> None:
    """Lists that were imported, the newest first."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime) -> list[KeptList]:
        return await lists(connection, programme_id, limit=limit)

    lists_said(done(programme, work), console)


@roll.command("show")
def show_command(
    named: _Import,
    *,
    rows: Annotated[int, typer.Option(min=0, max=100_000, help="Families of each kind, by their ids.")] = 10,
    programme: _Programme = None,
) -> None:
    """What a list changes, in families and rupiah, and who said what of it; no name and no number."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime) -> None:
        found = await kept_list(connection, programme_id, named)
        list_said(found, await rows_of(connection, programme_id, named, limit=rows), console)

    done(programme, work)


@roll.command("approve")
def approve_command(named: _Import, *, actor: Actor, programme: _Programme = None) -> None:
    """The second pair of eyes; refused where the roll has changed since the list was compared with it."""

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime) -> None:
        await approve(connection, settings, programme_id, named, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{named} is approved: `authz roll apply {named}` makes it the roll.")


@roll.command("apply")
def apply_command(named: _Import, *, actor: Actor, programme: _Programme = None) -> None:
    """Makes an approved list the roll, whole and at one instant, and writes what follows; given again, it goes on."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, settings: Settings, _: datetime
    ) -> tuple[KeptList, Written | None]:
        clock = clock_from(settings.clock_offset_file)
        how = {"clock": clock, "chance": os.urandom}
        await apply(connection, settings, programme_id, named, actor=actor, **how)  # type: ignore[arg-type]
        written = await write_applied(connection, settings, programme_id, limit_seconds=_APPLY_SECONDS, **how)  # type: ignore[arg-type]
        return await kept_list(connection, programme_id, named), written

    found, written = done(programme, work)
    if found.standing is Standing.WITHDRAWN:
        raise typer.Exit(1)
    say(f"{named} is the roll, {f'from {found.effective_on} on' if found.effective_on else 'from now on'}.")
    if written is not None:
        for who in written.cards_taken:
            say(f"{who} keeps its card: another family was given the new one meanwhile.")
        more = f"; {written.left} are left, which the service writes, or this command" if written.left else ""
        say(f"Written: {several(written.families, 'family', 'families')}{more}.")
    elif found.finished_at is None:
        say("What follows is written on its day by the service, or by this command.")


@roll.command("withdraw")
def withdraw_command(named: _Import, *, actor: Actor, programme: _Programme = None) -> None:
    """The list does nothing, and what was read of it is removed."""

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime) -> None:
        await withdraw(connection, settings, programme_id, named, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{named} is withdrawn.")


Outcome = Difference | Faulty
_Work = Callable[[Office, Settings, ProgrammeId, Told], Awaitable[Outcome]]


async def _worked(settings: Settings, programme: str | None, work: _Work, told: Told) -> Outcome:
    async with office(settings) as connection:
        return await work(connection, settings, await programme_of(connection, programme), told)


def _layout(mapping: Path | None) -> Layout:
    if mapping is None:
        return SAMARINDA
    try:
        return read_layout(mapping.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as unread:
        raise RollRefused(f"{mapping} cannot be read: {type(unread).__name__}.") from None


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar while the list is read; on what is no terminal, nothing."""
    columns = (TextColumn("The list: {task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")

        def told(what: str, done_so_far: int, total: int) -> None:
            bar.update(task, description=what, completed=done_so_far, total=total)

        yield told
