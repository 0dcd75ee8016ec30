"""The closing statement: where every rupiah of a closed programme went, and the sums that prove it.

Computed from the books only, so it is the same whenever it is asked for.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from authz_service.answers import CURRENCY
from authz_service.database import Connection
from authz_service.ledger.entries import one_snapshot
from authz_service.settings import Settings
from authz_service.settlement.payables import Payable, payables
from authz_service.vocabulary import ProgrammeId, in_rupiah, several

FORMATS: Final = (".csv", ".json")
_PROGRAMME: Final = "SELECT name, zone, ends_at, closed_at FROM programme WHERE programme_id = $1"
_MOVED: Final = """
-- What moved in the whole life of the programme, by what it was for.
SELECT coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'fund'), 0)::bigint AS funded_rupiah,
       coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'grant'), 0)::bigint AS granted_rupiah,
       coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'return' AND credit_account_id = 'unallocated'
                                             AND cause <> 'close'), 0)::bigint AS returned_before_rupiah,
       coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'return' AND credit_account_id = 'unallocated'
                                             AND cause = 'close'), 0)::bigint AS returned_at_close_rupiah,
       coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'return' AND credit_account_id = 'sponsor'), 0)::bigint
         AS returned_to_sponsor_rupiah,
       coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'post'), 0)::bigint AS captured_rupiah,
       coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'refund'), 0)::bigint AS refunded_rupiah,
       coalesce(sum(CASE kind WHEN 'payout_settled' THEN amount_rupiah ELSE -amount_rupiah END)
                FILTER (WHERE kind = 'payout_settled' OR kind = 'return' AND debit_account_id = 'fund'), 0)::bigint
         AS paid_rupiah,
       (SELECT count(*)
          FROM (SELECT m.merchant_id
                  FROM merchant m
                  JOIN transfer t ON t.programme_id = $1 AND t.authorisation_id IS NULL
                                 AND t.kind IN ('payout', 'payout_failed', 'return')
                                 AND m.merchant_id IN (t.debit_account_id, t.credit_account_id)
                 WHERE m.programme_id = $1
                 GROUP BY m.merchant_id
                HAVING sum(CASE t.kind WHEN 'payout' THEN t.amount_rupiah ELSE -t.amount_rupiah END) > 0) paid
       ) AS shops_paid
  FROM transfer
 WHERE programme_id = $1
"""
_WALLETS: Final = """
-- What families have now.
SELECT count(*) AS families, coalesce(sum(available_rupiah), 0)::bigint AS available_rupiah,
       coalesce(sum(held_rupiah), 0)::bigint AS held_rupiah, coalesce(sum(spent_rupiah), 0)::bigint AS spent_rupiah
  FROM wallet
 WHERE programme_id = $1
"""


class NotClosedYet(Exception):  # noqa: N818
    """The programme is not closed yet, so it has no closing statement; `authz programme show` says what is open."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class StatementNotWritten(Exception):  # noqa: N818
    """The statement could not be written to that file; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """Two ways to the same sum, each in words and in rupiah."""

    left: str
    left_rupiah: int
    right: str
    right_rupiah: int

    @property
    def holds(self) -> bool:
        return self.left_rupiah == self.right_rupiah


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingStatement:
    """All of it in rupiah. `receivables` are the shops that gave back more than they were still owed."""

    programme_id: ProgrammeId
    name: str
    ends_at: datetime
    closed_at: datetime
    families: int
    shops_paid: int
    funded_rupiah: int
    granted_rupiah: int
    returned_before_rupiah: int
    returned_at_close_rupiah: int
    available_rupiah: int
    held_rupiah: int
    spent_rupiah: int
    captured_rupiah: int
    refunded_rupiah: int
    paid_rupiah: int
    returned_to_sponsor_rupiah: int
    receivables: tuple[Payable, ...]

    @property
    def receivable_rupiah(self) -> int:
        return sum(shop.amount_rupiah for shop in self.receivables)

    @property
    def ties(self) -> tuple[Tie, ...]:
        """What has to be equal: families' wallets, purchases, shops, and the bank."""
        returned = self.returned_before_rupiah + self.returned_at_close_rupiah
        return (
            Tie(
                left="granted - returned by families",
                left_rupiah=self.granted_rupiah - returned,
                right="available + held + spent in the wallets",
                right_rupiah=self.available_rupiah + self.held_rupiah + self.spent_rupiah,
            ),
            Tie(
                left="captured - refunded",
                left_rupiah=self.captured_rupiah - self.refunded_rupiah,
                right="spent",
                right_rupiah=self.spent_rupiah,
            ),
            Tie(
                left="spent",
                left_rupiah=self.spent_rupiah,
                right="paid to shops - owed by shops",
                right_rupiah=self.paid_rupiah - self.receivable_rupiah,
            ),
            Tie(
                left="funded",
                left_rupiah=self.funded_rupiah,
                right="paid to shops - owed by shops + returned to the sponsor",
                right_rupiah=self.paid_rupiah - self.receivable_rupiah + self.returned_to_sponsor_rupiah,
            ),
        )


async def closing_statement(connection: Connection, settings: Settings, programme_id: ProgrammeId) -> ClosingStatement:
    """The statement of a closed programme."""
    async with one_snapshot(connection, settings):
        return await statement_of(connection, programme_id)


async def statement_of(connection: Connection, programme_id: ProgrammeId) -> ClosingStatement:
    """As `closing_statement`, for a caller who is in a transaction in which nobody else can write."""
    programme = await connection.fetchrow(_PROGRAMME, programme_id)
    moved = await connection.fetchrow(_MOVED, programme_id)
    wallets = await connection.fetchrow(_WALLETS, programme_id)
    if programme is None or programme["closed_at"] is None or moved is None or wallets is None:
        raise NotClosedYet
    zone = ZoneInfo(programme["zone"])
    return ClosingStatement(
        programme_id=programme_id,
        name=programme["name"],
        ends_at=programme["ends_at"].astimezone(zone),
        closed_at=programme["closed_at"].astimezone(zone),
        receivables=tuple(_owing(await payables(connection, programme_id))),
        **moved,
        **wallets,
    )


def _owing(shops: Sequence[Payable]) -> Iterator[Payable]:
    for shop in shops:
        if shop.amount_rupiah < 0:
            yield Payable(merchant_id=shop.merchant_id, name=shop.name, amount_rupiah=-shop.amount_rupiah)


def render(statement: ClosingStatement, console: Console) -> None:
    """The console shows the statement, and under it each tie with both its sides."""
    closed = f"{statement.programme_id}, closed on {statement.closed_at:%-d %B %Y at %H:%M %Z}."
    console.print(f"\nClosing statement: {statement.name}", style="bold", highlight=False, markup=False)
    console.print(closed, style="dim", highlight=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    for what, amount_rupiah in _lines(statement):
        table.add_row(what, in_rupiah(amount_rupiah))
    console.print(table)
    for tie in statement.ties:
        mark, style = ("✓", "green") if tie.holds else ("✗", "bold red")
        said = f"{mark} {tie.left} {in_rupiah(tie.left_rupiah)} = {tie.right} {in_rupiah(tie.right_rupiah)}"
        console.print(said, style=style, highlight=False, markup=False, soft_wrap=True)


def write(statement: ClosingStatement, path: Path) -> None:
    """The file has the statement, as its name says: .json or .csv."""
    require_format(path)
    text = _as_json(statement) if path.suffix == ".json" else _as_csv(statement)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StatementNotWritten(f"The statement was not written to {path}: {error.strerror}.") from error


def require_format(path: Path) -> None:
    """To be asked before anything is done: the file's name says how the statement is written."""
    if path.suffix not in FORMATS:
        raise StatementNotWritten(f"A statement is written as {' or '.join(FORMATS)}, not as {path.name!r}.")


def _lines(statement: ClosingStatement) -> Iterator[tuple[str, int]]:
    """The control total first, then where it went."""
    yield f"Control total: granted to {several(statement.families, 'family', 'families')}", statement.granted_rupiah
    yield "Returned by families during the programme", statement.returned_before_rupiah
    yield "Returned by families at its close", statement.returned_at_close_rupiah
    yield "Left to families", statement.available_rupiah + statement.held_rupiah
    yield "Captured by shops", statement.captured_rupiah
    yield "Refunded by shops", statement.refunded_rupiah
    yield "Spent by families", statement.spent_rupiah
    yield f"Paid to {several(statement.shops_paid, 'shop')}", statement.paid_rupiah
    yield f"Owed by {several(len(statement.receivables), 'shop')}", statement.receivable_rupiah
    for shop in statement.receivables:
        yield f"  {shop.name} ({shop.merchant_id})", shop.amount_rupiah
    yield "Funded by the sponsor", statement.funded_rupiah
    yield "Returned to the sponsor", statement.returned_to_sponsor_rupiah


def _as_json(statement: ClosingStatement) -> str:
    document = asdict(statement) | {
        "currency": CURRENCY,
        "receivable_rupiah": statement.receivable_rupiah,
        "ties": [asdict(tie) | {"holds": tie.holds} for tie in statement.ties],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _as_csv(statement: ClosingStatement) -> str:
    """A line for each figure, then one for each side of a tie; what is of one shop names it."""
    file = StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(("programme_id", "closed_at", "what", "amount_rupiah"))
    figures = [
        *((what.strip(), amount_rupiah) for what, amount_rupiah in _lines(statement)),
        *((f"Tie {n}, left: {tie.left}", tie.left_rupiah) for n, tie in enumerate(statement.ties, start=1)),
        *((f"Tie {n}, right: {tie.right}", tie.right_rupiah) for n, tie in enumerate(statement.ties, start=1)),
    ]
    for what, amount_rupiah in figures:
        lines.writerow((statement.programme_id, statement.closed_at.isoformat(), what, amount_rupiah))
    return file.getvalue()
