"""What of the shops' money wants somebody: payouts that are not at their end, purchases that wait, and accounts that a
second person must approve. Read only; each list is limited by who asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.database import Connection
from authz_service.settlement.accounts import masked
from authz_service.settlement.doubt import payouts_in_doubt
from authz_service.vocabulary import ProgrammeId

_PAYOUTS: Final = """
-- Instructions that are on their way, or that failed or came back and are not released; the oldest first.
SELECT i.instruction_id, i.batch_id, b.number, i.merchant_id, m.name, i.amount_rupiah, i.created_at,
       coalesce(e.events, '{}') AS events, e.reason
  FROM payout_instruction i
  JOIN settlement_batch b ON b.programme_id = $1 AND b.batch_id = i.batch_id
  JOIN merchant m ON m.programme_id = $1 AND m.merchant_id = i.merchant_id
  LEFT JOIN LATERAL (SELECT array_agg(event) AS events, max(reason) AS reason
                       FROM payout_event
                      WHERE programme_id = $1 AND instruction_id = i.instruction_id) e ON true
 WHERE i.programme_id = $1
   AND (e.events IS NULL OR NOT e.events && '{released}' AND (e.events && '{returned}'
        OR e.events && '{failed}' AND NOT e.events && '{settled}'))
 ORDER BY i.created_at, i.instruction_id
 LIMIT $2
"""
_WAITS: Final = """
-- Flagged purchases that nobody has released; the oldest first.
SELECT w.authorisation_id, w.flagged_at, w.flagged_by, w.reason, h.merchant_id, m.name,
       h.captured_rupiah - h.refunded_rupiah AS net_rupiah
  FROM settlement_wait w
  JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = w.authorisation_id
  JOIN merchant m ON m.programme_id = $1 AND m.merchant_id = h.merchant_id
 WHERE w.programme_id = $1 AND w.released_at IS NULL
 ORDER BY w.flagged_at, w.authorisation_id
 LIMIT $2
"""
_ACCOUNTS: Final = """
-- Accounts that were asked for and wait for somebody else; the oldest first.
SELECT a.account_ref, a.merchant_id, m.name, a.bank_code, a.account_number, a.holder, a.requested_at, a.requested_by
  FROM payout_account a
  JOIN merchant m ON m.programme_id = $1 AND m.merchant_id = a.merchant_id
 WHERE a.programme_id = $1 AND a.approved_at IS NULL
 ORDER BY a.requested_at, a.account_ref
 LIMIT $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPayout:
    """`came_back` where it failed or was returned, and waits to be released; else the bank has said nothing yet."""

    instruction_id: str
    batch_number: int
    merchant_id: str
    shop: str
    amount_rupiah: int
    created_at: datetime
    came_back: bool
    in_doubt: bool
    """The bank may have paid it all the same: it is not to be released."""
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPurchase:
    """`net_rupiah` is what of it is captured and not refunded."""

    authorisation_id: str
    shop: str
    net_rupiah: int
    flagged_at: datetime
    flagged_by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAccount:
    """An account that waits for a second person; its number is masked."""

    account_ref: str
    shop: str
    bank_code: str
    masked: str
    holder: str
    requested_at: datetime
    requested_by: str


async def open_payouts(connection: Connection, programme_id: ProgrammeId, limit: int) -> Sequence[OpenPayout]:
    """The oldest first."""
    doubtful = {*await payouts_in_doubt(connection, programme_id)}
    return [
        OpenPayout(
            instruction_id=row["instruction_id"],
            batch_number=row["number"],
            merchant_id=row["merchant_id"],
            shop=row["name"],
            amount_rupiah=row["amount_rupiah"],
            created_at=row["created_at"],
            came_back=bool(row["events"]),
            in_doubt=row["instruction_id"] in doubtful,
            reason=row["reason"],
        )
        for row in await connection.fetch(_PAYOUTS, programme_id, limit)
    ]


async def waiting_purchases(connection: Connection, programme_id: ProgrammeId, limit: int) -> Sequence[WaitingPurchase]:
    """The oldest first."""
    return [
        WaitingPurchase(
            authorisation_id=row["authorisation_id"],
            shop=row["name"],
            net_rupiah=row["net_rupiah"],
            flagged_at=row["flagged_at"],
            flagged_by=row["flagged_by"],
            reason=row["reason"],
        )
        for row in await connection.fetch(_WAITS, programme_id, limit)
    ]


async def asked_accounts(connection: Connection, programme_id: ProgrammeId, limit: int) -> Sequence[AskedAccount]:
    """The oldest first."""
    return [
        AskedAccount(
            account_ref=row["account_ref"],
            shop=row["name"],
            bank_code=row["bank_code"],
            masked=masked(row["account_number"]),
            holder=row["holder"],
            requested_at=row["requested_at"],
            requested_by=row["requested_by"],
        )
        for row in await connection.fetch(_ACCOUNTS, programme_id, limit)
    ]
