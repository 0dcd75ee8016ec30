"""An authorisation as it stands, with what happened to it; read by its shop, from the office pool."""

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
from msgspec.structs import replace

from authz_service.answers import Document, as_it_stands, shown, voucher_document
from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.holds import Hold, StateConflict, expire, is_due
from authz_service.rules.money import VoucherUse
from authz_service.vocabulary import (
    AuthorisationId,
    BeneficiaryId,
    Cause,
    HoldStatus,
    MerchantId,
    TransferKind,
    VoucherId,
)

_AUTHORISATION: Final = """
SELECT a.answer, a.created_at, clock_timestamp() AS database_now, h.authorisation_id, h.beneficiary_id, h.merchant_id,
       h.month, h.status, h.approved_rupiah, h.held_rupiah, h.captured_rupiah, h.refunded_rupiah,
       h.packages, h.expires_at
  FROM authorisation a
  LEFT JOIN hold h ON h.programme_id = a.programme_id AND h.authorisation_id = a.authorisation_id
 WHERE a.programme_id = $1 AND a.authorisation_id = $2 AND a.merchant_id = $3
"""
_TRANSFERS: Final = """
SELECT transfer_id, kind, cause, amount_rupiah, reason, created_at
  FROM transfer
 WHERE programme_id = $1 AND authorisation_id = $2
 ORDER BY created_at, array_position(ARRAY['hold', 'post', 'release', 'refund'], kind), transfer_id
"""
_VOUCHER_MOVEMENTS: Final = """
-- In the order in which the vouchers are used: earliest expiry first.
SELECT m.transfer_id, m.voucher_id, m.used_rupiah, m.packages_used
  FROM voucher_movement m JOIN voucher v ON v.programme_id = m.programme_id AND v.voucher_id = m.voucher_id
 WHERE m.programme_id = $1 AND m.authorisation_id = $2
 ORDER BY v.expires_at, m.voucher_id
"""
_EVENT_NAMES: Final = {
    (TransferKind.HOLD, Cause.AUTHORISE): "authorised",
    (TransferKind.POST, Cause.CAPTURE): "captured",
    (TransferKind.RELEASE, Cause.CAPTURE): "remainder_released",
    (TransferKind.RELEASE, Cause.VOID): "voided",
    (TransferKind.RELEASE, Cause.EXPIRE): "expired",
    (TransferKind.RELEASE, Cause.REVERSE): "reversed",
    (TransferKind.REFUND, Cause.REFUND): "refunded",
    (TransferKind.REFUND, Cause.REVERSE): "reversed",
}


async def authorisation_document(
    connection: Connection, key: tuple[str, str, str], clock: Clock, zone: ZoneInfo
) -> Document | None:
    """The authorisation of (programme, authorisation, merchant) and its events; None where there is none such."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _document(connection, key, clock, zone)


async def _document(connection: Connection, key: tuple[str, str, str], clock: Clock, zone: ZoneInfo) -> Document | None:
    row = await connection.fetchrow(_AUTHORISATION, *key)
    if row is None:
        return None
    if row["status"] is None:
        event = {"type": "declined", "amount": 0, "created_at": shown(row["created_at"], zone)}
        return as_it_stands(row["answer"], None) | {"events": [event]}
    now = clock.at(row["database_now"])
    movements = await connection.fetch(_VOUCHER_MOVEMENTS, *key[:2])
    hold = hold_of(row, movements)
    events = [_event(each, movements, zone) for each in await connection.fetch(_TRANSFERS, *key[:2])]
    if is_due(hold, now):
        change = expire(hold)
        if not isinstance(change, StateConflict):
            # Over, although nobody has written it yet.
            event = {"type": "expired", "amount": hold.held_rupiah, "created_at": shown(hold.expires_at, zone)}
            events.append(event | _vouchers("vouchers_returned", change.voucher_returns))
            hold = change.hold
    return as_it_stands(row["answer"], hold) | {"events": events}


def _event(row: asyncpg.Record, movements: list[asyncpg.Record], zone: ZoneInfo) -> Document:
    said: Document = {} if row["reason"] is None else {"reason": row["reason"]}
    uses = [_use(each) for each in movements if each["transfer_id"] == row["transfer_id"]]
    taken = [use for use in uses if use.amount_rupiah > 0 or use.packages > 0]
    given_back = [
        replace(use, amount_rupiah=-use.amount_rupiah, packages=-use.packages) for use in uses if use not in taken
    ]
    return (
        said
        | {
            "id": row["transfer_id"],
            "type": _EVENT_NAMES[TransferKind(row["kind"]), Cause(row["cause"])],
            "amount": row["amount_rupiah"],
            "created_at": shown(row["created_at"], zone),
        }
        | _vouchers("vouchers_used", taken)
        | _vouchers("vouchers_returned", given_back)
    )


def _vouchers(name: str, uses: Sequence[VoucherUse]) -> Document:
    return {name: [voucher_document(use) for use in uses]} if uses else {}


def _use(row: asyncpg.Record) -> VoucherUse:
    return VoucherUse(voucher_id=row["voucher_id"], amount_rupiah=row["used_rupiah"], packages=row["packages_used"])


def hold_of(row: asyncpg.Record, movements: Sequence[asyncpg.Record]) -> Hold:
    """The hold in `row`, as it was written last; `movements` are those of its vouchers, in the order of use."""
    uses: dict[VoucherId, VoucherUse] = {}
    for each in map(_use, movements):
        known = uses.get(each.voucher_id, VoucherUse(voucher_id=each.voucher_id, amount_rupiah=0, packages=0))
        uses[each.voucher_id] = replace(
            known, amount_rupiah=known.amount_rupiah + each.amount_rupiah, packages=known.packages + each.packages
        )
    return Hold(
        authorisation_id=AuthorisationId(row["authorisation_id"]),
        beneficiary_id=BeneficiaryId(row["beneficiary_id"]),
        merchant_id=MerchantId(row["merchant_id"]),
        month=row["month"],
        status=HoldStatus(row["status"]),
        approved_rupiah=row["approved_rupiah"],
        held_rupiah=row["held_rupiah"],
        captured_rupiah=row["captured_rupiah"],
        refunded_rupiah=row["refunded_rupiah"],
        packages=row["packages"],
        expires_at=row["expires_at"],
        voucher_uses=tuple(uses.values()),
    )
