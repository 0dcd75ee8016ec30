"""A batch is closed: it has every capture and refund that is committed and in no batch yet, and says who is paid.

By membership, not by time: what commits while a batch is being closed is in the next one, whatever its date. One
transaction under the programme's lock writes items, positions, instructions, payouts and the batch, or nothing.

BatchRefused    nothing was written; the message says why
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.events.outbox import publish
from authz_service.ledger.entries import alone_with, enter
from authz_service.ledger.postings import Transfer, payout
from authz_service.orders import OrderKind, keep_order
from authz_service.settings import Settings
from authz_service.settlement.canonical import Totals, head_line, item_line
from authz_service.settlement.cut_offs import CutOff, Schedule
from authz_service.settlement.membership import nets, take
from authz_service.settlement.positions import Account, Instruction, Position, number_of_parts, parts_of, sum_of
from authz_service.settlement.told import told_of_batch
from authz_service.vocabulary import (
    CHANCE_BYTES,
    BatchId,
    Chance,
    InstructionId,
    ProgrammeId,
    TransferId,
    in_rupiah,
    new_id,
)

_SCHEDULER: Final = "scheduler"
"""Who closes a batch that nobody ordered."""
_PROGRAMME: Final = """
SELECT zone, starts_at, closed_at, settlement_cut_off, settlement_days, coalesce(holidays, '{}') AS holidays,
       payout_limit_rupiah
  FROM programme WHERE programme_id = $1
"""
_CHANGES: Final = """
-- Cut-offs that were ordered, each from its day on.
SELECT valid_from, cut_off, days FROM settlement_schedule WHERE programme_id = $1
"""
_IS_CLOSED: Final = "SELECT closed_at IS NOT NULL FROM programme WHERE programme_id = $1"
_LAST: Final = """
-- The batch before.
SELECT batch_id, number, cut_off_at, hash FROM settlement_batch WHERE programme_id = $1 ORDER BY number DESC LIMIT 1
"""
_OF_CUT_OFF: Final = "SELECT batch_id FROM settlement_batch WHERE programme_id = $1 AND cut_off_at = $2"
_ITEMS: Final = """
-- In the order in which they are hashed.
SELECT transfer_id, merchant_id, amount_rupiah FROM settlement_item
 WHERE programme_id = $1 AND batch_id = $2
 ORDER BY transfer_id
"""
_KEEP: Final = """
INSERT INTO settlement_batch (programme_id, batch_id, number, cut_off_at, closed_at, closed_by, items,
                              brought_rupiah, captured_rupiah, refunded_rupiah, returned_rupiah, instructed_rupiah,
                              carried_rupiah, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""


class BatchRefused(Exception):  # noqa: N818
    """No batch was closed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedBatch:
    """`now` is False where the batch of this cut-off had been closed before."""

    batch_id: BatchId
    now: bool


async def schedule_of(connection: Connection, programme_id: ProgrammeId) -> Schedule:
    """When its batches are due."""
    row = await connection.fetchrow(_PROGRAMME, programme_id)
    if row is None:
        raise BatchRefused(f"There is no programme {programme_id}.")
    changes = await connection.fetch(_CHANGES, programme_id)
    return Schedule(
        zone=ZoneInfo(row["zone"]),
        starts_at=row["starts_at"],
        first=_cut_off(row["settlement_cut_off"], row["settlement_days"]),
        changes={each["valid_from"]: _cut_off(each["cut_off"], each["days"]) for each in changes},
        holidays=frozenset(row["holidays"]),
    )


def _cut_off(at: time | None, days: Sequence[int] | None) -> CutOff | None:
    return None if at is None or days is None else CutOff(at=at, days=frozenset(days))


async def due(connection: Connection, programme_id: ProgrammeId, now: datetime) -> datetime | None:
    """The last cut-off that has passed, if no batch has been closed since; None for a programme that is closed."""
    if await connection.fetchval(_IS_CLOSED, programme_id):
        return None
    cut_off_at = (await schedule_of(connection, programme_id)).last_before(now)
    if cut_off_at is None:
        return None
    last = await connection.fetchrow(_LAST, programme_id)
    return cut_off_at if last is None or last["cut_off_at"] < cut_off_at else None


async def close_batch(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    *,
    cut_off_at: datetime | None,
    actor: str | None,
    clock: Clock,
    chance: Chance,
) -> ClosedBatch:
    """The batch of this cut-off is closed, now or before; None is this instant, for an extra batch.

    Without an actor nobody ordered it: the scheduler closes it, and no order is kept.
    A batch with nothing in it is closed as well: every settlement day has its batch, and the chain shows that.
    """
    async with alone_with(connection, settings, programme_id):
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        known = await connection.fetchval(_OF_CUT_OFF, programme_id, cut_off_at or now)
        if known is not None:
            return ClosedBatch(batch_id=BatchId(known), now=False)
        last = await connection.fetchrow(_LAST, programme_id)
        limit_rupiah = await _require_closable(connection, programme_id, cut_off_at, now, last)
        # Nobody else closes one meanwhile.
        batch_id = BatchId(new_id("set", now, chance(CHANCE_BYTES)))
        await take(connection, settings, programme_id, batch_id)
        found = await nets(connection, programme_id, batch_id, after=BatchId(last["batch_id"]) if last else None)
        _require_few([each for each, _ in found], limit_rupiah, settings.batch_instructions_limit)
        # After this point the batch must be written.
        positions, instructions = [each for each, _ in found], list(_instructions(found, limit_rupiah, now, chance))
        await _copy(connection, programme_id, batch_id, positions, instructions, now)
        await enter(connection, programme_id, list(_payouts(instructions, now, chance)))
        number, at, totals = (last["number"] + 1 if last else 1), cut_off_at or now, sum_of(positions)
        hashed = hashlib.sha256(last["hash"] if last else b"")
        hashed.update(head_line(programme_id, batch_id, number, at, now, totals))
        async for item in connection.cursor(_ITEMS, programme_id, batch_id, prefetch=1000):
            hashed.update(item_line(*item))
        for each in instructions:
            hashed.update(each.line())
        sums = (totals.items, totals.brought_rupiah, totals.captured_rupiah, totals.refunded_rupiah)
        more = (totals.returned_rupiah, totals.instructed_rupiah, totals.carried_rupiah, hashed.digest())
        await connection.execute(_KEEP, programme_id, batch_id, number, at, now, actor or _SCHEDULER, *sums, *more)
        if actor is not None:
            detail = {"batch_id": batch_id, "number": number, **asdict(totals)}
            kind = OrderKind.BATCH_CLOSED
            await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
        told = told_of_batch(batch_id, number, at, totals, instructions, hashed.digest())
        await publish(connection, programme_id, *told, at=now, chance=chance)
    return ClosedBatch(batch_id=batch_id, now=True)


async def _require_closable(
    connection: Connection,
    programme_id: ProgrammeId,
    cut_off_at: datetime | None,
    now: datetime,
    last: asyncpg.Record | None,
) -> int | None:
    """The most that one instruction may be."""
    row = await connection.fetchrow(_PROGRAMME, programme_id)
    if row is None:
        raise BatchRefused(f"There is no programme {programme_id}.")
    if row["closed_at"] is not None:
        raise BatchRefused(f"{programme_id} is closed: its shops were paid before.")
    if last is not None and last["cut_off_at"] >= (cut_off_at or now):
        at = last["cut_off_at"].astimezone(ZoneInfo(row["zone"]))
        raise BatchRefused(f"Batch {last['number']} of {at:%Y-%m-%d %H:%M %Z} has what was sold until then.")
    limit_rupiah: int | None = row["payout_limit_rupiah"]
    if cut_off_at is None:
        return limit_rupiah
    if cut_off_at > now:
        raise BatchRefused("This cut-off is still to come: `--now` closes an extra batch at this instant.")
    schedule = await schedule_of(connection, programme_id)
    if not schedule.has(cut_off_at):
        cut_off = schedule.cut_off_of(cut_off_at.astimezone(schedule.zone).date())
        when = "it has none" if cut_off is None else f"they are at {cut_off}, except holidays"
        raise BatchRefused(f"That is no cut-off of {programme_id}: {when}. `--now` closes an extra batch.")
    return limit_rupiah


def _require_few(positions: Sequence[Position], limit_rupiah: int | None, most: int) -> None:
    """What was taken is given back with the transaction."""
    count = sum(number_of_parts(each.totals.instructed_rupiah, limit_rupiah) for each in positions)
    if count <= most:
        return
    why = "" if limit_rupiah is None else f" with at most {in_rupiah(limit_rupiah)} in one payout"
    raise BatchRefused(
        f"The batch would have {count} instructions{why}, more than AUTHZ_BATCH_INSTRUCTIONS_LIMIT ({most}); nothing"
        " was written. `authz settlement limit set` changes what one payout may be."
    )


def _instructions(
    found: Sequence[tuple[Position, Account | None]], limit_rupiah: int | None, now: datetime, chance: Chance
) -> Iterator[Instruction]:
    """For each shop that is paid, none above the limit, in the order of their new ids."""
    paid = [
        (each.merchant_id, part_rupiah, account)
        for each, account in found
        if account is not None
        for part_rupiah in parts_of(each.totals.instructed_rupiah, limit_rupiah)
    ]
    ids = sorted(new_id("pay", now, chance(CHANCE_BYTES)) for _ in paid)
    for instruction_id, (merchant_id, amount_rupiah, account) in zip(ids, paid, strict=True):
        yield Instruction(
            instruction_id=InstructionId(instruction_id),
            merchant_id=merchant_id,
            amount_rupiah=amount_rupiah,
            **asdict(account),
        )


async def _copy(
    connection: Connection,
    programme_id: ProgrammeId,
    batch_id: BatchId,
    positions: Sequence[Position],
    instructions: Sequence[Instruction],
    now: datetime,
) -> None:
    amounts = [name for name in asdict(Totals()) if name != "items"]
    columns = ["programme_id", "batch_id", "merchant_id", "carried_because", *amounts]
    records: list[tuple[Any, ...]] = [
        (programme_id, batch_id, each.merchant_id, each.carried_because, *(getattr(each.totals, n) for n in amounts))
        for each in positions
    ]
    await connection.copy_records_to_table("settlement_position", columns=columns, records=records)
    columns = ["programme_id", "batch_id", "created_at", *(each.name for each in fields(Instruction))]
    records = [(programme_id, batch_id, now, *asdict(each).values()) for each in instructions]
    await connection.copy_records_to_table("payout_instruction", columns=columns, records=records)


def _payouts(instructions: Sequence[Instruction], now: datetime, chance: Chance) -> Iterator[Transfer]:
    for each in instructions:
        transfer_id = TransferId(new_id("trf", now, chance(CHANCE_BYTES)))
        yield payout(transfer_id, each.merchant_id, each.amount_rupiah, each.instruction_id, now)
