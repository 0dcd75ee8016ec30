"""`authz family` and `authz cap` as operators type them: one sentence each, an exit code, and no number in sight."""

import asyncio
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from typer.testing import CliRunner, Result

from authz_service.cli import app
from authz_service.clock import ShiftedClock
from authz_service.commands.place import console
from authz_service.ledger.audit import check
from tests.conftest import EnrolledTemplate
from tests.operators import a_card_number
from tests.world import A_MORNING, PROGRAMME

NIK = "6472050000900001"
A_SECRET = "a root key of the tests"
WHY = ("--reason", "verifikasi data", "--actor", "dinsos")


@dataclass(frozen=True, slots=True)
class Desk:
    """A machine on which `authz` is typed."""

    environment: dict[str, str]
    directory: Path

    def __call__(self, *words: str, stdin: object = None, **environment: str) -> Result:
        given = None if stdin is None else orjson.dumps(stdin)
        return CliRunner().invoke(app, list(words), input=given, env={**self.environment, **environment})

    def said(self, *words: str, **more: Any) -> str:
        result = self(*words, **more)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *words: str, **more: Any) -> str:
        """Not 0, one sentence, no stack trace."""
        result = self(*words, **more)
        assert (result.exit_code, result.stdout) == (1, "")
        assert isinstance(result.exception, SystemExit)
        return result.stderr

    def fetch(self, statement: str) -> list[asyncpg.Record]:
        async def fetched() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.environment["DATABASE_URL"])
            try:
                rows: list[asyncpg.Record] = await connection.fetch(statement)
                findings = await check(connection, PROGRAMME, now=A_MORNING)
                assert not [finding for finding in findings if finding.violations]
            finally:
                await connection.close()
            return rows

        return asyncio.run(fetched())


@pytest.fixture
def authz(enrolled_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """On a morning of the programme's first month, at a screen wide enough for two ids in a row."""
    monkeypatch.setattr(console, "_width", 200)
    ShiftedClock.create(tmp_path / "clock", A_MORNING)
    before = signal.getsignal(signal.SIGTERM)
    yield Desk(
        {
            "DATABASE_URL": enrolled_url,
            "REDIS_URL": redis_url,
            "AUTHZ_CLOCK_OFFSET_FILE": str(tmp_path / "clock"),
            "AUTHZ_ROOT_KEY": A_SECRET,
        },
        tmp_path,
    )
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def families(enrolled: EnrolledTemplate) -> list[str]:
    return [card.beneficiary_id for card in enrolled.tills.cards]


def a_newcomer(**changes: object) -> dict[str, object]:
    good = {
        "name": "KELUARGA BARU",
        "nik": NIK,
        "companion": "P-001",
        "district_code": "64.72.05",
        "card_number": a_card_number(),
    }
    return {**good, **changes}


def test_a_removal_says_what_became_of_the_money(authz: Desk, families: list[str]) -> None:
    who = families[0]
    assert authz.said("family", "remove", who, *WHY) == f"{who} is removed now; Rp1.800.000 is unallocated again.\n"
    assert authz.refused("family", "remove", who, *WHY) == f"authz: {who} is removed, and a removal is final.\n"
    [row] = authz.fetch("SELECT kind, actor, reason FROM family_change")
    assert tuple(row) == ("remove", "dinsos", "verifikasi data")


def test_a_late_entrant_comes_from_standard_input_and_is_shown_without_name_and_number(
    authz: Desk, families: list[str]
) -> None:
    authz.said("family", "remove", families[0], *WHY)
    newcomer = a_newcomer()
    entered = authz.said("family", "enter", "-", *WHY, stdin=newcomer)
    who = entered.partition(" ")[0]
    assert entered == f"{who} may buy now, with Rp1.800.000.\n"
    shown = authz.said("family", "show", who)
    assert shown.startswith(f"{who}: active; entered on 2024-10-07.\nCompanion P-001, district Samarinda Utara.\n")
    assert "Available Rp1.800.000, held Rp0, spent Rp0." in shown
    assert f"Card ending {str(newcomer['card_number'])[-4:]}" in shown
    assert "verifikasi data" in shown
    for secret in (NIK, str(newcomer["card_number"]), str(newcomer["name"])):
        assert secret not in entered + shown
    for sought in ({"nik": NIK}, {"card_number": newcomer["card_number"]}):
        assert authz.said("family", "find", "-", stdin=sought) == f"{who}\n"
    again = authz.refused("family", "enter", "-", *WHY, stdin=a_newcomer())
    assert again == f"authz: This NIK is on the roll already, as {who}.\n"
    authz.fetch("SELECT")


def test_a_late_entrant_also_comes_from_a_file_and_on_a_day(authz: Desk, families: list[str]) -> None:
    authz.said("family", "remove", families[0], *WHY)
    file = authz.directory / "newcomer.json"
    file.write_bytes(orjson.dumps(a_newcomer(amount=900_000, card_expires_on="2030-01-31", card_is_activated=False)))
    entered = authz.said("family", "enter", str(file), *WHY, "--on", "2024-11-01")
    who = entered.partition(" ")[0]
    assert entered == f"{who} may buy from 2024-11-01 on, with Rp900.000.\n"
    shown = authz.said("family", "show", who)
    assert f"{who}: suspended; entered on 2024-11-01.\nIt is to be active from 2024-11-01 00:00 on." in shown
    assert "not_activated, good until 2030-01-31." in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nik": NIK[:-1]}, "nik: "),
        ({"amount": "900000"}, "amount: "),
        ({"amount": 1.5}, "amount: "),
        ({"surname": "X"}, "surname: "),
        ({"card_number": "9360000000000014"}, "check digit"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_and_not_repeated(authz: Desk, given: dict[str, object], said: str) -> None:
    newcomer = a_newcomer(**given)
    refused = authz.refused("family", "enter", "-", *WHY, stdin=newcomer)
    assert said in refused
    assert str(newcomer["nik"]) not in refused
    assert str(newcomer["card_number"]) not in refused


def test_what_is_no_json_is_refused(authz: Desk) -> None:
    result = CliRunner().invoke(app, ["family", "find", "-"], input=b"{nik", env=authz.environment)
    assert (result.exit_code, "authz: The file is not JSON: key must be a string" in result.stderr) == (1, True)
    assert "by its NIK or by a card number" in authz.refused("family", "find", "-", stdin={})


def test_nothing_real_is_sealed_under_the_public_key(authz: Desk) -> None:
    public = {"AUTHZ_ROOT_KEY": "sandbox-only-root-key-never-for-production"}
    for words in (["enter", "-", *WHY], ["card", "ben_1", "-", *WHY]):
        stdin = a_newcomer() if words[0] == "enter" else {"card_number": a_card_number()}
        assert "public sandbox key" in authz.refused("family", *words, stdin=stdin, **public)
    assert "has no such family" in authz.refused("family", "find", "-", "--sandbox", stdin={"nik": NIK}, **public)


def test_suspended_and_resumed_on_a_day(authz: Desk, families: list[str]) -> None:
    who = families[0]
    assert authz.said("family", "suspend", who, *WHY) == f"{who} is suspended now.\n"
    resumed = authz.said("family", "resume", who, *WHY, "--on", "2024-11-01")
    assert resumed == f"{who} is active from 2024-11-01 on.\n"
    again = authz.said("family", "suspend", who, *WHY)
    assert again == f"{who} is suspended now; it does not become active any more, as was ordered.\n"


def test_merged_moved_and_carded(authz: Desk, families: list[str]) -> None:
    survivor, other, moved = families[:3]
    merged = authz.said("family", "merge", survivor, other, *WHY)
    assert merged.startswith(
        f"{other} is merged into {survivor} now; Rp1.800.000 is unallocated again; no longer good: "
    )
    assert f"removed, merged into {survivor}" in authz.said("family", "show", other)
    assert other in authz.said("family", "show", survivor)
    assert f"{moved} is looked after by P-100 now." in authz.said("family", "move", moved, "P-100", *WHY)
    carded = authz.said("family", "card", moved, "-", *WHY, stdin={"card_number": a_card_number()})
    card_id = carded.split()[4].rstrip(",")
    assert f"{moved} has the card {card_id}, which is active now; no longer good: crd_" in carded
    assert "which is blocked now" in authz.said("family", "card-status", card_id, "blocked", *WHY)
    assert "which is stolen now" in authz.said("family", "card-status", card_id, "stolen", *WHY)
    assert "cannot become active" in authz.refused("family", "card-status", card_id, "active", *WHY)
    authz.fetch("SELECT")


def test_an_order_says_who_gives_it_and_why(authz: Desk, families: list[str]) -> None:
    assert authz("family", "suspend", families[0], "--reason", "x").exit_code == 2
    assert authz("family", "suspend", families[0], "--actor", "dinsos").exit_code == 2
    authz.said("family", "suspend", families[0], "--reason", "dicek", AUTHZ_ACTOR="meja 2")
    [row] = authz.fetch("SELECT actor FROM family_change")
    assert row["actor"] == "meja 2"
    refused = authz.refused("family", "resume", families[0], "--reason", f"NIK {NIK}", "--actor", "dinsos")
    assert "reason is refused" in refused
    assert NIK not in refused
    assert "has no family ben_nobody" in authz.refused("family", "show", "ben_nobody")


ORDERS = {
    "cap_set": ["cap", "set", "2024-12", "--rupiah", "500000", "--packages", "2"],
    "operator_added": ["operator", "add", "Bank"],
    "key_issued": ["key", "issue", "--operator", "Bank"],
    "key_revoked": ["key", "revoke", "--operator", "Bank", "--all"],
}


def test_each_order_of_the_office_is_kept_with_who_gave_it(authz: Desk) -> None:
    """And is not carried out without."""
    for words in (*ORDERS.values(), ["settlement", "close"], ["programme", "close", "--yes"]):
        nobody = authz(*words)
        assert (nobody.exit_code, "--actor" in nobody.stderr) == (2, True)
    for words in ORDERS.values():
        assert "actor is refused" in authz.refused(*words, "--actor", NIK)
        assert "actor is missing" in authz.refused(*words, "--actor", " ")
        authz.said(*words, "--actor", " meja 2  ")
    kept = authz.fetch("SELECT kind, actor, detail::text, recorded_at FROM office_order ORDER BY recorded_at, order_id")
    assert [(row["kind"], row["actor"]) for row in kept] == [(kind, "meja 2") for kind in ORDERS]
    assert orjson.loads(kept[0]["detail"]) == {
        "from": "2024-12",
        "cap_rupiah": 500_000,
        "packages_cap": 2,
        "before": {"cap_rupiah": 600_000, "packages_cap": 2},
    }
    shown = authz.said("programme", "orders").splitlines()
    assert len(shown) == len(ORDERS)
    assert re.fullmatch(r"2024-10-07 09:0\d meja 2: operator_added \(label Bank, operator_id opr_\w{26}\)", shown[1])
    with pytest.raises(asyncpg.RestrictViolationError):
        authz.fetch("DELETE FROM office_order")


def test_a_close_asks_whether_it_is_meant(authz: Desk) -> None:
    asked = authz("programme", "close", "--actor", "dinsos", stdin="n")
    assert (asked.exit_code, "Close samarinda-2024 for good?" in asked.output) == (1, True)
    assert not isinstance(asked.exception, AssertionError)
    assert "cannot be closed yet" in authz.refused("programme", "close", "--actor", "dinsos", "--yes")


def test_caps_change_with_a_month(authz: Desk) -> None:
    authz.environment["AUTHZ_ACTOR"] = "dinsos"
    said = authz.said("cap", "set", "2024-11", "--rupiah", "300000", "--packages", "none")
    assert said == (
        "From 2024-11 on: Rp300.000 and any number of packages a month. Before: Rp600.000 and 2 packages a month.\n"
    )
    assert "2024-10 has begun" in authz.refused("cap", "set", "2024-10", "--rupiah", "300000", "--packages", "1")
    assert "whole number" in authz.refused("cap", "set", "2024-11", "--rupiah", "300.000", "--packages", "1")
    [row] = authz.fetch("SELECT valid_from, cap_rupiah, packages_cap FROM month_cap")
    assert (str(row["valid_from"]), row["cap_rupiah"], row["packages_cap"]) == ("2024-11-01", 300000, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cap", "set", "2024-11", "--rupiah", "9" * 30, "--packages", "2"], "A cap is a whole number of at most 16 "),
        (
            ["cap", "set", "2024-11", "--rupiah", "9" * 5_000, "--packages", "2"],
            "A cap is a whole number of at most 16",
        ),
        (["cap", "set", "2024-11", "--rupiah", "500000", "--packages", "9" * 12], "A cap is at most Rp9.007."),
        (["key", "revoke", "--operator", "Dinsos", "--number", "9" * 20], "The operator Dinsos has no live key 999"),
    ],
)
def test_a_number_of_any_size_is_refused_in_a_sentence(authz: Desk, words: list[str], said: str) -> None:
    assert authz.refused(*words, AUTHZ_ACTOR="Dinsos").startswith(f"authz: {said}")


@pytest.mark.parametrize(
    "words",
    [
        ["family", "show", "ben_\udcff"],
        ["family", "move", "ben_1", "P-\udcff", *WHY],
        ["family", "card-status", "crd_\udcff", "active", *WHY],
        ["family", "suspend", "ben_1", "--actor", "dinsos", "--reason", "a\udcff"],
        ["key", "issue", "--operator", "\udcff"],
        ["programme", "statement", "--statement", "\udcff.csv"],
        ["famil\udcff"],
    ],
)
def test_bytes_that_are_no_text_are_refused_in_a_sentence(authz: Desk, words: list[str]) -> None:
    assert authz.refused(*words) == "authz: What was typed is not text in UTF-8.\n"
    by_environment = authz.refused("family", "suspend", "ben_1", "--reason", "dicek", AUTHZ_ACTOR="meja \udcff")
    assert by_environment.startswith("authz: The actor is refused: ")
