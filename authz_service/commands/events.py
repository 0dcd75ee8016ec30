"""`authz events`: who is told of what has happened, what was told, every attempt, and how to tell it again."""

import os
from datetime import datetime, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from authz_service.commands.place import Actor, Named, console, done, say, shown
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.events.endpoints import (
    Endpoint,
    EndpointRefused,
    add_endpoint,
    disable,
    enable,
    endpoints,
    rotate,
)
from authz_service.events.kinds import KINDS
from authz_service.events.record import Attempt, ListedEvent, attempts, event_body, resend
from authz_service.events.record import events as listed
from authz_service.events.signature import written_secret
from authz_service.keys import Keys
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

events: Final = typer.Typer(no_args_is_help=True, help="Events for other systems: what was told, and telling it again.")
endpoint: Final = typer.Typer(no_args_is_help=True, help="The addresses that events are sent to, and their secrets.")
events.add_typer(endpoint, name="endpoint")
_Endpoint = Annotated[str, typer.Argument(help="As `authz events endpoint list` shows it.")]
_Limit = Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")]
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"


@endpoint.command("add")
def add_command(
    url: Annotated[str, typer.Argument(help="Where it listens: https://…")],
    *,
    types: Annotated[str, typer.Option(help="Types with commas between: payout.*,programme.closed; * is everything.")],
    label: Annotated[str, typer.Option(help="The system, as operators call it.")],
    actor: Actor,
    programme: Named = None,
) -> None:
    """Adds an address. Prints its id, and on a line of its own the secret to give to the receiver."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime
    ) -> tuple[str, str]:
        wanted = [each.strip() for each in types.split(",") if each.strip()]
        endpoint_id = await add_endpoint(
            connection,
            settings,
            programme_id,
            url,
            label=label,
            types=wanted,
            actor=actor,
            now=now,
            chance=os.urandom,
        )
        return endpoint_id, _secret(settings, endpoint_id, 1)

    endpoint_id, secret = done(programme, work)
    say(f"{endpoint_id} is told from now on. Its secret:")
    # Not through the console: it is to be copied or piped, and must not be wrapped.
    typer.echo(secret)


@endpoint.command("list")
def list_endpoints_command(*, programme: Named = None) -> None:
    """Every address, what it wants, how it does, and what waits for it."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime
    ) -> tuple[list[Endpoint], ZoneInfo]:
        return list(await endpoints(connection, programme_id)), await _zone(connection, programme_id)

    found, zone = done(programme, work)
    for each in found:
        say(f"{each.endpoint_id}  {each.label}")
        say(f"  {each.url}")
        say(f"  wants {', '.join(each.types)}; secrets {', '.join(map(str, each.secrets))}; waiting {each.waiting}")
        say(f"  {_state(each, zone)}")
    if not found:
        say("Nobody is told: `authz events endpoint add` adds an address.")


@endpoint.command("rotate")
def rotate_command(
    endpoint_id: _Endpoint,
    *,
    overlap_days: Annotated[
        float, typer.Option(min=0, max=90, help="So many days everything is signed with the older ones, too.")
    ] = 7.0,
    actor: Actor,
    programme: Named = None,
) -> None:
    """Prints a new secret; for some days events carry a signature of the older one beside it."""

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime) -> str:
        overlap = timedelta(days=overlap_days)
        number = await rotate(
            connection, programme_id, endpoint_id, overlap=overlap, actor=actor, now=now, chance=os.urandom
        )
        return _secret(settings, endpoint_id, number)

    typer.echo(done(programme, work))


@endpoint.command("disable")
def disable_command(endpoint_id: _Endpoint, *, actor: Actor, programme: Named = None) -> None:
    """Nothing is sent to it any more, until it is enabled again."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        await disable(connection, programme_id, endpoint_id, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{endpoint_id} is disabled.")


@endpoint.command("enable")
def enable_command(endpoint_id: _Endpoint, *, actor: Actor, programme: Named = None) -> None:
    """What waited for it is sent, and what happens from now on; what happened meanwhile by `authz events resend`."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        await enable(connection, programme_id, endpoint_id, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{endpoint_id} is enabled. What happened meanwhile: `authz events resend --to {endpoint_id} --since …`.")


@events.command("types")
def types_command() -> None:
    """What events there are."""
    rows = [(kind.type, (kind.__doc__ or "").partition("\n")[0]) for kind in KINDS]
    print_table(console, ("type", "says"), rows, nothing="There is no type.")


@events.command("list")
def list_command(
    *,
    kind: Annotated[str | None, typer.Option("--type", help="A type, or all of a subject: payout.*")] = None,
    limit: _Limit = 50,
    programme: Named = None,
) -> None:
    """What has happened, the newest first, and at how many addresses it is delivered (waiting, given up)."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime
    ) -> tuple[list[ListedEvent], ZoneInfo]:
        found = await listed(connection, programme_id, kind=kind, limit=limit)
        return list(found), await _zone(connection, programme_id)

    found, zone = done(programme, work)
    rows = []
    for each in found:
        told = f"{each.delivered} ({each.waiting}, {each.given_up})"
        rows.append((each.event_id, each.type, f"{each.occurred_at.astimezone(zone):%Y-%m-%d %H:%M}", told))
    print_table(console, ("event", "type", "when", "told"), rows, nothing="Nothing of this has happened yet.")


@events.command("show")
def show_command(
    event_id: Annotated[str, typer.Argument(help="As `authz events list` shows it.")], *, programme: Named = None
) -> None:
    """The body that is sent, byte for byte."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime) -> str:
        body = await event_body(connection, programme_id, event_id)
        if body is None:
            raise EndpointRefused(f"There is no event {event_id}, or it has no number yet.")
        return body.decode()

    typer.echo(done(programme, work))


@events.command("attempts")
def attempts_command(
    event_or_endpoint: Annotated[str, typer.Argument(help="evt_… or end_…")],
    *,
    limit: _Limit = 50,
    programme: Named = None,
) -> None:
    """Every attempt for an event or at an address, the newest first. Times are real ones, also in a demo."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime
    ) -> tuple[list[Attempt], ZoneInfo]:
        found = await attempts(connection, programme_id, event_or_endpoint, limit=limit)
        return list(found), await _zone(connection, programme_id)

    found, zone = done(programme, work)
    other, rows = "endpoint" if event_or_endpoint.startswith("evt_") else "event", []
    for each in found:
        which = each.endpoint_id if other == "endpoint" else each.event_id
        came = f"{each.outcome}, {each.duration_ms} ms" + (f": {each.error}" if each.error else "")
        when = f"{each.attempted_at.astimezone(zone):%m-%d %H:%M:%S}"
        rows.append((which, str(each.attempt), when, came))
    print_table(console, (other, "try", "when", "what came of it"), rows, nothing="There was no attempt yet.")


@events.command("resend")
def resend_command(
    event_id: Annotated[str | None, typer.Argument(help="One event; else --since and --to.")] = None,
    *,
    to: Annotated[str | None, typer.Option(help="Only to this address.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="In the programme's zone.")
    ] = None,
    actor: Actor,
    programme: Named = None,
) -> None:
    """An event, or all that happened since then, is sent again, under the id that it had."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> int:
        at = since and since.replace(tzinfo=await _zone(connection, programme_id))
        return await resend(
            connection,
            programme_id,
            event_id=event_id,
            endpoint_id=to,
            since=at,
            actor=actor,
            now=now,
            chance=os.urandom,
        )

    say(f"{done(programme, work)} will be sent again.")


def _secret(settings: Settings, endpoint_id: str, number: int) -> str:
    return written_secret(Keys(settings.root_key.get_secret_value()).event_secret(endpoint_id, number))


def _state(each: Endpoint, zone: ZoneInfo) -> str:
    last = f"last took something {shown(each.delivered_at, zone)}" if each.delivered_at else "has taken nothing yet"
    if each.disabled_at is not None:
        why = {"ordered": "by order", "gone": "it answered 410", "dead": "an event could not be delivered for days"}
        because = why.get(each.disabled_because or "", "")
        return f"DISABLED since {shown(each.disabled_at, zone)}: {because}; {last}"
    return f"failed {each.failures} times in a row; {last}" if each.failures else f"enabled; {last}"


async def _zone(connection: Connection, programme_id: ProgrammeId) -> ZoneInfo:
    return ZoneInfo(await connection.fetchval(_ZONE, programme_id))
