"""`authz ledger`: the books, proven in full or from where the last proof ended."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, assert_never

import asyncpg
import typer

from authz_service.clock import clock_from
from authz_service.commands.place import console, office, refusals, servers
from authz_service.enrolment.edition import EnrolmentRefused
from authz_service.ledger.audit import Finding, render
from authz_service.ledger.checking import Kept, check_and_keep
from authz_service.ledger.checkpoints import last_clean, last_in_full
from authz_service.ledger.invariants import INVARIANTS
from authz_service.ledger.recent import Recent
from authz_service.settings import Settings
from authz_service.vocabulary import several

ledger = typer.Typer(no_args_is_help=True, help="The books.")


@ledger.callback()
def _noun() -> None:
    """A single command would otherwise lose its name."""


@ledger.command("check")
def check_command(
    *,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Only the families touched since the last check that found nothing.")
    ] = False,
) -> None:
    """Proves the invariants of every programme's books; the exit code is 1 when one is broken."""
    with refusals(), servers(sandbox=True) as settings:
        if not asyncio.run(_books_are_right(settings, since_last=since_last)):
            sys.exit(1)


async def _books_are_right(settings: Settings, *, since_last: bool) -> bool:
    async with office(settings) as connection:
        right = True
        programmes = await connection.fetch("SELECT programme_id FROM programme ORDER BY programme_id")
        if not programmes:
            raise EnrolmentRefused("No programme is enrolled: there are no books to check.")
        for row in programmes:
            console.rule(row["programme_id"])
            findings = await _checked(connection, settings, row["programme_id"], since_last=since_last)
            right = right and not any(finding.violations for finding in findings)
    return right


async def _checked(
    connection: "asyncpg.Connection[asyncpg.Record]", settings: Settings, programme_id: str, *, since_last: bool
) -> Sequence[Finding]:
    """The findings have been shown, and how far they reach is kept for the next check."""
    last = await last_clean(connection, programme_id) if since_last else None
    if since_last and last is None:
        _say("No check of all has found these books in order, or the last one did not: all of them are checked.")
    clock = clock_from(settings.clock_offset_file)
    checked = await check_and_keep(connection, settings, programme_id, clock, last)
    render(checked.findings, console)
    if checked.recent is not None:
        _say_how_far(checked.findings, checked.recent, await last_in_full(connection, programme_id))
    match checked.kept:
        case Kept.YES:
            pass
        case Kept.HIDDEN:
            _say(
                "Where this check ended is not kept: others' transactions may be open, and this role may not see them."
            )
        case Kept.READ_ONLY:
            _say("Where this check ended is not kept: this role, or this server, only reads.")
        case unreachable:
            assert_never(unreachable)
    return checked.findings


def _say_how_far(findings: Sequence[Finding], recent: Recent, in_full: datetime | None) -> None:
    _say(
        f"Checked: {several(len(recent.families), 'family', 'families')} touched since"
        f" {recent.since:%Y-%m-%d %H:%M:%S} UTC, with all their past:"
        f" {several(len(recent.authorisations), 'authorisation')}."
    )
    unasked = len(INVARIANTS) - len(findings)
    before = "was never done" if in_full is None else f"was last in order at {in_full:%Y-%m-%d %H:%M:%S} UTC"
    _say(
        f"Not checked: {several(unasked, 'invariant')} of the whole programme, and families that did nothing since,"
        f" even if somebody changed their rows by hand. `authz ledger check` finds that; it {before}."
    )


def _say(sentence: str) -> None:
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)
