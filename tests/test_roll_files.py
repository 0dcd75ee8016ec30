"""Lists as files: what a spreadsheet does to them, what somebody hostile does, and what goes back. Pure."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from authz_service.enrolment.edition import PROGRAMMES_FOLDER
from authz_service.roll.importing.faults import SENTENCES, Fault
from authz_service.roll.importing.layout import SAMARINDA, plain, read_layout
from authz_service.roll.importing.returned_file import guarded, path_beside, write_returned
from authz_service.roll.importing.rows import ListRow, Town, oddities, read_row
from authz_service.roll.importing.tables import opened_sheet
from authz_service.roll.orders import RollRefused
from authz_service.settings import Settings

HEADER = ("NIK", "NO_KK", "NAMA", "KECAMATAN", "ALAMAT", "PENDAMPING", "NOMOR_KARTU")
GOOD = ("6472995205870001", "6472980101200001", "SITI", "Samarinda Utara", "Jl. Contoh", "P-001", "9360000000000013")
TOWN = Town(
    districts={"samarinda_utara": "64.72.05"},
    companions={"p_001": "cmp_1", "two": None},
    entitlement_rupiah=1_800_000,
)
LABELS = SAMARINDA.columns.named()
COLUMNS = {ours: HEADER.index(theirs) for ours, theirs in LABELS.items()}


def read(path: Path, **limits: int) -> list[tuple[int, ListRow]]:
    with opened_sheet(path, SAMARINDA, Settings().model_copy(update=limits)) as sheet:
        width = len(sheet.header)
        return [(number, read_row(number, cells, sheet.columns, width, TOWN, LABELS)) for number, cells in sheet.rows]


def a_row(**changes: object) -> ListRow:
    cells = [changes.get(name, value) for name, value in zip(HEADER, GOOD, strict=True)]
    return read_row(2, cells, COLUMNS, len(HEADER), TOWN, LABELS)


def faults(**changes: object) -> list[Fault]:
    row = a_row(**changes)
    return [each.fault for each in (*row.faults, *oddities(row))]


def a_workbook(path: Path, *rows: tuple[object, ...]) -> Path:
    book = Workbook()
    for row in (HEADER, *rows):
        book.active.append(row)  # type: ignore[union-attr, arg-type]
    book.save(path)
    return path


def csv_text(*rows: tuple[object, ...], delimiter: str = ",") -> str:
    return "".join(delimiter.join(map(str, row)) + "\r\n" for row in (HEADER, *rows))


def test_a_good_row_is_read_whole() -> None:
    row = a_row()
    assert (row.nik, row.kk, row.name, row.card_number) == (GOOD[0], GOOD[1], "SITI", GOOD[6])
    assert (row.district_code, row.companion_id, row.amount_rupiah) == ("64.72.05", "cmp_1", None)
    assert faults() == []
    assert GOOD[0] not in repr(row)
    assert "SITI" not in repr(row)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"NIK": 6472995205870001}, Fault.NUMBER_CELL),
        ({"NIK": 6.47e15}, Fault.NUMBER_CELL),
        ({"NIK": "6,47E+15"}, Fault.NUMBER_CELL),
        ({"NO_KK": 6472980101200001.0}, Fault.NUMBER_CELL),
        ({"NOMOR_KARTU": 9360000000000013}, Fault.NUMBER_CELL),
        ({"NIK": True}, Fault.ODD_CELL),
        ({"NAMA": datetime(2024, 11, 1, tzinfo=UTC)}, Fault.ODD_CELL),
        ({"NAMA": "=1+1"}, Fault.FORMULA),
        ({"NAMA": "SITI \ufffd"}, Fault.NAME),
        ({"NAMA": "SITI\x07"}, Fault.NAME),
        ({"NAMA": "6472995205870001"}, Fault.NAME),
        ({"NAMA": "x" * 201}, Fault.NAME),
        ({"NAMA": None}, Fault.NAME),
        ({"NIK": None}, Fault.NIK),
        ({"NIK": "٦٤٧٢٩٩٥٢٠٥٨٧٠٠٠١"}, Fault.NIK),
        ({"PENDAMPING": "two"}, Fault.COMPANION),
        ({"KECAMATAN": ""}, Fault.DISTRICT),
        ({"NIK": "6472997205870001"}, Fault.NIK_ODD),
        ({"NIK": "6472993102870001"}, Fault.NIK_ODD),
        ({"NIK": "6400995205870001"}, Fault.NIK_ODD),
        ({"NO_KK": "6472984101200001"}, Fault.KK_ODD),
        ({"NOMOR_KARTU": "9360000000000014"}, Fault.CARD),
        ({"NOMOR_KARTU": "93600"}, Fault.CARD),
    ],
)
def test_a_slip_is_one_fault(changes: dict[str, object], fault: Fault) -> None:
    assert faults(**changes) == [fault]


@pytest.mark.parametrize(
    "changes",
    [
        {"NIK": "'6472995205870001"},
        {"NIK": " 6472-9952 0587.0001 "},
        {"NIK": "6472992902000001"},
        {"NIK": "6472996902960001"},
        {"KECAMATAN": "Kec. SAMARINDA  UTARA"},
        {"PENDAMPING": "p 001"},
        {"NOMOR_KARTU": ""},
        {"NAMA": 17},
    ],
)
def test_what_people_write_otherwise_is_understood(changes: dict[str, object]) -> None:
    assert faults(**changes) == []


@given(
    st.lists(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.datetimes()), max_size=12)
)
def test_no_cells_whatever_crash_the_reading_of_a_row(cells: list[object]) -> None:
    row = read_row(2, cells, COLUMNS, len(HEADER), TOWN, LABELS)
    for found in (*row.faults, *oddities(row)):
        assert found.sentence


def test_no_sentence_repeats_what_stands_in_the_row() -> None:
    assert set(SENTENCES) == set(Fault)
    row = a_row(NIK="1234", NAMA="=rahasia", NOMOR_KARTU="9360000000000014", KECAMATAN="rahasia")
    said = " ".join(found.sentence for found in row.faults)
    assert "rahasia" not in said
    assert "1234" not in said


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_csv_of_any_office_is_read(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = tmp_path / "list.csv"
    name = (*GOOD[:2], "RENÉE", *GOOD[3:])
    text = "DAFTAR KPM\r\n\r\n" + csv_text(GOOD, name, delimiter=delimiter) + delimiter * 6 + "\r\n" + "\r\n" * 3
    path.write_bytes(text.encode(encoding))
    [(first, one), (second, other)] = read(path)
    assert (first, second, one.faults, other.faults) == (4, 5, (), ())
    assert other.name == "RENÉE"


def test_a_workbook_is_read_and_what_excel_has_rounded_is_said(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [GOOD, (6472995205870001, *GOOD[1:]), (*GOOD[:2], "=A1", *GOOD[3:])]
    path = a_workbook(tmp_path / "list.xlsx", *rows, *[(None,) * 7] * 3000, GOOD)
    found = read(path)
    assert [number for number, _ in found] == [2, 3, 4, 3005]
    assert [[each.fault for each in row.faults] for _, row in found] == [
        *([], [Fault.NUMBER_CELL], [Fault.FORMULA], [])
    ]


def test_a_workbook_that_claims_every_cell_of_a_sheet_is_read_in_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (HEADER, GOOD):
        sheet.append(row)
    sheet["XFD1048576"] = "x"
    book.save(path)
    assert [number for number, _ in read(path)] == [2]


def a_part(path: Path, name: str, content: bytes) -> Path:
    """The workbook with one part replaced or added."""
    a_workbook(path, GOOD)
    with zipfile.ZipFile(path) as old:
        parts = {each: old.read(each) for each in old.namelist()}
    parts[name] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for each, data in parts.items():
            new.writestr(each, data)
    return path


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE worksheet ['
    + b"".join(b'<!ENTITY a%d "%s">' % (n, (b"&a%d;" % (n - 1)) * 10 if n else b"ha" * 10) for n in range(12))
    + b']><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
    + b'<c r="A1" t="inlineStr"><is><t>&a11;</t></is></c></row></sheetData></worksheet>'
)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("xl/styles.xml", b" " * 17_000_000, "description of itself is too large"),
        ("xl/worksheets/sheet1.xml", b" " * 30_000_000, "once it is unpacked"),
        ("xl/worksheets/sheet1.xml", LAUGHS, "cannot be read"),
        ("xl/workbook.xml", b"<nonsense/>", "sheet|cannot be read"),
        ("xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row r='x'>", "cannot be read|no header"),
    ],
)
def test_a_hostile_workbook_is_one_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = a_part(tmp_path / "list.xlsx", name, content)
    with pytest.raises(RollRefused, match=said):
        read(path, roll_expanded_limit_bytes=25_000_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing: KECAMATAN, NAMA, NIK"),
        ("NIK,NAMA\r\n1,2\r\n", "missing: NO_KK, KECAMATAN, PENDAMPING, NOMOR_KARTU"),
        (csv_text().replace("ALAMAT", "NIK"), "NIK stands twice"),
        (csv_text(GOOD) + '"open', "Row 3 is no CSV"),
        (csv_text(GOOD) + "x" * 400_000, "a line has more than|no CSV"),
    ],
)
def test_a_file_that_is_no_list_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(RollRefused, match=said):
        read(path)


def test_limits_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(csv_text(*[GOOD] * 5), encoding="utf-8", newline="")
    with pytest.raises(RollRefused, match="more than 4 rows"):
        read(path, roll_rows_limit=4)
    with pytest.raises(RollRefused, match="larger than 100 bytes"):
        read(path, roll_file_limit_bytes=100)
    with pytest.raises(RollRefused, match="cannot be read"):
        read(tmp_path / "missing.csv")


@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda tail: (csv_text(GOOD) + tail).encode())))
@settings(max_examples=80, deadline=None)
def test_no_bytes_whatever_crash_the_reading_of_a_csv(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    _is_read_or_refused(tmp_path_factory.getbasetemp() / "any.csv", content)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_bytes_whatever_crash_the_reading_of_a_workbook(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = _WORKBOOK
    place = data.draw(st.integers(0, len(whole) - 1))
    content = whole[:place] + data.draw(st.binary(max_size=8)) + whole[place + data.draw(st.integers(0, 8)) :]
    _is_read_or_refused(tmp_path_factory.getbasetemp() / "any.xlsx", content)


def _workbook_bytes() -> bytes:
    buffer, book = io.BytesIO(), Workbook()
    for row in (HEADER, GOOD):
        book.active.append(row)  # type: ignore[union-attr]
    book.save(buffer)
    return buffer.getvalue()


_WORKBOOK = _workbook_bytes()


def _is_read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with suppress(RollRefused):
        read(path)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_goes_back_has_every_row_and_column_and_is_read_again(tmp_path: Path, kind: str) -> None:
    rows = [GOOD, (*GOOD[:2], "-SITI", *GOOD[3:]), (*GOOD[:2], "@SITI", *GOOD[3:]), GOOD]
    path = tmp_path / f"list.{kind}"
    if kind == "csv":
        path.write_text(csv_text(*rows, delimiter=";"), encoding="utf-8", newline="")
    else:
        a_workbook(path, *rows)
    said: list[list[Any]]
    for _ in range(2):
        path = _returned(path, {3: "Nama salah", 5: "NIK salah"})
        assert path.name == f"list-kesalahan.{kind}"
        if kind == "xlsx":
            said = [[cell.value for cell in row] for row in load_workbook(path).active.iter_rows()]  # type: ignore[union-attr]
        else:
            said = [line.split(";") for line in path.read_text(encoding="utf-8-sig").splitlines()]
        assert said[0] == [*HEADER, "KESALAHAN"]
        assert [row[-1] or "" for row in said[1:]] == ["", "Nama salah", "", "NIK salah"]
        assert [row[2] for row in said[1:]] == ["SITI", "'-SITI", "'@SITI", "SITI"]
        assert [row[0] for row in said[1:]] == [GOOD[0]] * 4
    assert [(row.name, row.faults) for _, row in read(path)] == [
        ("SITI", ()),
        ("-SITI", ()),
        ("@SITI", ()),
        ("SITI", ()),
    ]


def _returned(path: Path, faults_of_rows: dict[int, str]) -> Path:
    async def found() -> AsyncIterator[tuple[int, str]]:
        for each in faults_of_rows.items():
            yield each

    target = path_beside(path)
    with opened_sheet(path, SAMARINDA, Settings()) as sheet:
        asyncio.run(write_returned(sheet, SAMARINDA, found(), target))
    return target


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_that_goes_back_is_a_formula(start: str) -> None:
    assert guarded(f"{start}cmd") == f"'{start}cmd"
    assert guarded(5) == 5


def test_the_mapping_that_is_shipped_is_the_one_without_a_mapping() -> None:
    text = (PROGRAMMES_FOLDER / "samarinda-2024" / "roll.toml").read_text(encoding="utf-8")
    assert read_layout(text) == SAMARINDA
    assert plain("No. KK") == plain("no_kk")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[columns", "is no TOML"),
        ('[columns]\nnikk = "NIK"', "columns.nikk"),
        ('delimiter = "x"', "a delimiter is one of"),
        ('[columns]\nnik = "NAMA"', "two columns have one name"),
        ('[columns]\nnik = "--"', "neither a letter nor a digit"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(RollRefused, match=said):
        read_layout(text)


@given(st.text(max_size=80))
def test_no_text_crashes_the_reading_of_a_mapping(text: str) -> None:
    with suppress(RollRefused):
        read_layout(text)
