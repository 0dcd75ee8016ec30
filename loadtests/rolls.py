"""`make bench-roll`: a list of 100 000 families is read, compared, approved and applied, on a PostgreSQL of its own.

The programme has 100 000 families before. The list leaves out 5 000 of them, names 5 000 others, and has 5 000 with
another companion or name. Its money is there. Each step is a process of its own, so that its peak memory is its own.
"""

import argparse
import asyncio
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
from openpyxl import Workbook
from rich.console import Console
from rich.table import Table

from authz_service.clock import SystemClock
from authz_service.database import migrate
from authz_service.embedded import embedded_servers
from authz_service.enrolment.edition import load_edition
from authz_service.enrolment.first_rows import Plan, first_rows
from authz_service.enrolment.synthetic import draw
from authz_service.keys import Keys
from authz_service.ledger.audit import check
from authz_service.roll.importing.applying import apply
from authz_service.roll.importing.comparing import Difference
from authz_service.roll.importing.layout import SAMARINDA
from authz_service.roll.importing.lists import approve, lists
from authz_service.roll.importing.staging import List, import_list
from authz_service.roll.importing.writing import write_applied
from authz_service.roll.orders import Order
from authz_service.settings import SANDBOX_ROOT_KEY, Settings
from authz_service.vocabulary import ProgrammeId, with_luhn

PROGRAMME: Final = ProgrammeId("bench-roll")
HEADER: Final = ("NIK", "NO_KK", "NAMA", "KECAMATAN", "ALAMAT", "PENDAMPING", "NOMOR_KARTU")
KEYS: Final = Keys(SANDBOX_ROOT_KEY)
Rows = Iterator[Sequence[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=100_000)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        asyncio.run(_step(given.step, given.url, given.file))
        return
    with tempfile.TemporaryDirectory(prefix="bench-roll-") as directory, embedded_servers(Path(directory)) as servers:
        migrate(servers.database_url)
        asyncio.run(_prepared(servers.database_url, Path(directory), given.families))
        table = Table("step", "seconds", "CPU of the process, seconds", "peak memory, MB", "what came out")
        for step, name in (
            *(("import", "list.xlsx"), ("withdraw", "list.xlsx"), ("import", "list.csv"), ("approve", "list.csv")),
            *(("apply", "list.csv"), ("write", "list.csv"), ("check", "list.csv")),
        ):
            command = [sys.executable, "-m", "loadtests.rolls", "--step", step, "--url", servers.database_url]
            told = subprocess.run(
                [*command, "--file", str(Path(directory) / name)], check=True, stdout=subprocess.PIPE, text=True
            )
            table.add_row(f"{step} {name.partition('.')[2] if step == 'import' else ''}", *told.stdout.split("|"))
        Console(width=140).print(table)


async def _prepared(url: str, directory: Path, families: int) -> None:
    """The programme is enrolled, and the lists are written."""
    edition = load_edition("samarinda-2024")
    share, rest = divmod(families, len(edition.kecamatan))
    spread = tuple(replace(each, families=share + (place < rest)) for place, each in enumerate(edition.kecamatan))
    now = datetime.now(UTC)
    funding = families * 2 * edition.terms.entitlement_rupiah
    terms = replace(
        edition.terms,
        families=families,
        funding_rupiah=funding,
        starts_on=now.date().replace(day=1),
        ends_on=now.date().replace(year=now.year + 1),
    )
    edition = replace(edition, terms=terms, kecamatan=spread)
    roll = draw(edition, PROGRAMME, seed=1, at=now)
    plan = Plan(programme_id=PROGRAMME, edition=edition, roll=roll, keys=KEYS, at=now, always_open=True)
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO reference (programme_id, version) VALUES ($1, 1)", PROGRAMME)
    for table, rows in first_rows(plan).items():
        records = [(PROGRAMME, *row.values()) for row in rows]
        await connection.copy_records_to_table(table, columns=["programme_id", *rows[0]], records=records)
    await connection.execute("ANALYZE")
    await connection.close()
    with (directory / "list.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(_list(roll, families))
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(HEADER)
    for row in _list(roll, families):
        sheet.append(row)
    book.save(directory / "list.xlsx")


def _list(roll: Any, families: int) -> Rows:
    labels = {each.companion_id: each.label for each in roll.companions}
    twentieth = families // 20
    for place, each in enumerate(roll.families[twentieth:]):
        name = f"{each.name} BARU" if place < twentieth // 2 else each.name
        companion = "P-001" if place >= families - 2 * twentieth else labels[each.companion_id]
        kk = f"64729801012{place:05d}"
        yield each.nik, kk, name, each.district_code, f"Jl. Contoh {place}", companion, each.card_number
    for place in range(twentieth):
        nik, kk = f"647299520587{place % 9999 + 1:04d}", f"64729701012{place + 1:05d}"
        card = with_luhn(f"93600001{place:07d}")
        yield nik, kk, f"KELUARGA CONTOH {place}", "64.72.05", "Jl. Contoh", "P-001", card


async def _step(step: str, url: str, file: Path) -> None:
    settings, clock, started = Settings(), SystemClock(), time.monotonic()
    connection = await asyncpg.connect(url)
    how: dict[str, Any] = {"clock": clock, "chance": os.urandom}
    now: dict[str, Any] = {"now": clock.estimate(), "chance": os.urandom}
    found = await lists(connection, PROGRAMME, limit=1)
    match step:
        case "import":
            done = await import_list(
                connection,
                settings,
                programme_id=PROGRAMME,
                given=List(path=file, layout=SAMARINDA, returned=file.with_suffix(".wrong")),
                keys=KEYS,
                order=Order(actor="Dinsos", reason="bench"),
                **now,
            )
            assert isinstance(done, Difference), done  # noqa: S101
            said = f"{done.unchanged} same, {done.entering} enter, {done.changing} change, {done.leaving} leave"
        case "withdraw":
            from authz_service.roll.importing.lists import withdraw  # noqa: PLC0415

            await withdraw(connection, settings, PROGRAMME, found[0].import_id, actor="Dinsos", **now)
            said = "nothing of it is left"
        case "approve":
            await approve(connection, settings, PROGRAMME, found[0].import_id, actor="Sekretaris", **now)
            said = "the roll is as it was compared"
        case "apply":
            await apply(connection, settings, PROGRAMME, found[0].import_id, actor="Sekretaris", **how)
            said = "one commit: the list is the roll"
        case "write":
            written = await write_applied(connection, settings, PROGRAMME, limit_seconds=600.0, **how)
            said = f"{written.families if written else 0} families, a hundred in one transaction"
        case _:
            broken = [
                each.invariant.name
                for each in await check(connection, PROGRAMME, now=clock.estimate())
                if each.violations
            ]
            said = f"violations: {broken or 'none'}"
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(f"{seconds:.1f}|{used.ru_utime + used.ru_stime:.1f}|{_peak_megabytes()}|{said}")
    await connection.close()


def _peak_megabytes() -> int:
    """Of this process alone: what `getrusage` says begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    main()
