"""What the model keeps: families, vouchers and what happened to each sale. It keeps no counter: what is held, used and
left is added up each time that somebody asks."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from functools import cached_property
from typing import Final, Self
from zoneinfo import ZoneInfo

from tests.calls import Answer, Call, Name

WITA: Final = ZoneInfo("Asia/Makassar")
STARTS, ENDS = datetime(2024, 10, 1, tzinfo=WITA), datetime(2025, 1, 1, tzinfo=WITA)
ENTITLEMENT, PACKAGE, CAPS = 1_800_000, 300_000, (600_000, 2)
"""Rupiah; and rupiah and packages of a month."""
GIVE_BACK: Final = ("remainder_released", "voided", "expired", "reversed", "refunded")
Extra = tuple[int, int]
"""Rupiah and packages."""


@dataclass(frozen=True, kw_only=True)
class Family:
    companion: str
    status: str = "active"
    granted: int = ENTITLEMENT
    merged_into: str = ""


@dataclass(frozen=True, kw_only=True)
class Voucher:
    """`approved` by its companion alone or by an operator; while it waits by nobody."""

    family: str
    companion: str
    month: date
    extra: Extra
    approved: str = ""
    revoked: bool = False


@dataclass(frozen=True, kw_only=True)
class Sale:
    """A decided authorise request, of no family where it was declined. `covers`: what each voucher gave."""

    till: str
    family: str
    month: date
    expires_at: datetime
    at_once: bool
    covers: dict[Name, Extra]
    events: tuple[tuple[str, int, datetime], ...]

    @cached_property
    def amounts(self) -> tuple[int, int, int]:
        """Held, captured, refunded."""
        captured, refunded = self._sum("captured"), self._sum("refunded", *["reversed"] * self.at_once)
        return self.used - captured + refunded, captured, refunded

    @cached_property
    def used(self) -> int:
        """Held or spent; and its package is used as long as this is more than nothing."""
        return self._sum("authorised") - self._sum(*GIVE_BACK)

    @cached_property
    def status(self) -> str:
        held, captured, _ = self.amounts
        if held:
            return "partly_captured" if captured else "held"
        return "captured" if captured and not (self.at_once and self._sum("reversed")) else self.events[-1][0]

    @cached_property
    def covered(self) -> dict[Name, Extra]:
        """What vouchers cover by now: give-back runs in reverse, and the package comes with the last rupiah."""
        back, covered = self._sum(*GIVE_BACK), {}
        for voucher, (rupiah, packages) in reversed(self.covers.items()):
            covered[voucher] = (max(0, rupiah - back), packages if self.used else 0)
            back = max(0, back - rupiah)
        return {voucher: each for voucher, each in reversed(covered.items()) if any(each)}

    @cached_property
    def charge(self) -> tuple[int, ...]:
        """Rupiah and packages that it uses of its month, and how much of them vouchers cover."""
        return self.used, int(self.used > 0), *sums(2, self.covered.values())

    def _sum(self, *names: str) -> int:
        return sum(rupiah for name, rupiah, _ in self.events if name in names)


@dataclass(kw_only=True)
class Tally:
    now: datetime
    hours: dict[str, range]
    """Till → when its shop is open."""
    suspended: set[str]
    """Tills of suspended shops."""
    reduces: bool
    """Whether a line above its ceiling counts at its ceiling; else it is declined."""
    caps: dict[date, Extra]
    """What a family may use in this month and in each one after it, until the next change."""
    families: dict[str, Family]
    cards: dict[str, tuple[str, str]]
    """Number → family and status."""
    vouchers: dict[Name, Voucher]
    kept: dict[Name, tuple[Call, Answer]]
    reversals: dict[Name, Answer]
    stans: dict[Name, Name]
    tombstones: set[Name]
    """Keys that were reversed before their request came, until it comes: then its STAN dies, too."""
    sales: dict[Name, Sale]

    def copy(self) -> Self:
        return type(self)(**{each.name: copy(getattr(self, each.name)) for each in fields(self)})

    # --- What happened ---

    def happened(self, name: Name, event: str, amount: int, at: datetime | None = None) -> None:
        if amount:
            events = (*self.sales[name].events, (event, amount, at or self.now))
            self.sales[name] = replace(self.sales[name], events=events)

    def expire(self, family: str) -> Self:
        """A write to a family first ends its holds that are due."""
        for name, sale in self.sales.items():
            if sale.family == family and self.now >= sale.expires_at:
                self.happened(name, "expired", sale.amounts[0], sale.expires_at)
        return self

    # --- What is used and left ---

    @property
    def month(self) -> date:
        return self.now.astimezone(WITA).date().replace(day=1)

    def wallet(self, family: str) -> tuple[int, int, int]:
        """Available, held, spent. Once a removed family holds nothing, what is unspent is its no more."""
        held, captured, refunded = sums(3, (sale.amounts for sale in self.sales.values() if sale.family == family))
        whose = self.families[family]
        left = 0 if whose.status == "removed" and not held else whose.granted - held - captured + refunded
        return left, held, captured - refunded

    def months(self, family: str) -> dict[date, tuple[int, ...]]:
        """Of every month with a purchase, its charge."""
        sales = [sale for sale in self.sales.values() if sale.family == family]
        return {each: sums(4, (s.charge for s in sales if s.month == each)) for each in {s.month for s in sales}}

    def covered_by(self, voucher: Name) -> tuple[int, ...]:
        return sums(2, (sale.covered[voucher] for sale in self.sales.values() if voucher in sale.covered))

    def caps_of(self, month: date) -> Extra:
        return self.caps[max(each for each in self.caps if each <= month)]

    def left(self, family: str) -> dict[str, int]:
        rupiah, packages, live = self._allowances(family)
        month, in_all = sums(2, [(rupiah, packages), *live.values()])
        available = self.wallet(family)[0]
        package = min(PACKAGE, month, available) if in_all else 0
        return {"package": package, "packages_this_month": in_all, "month": month, "programme": available}

    def cover(self, family: str, amount: int) -> dict[Name, Extra]:
        """What vouchers give to a purchase: the ordinary allowance goes first, then they in their order."""
        rupiah, packages, live = self._allowances(family)
        rupiah, packages, covers = max(0, amount - rupiah), max(0, 1 - packages), {}
        for voucher, left in live.items():
            covers[voucher] = (min(rupiah, left[0]), min(packages, left[1]))
            rupiah, packages = rupiah - covers[voucher][0], packages - covers[voucher][1]
        return covers

    def _allowances(self, family: str) -> tuple[int, int, dict[Name, Extra]]:
        """Rupiah and packages left of the month's ordinary allowance, and of each live voucher."""
        rupiah, packages, covered, covered_packages = self.months(family).get(self.month, (0, 0, 0, 0))
        cap, live = self.caps_of(self.month), {}
        for name, each in self.vouchers.items():
            if (each.family, each.month) == (family, self.month) and each.approved and not each.revoked:
                used, used_packages = self.covered_by(name)
                live[name] = (each.extra[0] - used, each.extra[1] - used_packages)
        return cap[0] - rupiah + covered, cap[1] - packages + covered_packages, live


def sums(width: int, rows: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip((0,) * width, *rows, strict=True)))
