"""What an operator says of payouts, one or several: all of it in one transaction, and kept as one order."""

from collections.abc import Sequence
from typing import Final

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order, require_reason
from authz_service.settings import Settings
from authz_service.settlement.instructions import (
    Applied,
    PayoutEvent,
    PayoutRefused,
    Source,
    Told,
    fail_payout,
    release_payout,
    return_payout,
    settle_payout,
)
from authz_service.vocabulary import Chance, ProgrammeId

_STEPS: Final = {
    PayoutEvent.SETTLED: (settle_payout, OrderKind.PAYOUT_SETTLED),
    PayoutEvent.FAILED: (fail_payout, OrderKind.PAYOUT_FAILED),
    PayoutEvent.RETURNED: (return_payout, OrderKind.PAYOUT_RETURNED),
    PayoutEvent.RELEASED: (release_payout, OrderKind.PAYOUT_RELEASED),
}
_UNDER_WAY: Final = """
-- The instructions of a batch of which nothing is known yet.
SELECT i.instruction_id FROM payout_instruction i
 WHERE i.programme_id = $1 AND i.batch_id = $2
   AND NOT EXISTS (SELECT FROM payout_event e WHERE e.programme_id = $1 AND e.instruction_id = i.instruction_id)
 ORDER BY i.instruction_id
"""
_IS_A_BATCH: Final = "SELECT true FROM settlement_batch WHERE programme_id = $1 AND batch_id = $2"


async def say_of_payouts(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    event: PayoutEvent,
    named: Sequence[str],
    *,
    actor: str,
    clock: Clock,
    chance: Chance,
    bank_reference: str | None = None,
    reason: str | None = None,
) -> list[Applied]:
    """All that is named, or nothing, has had the event. A batch that is named stands for what of it is under way."""
    step, kind = _STEPS[event]
    if reason is not None:
        require_reason(reason)
    async with alone_with(connection, settings, programme_id):
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        told = Told(source=Source.OPERATOR, actor=actor, at=now, bank_reference=bank_reference, reason=reason)
        ids = await _instructions(connection, programme_id, event, named)
        applied = [await step(connection, programme_id, each, told=told, chance=chance) for each in ids]
        if changed := [each for each in applied if each.changed]:
            detail = {
                "instructions": [each.instruction_id for each in changed],
                "amount_rupiah": sum(each.amount_rupiah for each in changed),
                **({"bank_reference": bank_reference} if bank_reference else {}),
            }
            await keep_order(
                connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail, reason=reason
            )
    return applied


async def _instructions(
    connection: Connection, programme_id: ProgrammeId, event: PayoutEvent, named: Sequence[str]
) -> list[str]:
    """Each once, in the order in which they were named."""
    ids: dict[str, None] = {}
    for name in named:
        if not name.startswith("set_"):
            ids[name] = None
            continue
        if event not in {PayoutEvent.SETTLED, PayoutEvent.FAILED}:
            raise PayoutRefused("What came back is named instruction by instruction, not by its batch.")
        if not await connection.fetchval(_IS_A_BATCH, programme_id, name):
            raise PayoutRefused(f"There is no batch {name}.")
        ids |= dict.fromkeys(row[0] for row in await connection.fetch(_UNDER_WAY, programme_id, name))
    return list(ids)
