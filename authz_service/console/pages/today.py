"""A day's picture: sales by hour, kecamatan, category and shop, why purchases were declined, shops that are silent."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Final

from fastapi import APIRouter, Response

from authz_service.console.charts import bar, columns
from authz_service.console.visit import Here, Page, Visit
from authz_service.reports.period import FIRST_DAY, Period
from authz_service.reports.sales import Figures, Group, Row, SalesReport, hourly, sales_report
from authz_service.reports.silence import silent_shops
from authz_service.reports.words import Words
from authz_service.rules.phrases import Language
from authz_service.vocabulary import in_rupiah

router: Final = APIRouter(route_class=Page)
_SILENT: Final = 8
_ROWS: Final = 100


@router.get("/today")
async def today(visit: Here, day: str = "") -> Response:
    now = visit.now.astimezone(visit.zone).date()
    chosen = now
    with suppress(ValueError):
        chosen = min(now, max(FIRST_DAY, date.fromisoformat(day)))
    async with (
        visit.lent() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        report = await sales_report(connection, visit.programme, Period.day(chosen, visit.zone), visit.now)
        hours = await hourly(connection, visit.programme, chosen)
        silent = []
        if chosen == now:
            silent = list(await silent_shops(connection, visit.desk.settings, visit.programme_id, visit.now))
    words = Words(Language(visit.language))
    return visit.page(
        "today.html",
        report=report,
        chosen=chosen,
        is_today=chosen == now,
        first=FIRST_DAY.isoformat(),
        last=now.isoformat(),
        before=(chosen - timedelta(days=1)).isoformat() if chosen > FIRST_DAY else None,
        after=(chosen + timedelta(days=1)).isoformat() if chosen < now else None,
        declines=[(visit.t(f"reason.{reason}"), times) for reason, times in _often(report)],
        groups=[
            _group(word, report.of(group), words)
            for word, group in (
                ("today.districts", Group.DISTRICT),
                ("today.categories", Group.CATEGORY),
                ("today.shops", Group.SHOP),
            )
        ],
        bar=bar,
        hours=[(f"{hour:02}", figures) for hour, figures in enumerate(hours)],
        chart=_chart(visit, hours),
        silent=silent,
        silent_shown=_SILENT,
    )


def _group(word: str, rows: Sequence[Row], words: Words) -> tuple[str, list[tuple[str, Figures]], int]:
    """Its word, the rows with the most first, and the most. Shops of which nothing was heard are no rows."""
    with_something = [row for row in rows if row.group is not Group.SHOP or row.figures != Figures()]
    ordered = sorted(with_something, key=lambda row: -row.figures.net_rupiah)[:_ROWS]
    most = max((row.figures.net_rupiah for row in ordered), default=0)
    return word, [(row.name or words("other_goods"), row.figures) for row in ordered], most


def _often(report: SalesReport) -> list[tuple[str, int]]:
    """The most frequent reason first."""
    return sorted(report.total.declines.items(), key=lambda each: -each[1])


def _chart(visit: Visit, hours: Sequence[Figures]) -> str:
    best = max(range(len(hours)), key=lambda hour: hours[hour].captured_rupiah)
    most = hours[best].captured_rupiah
    summary = visit.t("today.hours_summary", hour=f"{best:02}", most=in_rupiah(most)) if most else visit.t("today.none")
    figures = [(f"{hour:02}", each.captured_rupiah, in_rupiah(each.captured_rupiah)) for hour, each in enumerate(hours)]
    return columns(
        figures, name="hours", title=visit.t("today.hours"), summary=summary, most_said=in_rupiah(most) if most else ""
    )
