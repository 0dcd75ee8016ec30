"""What an operator types against the bank's statement, what is shown and written, and the exit code."""

import asyncio
import csv
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reconciling import A_DAY, a_statement, counts, today
from tests.settling import batch_closed, instructions
from tests.world import World


@dataclass(frozen=True, slots=True)
class Typed:
    status: int | None
    out: str
    err: str


async def typed(world: World, *words: str, actor: str = "meja kartu") -> Typed:
    """`authz …` beside the running service, on its clock."""
    settings = world.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.cli", *words),
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(settings.clock_offset_file),
            "AUTHZ_ACTOR": actor,
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await command.communicate()
    return Typed(command.returncode, out.decode(), err.decode())


@pytest.fixture
async def paid(world: World) -> str:
    """A payout that left the bank."""
    await world.authorise(capture=True)
    await batch_closed(world)
    ((reference, *_),) = await instructions(world)
    return reference


async def test_an_operators_day_with_a_statement(world: World, paid: str, tmp_path: Path) -> None:
    """As the README has it; nothing in the bank's words is more than text."""
    file, report = tmp_path / "statement.csv", tmp_path / "report.csv"
    odd = ("=1+1", '"[red]=HYPERLINK(0)[/red]"')
    file.write_bytes(a_statement((-150_000, paid), (-2_500, "", *odd), first=today(world)))
    before = await counts(world)
    dry = await typed(world, "reconcile", str(file), "--dry-run")
    assert (dry.status, dry.err) == (1, "")
    assert "A dry run: nothing was written." in dry.out
    assert await counts(world) == before
    done = await typed(world, "reconcile", str(file), "--report", str(report))
    assert (done.status, done.err) == (1, "")
    rows = [line.split() for line in done.out.splitlines()]
    assert ["matched", "1", "Rp150.000", "Rp150.000", "0"] in rows
    assert ["missing_here", "1", "Rp0", "Rp-2.500", "0"] in rows
    assert "This statement: 2 new lines; the books follow in 1 step." in done.out
    assert "Exceptions: 1 open, 1 of them new; 0 are explained now." in done.out
    written = list(csv.DictReader(report.read_text().splitlines()))
    assert {row["reference"]: (row["state"], row["theirs_rupiah"]) for row in written} == {
        paid: ("matched", "150000"),
        "'=1+1": ("missing_here", "-2500"),
    }
    again = await typed(world, "reconcile", str(file), "--report", str(tmp_path / "report.json"))
    assert (again.status, "This statement: was read before" in again.out) == (1, True)
    assert {row["reference"] for row in json.loads((tmp_path / "report.json").read_text())} == {paid, "=1+1"}

    exception_id = await world.database.fetchval("SELECT exception_id FROM reconciliation_exception")
    listed = await typed(world, "exceptions", "list")
    assert (listed.status, exception_id in listed.out, "=1+1" in listed.out) == (0, True, True)
    how = ("--outcome", "explained", "--reason", "biaya [bold]administrasi[/bold]")
    resolved = await typed(world, "exceptions", "resolve", exception_id, *how)
    assert (resolved.status, "A second pair of eyes is needed" in resolved.out) == (0, True)
    alone = await typed(world, "exceptions", "approve", exception_id)
    assert (alone.status, alone.out) == (1, "")
    assert alone.err.startswith(f"authz: {exception_id} is no open exception that somebody else has resolved")
    assert (await typed(world, "exceptions", "approve", exception_id, actor="Inspektorat")).status == 0
    assert exception_id not in (await typed(world, "exceptions", "list")).out
    shown = (await typed(world, "exceptions", "list", "--closed")).out
    assert "biaya [bold]administrasi[/bold]; approved by Inspektorat" in " ".join(shown.split())
    assert (await typed(world, "reconcile", str(file))).status == 0
    orders = (await typed(world, "programme", "orders")).out
    assert all(kind in orders for kind in ("statement_reconciled", "exception_resolved", "exception_approved"))


async def test_what_cannot_be_read_is_one_sentence_and_writes_nothing(world: World, paid: str, tmp_path: Path) -> None:
    good = a_statement((-150_000, paid), first=today(world))
    files = {
        "cut.csv": (good[:-5], "the row 'SALDO AKHIR' is missing: the file was cut"),
        "latin.csv": (good.replace(b",x\n", ",é\n".encode("latin-1")), "Line 3: this is not text in UTF-8"),
        "sums.csv": (good.replace(b",,,,,1776450000,", b",,,,,1776450001,"), "the file is not whole"),
        "future.csv": (a_statement(first=today(world) + A_DAY), "today is 2024-10-07"),
    }
    before = await counts(world)
    for name, (content, said) in files.items():
        (tmp_path / name).write_bytes(content)
        refused = await typed(world, "reconcile", str(tmp_path / name))
        assert (refused.status, refused.out, refused.err.count("\n")) == (1, "", 1), name
        assert said in refused.err, name
    for words in (["nowhere.csv"], [str(tmp_path)], [str(tmp_path / "cut.csv"), "--report", "x.pdf"]):
        refused = await typed(world, "reconcile", *words)
        assert (refused.status, refused.out, refused.err.count("\n")) == (1, "", 1)
    mapped = ["--format", "mt940", "--mapping", str(tmp_path / "cut.csv")]
    assert "MT940 needs no mapping" in (await typed(world, "reconcile", str(tmp_path / "cut.csv"), *mapped)).err
    assert await counts(world) == before


async def test_mt940_and_another_banks_columns_by_command(world: World, paid: str, tmp_path: Path) -> None:
    message, csv_file, mapping = tmp_path / "a.sta", tmp_path / "a.csv", tmp_path / "a.toml"
    written = paid.upper().replace("_", "-")
    message.write_text(
        f":20:X\n:25:0000009999\n:28C:1\n:60F:C241006IDR1776600000,\n:61:2410071007D150000,NTRFNONREF//B1\n"
        f":86:/EREF/{written}/REMI/x\n:62F:C241007IDR1776450000,\n"
    )
    csv_file.write_text("Tanggal;Ref;Debet;Kredit;Saldo\n07/10/2024;B1;150.000,00;;1.776.450.000,00\n")
    mapping.write_text(
        'delimiter = ";"\ndate_format = "%d/%m/%Y"\nopening = ""\nclosing = ""\n[columns]\ndate = "Tanggal"\n'
        'bank_reference = "Ref"\nreference = ""\ndescription = ""\ndebit = "Debet"\ncredit = "Kredit"\n'
        'balance = "Saldo"\n'
    )
    done = await typed(world, "reconcile", str(message), "--format", "mt940")
    assert (done.status, "matched" in done.out) == (0, True), done.err
    # Without our reference the same booking would be another one; the bank's reference finds what it is about.
    again = await typed(world, "reconcile", str(csv_file), "--mapping", str(mapping))
    assert (again.status, "more_than_once" in again.out) == (1, True), again.err


async def test_disputes_by_command(world: World) -> None:
    sold = await world.authorise(capture=True)
    opened = await typed(world, "dispute", "open", sold["id"], "--reason", "barang [b]kurang[/b]")
    assert (opened.status, "must be answered before 2024-10-22 00:00 WITA." in opened.out) == (0, True), opened.err
    dispute_id = opened.out.split()[0]
    assert " open " in (await typed(world, "dispute", "list")).out
    world.later(days=16)
    late = (await typed(world, "dispute", "list")).out
    assert (" late " in late, "[b]kurang[/b]" in late) == (True, True)
    assert (await typed(world, "dispute", "answer", dispute_id, "--answer", "diganti toko")).status == 0
    assert dispute_id not in (await typed(world, "dispute", "list")).out
    assert "diganti toko" in (await typed(world, "dispute", "list", "--answered")).out
    again = await typed(world, "dispute", "answer", dispute_id, "--answer", "x")
    assert (again.status, again.err.startswith("authz: ")) == (1, True)


async def test_the_commands_of_the_readme_run_as_they_stand_there(world: World, paid: str, tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    blocks = readme.partition("## The bank's statement")[2].split("```")[1::2]
    lines = next(block for block in blocks if "authz reconcile" in block).strip().splitlines()
    (tmp_path / "statement.csv").write_bytes(a_statement((-150_000, paid), (-2_500, ""), first=today(world)))
    sold = await world.database.fetchval("SELECT min(authorisation_id) FROM hold")
    statuses = []
    for line in lines:
        exception_id = await world.database.fetchval("SELECT max(exception_id) FROM reconciliation_exception")
        dispute_id = await world.database.fetchval("SELECT max(dispute_id) FROM dispute")
        here = {"statement.csv": str(tmp_path / "statement.csv"), "report.csv": str(tmp_path / "report.csv")}
        here |= {"exc_…": exception_id or "", "auth_…": sold, "dsp_…": dispute_id or ""}
        program, *words = shlex.split(line, comments=True)
        assert program == "authz"
        done = await typed(world, *(here.get(word, word) for word in words))
        statuses.append((words[:2] if words[0] != "reconcile" else words[:1], done.status, done.err))
    assert [(words, status) for words, status, _ in statuses] == [
        (["reconcile"], 1),
        (["reconcile"], 1),
        (["exceptions", "list"], 0),
        (["exceptions", "resolve"], 0),
        (["exceptions", "approve"], 0),
        (["dispute", "open"], 0),
        (["dispute", "answer"], 0),
    ], statuses
