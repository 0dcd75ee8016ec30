"""How far the quarter is: the day, the sales and the money, as the database has them after each day."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Final

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from authz_service.demo.report import counted
from authz_service.vocabulary import ProgrammeId, in_rupiah

Told = Callable[[date, date | None, float], Awaitable[None]]
"""Told, after each day: the day, the next one on which something happens, and how much of the whole is done."""

MIDDLE_DAY: Final = 15
_SO_FAR: Final = """
-- Purchases of which something was captured, and what families have spent.
SELECT (SELECT count(*) FROM hold WHERE programme_id = $1 AND captured_rupiah > 0) AS sales,
       (SELECT coalesce(sum(spent_rupiah), 0)::bigint FROM wallet WHERE programme_id = $1) AS spent_rupiah
"""


@contextmanager
def told_as_it_goes(
    console: Console, connection: "asyncpg.Connection[asyncpg.Record]", programme_id: ProgrammeId
) -> Iterator[Told]:
    """A bar on a terminal; elsewhere one line for each half of a month, so that logs stay short."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[money]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0, money="")

        async def told(day: date, following: date | None, part: float) -> None:
            row = await connection.fetchrow(_SO_FAR, programme_id)
            if row is None:
                return
            money = f"{counted(row['sales']):>6} sales {in_rupiah(row['spent_rupiah']):>16}"
            bar.update(task, completed=part, description=f"{day:%e %b %Y}", money=money)
            if bar.disable and (following is None or _half(following) != _half(day)):
                console.print(f"{day:%e %b %Y} {money}", highlight=False)

        yield told


def _half(day: date) -> tuple[int, int, bool]:
    return day.year, day.month, day.day > MIDDLE_DAY
