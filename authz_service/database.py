"""Connections to PostgreSQL, each with its limits, and the one schema revision that this program works on.

What is wrong with a database becomes one sentence, `DatabaseUnusable`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

import asyncpg

from authz_service.clock import monotonic_seconds
from authz_service.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

REVISION: Final = "0020"
"""The newest file in `alembic/versions`; a test compares. Revisions are numbers that sort."""
OLDEST_POSTGRESQL: Final = 15
_UTC: Final = {"timezone": "UTC"}
_HOT_PLANS: Final = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_memoize": "off",
}
"""The two hot statements are planned once for all arrays: planning a batch of one takes longer than running it. Which
index of an empty table they find their rows by is chance, so lanes have them planned anew as the books grow."""
BY_INDEXES: Final = {"jit": "off", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""For looks that are often repeated: whatever the statistics say, no table is read whole."""
WATCH_CONNECTIONS: Final = 3
"""Of the one process that watches: it looks, adds up and checks the books at the same time."""
_LIMITS: Final = "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $1, true)"
_CONNECTIONS: Final = """
-- Those that are kept for others are never ours; the second of the two came with PostgreSQL 16.
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
     - coalesce(current_setting('reserved_connections', true), '0')::int
"""
_RELEASE_SECONDS: Final = 0.1
"""A connection that was used until the last moment has so long to be given back; then it is dropped."""
_MIGRATION_WAIT: Final = "60s"
"""How long a second `authz migrate` waits for the first; what a migration does has a shorter limit of its own."""


class DatabaseUnusable(Exception):  # noqa: N818 - it says what is so, as declines do
    """The database cannot be worked with; the message is one sentence for the operator and names no secret."""

    may_be_logged: ClassVar[bool] = True


async def connect_hot(settings: Settings, url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """A lane's own connection. No statement timeout: a commit that waits for its standby must not be cancelled."""
    limits = {"lock_timeout": f"{settings.hot_lock_timeout_ms}ms"}
    return await _connect(settings, url, {**limits, **_HOT_PLANS, "application_name": "authz-hot"})


async def connect_watch(
    settings: Settings, url: str, statement_timeout_ms: int, planner: dict[str, str]
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection on which no statement takes longer; where the server itself says nothing, a second more."""
    limits = {"statement_timeout": f"{statement_timeout_ms}ms", "lock_timeout": f"{settings.hot_lock_timeout_ms}ms"}
    return await _connect(
        settings,
        url,
        {**limits, **planner, "application_name": "authz-watch"},
        command_timeout=statement_timeout_ms / 1000 + 1,
    )


async def connect_office(settings: Settings, url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection for an operator's command; each statement of it sets its own limits."""
    return await _connect(settings, url, {"application_name": "authz-cli"})


async def limit_waits(connection: Connection, settings: Settings) -> None:
    """Until the transaction ends, an operator's statement and its locks are waited for as long as the office may."""
    await connection.execute(_LIMITS, f"{settings.office_statement_timeout_ms}ms")


async def open_office_pool(settings: Settings, url: str) -> "OfficePool":
    """Connections for everything that is not the hot path; every wait for one, and on one, has a limit."""
    limit = f"{settings.office_statement_timeout_ms}ms"
    # Whoever is not heard of any more, as when the network was cut, must not keep a family locked.
    limits = {"statement_timeout": limit, "lock_timeout": limit, "idle_in_transaction_session_timeout": limit}
    with _said_clearly(url):
        pool = OfficePool(settings, asyncpg_dsn(url), {**limits, "application_name": "authz-office"})
        await pool
    return pool


async def open_console_pool(settings: Settings, url: str) -> "OfficePool":
    """Connections of the people at the console: however long their lists, the office's own work goes on."""
    limit = f"{settings.console_statement_timeout_ms}ms"
    limits = {"statement_timeout": limit, "lock_timeout": limit, "idle_in_transaction_session_timeout": limit}
    with _said_clearly(url):
        pool = OfficePool(
            settings,
            asyncpg_dsn(url),
            {**limits, "application_name": "authz-console"},
            connections=settings.console_pool_size,
            deadline_seconds=settings.console_deadline_seconds,
        )
        await pool
    return pool


class OfficePool(asyncpg.Pool):
    """A pool whose connections are lent for a time, never for ever."""

    def __init__(
        self,
        settings: Settings,
        dsn: str,
        server_settings: dict[str, str],
        *,
        connections: int | None = None,
        deadline_seconds: float | None = None,
    ) -> None:
        """As many connections, lent for as long, as the office has, unless it is said."""
        super().__init__(
            dsn,
            min_size=1,
            max_size=connections or settings.office_pool_size,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            timeout=settings.connect_timeout_seconds,
            server_settings={**_UTC, **server_settings},
        )
        self.deadline_seconds = deadline_seconds or settings.office_deadline_seconds

    @asynccontextmanager
    async def lent(self, limit_seconds: float | None = None) -> AsyncIterator[Connection]:
        """Within the limit (the office's where none is given) a connection comes free, is used and given back; else
        TimeoutError, or what asyncpg says of a connection that is lost: it is dropped, and another made when needed.

        Dropped and not cancelled: asyncpg would first wait for a server that says nothing to confirm that.
        """
        until = monotonic_seconds() + (self.deadline_seconds if limit_seconds is None else limit_seconds)
        connection = await self.acquire(timeout=until - monotonic_seconds())
        timer = asyncio.get_running_loop().call_later(until - monotonic_seconds(), connection.terminate)
        try:
            yield connection
        finally:
            timer.cancel()
            # What was read or committed stays so, whatever becomes of the connection afterwards.
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self.release(connection, timeout=max(_RELEASE_SECONDS, until - monotonic_seconds()))


async def require_schema(connection: Connection) -> None:
    """The database is one that this program can work with."""
    if (major := connection.get_server_version().major) < OLDEST_POSTGRESQL:
        raise DatabaseUnusable(f"PostgreSQL {OLDEST_POSTGRESQL} or newer is needed; this is {major}.")
    try:
        found = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        found = None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise DatabaseUnusable(f"The database does not say which schema it has: {_first_line(error)}.") from error
    if found is None:
        raise DatabaseUnusable("The database has no schema yet: run `authz migrate`.")
    if found < REVISION:
        raise DatabaseUnusable(f"The database's schema is {found}, this program needs {REVISION}: run `authz migrate`.")
    if found > REVISION:
        raise DatabaseUnusable(f"The database's schema is {found}, newer than this program's {REVISION}: update it.")


async def require_room(connection: Connection, settings: Settings) -> None:
    """PostgreSQL takes all the connections that the workers of this instance may open; DatabaseUnusable otherwise.

    Else it would be found out on the first of the month, when a lane cannot come back.
    """
    of_a_worker = settings.lanes + settings.office_pool_size + settings.console_pool_size
    needed = settings.workers * of_a_worker + WATCH_CONNECTIONS
    if (offered := await connection.fetchval(_CONNECTIONS)) < needed:
        raise DatabaseUnusable(
            f"PostgreSQL takes {offered} connections and {settings.workers} workers may open {needed}: lower"
            " AUTHZ_WORKERS, AUTHZ_LANES, AUTHZ_OFFICE_POOL_SIZE or AUTHZ_CONSOLE_POOL_SIZE, or raise its"
            " max_connections."
        )


def migrate(url: str) -> None:
    """The database has the newest schema. Also callable where an event loop runs: it works in a thread of its own."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(_upgrade, url).result()


def _upgrade(url: str) -> None:
    # Not at the top: alembic and SQLAlchemy cost every worker 0.2 s and 20 MB.
    from alembic import command, util  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        command.upgrade(migration_config(url), "head")
    except (SQLAlchemyError, util.CommandError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseUnusable(f"PostgreSQL at {_place(url)} was not migrated: {_first_line(cause)}.") from error


def migration_config(url: str) -> "Config":
    """What alembic's commands need to work on `url`. The folder is beside the package, else where the program runs."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_migrations_folder()).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def _migrations_folder() -> Path:
    for parent in (Path(__file__).resolve().parent.parent, Path.cwd()):
        # `env.py`, because beside an installed package `alembic/` is the library.
        if (parent / "alembic" / "env.py").is_file():
            return parent / "alembic"
    raise DatabaseUnusable("The folder `alembic` with the migrations is missing: run this where it stands.")


async def connect_to_migrate(settings: Settings, url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """For `alembic/env.py`."""
    return await _connect(settings, url, {"lock_timeout": _MIGRATION_WAIT, "application_name": "authz-migrate"})


async def _connect(
    settings: Settings, url: str, server_settings: dict[str, str], command_timeout: float | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    with _said_clearly(url):
        return await asyncpg.connect(
            asyncpg_dsn(url),
            timeout=settings.connect_timeout_seconds,
            command_timeout=command_timeout,
            server_settings={**_UTC, **server_settings},
        )


def asyncpg_dsn(url: str) -> str:
    """The address as asyncpg reads it, whichever driver's name stands in front; ValueError if it is none."""
    if not (scheme := re.match(r"postgres(ql)?(\+\w+)?://", url)):
        raise ValueError("not the address of a PostgreSQL database")
    return "postgresql://" + url[scheme.end() :]


@contextmanager
def _said_clearly(url: str) -> Iterator[None]:
    """Whatever is wrong with the address or the server is said in one sentence."""
    try:
        yield
    except (asyncpg.ClientConfigurationError, ValueError):
        raise DatabaseUnusable("DATABASE_URL is not the address of a PostgreSQL database.") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise DatabaseUnusable(f"PostgreSQL at {_place(url)} refuses: {_first_line(error)}.") from error
    except OSError as error:
        raise DatabaseUnusable(f"PostgreSQL at {_place(url)} cannot be reached: {_first_line(error)}.") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _place(url: str) -> str:
    """Host, port and database; what could hold a part of a password is left out."""
    place = url.partition("://")[2].partition("?")[0].rpartition("@")[2]
    return place if re.fullmatch(r"[\w.-]*(:\d+)?(,[\w.-]+(:\d+)?)*(/[\w-]*)?", place) else "DATABASE_URL"
