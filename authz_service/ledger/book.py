"""The books as the hot path sees them: read once what a batch must know, record once what it decided."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from authz_service.database import Connection
from authz_service.ledger.postings import Balance, Transfer
from authz_service.ledger.statements import FACTS, RECORD
from authz_service.vocabulary import ProgrammeId

NOBODY: Final = ""
"""Stands for the family where an answer concerns none: an unknown card's decline is journalled too."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one request needs to have read: its key, its STAN, and a card, an authorisation or an original's key."""

    principal_id: str
    key_digest: bytes | None
    original_digest: bytes | None
    stan: str | None
    terminal_time: datetime | None
    card_digest: bytes | None
    authorisation_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowanceUse:
    """An addition to (or, negative, a return to) a month's allowance; `cap_rupiah` and `packages_cap` if it is new."""

    cap_rupiah: int | None
    packages_cap: int | None
    used_rupiah: int
    packages_used: int
    covered_rupiah: int
    covered_packages: int

    def __add__(self, other: "AllowanceUse") -> "AllowanceUse":
        return AllowanceUse(
            cap_rupiah=self.cap_rupiah,
            packages_cap=self.packages_cap,
            used_rupiah=self.used_rupiah + other.used_rupiah,
            packages_used=self.packages_used + other.packages_used,
            covered_rupiah=self.covered_rupiah + other.covered_rupiah,
            covered_packages=self.covered_packages + other.covered_packages,
        )

    @property
    def returns(self) -> bool:
        """Something in it was given back, so the month's row is there already; as a row of its own it would be none."""
        least = min(self.used_rupiah, self.packages_used, self.covered_rupiah, self.covered_packages)
        return least < 0 or self.covered_rupiah > self.used_rupiah


@dataclass(slots=True, kw_only=True)
class FamilyRecord:
    """All that one batch writes for one family, or nothing of it: `version` guards the whole."""

    beneficiary_id: str
    version: int
    balance: Balance = field(default_factory=Balance)
    changes: bool = False
    expired: int = 0
    """Holds whose end this record writes."""
    allowances: dict[date, AllowanceUse] = field(default_factory=dict)
    vouchers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """voucher → change of rupiah and packages used."""
    voucher_movements: list[Row] = field(default_factory=list)
    """(transfer, voucher, authorisation, rupiah and packages taken from the voucher; less than 0: given back)."""
    request_keys: list[Row] = field(default_factory=list)
    reversed_keys: list[Row] = field(default_factory=list)
    """(principal, key digest, answer of the reversal)."""
    authorisations: list[Row] = field(default_factory=list)
    holds_placed: list[Row] = field(default_factory=list)
    holds_changed: dict[str, Row] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)

    def use_allowance(self, month: date, use: AllowanceUse) -> None:
        known = self.allowances.get(month)
        self.allowances[month] = use if known is None else known + use

    def use_voucher(self, voucher_id: str, amount_rupiah: int, packages: int) -> None:
        rupiah_before, packages_before = self.vouchers.get(voucher_id, (0, 0))
        self.vouchers[voucher_id] = (rupiah_before + amount_rupiah, packages_before + packages)


async def read_facts(
    connection: Connection,
    programme_id: ProgrammeId,
    month: date,
    expired_by: datetime,
    questions: Sequence[Question],
) -> list[asyncpg.Record]:
    """One row per question, in their order, all of one snapshot, with the database's time."""
    rows = await connection.fetch(
        FACTS,
        programme_id,
        list(range(len(questions))),
        [question.principal_id for question in questions],
        [question.key_digest for question in questions],
        [question.stan for question in questions],
        [question.terminal_time for question in questions],
        [question.card_digest for question in questions],
        [question.authorisation_id for question in questions],
        month,
        expired_by,
        [question.original_digest for question in questions],
    )
    rows.sort(key=_place)
    return rows


async def record(
    connection: asyncpg.Connection, programme_id: ProgrammeId, reference_version: int, families: Iterable[FamilyRecord]
) -> set[str]:
    """The families (or NOBODY) whose records are now durable; of the others nothing was written."""
    rows = await connection.fetch(RECORD, programme_id, reference_version, *_columns(list(families)))
    return {row[0] for row in rows}


def _columns(families: list[FamilyRecord]) -> list[Sequence[Any]]:
    """The arrays of RECORD, table by table in its order; every row begins with its family."""
    used: list[Row] = []
    returned: list[Row] = []
    tables: dict[str, list[Row]] = defaultdict(list)
    for family in families:
        who = family.beneficiary_id
        if who != NOBODY:
            change = family.balance
            tables["seen"].append(
                (who, family.version, family.changes, change.available_rupiah, change.held_rupiah, change.spent_rupiah)
            )
        for month, use in family.allowances.items():
            amounts = (use.used_rupiah, use.packages_used, use.covered_rupiah, use.covered_packages)
            if use.returns:
                returned.append((who, month, *amounts))
            else:
                used.append((who, month, use.cap_rupiah, use.packages_cap, *amounts))
        tables["vouchers"] += [(who, voucher, *amounts) for voucher, amounts in family.vouchers.items()]
        tables["voucher_movements"] += [(who, *row) for row in family.voucher_movements]
        tables["request_keys"] += [(who, *row) for row in family.request_keys]
        tables["reversed_keys"] += [(who, *row) for row in family.reversed_keys]
        tables["authorisations"] += [(who, *row) for row in family.authorisations]
        tables["holds_placed"] += [(who, *row) for row in family.holds_placed]
        tables["holds_changed"] += [(who, hold, *row) for hold, row in family.holds_changed.items()]
        tables["transfers"] += [_transfer_row(who, transfer) for transfer in family.transfers]
    return [
        *_turned(tables["seen"], 6),
        *_turned(used, 8),
        *_turned(returned, 6),
        *_turned(tables["vouchers"], 4),
        *_turned(tables["voucher_movements"], 6),
        *_turned(tables["request_keys"], 12),
        *_turned(tables["authorisations"], 14),
        *_turned(tables["holds_placed"], 11),
        *_turned(tables["holds_changed"], 7),
        *_turned(tables["transfers"], 10),
        *_turned(tables["reversed_keys"], 4),
    ]


def _transfer_row(who: str, transfer: Transfer) -> Row:
    return (
        who,
        transfer.transfer_id,
        transfer.kind,
        transfer.cause,
        transfer.debit_account_id,
        transfer.credit_account_id,
        transfer.amount_rupiah,
        transfer.authorisation_id,
        transfer.reason,
        transfer.created_at,
    )


def _turned(rows: list[Row], width: int) -> Sequence[Sequence[Any]]:
    """Rows as columns; as many empty columns where there are no rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _place(row: asyncpg.Record) -> int:
    place: int = row["place"]
    return place
