"""`authz roll` as operators type it: one sentence each, an exit code, and no name and no number in sight."""

import csv
import re
from pathlib import Path

import pytest

from authz_service.settings import SANDBOX_ROOT_KEY
from tests.rolls import a_family, as_csv, family_card
from tests.test_family_command import A_SECRET, Desk, authz  # noqa: F401  (a fixture)

WHY = ("--reason", "verifikasi November", "--actor", "Dinsos", "--sandbox")


@pytest.fixture(autouse=True)
def _enrolled_under_the_sandbox_key(authz: Desk) -> None:  # noqa: F811
    authz.environment["AUTHZ_ROOT_KEY"] = SANDBOX_ROOT_KEY


@pytest.fixture
def newcomers() -> list[dict[str, object]]:
    """A whole list of two families, whom nobody knows."""
    return [a_family(NO_KK=family_card(5000)), a_family()]


def test_a_list_is_imported_shown_approved_and_applied(
    authz: Desk,  # noqa: F811
    newcomers: list[dict[str, object]],
) -> None:
    path = as_csv(newcomers, authz.directory / "list.csv")
    refused = authz.refused("roll", "import", str(path), *WHY)
    assert "987 of 987 families off the roll" in refused
    assert "--leavers 987" in refused
    refused = authz.refused("roll", "import", str(path), *WHY, "--leavers", "987")
    assert "Rp3.600.000 for 2 families is not there: Rp0 is unallocated." in refused
    said = authz.said("roll", "import", str(path), *WHY, "--leavers", "987", "--without-newcomers")
    named = re.findall(r"imp_\w+", said)[0]
    assert "Unallocated: Rp0 now, Rp0 when they have entered, Rp1.776.600.000 when the others have left." in said
    assert authz.refused("roll", "approve", named, "--actor", "dinsos ") == (
        f"authz: {named} was imported by Dinsos: somebody else has to approve it.\n"
    )
    assert "waits for approval" in authz.said("roll", "show", named)
    authz.said("roll", "approve", named, "--actor", "Sekretaris")
    said = authz.said("roll", "apply", named, "--actor", "Sekretaris")
    assert said == f"{named} is the roll, from now on.\nWritten: 987 families.\n"
    assert authz.said("roll", "apply", named, "--actor", "Sekretaris") == f"{named} is the roll, from now on.\n"

    said = authz.said("roll", "import", str(path), *WHY)
    second = re.findall(r"imp_\w+", said)[0]
    for each in newcomers:
        assert str(each["NIK"]) not in said
    authz.said("roll", "withdraw", second, "--actor", "Dinsos")
    listed = authz.said("roll", "list")
    assert "withdrawn" in listed
    assert "applied" in listed
    assert authz.refused("roll", "show", "imp_x") == "authz: samarinda-2024 has no list imp_x.\n"
    [left] = authz.fetch("SELECT count(*) FROM beneficiary WHERE status <> 'removed'")
    assert left[0] == 0


def test_wrong_rows_end_with_1_and_a_file_that_says_why(
    authz: Desk,  # noqa: F811
    newcomers: list[dict[str, object]],
    tmp_path: Path,
) -> None:
    newcomers[1]["NIK"] = "6.47E+15"
    path = as_csv(newcomers, authz.directory / "list.csv")
    result = authz("roll", "import", str(path), *WHY)
    assert result.exit_code == 1
    assert "a long number that a spreadsheet has rounded" in result.output
    assert "1 row of the list are wrong" in result.output
    with (authz.directory / "list-kesalahan.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["KESALAHAN"]) for row in rows] == [False, True]
    assert authz.fetch("SELECT FROM roll_import") == []
    assert authz.fetch("SELECT FROM roll_import_row") == []
    said = authz.refused("roll", "import", str(path), *WHY[:-1])
    assert "public sandbox key" in said
    said = authz.refused("roll", "import", str(path), *WHY, AUTHZ_ROOT_KEY=A_SECRET)
    assert said == "authz: AUTHZ_ROOT_KEY is not the one under which this roll was written.\n"


def test_a_coming_day_and_a_mapping_are_said(authz: Desk, newcomers: list[dict[str, object]]) -> None:  # noqa: F811
    path = as_csv(newcomers, authz.directory / "list.csv")
    mapping = authz.directory / "roll.toml"
    mapping.write_text('[columns]\nnik = "NIK KEPALA"\n', encoding="utf-8")
    assert "missing: NIK_KEPALA" in authz.refused("roll", "import", str(path), *WHY, "--mapping", str(mapping))
    for day, said in (("2024-10-06", "holds from today"), ("2025-01-01", "The programme ends before")):
        assert said in authz.refused("roll", "import", str(path), *WHY, "--on", day)
    options = ("--leavers", "987", "--without-newcomers", "--on", "2024-11-01")
    assert "would change the roll on 2024-11-01" in authz.said("roll", "import", str(path), *WHY, *options)
