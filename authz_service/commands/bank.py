"""`authz bank`: the banks that may speak to us, their keys, and money that is expected through them."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from authz_service.bank.funding import expect_funding
from authz_service.bank.inbox import KeptNotice, approve, resolve
from authz_service.bank.inbox import listed as notices
from authz_service.bank.partners import (
    ListedKey,
    PartnerRefused,
    SignatureStyle,
    add_key,
    add_partner,
    listed,
)
from authz_service.bank.signature import KeyUnusable, public_key_of
from authz_service.commands.place import Actor, console, done, say, shown
from authz_service.commands.tables import print_table
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId, in_rupiah

bank: Final = typer.Typer(no_args_is_help=True, help="Banks that send notices: who they are, and their keys.")
inbox: Final = typer.Typer(no_args_is_help=True, help="What the bank told, and what became of it.")
_Programme = Annotated[str | None, typer.Option(help="Needed where several are enrolled.")]
_Partner = Annotated[str, typer.Argument(help="The X-PARTNER-ID and X-CLIENT-KEY that we give the bank.")]
_Overlap = Annotated[int, typer.Option(min=0, max=90, help="So many days the older ones are good beside the new one.")]
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"


@bank.command("add")
def add_command(
    partner: _Partner,
    *,
    label: Annotated[str, typer.Option(help="The bank, as operators call it.")],
    signature: Annotated[SignatureStyle, typer.Option(help="How it signs its notices.")] = SignatureStyle.WITH_TOKEN,
    signs_the_query: Annotated[bool, typer.Option(help="Whether the query is part of what it signs.")] = True,
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """Adds a bank to a programme. It can do nothing until it has a key."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        await add_partner(
            connection,
            programme_id,
            partner,
            label=label,
            signature=signature,
            signs_the_query=signs_the_query,
            actor=actor,
            now=now,
            chance=os.urandom,
        )

    done(programme, work)
    say(f"{partner} is known. Give it a key with `authz bank public-key`, and a secret with `authz bank secret`.")


@bank.command("public-key")
def public_key_command(
    partner: _Partner,
    file: Annotated[Path, typer.Argument(help="The bank's RSA public key: PEM, or base64 of its DER.")],
    *,
    overlap_days: _Overlap = 7,
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """The bank signs with this key from now on, and for some days still with its older ones."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> int:
        try:
            public_key = public_key_of(file.read_text())
        except (OSError, UnicodeDecodeError) as unread:
            raise PartnerRefused(f"{file} cannot be read: {type(unread).__name__}.") from None
        except KeyUnusable as unusable:
            raise PartnerRefused(str(unusable)) from None
        ends = now + timedelta(days=overlap_days)
        return await add_key(
            connection,
            programme_id,
            partner,
            public_key,
            older_end_at=ends,
            actor=actor,
            now=now,
            chance=os.urandom,
        )

    say(f"Public key {done(programme, work)} of {partner} is good from now on.")


@bank.command("secret")
def secret_command(
    partner: _Partner, *, overlap_days: _Overlap = 7, actor: Actor, programme: _Programme = None
) -> None:
    """Prints a new client secret; the older ones are good for some days still. It is derived, and kept nowhere."""

    async def work(connection: Connection, programme_id: ProgrammeId, settings: Settings, now: datetime) -> str:
        ends = now + timedelta(days=overlap_days)
        number = await add_key(
            connection, programme_id, partner, None, older_end_at=ends, actor=actor, now=now, chance=os.urandom
        )
        return Keys(settings.root_key.get_secret_value()).bank_secret(partner, number)

    # Not through the console: it is to be copied or piped, and must not be wrapped.
    typer.echo(done(programme, work))


@bank.command("show")
def show_command(*, programme: _Programme = None) -> None:
    """The banks, how each signs, and from when until when each of its keys is good."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime
    ) -> tuple[list[ListedKey], ZoneInfo]:
        return list(await listed(connection, programme_id)), ZoneInfo(await connection.fetchval(_ZONE, programme_id))

    keys, zone = done(programme, work)
    rows = []
    for each in keys:
        name = f"{each.kind} {each.number}" if each.kind else "none"
        times = (shown(each.valid_from, zone), shown(each.valid_until, zone))
        rows.append((each.partner_id, each.label, each.signature, name, *times))
    columns = ("partner", "label", "signs", "key", "from", "until")
    print_table(console, columns, rows, nothing="No bank is known yet: `authz bank add` adds one.")


@bank.command("expect")
def expect_command(
    reference: Annotated[str, typer.Argument(help="As the bank's notice will name it.")],
    amount: Annotated[int, typer.Argument(help="Whole rupiah.")],
    *,
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """Announces the sponsor's money: once the bank tells that it came, it is the programme's, and nobody's yet."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        await expect_funding(connection, programme_id, reference, amount, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{in_rupiah(amount)} are expected under {reference}.")


@inbox.command("list")
def list_command(
    *,
    parked: Annotated[bool, typer.Option("--parked", help="Only those that wait for people.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 50,
    programme: _Programme = None,
) -> None:
    """What the bank told, the newest first: whether the books follow it, and if not, why."""

    async def work(
        connection: Connection, programme_id: ProgrammeId, _: Settings, __: datetime
    ) -> tuple[list[KeptNotice], ZoneInfo]:
        found = await notices(connection, programme_id, parked_only=parked, limit=limit)
        return list(found), ZoneInfo(await connection.fetchval(_ZONE, programme_id))

    kept, zone = done(programme, work)
    rows = []
    for each in kept:
        became = f"{each.standing}: {each.reason}" if each.reason else str(each.standing)
        if each.resolution:
            became += f"; {each.resolved_by}: {each.resolution}"
        what = (each.partner_id, each.reference, each.status, in_rupiah(each.amount_rupiah), became)
        rows.append((each.notice_id, shown(each.received_at, zone), *what))
    columns = ("notice", "received", "bank", "reference", "tells", "amount", "books")
    print_table(console, columns, rows, nothing="No notice waits for people." if parked else "No notice has come yet.")


@inbox.command("resolve")
def resolve_command(
    notice: Annotated[str, typer.Argument(help="As `authz inbox list` shows it.")],
    *,
    resolution: Annotated[str, typer.Option("--reason", "--resolution", help="What becomes of it, and why.")],
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """Says what becomes of a parked notice; somebody else has to approve."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        await resolve(connection, programme_id, notice, resolution=resolution, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{notice} waits for a second pair of eyes: `authz inbox approve {notice}`.")


@inbox.command("approve")
def approve_command(
    notice: Annotated[str, typer.Argument(help="As `authz inbox list` shows it.")],
    *,
    actor: Actor,
    programme: _Programme = None,
) -> None:
    """The second pair of eyes: the notice is resolved as somebody else has said. No money moves by that."""

    async def work(connection: Connection, programme_id: ProgrammeId, _: Settings, now: datetime) -> None:
        await approve(connection, programme_id, notice, actor=actor, now=now, chance=os.urandom)

    done(programme, work)
    say(f"{notice} is resolved.")
