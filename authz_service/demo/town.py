"""The town as the plan finds it: the programme's terms, its shops and its families."""

from dataclasses import dataclass
from datetime import date, time
from zoneinfo import ZoneInfo

from authz_service.vocabulary import BeneficiaryId, MerchantId, TerminalId


class DemoFailedError(Exception):
    """The quarter did not go as the programme's terms say; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the programme's row says."""

    zone: ZoneInfo
    starts_on: date
    ends_on: date
    """The whole day still counts."""
    entitlement_rupiah: int
    package_rupiah: int
    month_cap_rupiah: int
    month_packages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    merchant_id: MerchantId
    terminal_id: TerminalId
    district_code: str
    opens_at: time
    closes_at: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    beneficiary_id: BeneficiaryId
    district_code: str
    card_number: str
    companion_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """The programme's terms, its shops and its families, each in a fixed order."""

    terms: Terms
    shops: tuple[Shop, ...]
    families: tuple[Family, ...]
