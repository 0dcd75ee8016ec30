"""The end of the quarter's programme: its last hold ends, the bank has paid the shops, and it is closed."""

from datetime import timedelta
from os import urandom
from typing import Final

import asyncpg
from rich.console import Console

from authz_service.clock import ShiftedClock
from authz_service.closing import close
from authz_service.closing_statement import render
from authz_service.database import asyncpg_dsn
from authz_service.demo.settled import print_settled
from authz_service.demo.settling import Settling
from authz_service.demo.town import DemoFailedError
from authz_service.settings import Settings
from authz_service.vocabulary import Chance, ProgrammeId, in_rupiah, several

_DINSOS: Final = "dinsos"
_LAST_GRACE: Final = """
-- How long after its end a hold of the programme may still be open, and that end.
SELECT ends_at, hold_seconds FROM programme WHERE programme_id = $1
"""
_PAID: Final = """
-- In how many batches the shops got their money, how many shops, and how much that stayed there.
SELECT (SELECT count(*) FROM settlement_batch WHERE programme_id = $1) AS batches,
       count(DISTINCT i.merchant_id) AS shops, coalesce(sum(i.amount_rupiah), 0)::bigint AS rupiah
  FROM payout_instruction i
  JOIN payout_event e ON e.programme_id = $1 AND e.instruction_id = i.instruction_id AND e.event = 'settled'
 WHERE i.programme_id = $1
   AND NOT EXISTS (SELECT FROM payout_event back
                    WHERE back.programme_id = $1 AND back.instruction_id = i.instruction_id AND back.event = 'returned')
"""


async def end_programme(
    settings: Settings,
    programme_id: ProgrammeId,
    clock: ShiftedClock,
    console: Console,
    settling: Settling,
    *,
    chance: Chance = urandom,
) -> None:
    """The programme is closed, and the console shows its closing statement. `settings` name the servers it is on."""
    if settings.database_url is None:
        raise DemoFailedError("The demo has no database.")
    connection = await asyncpg.connect(asyncpg_dsn(settings.database_url.get_secret_value()))
    try:
        await _let_the_grace_pass(connection, programme_id, clock)
        await settling.end_programme()
        paid = await connection.fetchrow(_PAID, programme_id)
        if paid is None:
            raise DemoFailedError("Nobody was paid.")
        console.print(
            f"\nThe programme has ended, and so has its last hold. In {several(paid['batches'], 'batch', 'batches')}"
            f" the bank has paid {in_rupiah(paid['rupiah'])} to {several(paid['shops'], 'shop')}.",
            highlight=False,
            soft_wrap=True,
        )
        await print_settled(connection, programme_id, settling.told, console)
        done = await close(
            connection, settings, programme_id, reason="akhir program", actor=_DINSOS, clock=clock, chance=chance
        )
    finally:
        await connection.close()
    render(done.statement, console)
    console.print()


async def _let_the_grace_pass(
    connection: "asyncpg.Connection[asyncpg.Record]", programme_id: ProgrammeId, clock: ShiftedClock
) -> None:
    row = await connection.fetchrow(_LAST_GRACE, programme_id)
    if row is None:
        raise DemoFailedError("The programme is not enrolled.")
    over = row["ends_at"] + timedelta(seconds=row["hold_seconds"])
    if clock.estimate() < over:
        clock.set_to(over)
