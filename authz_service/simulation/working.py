"""The bank as a process: payment orders come as files into a directory, and its statement is a file.

Rounds follow each other at a pace, or are asked for one by one on standard input by whoever holds the clock.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson

from authz_service.clock import Clock
from authz_service.simulation.bank import Bank
from authz_service.simulation.orders import OrdersRefused, PaymentOrder, read_orders
from authz_service.simulation.statement import Statement, StatementUnusable

_WITA = ZoneInfo("Asia/Makassar")
Say = Callable[[str], None]


async def work(
    bank: Bank, orders: Path, statement_file: Path, rounds: AsyncIterator[None], *, until_idle: bool, say: Say
) -> None:
    """Round after round, as they come; or until there is nothing left to pay or to tell."""
    refused: set[str] = set()
    async for _ in rounds:
        if new := bank.take(_orders_in(orders, refused, say)):
            say(f"{new} new payment orders.")
        bank.pay()
        bank.statement.write(statement_file, bank.today)
        await bank.tell()
        if until_idle and bank.is_idle:
            return


async def at_a_pace(seconds: float) -> AsyncIterator[None]:
    """A round, and so long nothing; for ever."""
    while True:
        yield
        await asyncio.sleep(seconds)


async def on_request(bank: Bank, answer: Say) -> AsyncIterator[None]:
    """A round for each line of standard input, until that ends. A round that is over is answered by one line of JSON:
    what the bank has done so far, and whether something is left to pay or to tell."""
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        yield
        answer(orjson.dumps(asdict(bank.tally) | {"is_idle": bank.is_idle}).decode())


def statement_at(path: Path, clock: Clock, opening_rupiah: int) -> Statement:
    """That of an earlier run, or a new one."""
    if path.exists():
        try:
            return Statement.read(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as unread:
            raise StatementUnusable(f"{path} cannot be read: {type(unread).__name__}.") from None
    return Statement(opened_on=clock.estimate().astimezone(_WITA).date(), opening_rupiah=opening_rupiah)


def _orders_in(directory: Path, refused: set[str], say: Say) -> Iterator[PaymentOrder]:
    """Of every file that is whole; of one that is not it is said once, and it is looked at again."""
    for path in sorted(directory.glob("*.csv")):
        try:
            yield from read_orders(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, OrdersRefused) as wrong:
            why = f"{path.name} is not paid: {wrong}"
            if why not in refused:
                refused.add(why)
                say(why)
