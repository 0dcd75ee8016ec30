"""How tests settle: a batch is closed at this instant, or of a cut-off, and the bank has paid it."""

import os
from datetime import datetime
from typing import Any

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.settings import Settings
from authz_service.settlement.batches import ClosedBatch, close_batch
from authz_service.settlement.by_hand import say_of_payouts
from authz_service.settlement.instructions import Applied, PayoutEvent
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME, World

SAMARINDA = ProgrammeId(PROGRAMME)
CARD_DESK = "meja kartu bank"


async def batch_closed(
    world: World, cut_off_at: datetime | None = None, *, connection: "Connection | None" = None, **how: Any
) -> ClosedBatch:
    """None: at this instant."""
    chosen = {"actor": CARD_DESK, "clock": world.clock, "chance": os.urandom, **how}
    return await close_batch(connection or world.database, world.settings, SAMARINDA, cut_off_at=cut_off_at, **chosen)


async def said(
    world: World, event: str, *named: str, connection: "Connection | None" = None, **more: Any
) -> list[Applied]:
    """What an operator says of these instructions, or of a batch."""
    return await say_of_payouts(
        connection or world.database,
        world.settings,
        SAMARINDA,
        PayoutEvent(event),
        named,
        **{"actor": CARD_DESK, "clock": world.clock, "chance": os.urandom, **more},
    )


async def settled(world: World, *, connection: "Connection | None" = None) -> int:
    """Every shop has got what it was owed (rupiah, of all)."""
    return await all_settled(connection or world.database, world.settings, world.clock)


async def all_settled(connection: Connection, settings: Settings, clock: Clock) -> int:
    """As `settled`, on a clock of the caller's."""
    how: Any = {"actor": CARD_DESK, "clock": clock, "chance": os.urandom}
    batch = await close_batch(connection, settings, SAMARINDA, cut_off_at=None, **how)
    paid = await say_of_payouts(
        connection, settings, SAMARINDA, PayoutEvent.SETTLED, [batch.batch_id], bank_reference="BKT-1", **how
    )
    return sum(each.amount_rupiah for each in paid)


async def instructions(world: World) -> list[tuple[str, str, int]]:
    """(instruction, shop, rupiah) of all batches, the oldest first."""
    rows = await world.database.fetch(
        "SELECT instruction_id, merchant_id, amount_rupiah FROM payout_instruction ORDER BY created_at, instruction_id"
    )
    return [tuple(row) for row in rows]


async def batches(world: World) -> list[dict[str, Any]]:
    """Rows of the table, the first one first."""
    return [dict(row) for row in await world.database.fetch("SELECT * FROM settlement_batch ORDER BY number")]
