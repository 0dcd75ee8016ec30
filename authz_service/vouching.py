"""A companion's permission for one family to go over one month's cap, with a reason."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.clock import month_end
from authz_service.vocabulary import CHANCE_BYTES, Chance, VoucherId, new_id

_INSERT: Final = """
INSERT INTO voucher (programme_id, voucher_id, beneficiary_id, companion_id, month, extra_rupiah, extra_packages,
                     used_rupiah, packages_used, reason, created_at, expires_at, approved_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9, $10, $9)
"""


PACKAGES_LIMIT: Final = 100


class VoucherRefused(Exception):  # noqa: N818
    """The voucher gives nothing, names no family, or its month is over."""


async def vouch(
    connection: asyncpg.Connection,
    *,
    programme_id: str,
    beneficiary_id: str,
    month: date,
    extra_rupiah: int,
    extra_packages: int,
    reason: str,
    now: datetime,
    chance: Chance,
) -> VoucherId:
    """The family's own companion has vouched: the voucher is live until `month` ends in the programme's zone."""
    if extra_rupiah < 0 or extra_packages < 0 or extra_rupiah + extra_packages == 0:
        raise VoucherRefused("a voucher adds rupiah or packages, and takes neither")
    if month.day != 1:
        raise VoucherRefused("a month is named by its first day")
    family = await connection.fetchrow(
        "SELECT b.companion_id, p.zone, p.entitlement_rupiah FROM beneficiary b JOIN programme p USING (programme_id)"
        " WHERE b.programme_id = $1 AND b.beneficiary_id = $2",
        programme_id,
        beneficiary_id,
    )
    if family is None:
        raise VoucherRefused("the programme has no such family")
    if extra_rupiah > family["entitlement_rupiah"] or extra_packages > PACKAGES_LIMIT:
        raise VoucherRefused("no voucher is worth more than a whole entitlement")
    expires_at = month_end(month, ZoneInfo(family["zone"]))
    if expires_at <= now:
        raise VoucherRefused("the month is over")
    voucher_id = VoucherId(new_id("vch", now, chance(CHANCE_BYTES)))
    await connection.execute(
        _INSERT,
        programme_id,
        voucher_id,
        beneficiary_id,
        family["companion_id"],
        month,
        extra_rupiah,
        extra_packages,
        reason,
        now,
        expires_at,
    )
    return voucher_id
