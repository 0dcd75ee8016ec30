"""How a programme's holds, vouchers and money stand, for whoever watches. Rupiah; nothing is locked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from authz_service.database import Connection
from authz_service.ledger.accounts import FUND, SPONSOR
from authz_service.vocabulary import ProgrammeId

ENDING: Final = """
-- Open holds that end between two instants, and when the first of them does: a range of the index, for both questions.
SELECT count(*) AS holds, min(expires_at) AS first_at
  FROM hold
 WHERE programme_id = $1 AND expires_at > $2 AND expires_at <= $3 AND held_rupiah > 0
"""
_OPEN: Final = """
-- Holds that reserve something now: among all that were placed in the time that a hold lasts.
SELECT count(*) AS holds, coalesce(sum(held_rupiah), 0)::bigint AS rupiah
  FROM hold
 WHERE programme_id = $1 AND expires_at > $2 AND held_rupiah > 0
"""
_VOUCHERS: Final = """
-- Vouchers that cover something now, and those that wait for approval.
SELECT count(*) FILTER (WHERE approved_at IS NOT NULL
                          AND (used_rupiah < extra_rupiah OR packages_used < extra_packages)) AS open,
       count(*) FILTER (WHERE approved_at IS NULL) AS waiting,
       min(created_at) FILTER (WHERE approved_at IS NULL) AS waiting_since
  FROM voucher
 WHERE programme_id = $1 AND revoked_at IS NULL AND expires_at > $2
"""
_MONEY: Final = """
-- All wallets, and of the transfers of no purchase all but the grants: what these came to is in the wallets.
SELECT wallets.*, moved.*
  FROM (SELECT coalesce(sum(available_rupiah), 0)::bigint AS available_rupiah,
               coalesce(sum(held_rupiah), 0)::bigint AS held_rupiah,
               coalesce(sum(spent_rupiah), 0)::bigint AS spent_rupiah
          FROM wallet WHERE programme_id = $1) wallets,
       (SELECT coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'fund'), 0)::bigint AS funded_rupiah,
               coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'payout'), 0)::bigint AS paid_rupiah,
               coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'payout_settled'), 0)::bigint AS settled_rupiah,
               coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'payout_failed'), 0)::bigint AS failed_rupiah,
               coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'return' AND debit_account_id = $2), 0)::bigint
                 AS came_back_rupiah,
               coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'return' AND credit_account_id = $3), 0)::bigint
                 AS given_back_rupiah
          FROM transfer
         WHERE programme_id = $1 AND authorisation_id IS NULL
           AND kind IN ('fund', 'payout', 'payout_settled', 'payout_failed', 'return')) moved
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Holds that end in a while, or have ended; the first of them at an instant."""

    holds: int
    first_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHolds:
    holds: int
    rupiah: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchersNow:
    open: int
    waiting: int
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """fund = unallocated + available + held + payable + clearing + sponsor; `spent` is what families bought."""

    fund: int
    unallocated: int
    available: int
    held: int
    spent: int
    payable: int
    clearing: int
    sponsor: int


async def holds_ending(connection: Connection, programme_id: ProgrammeId, since: datetime, until: datetime) -> Ending:
    """Open holds whose end is after `since`, and not after `until`."""
    return Ending(**await _row(connection, ENDING, programme_id, since, until))


async def open_holds(connection: Connection, programme_id: ProgrammeId, now: datetime) -> OpenHolds:
    return OpenHolds(**await _row(connection, _OPEN, programme_id, now))


async def vouchers_now(connection: Connection, programme_id: ProgrammeId, now: datetime) -> VouchersNow:
    return VouchersNow(**await _row(connection, _VOUCHERS, programme_id, now))


async def money(connection: Connection, programme_id: ProgrammeId) -> Money:
    """Each account's balance, as far as the books agree with themselves: the invariants prove that, not this."""
    row = await _row(connection, _MONEY, programme_id, FUND, SPONSOR)
    in_wallets = row["available_rupiah"] + row["held_rupiah"] + row["spent_rupiah"]
    returned = row["came_back_rupiah"] + row["failed_rupiah"]
    return Money(
        fund=row["funded_rupiah"] - row["settled_rupiah"] + row["came_back_rupiah"],
        unallocated=row["funded_rupiah"] - in_wallets - row["given_back_rupiah"],
        available=row["available_rupiah"],
        held=row["held_rupiah"],
        spent=row["spent_rupiah"],
        payable=row["spent_rupiah"] - row["paid_rupiah"] + returned,
        clearing=row["paid_rupiah"] - row["settled_rupiah"] - row["failed_rupiah"],
        sponsor=row["given_back_rupiah"],
    )


async def _row(connection: Connection, statement: str, *arguments: object) -> dict[str, Any]:
    row = await connection.fetchrow(statement, *arguments)
    if row is None:
        raise RuntimeError("a sum always has a row")
    return dict(row)
