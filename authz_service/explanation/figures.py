"""The figures that each check compared, as they were. What nobody wrote down is not there; null is no limit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.answers import Document
from authz_service.declines import DeclineReason, Stage
from authz_service.explanation.recorded import CARD_EXPIRES_ON, Recorded, Seen
from authz_service.rules.facts import Month
from authz_service.rules.misuse import marks_on
from authz_service.rules.money import Room, month_left
from authz_service.vocabulary import PackageCounting


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the checks of one decision are told from; None is what is not known."""

    recorded: Recorded
    seen: Seen | None
    local: datetime
    failed: Mapping[DeclineReason, tuple[int, ...]]
    ended_by: Stage | None
    """The one of the first four stages that failed."""
    funds_lines: bool
    """Partial approval: lines were paid for as far as the smallest limit went."""
    month: Month | None
    room: Room | None
    counted_rupiah: int | None

    @property
    def told(self) -> Document:
        return self.recorded.facts


def _day_at_the_shop(case: Case) -> Document:
    return {"day": case.local.date().isoformat()} | _of_shop(case, "admitted_on", "leaves_on")


def _hour_at_the_terminal(case: Case) -> Document:
    hour = {"terminal": case.told["terminal"], "time": case.local.time().isoformat(timespec="seconds")}
    return hour | _of_shop(case, "opens_at", "closes_at")


def _of_shop(case: Case, *names: str) -> Document:
    shop = case.seen.shop if case.seen is not None else None
    values = {} if shop is None else {name: getattr(shop, name) for name in names}
    return {name: None if value is None else value.isoformat() for name, value in values.items()}


def _card_status(case: Case) -> Document:
    return {"card": case.told["card"]}


def _last_day(case: Case) -> Document:
    day = {"day": case.local.date().isoformat()}
    return day | ({"last_day": case.told[CARD_EXPIRES_ON]} if CARD_EXPIRES_ON in case.told else {})


def _family_status(case: Case) -> Document:
    return {"family": case.told["family"]}


def _start(case: Case) -> Document:
    return {"at": case.local.isoformat(), "starts_at": _instant(case, case.told["window"][0])}


def _end(case: Case) -> Document:
    return {"at": case.local.isoformat(), "ends_at": _instant(case, case.told["window"][1])}


def _stands_at_its_line(_: Case) -> Document:
    return {}


def _instant(case: Case, written: str) -> str:
    return datetime.fromisoformat(written).astimezone(case.local.tzinfo).isoformat()


def _asked(case: Case) -> Document:
    """What the limits were compared with: after price reduction, in partial approval without the refused lines."""
    return {} if case.counted_rupiah is None else {"asked": case.counted_rupiah}


def _packages(case: Case) -> Document:
    if case.month is None:
        return {}
    figures: Document = {
        "cap": case.month.packages_cap,
        "used": case.month.packages_used,
        "covered_by_vouchers": case.month.covered_packages,
        "on_vouchers": sum(voucher.packages_left for voucher in case.month.vouchers),
    }
    if case.room is None or case.seen is None:
        return figures
    if case.seen.programme.package_counting is PackageCounting.BY_VALUE:
        # Rupiah count here, in whole packages; `used` says nothing.
        del figures["used"]
        figures |= _asked(case) | {"room": case.room.packages_rupiah}
    return figures | {"left": case.room.packages}


def _rupiah_of_the_month(case: Case) -> Document:
    if case.month is None:
        return {}
    return {
        "cap": case.month.cap_rupiah,
        "used": case.month.used_rupiah,
        "covered_by_vouchers": case.month.covered_rupiah,
        "on_vouchers": sum(voucher.rupiah_left for voucher in case.month.vouchers),
        "room": month_left(case.month),
    }


def _suspected(case: Case) -> Document:
    """The signal, on what, and until when: for operators; the till hears none of it. Empty where there was no mark."""
    if case.seen is None:
        return {}
    recorded = case.recorded
    on = marks_on(case.seen.marks, recorded.terminal_id, recorded.merchant_id, recorded.card_id)
    marks = [mark for mark in on if recorded.created_at < mark.until]
    if not marks:
        return {}
    last = max(marks, key=lambda mark: mark.until)
    return {"signal": last.signal, "on": last.subject_id, "until": _instant(case, last.until.isoformat())}


FIGURES: Final[Mapping[DeclineReason, Callable[[Case], Document]]] = {
    DeclineReason.MERCHANT_UNKNOWN: _day_at_the_shop,
    DeclineReason.MERCHANT_SUSPENDED: lambda case: {"shop": case.told["shop"]},
    DeclineReason.TERMINAL_NOT_PERMITTED: _hour_at_the_terminal,
    DeclineReason.CARD_UNKNOWN: lambda case: {"card_is_known": case.told["card"] is not None},
    DeclineReason.CARD_NOT_ACTIVATED: _card_status,
    DeclineReason.CARD_LOST: _card_status,
    DeclineReason.CARD_STOLEN: _card_status,
    DeclineReason.CARD_EXPIRED: _last_day,
    DeclineReason.CARD_BLOCKED: _card_status,
    DeclineReason.BENEFICIARY_SUSPENDED: _family_status,
    DeclineReason.BENEFICIARY_REMOVED: _family_status,
    DeclineReason.PROGRAMME_NOT_STARTED: _start,
    DeclineReason.PROGRAMME_ENDED: _end,
    DeclineReason.CASH_NOT_PERMITTED: _stands_at_its_line,
    DeclineReason.CATEGORY_NOT_PERMITTED: _stands_at_its_line,
    DeclineReason.PRODUCT_NOT_PERMITTED: _stands_at_its_line,
    DeclineReason.PRICE_ABOVE_CEILING: _stands_at_its_line,
    DeclineReason.PACKAGE_CAP_EXCEEDED: lambda case: _asked(case) | {"package": case.told["package"]},
    DeclineReason.ENTITLEMENT_EXCEEDED: lambda case: _asked(case) | {"available": case.told["available"]},
    DeclineReason.PACKAGES_USED_UP: _packages,
    DeclineReason.MONTHLY_CAP_EXCEEDED: lambda case: _asked(case) | _rupiah_of_the_month(case),
    DeclineReason.SUSPECTED_MISUSE: _suspected,
}
"""What each check compared."""
