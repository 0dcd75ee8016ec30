"""What the service must answer and keep: the contract once more, with no database and one call at a time.

Written from `contract.md` and `programme.md` and from nothing of `authz_service`, so that it can disagree. It keeps
what happened to each sale and no counter: what is held, used and left is added up each time that somebody asks.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

WITA: Final = ZoneInfo("Asia/Makassar")
STARTS, ENDS = datetime(2024, 10, 1, tzinfo=WITA), datetime(2025, 1, 1, tzinfo=WITA)
ENTITLEMENT, PACKAGE, MONTH_CAP, MONTH_PACKAGES, NO_LIMIT = 1_800_000, 300_000, 600_000, 2, 2**53
PRECEDENCE: Final = (
    "merchant_suspended", "terminal_not_permitted", "card_unknown", "card_blocked", "beneficiary_suspended",
    "beneficiary_removed", "programme_not_started", "programme_ended", "cash_not_permitted", "category_not_permitted",
    "product_not_permitted", "price_above_ceiling", "package_cap_exceeded", "entitlement_exceeded",
    "packages_used_up", "monthly_cap_exceeded",
)  # fmt: skip
GOODS: Final = {("ikan_kaleng", None): NO_LIMIT, ("beras", "beras premium"): 15_400}
"""Category and product → highest price. Rice has a ceiling, so it is sold with its details or not at all."""
GIVE_BACK: Final = ("remainder_released", "voided", "expired", "reversed", "refunded")
NO_FAMILY: Final = ("", "unknown")
REVOKED: Final = date.min
"""No purchase is ever made in this month, so what returns to the voucher helps the entitlement only."""

Document = dict[str, Any]
Reasons = list[tuple[str, int]]
"""Each with the line that it is about; 0 is the whole purchase."""
Name = tuple[str, str]
"""A till and a key that it used (or "stan time", which no key can be); also the sale that this request made."""


class Id(NamedTuple):
    """In an answer: the id that the service has given to this name, whatever it is."""

    name: object


class Answer(NamedTuple):
    """`says` what must be in it, None for what must not. Answers with `bytes_of` one name are equal byte for byte."""

    status: int
    says: Document
    bytes_of: Name | None = None
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """A till's request, with a key where it changes something, or an office's act; `sale` is the one that it names."""

    kind: str
    till: str = ""
    key: str = ""
    sale: Name = ("", "")
    body: Mapping[str, Any]

    @property
    def name(self) -> Name:
        return self.till, self.key


@dataclass(frozen=True, kw_only=True)
class Sale:
    """A decided authorise request, of no family where it was declined. `covers`: voucher → rupiah, packages."""

    till: str
    family: str
    month: date
    expires_at: datetime
    at_once: bool
    covers: dict[int, tuple[int, int]]
    events: tuple[tuple[str, int, datetime], ...]
    said: Document

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
    def covered(self) -> dict[int, tuple[int, int]]:
        """What vouchers cover by now: give-back runs in reverse, and the package comes with the last rupiah."""
        back, covered = self._sum(*GIVE_BACK), {}
        for voucher, (rupiah, packages) in reversed(self.covers.items()):
            covered[voucher] = (max(0, rupiah - back), packages if self.used else 0)
            back = max(0, back - rupiah)
        return {voucher: each for voucher, each in reversed(covered.items()) if any(each)}

    @cached_property
    def charge(self) -> tuple[int, ...]:
        """Rupiah and packages that it uses of its month, and how much of them vouchers cover."""
        return self.used, int(self.used > 0), *_sums(2, self.covered.values())

    def shown(self) -> Document:
        uses = [
            {"voucher_id": Id(number), "amount": use[0], "packages": use[1]} for number, use in self.covered.items()
        ]
        amounts = zip(("held_amount", "captured_amount", "refunded_amount"), self.amounts, strict=True)
        return self.said | {"status": self.status, "vouchers_used": uses, **dict(amounts)}

    def _sum(self, *names: str) -> int:
        return sum(rupiah for name, rupiah, _ in self.events if name in names)


@dataclass(kw_only=True)
class Model:
    now: datetime
    hours: dict[str, range]
    """Till → when its shop is open."""
    suspended: set[str]
    """Tills of suspended shops."""
    families: dict[str, str]
    cards: dict[str, tuple[str, str]]
    """Number → family and status."""
    vouchers: dict[int, tuple[str, date, int, int]]
    """Family, month, rupiah, packages; the earliest expiry first."""
    kept: dict[Name, tuple[Call, Answer]]
    reversals: dict[Name, Answer]
    stans: dict[Name, Name]
    sales: dict[Name, Sale]

    def copy(self) -> "Model":
        return Model(**{each.name: copy(getattr(self, each.name)) for each in fields(self)})

    def answer(self, call: Call) -> Answer:
        """What this call must be answered; the model is then as the call must leave the service."""
        if "lines" in call.body and sum(line["amount"] for line in call.body["lines"]) != call.body["amount"]:
            return _problem(422, "invalid")
        if call.key and call.name in self.reversals:
            return _problem(409, "request_reversed")
        if call.key and call.name in self.kept:
            first, answer = self.kept[call.name]
            return answer._replace(replayed=True) if first == call else _problem(422, "key_reused")
        match call.kind:
            case "authorise":
                return self._authorise(call)
            case "capture" | "void" | "refund":
                return self._later_call(call)
            case "reverse":
                return self._keep(call, self._reverse(call))
            case "get" | "balance" | "dry_run":
                return self.copy()._read(call)
            case _:
                return self._act(**call.body)

    def _authorise(self, call: Call) -> Answer:
        stan = (call.till, f"{call.body['stan']} {call.body['terminal_time']}")
        if twin := self.stans.get(stan):
            known = _problem(409, "stan_already_used", authorization_id=Id(twin))
            return _problem(409, "request_reversed") if twin in self.reversals else known
        self._expire(self._family(call))
        self.stans[stan] = call.name
        return self._keep(call, Answer(201, self._decide(call).shown()))

    def _later_call(self, call: Call) -> Answer:
        if (sale := self.sales.get(call.sale)) is None or sale.till != call.till:
            return _problem(404, "not_found")
        self._expire(sale.family)
        sale = self.sales[call.sale]
        held, captured, refunded = sale.amounts
        amount = call.body.get("amount") or held
        if not sale.family or (call.kind != "refund" and not held):
            return self._keep(call, _problem(409, "state_conflict", authorization_status=sale.status))
        if call.kind == "capture" and amount > held:
            return self._keep(call, _problem(422, "capture_exceeds_hold", held_amount=held))
        if call.kind == "refund" and amount > captured - refunded:
            left = captured - refunded
            return self._keep(call, _problem(422, "refund_exceeds_captured", refundable_amount=left))
        self._happened(call.sale, {"capture": "captured", "void": "voided", "refund": "refunded"}[call.kind], amount)
        if call.kind == "capture" and call.body["final"]:
            self._happened(call.sale, "remainder_released", held - amount)
        shown = self.sales[call.sale].shown()
        moved = {call.kind: {"amount": amount, "created_at": self.now}, "authorization": shown}
        return self._keep(call, Answer(200, shown) if call.kind == "void" else Answer(201, moved))

    def _reverse(self, call: Call) -> Answer:
        key, stan = call.body.get("idempotency_key"), f"{call.body.get('stan')} {call.body.get('terminal_time')}"
        name = (call.till, key) if key else self.stans.get((call.till, stan), (call.till, stan))
        if name in self.reversals:
            return self.reversals[name]
        if name in self.kept and name not in self.sales:
            return Answer(201, {"undone": False, "reversed_amount": 0})
        says: Document = {"status": "not_known", "undone": True, "reversed_amount": 0, "authorization_id": None}
        if name in self.sales:
            self._expire(self.sales[name].family)
            held, captured, refunded = self.sales[name].amounts
            amount = captured - refunded if self.sales[name].at_once else held
            self._happened(name, "reversed", amount)
            sale = self.sales[name]
            says |= {"status": sale.status, "undone": not sale.used, "reversed_amount": amount}
            says["authorization_id"] = Id(name)
        self.stans[name] = name
        self.reversals[name] = Answer(201, says, call.name)
        return self.reversals[name]

    def _read(self, call: Call) -> Answer:
        """Of a copy: expired holds are seen as given back, and nothing is written."""
        if call.kind != "get":
            self._expire(self._family(call))
            says = self._said(call, self._door(call) or self._window())
            return Answer(200, says if call.kind == "balance" else self._decide(call).shown() | {"id": None})
        if self.sales[call.sale].till != call.till:
            return _problem(404, "not_found")
        self._expire(self.sales[call.sale].family)
        sale = self.sales[call.sale]
        events = [{"type": name, "amount": rupiah, "created_at": at} for name, rupiah, at in sale.events]
        return Answer(200, sale.shown() | {"events": events})

    def _act(self, *, family: str, **what: Any) -> Answer:
        says: Document = {}
        available = self.wallet(family)[0]
        match what:
            case {"voucher": number, "month": month, "rupiah": rupiah, "packages": packages}:
                says = {"voucher_id": None}
                if self.families[family] != "removed" and max(self.month, STARTS.date()) <= month < ENDS.date():
                    self.vouchers[number] = (family, month, rupiah, packages)
                    says = {"voucher_id": Id(number)}
            case {"voucher": number}:
                self.vouchers[number] = (family, REVOKED, 0, 0)
            case {"card": number, "status": status} if number in self.cards or self.families[family] != "removed":
                if number not in self.cards:
                    self.cards |= {each: (family, "replaced") for each, (of, _) in self.cards.items() if of == family}
                self.cards[number] = (family, status)
            case {"status": status} if self.families[family] != "removed":
                self.families[family] = status
        return Answer(200, says | {"returned": available - self.wallet(family)[0]})

    # --- The decision ---

    def _decide(self, call: Call) -> Sale:
        """The sale is there from now on; what is said of it is true after it."""
        parts, reasons = self._judge(call)
        family, approved = self._family(call) if sum(parts) else "", sum(parts)
        events = [("authorised" if approved else "declined", approved, self.now)]
        events += [("captured", approved, self.now)] if approved and call.body["capture"] else []
        sale = Sale(
            till=call.till, family=family, month=self.month, at_once=len(events) > 1, events=tuple(events), said={},
            covers=self._cover(family, approved), expires_at=self.now + timedelta(hours=24),
        )  # fmt: skip
        self.sales[call.name] = sale
        said = self._said(call, reasons, approved) | {"id": Id(call.name), "approved_amount": approved}
        self.sales[call.name] = replace(sale, said=said)
        return self.sales[call.name]

    def _judge(self, call: Call) -> tuple[list[int], Reasons]:
        """What of each line is paid, and why not all."""
        lines, window, nothing = call.body["lines"], self._window(), [0 for _ in call.body["lines"]]
        if refused := self._door(call):
            return nothing, refused
        left, faults = self.left(self._family(call)), [_fault(line) for line in lines]
        most = {
            "package_cap_exceeded": PACKAGE,
            "entitlement_exceeded": left["programme"],
            "packages_used_up": NO_LIMIT if left["packages_this_month"] else 0,
            "monthly_cap_exceeded": left["month"],
        }
        partial = call.body["partial_approval"] and "cash_not_permitted" not in faults
        asked = [0 if partial and fault else line["amount"] for line, fault in zip(lines, faults, strict=True)]
        reasons = window + [(fault, n) for n, fault in enumerate(faults, 1) if fault]
        if not partial or window:
            reasons += [(reason, 0) for reason, rupiah in most.items() if sum(asked) > rupiah]
            return nothing if reasons else asked, reasons
        parts: list[int] = []
        for n, amount in enumerate(asked, 1):
            parts.append(min(amount, left["package"] - sum(parts)))
            reasons += [(min(most, key=most.__getitem__), n)] if parts[-1] < amount else []
        return parts, reasons

    def _said(self, call: Call, reasons: Reasons, approved: int | None = None) -> Document:
        reasons = sorted(reasons, key=lambda each: (PRECEDENCE.index(each[0]), each[1]))
        is_refused, left = bool(self._door(call)), self.left(self._family(call))
        yes = not reasons if approved is None else approved > 0
        return {
            "decision": "approved" if yes else "declined",
            "reason": "approved" if yes else reasons[0][0],
            "reasons": [{"reason": reason, "line": line or None} for reason, line in reasons],
            "remaining": None if is_refused else left,
            "largest_approvable_amount": 0 if is_refused or self._window() else left["package"],
            "created_at": self.now,
        }

    def _door(self, call: Call) -> Reasons:
        """The failed checks of the first stage that fails among shop, card and family."""
        family, card = self.cards.get(call.body["card_number"], NO_FAMILY)
        is_closed = self.now.astimezone(WITA).hour not in self.hours[call.till]
        shop = {"merchant_suspended": call.till in self.suspended, "terminal_not_permitted": is_closed}
        if any(shop.values()):
            return [(reason, 0) for reason, is_so in shop.items() if is_so]
        if card != "active":
            return [("card_unknown" if card == "unknown" else "card_blocked", 0)]
        return [] if self.families[family] == "active" else [(f"beneficiary_{self.families[family]}", 0)]

    def _window(self) -> Reasons:
        if STARTS <= self.now < ENDS:
            return []
        return [("programme_not_started" if self.now < STARTS else "programme_ended", 0)]

    def _family(self, call: Call) -> str:
        return self.cards.get(call.body["card_number"], NO_FAMILY)[0]

    # --- What is used and left ---

    @property
    def month(self) -> date:
        return self.now.astimezone(WITA).date().replace(day=1)

    def sales_of(self, family: str) -> list[Sale]:
        return [sale for sale in self.sales.values() if sale.family == family]

    def wallet(self, family: str) -> tuple[int, int, int]:
        """Available, held, spent. Once a removed family holds nothing, what is unspent is its no more."""
        held, captured, refunded = _sums(3, (sale.amounts for sale in self.sales_of(family)))
        left = ENTITLEMENT - held - captured + refunded
        return 0 if self.families.get(family) == "removed" and not held else left, held, captured - refunded

    def months(self, family: str) -> dict[date, tuple[int, ...]]:
        """Of every month with a purchase, its charge."""
        sales = self.sales_of(family)
        return {each: _sums(4, (s.charge for s in sales if s.month == each)) for each in {s.month for s in sales}}

    def used_of(self, voucher: int) -> tuple[int, ...]:
        """Rupiah and packages."""
        return _sums(2, (sale.covered[voucher] for sale in self.sales.values() if voucher in sale.covered))

    def _allowances(self, family: str) -> tuple[int, int, dict[int, tuple[int, int]]]:
        """Rupiah and packages left of the month's ordinary allowance, and of each live voucher."""
        rupiah, packages, covered, covered_packages = self.months(family).get(self.month, (0, 0, 0, 0))
        live = {}
        for number, (whose, month, extra, extra_packages) in self.vouchers.items():
            if (whose, month) == (family, self.month):
                used, used_packages = self.used_of(number)
                live[number] = (extra - used, extra_packages - used_packages)
        return MONTH_CAP - rupiah + covered, MONTH_PACKAGES - packages + covered_packages, live

    def left(self, family: str) -> Document:
        rupiah, packages, live = self._allowances(family)
        month, in_all = _sums(2, [(rupiah, packages), *live.values()])
        available, next_month = self.wallet(family)[0], self.month + timedelta(days=31)
        return {
            "package": min(PACKAGE, month, available) if in_all else 0,
            "packages_this_month": in_all,
            "month": month,
            "programme": available,
            "month_ends_at": datetime(next_month.year, next_month.month, 1, tzinfo=WITA),
            "programme_ends_at": ENDS,
        }

    def _cover(self, family: str, amount: int) -> dict[int, tuple[int, int]]:
        """What vouchers give to a purchase: the ordinary allowance goes first, then they in their order."""
        rupiah, packages, live = self._allowances(family)
        rupiah, packages, covers = max(0, amount - rupiah), max(0, 1 - packages), {}
        for number, left in live.items():
            covers[number] = (min(rupiah, left[0]), min(packages, left[1]))
            rupiah, packages = rupiah - covers[number][0], packages - covers[number][1]
        return covers

    # --- What is written ---

    def _happened(self, name: Name, event: str, amount: int, at: datetime | None = None) -> None:
        if amount:
            events = (*self.sales[name].events, (event, amount, at or self.now))
            self.sales[name] = replace(self.sales[name], events=events)

    def _expire(self, family: str) -> None:
        """A write to a family first ends its holds that are due."""
        for name, sale in self.sales.items():
            if sale.family == family and self.now >= sale.expires_at:
                self._happened(name, "expired", sale.amounts[0], sale.expires_at)

    def _keep(self, call: Call, answer: Answer) -> Answer:
        self.kept[call.name] = (call, answer if answer.bytes_of else answer._replace(bytes_of=call.name))
        return self.kept[call.name][1]


def _fault(line: Mapping[str, Any]) -> str | None:
    """A line's first reason."""
    category, product = line["category"], line.get("product")
    if category in {"tunai", "pulsa"}:
        return "cash_not_permitted"
    if category not in {permitted for permitted, _ in GOODS}:
        return "category_not_permitted"
    if (category, product) not in GOODS:
        return "product_not_permitted"
    return "price_above_ceiling" if line.get("unit_price", 0) > GOODS[category, product] else None


def _sums(width: int, rows: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip((0,) * width, *rows, strict=True)))


def _problem(status: int, code: str, **more: Any) -> Answer:
    return Answer(status, {"code": code, **more})
