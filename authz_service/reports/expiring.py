"""What would expire unused on the last day: of each companion's families, of each kecamatan's, and of all.

Beside what is left stands what the rooms of the months let pass: who has more than that needs a voucher.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import orjson

from authz_service.clock import month_of
from authz_service.database import Connection
from authz_service.families import family_at_work
from authz_service.registry import Reference
from authz_service.reports.families import families, no_id
from authz_service.reports.reach import months_left, within_reach
from authz_service.rules.facts import Family, Voucher
from authz_service.vocabulary import BeneficiaryStatus, VoucherId


class Of(StrEnum):
    """Whose families a row adds up."""

    COMPANION = "companion"
    DISTRICT = "kecamatan"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """What families have not spent (rupiah): the three parts are the whole. What is held for them is not in it."""

    families: int = 0
    within_reach_rupiah: int = 0
    """Could still be spent by the rooms of the months that are left."""
    beyond_reach_rupiah: int = 0
    """Expires on the last day unless a companion vouches."""
    beyond_reach_families: int = 0
    suspended_rupiah: int = 0
    """Of families that may not buy at all now."""

    @property
    def left_rupiah(self) -> int:
        return self.within_reach_rupiah + self.beyond_reach_rupiah + self.suspended_rupiah

    def __add__(self, other: "Unused") -> "Unused":
        return Unused(
            families=self.families + other.families,
            within_reach_rupiah=self.within_reach_rupiah + other.within_reach_rupiah,
            beyond_reach_rupiah=self.beyond_reach_rupiah + other.beyond_reach_rupiah,
            beyond_reach_families=self.beyond_reach_families + other.beyond_reach_families,
            suspended_rupiah=self.suspended_rupiah + other.suspended_rupiah,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedRow:
    """`key` is the companion's label or the kecamatan's code."""

    of: Of
    key: str
    unused: Unused


async def what_expires(
    connection: Connection, reference: Reference, now: datetime, *, companion: str | None = None
) -> AsyncIterator[UnusedRow]:
    """In the caller's snapshot: a row for each companion who has such families, in the order of their labels, then one
    for each kecamatan that families live in, then that of all."""
    districts: defaultdict[str, Unused] = defaultdict(Unused)
    total, label, of_label = Unused(), None, Unused()
    async for companion_label, district_code, unused in _each(connection, reference, now, companion):
        if label is not None and label != companion_label:
            yield UnusedRow(of=Of.COMPANION, key=label, unused=of_label)
            of_label = Unused()
        label, of_label, total = companion_label, of_label + unused, total + unused
        districts[district_code] += unused
    if label is not None:
        yield UnusedRow(of=Of.COMPANION, key=label, unused=of_label)
    for code in sorted(districts):
        yield UnusedRow(of=Of.DISTRICT, key=code, unused=districts[code])
    yield UnusedRow(of=Of.ALL, key="", unused=total)


async def _each(
    connection: Connection, reference: Reference, now: datetime, companion: str | None
) -> AsyncIterator[tuple[str, str, Unused]]:
    """(companion's label, kecamatan's code, what is unused) of each family that has something left."""
    programme, months = reference.programme, months_left(reference.programme, now)
    month = month_of(now, programme.zone)
    async for row in families(connection, reference, month, now, companion, idle_only=False, with_names=False):
        family = family_at_work(row, month, now, reference, no_id).seen
        if family.available_rupiah:
            reach = within_reach(family, programme, months, _later(row["later_vouchers"]))
            yield row["companion_label"], row["district_code"], _unused(family, reach)


def _unused(family: Family, reach_rupiah: int) -> Unused:
    if family.status is not BeneficiaryStatus.ACTIVE:
        return Unused(families=1, suspended_rupiah=family.available_rupiah)
    beyond = family.available_rupiah - reach_rupiah
    return Unused(
        families=1,
        within_reach_rupiah=reach_rupiah,
        beyond_reach_rupiah=beyond,
        beyond_reach_families=int(beyond > 0),
    )


def _later(rows: str | None) -> list[tuple[date, Voucher]]:
    """Vouchers of months to come: nothing of them is used yet."""
    return [
        (
            date.fromisoformat(month),
            Voucher(
                voucher_id=VoucherId(voucher_id),
                rupiah_left=rupiah,
                packages_left=packages,
                expires_at=datetime.fromisoformat(until),
            ),
        )
        for month, voucher_id, rupiah, packages, until in (orjson.loads(rows) if rows else [])
    ]
