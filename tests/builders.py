"""A good programme, shop, card, family and purchase, as in Samarinda in 2024; a test says only what differs.

The terms, goods and price ceilings are the edition's own files, so a test of a price is a test of the real price.
"""

import dataclasses
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from authz_service.clock import month_of
from authz_service.enrolment.edition import load_edition
from authz_service.holds import Hold
from authz_service.requests import THOUSAND, Line, Purchase, times_quantity
from authz_service.rules.decide import Decision
from authz_service.rules.facts import (
    Card,
    Ceiling,
    Facts,
    Family,
    Mark,
    Month,
    Product,
    Programme,
    Shop,
    Terminal,
    Voucher,
)
from authz_service.rules.money import VoucherUse
from authz_service.vocabulary import (
    AuthorisationId,
    BeneficiaryId,
    BeneficiaryStatus,
    CardId,
    CardStatus,
    HoldStatus,
    MerchantId,
    MerchantStatus,
    PackageCounting,
    ProgrammeId,
    TerminalId,
    TerminalStatus,
    VoucherId,
)

quickly = settings(deadline=None, max_examples=100)
"""For properties: a busy machine is not a failure."""


def instant(text: str) -> datetime:
    """`2024-12-31T16:00:00Z`."""
    return datetime.fromisoformat(text)


A_MORNING: Final = instant("2024-11-05T02:00:00Z")
"""A Tuesday in the programme's second month, ten o'clock in WITA."""


def _samarinda() -> Programme:
    edition = load_edition("samarinda-2024")
    terms = edition.terms
    goods = [
        Product(
            category=product.category,
            name=product.name,
            unit=product.unit,
            gtin=product.gtin,
            ceilings=tuple(
                Ceiling(
                    district_code=each.kecamatan,
                    price_rupiah=each.price_ceiling_rupiah,
                    valid_from=each.valid_from,
                    valid_to=each.valid_to,
                )
                for each in edition.price_ceilings
                if (each.product, each.unit) == (product.name, product.unit) and each.price_ceiling_rupiah is not None
            ),
        )
        for product in edition.products
    ]
    return Programme(
        programme_id=ProgrammeId("samarinda-2024"),
        name=terms.name,
        operator_name=terms.operator_name,
        zone=terms.zone,
        starts_at=datetime.combine(terms.starts_on, time(), tzinfo=terms.zone),
        ends_at=datetime.combine(terms.ends_on + timedelta(days=1), time(), tzinfo=terms.zone),
        entitlement_rupiah=terms.entitlement_rupiah,
        package_rupiah=terms.package_rupiah,
        month_cap_rupiah=terms.month_cap_rupiah,
        month_packages=terms.month_packages,
        package_counting=terms.package_counting,
        above_ceiling=terms.above_ceiling,
        details_required=terms.details_required,
        hold_seconds=terms.hold_seconds,
        cash_categories=frozenset(terms.cash_categories),
        categories={each.category: each.name for each in edition.categories},
        products=listed(*goods),
        ceiling_categories=frozenset(product.category for product in goods if product.ceilings),
    )


def listed(*products: Product) -> dict[tuple[str, str], Product]:
    """A programme's list: each product is found by its name and by its GTIN, in its unit."""
    found = {(product.name, product.unit): product for product in products}
    return found | {(product.gtin, product.unit): product for product in products if product.gtin is not None}


_SAMARINDA: Final = _samarinda()
WITA: Final = _SAMARINDA.zone


def a_programme(**changes: Any) -> Programme:
    return replace(_SAMARINDA, **changes)


def a_product(*ceilings: Ceiling, **changes: Any) -> Product:
    """Eggs, by default without a price ceiling."""
    eggs = Product(category="telur", name="telur ayam ras", unit="kg", gtin=None, ceilings=ceilings)
    return replace(eggs, **changes)


def a_ceiling(price_rupiah: int, **changes: Any) -> Ceiling:
    """For every kecamatan, for all of the year."""
    all_year = Ceiling(district_code=None, price_rupiah=price_rupiah, valid_from=date(2024, 1, 1), valid_to=None)
    return replace(all_year, **changes)


def a_shop(**changes: Any) -> Shop:
    """A warung in Samarinda Utara that never closes."""
    shop = Shop(
        merchant_id=MerchantId("mrc_1"),
        name="KUBE Tunas Lempake",
        district_code="64.72.05",
        district_name="Samarinda Utara",
        status=MerchantStatus.ACTIVE,
        admitted_on=date(2024, 9, 1),
        leaves_on=None,
        opens_at=None,
        closes_at=None,
    )
    return replace(shop, **changes)


def a_terminal(**changes: Any) -> Terminal:
    return replace(
        Terminal(terminal_id=TerminalId("trm_1"), merchant_id=MerchantId("mrc_1"), status=TerminalStatus.ACTIVE),
        **changes,
    )


def a_card(**changes: Any) -> Card:
    card = Card(card_id=CardId("crd_1"), status=CardStatus.ACTIVE, expires_on=date(2029, 9, 30))
    return replace(card, **changes)


def a_mark(until: datetime, **changes: Any) -> Mark:
    """Too many cards were seen at the terminal of `a_terminal`."""
    return replace(Mark(subject_id="trm_1", signal="many_cards", until=until), **changes)


def a_voucher(name: str = "vch_1", **changes: Any) -> Voucher:
    """One more purchase of up to Rp100.000."""
    voucher = Voucher(
        voucher_id=VoucherId(name),
        rupiah_left=100_000,
        packages_left=1,
        expires_at=instant("2024-11-30T16:00:00Z"),
    )
    return replace(voucher, **changes)


def a_month(*vouchers: Voucher, **changes: Any) -> Month:
    """November, nothing used yet; vouchers in the order of their expiry."""
    month = Month(
        month=date(2024, 11, 1),
        cap_rupiah=600_000,
        packages_cap=2,
        used_rupiah=0,
        packages_used=0,
        covered_rupiah=0,
        covered_packages=0,
        vouchers=vouchers,
    )
    return replace(month, **changes)


def a_family(**changes: Any) -> Family:
    """A family that has its whole entitlement and its whole month."""
    family = Family(
        beneficiary_id=BeneficiaryId("ben_1"),
        status=BeneficiaryStatus.ACTIVE,
        companion_label="Pendamping 07",
        available_rupiah=1_800_000,
        month=a_month(),
    )
    return replace(family, **changes)


def facts(*, now: datetime | str = A_MORNING, **changes: Any) -> Facts:
    """Nothing stands in the way of a purchase; `today` follows from `now`, as it does in the service."""
    moment = instant(now) if isinstance(now, str) else now
    programme: Programme = changes.get("programme", _SAMARINDA)
    good = Facts(
        now=moment,
        today=moment.astimezone(programme.zone).date(),
        programme=programme,
        shop=a_shop(),
        terminal=a_terminal(),
        card=a_card(),
        family=a_family(month=a_month(month=month_of(moment, programme.zone))),
    )
    return replace(good, **changes)


def a_line(category: str = "ikan_kaleng", amount: int = 13_000) -> Line:
    """Without details: tinned fish has no price ceiling."""
    return Line(category=category, amount=amount)


def a_priced_line(
    product: str = "beras premium",
    quantity: str = "5",
    unit_price: int = 15_400,
    *,
    category: str | None = None,
    unit: str | None = None,
) -> Line:
    """With details; category and unit are those of the list, the amount is quantity times unit price."""
    known = next((each for each in _SAMARINDA.products.values() if each.name == product), a_product())
    thousandths = int(Decimal(quantity) * THOUSAND)
    return Line(
        category=category or known.category,
        amount=times_quantity(unit_price, thousandths),
        product=product,
        unit=unit or known.unit,
        quantity=thousandths,
        unit_price=unit_price,
    )


def a_purchase(*lines: Line, **changes: Any) -> Purchase:
    """The contract's example of Rp150.000, or these lines; `amount` alone makes it one line of tinned fish."""
    if not lines and "amount" in changes:
        lines = (a_line(amount=changes["amount"]),)
    basket = lines or (a_priced_line(), a_priced_line("telur ayam ras", "2", 30_000), a_line())
    good = Purchase(
        card_number="9360000000000013",
        stan="000123",
        terminal_time=instant("2024-11-05T02:00:00Z"),
        amount=sum(line.amount for line in basket),
        currency="IDR",
        lines=basket,
    )
    return dataclasses.replace(good, **changes)


def a_hold(*uses: VoucherUse, **changes: Any) -> Hold:
    """Rp150.000 held and nothing else done; what is held follows from the other amounts."""
    approved: int = changes.get("approved_rupiah", 150_000)
    hold = Hold(
        authorisation_id=AuthorisationId("auth_1"),
        beneficiary_id=BeneficiaryId("ben_1"),
        merchant_id=MerchantId("mrc_1"),
        month=date(2024, 11, 1),
        status=HoldStatus.HELD,
        approved_rupiah=approved,
        held_rupiah=approved - changes.get("captured_rupiah", 0),
        captured_rupiah=0,
        refunded_rupiah=0,
        packages=1,
        expires_at=A_MORNING + timedelta(days=1),
        voucher_uses=uses,
    )
    return replace(hold, **changes)


def a_use(name: str = "vch_1", amount_rupiah: int = 0, packages: int = 0) -> VoucherUse:
    """What a voucher covers of a purchase."""
    return VoucherUse(voucher_id=VoucherId(name), amount_rupiah=amount_rupiah, packages=packages)


def reasons(decision: Decision) -> list[str]:
    """`cash_not_permitted:2` is about line 2; `packages_used_up` is about the whole purchase."""
    return [each.reason if each.line is None else f"{each.reason}:{each.line}" for each in decision.refusals]


@st.composite
def any_family(draw: st.DrawFn, /, programme: Programme) -> Family:
    """A family at any point that a month can come to: the ordinary allowance first, the rest covered by vouchers."""
    rupiah = st.integers(0, 700_000)
    cap = programme.month_cap_rupiah
    packages_cap = programme.month_packages
    # Often at the very limit, where vouchers begin.
    ordinary = draw(rupiah if cap is None else st.just(cap) | st.integers(0, cap))
    covered = 0 if cap is None else draw(rupiah)
    covered_packages = 0 if packages_cap is None else draw(st.integers(0, 3))
    purchases = draw(st.integers(0, packages_cap or 9)) + covered_packages
    used = ordinary + covered
    if programme.package_counting is PackageCounting.BY_VALUE and packages_cap is not None:
        used, purchases = min(used, (packages_cap + covered_packages) * (programme.package_rupiah or 0)), 0
        covered = min(covered, used)
    elif programme.package_counting is not PackageCounting.PER_PURCHASE:
        purchases = covered_packages = 0
    vouchers = draw(st.lists(st.tuples(st.just(60_000) | rupiah, st.integers(0, 2)), max_size=3))
    month = a_month(
        *(
            a_voucher(f"vch_{n}", rupiah_left=left, packages_left=packages, expires_at=A_MORNING + timedelta(days=n))
            for n, (left, packages) in enumerate(vouchers, start=1)
        ),
        cap_rupiah=cap,
        packages_cap=packages_cap,
        used_rupiah=used,
        packages_used=purchases,
        covered_rupiah=covered,
        covered_packages=covered_packages,
    )
    return a_family(available_rupiah=draw(st.just(1_800_000) | st.integers(0, 1_800_000)), month=month)


@st.composite
def any_programme(draw: st.DrawFn, /, **changes: Any) -> Programme:
    """Every way of counting packages, with and without each limit."""
    counting = draw(st.sampled_from(PackageCounting))
    package = st.just(300_000) if counting is PackageCounting.BY_VALUE else st.sampled_from([None, 300_000, 137_501])
    return a_programme(
        package_counting=counting,
        package_rupiah=draw(package),
        month_cap_rupiah=draw(st.sampled_from([600_000, 250_000, None])),
        month_packages=draw(st.sampled_from([2, 1, None])),
        **changes,
    )
