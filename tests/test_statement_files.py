"""A bank's statement is read whole, or refused with one sentence that says where; nothing in it is more than text."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.reconciliation.statement_files import read_mapping, read_statement
from authz_service.reconciliation.statement_lines import Format, Statement, StatementRefused
from authz_service.vocabulary import in_rupiah

HERE = Path(__file__).parent / "statements"
CSV, MT940 = HERE / "week.csv", HERE / "week.sta"
BOOKINGS = [
    (date(2024, 10, 7), -150_000, "pay_01jsynthetic000000000000001", "BKT0001"),
    (date(2024, 10, 7), -20_000, "pay_01jsynthetic000000000000002", "BKT0002"),
    (date(2024, 10, 8), 20_000, "pay_01jsynthetic000000000000002", "BKT0003"),
    (date(2024, 10, 8), -2_500, "", "BKT0004"),
    (date(2024, 10, 9), 5_000_000, "SP2D-7", "BKT0005"),
]


def bookings(statement: Statement) -> list[tuple[date, int, str, str]]:
    return [(each.booked_on, each.amount_rupiah, each.reference, each.bank_reference) for each in statement.lines]


def read_or_refused(content: bytes, kind: Format) -> list[tuple[date, int, str, str]] | None:
    """None where it was refused, in one line."""
    try:
        return bookings(read_statement(content, kind))
    except StatementRefused as refused:
        said = str(refused)
    assert said
    assert "\n" not in said
    return None


@pytest.mark.parametrize(("path", "kind"), [(CSV, Format.CSV), (MT940, Format.MT940)])
def test_both_formats_say_the_same_of_the_same_week(path: Path, kind: Format) -> None:
    statement = read_statement(path.read_bytes(), kind)
    assert bookings(statement) == BOOKINGS
    assert (statement.from_on, statement.to_on) == (date(2024, 10, 7), date(2024, 10, 9))
    assert (statement.opening_rupiah, statement.closing_rupiah) == (1_776_600_000, 1_781_447_500)
    assert [each.line for each in statement.lines] == [1, 2, 3, 4, 5]


def test_a_booking_is_the_same_one_in_whatever_file_it_stands() -> None:
    first, second = read_statement(CSV.read_bytes(), Format.CSV), read_statement(MT940.read_bytes(), Format.MT940)
    assert [each.identity for each in first.lines] == [each.identity for each in second.lines]
    assert len({each.identity for each in first.lines}) == 5
    assert (first.account, second.account) == (None, "****9999")


def test_what_the_bank_wrote_for_people_is_read_over_the_end_of_its_lines() -> None:
    lines = read_statement(MT940.read_bytes(), Format.MT940).lines
    assert "SETTLEMENT CONTOH WARUNG 1, 000000000001" in lines[0].description


def test_a_mapping_reads_another_banks_columns_dots_and_decimals() -> None:
    layout = read_mapping((HERE / "dinas.toml").read_text() + 'reference = "No. Bukti"\n')
    content = (HERE / "dinas.csv").read_bytes()
    with pytest.raises(StatementRefused, match="begins with the row 'SALDO AWAL'"):
        read_statement(content, Format.CSV, layout)
    # TOML has no null: an empty text says that there are no such rows.
    layout = read_mapping('opening = ""\nclosing = ""\n' + (HERE / "dinas.toml").read_text())
    with pytest.raises(StatementRefused, match="the column 'reference' stands 0 times"):
        read_statement(content, Format.CSV, layout)
    layout = read_mapping('opening = ""\nclosing = ""\n' + (HERE / "dinas.toml").read_text() + 'reference = ""\n')
    statement = read_statement(content, Format.CSV, layout)
    assert bookings(statement) == [(BOOKINGS[0][0], -150_000, "", "BKT0001"), BOOKINGS[3]]
    assert (statement.opening_rupiah, statement.account) == (1_776_600_000, "****9999")
    assert statement.lines[0].description == 'SETTLEMENT "WARUNG" 1; 000000000001'


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("columns = 3", "The mapping: columns"),
        ("kolom = 'x'", "The mapping: kolom"),
        ("delimiter = '|'", "a delimiter is , or ;"),
        ("opening = ''", "come together"),
        ("= x", "no TOML"),
    ],
)
def test_a_mapping_that_says_nothing_useful_is_refused(mapping: str, said: str) -> None:
    with pytest.raises(StatementRefused, match=said):
        read_mapping(mapping)


HEAD = "date,bank_reference,reference,debit,credit,balance,description\n"
FIRST, LAST = "2024-10-07,,,,,1000000,SALDO AWAL\n", "2024-10-07,,,,,{balance},SALDO AKHIR\n"


def a_csv(*rows: str, balance: int = 1_000_000) -> bytes:
    return (HEAD + FIRST + "".join(f"{row}\n" for row in rows) + LAST.format(balance=balance)).encode()


@pytest.mark.parametrize(
    ("written", "rupiah"),
    [
        ("1500", 1_500),
        ("1.500", 1_500),
        ("1500.00", 1_500),
        ('"1.500,00"', 1_500),
        ('"1500,0"', 1_500),
        ("Rp1.500", 1_500),
        ('" Rp 1.500,00 "', 1_500),
        ("1.234.567", 1_234_567),
        ("500.00", 500),
    ],
)
def test_amounts_are_read_as_indonesian_banks_write_them(written: str, rupiah: int) -> None:
    balance = 1_000_000 + rupiah
    content = a_csv(f"2024-10-07,B1,,,{written},{balance},x", balance=balance)
    assert [each.amount_rupiah for each in read_statement(content, Format.CSV).lines] == [rupiah]


@given(st.integers(min_value=1, max_value=2**52), st.booleans(), st.booleans())
def test_any_amount_comes_back_as_it_was_written(rupiah: int, has_dots: bool, has_sen: bool) -> None:
    written = (in_rupiah(rupiah).removeprefix("Rp") if has_dots else str(rupiah)) + (",00" if has_sen else "")
    balance = 1_000_000 + rupiah
    content = a_csv(f'2024-10-07,B1,,,"{written}",{balance},x', balance=balance)
    assert read_statement(content, Format.CSV).lines[0].amount_rupiah == rupiah


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('2024-10-07,B1,,,"1,500",1001500,x', "Line 3: the credit is no amount of rupiah"),
        ('2024-10-07,B1,,,"1.500,50",1001500,x', "Line 3: the credit has sen"),
        ("2024-10-07,B1,,,1500.25,1001500,x", "Line 3: the credit has sen"),
        ("2024-10-07,B1,,,1.50.000,1150000,x", "no amount"),
        ("2024-10-07,B1,,,1.500.00,1150000,x", "no amount"),
        ("2024-10-07,B1,,,-1500,998500,x", "above nothing"),
        ("2024-10-07,B1,,5,1500,1001495,x", "one of debit and credit"),
        ("2024-10-07,B1,,,1e3,1001000,x", "no amount"),
        ("2024-10-07,B1,,,٣٠٠,1000300,x", "no amount"),
        ("2024-10-07,B1,,,99999999999999999,1,x", "larger than any"),
        ("2024-10-07,B1,,,,1000000,x", "neither debit nor credit"),
        ("07/10/2024,B1,,,1500,1001500,x", "the date is not written as %Y-%m-%d"),
        ("2024-10-08,B1,,,1500,1001500,x", "not between the first and the last day"),
        ("2024-10-07,B1,,,1500,1001500", "it has 6 fields, and the header has 7"),
        ("2024-10-07,B1,,,1500,1001501,x", r"the balance is Rp1.001.501, but the lines before make Rp1.001.500"),
        ('2024-10-07,B1,,,1500,1001500,"x', "Line 3: this is no CSV"),
        ('2024-10-07,B1,,,1500,1001500,"x"y', "Line 3: this is no CSV"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(row: str, said: str) -> None:
    with pytest.raises(StatementRefused, match=said) as refused:
        read_statement(a_csv(row, balance=1_001_500), Format.CSV)
    assert "\n" not in str(refused.value)


def test_sums_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(StatementRefused, match=r"make Rp1\.001\.500, but the closing balance is Rp1\.001\.499"):
        read_statement(a_csv("2024-10-07,B1,,,1500,1001500,x", balance=1_001_499), Format.CSV)
    content = MT940.read_bytes().replace(b":62F:C241009IDR1781447500,", b":62F:C241009IDR1781447501,")
    with pytest.raises(StatementRefused, match=r"the closing balance is Rp1\.781\.447\.501: the file is not whole"):
        read_statement(content, Format.MT940)


@pytest.mark.parametrize(("path", "kind"), [(CSV, Format.CSV), (MT940, Format.MT940)])
def test_a_file_that_was_cut_anywhere_is_refused(path: Path, kind: Format) -> None:
    content = path.read_bytes()
    whole = bookings(read_statement(content, kind))
    for length in range(len(content)):
        assert read_or_refused(content[:length], kind) in (None, whole), length


@pytest.mark.parametrize("path", [CSV, MT940])
def test_a_line_that_was_taken_out_is_missed(path: Path) -> None:
    kind, rows = Format.CSV if path is CSV else Format.MT940, path.read_bytes().splitlines(keepends=True)
    for place, row in enumerate(rows):
        if b"BKT" in row:
            with pytest.raises(StatementRefused):
                read_statement(b"".join(rows[:place] + rows[place + 1 :]), kind)


@pytest.mark.parametrize("kind", list(Format))
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", b"hello", b"\0", "Müller".encode("latin-1"), b"/etc/passwd", b":20:x\n:61:y"]
)
def test_what_is_no_statement_is_refused_in_one_sentence(kind: Format, content: bytes) -> None:
    with pytest.raises(StatementRefused) as refused:
        read_statement(content, kind)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


@given(st.binary(max_size=400))
def test_no_bytes_at_all_are_more_than_refused(content: bytes) -> None:
    for kind in Format:
        for head in (b"", CSV.read_bytes()[:200], MT940.read_bytes()[:200]):
            read_or_refused(head + content, kind)


def test_another_encoding_is_refused_with_its_line() -> None:
    content = CSV.read_bytes().replace(b"BIAYA", "BIAYÄ".encode("latin-1"))
    with pytest.raises(StatementRefused, match="Line 6: this is not text in UTF-8"):
        read_statement(content, Format.CSV)
    assert bookings(read_statement(b"\xef\xbb\xbf" + CSV.read_bytes(), Format.CSV)) == BOOKINGS


@pytest.mark.parametrize(
    "injected",
    [
        '=HYPERLINK("http://x")',
        "[bold red]x[/]",
        "SALDO AKHIR",
        "x\n2024-10-07,B9,,,9,9,x",
        "\x1b[2J\x07",
        "pay_01jsynthetic000000000000001",
        "/EREF/pay_01jsynthetic000000000000001",
        "'; DROP TABLE transfer; --",
        "\u202e\u2028x",
    ],
)
def test_what_others_have_written_stays_a_description_in_one_line(injected: str) -> None:
    quoted = injected.replace('"', '""')
    content = a_csv(f'2024-10-07,B1,,,1500,1001500,"{quoted}"', balance=1_001_500)
    (line,) = read_statement(content, Format.CSV).lines
    assert (line.amount_rupiah, line.reference, line.bank_reference) == (1_500, "", "B1")
    assert line.description.isprintable()


def test_equal_bookings_of_a_day_are_two() -> None:
    row = "2024-10-07,,,2500,,{},BIAYA"
    content = a_csv(row.format(997_500), row.format(995_000), balance=995_000)
    first, second = read_statement(content, Format.CSV).lines
    assert first.identity != second.identity


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"IDR1776600000,", b"EUR1776600000,", "The opening balance is not in IDR"),
        (b":60M:C241007IDR1776430000,", b":60M:C241007IDR1776430001,", "does not begin with the balance"),
        (b"D2500,", b"D2500,50", "has sen"),
        (b":61:2410081008D2500,", b":61:24AB081008D2500,", "no field of MT940"),
        (b":25:000000009999\n:28C:1/2", b":25:000000008888\n:28C:1/2", "several accounts"),
        (b":62F:C241009IDR1781447500,\n", b"", "The closing balance is missing: the file was cut"),
        (b":60F:C241007IDR1776600000,\n", b"", "The opening balance is missing"),
        (b"D2500,NCHG", b"D2,500,NCHG", "is no MT940"),
        (b":61:2410081008RD20000,", b":61:2410081008RD0,", "the amount is nothing"),
        (b"NTRFNONREF//BKT0001", b"//BKT0001", "5 lines begin with :61:, and 4 can be read"),
    ],
)
def test_what_the_library_would_pass_over_is_refused(before: bytes, after: bytes, said: str) -> None:
    content = MT940.read_bytes()
    assert before in content
    with pytest.raises(StatementRefused, match=said):
        read_statement(content.replace(before, after, 1), Format.MT940)


def test_a_file_name_in_a_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "other.sta").write_bytes(MT940.read_bytes())
    with pytest.raises(StatementRefused, match="no message"):
        read_statement(str(tmp_path / "other.sta").encode(), Format.MT940)
