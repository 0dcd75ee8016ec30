"""`authz programme`: where a programme stands, and its end."""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import asyncpg
import typer

from authz_service.clock import clock_from
from authz_service.closing import close, what_is_open
from authz_service.closing_statement import ClosingStatement, closing_statement, render, require_format, write
from authz_service.commands.calendar import holidays
from authz_service.commands.place import (
    Actor,
    Named,
    Office,
    Work,
    console,
    done_in,
    now_of,
    refusals,
)
from authz_service.enrolment.edition import EnrolmentRefused
from authz_service.enrolment.granting import grant_entitlements
from authz_service.ledger.entries import one_snapshot
from authz_service.orders import kept_orders
from authz_service.settings import Settings
from authz_service.settlement.batches import schedule_of
from authz_service.settlement.cut_offs import Schedule
from authz_service.vocabulary import ProgrammeId, in_rupiah

programme = typer.Typer(no_args_is_help=True, help="A programme: its terms, its end.")
programme.add_typer(holidays, name="holidays")
InFile = Annotated[
    Path | None, typer.Option("--statement", help="Writes the closing statement to this .csv or .json file, too.")
]
_TERMS: Final = "SELECT * FROM programme WHERE programme_id = $1"
_CAPS: Final = """
-- The caps of a month, from which month on.
SELECT valid_from, cap_rupiah, packages_cap FROM month_cap WHERE programme_id = $1 ORDER BY valid_from
"""


@programme.command("show")
def show_command(*, programme_id: Named = None) -> None:
    """Its dates and caps, and what keeps it from being closed."""
    _run(programme_id, _show)


@programme.command("grant")
def grant_command(*, actor: Actor, programme_id: Named = None) -> None:
    """Gives every family that has never had anything its entitlement, once the programme's money has come."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        now = await now_of(connection, settings)
        how = {"actor": actor, "now": now, "chance": os.urandom}
        done = await grant_entitlements(connection, settings, chosen, **how)  # type: ignore[arg-type]
        said = f"{in_rupiah(done.amount_rupiah)} is granted to {done.families} families."
        if not done.families:
            said = "every family was granted its money before; nothing was changed."
        console.print(f"{chosen}: {said}", highlight=False, markup=False, soft_wrap=True)

    _run(programme_id, work)


@programme.command("close")
def close_command(
    *,
    actor: Actor,
    reason: Annotated[str, typer.Option(help="Stands beside every return of money in the books.")] = "akhir program",
    statement: InFile = None,
    programme_id: Named = None,
    yes: Annotated[bool, typer.Option("--yes", help="Does not ask whether it is meant.")] = False,
) -> None:
    """Ends it: what is unspent goes back to the sponsor. Refused, with every reason, while something is open."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        if not yes:
            typer.confirm(f"Close {chosen} for good? Nothing moves any more afterwards.", abort=True)
        clock = clock_from(settings.clock_offset_file)
        done = await close(connection, settings, chosen, reason=reason, actor=actor, clock=clock, chance=os.urandom)
        said = "is closed." if done.now else "was closed before; nothing was changed."
        console.print(f"{chosen} {said}", highlight=False, markup=False)
        _give(done.statement, statement)

    _run(programme_id, work, statement)


@programme.command("statement")
def statement_command(*, statement: InFile = None, programme_id: Named = None) -> None:
    """The closing statement of a closed programme, the same each time."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        _give(await closing_statement(connection, settings, chosen), statement)

    _run(programme_id, work, statement)


@programme.command("orders")
def orders_command(*, programme_id: Named = None) -> None:
    """Who ordered what: caps, operators, keys, settlement, the close. `authz family show` has those of a family."""
    _run(programme_id, _orders)


def _run(programme_id: str | None, work: Work, file: Path | None = None) -> None:
    with refusals():
        if file is not None:
            require_format(file)
    done_in(programme_id, work)


def _give(statement: ClosingStatement, file: Path | None) -> None:
    render(statement, console)
    if file is not None:
        write(statement, file)
        console.print(f"Written to {file}.", highlight=False, markup=False, soft_wrap=True)


async def _show(connection: Office, settings: Settings, programme_id: ProgrammeId) -> None:
    now = await now_of(connection, settings)
    async with one_snapshot(connection, settings):
        terms = await connection.fetchrow(_TERMS, programme_id)
        caps = await connection.fetch(_CAPS, programme_id)
        reasons = await what_is_open(connection, programme_id, now)
        schedule = await schedule_of(connection, programme_id)
    if terms is None:
        raise EnrolmentRefused(f"{programme_id} is not enrolled.")
    for line in (*_terms(terms, caps, schedule, now), *_state(terms, reasons)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


async def _orders(connection: Office, _: Settings, programme_id: ProgrammeId) -> None:
    zone = ZoneInfo(await connection.fetchval("SELECT zone FROM programme WHERE programme_id = $1", programme_id))
    for order in await kept_orders(connection, programme_id):
        detail = ", ".join(f"{name} {value}" for name, value in order.detail.items())
        why = f"; {order.reason}" if order.reason else ""
        said = f"{order.recorded_at.astimezone(zone):%Y-%m-%d %H:%M} {order.actor}: {order.kind} ({detail}){why}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)


def _terms(terms: asyncpg.Record, caps: list[asyncpg.Record], schedule: Schedule, now: datetime) -> list[str]:
    zone = ZoneInfo(terms["zone"])
    today = now.astimezone(zone).date()
    starts_at, ends_at = (terms[name].astimezone(zone) for name in ("starts_at", "ends_at"))
    return [
        f"{terms['programme_id']}: {terms['name']}",
        f"from {starts_at:%-d %B %Y %H:%M %Z} until {ends_at:%-d %B %Y %H:%M %Z}",
        f"a family: {in_rupiah(terms['entitlement_rupiah'])} in all, a purchase {_limit(terms['package_rupiah'])}",
        f"a month: {_limit(terms['month_cap_rupiah'])}, {_packages(terms['month_packages'])}",
        *(
            f"a month from {cap['valid_from']:%B %Y} on: {_limit(cap['cap_rupiah'])}, {_packages(cap['packages_cap'])}"
            for cap in caps
        ),
        *_settlement(terms, schedule, today),
    ]


def _settlement(terms: asyncpg.Record, schedule: Schedule, today: date) -> list[str]:
    by_hand = "by `authz settlement close --now` alone"
    to_come = sorted(day for day in schedule.changes if day > today)
    limit = terms["payout_limit_rupiah"]
    holidays = sorted(day for day in schedule.holidays if day >= today)
    return [
        f"shops are paid what was sold until {schedule.cut_off_of(today) or f'no cut-off, {by_hand}'}",
        *(f"from {day} on: {schedule.changes[day] or f'no cut-off, {by_hand}'}" for day in to_come),
        *([f"one payout: at most {in_rupiah(limit)}"] if limit is not None else []),
        *([f"holidays to come: {', '.join(map(str, holidays))}"] if holidays else []),
    ]


def _state(terms: asyncpg.Record, reasons: list[str]) -> list[str]:
    if terms["closed_at"] is not None:
        return [f"closed on {terms['closed_at'].astimezone(ZoneInfo(terms['zone'])):%-d %B %Y %H:%M %Z}"]
    if not reasons:
        return ["nothing is open: it can be closed"]
    return ["open:", *(f"  - {reason}" for reason in reasons)]


def _limit(amount_rupiah: int | None) -> str:
    return "no limit" if amount_rupiah is None else f"at most {in_rupiah(amount_rupiah)}"


def _packages(number: int | None) -> str:
    return "any number of packages" if number is None else f"{number} packages"
