"""`authz person` and `authz audit`: who signs in at the console, and who did or looked at what."""

import os
import sys
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import orjson
import typer

from authz_service.audit import LIST_LIMIT, Entry, entries
from authz_service.commands.place import Actor, Named, console, done, say, shown
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.passwords import Passwords
from authz_service.people import (
    Ordered,
    Person,
    Role,
    add_person,
    disable_person,
    enable_person,
    people,
    set_password,
    set_role,
)
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

person: Final = typer.Typer(no_args_is_help=True, help="The people who sign in at the console.")
audit: Final = typer.Typer(no_args_is_help=True, help="Who did or looked at what, and why.")
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"
_SignIn = Annotated[str, typer.Argument(metavar="NAME", help="The sign-in name: a-z, 0-9, single points and hyphens.")]
_Role = Annotated[Role, typer.Option(help="What the person may see and do.")]
_GivenOnStdin = Annotated[
    bool, typer.Option("--stdin", help="Reads the password from standard input; else a random one is printed, once.")
]


@person.command("add")
def add_command(
    sign_in: _SignIn, *, role: _Role, actor: Actor, stdin: _GivenOnStdin = False, programme: Named = None
) -> None:
    """Adds a person and prints a random password, this once; the first sign-in asks for another one."""
    given = _given(stdin=stdin)

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime) -> str:
        passwords = Passwords(settings, os.urandom)
        password = _checked(passwords, given, sign_in)
        ordered = Ordered(programme_id=programme_id, actor=actor, now=now, chance=os.urandom)
        await add_person(connection, sign_in, role, await passwords.hash(password), ordered)
        return password

    _tell(done(programme, work), given)


@person.command("password")
def password_command(sign_in: _SignIn, *, actor: Actor, stdin: _GivenOnStdin = False, programme: Named = None) -> None:
    """Gives a person a new password for once; the older one and all sessions are over."""
    given = _given(stdin=stdin)

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime) -> str:
        passwords = Passwords(settings, os.urandom)
        password = _checked(passwords, given, sign_in)
        ordered = Ordered(programme_id=programme_id, actor=actor, now=now, chance=os.urandom)
        await set_password(connection, sign_in, await passwords.hash(password), ordered, is_for_once=True)
        return password

    _tell(done(programme, work), given)


@person.command("role")
def role_command(sign_in: _SignIn, role: Role, *, actor: Actor, programme: Named = None) -> None:
    """Gives a person another role, from the next request on."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        ordered = Ordered(programme_id=programme_id, actor=actor, now=now, chance=os.urandom)
        await set_role(connection, sign_in, role, ordered)

    done(programme, work)
    say(f"{sign_in} is {role}.")


@person.command("disable")
def disable_command(sign_in: _SignIn, *, actor: Actor, programme: Named = None) -> None:
    """Ends all sessions of a person, who signs in no more."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        ordered = Ordered(programme_id=programme_id, actor=actor, now=now, chance=os.urandom)
        await disable_person(connection, sign_in, ordered)

    done(programme, work)
    say(f"{sign_in} is disabled.")


@person.command("enable")
def enable_command(sign_in: _SignIn, *, actor: Actor, programme: Named = None) -> None:
    """Lets a person who was disabled sign in again."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        ordered = Ordered(programme_id=programme_id, actor=actor, now=now, chance=os.urandom)
        await enable_person(connection, sign_in, ordered)

    done(programme, work)
    say(f"{sign_in} is enabled.")


@person.command("list")
def list_command(*, programme: Named = None) -> None:
    """Shows everybody, never a password or its hash."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime
    ) -> tuple[list[Person], ZoneInfo, datetime]:
        zone = ZoneInfo(await connection.fetchval(_ZONE, programme_id))
        return await people(connection, programme_id), zone, now

    listed, zone, now = done(programme, work)
    columns = ("name", "role", "since", "standing", "id")
    rows = [
        (each.sign_in, each.role, shown(each.created_at, zone), _standing(each, zone, now), each.person_id)
        for each in listed
    ]
    print_table(console, columns, rows, nothing="Nobody may sign in yet: `authz person add`.")


@audit.command("list")
def audit_command(
    *,
    subject: Annotated[str | None, typer.Option(help="Of one family, order, card or person, by its id.")] = None,
    by: Annotated[str | None, typer.Option(help="Of one actor.")] = None,
    action: Annotated[str | None, typer.Option(help="Of one kind, for example family_seen.")] = None,
    before: Annotated[str | None, typer.Option(help="What is older than this entry (aud_…).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_LIMIT)] = 50,
    programme: Named = None,
) -> None:
    """Shows the audit log, the newest first."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime
    ) -> tuple[list[Entry], ZoneInfo]:
        found = await entries(
            connection, programme_id, limit=limit, before=before, subject_id=subject, actor=by, action=action
        )
        return found, ZoneInfo(await connection.fetchval(_ZONE, programme_id))

    found, zone = done(programme, work)
    columns = ("at", "actor", "role", "action", "subject", "reason", "before", "after", "entry")
    rows = [
        (
            *(shown(each.at, zone), each.actor, each.role or "", each.action, f"{each.subject.kind} {each.subject.id}"),
            *(each.reason or "", _json(each.before), _json(each.after), each.entry_id),
        )
        for each in found
    ]
    print_table(console, columns, rows, nothing="Nothing of that is in the audit log.")


def _given(*, stdin: bool) -> str | None:
    """One line of standard input; None for a random one."""
    return sys.stdin.readline().rstrip("\r\n") if stdin else None


def _checked(passwords: Passwords, given: str | None, sign_in: str) -> str:
    if given is None:
        return passwords.for_once()
    passwords.require_good(given, sign_in)
    return given


def _tell(password: str, given: str | None) -> None:
    # Not through the console: it is to be copied or piped, and must not be wrapped.
    typer.echo("The password that was given is set, for once." if given is not None else password)


def _standing(each: Person, zone: ZoneInfo, now: datetime) -> str:
    if each.disabled_at is not None:
        return f"disabled {shown(each.disabled_at, zone)}"
    if each.locked_until is not None and each.locked_until > now:
        return f"locked until {shown(each.locked_until, zone)}"
    return "password for once" if each.password_is_for_once else "active"


def _json(words: object) -> str:
    return "" if words is None else orjson.dumps(words).decode()
