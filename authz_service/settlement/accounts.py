"""To which account a shop is paid: asked for by one person, approved by another, and never changed afterwards.

AccountRefused    nothing was written
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.events.kinds import MerchantAccountChanged
from authz_service.events.outbox import publish
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order
from authz_service.settings import Settings
from authz_service.settlement.positions import Account
from authz_service.vocabulary import CHANCE_BYTES, Chance, MerchantId, ProgrammeId, new_id

_HAS_SHOP: Final = "SELECT true FROM merchant WHERE programme_id = $1 AND merchant_id = $2"
_REQUEST: Final = """
INSERT INTO payout_account (programme_id, account_ref, merchant_id, bank_code, account_number, holder, requested_at,
                            requested_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_REQUESTED: Final = """
SELECT merchant_id, requested_by, approved_at FROM payout_account WHERE programme_id = $1 AND account_ref = $2
"""
_APPROVE: Final = """
UPDATE payout_account SET approved_at = $3, approved_by = $4 WHERE programme_id = $1 AND account_ref = $2
"""
_OF_SHOP: Final = """
-- All that were ever asked for, the one in force first, then those that wait, then the others.
SELECT account_ref, bank_code, account_number, holder, requested_at, requested_by, approved_at, approved_by,
       coalesce(approved_at = max(approved_at) OVER (), false) AS is_in_force
  FROM payout_account
 WHERE programme_id = $1 AND merchant_id = $2
 ORDER BY 9 DESC, approved_at IS NULL DESC, requested_at DESC, account_ref
"""


class AccountRefused(Exception):  # noqa: N818
    """No account was changed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutAccount:
    """One row of `payout_account`; `is_in_force` where the next batch pays to it."""

    account_ref: str
    bank_code: str
    account_number: str = field(repr=False)
    holder: str
    requested_at: datetime
    requested_by: str
    approved_at: datetime | None
    approved_by: str | None
    is_in_force: bool

    @property
    def masked(self) -> str:
        return masked(self.account_number)


def masked(account_number: str) -> str:
    """`****1234`: so much a person needs to know an account again."""
    return f"****{account_number[-4:]}"


async def request_account(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    merchant_id: str,
    account: Account,
    *,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> str:
    """The shop's new account waits for somebody else's approval; its reference."""
    _require_valid(account)
    async with alone_with(connection, settings, programme_id):
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        if not await connection.fetchval(_HAS_SHOP, programme_id, merchant_id):
            raise AccountRefused(f"{programme_id} has no shop {merchant_id}.")
        account_ref = new_id("acc", now, chance(CHANCE_BYTES))
        what = (account.bank_code, account.account_number, account.holder.strip())
        await connection.execute(_REQUEST, programme_id, account_ref, merchant_id, *what, now, actor.strip())
        detail = {"account_ref": account_ref, "merchant_id": merchant_id, "account": masked(account.account_number)}
        kind = OrderKind.ACCOUNT_REQUESTED
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return account_ref


async def approve_account(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    account_ref: str,
    *,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> MerchantId:
    """From the next batch on the shop is paid to it; whose shop it is."""
    async with alone_with(connection, settings, programme_id):
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        row = await connection.fetchrow(_REQUESTED, programme_id, account_ref)
        _require_approvable(row, account_ref, actor)
        await connection.execute(_APPROVE, programme_id, account_ref, now, actor.strip())
        merchant_id = MerchantId(row["merchant_id"]) if row else MerchantId("")
        event = MerchantAccountChanged(merchant_id=merchant_id, account_ref=account_ref)
        await publish(connection, programme_id, event, at=now, chance=chance)
        detail = {"account_ref": account_ref, "merchant_id": merchant_id}
        kind = OrderKind.ACCOUNT_APPROVED
        await keep_order(connection, programme_id, kind, actor=actor, now=now, chance=chance, detail=detail)
    return merchant_id


async def accounts_of(connection: Connection, programme_id: ProgrammeId, merchant_id: str) -> Sequence[PayoutAccount]:
    """Every account that was asked for, the one in force first."""
    if not await connection.fetchval(_HAS_SHOP, programme_id, merchant_id):
        raise AccountRefused(f"{programme_id} has no shop {merchant_id}.")
    return [PayoutAccount(**row) for row in await connection.fetch(_OF_SHOP, programme_id, merchant_id)]


def _require_valid(account: Account) -> None:
    """As the table wants it, said before it is tried; no number is repeated."""
    number, bank, holder = account.account_number, account.bank_code, account.holder.strip()
    if not (bank.isascii() and bank.isdigit() and len(bank) == _BANK_DIGITS):
        raise AccountRefused(f"A bank's code has {_BANK_DIGITS} digits, as 124 is Bankaltimtara's.")
    if not (number.isascii() and number.isdigit() and _LEAST_DIGITS <= len(number) <= _MOST_DIGITS):
        raise AccountRefused(f"An account number has {_LEAST_DIGITS} to {_MOST_DIGITS} digits, and nothing else.")
    if not (holder.isprintable() and 1 <= len(holder) <= _HOLDER_LIMIT):
        raise AccountRefused(f"A holder's name is one line of at most {_HOLDER_LIMIT} characters.")


def _require_approvable(row: asyncpg.Record | None, account_ref: str, actor: str) -> None:
    if row is None:
        raise AccountRefused(f"Nobody has asked for an account {account_ref}.")
    if row["approved_at"] is not None:
        raise AccountRefused(f"{account_ref} was approved before; nothing was changed.")
    if row["requested_by"].strip().lower() == actor.strip().lower():
        raise AccountRefused(f"{row['requested_by']} asked for {account_ref}: somebody else must approve it.")


_BANK_DIGITS: Final = 3
_LEAST_DIGITS: Final = 5
_MOST_DIGITS: Final = 34
_HOLDER_LIMIT: Final = 70
