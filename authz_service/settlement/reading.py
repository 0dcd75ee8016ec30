"""Batches as they stand: all of them, or one with its shops, its instructions and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg

from authz_service.database import Connection
from authz_service.settlement.batches import BatchRefused
from authz_service.settlement.canonical import Totals
from authz_service.settlement.positions import Carried, Instruction
from authz_service.vocabulary import BatchId, InstructionId, MerchantId, ProgrammeId

_BATCHES: Final = """
-- Every batch and how its payouts stand, the newest last; $2 is one of them, by its id or its number.
SELECT b.*, coalesce(p.under_way, 0) AS under_way, coalesce(p.paid, 0) AS paid, coalesce(p.came_back, 0) AS came_back
  FROM settlement_batch b
  LEFT JOIN (SELECT i.batch_id, count(*) FILTER (WHERE e.events IS NULL) AS under_way,
                    count(*) FILTER (WHERE e.events && '{settled}' AND NOT e.events && '{returned}') AS paid,
                    count(*) FILTER (WHERE e.events && '{returned}'
                                       OR e.events && '{failed}' AND NOT e.events && '{settled}') AS came_back
               FROM payout_instruction i
               LEFT JOIN LATERAL (SELECT array_agg(event) AS events FROM payout_event
                                   WHERE programme_id = $1 AND instruction_id = i.instruction_id) e ON true
              WHERE i.programme_id = $1
                AND ($2::text IS NULL OR i.batch_id = (SELECT batch_id FROM settlement_batch
                                                        WHERE programme_id = $1 AND $2 IN (batch_id, number::text)))
              GROUP BY i.batch_id) p USING (batch_id)
 WHERE b.programme_id = $1 AND ($2::text IS NULL OR $2 IN (b.batch_id, b.number::text))
 ORDER BY b.number
"""
_POSITIONS: Final = """
-- What a batch comes to for each of its shops.
SELECT p.*, m.name,
       (SELECT count(*)::int FROM settlement_item i
         WHERE i.programme_id = $1 AND i.batch_id = $2 AND i.merchant_id = p.merchant_id) AS items
  FROM settlement_position p
  JOIN merchant m ON m.programme_id = $1 AND m.merchant_id = p.merchant_id
 WHERE p.programme_id = $1 AND p.batch_id = $2
 ORDER BY p.merchant_id
"""
_PAYOUTS: Final = """
-- What the bank was told in a batch, and what is known of it.
SELECT i.*, ARRAY(SELECT e.event FROM payout_event e
                   WHERE e.programme_id = $1 AND e.instruction_id = i.instruction_id) AS events,
       (SELECT max(e.bank_reference) FROM payout_event e
         WHERE e.programme_id = $1 AND e.instruction_id = i.instruction_id) AS bank_reference
  FROM payout_instruction i
 WHERE i.programme_id = $1 AND i.batch_id = $2
 ORDER BY i.instruction_id
"""


class PayoutState(StrEnum):
    UNDER_WAY = "under way"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One row of `settlement_batch`, and how many of its payouts stand how."""

    batch_id: BatchId
    number: int
    cut_off_at: datetime
    closed_at: datetime
    closed_by: str
    totals: Totals
    hash: bytes
    under_way: int
    paid: int
    came_back: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopInBatch:
    merchant_id: MerchantId
    name: str
    totals: Totals
    carried_because: Carried | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """An instruction and how it stands."""

    instruction: Instruction
    state: PayoutState
    bank_reference: str | None


async def all_batches(connection: Connection, programme_id: ProgrammeId) -> Sequence[Batch]:
    """The oldest first."""
    return [_batch(row) for row in await connection.fetch(_BATCHES, programme_id, None)]


async def one_batch(connection: Connection, programme_id: ProgrammeId, named: str) -> Batch:
    """By its id, or its number."""
    rows = await connection.fetch(_BATCHES, programme_id, named)
    if not rows:
        raise BatchRefused(f"{programme_id} has no batch {named}.")
    return _batch(rows[0])


async def shops_of(connection: Connection, programme_id: ProgrammeId, batch_id: BatchId) -> Sequence[ShopInBatch]:
    """In the order of their ids."""
    return [
        ShopInBatch(
            merchant_id=MerchantId(row["merchant_id"]),
            name=row["name"],
            totals=_totals(row),
            carried_because=Carried(row["carried_because"]) if row["carried_because"] else None,
        )
        for row in await connection.fetch(_POSITIONS, programme_id, batch_id)
    ]


async def payouts_of(connection: Connection, programme_id: ProgrammeId, batch_id: BatchId) -> Sequence[Payout]:
    """In the order of their ids, as they are hashed."""
    return [
        Payout(
            instruction=Instruction(
                instruction_id=InstructionId(row["instruction_id"]),
                merchant_id=MerchantId(row["merchant_id"]),
                amount_rupiah=row["amount_rupiah"],
                bank_code=row["bank_code"],
                account_number=row["account_number"],
                holder=row["holder"],
            ),
            state=_state(row["events"]),
            bank_reference=row["bank_reference"],
        )
        for row in await connection.fetch(_PAYOUTS, programme_id, batch_id)
    ]


def _batch(row: asyncpg.Record) -> Batch:
    same = ("batch_id", "number", "cut_off_at", "closed_at", "closed_by", "hash", "under_way", "paid", "came_back")
    return Batch(totals=_totals(row), **{name: row[name] for name in same})


def _totals(row: asyncpg.Record) -> Totals:
    return Totals(**{field.name: row[field.name] for field in fields(Totals)})


def _state(events: Sequence[str]) -> PayoutState:
    """By the last that happened."""
    for event in ("released", "returned"):
        if event in events:
            return PayoutState(event)
    if "settled" in events:
        return PayoutState.PAID
    return PayoutState.FAILED if events else PayoutState.UNDER_WAY
