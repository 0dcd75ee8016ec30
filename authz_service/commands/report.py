"""`authz report`: what was sold on a day or in a month, who has not shopped, and what would expire unused."""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from authz_service.clock import month_of
from authz_service.commands.place import Named, console, done, refusals, say
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.registry import Reference, read_reference
from authz_service.reports.csv_file import csv_file
from authz_service.reports.expiring import UnusedRow, what_expires
from authz_service.reports.families import IdleFamily, idle_families
from authz_service.reports.families_paper import (
    EXPIRING_COLUMNS,
    IDLE_COLUMNS,
    district_names,
    expiring_paper,
    expiring_row,
    idle_paper,
    idle_row,
)
from authz_service.reports.names import keep_names_asked
from authz_service.reports.period import FIRST_DAY, LAST_DAY, Period
from authz_service.reports.printed import printed
from authz_service.reports.sales import SalesReport, sales_report
from authz_service.reports.sales_paper import sales_paper, sales_rows
from authz_service.reports.sheets import Paper
from authz_service.reports.snapshot import ReportRefused, one_instant
from authz_service.reports.words import Words
from authz_service.rules.phrases import Language
from authz_service.settings import Settings
from authz_service.settlement.papers import write
from authz_service.vocabulary import ProgrammeId

report = typer.Typer(no_args_is_help=True, help="Figures that add up to the books, for people, printers and sheets.")
Csv = Annotated[Path | None, typer.Option("--csv", help="Writes every row to this file; money is in rupiah.")]
Html = Annotated[Path | None, typer.Option("--html", help="Writes a page for a printer (A4) to this file.")]
Tongue = Annotated[Language, typer.Option("--language", help="Of the page and of the screen.")]
Companion = Annotated[str | None, typer.Option(help="One companion's families alone, by its label.")]
Day = Annotated[datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="2024-10-07; else today.")]
Month = Annotated[datetime | None, typer.Option("--month", formats=["%Y-%m"], help="2024-10; else this month.")]
_UNNAMED: Final = "Name a file with --csv, or one companion with --companion."


@report.command("daily")
def daily_command(
    *,
    day: Day = None,
    csv: Csv = None,
    html: Html = None,
    language: Tongue = Language.INDONESIAN,
    programme_id: Named = None,
) -> None:
    """Sales, refunds and declines of a day in the programme's zone, by kecamatan, shop and category."""
    _give_sales(programme_id, None if day is None else day.date(), csv, html, language, is_month=False)


@report.command("monthly")
def monthly_command(
    *,
    month: Month = None,
    csv: Csv = None,
    html: Html = None,
    language: Tongue = Language.INDONESIAN,
    programme_id: Named = None,
) -> None:
    """The same of a calendar month, and of each of its days."""
    _give_sales(programme_id, None if month is None else month.date(), csv, html, language, is_month=True)


@report.command("idle")
def idle_command(
    *,
    month: Month = None,
    companion: Companion = None,
    csv: Csv = None,
    html: Html = None,
    language: Tongue = Language.INDONESIAN,
    names: Annotated[
        bool,
        typer.Option("--names", help="With each family's name; needs --reason and --actor, and is in the audit log."),
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why the names are needed; it is kept for good.")] = None,
    actor: Annotated[str | None, typer.Option(envvar="AUTHZ_ACTOR", help="Who asks for the names.")] = None,
    programme_id: Named = None,
) -> None:
    """Active families that use nothing of the month's allowance, for each companion, with what they have left."""

    async def work(connection: Connection, chosen: ProgrammeId, settings: Settings, now: datetime) -> None:
        keys = None
        if names:
            keys = Keys(settings.root_key.get_secret_value())
            about = {"report": "idle", "companion": companion}
            asked = {"actor": actor or "", "reason": reason or "", "now": now, "chance": os.urandom}
            await keep_names_asked(connection, chosen, about, **asked)  # type: ignore[arg-type]
        async with one_instant(connection, settings):
            reference = await read_reference(connection, chosen)
            of_month = month_of(now, reference.programme.zone) if month is None else month.date()
            found = idle_families(connection, reference, of_month, now, companion=companion, keys=keys)
            listed: list[IdleFamily] = []
            if csv is not None:
                with csv_file(csv) as write_row:
                    write_row(IDLE_COLUMNS)
                    async for family in found:
                        write_row(idle_row(chosen, of_month, family))
                        _listed(listed, family, settings, is_needed=html is not None)
                say(f"Written to {csv}.")
            else:
                async for family in found:
                    _listed(listed, family, settings, is_needed=True)
        paper = idle_paper(listed, reference, of_month, now, Words(language))
        _give(paper, language, html, is_shown=csv is None)

    done(programme_id, work)


@report.command("expiring")
def expiring_command(
    *,
    companion: Companion = None,
    csv: Csv = None,
    html: Html = None,
    language: Tongue = Language.INDONESIAN,
    programme_id: Named = None,
) -> None:
    """What families have left now, and how much of it no month's room lets them spend before the last day."""

    async def work(connection: Connection, chosen: ProgrammeId, settings: Settings, now: datetime) -> None:
        async with one_instant(connection, settings):
            reference = await read_reference(connection, chosen)
            rows: list[UnusedRow] = [row async for row in what_expires(connection, reference, now, companion=companion)]
        if csv is not None:
            with csv_file(csv) as write_row:
                write_row(EXPIRING_COLUMNS)
                for row in rows:
                    write_row(expiring_row(chosen, row, district_names(reference)))
            say(f"Written to {csv}.")
        _give(expiring_paper(rows, reference, now, Words(language)), language, html, is_shown=csv is None)

    done(programme_id, work)


def _listed(families: list[IdleFamily], family: IdleFamily, settings: Settings, *, is_needed: bool) -> None:
    if is_needed and len(families) == settings.report_families:
        raise ReportRefused(f"More than {settings.report_families} families: too many to read. {_UNNAMED}")
    if is_needed:
        families.append(family)


def _give_sales(
    programme_id: str | None,
    named: date | None,
    csv: Path | None,
    html: Path | None,
    language: Language,
    *,
    is_month: bool,
) -> None:
    async def work(connection: Connection, chosen: ProgrammeId, settings: Settings, now: datetime) -> SalesReport:
        async with one_instant(connection, settings):
            reference = await read_reference(connection, chosen)
            return await sales_report(connection, reference, _period(reference, named, now, is_month=is_month), now)

    found = done(programme_id, work)
    with refusals():
        if csv is not None:
            with csv_file(csv) as write_row:
                for row in sales_rows(found):
                    write_row(row)
            say(f"Written to {csv}.")
        _give(sales_paper(found, Words(language)), language, html, is_shown=csv is None)


def _period(reference: Reference, named: date | None, now: datetime, *, is_month: bool) -> Period:
    zone = reference.programme.zone
    day = now.astimezone(zone).date() if named is None else named
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ReportRefused(f"A report is about a day from {FIRST_DAY} to {LAST_DAY}.")
    return Period.month(day, zone) if is_month else Period.day(day, zone)


def _give(paper: Paper, language: Language, html: Path | None, *, is_shown: bool) -> None:
    """To the file where one is named; else, unless a CSV file has it, to the screen."""
    if html is not None:
        write(html, printed(paper, language))
        say(f"Written to {html}.")
    elif is_shown:
        say(paper.title)
        for line in (paper.programme, paper.made, *paper.notes):
            say(line)
        for sheet in paper.sheets:
            say(f"\n{sheet.title}")
            rows = list(sheet.all_written()) if sheet.rows else []
            print_table(console, [name for name, _ in sheet.columns], rows, nothing=sheet.nothing)
