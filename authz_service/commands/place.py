"""Where a command works: the settings, both servers, one connection of the office; and how it says no."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import structlog
import typer
from pydantic import ValidationError
from rich.console import Console

from authz_service.access import AccessRefused
from authz_service.bank.funding import FundingRefused
from authz_service.bank.inbox import InboxRefused
from authz_service.bank.partners import PartnerRefused
from authz_service.clock import clock_from
from authz_service.closing import BooksDoNotTie, ClosingRefused
from authz_service.closing_statement import NotClosedYet, StatementNotWritten
from authz_service.database import DatabaseUnusable, connect_office, require_schema
from authz_service.demo.town import DemoFailedError
from authz_service.embedded import EmbeddedError, embedded_servers, has_cluster, servers_of_another
from authz_service.enrolment.edition import EnrolmentRefused
from authz_service.events.endpoints import EndpointRefused
from authz_service.events.record import ResendRefused
from authz_service.ledger.entries import BooksBusy
from authz_service.ledger.seal_export import NothingSealed
from authz_service.ledger.sealed_head import HeadRefused, SealKeyRefused
from authz_service.orders import OrderRefused
from authz_service.passwords import PasswordRefused
from authz_service.people import PersonRefused
from authz_service.reconciliation.disputes import DisputeRefused
from authz_service.reconciliation.outcomes import ExceptionRefused
from authz_service.reconciliation.report import ReportNotWritten
from authz_service.reconciliation.statement_lines import StatementRefused
from authz_service.reports.snapshot import ReportRefused
from authz_service.roll.orders import RollRefused
from authz_service.serving import NotServedError
from authz_service.settings import SANDBOX_ROOT_KEY, Settings
from authz_service.settlement.accounts import AccountRefused
from authz_service.settlement.batches import BatchRefused
from authz_service.settlement.calendar import CalendarRefused
from authz_service.settlement.instructions import PayoutRefused
from authz_service.settlement.papers import PaperNotWritten
from authz_service.settlement.waits import WaitRefused
from authz_service.shops import ShopRefused
from authz_service.signals.rules import RuleRefused
from authz_service.signals.standing import FindingRefused
from authz_service.signals.thresholds import ThresholdsRefused
from authz_service.terms import TermsRefused
from authz_service.vocabulary import ProgrammeId

console = Console()
log = structlog.get_logger()
Office: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Work = Callable[[Office, Settings, ProgrammeId], Awaitable[None]]
T = TypeVar("T")
DeskWork = Callable[[Office, ProgrammeId, Settings, datetime], Awaitable[T]]
Named = Annotated[str | None, typer.Option("--programme", help="Its id; not needed where only one is enrolled.")]


def _somebody(actor: str) -> str:
    """Without blanks around it: who approves is compared with who ordered."""
    with refusals():
        if not actor.strip():
            raise OrderRefused("The actor is missing.")
    return actor.strip()


Actor = Annotated[
    str,
    typer.Option(envvar="AUTHZ_ACTOR", callback=_somebody, help="Who gives the order: an office, a desk, a login."),
]
REFUSALS: Final = (
    *(DatabaseUnusable, EmbeddedError, EnrolmentRefused, NotServedError, DemoFailedError),
    *(BooksBusy, BooksDoNotTie, ClosingRefused, NotClosedYet, StatementNotWritten),
    *(AccountRefused, BatchRefused, CalendarRefused, PaperNotWritten, PayoutRefused, WaitRefused),
    *(OrderRefused, RollRefused, ShopRefused, TermsRefused, AccessRefused),
    *(PartnerRefused, FundingRefused, InboxRefused),
    *(StatementRefused, ReportNotWritten, ReportRefused, ExceptionRefused, DisputeRefused),
    *(EndpointRefused, ResendRefused),
    *(PersonRefused, PasswordRefused),
    *(RuleRefused, FindingRefused, ThresholdsRefused),
    *(SealKeyRefused, HeadRefused, NothingSealed),
)
_LOST: Final = (
    *(asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError),
    ConnectionError,
)
"""As when another process ends whose embedded servers the command had joined."""


@asynccontextmanager
async def office(settings: Settings) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to a database that has this program's schema."""
    connection = await connect_office(settings, url_of(settings))
    try:
        await require_schema(connection)
        yield connection
    except _LOST as lost:
        raise DatabaseUnusable("The database went away: look what is done before you give the command again.") from lost
    finally:
        await connection.close()


async def programme_of(connection: "asyncpg.Connection[asyncpg.Record]", given: str | None) -> ProgrammeId:
    """The programme that was named, or the only one there is."""
    enrolled = [row[0] for row in await connection.fetch("SELECT programme_id FROM programme ORDER BY programme_id")]
    if given is None and len(enrolled) == 1:
        return ProgrammeId(enrolled[0])
    if given is None or given not in enrolled:
        raise EnrolmentRefused(f"Name one programme with --programme: {', '.join(enrolled) or 'none is enrolled yet'}.")
    return ProgrammeId(given)


async def now_of(connection: "asyncpg.Connection[asyncpg.Record]", settings: Settings) -> datetime:
    """The service's time: the database's clock, shifted as the service's is."""
    return clock_from(settings.clock_offset_file).at(await connection.fetchval("SELECT clock_timestamp()"))


async def at_the_desk(settings: Settings, programme: str | None, work: DeskWork[T]) -> T:
    """What the work comes to, in the programme that was named or the only one there is, at the service's time."""
    async with office(settings) as connection:
        programme_id = await programme_of(connection, programme)
        return await work(connection, programme_id, settings, await now_of(connection, settings))


def done(programme: str | None, work: DeskWork[T]) -> T:
    """As `at_the_desk`, with servers and refusals."""
    with refusals(), servers(sandbox=True) as settings:
        return asyncio.run(at_the_desk(settings, programme, work))
    raise typer.Exit(1)


def say(sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def shown(instant: datetime | None, zone: ZoneInfo) -> str:
    """To the minute, in the programme's zone; nothing for no instant."""
    return "" if instant is None else f"{instant.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def done_in(programme_id: str | None, work: Work) -> None:
    """The work is done in the programme that was named, or the only one there is."""

    async def run(settings: Settings) -> None:
        async with office(settings) as connection:
            await work(connection, settings, await programme_of(connection, programme_id))

    with refusals(), servers(sandbox=True) as settings:
        asyncio.run(run(settings))


@contextmanager
def servers(*, sandbox: bool, joins: bool = True, begins: bool = False) -> Iterator[Settings]:
    """The settings with both addresses: the given ones, or those of embedded servers below `data_dir`.

    A command `joins` those that another process runs there, as `make demo` does, and only one that `begins` a database
    makes a cluster where there is none.
    """
    settings = settings_given()
    if (settings.database_url is None) != (settings.redis_url is None):
        raise NotServedError("Give DATABASE_URL and REDIS_URL, or neither for embedded servers.")
    if settings.database_url is not None:
        if not sandbox and settings.root_key.get_secret_value() == SANDBOX_ROOT_KEY:
            raise NotServedError("AUTHZ_ROOT_KEY is the public sandbox key: set a secret one, or say --sandbox.")
        yield settings
        return
    directory = settings.data_dir.resolve()
    with ExitStack() as stack:
        found = servers_of_another(directory) if joins else None
        if found is None:
            if not begins and not has_cluster(directory):
                raise NotServedError(_nothing_in(directory))
            found = stack.enter_context(embedded_servers(directory))
        os.environ.update({"DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url})
        yield settings_given()


def _nothing_in(directory: Path) -> str:
    demo = directory / "demo"
    helps = f"For that of `authz demo` set AUTHZ_DATA_DIR={demo}; for" if has_cluster(demo) else "For"
    return (
        f"There is no database in {directory} yet. {helps} one of your own run `authz migrate` and `authz enrol"
        " samarinda-2024`, or give DATABASE_URL and REDIS_URL."
    )


def settings_given() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        # Two settings that do not go together have no place of their own.
        wrong = "; ".join(
            ": ".join((*(str(part) for part in each["loc"]), each["msg"])) for each in error.errors(include_input=False)
        )
        raise NotServedError(f"A setting is not valid: {wrong}.") from None


def url_of(settings: Settings) -> str:
    if settings.database_url is None:
        raise NotServedError("DATABASE_URL is missing.")
    return settings.database_url.get_secret_value()


@contextmanager
def refusals() -> Iterator[None]:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except REFUSALS as refusal:
        Console(stderr=True).print(f"authz: {refusal}", soft_wrap=True, highlight=False, markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@contextmanager
def refusals_in_the_log() -> Iterator[None]:
    """Of a command that serves: what it writes is read by machines from its first line on."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except REFUSALS as refusal:
        log.critical("not_served", because=str(refusal))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _terminated(number: int, _: object) -> None:
    """As with Ctrl-C, everything that was started is stopped in order."""
    sys.exit(128 + number)
