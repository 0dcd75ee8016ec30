"""Everything a rule may see. No rule sees a clock, a database or another rule."""

from collections.abc import Mapping
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from msgspec import Struct

from authz_service.vocabulary import (
    AboveCeiling,
    BeneficiaryId,
    BeneficiaryStatus,
    CardId,
    CardStatus,
    DetailsRequired,
    MerchantId,
    MerchantStatus,
    PackageCounting,
    ProgrammeId,
    TerminalId,
    TerminalStatus,
    VoucherId,
)


class Ceiling(Struct, frozen=True, kw_only=True):
    """A price ceiling for one product and unit; `district_code` None is for every kecamatan; both dates count."""

    district_code: str | None
    price_rupiah: int
    valid_from: date
    valid_to: date | None


class Product(Struct, frozen=True, kw_only=True):
    """One product in one unit of the programme's list."""

    category: str
    name: str
    unit: str
    gtin: str | None
    ceilings: tuple[Ceiling, ...]
    """By `valid_from`, the earliest first."""


class MonthCap(Struct, frozen=True, kw_only=True):
    """The caps of every month from `valid_from` on, until the next change; None is no limit."""

    valid_from: date
    cap_rupiah: int | None
    packages_cap: int | None


class Programme(Struct, frozen=True, kw_only=True):
    """The programme row and its goods. None for a limit means: no limit. Spendable while start <= instant < end."""

    programme_id: ProgrammeId
    name: str
    operator_name: str
    zone: ZoneInfo
    starts_at: datetime
    ends_at: datetime
    closed_at: datetime | None = None
    """Since then no money moves any more."""
    entitlement_rupiah: int
    package_rupiah: int | None
    month_cap_rupiah: int | None
    month_packages: int | None
    month_caps: tuple[MonthCap, ...] = ()
    """Changes of the two above, earliest first: a cap changes with a month, never within one."""
    package_counting: PackageCounting
    above_ceiling: AboveCeiling
    details_required: DetailsRequired
    hold_seconds: int
    cash_categories: frozenset[str]
    categories: Mapping[str, str]
    """Category → its name at the counter, in the order of the programme's list."""
    products: Mapping[tuple[str, str], Product]
    """(product name or GTIN, unit) → product."""
    ceiling_categories: frozenset[str]
    """The categories of which some product has a price ceiling."""

    def caps_of(self, month: date) -> MonthCap:
        """Those in force in `month`, named by its first day."""
        caps = MonthCap(valid_from=date.min, cap_rupiah=self.month_cap_rupiah, packages_cap=self.month_packages)
        for change in self.month_caps:
            caps = change if change.valid_from <= month else caps
        return caps


class Shop(Struct, frozen=True, kw_only=True):
    """A warung KUBE. In the programme from `admitted_on` to `leaves_on`, both counted; hours are local, if any."""

    merchant_id: MerchantId
    name: str
    district_code: str
    status: MerchantStatus
    admitted_on: date
    leaves_on: date | None
    opens_at: time | None
    closes_at: time | None
    district_name: str = ""
    """For people: no rule reads it."""


class Terminal(Struct, frozen=True, kw_only=True):
    """A till, and the shop whose key it has."""

    terminal_id: TerminalId
    merchant_id: MerchantId
    status: TerminalStatus


class Card(Struct, frozen=True, kw_only=True):
    """A card of this programme; good through the whole of `expires_on`."""

    card_id: CardId
    status: CardStatus
    expires_on: date


class Voucher(Struct, frozen=True, kw_only=True):
    """What is left of a live permission to go over the month's cap."""

    voucher_id: VoucherId
    rupiah_left: int
    packages_left: int
    expires_at: datetime


class Month(Struct, frozen=True, kw_only=True):
    """A family's allowance in one calendar month of the programme's zone.

    `used_rupiah` and `packages_used` hold all that the month's purchases use; `covered_…` is the part of them that
    vouchers cover. `vouchers` are those still live, earliest expiry first.
    """

    month: date
    cap_rupiah: int | None
    packages_cap: int | None
    used_rupiah: int
    packages_used: int
    covered_rupiah: int
    covered_packages: int
    vouchers: tuple[Voucher, ...]


class Family(Struct, frozen=True, kw_only=True):
    """A beneficiary and what it may still spend, expired holds already given back."""

    beneficiary_id: BeneficiaryId
    status: BeneficiaryStatus
    companion_label: str
    available_rupiah: int
    month: Month


class Mark(Struct, frozen=True, kw_only=True):
    """A terminal, a shop or a card on which a signal was seen that the programme declines for, while now < until."""

    subject_id: str
    signal: str
    until: datetime


class Facts(Struct, frozen=True, kw_only=True):
    """One request's world at one instant. `family` is there exactly when `card` is."""

    now: datetime
    today: date
    programme: Programme
    shop: Shop | None
    terminal: Terminal
    card: Card | None
    family: Family | None
    marks: tuple[Mark, ...] = ()
    """Those on this terminal, its shop or this card; nearly always none."""
