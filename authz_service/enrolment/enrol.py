"""A programme enters the books: an edition's files and a synthetic roll become rows, all of them or none."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from authz_service.database import Connection
from authz_service.enrolment.edition import Edition, EnrolmentRefused, load_edition
from authz_service.enrolment.first_rows import Plan, Row, first_rows
from authz_service.enrolment.sandbox import (
    SandboxCard,
    SandboxCompanion,
    SandboxOperator,
    SandboxTerminal,
    SandboxTills,
)
from authz_service.enrolment.synthetic import SyntheticFamily, SyntheticShop, draw
from authz_service.keys import Keys
from authz_service.vocabulary import ProgrammeId

Progress = Callable[[str, int, int], None]
"""Told, after each table: its name, the rows written so far, the rows in all."""


class AlreadyEnrolled(EnrolmentRefused):
    """A programme enters the books once."""

    def __init__(self, programme_id: ProgrammeId) -> None:
        super().__init__(f"The programme {programme_id} is enrolled already; nothing was written.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What was written, and what plays its tills."""

    programme_id: ProgrammeId
    families: int
    companions: int
    merchants: int
    entitlement_rupiah: int
    funded_rupiah: int
    granted_rupiah: int
    tills: SandboxTills


async def enrol(
    connection: Connection,
    keys: Keys,
    edition: str,
    *,
    seed: int,
    at: datetime,
    programme_id: str | None = None,
    starts_on: date | None = None,
    ends_on: date | None = None,
    always_open: bool = False,
    is_funded: bool = True,
    progress: Progress = lambda _table, _done, _total: None,
) -> Enrolment:
    """The programme is open to its families: shops admitted, cards active, the sponsor's money granted.

    `always_open` leaves out the shops' hours, for a sandbox that is played at night too. Not `is_funded`: the sponsor's
    money has still to come, and families have nothing until `granting.py` has given it to them.
    """
    loaded = _with_dates(load_edition(edition), starts_on, ends_on)
    chosen = _checked_programme_id(programme_id or Path(edition).name)
    roll = draw(loaded, chosen, seed=seed, at=at)
    plan = Plan(
        programme_id=chosen,
        edition=loaded,
        roll=roll,
        keys=keys,
        at=at,
        always_open=always_open,
        is_funded=is_funded,
    )
    tables = first_rows(plan)
    async with connection.transaction():
        await _claim(connection, chosen)
        await _copy(connection, plan, tables, progress)
    # The statements that decide are planned before the tables are large enough to be analysed by themselves.
    await connection.execute(f"ANALYZE reference, {', '.join(tables)}")
    return _enrolment(plan)


def _with_dates(edition: Edition, starts_on: date | None, ends_on: date | None) -> Edition:
    terms = edition.terms
    first, last = starts_on or terms.starts_on, ends_on or terms.ends_on
    # An edition's name may end with its year.
    name = terms.name.replace(str(terms.starts_on.year), str(first.year))
    dated = replace(terms, name=name, starts_on=first, ends_on=last)
    if dated.starts_on > dated.ends_on:
        raise EnrolmentRefused(f"The programme would start on {dated.starts_on} and end on {dated.ends_on}, before it.")
    return replace(edition, terms=dated)


def _checked_programme_id(name: str) -> ProgrammeId:
    """It stands in file names and keys."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        raise EnrolmentRefused(f"A programme id has 1 to 40 of a-z, 0-9 and -, which {name!r} has not.")
    return ProgrammeId(name)


async def _claim(connection: Connection, programme_id: ProgrammeId) -> None:
    """The id is ours; of two enrolments at once, the second waits here and is refused."""
    ours = await connection.fetchval(
        "INSERT INTO reference (programme_id, version) VALUES ($1, 1) ON CONFLICT DO NOTHING RETURNING true",
        programme_id,
    )
    if not ours:
        raise AlreadyEnrolled(programme_id)


async def _copy(connection: Connection, plan: Plan, tables: dict[str, list[Row]], progress: Progress) -> None:
    done, total = 0, sum(map(len, tables.values()))
    for table, rows in tables.items():
        if not rows:
            continue
        columns = ["programme_id", *rows[0]]
        records = [(plan.programme_id, *row.values()) for row in rows]
        await connection.copy_records_to_table(table, columns=columns, records=records)
        done += len(rows)
        progress(table, done, total)


def _enrolment(plan: Plan) -> Enrolment:
    roll = plan.roll
    return Enrolment(
        programme_id=plan.programme_id,
        families=len(roll.families),
        companions=len(roll.companions),
        merchants=len(roll.shops),
        entitlement_rupiah=plan.terms.entitlement_rupiah,
        funded_rupiah=plan.terms.funding_rupiah if plan.is_funded else 0,
        granted_rupiah=len(roll.families) * plan.terms.entitlement_rupiah if plan.is_funded else 0,
        tills=SandboxTills(
            programme_id=plan.programme_id,
            terminals=tuple(_till(shop) for shop in roll.shops),
            cards=tuple(_card_in_hand(family) for family in roll.families),
            companions=tuple(
                SandboxCompanion(companion_id=each.companion_id, label=each.label, key=each.access_key)
                for each in roll.companions
            ),
            operators=tuple(
                SandboxOperator(operator_id=each.operator_id, label=each.label, key=each.access_key)
                for each in roll.operators
            ),
        ),
    )


def _till(shop: SyntheticShop) -> SandboxTerminal:
    return SandboxTerminal(
        merchant_id=shop.merchant_id,
        terminal_id=shop.terminal_id,
        key=shop.terminal_key,
        name=shop.shop.name,
        district_code=shop.shop.kecamatan,
    )


def _card_in_hand(family: SyntheticFamily) -> SandboxCard:
    return SandboxCard(
        card_number=family.card_number,
        beneficiary_id=family.beneficiary_id,
        district_code=family.district_code,
        companion_id=family.companion_id,
    )
