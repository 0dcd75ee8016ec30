"""Is there room: in the package, in the entitlement, in the month? Plain inequalities in whole rupiah.

A month has an ordinary allowance and, where a companion vouched, vouchers on top. A purchase takes the ordinary
allowance first, then vouchers, earliest expiry first; rupiah and packages are taken each by itself.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from authz_service.declines import DeclineReason
from authz_service.rules.facts import Family, Month, Programme, Voucher
from authz_service.vocabulary import PackageCounting, VoucherId


class Room(Struct, frozen=True, kw_only=True):
    """What one purchase may cost now, by each limit in rupiah; None is no limit; never negative."""

    package_rupiah: int | None
    programme_rupiah: int
    packages_rupiah: int | None
    """What the month's packages still let pass: 0 when none is left."""
    month_rupiah: int | None
    packages: int | None
    """How many packages the month still has."""

    @property
    def purchase_rupiah(self) -> int:
        """The most that the next purchase may cost."""
        limits = (self.package_rupiah, self.programme_rupiah, self.packages_rupiah, self.month_rupiah)
        return min([limit for limit in limits if limit is not None])


class VoucherUse(Struct, frozen=True, kw_only=True):
    """What one voucher covers of one purchase."""

    voucher_id: VoucherId
    amount_rupiah: int
    packages: int


def room_of(family: Family, programme: Programme) -> Room:
    packages, packages_rupiah = _packages_left(family.month, programme)
    return Room(
        package_rupiah=programme.package_rupiah,
        programme_rupiah=max(0, family.available_rupiah),
        packages_rupiah=packages_rupiah,
        month_rupiah=month_left(family.month),
        packages=packages,
    )


def exceeded_limits(amount_rupiah: int, room: Room) -> list[DeclineReason]:
    """Every limit that a purchase of `amount_rupiah` would break, in precedence."""
    broken: list[DeclineReason] = []
    if room.package_rupiah is not None and amount_rupiah > room.package_rupiah:
        broken.append(DeclineReason.PACKAGE_CAP_EXCEEDED)
    if amount_rupiah > room.programme_rupiah:
        broken.append(DeclineReason.ENTITLEMENT_EXCEEDED)
    if room.packages_rupiah is not None and amount_rupiah > room.packages_rupiah:
        broken.append(DeclineReason.PACKAGES_USED_UP)
    if room.month_rupiah is not None and amount_rupiah > room.month_rupiah:
        broken.append(DeclineReason.MONTHLY_CAP_EXCEEDED)
    return broken


def binding_limit(room: Room) -> DeclineReason:
    """The first limit in precedence that makes `room.purchase_rupiah` as small as it is."""
    most_rupiah = room.purchase_rupiah
    if room.package_rupiah == most_rupiah:
        return DeclineReason.PACKAGE_CAP_EXCEEDED
    if room.programme_rupiah == most_rupiah:
        return DeclineReason.ENTITLEMENT_EXCEEDED
    if room.packages_rupiah == most_rupiah:
        return DeclineReason.PACKAGES_USED_UP
    return DeclineReason.MONTHLY_CAP_EXCEEDED


def month_after(month: Month, amount_rupiah: int, programme: Programme) -> tuple[Month, tuple[VoucherUse, ...]]:
    """The month once a purchase of `amount_rupiah`, for which there is room, has used it; and what vouchers cover."""
    used_rupiah = month.used_rupiah + amount_rupiah
    packages_used = month.packages_used + packages_of_a_purchase(programme)
    to_cover_rupiah = to_cover_packages = 0
    if month.cap_rupiah is not None:
        to_cover_rupiah = max(0, used_rupiah - month.covered_rupiah - max(month.cap_rupiah, _ordinary_used(month)))
    if month.packages_cap is not None:
        in_use = _packages_by_value(used_rupiah, programme) if _counts_by_value(programme) else packages_used
        to_cover_packages = max(0, in_use - month.covered_packages - month.packages_cap)
    vouchers, uses = _cover(month.vouchers, to_cover_rupiah, to_cover_packages)
    after = replace(
        month,
        used_rupiah=used_rupiah,
        packages_used=packages_used,
        covered_rupiah=month.covered_rupiah + to_cover_rupiah,
        covered_packages=month.covered_packages + to_cover_packages,
        vouchers=vouchers,
    )
    return after, uses


def packages_of_a_purchase(programme: Programme) -> int:
    """How many packages the books count for one purchase; by value they are derived from the month's rupiah."""
    return 1 if programme.package_counting is PackageCounting.PER_PURCHASE else 0


def _cover(
    vouchers: tuple[Voucher, ...], amount_rupiah: int, packages: int
) -> tuple[tuple[Voucher, ...], tuple[VoucherUse, ...]]:
    """The vouchers, earliest expiry first, after they have covered so much; and what each of them gave."""
    left: list[Voucher] = []
    uses: list[VoucherUse] = []
    for voucher in vouchers:
        rupiah_taken, packages_taken = min(amount_rupiah, voucher.rupiah_left), min(packages, voucher.packages_left)
        amount_rupiah, packages = amount_rupiah - rupiah_taken, packages - packages_taken
        if rupiah_taken or packages_taken:
            uses.append(VoucherUse(voucher_id=voucher.voucher_id, amount_rupiah=rupiah_taken, packages=packages_taken))
        left.append(
            replace(
                voucher,
                rupiah_left=voucher.rupiah_left - rupiah_taken,
                packages_left=voucher.packages_left - packages_taken,
            )
        )
    return tuple(left), tuple(uses)


def month_left(month: Month) -> int | None:
    """Rupiah that the month's allowance and its live vouchers still let pass; None is no limit."""
    if month.cap_rupiah is None:
        return None
    return max(0, month.cap_rupiah - _ordinary_used(month)) + sum(voucher.rupiah_left for voucher in month.vouchers)


def _ordinary_used(month: Month) -> int:
    return month.used_rupiah - month.covered_rupiah


def _packages_left(month: Month, programme: Programme) -> tuple[int | None, int | None]:
    """Packages left in the month, and the rupiah that they let pass."""
    if month.packages_cap is None:
        return None, None
    on_vouchers = sum(voucher.packages_left for voucher in month.vouchers)
    match programme.package_counting:
        case PackageCounting.NO_LIMIT:
            return None, None
        case PackageCounting.PER_PURCHASE:
            left = max(0, month.packages_cap - (month.packages_used - month.covered_packages)) + on_vouchers
            return left, None if left else 0
        case PackageCounting.BY_VALUE:
            in_all = month.packages_cap + month.covered_packages + on_vouchers
            left_rupiah = max(0, in_all * _package_value(programme) - month.used_rupiah)
            return max(0, in_all - _packages_by_value(month.used_rupiah, programme)), left_rupiah
        case unreachable:
            assert_never(unreachable)


def _counts_by_value(programme: Programme) -> bool:
    return programme.package_counting is PackageCounting.BY_VALUE


def _packages_by_value(used_rupiah: int, programme: Programme) -> int:
    return -(-used_rupiah // _package_value(programme))


def _package_value(programme: Programme) -> int:
    """A programme that counts by value has one (a CHECK of its row)."""
    if programme.package_rupiah is None:
        raise ValueError("package_counting by_value needs a package value")
    return programme.package_rupiah
