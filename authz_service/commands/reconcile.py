"""`authz reconcile`: the bank's statement against the books; and `authz exceptions`: what it could not explain."""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from authz_service.clock import clock_from
from authz_service.commands.place import Actor, console, done, refusals, say, settings_given
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.reconciliation.exceptions import KeptException, approve, listed, resolve
from authz_service.reconciliation.meaning import MEANING
from authz_service.reconciliation.outcomes import Outcome
from authz_service.reconciliation.reconciling import Reconciled, reconcile_statement
from authz_service.reconciliation.report import require_format, sums_of, write_report
from authz_service.reconciliation.statement_files import OUR_BANK, Layout, read_mapping, read_statement
from authz_service.reconciliation.statement_lines import Format, Statement, StatementRefused
from authz_service.settings import Settings
from authz_service.settlement.instructions import Applied
from authz_service.vocabulary import ProgrammeId, in_rupiah, several

exceptions: Final = typer.Typer(no_args_is_help=True, help="Where bank and books disagree; two people close each.")
_Programme = Annotated[str | None, typer.Option(help="Needed where several are enrolled.")]
_Named = Annotated[list[str], typer.Argument(help="As `authz exceptions list` shows them.")]
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"


def reconcile_command(
    file: Annotated[Path, typer.Argument(help="The bank's statement of some days.")],
    *,
    actor: Actor,
    kind: Annotated[Format, typer.Option("--format", help="How the file is written.")] = Format.CSV,
    mapping: Annotated[Path | None, typer.Option(help="TOML: what this bank calls the columns of its CSV.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Says what would be so, and writes nothing.")] = False,
    report: Annotated[Path | None, typer.Option(help="Writes each finding to this .csv or .json file, too.")] = None,
    programme: _Programme = None,
) -> None:
    """Reconciles a statement of the bank with ledger and authorisations; the exit code is 1 while exceptions are open.

    The books follow what it shows and nothing contradicts; a file may be given again, and files may overlap.
    """

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, _: datetime) -> Reconciled:
        return await reconcile_statement(
            connection,
            settings,
            programme_id,
            statement,
            actor=actor,
            clock=clock_from(settings.clock_offset_file),
            chance=os.urandom,
            is_rehearsal=dry_run,
        )

    with refusals():
        if report is not None:
            require_format(report)
        statement = _read(file, kind, mapping)
        reconciled = done(programme, work)
        _show(reconciled)
        if report is not None:
            write_report(reconciled.findings, reconciled.today, report)
            say(f"Written to {report}.")
    if reconciled.queued.open:
        raise typer.Exit(1)


@exceptions.command("list")
def list_command(
    *,
    closed: Annotated[bool, typer.Option("--closed", help="Also those that are closed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The oldest so many.")] = 100,
    programme: _Programme = None,
) -> None:
    """What is not explained, the oldest first."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime
    ) -> tuple[list[KeptException], date]:
        zone = ZoneInfo(await connection.fetchval(_ZONE, programme_id))
        found = await listed(connection, programme_id, with_closed=closed, limit=limit)
        return list(found), now.astimezone(zone).date()

    kept, today = done(programme, work)
    rows = []
    for each in kept:
        amounts = (_rupiah(each.ours_rupiah), _rupiah(each.theirs_rupiah))
        rows.append((each.exception_id, each.kind, each.reference, *amounts, str(each.age_days(today)), _so(each)))
    columns = ("exception", "kind", "reference", "ours", "theirs", "days", "what is so")
    print_table(console, columns, rows, nothing="No exception was found yet." if closed else "No exception is open.")
    for kind in sorted({each.kind for each in kept}):
        say(f"{kind}: {MEANING[kind]}")
    if any(each.closed_at is None for each in kept):
        say("What became of one: `authz exceptions resolve`; somebody else then says `authz exceptions approve`.")


@exceptions.command("resolve")
def resolve_command(
    named: _Named,
    *,
    outcome: Annotated[Outcome, typer.Option(help="What becomes of them.")],
    reason: Annotated[str, typer.Option(help="Why; kept for good.")],
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """Says what becomes of open exceptions; somebody else has to approve."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        how = {"outcome": outcome, "reason": reason}
        await resolve(connection, programme_id, named, **how, actor=actor, now=now, chance=os.urandom)  # type: ignore[arg-type]

    done(programme, work)
    say(f"A second pair of eyes is needed: `authz exceptions approve {' '.join(named)}`.")


@exceptions.command("approve")
def approve_command(named: _Named, *, actor: Actor, programme: _Programme = None) -> None:
    """The second pair of eyes: they are closed as somebody else has said; what is paid_after_all is booked as paid."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime
    ) -> list[Applied]:
        return await approve(connection, settings, programme_id, named, actor=actor, now=now, chance=os.urandom)

    for each in done(programme, work):
        say(f"{each.instruction_id} of {in_rupiah(each.amount_rupiah)} is booked as paid after all.")
    say(f"Closed: {several(len(named), 'exception')}.")


def _read(file: Path, kind: Format, mapping: Path | None) -> Statement:
    limit, layout = settings_given().statement_limit_bytes, OUR_BANK
    try:
        if mapping is not None:
            layout = _layout(mapping.read_text(encoding="utf-8"), kind)
        if file.stat().st_size > limit:
            raise StatementRefused(f"{file} is larger than {limit} bytes.")
        return read_statement(file.read_bytes(), kind, layout)
    except (OSError, UnicodeDecodeError) as unread:
        raise StatementRefused(f"{file} or its mapping cannot be read: {type(unread).__name__}.") from None


def _layout(text: str, kind: Format) -> Layout:
    if kind is Format.MT940:
        raise StatementRefused("MT940 needs no mapping.")
    return read_mapping(text)


def _show(done: Reconciled) -> None:
    rows = [
        (each.state, str(each.count), in_rupiah(each.ours_rupiah), in_rupiah(each.theirs_rupiah), str(each.oldest_days))
        for each in sums_of(done.findings, done.today)
    ]
    print_table(
        console, ("state", "number", "ours", "theirs", "oldest, days"), rows, nothing="Nothing is there to compare."
    )
    file = "was read before" if not done.statement.is_new else several(done.statement.new_lines, "new line")
    say(f"This statement: {file}; the books follow in {several(done.steps, 'step')}.")
    balance = done.balance
    say(
        f"On {balance.on} the bank's balance is {in_rupiah(balance.bank_rupiah)}; by the books it is"
        f" {in_rupiah(balance.books_rupiah)}."
    )
    say(
        f"Exceptions: {done.queued.open} open, {done.queued.raised} of them new; {done.queued.explained} are explained"
        " now."
    )
    if done.is_rehearsal:
        say("A dry run: nothing was written.")


def _so(each: KeptException) -> str:
    said = [each.detail, f"perhaps {each.proposal}" if each.proposal else ""]
    if each.resolved_by:
        said.append(f"{each.outcome}, {each.resolved_by}: {each.reason}")
    if each.approved_by:
        said.append(f"approved by {each.approved_by}")
    elif each.closed_at:
        said.append("explained by a later statement")
    return "; ".join(part for part in said if part)


def _rupiah(amount_rupiah: int | None) -> str:
    return "" if amount_rupiah is None else in_rupiah(amount_rupiah)
