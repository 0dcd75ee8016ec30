"""`authz`: what operators and developers type. Every refusal is one sentence and an exit code that is not 0."""

import asyncio
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from authz_service import logs
from authz_service.clock import SystemClock
from authz_service.commands.bank import bank, inbox
from authz_service.commands.cap import cap
from authz_service.commands.certify import certify
from authz_service.commands.dispute import dispute
from authz_service.commands.events import events
from authz_service.commands.family import family
from authz_service.commands.keys import keys, operators
from authz_service.commands.ledger import ledger
from authz_service.commands.merchant import merchants, terminals_said
from authz_service.commands.people import audit, person
from authz_service.commands.place import console, office, refusals, refusals_in_the_log, servers, settings_given, url_of
from authz_service.commands.programme import programme
from authz_service.commands.reconcile import exceptions, reconcile_command
from authz_service.commands.report import report
from authz_service.commands.roll import roll
from authz_service.commands.seal import seal_commands
from authz_service.commands.settlement import settlement
from authz_service.commands.signals import signals
from authz_service.commands.simulate import simulate
from authz_service.database import migrate, require_room
from authz_service.demo.manners import Manners
from authz_service.enrolment.enrol import enrol
from authz_service.enrolment.progress import enrolment_progress
from authz_service.keys import Keys
from authz_service.serving import NotServedError, end_with, require_free_ports, serve
from authz_service.settings import Settings
from authz_service.vocabulary import in_rupiah


class Typed(TyperGroup):
    """What was typed is text: neither the database nor a screen takes bytes that are none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with refusals():
            # Python reads a byte that is not UTF-8 as half of a surrogate pair.
            if any("\ud800" <= letter <= "\udfff" for word in args for letter in word):
                raise NotServedError("What was typed is not text in UTF-8.")
        return super().parse_args(ctx, args)


app = typer.Typer(cls=Typed, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(ledger, name="ledger")
app.add_typer(seal_commands, name="seal")
app.add_typer(programme, name="programme")
app.add_typer(settlement, name="settlement")
app.add_typer(family, name="family")
app.add_typer(roll, name="roll")
app.add_typer(cap, name="cap")
app.add_typer(keys, name="key")
app.add_typer(operators, name="operator")
app.add_typer(bank, name="bank")
app.add_typer(inbox, name="inbox")
app.add_typer(certify, name="certify")
app.add_typer(simulate, name="simulate")
app.command("reconcile")(reconcile_command)
app.add_typer(exceptions, name="exceptions")
app.add_typer(dispute, name="dispute")
app.add_typer(events, name="events")
app.add_typer(person, name="person")
app.add_typer(audit, name="audit")
app.add_typer(report, name="report")
app.add_typer(merchants, name="merchant")
app.add_typer(terminals_said, name="terminal")
app.add_typer(signals, name="signals")
SEED: Final = 2024


@app.command("serve")
def serve_command(
    *,
    sandbox: Annotated[bool, typer.Option(help="Accept the public sandbox root key: synthetic data only.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that answer on the one port; else AUTHZ_WORKERS.")
    ] = None,
    parent: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Serves terminals on AUTHZ_HOST:AUTHZ_PORT and metrics on AUTHZ_METRICS_HOST:AUTHZ_METRICS_PORT, with DATABASE_URL
    and REDIS_URL or with embedded servers."""
    if parent:
        end_with(parent)
    logs.configure()
    with refusals_in_the_log(), servers(sandbox=sandbox, joins=False) as settings:
        require_free_ports(settings)
        served = settings if workers is None else settings.model_copy(update={"workers": workers})
        asyncio.run(_usable(served))
        serve(served)


@app.command("migrate")
def migrate_command() -> None:
    """Brings the database to the newest schema."""
    with refusals(), servers(sandbox=True, begins=True) as settings:
        migrate(url_of(settings))
        console.print("The database has the newest schema.")


@app.command("enrol")
def enrol_command(
    edition: Annotated[str, typer.Argument(help="A folder of authz_service/programmes, for example samarinda-2024.")],
    *,
    seed: Annotated[int, typer.Option(help="The same seed makes the same synthetic families, cards and keys.")] = SEED,
    money_to_come: Annotated[
        bool, typer.Option("--money-to-come", help="Books no money: the bank will tell of it (`authz bank expect`).")
    ] = False,
) -> None:
    """Enrols a programme from its files with synthetic families, and writes its sandbox tills below AUTHZ_DATA_DIR."""
    with refusals(), servers(sandbox=True) as settings:
        path = asyncio.run(_enrolled(settings, edition, seed, is_funded=not money_to_come))
        console.print(f"Sandbox tills and cards (synthetic): {path}")


@app.command("demo")
def demo_command(
    *,
    serve_afterwards: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Go on serving after the report.")
    ] = True,
    seed: Annotated[int, typer.Option(help="The same seed makes the same quarter.")] = SEED,
    bank: Annotated[Manners, typer.Option(help="How the bank behaves.")] = Manners.AS_USUAL,
) -> None:
    """The whole programme of 2024 in about a minute, on embedded servers and a clock of its own; then today's."""
    from authz_service.demo.show import show  # noqa: PLC0415  (no other command needs any of it)

    with refusals():
        show(settings_given(), console, seed=seed, serve_afterwards=serve_afterwards, manners=bank)


async def _enrolled(settings: Settings, edition: str, seed: int, *, is_funded: bool) -> str:
    async with office(settings) as connection:
        with enrolment_progress(console) as told:
            keys = Keys(settings.root_key.get_secret_value())
            at = SystemClock().estimate()
            done = await enrol(connection, keys, edition, seed=seed, at=at, is_funded=is_funded, progress=told)
    console.print(f"{done.programme_id}: {done.families} families, {done.merchants} shops.")
    if is_funded:
        money = (
            f"Its money, {in_rupiah(done.funded_rupiah)}, is booked now: do not announce it to the bank as well"
            " (`--money-to-come` books none)."
        )
    else:
        money = "No money is booked: `authz bank expect`, and once the bank has told of it, `authz programme grant`."
    console.print(money, highlight=False, markup=False, soft_wrap=True)
    return str(done.tills.write(settings.data_dir))


async def _usable(settings: Settings) -> None:
    """The database is there, has this program's schema and takes all its workers' connections: said here, in a
    sentence, before uvicorn starts."""
    async with office(settings) as connection:
        await require_room(connection, settings)


if __name__ == "__main__":
    app()
