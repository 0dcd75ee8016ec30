"""A list is read into the database, every row checked, and compared with the roll of one instant.

All in one transaction that locks nothing: where a row is wrong, nothing of the list stays.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any, Final

import asyncpg
from cryptography.exceptions import InvalidTag

from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.names import name_digests
from authz_service.roll.importing.comparing import Difference, compare, require_sense
from authz_service.roll.importing.faults import Fault, Found
from authz_service.roll.importing.layout import Layout, plain
from authz_service.roll.importing.looks import SEEN
from authz_service.roll.importing.returned_file import FaultsOfRow, write_returned
from authz_service.roll.importing.rows import ListRow, Town, oddities, read_row
from authz_service.roll.importing.tables import Sheet, opened_sheet
from authz_service.roll.orders import Order, RollRefused
from authz_service.settings import Settings
from authz_service.vocabulary import CHANCE_BYTES, BeneficiaryStatus, CardStatus, Chance, new_id

Told = Callable[[str, int, int], None]
"""Told what is done, how far, and how much there is (bytes or rows)."""
_BATCH: Final = 1_000
_TABLES: Final = (
    """
-- What was read, until the transaction ends.
CREATE TEMPORARY TABLE roll_read (
    row_number bigint, beneficiary_id text COLLATE "C", is_known boolean, nik_digest bytea, kk_digest bytea,
    person_digest bytea, name_sealed bytea, name_words bytea[], nik_sealed bytea, district_code text, companion_id text,
    card_digest bytea, last_four text, amount_rupiah bigint, changes text[], seen bytea
) ON COMMIT DROP
""",
    "CREATE TEMPORARY TABLE roll_fault (row_number bigint, fault text, detail text) ON COMMIT DROP",
)
_READ: Final = (
    *("row_number", "beneficiary_id", "is_known", "nik_digest", "kk_digest", "person_digest", "name_sealed"),
    *(
        "name_words",
        "nik_sealed",
        "district_code",
        "companion_id",
        "card_digest",
        "last_four",
        "amount_rupiah",
        "changes",
        "seen",
    ),
)
_INDEXES: Final = (
    "CREATE INDEX ON roll_read (beneficiary_id)",
    "CREATE INDEX ON roll_read (kk_digest)",
    "ANALYZE roll_read",
)
_KNOWN: Final = f"""
-- Families with these NIK, also those that were removed.
SELECT b.nik_digest, b.beneficiary_id, b.status, b.merged_into, b.companion_id, b.district_code, b.name_sealed,
       b.kk_digest, {SEEN} AS seen
  FROM beneficiary b
 WHERE b.programme_id = $1 AND b.nik_digest = ANY ($2)
"""  # noqa: S608  (an expression of ours)
_CARDS: Final = """
SELECT card_digest, beneficiary_id, status FROM card WHERE programme_id = $1 AND card_digest = ANY ($2)
"""
_DISTRICTS: Final = "SELECT district_code, name FROM district WHERE programme_id = $1"
_COMPANIONS: Final = "SELECT companion_id, label, name_sealed FROM companion WHERE programme_id = $1"
_TWICE: Final = """
-- Each row whose digest another row has as well, and the first such row.
INSERT INTO roll_fault
SELECT row_number, $1, other::text
  FROM (SELECT row_number, min(row_number) OVER same AS first, count(*) OVER same AS rows,
               CASE WHEN row_number = min(row_number) OVER same THEN max(row_number) OVER same
                    ELSE min(row_number) OVER same END AS other
          FROM roll_read
         WHERE CASE $1 WHEN 'NIK twice' THEN nik_digest WHEN 'card number twice' THEN card_digest
               ELSE person_digest END IS NOT NULL
        WINDOW same AS (PARTITION BY CASE $1 WHEN 'NIK twice' THEN nik_digest
                                     WHEN 'card number twice' THEN card_digest ELSE person_digest END)) found
 WHERE rows > 1
"""
_HOUSEHOLDS: Final = """
-- Newcomers of a family card that the roll knows under another NIK, on it or removed, which the list leaves out: one
-- household would get the whole entitlement twice.
INSERT INTO roll_fault
SELECT DISTINCT ON (r.row_number) r.row_number, $2, b.beneficiary_id
  FROM roll_read r
  JOIN beneficiary b ON b.programme_id = $1 AND b.kk_digest = r.kk_digest
 WHERE NOT r.is_known AND r.amount_rupiah IS NULL
   AND NOT EXISTS (SELECT FROM roll_read known WHERE known.beneficiary_id = b.beneficiary_id)
 ORDER BY r.row_number, b.beneficiary_id
"""
_FAULTS: Final = "SELECT fault, count(*) AS rows FROM roll_fault GROUP BY fault ORDER BY rows DESC, fault"
_FAULTS_OF_ROWS: Final = "SELECT row_number, fault, detail FROM roll_fault ORDER BY row_number"
_FAULTY: Final = "SELECT count(DISTINCT row_number) FROM roll_fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """Rows of the list are wrong; nothing of it stayed, and `returned` says of each what."""

    rows: int
    faults: tuple[tuple[Fault, int], ...]
    returned: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """What an office has sent, and how it is to be read. `leavers` None: no more than usual may leave."""

    path: Path
    layout: Layout
    returned: Path
    leavers: int | None = None
    without_newcomers: bool = False


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One list on its way into the database."""

    connection: Connection
    programme_id: str
    keys: Keys
    now: datetime
    chance: Chance
    town: Town
    without_newcomers: bool


async def import_list(
    connection: Connection,
    settings: Settings,
    *,
    programme_id: str,
    given: List,
    keys: Keys,
    order: Order,
    now: datetime,
    chance: Chance,
    told: Told = lambda _what, _done, _total: None,
) -> Difference | Faulty:
    """The list waits for somebody else's approval, with the difference that it would make; or its rows are wrong.

    Raises RollRefused where it cannot be read, makes no sense as a whole, or another list is not finished.
    """
    digest = _digest_of(given.path, settings)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            limit = f"{settings.closing_statement_timeout_ms}ms"
            await connection.execute("SELECT set_config('statement_timeout', $1, true)", limit)
            terms = await require_sense(connection, programme_id, order, now)
            for table in _TABLES:
                await connection.execute(table)
            reading = _Reading(
                connection=connection,
                programme_id=programme_id,
                keys=keys,
                now=now,
                chance=chance,
                town=await _town(connection, programme_id, keys, given.layout, terms.entitlement_rupiah),
                without_newcomers=given.without_newcomers,
            )
            with opened_sheet(given.path, given.layout, settings) as sheet:
                await _read(reading, sheet, given.layout, told)
            await _look_across(reading)
            rows = await connection.fetchval(_FAULTY)
            if not rows:
                told("comparing", 0, 1)
                return await compare(connection, settings, terms, order, given.leavers, digest, now=now, chance=chance)
            with opened_sheet(given.path, given.layout, settings) as sheet:
                told("writing what is wrong", 0, 1)
                await write_returned(sheet, given.layout, _faults_of_rows(connection), given.returned)
            faults = tuple((Fault(row["fault"]), row["rows"]) for row in await connection.fetch(_FAULTS))
            raise _NothingStays(Faulty(rows=rows, faults=faults, returned=given.returned))
    except _NothingStays as nothing:
        return nothing.faulty
    except (asyncpg.UniqueViolationError, asyncpg.SerializationError):
        raise RollRefused("Another list was imported at the same time.") from None
    except InvalidTag:
        raise RollRefused("AUTHZ_ROOT_KEY is not the one under which this roll was written.") from None


class _NothingStays(Exception):  # noqa: N818
    """Rolls back what was read of a list whose rows are wrong."""

    def __init__(self, faulty: Faulty) -> None:
        super().__init__()
        self.faulty = faulty


def _digest_of(path: Path, settings: Settings) -> bytes:
    try:
        # A pipe would be waited for, and a device has no end.
        if path.exists() and not path.is_file():
            raise RollRefused(f"{path.name} is no file.")
        if path.stat().st_size > settings.roll_file_limit_bytes:
            raise RollRefused(f"{path.name} is larger than {settings.roll_file_limit_bytes} bytes.")
        with path.open("rb") as file:
            return file_digest(file, "sha256").digest()
    except OSError as unread:
        raise RollRefused(f"{path.name} cannot be read: {type(unread).__name__}.") from None


async def _town(connection: Connection, programme_id: str, keys: Keys, layout: Layout, entitlement_rupiah: int) -> Town:
    """Every name under which a kecamatan or companion is known; the list's own names first."""
    districts: dict[str, str] = {}
    for row in await connection.fetch(_DISTRICTS, programme_id):
        code, name = row["district_code"], row["name"]
        districts.update(dict.fromkeys((plain(name), plain(code), code.replace(".", "")), code))
    companions: dict[str, str | None] = {}
    rows = await connection.fetch(_COMPANIONS, programme_id)
    for row in rows:
        name = plain(keys.open_field(row["name_sealed"], f"companion.name_sealed:{row['companion_id']}"))
        companions[name] = None if name in companions else row["companion_id"]
    for row in rows:
        companions.update(dict.fromkeys((plain(row["label"]), plain(row["companion_id"])), row["companion_id"]))
    _rename(districts, layout.districts, "district")
    _rename(companions, layout.companions, "companion")
    return Town(districts=districts, companions=companions, entitlement_rupiah=entitlement_rupiah)


def _rename(known: MutableMapping[str, Any], names: Mapping[str, str], what: str) -> None:
    for theirs, ours in names.items():
        found = known.get(plain(ours))
        if found is None:
            raise RollRefused(f"The mapping: the programme has no {what} {ours}.")
        known[plain(theirs)] = found


async def _read(reading: _Reading, sheet: Sheet, layout: Layout, told: Told) -> None:
    labels = layout.columns.named()
    width = len(sheet.header)
    rows = (read_row(number, cells, sheet.columns, width, reading.town, labels) for number, cells in sheet.rows)
    for batch in _batches(rows):
        await _read_batch(reading, batch)
        told("reading", min(sheet.position(), sheet.size), sheet.size)
    for statement in _INDEXES:
        await reading.connection.execute(statement)


def _batches(rows: Iterable[ListRow]) -> Iterator[list[ListRow]]:
    left = iter(rows)
    while batch := list(islice(left, _BATCH)):
        yield batch


async def _read_batch(reading: _Reading, rows: Sequence[ListRow]) -> None:
    connection, programme_id, keys = reading.connection, reading.programme_id, reading.keys
    niks = {row.number: keys.nik_digest(row.nik) for row in rows if row.nik}
    cards = {row.number: keys.card_digest(row.card_number) for row in rows if row.card_number}
    known = {row["nik_digest"]: row for row in await connection.fetch(_KNOWN, programme_id, list(niks.values()))}
    given = {row["card_digest"]: row for row in await connection.fetch(_CARDS, programme_id, list(cards.values()))}
    records, faults = [], []
    for row in rows:
        nik_digest, card_digest = niks.get(row.number), cards.get(row.number)
        family = known.get(nik_digest) if nik_digest else None
        if family is None and reading.without_newcomers and nik_digest and not row.faults:
            continue
        card = given.get(card_digest) if card_digest else None
        found = [*row.faults, *_faults_against(row, family, card)]
        faults += [(row.number, each.fault, each.detail) for each in found]
        records.append(_record(reading, row, nik_digest, card_digest if card is None else None, family))
    await connection.copy_records_to_table("roll_read", columns=_READ, records=records)
    if faults:
        await connection.copy_records_to_table("roll_fault", records=faults)


def _faults_against(row: ListRow, family: asyncpg.Record | None, card: asyncpg.Record | None) -> Iterator[Found]:
    """What the roll says against the row; `card` is the one that has its number already."""
    if family is None:
        if row.nik:
            yield from oddities(row)
        if row.nik and row.card_number is None and not any(each.fault is Fault.CARD for each in row.faults):
            yield Found(fault=Fault.CARD_MISSING)
    elif family["status"] == BeneficiaryStatus.REMOVED:
        into = f", digabung ke {family['merged_into']}" if family["merged_into"] else ""
        yield Found(fault=Fault.REMOVED, detail=f"{family['beneficiary_id']}{into}")
    if card is None:
        return
    if family is None or card["beneficiary_id"] != family["beneficiary_id"]:
        yield Found(fault=Fault.CARD_TAKEN)
    elif card["status"] not in _ALIVE:
        yield Found(fault=Fault.CARD_DEAD)


_ALIVE: Final = frozenset({CardStatus.ACTIVE, CardStatus.NOT_ACTIVATED, CardStatus.BLOCKED})


def _record(
    reading: _Reading,
    row: ListRow,
    nik_digest: bytes | None,
    new_card_digest: bytes | None,
    family: asyncpg.Record | None,
) -> tuple[object, ...]:
    """The row as it is kept: personal fields sealed for the place that they will have, and only where they are new."""
    keys = reading.keys
    kk_digest = keys.nik_digest(row.kk) if row.kk else None
    person = keys.nik_digest(f"{row.kk} {row.name.casefold()}") if row.kk and row.name else None
    beneficiary_id = (
        new_id("ben", reading.now, reading.chance(CHANCE_BYTES)) if family is None else family["beneficiary_id"]
    )
    changes = [] if family is None else list(_changes(keys, row, kk_digest, new_card_digest, family))
    name_place = f"beneficiary.name_sealed:{beneficiary_id}"
    is_new = family is None
    is_named = is_new or "name" in changes
    return (
        row.number,
        beneficiary_id,
        not is_new,
        nik_digest,
        kk_digest,
        person,
        keys.seal_field(row.name, name_place) if row.name and is_named else None,
        name_digests(keys, reading.programme_id, row.name) if row.name and is_named else None,
        keys.seal_field(row.nik, f"beneficiary.nik_sealed:{beneficiary_id}") if row.nik and is_new else None,
        row.district_code if is_new or "district" in changes else None,
        row.companion_id if is_new or "companion" in changes else None,
        new_card_digest,
        row.card_number[-4:] if new_card_digest and row.card_number else None,
        row.amount_rupiah if is_new else None,
        changes or None,
        None if family is None else family["seen"],
    )


def _changes(
    keys: Keys, row: ListRow, kk_digest: bytes | None, new_card_digest: bytes | None, family: asyncpg.Record
) -> Iterator[str]:
    """In which of its particulars the list has the family otherwise. A family card that nobody knew is no change."""
    if row.name:
        name = keys.open_field(family["name_sealed"], f"beneficiary.name_sealed:{family['beneficiary_id']}")
        if " ".join(name.split()).casefold() != row.name.casefold():
            yield "name"
    if row.district_code and row.district_code != family["district_code"]:
        yield "district"
    if kk_digest and family["kk_digest"] is not None and kk_digest != family["kk_digest"]:
        yield "family card"
    if row.companion_id and row.companion_id != family["companion_id"]:
        yield "companion"
    if new_card_digest:
        yield "card"


async def _look_across(reading: _Reading) -> None:
    """Faults that one row alone does not show."""
    for fault in (Fault.NIK_TWICE, Fault.CARD_TWICE, Fault.PERSON_TWICE):
        await reading.connection.execute(_TWICE, fault)
    await reading.connection.execute(_HOUSEHOLDS, reading.programme_id, Fault.HOUSEHOLD)


async def _faults_of_rows(connection: Connection) -> AsyncIterator[FaultsOfRow]:
    number, said = 0, ""
    async for row in connection.cursor(_FAULTS_OF_ROWS, prefetch=_BATCH):
        sentence = Found(fault=Fault(row["fault"]), detail=row["detail"]).sentence
        if row["row_number"] == number:
            said = f"{said}; {sentence}"
            continue
        if number:
            yield number, said
        number, said = row["row_number"], sentence
    if number:
        yield number, said
