"""`authz seal`: the sealed books, shown, gone on with, proven, and handed out."""

import os
import sys
from datetime import UTC
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from authz_service.commands.place import Named, Office, console, done_in, refusals, say, settings_given
from authz_service.ledger.seal import seal
from authz_service.ledger.seal_check import Checked, check_sealed
from authz_service.ledger.seal_export import export
from authz_service.ledger.sealed_books import head_of
from authz_service.ledger.sealed_head import Head, HeadRefused, SealKeyRefused, new_private_key, seal_key
from authz_service.ledger.sealed_rows import CHAINS
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId, several

seal_commands = typer.Typer(no_args_is_help=True, help="The sealed books: every row numbered, none can be changed.")


class ChainName(StrEnum):
    TRANSFERS = "transfers"
    AUDIT = "audit"


Chosen: TypeAlias = Annotated[ChainName, typer.Option("--chain", help="Which rows.")]
_Heads: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--head", help="A head that was handed out before; as often as wanted.")
]


@seal_commands.command("show")
def show_command(*, programme: Named = None) -> None:
    """How far each chain is sealed."""

    async def work(connection: Office, _: Settings, programme_id: ProgrammeId) -> None:
        for chain in CHAINS.values():
            head = await head_of(connection, programme_id, chain)
            if head is None:
                say(f"{chain.name}: nothing is sealed yet.")
                continue
            say(
                f"{chain.name}: {several(head.rows, 'row')} in {several(head.blocks, 'block')}, the last of"
                f" {head.sealed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC; root {head.root.hex()}"
            )

    done_in(programme, work)


@seal_commands.command("now")
def now_command(*, programme: Named = None) -> None:
    """Seals what is committed, without waiting for the service to do it."""

    async def work(connection: Office, settings: Settings, programme_id: ProgrammeId) -> None:
        for chain in CHAINS.values():
            rows, is_behind = 0, True
            while is_behind:
                sealed = await seal(connection, settings, programme_id, chain)
                if sealed is None:
                    say(f"{chain.name}: the service is sealing just now.")
                    break
                rows, is_behind = rows + sealed.rows, sealed.unsealed_seconds > 0
                if not is_behind:
                    say(f"{chain.name}: {several(rows, 'more row')} sealed, {sealed.rows_of_all} in all.")

    done_in(programme, work)


@seal_commands.command("verify")
def verify_command(*, head: _Heads = None, programme: Named = None) -> None:
    """Proves every sealed row from the database, and names the first that is not as it was; then the exit code is 1."""

    async def work(connection: Office, settings: Settings, programme_id: ProgrammeId) -> None:
        heads = [_read(path) for path in head or []]
        strangers = [each for each in heads if each.programme_id != programme_id or each.chain not in CHAINS]
        if strangers:
            raise HeadRefused(f"That is a head of {strangers[0].programme_id}, {strangers[0].chain}.")
        are_right = True
        for chain in CHAINS.values():
            with _progress() as bar:
                task = bar.add_task(chain.name, total=None)
                checked = await check_sealed(
                    connection,
                    settings,
                    programme_id,
                    chain,
                    heads=[each for each in heads if each.chain == chain.name],
                    progress=partial(_update, bar, task),
                )
            _say_checked(chain.name, checked)
            are_right = are_right and not checked.faults
        if not are_right:
            sys.exit(1)

    done_in(programme, work)


@seal_commands.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="Is written anew.")],
    *,
    chain: Chosen = ChainName.TRANSFERS,
    since: Annotated[
        Path | None, typer.Option(help="Only what came after this head, which the file then proves to be continued.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows/--no-rows", help="Without: only the proof from head to head.")] = True,
    row: Annotated[str | None, typer.Option(help="One row by its id, with the proof that it is sealed.")] = None,
    programme: Named = None,
) -> None:
    """Writes rows, proof and signed head to a file that `verify_ledger.py` checks without this service."""

    async def work(connection: Office, settings: Settings, programme_id: ProgrammeId) -> None:
        after = 0
        if since is not None:
            earlier = _read(since)
            if (earlier.programme_id, earlier.chain) != (programme_id, chain.value):
                raise HeadRefused(f"That is a head of {earlier.programme_id}, {earlier.chain}.")
            after = earlier.blocks
        if not rows and since is None:
            raise HeadRefused("Without rows the file proves how one head goes on: say --since.")
        done = await export(
            connection,
            settings,
            programme_id,
            CHAINS[chain.value],
            file,
            seal_key(settings),
            after=after,
            without_rows=not rows,
            row_id=row,
        )
        say(
            f"{file}: {several(done.rows, 'row')} in {several(done.blocks, 'block')} of"
            f" {done.head.blocks}, with the proof and the signed head."
        )

    done_in(programme, work)


@seal_commands.command("head")
def head_command(*, chain: Chosen = ChainName.TRANSFERS, programme: Named = None) -> None:
    """Prints the signed head: a small text to hand to Dinsos and the bank, every day."""

    async def work(connection: Office, settings: Settings, programme_id: ProgrammeId) -> None:
        key = seal_key(settings)
        head = await head_of(connection, programme_id, CHAINS[chain.value])
        if head is None:
            raise HeadRefused("Nothing is sealed yet.")
        sys.stdout.write(key.signed(head))

    done_in(programme, work)


@seal_commands.command("key")
def key_command(
    file: Annotated[Path, typer.Argument(help="Must not be there yet; AUTHZ_SEAL_KEY_FILE names it afterwards.")],
) -> None:
    """Makes a private key to sign heads with, which only its owner may read."""
    with refusals():
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise SealKeyRefused(f"{file} is not written: {error.strerror}.") from None
        with os.fdopen(handle, "wb") as opened:
            opened.write(new_private_key())
        say(f"{file}: keep it, and a copy of it elsewhere. AUTHZ_SEAL_KEY_FILE={file} authz seal verifier")


@seal_commands.command("verifier")
def verifier_command() -> None:
    """Prints the public key by which heads are verified: give it to each verifier once, and not with the heads."""
    with refusals():
        say(seal_key(settings_given()).verifier)


def _read(path: Path) -> Head:
    try:
        return Head.read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise HeadRefused(f"{path} is not read: {getattr(error, 'strerror', None) or 'it is not text'}.") from None


def _update(bar: Progress, task: TaskID, done: int, of: int) -> None:
    bar.update(task, completed=done, total=of)


def _say_checked(chain: str, checked: Checked) -> None:
    for fault in checked.faults:
        say(f"✗ {fault}")
    if checked.faults:
        say(f"{chain}: the sealed books are NOT as they were.")
    else:
        said = f"{several(checked.rows, 'row')} in {several(checked.blocks, 'block')}"
        say(f"✓ {chain}: {said} are as they were sealed, and nothing is beside them.")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    )
