"""Vouchers as they stand at an instant: read by companions, by operators, and by whoever is about to vouch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from authz_service.answers import CURRENCY, Document, shown
from authz_service.database import Connection


class VoucherStatus(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    """It covers nothing until an operator has approved it."""
    LIVE = "live"
    USED_UP = "used_up"
    """It covers all that it gives; what comes back before its end makes it live again."""
    EXPIRED = "expired"
    REVOKED = "revoked"


ENDED: Final = frozenset({VoucherStatus.EXPIRED, VoucherStatus.REVOKED})
"""What is unused is gone, and what comes back restores the entitlement only."""

_VOUCHERS: Final = """
-- Vouchers as they stand at $2, newest first. A hold that is over has given back, whether or not that is written yet:
-- first to the voucher that it used last, its package once nothing of it is bought. What is NULL filters nothing.
-- $1 programme, $2 now, $3 voucher, $4 made by (what the caller may see), $5 made by (what it asked for), $6 families,
-- $7 month, $8 status, $9 older than this voucher, $10 at most
SELECT v.voucher_id, v.beneficiary_id, v.companion_id, v.month, v.extra_rupiah, v.extra_packages,
       v.used_rupiah - due.rupiah AS used_rupiah, v.packages_used - due.packages AS packages_used,
       v.reason, v.created_at, v.expires_at, v.approved_at, v.approved_by, v.revoked_at, v.revoked_by,
       v.revocation_reason, state.status, due.returns
  FROM voucher v
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(back.rupiah), 0)::bigint AS rupiah, coalesce(sum(back.packages), 0)::int AS packages,
              json_agg(json_build_array(back.authorisation_id, back.rupiah, back.packages, back.expires_at))::text
              AS returns
         FROM (SELECT h.authorisation_id, h.expires_at,
                      least(mine.rupiah, greatest(0, h.held_rupiah - later.rupiah)) AS rupiah,
                      CASE WHEN h.captured_rupiah = h.refunded_rupiah THEN mine.packages ELSE 0 END AS packages
                 FROM (SELECT m.authorisation_id, sum(m.used_rupiah) AS rupiah, sum(m.packages_used) AS packages
                         FROM voucher_movement m
                        WHERE m.programme_id = $1 AND m.voucher_id = v.voucher_id
                        GROUP BY m.authorisation_id) mine
                 JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = mine.authorisation_id
                            AND h.held_rupiah > 0 AND h.expires_at <= $2
                CROSS JOIN LATERAL (
                      SELECT coalesce(sum(o.used_rupiah), 0) AS rupiah
                        FROM voucher_movement o
                        JOIN voucher ov ON ov.programme_id = $1 AND ov.voucher_id = o.voucher_id
                       WHERE o.programme_id = $1 AND o.authorisation_id = h.authorisation_id
                         AND (ov.expires_at, ov.voucher_id) > (v.expires_at, v.voucher_id)) later) back
        WHERE back.rupiah > 0 OR back.packages > 0) due
 CROSS JOIN LATERAL (
       SELECT CASE WHEN v.revoked_at IS NOT NULL THEN 'revoked'
                   WHEN v.expires_at <= $2 THEN 'expired'
                   WHEN v.approved_at IS NULL THEN 'awaiting_approval'
                   WHEN v.used_rupiah - due.rupiah = v.extra_rupiah
                    AND v.packages_used - due.packages = v.extra_packages THEN 'used_up'
                   ELSE 'live' END AS status) state
 WHERE v.programme_id = $1
   AND ($3::text IS NULL OR v.voucher_id = $3)
   AND ($4::text IS NULL OR v.companion_id = $4)
   AND ($5::text IS NULL OR v.companion_id = $5)
   AND ($6::text[] IS NULL OR v.beneficiary_id = ANY ($6))
   AND ($7::date IS NULL OR v.month = $7)
   AND ($8::text IS NULL OR state.status = $8)
   AND ($9::text IS NULL OR v.voucher_id < $9)
 ORDER BY v.voucher_id DESC
 LIMIT $10::bigint
"""
_USES: Final = """
-- What one voucher gave to purchases (more than 0) and got back from them (less), as it was written.
SELECT m.authorisation_id, m.used_rupiah, m.packages_used, t.created_at
  FROM voucher_movement m
  JOIN transfer t ON t.programme_id = m.programme_id AND t.transfer_id = m.transfer_id
 WHERE m.programme_id = $1 AND m.voucher_id = $2
 ORDER BY t.created_at, m.transfer_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which vouchers are looked for; None is all of them."""

    voucher_id: str | None = None
    seen_by: str | None = None
    """The companion who may see only its own."""
    companion_id: str | None = None
    beneficiary_ids: Sequence[str] | None = None
    month: date | None = None
    status: VoucherStatus | None = None
    after: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """One voucher at one instant. `used_…` is what it covers of purchases that are held or bought."""

    voucher_id: str
    beneficiary_id: str
    companion_id: str
    month: date
    extra_rupiah: int
    extra_packages: int
    used_rupiah: int
    packages_used: int
    reason: str
    created_at: datetime
    expires_at: datetime
    approved_at: datetime | None
    approved_by: str | None
    revoked_at: datetime | None
    revoked_by: str | None
    revocation_reason: str | None
    status: VoucherStatus
    due: list[Any] = field(repr=False)
    """[authorisation, rupiah, packages, at]: what came back to it from holds that are over, before it is written."""

    @property
    def given(self) -> tuple[int, int]:
        """Rupiah and packages by which it lifts its month: all that it gives, once it has ended what it covered."""
        if self.status in ENDED:
            return self.used_rupiah, self.packages_used
        return self.extra_rupiah, self.extra_packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a voucher gave to a purchase (more than 0), or got back from one (less)."""

    at: datetime
    authorisation_id: str
    rupiah: int
    packages: int

    @property
    def is_returned(self) -> bool:
        return self.rupiah < 0 or self.packages < 0


async def vouchers(connection: Connection, programme_id: str, wanted: Wanted, now: datetime) -> list[Voucher]:
    """Those that are wanted, the newest first, as they stand at `now`."""
    rows = await connection.fetch(
        _VOUCHERS,
        programme_id,
        now,
        wanted.voucher_id,
        wanted.seen_by,
        wanted.companion_id,
        wanted.beneficiary_ids,
        wanted.month,
        wanted.status,
        wanted.after,
        wanted.limit,
    )
    return [_voucher(row) for row in rows]


def voucher_as_shown(voucher: Voucher, zone: ZoneInfo) -> Document:
    """What companions and operators read. What an ended or a waiting voucher could still cover is nothing."""
    is_open = voucher.status in {VoucherStatus.LIVE, VoucherStatus.USED_UP}
    return {
        "id": voucher.voucher_id,
        "status": voucher.status,
        "beneficiary_id": voucher.beneficiary_id,
        "companion_id": voucher.companion_id,
        "month": month_as_shown(voucher.month),
        "currency": CURRENCY,
        "extra_amount": voucher.extra_rupiah,
        "extra_packages": voucher.extra_packages,
        "used_amount": voucher.used_rupiah,
        "used_packages": voucher.packages_used,
        "remaining_amount": voucher.extra_rupiah - voucher.used_rupiah if is_open else 0,
        "remaining_packages": voucher.extra_packages - voucher.packages_used if is_open else 0,
        "reason": voucher.reason,
        "created_at": shown(voucher.created_at, zone),
        "expires_at": shown(voucher.expires_at, zone),
        "approved_at": voucher.approved_at and shown(voucher.approved_at, zone),
        "approved_by": voucher.approved_by,
        "revoked_at": voucher.revoked_at and shown(voucher.revoked_at, zone),
        "revoked_by": voucher.revoked_by,
        "revocation_reason": voucher.revocation_reason,
    }


async def with_uses(connection: Connection, programme_id: str, voucher: Voucher, zone: ZoneInfo) -> Document:
    """The voucher with every use and give-back, in order of time; they add up to what it covers."""
    uses = [
        Use(
            at=row["created_at"],
            authorisation_id=row["authorisation_id"],
            rupiah=row["used_rupiah"],
            packages=row["packages_used"],
        )
        for row in await connection.fetch(_USES, programme_id, voucher.voucher_id)
    ]
    uses += [
        Use(at=datetime.fromisoformat(until), authorisation_id=authorisation_id, rupiah=-rupiah, packages=-packages)
        for authorisation_id, rupiah, packages, until in voucher.due
    ]
    return voucher_as_shown(voucher, zone) | uses_as_shown(uses, zone)


def uses_as_shown(uses: Sequence[Use], zone: ZoneInfo) -> Document:
    """In order of time; of one instant, what was used before what came back."""
    in_order = sorted(uses, key=lambda use: (use.at, use.is_returned))
    return {
        "uses": [
            {
                "type": "returned" if use.is_returned else "used",
                "authorization_id": use.authorisation_id,
                "amount": abs(use.rupiah),
                "packages": abs(use.packages),
                "created_at": shown(use.at, zone),
            }
            for use in in_order
        ]
    }


def month_as_shown(month: date) -> str:
    return month.strftime("%Y-%m")


def _voucher(row: asyncpg.Record) -> Voucher:
    columns = dict(row)
    due = orjson.loads(columns.pop("returns") or b"[]")
    return Voucher(**columns | {"status": VoucherStatus(row["status"]), "due": due})
