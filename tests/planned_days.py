"""A planned quarter as the signals would see it if every till kept to the plan to the second: without a service."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from statistics import median_low

from authz_service.declines import DeclineReason
from authz_service.demo.misuse import Scheme
from authz_service.demo.plan import Plan, Sale, Settling, Visit, Vouching
from authz_service.signals.facts import BasketLine, Day, Decided, PriceSeen, ShopSales, ShopThen, TakenBack, Vouched

REFUNDED_AFTER = timedelta(minutes=10)


class Quarter:
    """Its decisions by day, and the days with what reaches back."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.zone = plan.town.terms.zone
        self.shop_of = {shop.terminal_id: shop for shop in plan.town.shops}
        self.companion_of = {family.beneficiary_id: family.companion_id for family in plan.town.families}
        self.by_day: dict[date, list[Decided]] = defaultdict(list)
        self.taken_back: list[TakenBack] = []
        self.vouched: list[Vouched] = []
        self.scheme_of: dict[str, Scheme] = {}
        schemes = {id(visit): Scheme(scheme) for scheme, visit in plan.misused}
        for visit in plan.visits:
            self._add(visit, schemes.get(id(visit)))
        for decided in self.by_day.values():
            decided.sort(key=lambda each: (each.at, each.authorisation_id))

    def _add(self, visit: Visit, scheme: Scheme | None) -> None:
        at, has_voucher = visit.at.astimezone(self.zone), False
        for step in visit.steps:
            has_voucher = has_voucher or isinstance(step, Vouching)
            if not isinstance(step, Sale):
                continue
            decided = self._decided(visit, step, at)
            self.by_day[at.date()].append(decided)
            if scheme is not None and decided.approved is not (scheme is Scheme.EGGS_BY_PIECE):
                self.scheme_of[decided.authorisation_id] = scheme
            if has_voucher and decided.approved:
                self.vouched.append(_vouched(decided))
            if step.settling in (Settling.TAKEN_BACK, Settling.REFUNDED_IN_PART) and decided.approved:
                self.taken_back.append(_taken_back(decided, step))
            at += timedelta(seconds=1)

    def _decided(self, visit: Visit, sale: Sale, at: object) -> Decided:
        number = sum(map(len, self.by_day.values()))
        is_known = sale.refused is not DeclineReason.CARD_UNKNOWN
        return Decided(
            authorisation_id=f"auth_{number:06d}",
            at=at,  # type: ignore[arg-type]
            merchant_id=self.shop_of[visit.terminal_id].merchant_id,
            terminal_id=visit.terminal_id,
            card_id=sale.card_number if is_known else None,
            beneficiary_id=visit.beneficiary_id if is_known else None,
            companion=self.companion_of[visit.beneficiary_id] if is_known else None,
            reason=sale.refused or "approved",
            approved_rupiah=0 if sale.refused else sale.amount_rupiah,
            lines=tuple(
                BasketLine(
                    category=line.category,
                    amount_rupiah=line.amount,
                    product=line.product,
                    unit=line.unit,
                    quantity=line.quantity,
                    unit_price_rupiah=line.unit_price,
                )
                for line in sale.basket
            ),
        )

    def days(self) -> Iterator[Day]:
        families: dict[str, int] = defaultdict(int)
        for companion in self.companion_of.values():
            families[companion] += 1
        shops: dict[str, ShopThen] = {
            shop.merchant_id: ShopThen(
                district_code=shop.district_code, opens_at=shop.opens_at, closes_at=shop.closes_at
            )
            for shop in self.plan.town.shops
        }
        for on in sorted(self.by_day):
            yield Day(
                on=on,
                package_rupiah=self.plan.town.terms.package_rupiah,
                shops=shops,
                decided=tuple(self.by_day[on]),
                taken_back=tuple(each for each in self.taken_back if self._is_within(each.refunded_at.date(), on, 7)),
                prices=tuple(self._prices(on)),
                vouched=tuple(each for each in self.vouched if self._is_within(each.decided_at.date(), on, 28)),
                sales=tuple(self._sales(on)),
                companion_families=families,
                companion_ids={companion: companion for companion in families},
            )

    def _is_within(self, then: date, on: date, days: int) -> bool:
        return on - timedelta(days=days) < then <= on

    def _lately(self, on: date, days: int) -> Iterator[Decided]:
        for back in range(days):
            yield from (each for each in self.by_day.get(on - timedelta(days=back), ()) if each.approved)

    def _prices(self, on: date) -> Iterator[PriceSeen]:
        seen: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for each in self._lately(on, 7):
            for line in each.lines:
                if line.product and line.unit and line.unit_price_rupiah:
                    seen[each.merchant_id, line.product, line.unit].append(line.unit_price_rupiah)
        for (merchant_id, product, unit), prices in seen.items():
            yield PriceSeen(merchant_id=merchant_id, product=product, unit=unit, unit_price_rupiah=median_low(prices))

    def _sales(self, on: date) -> Iterator[ShopSales]:
        rupiah: dict[str, int] = defaultdict(int)
        families: dict[str, set[str | None]] = defaultdict(set)
        for each in self._lately(on, 28):
            rupiah[each.merchant_id] += each.approved_rupiah
            families[each.merchant_id].add(each.beneficiary_id)
        for merchant_id, sold in rupiah.items():
            yield ShopSales(merchant_id=merchant_id, families=len(families[merchant_id]), rupiah=sold)


def _vouched(decided: Decided) -> Vouched:
    return Vouched(
        authorisation_id=decided.authorisation_id,
        merchant_id=decided.merchant_id,
        beneficiary_id=decided.beneficiary_id or "",
        companion_id=decided.companion or "",
        companion=decided.companion or "",
        decided_at=decided.at,
    )


def _taken_back(decided: Decided, sale: Sale) -> TakenBack:
    return TakenBack(
        authorisation_id=decided.authorisation_id,
        merchant_id=decided.merchant_id,
        card_id=decided.card_id or "",
        beneficiary_id=decided.beneficiary_id or "",
        captured_rupiah=sale.amount_rupiah,
        refunded_rupiah=sale.amount_rupiah - sale.captured_rupiah,
        decided_at=decided.at,
        refunded_at=decided.at + REFUNDED_AFTER,
    )
