"""One instant for all of a report, and a limit for each of its queries.

ReportRefused    there is no report; the message is one sentence for the operator
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from authz_service.database import Connection
from authz_service.settings import Settings

_LIMITS: Final = """
-- What is sorted and counted needs some memory, and beyond it the disk.
SELECT set_config('statement_timeout', $1, true), set_config('work_mem', $2, true)
"""


class ReportRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """There is no report; the message is one sentence for the operator."""


@asynccontextmanager
async def one_instant(connection: Connection, settings: Settings) -> AsyncIterator[None]:
    """Inside, all that is read is of one instant; nobody waits for it."""
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(
                _LIMITS, f"{settings.report_statement_timeout_ms}ms", f"{settings.report_work_mem_mb}MB"
            )
            yield
    except asyncpg.QueryCanceledError:
        raise ReportRefused(
            f"One query of the report took more than {settings.report_statement_timeout_ms} ms: ask for a day, or for"
            " one companion, or raise AUTHZ_REPORT_STATEMENT_TIMEOUT_MS."
        ) from None
