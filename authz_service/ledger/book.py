"""The books as the hot path sees them: read once what a batch must know, record once what it decided."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import asyncpg
from msgspec import Struct

from authz_service.database import Connection
from authz_service.ledger.postings import Balance, Transfer
from authz_service.ledger.statements import FACTS, PARTS, SEEN, record_statement
from authz_service.vocabulary import ProgrammeId

NOBODY: Final = ""
"""Stands for the family where an answer concerns none: an unknown card's decline is journalled too."""

Row = tuple[Any, ...]


class Question(Struct, frozen=True, kw_only=True):
    """What one request needs to have read: its key, its STAN, and a card, an authorisation or an original's key."""

    principal_id: str
    key_digest: bytes | None
    original_digest: bytes | None
    stan: str | None
    terminal_time: datetime | None
    card_digest: bytes | None
    authorisation_id: str | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """What all decisions of one batch rest on: reference data of one version, one instant, and its month."""

    programme_id: ProgrammeId
    reference_version: int
    now: datetime
    month: date


class AllowanceUse(Struct, frozen=True, kw_only=True):
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
    keys_reversed: list[Row] = field(default_factory=list)
    """(key digest, principal, answer of the reversal)."""
    tombstones_met: list[Row] = field(default_factory=list)
    """(key digest, principal, STAN, terminal time) of an original that came after the reversal of its key."""
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
    asked = [
        (
            place,
            question.principal_id,
            question.key_digest,
            question.stan,
            question.terminal_time,
            question.card_digest,
            question.authorisation_id,
            question.original_digest,
        )
        for place, question in enumerate(questions)
    ]
    rows = await connection.fetch(FACTS, programme_id, asked, month, expired_by)
    rows.sort(key=_place)
    return rows


async def record(connection: asyncpg.Connection, snapshot: Snapshot, families: Iterable[FamilyRecord]) -> set[str]:
    """The families (or NOBODY) whose records are now durable; of the others nothing was written."""
    rows = _rows_by_kind(list(families))
    kinds = tuple(kind for kind in PARTS if rows[kind])
    arguments: list[Sequence[object]] = [[row[0] for row in rows[SEEN]], rows[SEEN]]
    for kind in kinds:
        arguments.append(rows[kind])
        arguments += ([row[place] for row in rows[kind]] for place in PARTS[kind].looked_up)
    known = (snapshot.programme_id, snapshot.reference_version, snapshot.now, snapshot.month)
    written = await connection.fetch(record_statement(kinds), *known, *arguments)
    return {row[0] for row in written}


def _rows_by_kind(families: list[FamilyRecord]) -> dict[str, list[Row]]:
    """Of SEEN and of each of PARTS, as their types in the schema are; every row begins with its family."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for family in families:
        who = family.beneficiary_id
        if who != NOBODY:
            change = family.balance
            rows[SEEN].append(
                (who, family.version, family.changes, change.available_rupiah, change.held_rupiah, change.spent_rupiah)
            )
        for month, use in family.allowances.items():
            amounts = (use.used_rupiah, use.packages_used, use.covered_rupiah, use.covered_packages)
            if use.returns:
                rows["allowances_returned"].append((who, month, *amounts))
            else:
                rows["allowances_used"].append((who, month, use.cap_rupiah, use.packages_cap, *amounts))
        rows["vouchers"] += [(who, voucher, *amounts) for voucher, amounts in family.vouchers.items()]
        rows["voucher_movements"] += [(who, *row) for row in family.voucher_movements]
        rows["request_keys"] += [(who, *row) for row in family.request_keys]
        rows["keys_reversed"] += [(who, *row) for row in family.keys_reversed]
        rows["tombstones_met"] += [(who, *row) for row in family.tombstones_met]
        rows["authorisations"] += [(who, *row) for row in family.authorisations]
        rows["holds_placed"] += [(who, *row) for row in family.holds_placed]
        rows["holds_changed"] += [(who, hold, *row) for hold, row in family.holds_changed.items()]
        rows["transfers"] += [_transfer_row(who, transfer) for transfer in family.transfers]
    return rows


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


def _place(row: asyncpg.Record) -> int:
    place: int = row["place"]
    return place
