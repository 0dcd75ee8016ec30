"""`authz`: what operators and developers type. Every refusal is one sentence and an exit code that is not 0."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.console import Console

from authz_service.clock import SystemClock
from authz_service.database import DatabaseUnusable, connect_office, migrate, require_schema
from authz_service.demo.town import DemoFailedError
from authz_service.embedded import EmbeddedError, embedded_servers
from authz_service.enrolment.edition import EnrolmentRefused
from authz_service.enrolment.enrol import enrol
from authz_service.enrolment.progress import enrolment_progress
from authz_service.keys import Keys
from authz_service.ledger.audit import check, render
from authz_service.serving import NotServedError, end_with, require_free_port, serve
from authz_service.settings import SANDBOX_ROOT_KEY, Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
ledger = typer.Typer(no_args_is_help=True, help="The books.")
app.add_typer(ledger, name="ledger")
console = Console()
SEED: Final = 2024
REFUSALS: Final = (DatabaseUnusable, EmbeddedError, EnrolmentRefused, NotServedError, DemoFailedError)


@app.command("serve")
def serve_command(
    *,
    sandbox: Annotated[bool, typer.Option(help="Accept the public sandbox root key: synthetic data only.")] = False,
    parent: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Serves terminals on AUTHZ_HOST:AUTHZ_PORT, with DATABASE_URL and REDIS_URL or with embedded servers."""
    if parent:
        end_with(parent)
    with _refusals(), _servers(sandbox=sandbox) as settings:
        require_free_port(settings.host, settings.port)
        asyncio.run(_usable(settings))
        serve(settings)


@app.command("migrate")
def migrate_command() -> None:
    """Brings the database to the newest schema."""
    with _refusals(), _servers(sandbox=True) as settings:
        migrate(_url(settings))
        console.print("The database has the newest schema.")


@app.command("enrol")
def enrol_command(
    edition: Annotated[str, typer.Argument(help="A folder of authz_service/programmes, for example samarinda-2024.")],
    *,
    seed: Annotated[int, typer.Option(help="The same seed makes the same synthetic families, cards and keys.")] = SEED,
) -> None:
    """Enrols a programme from its files with synthetic families, and writes its sandbox tills below AUTHZ_DATA_DIR."""
    with _refusals(), _servers(sandbox=True) as settings:
        path = asyncio.run(_enrolled(settings, edition, seed))
        console.print(f"Sandbox tills and cards (synthetic): {path}")


@app.command("demo")
def demo_command(
    *,
    serve_afterwards: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Go on serving after the report.")
    ] = True,
    seed: Annotated[int, typer.Option(help="The same seed makes the same quarter.")] = SEED,
) -> None:
    """The whole programme of 2024 in about a minute, on embedded servers and a clock of its own; then today's."""
    from authz_service.demo.show import show  # noqa: PLC0415  (its HTTP client is not there in production)

    with _refusals():
        show(_settings(), console, seed=seed, serve_afterwards=serve_afterwards)


@ledger.command("check")
def check_command() -> None:
    """Proves the invariants of every programme's books; the exit code is 1 when one is broken."""
    with _refusals(), _servers(sandbox=True) as settings:
        if not asyncio.run(_books_are_right(settings)):
            sys.exit(1)


async def _enrolled(settings: Settings, edition: str, seed: int) -> str:
    connection = await connect_office(settings, _url(settings))
    try:
        await require_schema(connection)
        with enrolment_progress(console) as told:
            keys = Keys(settings.root_key.get_secret_value())
            done = await enrol(connection, keys, edition, seed=seed, at=SystemClock().estimate(), progress=told)
    finally:
        await connection.close()
    console.print(f"{done.programme_id}: {done.families} families, {done.merchants} shops.")
    return str(done.tills.write(settings.data_dir))


async def _books_are_right(settings: Settings) -> bool:
    connection = await connect_office(settings, _url(settings))
    try:
        await require_schema(connection)
        now = await connection.fetchval("SELECT clock_timestamp()")
        right = True
        programmes = await connection.fetch("SELECT programme_id FROM programme ORDER BY programme_id")
        if not programmes:
            raise EnrolmentRefused("No programme is enrolled: there are no books to check.")
        for row in programmes:
            findings = await check(connection, row["programme_id"], now=now)
            console.rule(row["programme_id"])
            render(findings, console)
            right = right and not any(finding.violations for finding in findings)
    finally:
        await connection.close()
    return right


async def _usable(settings: Settings) -> None:
    """The database is there and has this program's schema: said here, in a sentence, before uvicorn starts."""
    connection = await connect_office(settings, _url(settings))
    try:
        await require_schema(connection)
    finally:
        await connection.close()


@contextmanager
def _servers(*, sandbox: bool) -> Iterator[Settings]:
    """The settings with both addresses: the given ones, or those of embedded servers below `data_dir`."""
    settings = _settings()
    if (settings.database_url is None) != (settings.redis_url is None):
        raise NotServedError("Give DATABASE_URL and REDIS_URL, or neither for embedded servers.")
    if settings.database_url is not None:
        if not sandbox and settings.root_key.get_secret_value() == SANDBOX_ROOT_KEY:
            raise NotServedError("AUTHZ_ROOT_KEY is the public sandbox key: set a secret one, or say --sandbox.")
        yield settings
        return
    with embedded_servers(settings.data_dir) as servers:
        os.environ.update({"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url})
        yield _settings()


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)
        )
        raise NotServedError(f"A setting is not valid: {wrong}.") from None


def _url(settings: Settings) -> str:
    if settings.database_url is None:
        raise NotServedError("DATABASE_URL is missing.")
    return settings.database_url.get_secret_value()


@contextmanager
def _refusals() -> Iterator[None]:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except REFUSALS as refusal:
        Console(stderr=True).print(f"authz: {refusal}", soft_wrap=True, highlight=False, markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _terminated(number: int, _: object) -> None:
    """As with Ctrl-C, everything that was started is stopped in order."""
    sys.exit(128 + number)


if __name__ == "__main__":
    app()
