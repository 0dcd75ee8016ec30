"""A family while a batch works on it: what the rules see of it, and what will be written for it.

Each approval, capture or release changes both together, so the next request of the batch sees what the one before
it did, and the books get exactly that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import itemgetter
from typing import Any, Final, cast

import asyncpg
import orjson
from msgspec.structs import replace

from authz_service.holds import Change, Hold, Move, StateConflict, expire, is_due
from authz_service.ledger.book import AllowanceUse, FamilyRecord
from authz_service.ledger.postings import Parties, effect_on_wallet, of_hold, returned
from authz_service.registry import Reference
from authz_service.rules.decide import Decision
from authz_service.rules.facts import Family, Month, Programme, Voucher
from authz_service.rules.family import status_at
from authz_service.rules.money import VoucherUse
from authz_service.vocabulary import (
    AuthorisationId,
    BeneficiaryId,
    BeneficiaryStatus,
    HoldStatus,
    MerchantId,
    PackageCounting,
    TransferId,
    TransferKind,
    VoucherId,
)

MakeId = Callable[[str], str]
_PREFIX = {TransferKind.POST: "cap", TransferKind.REFUND: "ref"}
"""Captures and refunds are known to tills by the id of their transfer."""


@dataclass(slots=True, kw_only=True)
class FamilyAtWork:
    """`seen` is what the rules see; `record` is what will be written, guarded by the wallet's version."""

    seen: Family
    held_rupiah: int
    record: FamilyRecord
    holds: dict[AuthorisationId, Hold] = field(default_factory=dict)

    def place(
        self, hold: Hold, decision: Decision, moves: tuple[Move, ...], now: datetime, make_id: MakeId
    ) -> list[str]:
        """The approved hold is in the record, its month and vouchers are used; the ids of its transfers."""
        before = self.seen.month
        if decision.family is None:
            raise ValueError("an approval has a family")
        self.seen = decision.family
        after = self.seen.month
        self.record.holds_placed.append(_placed_row(hold))
        self.record.use_allowance(
            hold.month,
            AllowanceUse(
                cap_rupiah=after.cap_rupiah,
                packages_cap=after.packages_cap,
                used_rupiah=after.used_rupiah - before.used_rupiah,
                packages_used=after.packages_used - before.packages_used,
                covered_rupiah=after.covered_rupiah - before.covered_rupiah,
                covered_packages=after.covered_packages - before.covered_packages,
            ),
        )
        ids = self._move(hold, moves, now, make_id, None)
        for use in decision.voucher_uses:
            self._move_voucher(ids[0], hold, use.voucher_id, use.amount_rupiah, use.packages)
        return ids

    def apply(self, change: Change, at: datetime, make_id: MakeId, *, reason: str | None = None) -> list[str]:
        """The change is in the record, what it returned is back in what the rules see; the ids of its transfers."""
        hold = change.hold
        self.holds[hold.authorisation_id] = hold
        self.record.holds_changed[hold.authorisation_id] = _changed_row(hold)
        ids = self._move(hold, change.moves, at, make_id, reason)
        if change.returned_rupiah:
            # What gives back is the last of an event's transfers.
            self._return(change, ids[-1])
        return ids

    def leave(self, at: datetime, make_id: MakeId) -> None:
        """Once money of a removed family moved and it holds nothing any more, what is unspent is unallocated again."""
        is_leaving = self.seen.status is BeneficiaryStatus.REMOVED and self.record.changes and not self.held_rupiah
        if not is_leaving or not self.seen.available_rupiah:
            return
        transfer = returned(TransferId(make_id("trf")), self.seen.beneficiary_id, self.seen.available_rupiah, at)
        self.record.transfers.append(transfer)
        self.record.balance += effect_on_wallet(transfer)
        self.seen = replace(self.seen, available_rupiah=0)

    def expire(self, hold: Hold, make_id: MakeId) -> None:
        """The end of a hold that is due is in the record, dated when it was due."""
        change = expire(hold)
        if not isinstance(change, StateConflict):
            self.apply(change, hold.expires_at, make_id)
            self.record.expired += 1

    def _return(self, change: Change, transfer_id: str) -> None:
        hold, back = change.hold, change.voucher_returns
        use = AllowanceUse(
            cap_rupiah=None,
            packages_cap=None,
            used_rupiah=-change.returned_rupiah,
            packages_used=-change.returned_packages,
            covered_rupiah=-sum(each.amount_rupiah for each in back),
            covered_packages=-sum(each.packages for each in back),
        )
        self.record.use_allowance(hold.month, use)
        for each in back:
            self._move_voucher(transfer_id, hold, each.voucher_id, -each.amount_rupiah, -each.packages)
        month = _month_with(self.seen.month, use, back) if hold.month == self.seen.month.month else self.seen.month
        self.seen = replace(
            self.seen, available_rupiah=self.seen.available_rupiah + change.returned_rupiah, month=month
        )

    def _move_voucher(self, transfer_id: str, hold: Hold, voucher_id: VoucherId, rupiah: int, packages: int) -> None:
        self.record.use_voucher(voucher_id, rupiah, packages)
        self.record.voucher_movements.append((transfer_id, voucher_id, hold.authorisation_id, rupiah, packages))

    def _move(
        self, hold: Hold, moves: tuple[Move, ...], at: datetime, make_id: MakeId, reason: str | None
    ) -> list[str]:
        parties = Parties(
            authorisation_id=hold.authorisation_id,
            beneficiary_id=hold.beneficiary_id,
            merchant_id=hold.merchant_id,
            reason=reason,
        )
        self.record.changes = True
        ids = []
        for move in moves:
            transfer_id = make_id(_PREFIX.get(move.kind, "trf"))
            transfer = of_hold(transfer_id, move.kind, move.cause, parties, move.amount_rupiah, at)
            self.record.transfers.append(transfer)
            effect = effect_on_wallet(transfer)
            self.record.balance += effect
            self.held_rupiah += effect.held_rupiah
            ids.append(transfer_id)
        return ids


def family_at_work(
    row: asyncpg.Record, month: date, now: datetime, reference: Reference, make_id: MakeId
) -> FamilyAtWork:
    """The family of a facts row; its expired holds are given back, dated when they expired."""
    family = FamilyAtWork(
        seen=Family(
            beneficiary_id=BeneficiaryId(row["beneficiary_id"]),
            status=_status(row, now),
            companion_label=reference.companion_labels.get(row["companion_id"], ""),
            available_rupiah=row["available_rupiah"],
            month=_month(row, month, now, reference.programme),
        ),
        held_rupiah=row["wallet_held_rupiah"],
        record=FamilyRecord(beneficiary_id=row["beneficiary_id"], version=row["wallet_version"]),
    )
    if row["expired"] is None:
        return family
    uses = voucher_uses_of(row)
    for each in orjson.loads(row["expired"]):
        hold = _expired_hold(each, family.seen.beneficiary_id, uses)
        if is_due(hold, now):
            family.expire(hold, make_id)
    return family


def _status(row: asyncpg.Record, now: datetime) -> BeneficiaryStatus:
    """The status in force. A roll that was imported takes a family off it, whatever else was ordered."""
    leaves_at = row["leaves_at"]
    if leaves_at is not None and leaves_at <= now:
        return BeneficiaryStatus.REMOVED
    status, next_status = _STATUSES[row["beneficiary_status"]], row["next_status"]
    if next_status is None:
        return status
    return status_at(now, status, _STATUSES[next_status], row["next_status_at"])


_STATUSES: Final = {status.value: status for status in BeneficiaryStatus}
"""A look-up costs a tenth of a call of the enum."""


def target_hold(row: asyncpg.Record) -> Hold | None:
    """The hold that a later call names, as the facts have it; None where the authorisation was declined."""
    if row["hold_authorisation_id"] is None:
        return None
    authorisation_id = AuthorisationId(row["hold_authorisation_id"])
    return Hold(
        authorisation_id=authorisation_id,
        beneficiary_id=BeneficiaryId(row["beneficiary_id"]),
        merchant_id=MerchantId(row["hold_merchant_id"]),
        month=row["hold_month"],
        status=HoldStatus(row["hold_status"]),
        approved_rupiah=row["approved_rupiah"],
        held_rupiah=row["held_rupiah"],
        captured_rupiah=row["captured_rupiah"],
        refunded_rupiah=row["refunded_rupiah"],
        packages=row["hold_packages"],
        expires_at=row["hold_expires_at"],
        voucher_uses=voucher_uses_of(row).get(authorisation_id, ()),
    )


def voucher_uses_of(row: asyncpg.Record) -> dict[str, tuple[VoucherUse, ...]]:
    """authorisation → what vouchers cover of it, in the order of use."""
    used: dict[str, dict[str, tuple[int, int]]] = {}
    # By the voucher's end, whose texts are of one time zone and sort as it does. What was given back is less than 0.
    for authorisation_id, voucher_id, rupiah, packages, _ in sorted(
        _listed(row["voucher_movements"]), key=itemgetter(4, 1)
    ):
        by_voucher = used.setdefault(authorisation_id, {})
        rupiah_before, packages_before = by_voucher.get(voucher_id, (0, 0))
        by_voucher[voucher_id] = rupiah_before + rupiah, packages_before + packages
    return {
        authorisation_id: tuple(
            VoucherUse(voucher_id=VoucherId(voucher_id), amount_rupiah=rupiah, packages=packages)
            for voucher_id, (rupiah, packages) in by_voucher.items()
        )
        for authorisation_id, by_voucher in used.items()
    }


def _listed(rows: str | None) -> list[Any]:
    """What PostgreSQL gathered; most families have nothing there, and then nothing is parsed."""
    return [] if rows is None else cast("list[Any]", orjson.loads(rows))


def _month(row: asyncpg.Record, month: date, now: datetime, programme: Programme) -> Month:
    is_new, caps = row["allowance_month"] is None, programme.caps_of(month)
    counts = programme.package_counting is not PackageCounting.NO_LIMIT
    return Month(
        month=month,
        cap_rupiah=caps.cap_rupiah if is_new else row["cap_rupiah"],
        packages_cap=(caps.packages_cap if counts else None) if is_new else row["packages_cap"],
        used_rupiah=row["used_rupiah"] or 0,
        packages_used=row["packages_used"] or 0,
        covered_rupiah=row["covered_rupiah"] or 0,
        covered_packages=row["covered_packages"] or 0,
        vouchers=_live_vouchers(row["vouchers"], now),
    )


def _live_vouchers(rows: str | None, now: datetime) -> tuple[Voucher, ...]:
    return tuple(
        Voucher(voucher_id=VoucherId(voucher_id), rupiah_left=rupiah, packages_left=packages, expires_at=expires_at)
        for voucher_id, rupiah, packages, until in _listed(rows)
        if (expires_at := datetime.fromisoformat(until)) > now
    )


def _month_with(month: Month, use: AllowanceUse, back: tuple[VoucherUse, ...]) -> Month:
    """A voucher that has ended is not in `vouchers` any more: what returns to it restores the entitlement only."""
    returned = {each.voucher_id: each for each in back}
    return replace(
        month,
        used_rupiah=month.used_rupiah + use.used_rupiah,
        packages_used=month.packages_used + use.packages_used,
        covered_rupiah=month.covered_rupiah + use.covered_rupiah,
        covered_packages=month.covered_packages + use.covered_packages,
        vouchers=tuple(
            replace(
                voucher,
                rupiah_left=voucher.rupiah_left + each.amount_rupiah,
                packages_left=voucher.packages_left + each.packages,
            )
            if (each := returned.get(voucher.voucher_id))
            else voucher
            for voucher in month.vouchers
        ),
    )


def _expired_hold(row: list[Any], beneficiary_id: BeneficiaryId, uses: dict[str, tuple[VoucherUse, ...]]) -> Hold:
    authorisation_id, merchant_id, month, status, approved, held, captured, refunded, packages, expires_at = row
    return Hold(
        authorisation_id=AuthorisationId(authorisation_id),
        beneficiary_id=beneficiary_id,
        merchant_id=MerchantId(merchant_id),
        month=date.fromisoformat(month),
        status=HoldStatus(status),
        approved_rupiah=approved,
        held_rupiah=held,
        captured_rupiah=captured,
        refunded_rupiah=refunded,
        packages=packages,
        expires_at=datetime.fromisoformat(expires_at),
        voucher_uses=uses.get(authorisation_id, ()),
    )


def _placed_row(hold: Hold) -> tuple[Any, ...]:
    return (
        hold.authorisation_id,
        hold.merchant_id,
        hold.status,
        hold.approved_rupiah,
        hold.held_rupiah,
        hold.captured_rupiah,
        hold.packages,
        hold.expires_at,
    )


def _changed_row(hold: Hold) -> tuple[Any, ...]:
    return hold.status, hold.held_rupiah, hold.captured_rupiah, hold.refunded_rupiah, hold.packages
