"""What the database says of the shops' money: what the bank told, what its statement shows, what the books have."""

from typing import Final

import asyncpg
from rich import box
from rich.console import Console
from rich.table import Table

from authz_service.demo import figures
from authz_service.demo.bank import Told
from authz_service.demo.report import counted
from authz_service.demo.town import DemoFailedError
from authz_service.vocabulary import ProgrammeId, in_rupiah

_ROWS: Final = (
    ("the city's money that came", "deposits", "funded_rupiah"),
    ("payments ordered", "payments", "ordered_rupiah"),
    ("  settled by the bank's notice", "by_notice", "by_notice_rupiah"),
    ("  settled by its statement, before a notice came", "by_statement", "by_statement_rupiah"),
    ("  came back, and were paid again", "came_back", "came_back_rupiah"),
    ("notices kept", "notices", None),
    ("  on a later day than the payment", "late", None),
    ("  told a second time", "twice", None),
    ("  pending, though it was paid", "out_of_order", None),
    ("  parked", "parked", None),
    ("the same notice again, answered as before", "repeated", None),
    ("forged, refused", "forged", None),
    ("lines of the statement", "lines", None),
    ("  that nothing here explains", "exceptions", None),
)
"""What it is, how often it happened, and how much money that was."""


async def print_settled(
    connection: "asyncpg.Connection[asyncpg.Record]", programme_id: ProgrammeId, told: Told, console: Console
) -> None:
    """Nothing is owed, on its way or parked, and the statement is the books; else the demo has failed."""
    row = await connection.fetchrow(figures.SETTLED, programme_id)
    if row is None:
        raise DemoFailedError("Nobody was paid.")
    found = dict(row)
    found |= {"repeated": told.acknowledged - found["notices"], "forged": told.forged}
    console.print("\nThe bank and the books", style="bold", highlight=False)
    console.print(
        "What the bank was ordered to pay, told by SNAP, and shows in its statement.",
        style="dim",
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, heading in enumerate(("what", "number", "rupiah")):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for what, number, rupiah in _ROWS:
        table.add_row(what, counted(found[number]), in_rupiah(found[rupiah]) if rupiah else "")
    console.print(table)
    console.print(
        f"\nStatement = books: {in_rupiah(found['closing_rupiah'])} at the bank = {in_rupiah(found['books_rupiah'])}"
        f" in the books; payable {in_rupiah(found['payable_rupiah'])}, clearing {in_rupiah(found['clearing_rupiah'])}",
        style="bold",
        highlight=False,
        soft_wrap=True,
    )
    _require_all_settled(found)


def _require_all_settled(found: dict[str, int]) -> None:
    if found["closing_rupiah"] != found["books_rupiah"]:
        raise DemoFailedError("The bank's statement and the books differ.")
    if open_ := [each for each in ("payable_rupiah", "clearing_rupiah", "parked", "exceptions") if found[each]]:
        raise DemoFailedError(f"The quarter is not settled: {', '.join(open_)} should be nothing.")
