"""Shops and their tills: who may sell. A change is an order that is kept, and holds for the next purchase.

A trigger raises the reference's version, which every decision compares when it is written: what a cache still has does
not matter. What is held is honoured, and refunds go on.

    ShopRefused    nothing was changed; the message is one sentence for the operator
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final

from authz_service.database import Connection, limit_waits
from authz_service.orders import OrderKind, keep_order, require_reason
from authz_service.settings import settings_from_environment
from authz_service.vocabulary import Chance, MerchantStatus, TerminalStatus

_SET_MERCHANT: Final = """
-- Nothing where it has that status already.
UPDATE merchant SET status = $3 WHERE programme_id = $1 AND merchant_id = $2 AND status <> $3 RETURNING name
"""
_SET_TERMINAL: Final = """
-- Only between active and suspended: what is unbound or revoked stays so.
UPDATE terminal SET status = $3
 WHERE programme_id = $1 AND terminal_id = $2 AND status IN ('active', 'suspended') AND status <> $3
RETURNING merchant_id
"""
_MERCHANT: Final = "SELECT status FROM merchant WHERE programme_id = $1 AND merchant_id = $2"
_TERMINAL: Final = "SELECT status FROM terminal WHERE programme_id = $1 AND terminal_id = $2"
_SHOPS: Final = """
-- Every shop of the programme, by kecamatan and name.
SELECT m.merchant_id, m.name, d.name AS district, m.status, m.admitted_on, m.leaves_on, m.opens_at, m.closes_at
  FROM merchant m
  JOIN district d USING (programme_id, district_code)
 WHERE m.programme_id = $1
 ORDER BY m.district_code, m.name, m.merchant_id
"""
_TERMINALS: Final = """
-- Every till that is not revoked, or those of one shop ($2).
SELECT terminal_id, merchant_id, status
  FROM terminal
 WHERE programme_id = $1 AND status <> 'revoked' AND ($2::text IS NULL OR merchant_id = $2)
 ORDER BY merchant_id, terminal_id
"""
_ORDERS: Final = {
    MerchantStatus.ACTIVE: OrderKind.MERCHANT_RESUMED,
    MerchantStatus.SUSPENDED: OrderKind.MERCHANT_SUSPENDED,
}
_TERMINAL_ORDERS: Final = {
    TerminalStatus.ACTIVE: OrderKind.TERMINAL_RESUMED,
    TerminalStatus.SUSPENDED: OrderKind.TERMINAL_SUSPENDED,
}


class ShopRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownShop:
    """A shop as operators list it; its hours are the zone's wall clock, None where it has none."""

    merchant_id: str
    name: str
    district: str
    status: MerchantStatus
    admitted_on: date
    leaves_on: date | None
    opens_at: time | None
    closes_at: time | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTerminal:
    """A till as operators list it."""

    terminal_id: str
    merchant_id: str
    status: TerminalStatus


async def set_shop_status(
    connection: Connection,
    programme_id: str,
    merchant_id: str,
    status: MerchantStatus,
    *,
    reason: str,
    actor: str,
    now: datetime,
    chance: Chance,
) -> str:
    """The shop may sell, or may not, from the next purchase on; its name."""
    require_reason(reason)
    async with connection.transaction():
        await limit_waits(connection, settings_from_environment())
        name: str | None = await connection.fetchval(_SET_MERCHANT, programme_id, merchant_id, status)
        if name is None:
            is_so = await connection.fetchval(_MERCHANT, programme_id, merchant_id)
            raise ShopRefused(_why_not(f"shop {merchant_id}", programme_id, is_so))
        await keep_order(
            connection,
            programme_id,
            _ORDERS[status],
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"merchant_id": merchant_id},
        )
    return name


async def set_terminal_status(
    connection: Connection,
    programme_id: str,
    terminal_id: str,
    status: TerminalStatus,
    *,
    reason: str,
    actor: str,
    now: datetime,
    chance: Chance,
) -> str:
    """The till may sell, or may not, from the next purchase on; its shop's id."""
    require_reason(reason)
    async with connection.transaction():
        await limit_waits(connection, settings_from_environment())
        merchant_id: str | None = await connection.fetchval(_SET_TERMINAL, programme_id, terminal_id, status)
        if merchant_id is None:
            is_so = await connection.fetchval(_TERMINAL, programme_id, terminal_id)
            raise ShopRefused(_why_not(f"terminal {terminal_id}", programme_id, is_so))
        await keep_order(
            connection,
            programme_id,
            _TERMINAL_ORDERS[status],
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"terminal_id": terminal_id, "merchant_id": merchant_id},
        )
    return merchant_id


async def shops(connection: Connection, programme_id: str) -> Sequence[KnownShop]:
    """By kecamatan and name."""
    rows = await connection.fetch(_SHOPS, programme_id)
    return [KnownShop(**{**row, "status": MerchantStatus(row["status"])}) for row in rows]


async def terminals(
    connection: Connection, programme_id: str, *, merchant_id: str | None = None
) -> Sequence[KnownTerminal]:
    """In the order of their shops."""
    rows = await connection.fetch(_TERMINALS, programme_id, merchant_id)
    return [KnownTerminal(**{**row, "status": TerminalStatus(row["status"])}) for row in rows]


def _why_not(what: str, programme_id: str, status: str | None) -> str:
    return f"{programme_id} has no {what}." if status is None else f"The {what} is {status} already."
