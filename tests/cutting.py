"""A connection that is cut at one of its statements, and what then has to be so."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

import asyncpg
import pytest

from authz_service.database import DatabaseUnusable
from tests.harm import address_of
from tests.reconciling import counts
from tests.world import World

LOST: Final = (DatabaseUnusable, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)
Work = Callable[["CutConnection"], Awaitable[object]]


class CutConnection(asyncpg.Connection):
    """It ends at its `cut_at`-th statement: before the server hears of it, or before we hear what the server did."""

    cut_at = 0
    is_heard = False
    said: tuple[str, ...] = ()

    async def execute(self, query: str, *args: Any, **more: Any) -> Any:
        return await self._say(query, super().execute(query, *args, **more))

    async def fetch(self, query: str, *args: Any, **more: Any) -> Any:
        return await self._say(query, super().fetch(query, *args, **more))

    async def fetchrow(self, query: str, *args: Any, **more: Any) -> Any:
        return await self._say(query, super().fetchrow(query, *args, **more))

    async def fetchval(self, query: str, *args: Any, **more: Any) -> Any:
        return await self._say(query, super().fetchval(query, *args, **more))

    async def copy_records_to_table(self, table_name: str, **more: Any) -> Any:
        return await self._say(f"COPY {table_name}", super().copy_records_to_table(table_name, **more))

    def cursor(self, query: str, *args: Any, **more: Any) -> Any:
        # What it reads is fetched later: to be cut before is all that can be done to it here.
        self.said = (*self.said, query)
        if len(self.said) == self.cut_at:
            self.terminate()
        return super().cursor(query, *args, **more)

    async def _say(self, query: str, asked: Awaitable[Any]) -> Any:
        self.said = (*self.said, query)
        is_cut = len(self.said) == self.cut_at
        if is_cut and not self.is_heard:
            self.terminate()
        answer = await asked
        if is_cut and self.is_heard:
            self.terminate()
            raise asyncpg.ConnectionDoesNotExistError("cut before the answer came")
        return answer


async def cut_at_each_statement(world: World, work: Work, *, is_heard: bool) -> tuple[str, ...]:
    """The work was cut at its first statement, its second and so on, and done again each time, until it was whole.

    Nothing was written by what was cut, unless the cut was after its COMMIT. Returns the statements.
    """
    for cut_at in count(1):
        connection = await asyncpg.connect(address_of(world), connection_class=CutConnection)
        connection.cut_at, connection.is_heard = cut_at, is_heard
        before = await counts(world)
        try:
            await work(connection)
        except LOST:
            if await counts(world) != before:
                assert is_heard
                assert connection.said[-1] == "COMMIT;"
                return connection.said
        else:
            assert not is_heard, "its COMMIT was never cut"
            await connection.close()
            return connection.said
    raise pytest.fail.Exception("unreachable")
