"""A companion's permission for one family to go over one month's cap, with a reason; its approval and its end.

Whoever changes a voucher has its family's wallet locked first: the count of what the month already has, and what a
purchase takes meanwhile, are then of one moment.

Each refusal is a Problem that is kept under its key, but for NoSuchFamily and NoSuchVoucher: they leave nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.access import Caller
from authz_service.clock import Clock, month_end, month_of
from authz_service.database import Connection
from authz_service.problems import (
    FamilyRemoved,
    MonthNotOpen,
    NoSuchFamily,
    NoSuchVoucher,
    VoucherLimitExceeded,
    VoucherMonthLimitExceeded,
    VoucherStateConflict,
)
from authz_service.vocabulary import CHANCE_BYTES, BeneficiaryStatus, Chance, VoucherId, in_rupiah, new_id
from authz_service.vouchers import ENDED, Voucher, VoucherStatus, Wanted, vouchers

PACKAGES_LIMIT: Final = 100
"""Of a voucher, and of a month's vouchers, where the programme's row sets no limit; of rupiah it is an entitlement."""
VOUCHERS_LIMIT: Final = 100
"""For one family and month, of those that give something: each decision about the family reads them."""
VOUCHERS_EVER_LIMIT: Final = 1_000
"""For one family and month with those that were revoked unused: whoever vouches reads all of them."""
_MOMENT: Final = timedelta(microseconds=1)

_LOCKED: Final = """
-- The wallet is the root of its family: whoever holds it changes the family alone. Wallets before vouchers.
SELECT true FROM wallet WHERE programme_id = $1 AND beneficiary_id = $2 FOR UPDATE
"""
_TERMS: Final = """
-- The family as it is at $3, and what the programme lets its companion give.
SELECT b.companion_id, CASE WHEN b.leaves_at <= $3 THEN 'removed' WHEN b.next_status_at <= $3 THEN b.next_status
            ELSE b.status END AS status,
       p.zone, p.starts_at, p.ends_at,
       coalesce(p.voucher_limit_rupiah, p.entitlement_rupiah) AS voucher_rupiah,
       coalesce(p.voucher_limit_packages, $4) AS voucher_packages,
       coalesce(p.voucher_month_limit_rupiah, p.entitlement_rupiah) AS month_rupiah,
       coalesce(p.voucher_month_limit_packages, $4) AS month_packages,
       p.voucher_approval_above_rupiah AS alone_rupiah, p.voucher_approval_above_packages AS alone_packages
  FROM beneficiary b JOIN programme p USING (programme_id)
 WHERE b.programme_id = $1 AND b.beneficiary_id = $2
"""
_INSERT: Final = """
INSERT INTO voucher (programme_id, voucher_id, beneficiary_id, companion_id, month, extra_rupiah, extra_packages,
                     used_rupiah, packages_used, reason, created_at, expires_at, approved_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9, $10, $11)
"""
_APPROVE: Final = "UPDATE voucher SET approved_at = $3, approved_by = $4 WHERE programme_id = $1 AND voucher_id = $2"
_REVOKE: Final = """
UPDATE voucher SET revoked_at = $3, revoked_by = $4, revocation_reason = $5 WHERE programme_id = $1 AND voucher_id = $2
"""
_FAMILY_OF: Final = """
-- Whose voucher it is, if the caller ($3 is the companion, NULL for an operator) may know of it.
SELECT beneficiary_id FROM voucher
 WHERE programme_id = $1 AND voucher_id = $2 AND ($3::text IS NULL OR companion_id = $3)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """By how much a month is lifted: rupiah and packages, each by itself."""

    rupiah: int
    packages: int

    def __add__(self, other: "Extra") -> "Extra":
        return Extra(rupiah=self.rupiah + other.rupiah, packages=self.packages + other.packages)

    def is_within(self, limit: "Extra") -> bool:
        return self.rupiah <= limit.rupiah and self.packages <= limit.packages

    def __str__(self) -> str:
        return f"{in_rupiah(self.rupiah)} and {self.packages} packages"


NOTHING: Final = Extra(rupiah=0, packages=0)


async def alone_with(connection: Connection, programme_id: str, beneficiary_id: str, clock: Clock) -> datetime:
    """Nobody else changes the family until the transaction ends; the instant at which that was already so."""
    await connection.fetchval(_LOCKED, programme_id, beneficiary_id)
    # In a statement of its own: a SELECT that waits for its lock has looked at the clock before.
    return clock.at(await connection.fetchval("SELECT clock_timestamp()"))


async def vouch(
    connection: Connection,
    *,
    programme_id: str,
    beneficiary_id: str,
    month: date,
    extra_rupiah: int,
    extra_packages: int,
    reason: str,
    now: datetime,
    chance: Chance,
    companion_id: str | None = None,
) -> VoucherId:
    """The family's own companion has vouched, until `month` or the programme ends; above what the programme lets a
    companion give alone, the voucher waits for an operator.

    `companion_id` None stands for whoever the family's companion is.
    """
    extra = Extra(rupiah=extra_rupiah, packages=extra_packages)
    if min(extra_rupiah, extra_packages) < 0 or extra == NOTHING or month.day != 1:
        raise ValueError("a voucher adds rupiah or packages to a month that is named by its first day")
    async with connection.transaction():
        await connection.fetchval(_LOCKED, programme_id, beneficiary_id)
        terms = await connection.fetchrow(_TERMS, programme_id, beneficiary_id, now, PACKAGES_LIMIT)
        if terms is None or companion_id not in {None, terms["companion_id"]}:
            raise NoSuchFamily("the companion has no such family")
        expires_at = _end_of(month, terms, now)
        if terms["status"] == BeneficiaryStatus.REMOVED:
            raise FamilyRemoved("the family was removed from the programme")
        of_month = Wanted(beneficiary_ids=[beneficiary_id], month=month)
        before = await vouchers(connection, programme_id, of_month, now)
        _require_room(extra, before, terms)
        # Every bound has agreed. After this point the voucher is made.
        voucher_id = VoucherId(new_id("vch", now, chance(CHANCE_BYTES)))
        await connection.execute(
            _INSERT,
            programme_id,
            voucher_id,
            beneficiary_id,
            terms["companion_id"],
            month,
            extra_rupiah,
            extra_packages,
            reason,
            now,
            expires_at,
            None if _needs_an_operator(extra, before, terms) else now,
        )
    return voucher_id


async def approve(connection: Connection, caller: Caller, voucher_id: str, clock: Clock) -> datetime:
    """The voucher is live from the instant that is returned; who made it cannot have approved it."""
    voucher, now = await _locked_voucher(connection, caller, voucher_id, clock)
    if voucher.status is not VoucherStatus.AWAITING_APPROVAL:
        raise _conflict(voucher)
    terms = await connection.fetchrow(_TERMS, caller.programme_id, voucher.beneficiary_id, now, PACKAGES_LIMIT)
    if terms is None or terms["status"] == BeneficiaryStatus.REMOVED:
        raise FamilyRemoved("the family was removed from the programme")
    await connection.execute(_APPROVE, caller.programme_id, voucher_id, now, caller.principal_id)
    return now


async def revoke(connection: Connection, caller: Caller, voucher_id: str, reason: str, clock: Clock) -> datetime:
    """The unused part is gone from the instant that is returned; purchases keep what it covers of them."""
    voucher, now = await _locked_voucher(connection, caller, voucher_id, clock)
    if voucher.status in ENDED:
        raise _conflict(voucher)
    await connection.execute(_REVOKE, caller.programme_id, voucher_id, now, caller.principal_id, reason)
    return now


async def _locked_voucher(
    connection: Connection, caller: Caller, voucher_id: str, clock: Clock
) -> tuple[Voucher, datetime]:
    beneficiary_id = await connection.fetchval(_FAMILY_OF, caller.programme_id, voucher_id, caller.companion_id)
    if beneficiary_id is None:
        raise NoSuchVoucher("there is no such voucher")
    now = await alone_with(connection, caller.programme_id, beneficiary_id, clock)
    (voucher,) = await vouchers(connection, caller.programme_id, Wanted(voucher_id=voucher_id), now)
    return voucher, now


def _conflict(voucher: Voucher) -> VoucherStateConflict:
    return VoucherStateConflict(f"the voucher is {voucher.status}", voucher_status=voucher.status)


def _end_of(month: date, terms: asyncpg.Record, now: datetime) -> datetime:
    """The voucher's last instant is before it: the end of the month in the programme's zone, or of the programme."""
    zone = ZoneInfo(terms["zone"])
    expires_at: datetime = min(month_end(month, zone), terms["ends_at"])
    # `ends_at` is no part of the programme: where a month begins with it, that month is none of the programme's.
    last_month = month_of(terms["ends_at"] - _MOMENT, zone)
    if not month_of(terms["starts_at"], zone) <= month <= last_month:
        raise MonthNotOpen("the month is none of the programme's")
    if expires_at <= now:
        raise MonthNotOpen("the month is over")
    return expires_at


def _require_room(extra: Extra, before: Sequence[Voucher], terms: asyncpg.Record) -> None:
    """One voucher, and all of the month together, are within their limits.

    A live or waiting voucher counts with all that it gives, an ended one with what it still covers, and one that was
    revoked unused not at all: mistakes must not use up a family's month.
    """
    limit = Extra(rupiah=terms["voucher_rupiah"], packages=terms["voucher_packages"])
    if not extra.is_within(limit):
        raise VoucherLimitExceeded(
            f"one voucher gives at most {limit}", limit_amount=limit.rupiah, limit_packages=limit.packages
        )
    month_limit = Extra(rupiah=terms["month_rupiah"], packages=terms["month_packages"])
    given, giving = _sum(before), sum(any(each.given) for each in before)
    too_many = giving >= VOUCHERS_LIMIT or len(before) >= VOUCHERS_EVER_LIMIT
    if too_many or not (given + extra).is_within(month_limit):
        raise VoucherMonthLimitExceeded(
            f"the vouchers of a family and month give at most {month_limit}, are at most {VOUCHERS_LIMIT}, and with"
            f" those that were revoked unused at most {VOUCHERS_EVER_LIMIT}; {giving} of {len(before)} give {given}",
            limit_amount=month_limit.rupiah,
            limit_packages=month_limit.packages,
            given_amount=given.rupiah,
            given_packages=given.packages,
        )


def _needs_an_operator(extra: Extra, before: Sequence[Voucher], terms: asyncpg.Record) -> bool:
    """More than companions may give a family and month alone: what operators approved does not count, and a large
    voucher does not pass in slices."""
    alone = _sum([each for each in before if each.approved_at is not None and each.approved_by is None]) + extra
    above_rupiah = terms["alone_rupiah"] is not None and alone.rupiah > terms["alone_rupiah"]
    above_packages = terms["alone_packages"] is not None and alone.packages > terms["alone_packages"]
    return above_rupiah or above_packages


def _sum(given: Sequence[Voucher]) -> Extra:
    rupiah, packages = (sum(part) for part in zip(*(each.given for each in given), strict=True)) if given else (0, 0)
    return Extra(rupiah=rupiah, packages=packages)
