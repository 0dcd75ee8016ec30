"""The sales of a day or a month, for people and as CSV. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from authz_service.reports.sales import OTHER_GOODS, Figures, Group, Row, SalesReport
from authz_service.reports.sheets import Cell, Kind, Paper, Sheet, made_at, said
from authz_service.reports.words import Words

CSV_COLUMNS: Final = (
    *("programme", "period", "group", "key", "name", "kecamatan", "reason"),
    *("captured_rupiah", "refunded_rupiah", "reversed_rupiah", "net_rupiah"),
    *("purchases", "families", "basket_rupiah", "declined"),
)
_AMOUNTS: Final = ("captured", "refunded", "reversed", "net")
_COUNTS: Final = ("purchases", "families", "basket", "declined")


def sales_rows(report: SalesReport) -> Iterator[Sequence[Cell]]:
    """As CSV: the total, then each row; after each, a line for each reason of its declines."""
    yield CSV_COLUMNS
    for row in (Row(group=Group.ALL, key="", name="", figures=report.total), *report.rows):
        figures = row.figures
        named = (report.programme_id, str(report.period), row.group, row.key, row.name, row.place)
        yield (*named, "", *_cells(figures))
        for reason, times in figures.declines.items():
            yield (*named, reason, *[None] * (len(CSV_COLUMNS) - len(named) - 2), times)


def sales_paper(report: SalesReport, words: Words) -> Paper:
    total, period = report.total, report.period
    whole = [words("total"), *_cells(total)]
    sheets = [
        _sheet(words, "districts", "district", report.of(Group.DISTRICT), whole),
        _sheet(words, "shops", "shop", report.of(Group.SHOP), whole),
        _sheet(words, "categories", "category", report.of(Group.CATEGORY), None),
        Sheet(
            title=words("declines"),
            columns=[(words("reason"), Kind.TEXT), (words("times"), Kind.COUNT)],
            rows=[(words.reason(reason), times) for reason, times in total.declines.items()],
            nothing=words("nothing"),
        ),
    ]
    if not period.is_one_day:
        sheets.insert(0, _sheet(words, "days", "day", report.of(Group.DAY), whole))
    decided = {"approved": report.approved, "cut": report.cut, "declined": total.declined}
    return Paper(
        title=f"{words('daily' if period.is_one_day else 'monthly')}: {words.period(period)}",
        programme=f"{report.programme_name} ({report.programme_id})",
        made=made_at(words, report.made_at, period.zone),
        notes=[words("decided", **{name: said(n, Kind.COUNT) for name, n in decided.items()}), words("sales_note")],
        sheets=sheets,
    )


def _sheet(words: Words, title: str, first: str, rows: Sequence[Row], total: Sequence[Cell] | None) -> Sheet:
    kinds = [Kind.RUPIAH if name in {*_AMOUNTS, "basket"} else Kind.COUNT for name in (*_AMOUNTS, *_COUNTS)]
    names = [words(name) for name in (*_AMOUNTS, *_COUNTS)]
    return Sheet(
        title=words(title),
        columns=[(words(first), Kind.TEXT), *zip(names, kinds, strict=True)],
        rows=[(_name(row, words), *_cells(row.figures)) for row in rows],
        total=total,
        nothing=words("nothing"),
    )


def _name(row: Row, words: Words) -> str:
    is_other = row.group is Group.CATEGORY and row.key == OTHER_GOODS
    return words("other_goods") if is_other else row.name


def _cells(figures: Figures) -> Sequence[Cell]:
    return (
        *(figures.captured_rupiah, figures.refunded_rupiah, figures.reversed_rupiah, figures.net_rupiah),
        *(figures.purchases, figures.families, figures.basket_rupiah, figures.declined),
    )
