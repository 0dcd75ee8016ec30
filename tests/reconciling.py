"""How tests read a statement of the bank: rows of the simulated bank's CSV, whose balances and ends are filled in."""

import os
from datetime import date, timedelta
from typing import Any

import asyncpg

from authz_service.database import Connection
from authz_service.reconciliation.reconciling import Reconciled, reconcile_statement
from authz_service.reconciliation.statement_files import read_statement
from authz_service.reconciliation.statement_lines import Format
from tests.settling import CARD_DESK, SAMARINDA
from tests.world import WITA, World

OPENING = 1_776_600_000
Row = tuple[int, str] | tuple[int, str, str] | tuple[int, str, str, str]
"""Rupiah (below nothing: it left), our reference, the bank's, and what it wrote for people."""


def a_statement(*rows: Row, first: date, last: date | None = None, opening: int = OPENING) -> bytes:
    """All of them are booked on the first day."""
    lines, balance = [f"{first},,,,,{opening},SALDO AWAL"], opening
    for place, (amount, reference, *more) in enumerate(rows, start=1):
        bank_reference, description = (*more, *[f"BKT{place:04d}", "x"][len(more) :])
        balance += amount
        debit, credit = (-amount, "") if amount < 0 else ("", amount)
        lines.append(f"{first},{bank_reference},{reference},{debit},{credit},{balance},{description}")
    lines.append(f"{last or first},,,,,{balance},SALDO AKHIR")
    return "\n".join(["date,bank_reference,reference,debit,credit,balance,description", *lines, ""]).encode()


def today(world: World) -> date:
    return world.now.astimezone(WITA).date()


async def reconciled(world: World, *rows: Row, is_rehearsal: bool = False, **days: Any) -> Reconciled:
    """The bank has booked these rows, today if nothing else is said, and its statement was read."""
    content = a_statement(*rows, **{"first": today(world), **days})
    return await read(world, content, is_rehearsal=is_rehearsal)


async def read(
    world: World,
    content: bytes,
    *,
    is_rehearsal: bool = False,
    kind: Format = Format.CSV,
    connection: "Connection | None" = None,
) -> Reconciled:
    return await reconcile_statement(
        connection or world.database,
        world.settings,
        SAMARINDA,
        read_statement(content, kind),
        actor=CARD_DESK,
        clock=world.clock,
        chance=os.urandom,
        is_rehearsal=is_rehearsal,
    )


def states(done: Reconciled) -> dict[str, str]:
    """Reference → what is so of it."""
    return {each.reference: each.state.value for each in done.findings}


async def counts(world: World) -> dict[str, Any]:
    """How many rows each table has, and a digest of them all: nothing was written where it is the same."""
    tables = await world.database.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    return {
        name: tuple(
            await world.database.fetchrow(
                f"SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t"
            )
            or ()
        )
        for (name,) in map(tuple, tables)
    }


async def open_ones(world: World) -> list[asyncpg.Record]:
    """Open exceptions, in the order of their kinds."""
    return await world.database.fetch(
        "SELECT * FROM reconciliation_exception WHERE closed_at IS NULL ORDER BY kind, reference, exception_id"
    )


def tomorrow(world: World) -> date:
    """And the clock is there, too."""
    world.later(days=1)
    return today(world)


A_DAY = timedelta(days=1)
