"""How much a family can still spend until the programme ends, if nobody vouches any more. Pure.

Each month lets pass its room: the allowance with the vouchers that are live, and no more than its packages can carry.
What a family has beyond the room of all months that are left expires on the last day, unless its companion vouches.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from msgspec.structs import replace

from authz_service.clock import month_end, month_of
from authz_service.rules.facts import Family, Month, Programme, Voucher
from authz_service.rules.money import room_of
from authz_service.vocabulary import PackageCounting

_MOMENT = timedelta(microseconds=1)


def months_left(programme: Programme, now: datetime) -> list[date]:
    """This month and those after it, up to the programme's last; none once it has ended."""
    month = month_of(max(now, programme.starts_at), programme.zone)
    last = month_of(programme.ends_at - _MOMENT, programme.zone)
    found = []
    while now < programme.ends_at and month <= last:
        found.append(month)
        month = month_end(month, programme.zone).date()
    return found


def within_reach(
    family: Family, programme: Programme, months: Iterable[date], later_vouchers: Iterable[tuple[date, Voucher]]
) -> int:
    """Of what the family has left, in rupiah. `family.month` is as it stands; a later one begins whole."""
    found, vouchers = 0, list(later_vouchers)
    for month in months:
        as_it_is = family.month if family.month.month == month else _fresh(month, programme, vouchers)
        limit = _month_rupiah(replace(family, month=as_it_is), programme)
        found = family.available_rupiah if limit is None else found + limit
        if found >= family.available_rupiah:
            return family.available_rupiah
    return found


def _fresh(month: date, programme: Programme, vouchers: Iterable[tuple[date, Voucher]]) -> Month:
    caps = programme.caps_of(month)
    counts = programme.package_counting is not PackageCounting.NO_LIMIT
    return Month(
        month=month,
        cap_rupiah=caps.cap_rupiah,
        packages_cap=caps.packages_cap if counts else None,
        used_rupiah=0,
        packages_used=0,
        covered_rupiah=0,
        covered_packages=0,
        vouchers=tuple(voucher for of_month, voucher in vouchers if of_month == month),
    )


def _month_rupiah(family: Family, programme: Programme) -> int | None:
    """The most that the month lets pass in all; None is no limit but what the family has."""
    room = room_of(family, programme)
    limits = [room.month_rupiah, room.packages_rupiah, *_carried(room.packages, programme)]
    return min((limit for limit in limits if limit is not None), default=None)


def _carried(packages: int | None, programme: Programme) -> Iterator[int]:
    """What the packages can carry where each purchase uses one."""
    if programme.package_counting is PackageCounting.PER_PURCHASE and None not in (packages, programme.package_rupiah):
        yield (packages or 0) * (programme.package_rupiah or 0)
