"""`authz dispute`: purchases that somebody disputes, and by when each needs an answer."""

import os
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from authz_service.commands.place import Actor, console, done, say, shown
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.reconciliation.disputes import Dispute, Opened, answer_dispute, disputes, open_dispute
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

dispute: Final = typer.Typer(no_args_is_help=True, help="Disputed purchases and their clocks; no money moves.")
_Programme = Annotated[str | None, typer.Option(help="Needed where several are enrolled.")]
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"


@dispute.command("open")
def open_command(
    authorisation: Annotated[str, typer.Argument(help="The purchase, auth_….")],
    *,
    reason: Annotated[str, typer.Option(help="What is claimed.")],
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """Keeps a claim about a purchase, and says by when it must be answered."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime
    ) -> tuple[Opened, ZoneInfo]:
        opened = await open_dispute(
            connection, programme_id, authorisation, reason=reason, actor=actor, now=now, chance=os.urandom
        )
        return opened, ZoneInfo(await connection.fetchval(_ZONE, programme_id))

    opened, zone = done(programme, work)
    say(f"{opened.dispute_id} must be answered before {shown(opened.answer_due_at, zone)}.")


@dispute.command("answer")
def answer_command(
    named: Annotated[str, typer.Argument(metavar="DISPUTE", help="As `authz dispute list` shows it.")],
    *,
    answer: Annotated[str, typer.Option(help="What was found; kept for good.")],
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """Answers a dispute. What it asks for, a refund for example, is an order of its own."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        await answer_dispute(connection, programme_id, named, answer=answer, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{named} is answered.")


@dispute.command("list")
def list_command(
    *,
    answered: Annotated[bool, typer.Option("--answered", help="Also those that were answered.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many.")] = 100,
    programme: _Programme = None,
) -> None:
    """Disputes, what is due first at the top; those that are late say so."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime
    ) -> tuple[list[Dispute], ZoneInfo, datetime]:
        found = await disputes(connection, programme_id, with_answered=answered, limit=limit)
        return list(found), ZoneInfo(await connection.fetchval(_ZONE, programme_id)), now

    found, zone, now = done(programme, work)
    rows = []
    for each in found:
        times = (shown(each.claimed_at, zone), shown(each.answer_due_at, zone))
        said = (f"{each.claimed_by}: {each.reason}", f"{each.answered_by}: {each.answer}" if each.answer else "")
        rows.append((each.dispute_id, each.authorisation_id, each.status(now), *times, *said))
    columns = ("dispute", "purchase", "status", "claimed", "answer before", "claim", "answer")
    nothing = "No purchase was disputed yet." if answered else "No dispute waits for an answer."
    print_table(console, columns, rows, nothing=nothing)
