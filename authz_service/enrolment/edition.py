"""One edition of a programme as files: `programmes/<edition>/programme.toml` and five tables beside it.

Everything in which editions differ stands there: terms, kecamatan, shops, goods and price ceilings.

    EnrolmentRefused     nothing was written
    ├ EditionUnusable    the files lack or contradict something
    └ AlreadyEnrolled    in enrolment.py
"""

import csv
import re
import tomllib
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Annotated, ClassVar, Final
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from authz_service.vocabulary import (
    MONEY_LIMIT_RUPIAH,
    PAYOUT_LIMIT_FLOOR_RUPIAH,
    AboveCeiling,
    DetailsRequired,
    PackageCounting,
    in_rupiah,
)

PROGRAMMES_FOLDER: Final = Path(__file__).parent.parent / "programmes"
_TABLES: Final = ("kecamatan", "merchants", "categories", "products", "price_ceilings")

Amount = Annotated[int, Field(gt=0)]
Allowed = Annotated[int, Field(ge=0)]


class EnrolmentRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """A programme cannot be enrolled so; the message is one sentence for the operator, and nothing was written."""


class EditionUnusable(EnrolmentRefused):
    """The edition's files lack or contradict something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    least: Amount
    most: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """When shops are paid: `cut_off` by the wall clock of the zone, `days` as ISO weekdays, Monday is 1."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    cut_off: time
    days: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1)]
    payout_limit_rupiah: Annotated[int, Field(ge=PAYOUT_LIMIT_FLOOR_RUPIAH, le=MONEY_LIMIT_RUPIAH)] | None = None
    """The most that the bank takes in one payout; a shop that is owed more gets several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputes:
    """So many days after a purchase it may be disputed, and so many working days later an answer is due."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    claim_days: Amount
    answer_working_days: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`programme.toml`. A limit that is left out does not exist; both dates count."""

    # A misspelt limit must not pass for one that was left out.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    operator_name: str
    zone: ZoneInfo
    starts_on: date
    ends_on: date
    funding_rupiah: Amount
    families: Amount
    entitlement_rupiah: Amount
    package_rupiah: Amount | None = None
    month_cap_rupiah: Amount | None = None
    month_packages: Amount | None = None
    voucher_limit_rupiah: Allowed | None = None
    voucher_limit_packages: Allowed | None = None
    voucher_month_limit_rupiah: Allowed | None = None
    voucher_month_limit_packages: Allowed | None = None
    voucher_approval_above_rupiah: Allowed | None = None
    voucher_approval_above_packages: Allowed | None = None
    package_counting: PackageCounting
    above_ceiling: AboveCeiling
    details_required: DetailsRequired
    hold_seconds: Amount
    cash_categories: tuple[str, ...]
    families_per_companion: Bounds
    shops_admitted_days_before: int
    card_prefix: Annotated[str, Field(pattern=r"^\d{6,8}$")]
    card_valid_years: Amount
    holidays: tuple[date, ...] = ()
    """Days without a batch, and no working days."""
    settlement: Settlement | None = None
    disputes: Disputes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class District:
    """A kecamatan, and how many of the families live there."""

    code: Annotated[str, Field(pattern=r"^\d\d\.\d\d\.\d\d$")]
    name: str
    families: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    name: str
    kecamatan: str
    opens_at: time | None
    closes_at: time | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    category: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    name: str
    unit: str
    category: str
    gtin: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Without a price the row only says that there is no official ceiling, and why."""

    product: str
    unit: str
    kecamatan: str | None
    price_ceiling_rupiah: Amount | None
    valid_from: date
    valid_to: date | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    terms: Terms
    kecamatan: tuple[District, ...]
    merchants: tuple[Shop, ...]
    categories: tuple[Category, ...]
    products: tuple[Product, ...]
    price_ceilings: tuple[Ceiling, ...]


_EDITION: Final = TypeAdapter(Edition)


def load_edition(edition: str) -> Edition:
    """The edition of that name in the package, or in that folder, read whole and consistent in itself."""
    folder = _folder(edition)
    try:
        terms = tomllib.loads((folder / "programme.toml").read_text(encoding="utf-8"))
        loaded = _EDITION.validate_python({"terms": terms, **{name: _rows(folder / f"{name}.csv") for name in _TABLES}})
    except OSError as error:
        raise EditionUnusable(f"The edition {edition} has no {Path(error.filename).name}.") from error
    except tomllib.TOMLDecodeError as error:
        raise EditionUnusable(f"The edition {edition} cannot be read: programme.toml: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EditionUnusable(f"The edition {edition} cannot be read: {place}: {first['msg']}.") from error
    if flaws := _flaws(loaded):
        raise EditionUnusable(f"The edition {edition} does not add up: {flaws[0]}.")
    return loaded


def _folder(edition: str) -> Path:
    for folder in (PROGRAMMES_FOLDER / edition, Path(edition)):
        if re.fullmatch(r"[\w-]+", folder.name) and (folder / "programme.toml").is_file():
            return folder
    known = ", ".join(sorted(path.parent.name for path in PROGRAMMES_FOLDER.glob("*/programme.toml")))
    raise EditionUnusable(f"There is no edition {edition}; there is: {known}.")


def _rows(table: Path) -> list[dict[str, str | None]]:
    with table.open(encoding="utf-8", newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


def _flaws(edition: Edition) -> list[str]:
    """What contradicts what, so that it is said in words before the database refuses it."""
    terms, found = edition.terms, []
    granted = terms.families * terms.entitlement_rupiah
    if granted > terms.funding_rupiah:
        found.append(f"the funding {in_rupiah(terms.funding_rupiah)} does not cover the grants {in_rupiah(granted)}")
    if (spread := sum(district.families for district in edition.kecamatan)) != terms.families:
        found.append(f"the kecamatan have {spread} families, the programme {terms.families}")
    if terms.settlement is not None and len(set(terms.settlement.days)) < len(terms.settlement.days):
        found.append("a day of settlement is listed twice")
    if terms.settlement is not None and terms.settlement.cut_off.tzinfo is not None:
        found.append("the cut-off is in the programme's zone and has no other")
    codes = {district.code for district in edition.kecamatan}
    found += [f"{shop.name} is in no listed kecamatan" for shop in edition.merchants if shop.kecamatan not in codes]
    categories = {category.category for category in edition.categories}
    found += [f"{product.name} has no category" for product in edition.products if product.category not in categories]
    found += [f"{each} is permitted and cash" for each in terms.cash_categories if each in categories]
    goods = {(product.name, product.unit) for product in edition.products}
    found += [
        f"a ceiling is for {ceiling.product} ({ceiling.unit}), which is not listed"
        for ceiling in edition.price_ceilings
        if (ceiling.product, ceiling.unit) not in goods
    ]
    return found
