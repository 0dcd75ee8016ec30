"""What a family may still spend, by the programme's terms: the plan's own arithmetic, not the service's."""

from dataclasses import dataclass, field
from datetime import date

from authz_service.declines import DeclineReason
from authz_service.demo.plan import Left
from authz_service.demo.town import Terms


@dataclass(slots=True, kw_only=True)
class MonthUsed:
    """What a month has used, and what companions allowed on top. Vouchers live as long as their month."""

    used_rupiah: int = 0
    packages_used: int = 0
    extra_rupiah: int = 0
    extra_packages: int = 0


@dataclass(slots=True, kw_only=True)
class Purse:
    """One family's entitlement and months."""

    terms: Terms
    available_rupiah: int
    months: dict[date, MonthUsed] = field(default_factory=dict)

    def left(self, month: date) -> Left:
        used = self._month(month)
        packages = self.terms.month_packages + used.extra_packages - used.packages_used
        month_rupiah = self.terms.month_cap_rupiah + used.extra_rupiah - used.used_rupiah
        most = min(self.terms.package_rupiah, month_rupiah, self.available_rupiah)
        return Left(
            packages=packages,
            month_rupiah=month_rupiah,
            programme_rupiah=self.available_rupiah,
            purchase_rupiah=most if packages else 0,
        )

    def refusal(self, month: date, amount_rupiah: int) -> DeclineReason | None:
        """The first limit, in precedence, that so large a purchase would break."""
        left = self.left(month)
        if amount_rupiah > self.terms.package_rupiah:
            return DeclineReason.PACKAGE_CAP_EXCEEDED
        if amount_rupiah > left.programme_rupiah:
            return DeclineReason.ENTITLEMENT_EXCEEDED
        if left.packages == 0:
            return DeclineReason.PACKAGES_USED_UP
        if amount_rupiah > left.month_rupiah:
            return DeclineReason.MONTHLY_CAP_EXCEEDED
        return None

    def spend(self, month: date, amount_rupiah: int) -> None:
        """A purchase of so much was approved."""
        self.available_rupiah -= amount_rupiah
        self._month(month).used_rupiah += amount_rupiah
        self._month(month).packages_used += 1

    def give_back(self, month: date, amount_rupiah: int, *, package: bool) -> None:
        """So much of a purchase was not bought after all; the package comes back where nothing of it was."""
        self.available_rupiah += amount_rupiah
        self._month(month).used_rupiah -= amount_rupiah
        self._month(month).packages_used -= package

    def vouch(self, month: date, extra_rupiah: int, extra_packages: int) -> None:
        self._month(month).extra_rupiah += extra_rupiah
        self._month(month).extra_packages += extra_packages

    def _month(self, month: date) -> MonthUsed:
        return self.months.setdefault(month, MonthUsed())
