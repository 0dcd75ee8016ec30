"""`authz settlement cut-off | limit` and `authz programme holidays`: when shops are paid, and how much at once."""

import os
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Annotated, Any, Final

import typer

from authz_service.clock import clock_from
from authz_service.commands.place import Actor, Named, Office, done_in, refusals, say
from authz_service.settings import Settings
from authz_service.settlement.calendar import CalendarRefused, change_cut_off, change_holidays, change_payout_limit
from authz_service.settlement.cut_offs import CutOff
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH, ProgrammeId, in_rupiah

cut_offs: Final = typer.Typer(no_args_is_help=True, help="Until when what is sold is in a day's batch.")
limits: Final = typer.Typer(no_args_is_help=True, help="The most that the bank takes in one payout.")
holidays: Final = typer.Typer(no_args_is_help=True, help="Days without a batch, and no working days.")
NONE: Final = "none"
_DAY: Final = "%Y-%m-%d"
_WEEK: Final = tuple("1234567")
_Days = Annotated[list[datetime], typer.Argument(formats=[_DAY], metavar="DAY...", help="2024-12-25, one or several.")]


@cut_offs.callback()
@limits.callback()
def _noun() -> None:
    """A single command would otherwise lose its name."""


@cut_offs.command("set")
def set_cut_off_command(
    at: Annotated[str, typer.Argument(metavar="TIME", help="15:00 in the programme's zone, or `none`.")],
    *,
    days: Annotated[str, typer.Option(help="Days of the week, Monday is 1: `1-5`, `2,5`.")] = "1-5",
    on: Annotated[datetime | None, typer.Option(formats=[_DAY], help="From this day on; else from tomorrow.")] = None,
    actor: Actor,
    programme_id: Named = None,
) -> None:
    """From a day on batches are due at TIME; a day that has begun keeps its cut-off."""
    with refusals():
        cut_off = None if at == NONE else CutOff(at=_time(at), days=_weekdays(days))

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        since, before = await change_cut_off(
            connection, settings, chosen, cut_off, on=on.date() if on else None, **_how(settings, actor)
        )
        say(f"From {since} on: {cut_off or 'no cut-off'}. Before: {before or 'no cut-off'}.")

    done_in(programme_id, work)


@limits.command("set")
def set_limit_command(
    rupiah: Annotated[str, typer.Argument(help="Rupiah, at least 1000000, or `none`.")],
    *,
    actor: Actor,
    programme_id: Named = None,
) -> None:
    """From the next batch on a shop that is owed more gets several instructions, none above the limit."""
    with refusals():
        limit = None if rupiah == NONE else _number(rupiah)

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        before = await change_payout_limit(connection, settings, chosen, limit, **_how(settings, actor))
        say(f"One payout from the next batch on: {_limit(limit)}. Before: {_limit(before)}.")

    done_in(programme_id, work)


@holidays.command("add")
def add_holidays_command(days: _Days, *, actor: Actor, programme_id: Named = None) -> None:
    """No batch is due on these days, and they are no working days."""
    _change_holidays(programme_id, actor, added=[day.date() for day in days])


@holidays.command("remove")
def remove_holidays_command(days: _Days, *, actor: Actor, programme_id: Named = None) -> None:
    """These days are like others again."""
    _change_holidays(programme_id, actor, removed=[day.date() for day in days])


def _change_holidays(
    programme_id: str | None, actor: str, *, added: Sequence[date] = (), removed: Sequence[date] = ()
) -> None:
    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        left = await change_holidays(
            connection, settings, chosen, added=added, removed=removed, **_how(settings, actor)
        )
        say(f"Holidays: {', '.join(map(str, left)) or 'none'}.")

    done_in(programme_id, work)


def _how(settings: Settings, actor: str) -> dict[str, Any]:
    return {"actor": actor, "clock": clock_from(settings.clock_offset_file), "chance": os.urandom}


def _time(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007  (a wall clock's, without a day)
    except ValueError:
        raise CalendarRefused(f"A cut-off is a time as 15:00, or `{NONE}`.") from None


def _weekdays(text: str) -> frozenset[int]:
    """`1-5`, `2,5`, `1-3,6`."""
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first not in _WEEK or (last or first) not in _WEEK or (last or first) < first:
            raise CalendarRefused("Days are said as `1-5` or `2,5`: Monday is 1, Sunday 7.")
        days |= set(range(int(first), int(last or first) + 1))
    return frozenset(days)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MONEY_LIMIT_RUPIAH))):
        raise CalendarRefused(f"A limit is a whole number of rupiah, without dots, or `{NONE}`.")
    return int(text)


def _limit(rupiah: int | None) -> str:
    return "no limit" if rupiah is None else f"at most {in_rupiah(rupiah)}"
