"""Families one by one, as the next decision would find them, and those of them that have not shopped in a month.

Read by a cursor, so ten million of them need no more memory than a thousand.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg
from cryptography.exceptions import InvalidTag

from authz_service.clock import month_end, month_of
from authz_service.database import Connection
from authz_service.families import family_at_work
from authz_service.keys import Keys
from authz_service.registry import Reference
from authz_service.reports.snapshot import ReportRefused
from authz_service.rules.money import room_of
from authz_service.vocabulary import BeneficiaryStatus

AT_ONCE: Final = 1_000
"""Rows that the cursor brings at a time."""
_FAMILIES: Final = """
-- Families that are not removed, by their companion's label, with what the rules read of each. Only who holds something
-- can have holds that are over. $1 programme, $2 now, $3 month, $4 its end, $5 a companion's label or NULL,
-- $6 those alone that use nothing of the month or hold something, $7 with their sealed names
SELECT b.beneficiary_id, c.label AS companion_label, b.companion_id, b.district_code,
       b.status AS beneficiary_status, b.next_status, b.next_status_at, b.leaves_at,
       CASE WHEN $7 THEN b.name_sealed END AS name_sealed,
       w.version AS wallet_version, w.available_rupiah, w.held_rupiah AS wallet_held_rupiah,
       l.month AS allowance_month, l.cap_rupiah, l.packages_cap, l.used_rupiah, l.packages_used, l.covered_rupiah,
       l.covered_packages,
       EXISTS (SELECT FROM card k WHERE k.programme_id = $1 AND k.beneficiary_id = b.beneficiary_id
                                    AND k.status = 'active') AS has_a_card,
       (SELECT json_agg(json_build_array(v.voucher_id, v.extra_rupiah - v.used_rupiah,
                                         v.extra_packages - v.packages_used, v.expires_at)
                        ORDER BY v.expires_at, v.voucher_id)::text
          FROM voucher v
         WHERE v.programme_id = $1 AND v.beneficiary_id = b.beneficiary_id AND v.month = $3
           AND v.approved_at IS NOT NULL AND v.revoked_at IS NULL) AS vouchers,
       (SELECT json_agg(json_build_array(v.month, v.voucher_id, v.extra_rupiah, v.extra_packages, v.expires_at)
                        ORDER BY v.expires_at, v.voucher_id)::text
          FROM voucher v
         WHERE v.programme_id = $1 AND v.beneficiary_id = b.beneficiary_id AND v.month > $3
           AND v.approved_at IS NOT NULL AND v.revoked_at IS NULL) AS later_vouchers,
       CASE WHEN w.held_rupiah > 0 THEN
       (SELECT json_agg(json_build_array(h.authorisation_id, h.merchant_id, h.month, h.status, h.approved_rupiah,
                                         h.held_rupiah, h.captured_rupiah, h.refunded_rupiah, h.packages, h.expires_at)
                        ORDER BY h.expires_at, h.authorisation_id)::text
          FROM hold h
         WHERE h.programme_id = $1 AND h.beneficiary_id = b.beneficiary_id AND h.held_rupiah > 0
           AND h.expires_at <= $2) END AS expired,
       CASE WHEN w.held_rupiah > 0 THEN
       (SELECT json_agg(json_build_array(m.authorisation_id, m.voucher_id, m.used_rupiah, m.packages_used,
                                         v.expires_at))::text
          FROM voucher v
          JOIN voucher_movement m ON m.programme_id = $1 AND m.voucher_id = v.voucher_id
          JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = m.authorisation_id AND h.held_rupiah > 0
         WHERE v.programme_id = $1 AND v.beneficiary_id = b.beneficiary_id) END AS voucher_movements
  FROM beneficiary b
  JOIN wallet w ON w.programme_id = $1 AND w.beneficiary_id = b.beneficiary_id
  JOIN companion c ON c.programme_id = $1 AND c.companion_id = b.companion_id
  LEFT JOIN allowance l ON l.programme_id = $1 AND l.beneficiary_id = b.beneficiary_id AND l.month = $3
 WHERE b.programme_id = $1 AND b.entered_on < $4
   AND (b.leaves_at IS NULL OR b.leaves_at > $2)
   AND CASE WHEN b.next_status_at <= $2 THEN b.next_status ELSE b.status END <> 'removed'
   AND ($5::text IS NULL OR c.label = $5)
   AND (NOT $6 OR coalesce(l.used_rupiah, 0) = 0 OR w.held_rupiah > 0)
 ORDER BY c.label, b.beneficiary_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleFamily:
    """An active family that uses nothing of the month's allowance; `name` None where it was not asked for."""

    companion_label: str
    beneficiary_id: str
    district_code: str
    left_rupiah: int
    """Of its entitlement, what is held for it left out."""
    purchase_rupiah: int | None
    """The most that its next purchase may cost; None where the month is over, or has not come."""
    has_a_card: bool
    name: str | None


async def idle_families(
    connection: Connection,
    reference: Reference,
    month: date,
    now: datetime,
    *,
    companion: str | None = None,
    keys: Keys | None = None,
) -> AsyncIterator[IdleFamily]:
    """In the caller's snapshot, companion by companion. With `keys` each family's name is opened."""
    this_month = month == month_of(now, reference.programme.zone)
    rows = families(connection, reference, month, now, companion, idle_only=True, with_names=keys is not None)
    async for row in rows:
        family = family_at_work(row, month, now, reference, no_id).seen
        if family.status is not BeneficiaryStatus.ACTIVE or family.month.used_rupiah > 0:
            continue
        yield IdleFamily(
            companion_label=row["companion_label"],
            beneficiary_id=family.beneficiary_id,
            district_code=row["district_code"],
            left_rupiah=family.available_rupiah,
            purchase_rupiah=room_of(family, reference.programme).purchase_rupiah if this_month else None,
            has_a_card=row["has_a_card"],
            name=_name(keys, row) if keys is not None else None,
        )


async def families(
    connection: Connection,
    reference: Reference,
    month: date,
    now: datetime,
    companion: str | None,
    *,
    idle_only: bool,
    with_names: bool,
) -> AsyncIterator[asyncpg.Record]:
    """Rows for `family_at_work`, in the caller's snapshot; of `idle_only` some use the month after all, by holds that
    are not over."""
    programme = reference.programme
    end = month_end(month, programme.zone).date()
    arguments = (programme.programme_id, now, month, end, companion, idle_only, with_names)
    async for row in connection.cursor(_FAMILIES, *arguments, prefetch=AT_ONCE):
        yield row


def no_id(prefix: str) -> str:
    """What is given back in what is seen is written nowhere, so its transfers need no id of their own."""
    return prefix


def _name(keys: Keys, row: asyncpg.Record) -> str:
    try:
        return keys.open_field(row["name_sealed"], f"beneficiary.name_sealed:{row['beneficiary_id']}")
    except InvalidTag:
        raise ReportRefused("The names were sealed with another AUTHZ_ROOT_KEY.") from None
