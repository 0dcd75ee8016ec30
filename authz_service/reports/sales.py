"""The sales of a day or a month: what was captured and given back, by whom and of what, and what was declined and why.

Money is dated by its transfer, so the reports of all days add up to the books; who bought counts once in a period.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

import asyncpg

from authz_service.database import Connection
from authz_service.declines import APPROVED, PRECEDENCE, DeclineReason
from authz_service.registry import Reference
from authz_service.reports.period import Period
from authz_service.reports.statements import (
    CATEGORIES,
    DECISIONS,
    DECLINED_CATEGORIES,
    DECLINED_SPANS,
    SALES,
    SPANS,
)

OTHER_GOODS: Final = ""
"""Stands for every category that the programme does not sell."""


class Group(StrEnum):
    """What a row is about."""

    ALL = "all"
    DAY = "day"
    SHOP = "shop"
    DISTRICT = "kecamatan"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of a group in a period. `refunded` leaves out what reversals undid: that never was a sale."""

    captured_rupiah: int = 0
    refunded_rupiah: int = 0
    reversed_rupiah: int = 0
    kept_rupiah: int = 0
    """Captured by `purchases`: without those that were undone in the same period."""
    purchases: int = 0
    families: int = 0
    declines: Mapping[str, int] = field(default_factory=dict)
    """Reason → how often, in precedence."""

    @property
    def net_rupiah(self) -> int:
        """What the shops are owed for the period."""
        return self.captured_rupiah - self.refunded_rupiah - self.reversed_rupiah

    @property
    def basket_rupiah(self) -> int | None:
        """The average purchase, rounded half up; None where there is none."""
        return (2 * self.kept_rupiah + self.purchases) // (2 * self.purchases) if self.purchases else None

    @property
    def declined(self) -> int:
        return sum(self.declines.values())

    @classmethod
    def of(cls, row: asyncpg.Record | None, declines: Mapping[str, int]) -> Self:
        ordered = dict(sorted(declines.items(), key=lambda each: PRECEDENCE[DeclineReason(each[0])]))
        return cls(**({name: row[name] for name in _FIGURES} if row else {}), declines=ordered)


_FIGURES: Final = ("captured_rupiah", "refunded_rupiah", "reversed_rupiah", "kept_rupiah", "purchases", "families")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a report; `key` is the shop's id, the kecamatan's code, the category or the day."""

    group: Group
    key: str
    name: str
    figures: Figures
    place: str = ""
    """Of a shop: the name of its kecamatan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesReport:
    """All rows are of one snapshot, at `made_at`; `approved` and `cut` count decisions, `cut` those of a part."""

    programme_id: str
    programme_name: str
    period: Period
    made_at: datetime
    approved: int
    cut: int
    total: Figures
    rows: Sequence[Row]

    def of(self, group: Group) -> Sequence[Row]:
        return [row for row in self.rows if row.group is group]


async def sales_report(connection: Connection, reference: Reference, period: Period, now: datetime) -> SalesReport:
    """In the caller's snapshot. Each shop, kecamatan and category has a row, also where nothing was sold."""
    arguments = _arguments(reference, period)
    sold = await connection.fetch(SALES, *arguments)
    decided = await connection.fetch(DECISIONS, *arguments)
    of_goods = await connection.fetch(CATEGORIES, *arguments)
    asked = await connection.fetch(DECLINED_CATEGORIES, *arguments)
    counts = {row["reason"]: row for row in decided if row["merchant_id"] is None and row["district_code"] is None}
    declines = {reason: row["decisions"] for reason, row in counts.items() if reason != APPROVED}
    total = next((row for row in sold if row["merchant_id"] is None and row["district_code"] is None), None)
    approved = counts.get(APPROVED)
    days = await _days(connection, reference, period) if not period.is_one_day else []
    return SalesReport(
        programme_id=reference.programme.programme_id,
        programme_name=reference.programme.name,
        period=period,
        made_at=now,
        approved=approved["decisions"] if approved else 0,
        cut=approved["cut"] if approved else 0,
        total=Figures.of(total, declines),
        rows=[
            *days,
            *_shops(reference, _by(sold, "merchant_id"), _declines_by(decided, "merchant_id")),
            *_districts(reference, _by(sold, "district_code"), _declines_by(decided, "district_code")),
            *_categories(reference, _by(of_goods, "category"), _declines_by(asked, "category")),
        ],
    )


async def hourly(connection: Connection, reference: Reference, day: date) -> Sequence[Figures]:
    """The 24 hours of a day of the programme's zone."""
    found = await _spans(connection, reference, Period.day(day, reference.programme.zone), "hour")
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the wall clock of the zone
    return [found.get(midnight + timedelta(hours=hour), Figures()) for hour in range(24)]


async def _days(connection: Connection, reference: Reference, period: Period) -> list[Row]:
    found = await _spans(connection, reference, period, "day")
    return [
        Row(group=Group.DAY, key=f"{at:%Y-%m-%d}", name=f"{at:%Y-%m-%d}", figures=found[at]) for at in sorted(found)
    ]


async def _spans(connection: Connection, reference: Reference, period: Period, unit: str) -> dict[datetime, Figures]:
    """Of each hour or day in which something happened, by the zone's wall clock."""
    arguments = (*_arguments(reference, period), unit)
    sold = {row["span"]: row for row in await connection.fetch(SPANS, *arguments)}
    declines = _declines_by(await connection.fetch(DECLINED_SPANS, *arguments), "span")
    return {span: Figures.of(sold.get(span), declines[span]) for span in {*sold, *declines}}


def _shops(
    reference: Reference, sold: Mapping[str, asyncpg.Record], declines: Mapping[str, Mapping[str, int]]
) -> Iterable[Row]:
    for shop in sorted(reference.shops.values(), key=lambda each: (each.district_code, each.name)):
        figures = Figures.of(sold.get(shop.merchant_id), declines[shop.merchant_id])
        yield Row(group=Group.SHOP, key=shop.merchant_id, name=shop.name, place=shop.district_name, figures=figures)


def _districts(
    reference: Reference, sold: Mapping[str, asyncpg.Record], declines: Mapping[str, Mapping[str, int]]
) -> Iterable[Row]:
    names = {shop.district_code: shop.district_name for shop in reference.shops.values()}
    for code in sorted(names):
        yield Row(group=Group.DISTRICT, key=code, name=names[code], figures=Figures.of(sold.get(code), declines[code]))


def _categories(
    reference: Reference, sold: Mapping[str, asyncpg.Record], declines: Mapping[str, Mapping[str, int]]
) -> Iterable[Row]:
    """In the order of the programme's list; then what is on it no more, and what never was."""
    names = reference.programme.categories
    for category in [*names, *sorted({*sold, *declines} - {*names})]:
        figures = Figures.of(sold.get(category), declines[category])
        yield Row(group=Group.CATEGORY, key=category, name=names.get(category, category), figures=figures)


def _by(rows: Sequence[asyncpg.Record], column: str) -> dict[str, asyncpg.Record]:
    return {row[column]: row for row in rows if row[column] is not None}


def _declines_by(rows: Sequence[asyncpg.Record], column: str) -> dict[Any, dict[str, int]]:
    found: dict[Any, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row[column] is not None and row["reason"] != APPROVED:
            found[row[column]][row["reason"]] = row["decisions"]
    return found


def _arguments(reference: Reference, period: Period) -> tuple[Any, ...]:
    programme = reference.programme
    return programme.programme_id, period.starts_at, period.ends_at, *period.ids, programme.zone.key
