"""Authorisations as they stand, for operators; the newest first."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg

from authz_service.answers import Document, as_it_stands
from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.history import hold_of
from authz_service.holds import Change, expire, is_due
from authz_service.lists.pages import page
from authz_service.vocabulary import HoldStatus
from authz_service.vouchers import month_as_shown

_AUTHORISATIONS: Final = """
-- Authorisations as they stand at $2, the newest first: a hold that is over is expired (after a capture: captured),
-- whether or not that is written yet; what was declined has no hold. What is NULL filters nothing.
-- $1 programme, $2 now, $3 family, $4 shop, $5 terminal, $6 approved, $7 reason, $8 status, $9 month, $10 from this
-- instant, $11 before this instant, $12 older than this one, $13 at most
SELECT a.answer, a.beneficiary_id, a.month, a.authorisation_id, h.authorisation_id IS NOT NULL AS has_a_hold,
       h.merchant_id, h.status, h.approved_rupiah, h.held_rupiah, h.captured_rupiah, h.refunded_rupiah, h.packages,
       h.expires_at
  FROM authorisation a
  LEFT JOIN hold h ON h.programme_id = a.programme_id AND h.authorisation_id = a.authorisation_id
 CROSS JOIN LATERAL (
       SELECT CASE WHEN h.authorisation_id IS NULL THEN 'declined'
                   WHEN h.held_rupiah = 0 OR h.expires_at > $2 THEN h.status
                   WHEN h.captured_rupiah > 0 THEN 'captured'
                   ELSE 'expired' END AS status) state
 WHERE a.programme_id = $1
   AND ($3::text IS NULL OR a.beneficiary_id = $3)
   AND ($4::text IS NULL OR a.merchant_id = $4)
   AND ($5::text IS NULL OR a.terminal_id = $5)
   AND ($6::boolean IS NULL OR (a.reason = 'approved') = $6)
   AND ($7::text IS NULL OR a.reason = $7)
   AND ($8::text IS NULL OR state.status = $8)
   AND ($9::date IS NULL OR a.month = $9)
   AND ($10::timestamptz IS NULL OR a.created_at >= $10)
   AND ($11::timestamptz IS NULL OR a.created_at < $11)
   AND ($12::text IS NULL OR a.authorisation_id < $12)
 ORDER BY a.authorisation_id DESC
 LIMIT $13::bigint
"""
_MOVEMENTS: Final = """
-- What vouchers gave to these authorisations and got back, in the order in which vouchers are used.
SELECT m.authorisation_id, m.transfer_id, m.voucher_id, m.used_rupiah, m.packages_used
  FROM voucher_movement m
  JOIN voucher v ON v.programme_id = m.programme_id AND v.voucher_id = m.voucher_id
 WHERE m.programme_id = $1 AND m.authorisation_id = ANY ($2)
 ORDER BY v.expires_at, m.voucher_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which authorisations are looked for; None is all of them."""

    limit: int
    after: str | None = None
    beneficiary_id: str | None = None
    merchant_id: str | None = None
    terminal_id: str | None = None
    approved: bool | None = None
    reason: str | None = None
    status: HoldStatus | None = None
    month: date | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    """No longer one of them."""


async def authorisations(connection: Connection, programme_id: str, sought: Sought, clock: Clock) -> Document:
    """One page of those that are sought, all as they stand at one instant."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        rows = await connection.fetch(
            _AUTHORISATIONS,
            programme_id,
            now,
            sought.beneficiary_id,
            sought.merchant_id,
            sought.terminal_id,
            sought.approved,
            sought.reason,
            sought.status,
            sought.month,
            sought.created_from,
            sought.created_to,
            sought.after,
            sought.limit + 1,
        )
        movements = defaultdict(list)
        for each in await connection.fetch(_MOVEMENTS, programme_id, [row["authorisation_id"] for row in rows]):
            movements[each["authorisation_id"]].append(each)
    return page([_as_shown(row, movements[row["authorisation_id"]], now) for row in rows], sought.limit)


def _as_shown(row: asyncpg.Record, movements: list[asyncpg.Record], now: datetime) -> Document:
    hold = hold_of(row, movements) if row["has_a_hold"] else None
    if hold is not None and is_due(hold, now) and isinstance(change := expire(hold), Change):
        # Over, although nobody has written it yet.
        hold = change.hold
    about = {"beneficiary_id": row["beneficiary_id"], "month": month_as_shown(row["month"])}
    return as_it_stands(row["answer"], hold) | about
