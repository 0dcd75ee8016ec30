"""Lists of families as Dinsos sends them, made from the roll that the tests enrol; and a desk that imports them."""

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg

from authz_service.roll.importing.applying import apply
from authz_service.roll.importing.comparing import Difference
from authz_service.roll.importing.layout import SAMARINDA
from authz_service.roll.importing.lists import KeptList, approve, kept_list, withdraw
from authz_service.roll.importing.returned_file import path_beside
from authz_service.roll.importing.staging import Faulty, List, import_list
from authz_service.roll.importing.writing import Written, write_applied
from authz_service.roll.orders import Order
from authz_service.vocabulary import ProgrammeId
from tests.operators import KEYS, a_card_number
from tests.world import PROGRAMME, World

SAMARINDA_2024: Final = ProgrammeId(PROGRAMME)
WITH_AMOUNTS: Final = replace(SAMARINDA, columns=replace(SAMARINDA.columns, amount="JUMLAH"))
Family = dict[str, object]
_numbers = count(1)
_ROLL: Final = """
SELECT b.beneficiary_id, b.name_sealed, b.nik_sealed, d.name AS district, c.label
  FROM beneficiary b JOIN district d USING (programme_id, district_code)
  JOIN companion c USING (programme_id, companion_id)
 WHERE b.programme_id = $1 AND b.status <> 'removed' ORDER BY b.beneficiary_id
"""


def a_family(**changes: object) -> Family:
    """A newcomer of Samarinda Utara. No kecamatan 99 is anywhere, so the numbers are nobody's."""
    number = next(_numbers)
    good = {
        "NIK": f"647299520587{number:04d}",
        "NO_KK": f"647298010120{number:04d}",
        "NAMA": f"KELUARGA CONTOH {number}",
        "KECAMATAN": "Samarinda Utara",
        "ALAMAT": "Jl. Contoh 1",
        "PENDAMPING": "P-001",
        "NOMOR_KARTU": a_card_number(),
    }
    return {**good, **changes}


def family_card(place: int) -> str:
    """Of the family that has that card of the enrolled ones, counted from 0."""
    return f"647297010120{place + 1:04d}"


async def the_roll(world: World) -> list[Family]:
    """The roll as a list, in the order of the cards: every family as it is, with family cards nobody knows yet."""
    rows = {row["beneficiary_id"]: row for row in await world.database.fetch(_ROLL, PROGRAMME)}
    order = [rows[card.beneficiary_id] for card in world.tills.cards if card.beneficiary_id in rows]
    cards = {card.beneficiary_id: card.card_number for card in world.tills.cards}
    return [
        {
            "NIK": KEYS.open_field(row["nik_sealed"], f"beneficiary.nik_sealed:{row['beneficiary_id']}"),
            "NO_KK": family_card(place),
            "NAMA": KEYS.open_field(row["name_sealed"], f"beneficiary.name_sealed:{row['beneficiary_id']}"),
            "KECAMATAN": row["district"],
            "ALAMAT": "Jl. Contoh 1",
            "PENDAMPING": row["label"],
            "NOMOR_KARTU": cards.get(row["beneficiary_id"], ""),
        }
        for place, row in enumerate(order)
    ]


def as_csv(
    families: Iterable[Mapping[str, object]], path: Path, *, delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    rows = list(families)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(slots=True)
class RollDesk:
    """Somebody who imports, somebody else who approves, over one connection."""

    world: World
    connection: "asyncpg.Connection[asyncpg.Record]"
    directory: Path

    async def imported(self, families: Iterable[Mapping[str, object]] | Path, **how: Any) -> Difference | Faulty:
        path = families if isinstance(families, Path) else as_csv(families, self.directory / "list.csv")
        given = List(
            path=path,
            layout=how.pop("layout", SAMARINDA),
            returned=path_beside(path),
            leavers=how.pop("leavers", None),
            without_newcomers=how.pop("without_newcomers", False),
        )
        order = Order(actor=how.pop("actor", "Dinsos"), reason="verifikasi November", on=how.pop("on", None))
        settings = self.world.settings.model_copy(update=how)
        return await import_list(
            self.connection,
            settings,
            programme_id=PROGRAMME,
            given=given,
            keys=KEYS,
            order=order,
            now=self.world.now,
            chance=os.urandom,
        )

    async def waiting(self, families: Iterable[Mapping[str, object]] | Path, **how: Any) -> Difference:
        found = await self.imported(families, **how)
        assert isinstance(found, Difference), found
        return found

    async def approved(self, families: Iterable[Mapping[str, object]] | Path, **how: Any) -> str:
        found = await self.waiting(families, **how)
        await self.approve(found.import_id)
        return found.import_id

    async def approve(self, import_id: str, actor: str = "Sekretaris") -> KeptList:
        how: dict[str, Any] = {"actor": actor, "now": self.world.now, "chance": os.urandom}
        return await approve(self.connection, self.world.settings, SAMARINDA_2024, import_id, **how)

    async def withdraw(self, import_id: str) -> None:
        how: dict[str, Any] = {"actor": "Dinsos", "now": self.world.now, "chance": os.urandom}
        await withdraw(self.connection, self.world.settings, SAMARINDA_2024, import_id, **how)

    async def apply(self, import_id: str, connection: Any = None) -> KeptList:
        """The list is in force; what follows is not written yet."""
        how: dict[str, Any] = {"actor": "Sekretaris", "clock": self.world.clock, "chance": os.urandom}
        return await apply(connection or self.connection, self.world.settings, SAMARINDA_2024, import_id, **how)

    async def write(self, limit_seconds: float = 20.0, connection: Any = None) -> Written | None:
        how: dict[str, Any] = {"clock": self.world.clock, "chance": os.urandom, "limit_seconds": limit_seconds}
        return await write_applied(connection or self.connection, self.world.settings, PROGRAMME, **how)

    async def made_the_roll(self, families: Iterable[Mapping[str, object]] | Path, **how: Any) -> KeptList:
        import_id = await self.approved(families, **how)
        await self.apply(import_id)
        written = await self.write()
        assert written is not None
        assert not written.left
        return await kept_list(self.connection, PROGRAMME, import_id)

    async def status(self, beneficiary_id: str) -> str:
        status: str = await self.connection.fetchval(
            "SELECT status FROM beneficiary WHERE beneficiary_id = $1", beneficiary_id
        )
        return status

    async def rows(self) -> int:
        """Of lists, with personal fields in them."""
        rows: int = await self.connection.fetchval("SELECT count(*) FROM roll_import_row")
        return rows


def a_coming_day(world: World, days: int = 3) -> date:
    return date.fromordinal(world.now.astimezone(world.now.tzinfo).date().toordinal() + days)
