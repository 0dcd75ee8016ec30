"""What the database says about the quarter: every printed figure is an answer to a statement of `figures.py`."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import asyncpg
from rich import box
from rich.console import Console
from rich.table import Table

from authz_service.declines import DeclineReason
from authz_service.demo import figures
from authz_service.demo.town import DemoFailedError
from authz_service.vocabulary import ProgrammeId, in_rupiah

Show = Callable[[Any], str]
Column = tuple[str, str, Show]
"""Heading, name in the row, and how it is written."""
TOTAL: Final = "total"


async def print_report(
    connection: "asyncpg.Connection[asyncpg.Record]", programme_id: ProgrammeId, console: Console
) -> None:
    """The console shows the quarter by month, category and kecamatan, declines, what is left, and the control total."""
    for title, caption, statement, columns in _TABLES:
        _print(console, title, caption, columns, await connection.fetch(statement, programme_id))
    reasons = [str(reason) for reason in DeclineReason]
    rows = await connection.fetch(figures.DECLINES, programme_id, reasons)
    _print(console, "Declines by reason", "The first failed check of each declined request.", _DECLINES, rows)
    await _print_money_left(connection, programme_id, console)
    _print_control(console, await connection.fetchrow(figures.CONTROL, programme_id))


def counted(number: int | None) -> str:
    """`5.301`: dots between thousands, as beside it in the rupiah."""
    return f"{number or 0:,}".replace(",", ".")


def _rupiah(amount_rupiah: int | None) -> str:
    return in_rupiah(amount_rupiah or 0)


def _percent(part: Decimal | None) -> str:
    return "" if part is None else f"{part} %".replace(".", ",")


def _month(month: date | None) -> str:
    return TOTAL if month is None else f"{month:%b %Y}"


def _name(name: str | None) -> str:
    return TOTAL if name is None else name


def _code(reason: str | None) -> str:
    return "" if reason is None else DeclineReason(reason).response_code


_TABLES: Final[tuple[tuple[str, str, str, tuple[Column, ...]], ...]] = (
    (
        "By month",
        "The month of the authorisation. Captured money; a purchase is one of which something was captured.",
        figures.BY_MONTH,
        (
            ("month", "month", _month),
            ("families", "families", counted),
            ("purchases", "purchases", counted),
            ("captured", "captured_rupiah", _rupiah),
            ("voided", "voided", counted),
            ("expired", "expired", counted),
            ("declined", "declined", counted),
        ),
    ),
    (
        "By category",
        "Captured money, counted to the lines of each purchase in their order.",
        figures.BY_CATEGORY,
        (
            ("category", "name", _name),
            ("purchases with it", "purchases", counted),
            ("captured", "captured_rupiah", _rupiah),
            ("share", "percent", _percent),
        ),
    ),
    (
        "By kecamatan",
        "Where the families live. Captured money; used: of their grants; near: purchases in the same kecamatan.",
        figures.BY_KECAMATAN,
        (
            ("kecamatan", "name", _name),
            ("families", "families", counted),
            ("purchases", "purchases", counted),
            ("captured", "captured_rupiah", _rupiah),
            ("used", "used_percent", _percent),
            ("near", "near_percent", _percent),
        ),
    ),
    (
        "Vouchers",
        "What companions allowed over a month's cap, and what of it was used.",
        figures.VOUCHERS,
        (
            ("month", "month", _month),
            ("vouchers", "vouchers", counted),
            ("families", "families", counted),
            ("packages", "extra_packages", counted),
            ("used", "packages_used", counted),
            ("rupiah", "extra_rupiah", _rupiah),
            ("used", "used_rupiah", _rupiah),
        ),
    ),
)
_DECLINES: Final[tuple[Column, ...]] = (
    ("reason", "reason", _name),
    ("code", "reason", _code),
    ("declines", "declines", counted),
    ("families", "families", counted),
    ("shops", "shops", counted),
)


async def _print_money_left(
    connection: "asyncpg.Connection[asyncpg.Record]", programme_id: ProgrammeId, console: Console
) -> None:
    terms = await connection.fetchrow(figures.TERMS, programme_id)
    if terms is None:
        raise DemoFailedError("The programme is not enrolled.")
    steps = {
        None: TOTAL,
        "nothing": "nothing",
        "package": f"less than {in_rupiah(terms['package_rupiah'])}",
        "month": f"less than {in_rupiah(terms['month_cap_rupiah'])}",
        "more": f"less than {in_rupiah(terms['entitlement_rupiah'])}",
        "all": "all of it",
        "removed": "families removed meanwhile",
    }
    columns: tuple[Column, ...] = (
        ("left", "step", steps.__getitem__),
        ("families", "families", counted),
        ("available", "available_rupiah", _rupiah),
        ("held", "held_rupiah", _rupiah),
        ("spent", "spent_rupiah", _rupiah),
    )
    rows = await connection.fetch(figures.MONEY_LEFT, programme_id)
    _print(console, "Money left", "The wallets of the families, by what is available in them.", columns, rows)


def _print_control(console: Console, row: asyncpg.Record | None) -> None:
    """Grants = available + held + spent, or the demo has failed."""
    if row is None:
        raise DemoFailedError("The programme has no books.")
    granted, returned, available, held, spent = row
    console.print(
        f"\nControl total: {in_rupiah(granted)} granted - {in_rupiah(returned)} returned"
        f" = {in_rupiah(available)} available + {in_rupiah(held)} held + {in_rupiah(spent)} spent",
        style="bold",
        highlight=False,
        soft_wrap=True,
    )
    if granted - returned != available + held + spent:
        raise DemoFailedError("The control total is not right: the two sides of it differ.")


def _print(
    console: Console, title: str, caption: str, columns: Sequence[Column], rows: Sequence[asyncpg.Record]
) -> None:
    console.print(f"\n{title}", style="bold", highlight=False)
    console.print(caption, style="dim", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, (heading, _, _) in enumerate(columns):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for number, row in enumerate(rows, start=1):
        is_before_total = number == len(rows) - 1
        table.add_row(*(show(row[name]) for _, name, show in columns), end_section=is_before_total)
    console.print(table)
