"""The later life of a hold: one state machine, pure. Every event that ends or changes a hold is a function here.

`docs/hold-states.md` is drawn from them (`make docs`). A refund changes no state: it takes from what was captured.

What is given back goes to the entitlement and to the allowance of the month that was charged; vouchers get theirs
back first, in reverse of the order in which they were used. The package is given back once, when nothing is held any
more and nothing is captured.
"""

from datetime import date, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from authz_service.rules.money import VoucherUse
from authz_service.vocabulary import AuthorisationId, BeneficiaryId, Cause, HoldStatus, MerchantId, TransferKind

OPEN: Final = frozenset({HoldStatus.HELD, HoldStatus.PARTLY_CAPTURED})


class Hold(Struct, frozen=True, kw_only=True):
    """What an approval reserved, and what became of it. `voucher_uses` are in the order of use. Rupiah."""

    authorisation_id: AuthorisationId
    beneficiary_id: BeneficiaryId
    merchant_id: MerchantId
    month: date
    status: HoldStatus
    approved_rupiah: int
    held_rupiah: int
    captured_rupiah: int
    refunded_rupiah: int
    packages: int
    expires_at: datetime
    voucher_uses: tuple[VoucherUse, ...]


class Move(Struct, frozen=True, kw_only=True):
    """One transfer that an event makes."""

    kind: TransferKind
    cause: Cause
    amount_rupiah: int


class Change(Struct, frozen=True, kw_only=True):
    """What one event did: the hold after it, its transfers, and what went back to the family and its month."""

    hold: Hold
    moves: tuple[Move, ...]
    returned_rupiah: int = 0
    returned_packages: int = 0
    voucher_returns: tuple[VoucherUse, ...] = ()


class StateConflict(Struct, frozen=True, kw_only=True):
    """The call came too late: this state had won."""

    status: HoldStatus


class CaptureExceedsHold(Struct, frozen=True, kw_only=True):
    held_rupiah: int


class RefundExceedsCaptured(Struct, frozen=True, kw_only=True):
    refundable_rupiah: int


Refused = StateConflict | CaptureExceedsHold | RefundExceedsCaptured


def capture(hold: Hold, amount_rupiah: int | None, *, final: bool) -> Change | StateConflict | CaptureExceedsHold:
    """Posts `amount_rupiah` (None: all that is held); `final` gives the rest back."""
    if hold.status not in OPEN:
        return StateConflict(status=hold.status)
    amount = hold.held_rupiah if amount_rupiah is None else amount_rupiah
    if amount > hold.held_rupiah:
        return CaptureExceedsHold(held_rupiah=hold.held_rupiah)
    rest = hold.held_rupiah - amount
    posted = replace(
        hold,
        held_rupiah=rest,
        captured_rupiah=hold.captured_rupiah + amount,
        status=HoldStatus.PARTLY_CAPTURED if rest else HoldStatus.CAPTURED,
    )
    move = Move(kind=TransferKind.POST, cause=Cause.CAPTURE, amount_rupiah=amount)
    if not rest or not final:
        return Change(hold=posted, moves=(move,))
    released = _release(posted, Cause.CAPTURE, HoldStatus.CAPTURED)
    return replace(released, moves=(move, *released.moves))


def void(hold: Hold) -> Change | StateConflict:
    """What is still held goes back."""
    return _close(hold, Cause.VOID, HoldStatus.VOIDED)


def expire(hold: Hold) -> Change | StateConflict:
    """The hold's time is over; what is still held goes back."""
    return _close(hold, Cause.EXPIRE, HoldStatus.EXPIRED)


def reverse(hold: Hold, *, captured_at_once: bool) -> Change | StateConflict:
    """As if it had never been: what is held goes back, and what its own request captured. Later captures stand."""
    if captured_at_once and hold.captured_rupiah > hold.refunded_rupiah:
        amount = hold.captured_rupiah - hold.refunded_rupiah
        undone = replace(hold, refunded_rupiah=hold.captured_rupiah, status=HoldStatus.REVERSED)
        return _given_back(undone, TransferKind.REFUND, Cause.REVERSE, amount)
    return _close(hold, Cause.REVERSE, HoldStatus.REVERSED)


def refund(hold: Hold, amount_rupiah: int) -> Change | RefundExceedsCaptured:
    """Goes back to the entitlement and to the month that was charged, never to cash, in any state."""
    refundable = hold.captured_rupiah - hold.refunded_rupiah
    if amount_rupiah > refundable:
        return RefundExceedsCaptured(refundable_rupiah=refundable)
    refunded = replace(hold, refunded_rupiah=hold.refunded_rupiah + amount_rupiah)
    return _given_back(refunded, TransferKind.REFUND, Cause.REFUND, amount_rupiah)


def is_due(hold: Hold, now: datetime) -> bool:
    """Open while instant < `expires_at`, whether or not anybody has written its end."""
    return hold.status in OPEN and now >= hold.expires_at


def _close(hold: Hold, cause: Cause, status: HoldStatus) -> Change | StateConflict:
    if hold.status not in OPEN:
        return StateConflict(status=hold.status)
    return _release(hold, cause, HoldStatus.CAPTURED if hold.captured_rupiah else status)


def _release(hold: Hold, cause: Cause, status: HoldStatus) -> Change:
    released = replace(hold, held_rupiah=0, status=status)
    return _given_back(released, TransferKind.RELEASE, cause, hold.held_rupiah)


def _given_back(hold: Hold, kind: TransferKind, cause: Cause, amount_rupiah: int) -> Change:
    """`hold` is as the event left it; its package goes back with the last rupiah of the purchase."""
    nothing_bought = hold.held_rupiah == 0 and hold.captured_rupiah == hold.refunded_rupiah
    packages = hold.packages if nothing_bought else 0
    kept, returns = _give_back(hold.voucher_uses, amount_rupiah, all_packages=nothing_bought)
    return Change(
        hold=replace(hold, packages=hold.packages - packages, voucher_uses=kept),
        moves=(Move(kind=kind, cause=cause, amount_rupiah=amount_rupiah),),
        returned_rupiah=amount_rupiah,
        returned_packages=packages,
        voucher_returns=returns,
    )


def _give_back(
    uses: tuple[VoucherUse, ...], amount_rupiah: int, *, all_packages: bool
) -> tuple[tuple[VoucherUse, ...], tuple[VoucherUse, ...]]:
    """What the vouchers keep covering, and what each gets back: the last one used first."""
    kept: list[VoucherUse] = []
    returns: list[VoucherUse] = []
    for use in reversed(uses):
        back = VoucherUse(
            voucher_id=use.voucher_id,
            amount_rupiah=min(use.amount_rupiah, amount_rupiah),
            packages=use.packages if all_packages else 0,
        )
        amount_rupiah -= back.amount_rupiah
        kept.append(
            replace(use, amount_rupiah=use.amount_rupiah - back.amount_rupiah, packages=use.packages - back.packages)
        )
        if back.amount_rupiah or back.packages:
            returns.append(back)
    return tuple(reversed(kept)), tuple(returns)
