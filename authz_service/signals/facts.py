"""A day of a programme as the signals see it: plain facts, of one programme, in order of time.

No signal sees a clock, a database or another signal. Families and companions are ids and labels here, never names.
"""

from collections.abc import Mapping
from datetime import date, datetime, time

from msgspec import Struct

from authz_service.signals.kinds import Signal, Subject


class BasketLine(Struct, frozen=True, kw_only=True):
    """What stood on a line; `quantity` is a decimal in its unit, and the last four are there together or not at all."""

    category: str
    amount_rupiah: int
    product: str | None = None
    unit: str | None = None
    quantity: str | None = None
    unit_price_rupiah: int | None = None


class Decided(Struct, frozen=True, kw_only=True):
    """One decision of the journal; `at` is in the programme's zone. `companion` is the label that was known then."""

    authorisation_id: str
    at: datetime
    merchant_id: str
    terminal_id: str
    card_id: str | None
    beneficiary_id: str | None
    companion: str | None
    reason: str
    approved_rupiah: int
    lines: tuple[BasketLine, ...]

    @property
    def approved(self) -> bool:
        return self.approved_rupiah > 0


class TakenBack(Struct, frozen=True, kw_only=True):
    """A refund, with the purchase that it was of: what was captured of that, and what of it is refunded by now."""

    authorisation_id: str
    merchant_id: str
    card_id: str
    beneficiary_id: str
    captured_rupiah: int
    refunded_rupiah: int
    decided_at: datetime
    refunded_at: datetime


class ShopThen(Struct, frozen=True, kw_only=True):
    """A shop and its hours, where it has any."""

    district_code: str
    opens_at: time | None
    closes_at: time | None


class PriceSeen(Struct, frozen=True, kw_only=True):
    """The usual (median) price of a product in a unit at one shop in the last days."""

    merchant_id: str
    product: str
    unit: str
    unit_price_rupiah: int


class Vouched(Struct, frozen=True, kw_only=True):
    """A purchase that used a voucher, and the companion who had given it."""

    authorisation_id: str
    merchant_id: str
    beneficiary_id: str
    companion_id: str
    companion: str
    decided_at: datetime


class ShopSales(Struct, frozen=True, kw_only=True):
    """What a shop sold in the last days, to how many families."""

    merchant_id: str
    families: int
    rupiah: int


class Day(Struct, frozen=True, kw_only=True):
    """A local day, or as much of it as there was when it was read; what reaches back says how far in its thresholds."""

    on: date
    package_rupiah: int | None
    shops: Mapping[str, ShopThen]
    decided: tuple[Decided, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()
    prices: tuple[PriceSeen, ...] = ()
    vouched: tuple[Vouched, ...] = ()
    sales: tuple[ShopSales, ...] = ()
    companion_families: Mapping[str, int] = {}
    """A companion's label → how many families it looks after."""
    companion_ids: Mapping[str, str] = {}
    """A companion's label → its id."""


class Found(Struct, frozen=True, kw_only=True):
    """A signal seen at one subject on one day; `evidence` holds ids, counts and rupiah that a person can check."""

    signal: Signal
    subject_kind: Subject
    subject_id: str
    score: int
    purchases: tuple[str, ...]
    evidence: Mapping[str, int | str]
