"""What the office enters into the books: one writer a programme at a time, whole or not at all."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import asyncpg
from msgspec.structs import astuple

from authz_service.database import Connection, DatabaseUnusable
from authz_service.ledger.postings import Transfer
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

_LIMITS: Final = """
-- Every wait of this transaction has a limit.
SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)
"""
_LOCK: Final = """
-- Programme before wallets, as everywhere; who only adds a shop or a till to it does not wait.
SELECT true FROM programme WHERE programme_id = $1 FOR NO KEY UPDATE
"""
_COLUMNS: Final = ("programme_id", *Transfer.__struct_fields__)
_BUSY: Final = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
_LOST: Final = (asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, OSError)


class BooksBusy(Exception):  # noqa: N818  (an error's name is its sentence)
    """Others were writing in this programme all the time; nothing was written, try again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@asynccontextmanager
async def alone_with(connection: Connection, settings: Settings, programme_id: ProgrammeId) -> AsyncIterator[None]:
    """Inside, nobody else enters anything for the office; at its end everything is written, or nothing.

    Tills go on meanwhile: who must keep them out locks the wallets, too.
    """
    with said_clearly():
        async with connection.transaction():
            await connection.execute(_LIMITS, *_limits(settings))
            await connection.execute(_LOCK, programme_id)
            yield


@asynccontextmanager
async def one_snapshot(connection: Connection, settings: Settings) -> AsyncIterator[None]:
    """Inside, all that is read is of one instant; nobody waits for it."""
    with said_clearly():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(_LIMITS, *_limits(settings))
            yield


def _limits(settings: Settings) -> tuple[str, str]:
    return f"{settings.closing_lock_timeout_ms}ms", f"{settings.closing_statement_timeout_ms}ms"


@contextmanager
def said_clearly() -> Iterator[None]:
    """Others who were faster, and a connection that is lost, are each one sentence."""
    try:
        yield
    except _BUSY:
        raise BooksBusy from None
    except _LOST as lost:
        raise DatabaseUnusable(
            f"The connection to PostgreSQL was lost ({type(lost).__name__}); run the command again:"
            " what was written already is not written twice."
        ) from lost


async def enter(connection: Connection, programme_id: ProgrammeId, transfers: Sequence[Transfer]) -> None:
    """The transfers are in the books; wallets they touch are the caller's to change."""
    records = [(programme_id, *astuple(transfer)) for transfer in transfers]
    await connection.copy_records_to_table("transfer", columns=_COLUMNS, records=records)
