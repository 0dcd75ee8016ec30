"""Enrolment writes a whole programme or nothing, the same for the same seed, and no secret in clear."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from authz_service.access import caller_of
from authz_service.database import migrate
from authz_service.enrolment.edition import PROGRAMMES_FOLDER, EditionUnusable, EnrolmentRefused
from authz_service.enrolment.enrol import AlreadyEnrolled, Enrolment, enrol
from authz_service.enrolment.granting import NothingToGrant, grant_entitlements
from authz_service.enrolment.sandbox import SandboxTills
from authz_service.keys import Keys
from authz_service.ledger.audit import check
from authz_service.ledger.bookings import book
from authz_service.ledger.postings import funded
from authz_service.settings import Settings
from authz_service.vocabulary import TransferId, luhn_is_valid

EDITION = "samarinda-2024"
CONTROL_TOTAL_RUPIAH = 1_776_600_000
KEYS = Keys("a root key of the tests")
BEFORE_THE_START = datetime(2024, 9, 20, 2, 0, tzinfo=UTC)


async def _enrol(connection: asyncpg.Connection, edition: str = EDITION, **differently: Any) -> Enrolment:
    options: dict[str, Any] = {"seed": 1, "at": BEFORE_THE_START} | differently
    return await enrol(connection, KEYS, edition, **options)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def enrolment(database: asyncpg.Connection) -> Enrolment:
    return await _enrol(database)


@pytest.fixture
def own_edition(tmp_path: Path) -> Path:
    """A copy of the edition's files that a test may spoil."""
    return Path(shutil.copytree(PROGRAMMES_FOLDER / EDITION, tmp_path / "own-edition"))


async def _rows(connection: asyncpg.Connection) -> dict[str, list[asyncpg.Record]]:
    """Every row of every table."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    return {table: await connection.fetch(f"SELECT * FROM {table} AS each ORDER BY each::text") for (table,) in tables}


async def test_the_same_seed_enrols_the_same_programme(
    database: asyncpg.Connection, enrolment: Enrolment, empty_database_url: str
) -> None:
    migrate(empty_database_url)
    other = await asyncpg.connect(empty_database_url)
    again = await _enrol(other)
    first_rows, second_rows = await _rows(database), await _rows(other)
    await other.close()
    assert again == enrolment
    assert _without_chance(first_rows) == _without_chance(second_rows)


def _without_chance(tables: dict[str, list[asyncpg.Record]]) -> dict[str, list[dict[str, Any]]]:
    """Ciphertexts have fresh nonces, and the database's clock goes on."""
    varies = {"name_sealed", "nik_sealed", "recorded_at"}
    return {
        table: sorted(({k: v for k, v in row.items() if k not in varies} for row in rows), key=str)
        for table, rows in tables.items()
    }


async def test_another_seed_enrols_other_families_and_keys(database: asyncpg.Connection, enrolment: Enrolment) -> None:
    other = await _enrol(database, seed=2, programme_id="another-seed")
    assert not _secrets(enrolment.tills) & _secrets(other.tills)


async def test_every_companion_and_an_operator_have_a_sandbox_key(
    database: asyncpg.Connection, enrolment: Enrolment
) -> None:
    tills = enrolment.tills
    assert {each.companion_id for each in tills.companions} == {card.companion_id for card in tills.cards}
    assert [each.label for each in tills.operators] == ["Dinsos"]
    keys = {each.key: str(each.companion_id) for each in tills.companions}
    keys |= {each.key: str(each.operator_id) for each in tills.operators}
    for key, principal_id in keys.items():
        caller = await caller_of(database, KEYS, key)
        assert caller is not None
        assert caller.principal_id == principal_id
        assert key.startswith("sandbox_samarinda-2024_")
    assert await database.fetchval("SELECT count(*) FROM access_key") == len(tills.companions) + 1


async def test_an_edition_says_how_far_its_companions_may_go(database: asyncpg.Connection, own_edition: Path) -> None:
    await _enrol(database)
    text = (own_edition / "programme.toml").read_text(encoding="utf-8")
    without = "\n".join(line for line in text.splitlines() if not line.startswith("voucher_"))
    (own_edition / "programme.toml").write_text(without, encoding="utf-8")
    await _enrol(database, str(own_edition))
    rows = await database.fetch(
        "SELECT voucher_limit_rupiah, voucher_limit_packages, voucher_month_limit_rupiah, voucher_month_limit_packages,"
        " voucher_approval_above_rupiah, voucher_approval_above_packages FROM programme ORDER BY programme_id DESC"
    )
    assert [tuple(row) for row in rows] == [(600_000, 2, 1_200_000, 6, 600_000, 2), (None,) * 6]


async def test_a_terminal_key_belongs_to_one_programme(database: asyncpg.Connection, enrolment: Enrolment) -> None:
    today = await _enrol(
        database, programme_id="samarinda-today", starts_on=date(2026, 1, 5), ends_on=date(2026, 3, 31)
    )
    assert not {till.key for till in enrolment.tills.terminals} & {till.key for till in today.tills.terminals}
    assert all(re.fullmatch(r"sandbox_samarinda-today_[0-9a-f]{32}", till.key) for till in today.tills.terminals)
    assert await database.fetchval("SELECT count(DISTINCT key_digest) FROM terminal") == 2 * 27
    names = await database.fetch("SELECT name FROM programme ORDER BY programme_id")
    assert [row["name"] for row in names] == [f"Bantuan Sembako Kartu SSN Samarinda {year}" for year in (2024, 2026)]


async def test_the_totals_are_the_control_total(database: asyncpg.Connection, enrolment: Enrolment) -> None:
    assert (enrolment.families, enrolment.merchants) == (987, 27)
    assert enrolment.funded_rupiah == enrolment.granted_rupiah == CONTROL_TOTAL_RUPIAH == 987 * 1_800_000
    assert await database.fetchval("SELECT sum(available_rupiah) FROM wallet") == CONTROL_TOTAL_RUPIAH
    totals = await database.fetch("SELECT kind, count(*), sum(amount_rupiah) FROM transfer GROUP BY kind ORDER BY kind")
    assert [tuple(row) for row in totals] == [("fund", 1, CONTROL_TOTAL_RUPIAH), ("grant", 987, CONTROL_TOTAL_RUPIAH)]


async def test_every_party_to_a_transfer_has_an_account(database: asyncpg.Connection, enrolment: Enrolment) -> None:
    assert await database.fetchval("SELECT count(*) FROM account") == 4 + enrolment.merchants + enrolment.families
    orphans = """
        SELECT count(*) FROM transfer CROSS JOIN LATERAL unnest(ARRAY[debit_account_id, credit_account_id]) AS side
         WHERE NOT EXISTS (SELECT FROM account
                            WHERE account.programme_id = transfer.programme_id AND account_id = side)"""
    assert await database.fetchval(orphans) == 0


async def test_every_companion_looks_after_six_to_eight_families_of_one_kecamatan(
    database: asyncpg.Connection, enrolment: Enrolment
) -> None:
    groups = await database.fetch(
        "SELECT count(*) AS families, count(DISTINCT district_code) AS districts FROM beneficiary GROUP BY companion_id"
    )
    assert len(groups) == enrolment.companions
    assert {group["districts"] for group in groups} == {1}
    assert {group["families"] for group in groups} <= {6, 7, 8}


async def test_no_card_number_nik_name_or_key_stands_in_clear(
    database: asyncpg.Connection, enrolment: Enrolment
) -> None:
    written = b"\n".join(
        value if isinstance(value, bytes) else str(value).encode()
        for rows in (await _rows(database)).values()
        for row in rows
        for value in row.values()
    )
    sixteen_digits = {run[at : at + 16] for run in re.findall(rb"\d{16,}", written) for at in range(len(run) - 15)}
    assert not {card.card_number.encode() for card in enrolment.tills.cards} & sixteen_digits
    assert not {digits for digits in sixteen_digits if digits.startswith(b"6472")}
    assert b"SINTETIS" not in written
    assert b"sandbox_" not in written


async def test_names_and_nik_open_only_in_their_own_row(database: asyncpg.Connection, enrolment: Enrolment) -> None:
    rows = await database.fetch("SELECT beneficiary_id, name_sealed, nik_sealed FROM beneficiary")
    opened = {
        KEYS.open_field(row["name_sealed"], f"beneficiary.name_sealed:{row['beneficiary_id']}"): KEYS.open_field(
            row["nik_sealed"], f"beneficiary.nik_sealed:{row['beneficiary_id']}"
        )
        for row in rows
    }
    assert opened["KELUARGA SINTETIS 0001"] == "6472010000000001"
    # Day 00 of month 00: nobody has such a NIK.
    assert all(re.fullmatch(r"6472\d\d0000\d{6}", nik) for nik in opened.values())
    assert len(set(opened.values())) == enrolment.families


async def test_every_family_has_its_own_card_that_no_bank_issued(
    database: asyncpg.Connection, enrolment: Enrolment
) -> None:
    numbers = {card.card_number for card in enrolment.tills.cards}
    assert len(numbers) == 987
    assert all(len(number) == 16 and number.startswith("93600000") and luhn_is_valid(number) for number in numbers)
    digests = {row["card_digest"] for row in await database.fetch("SELECT card_digest FROM card")}
    assert digests == {KEYS.card_digest(number) for number in numbers}


async def test_a_family_has_one_active_card_only(database: asyncpg.Connection, enrolment: Enrolment) -> None:
    second_card = """
        INSERT INTO card SELECT programme_id, 'crd_second', beneficiary_id, '\\x00', key_id, last_four, $1, expires_on
                           FROM card LIMIT 1"""
    with pytest.raises(asyncpg.UniqueViolationError, match="card_one_active_per_beneficiary_key"):
        await database.execute(second_card, "active")
    await database.execute(second_card, "replaced")


async def test_the_last_day_of_the_programme_still_counts(database: asyncpg.Connection, enrolment: Enrolment) -> None:
    (programme,) = await database.fetch("SELECT starts_at, ends_at FROM programme")
    assert tuple(programme) == (datetime(2024, 9, 30, 16, tzinfo=UTC), datetime(2024, 12, 31, 16, tzinfo=UTC))


async def test_an_early_till_hears_that_the_programme_has_not_started(
    database: asyncpg.Connection, enrolment: Enrolment
) -> None:
    """Its shop is admitted before the first day, also when the enrolment was later than that."""
    assert await database.fetchval("SELECT max(admitted_on) FROM merchant") < date(2024, 10, 1)


async def test_a_sandbox_that_is_played_at_night_has_shops_without_hours(database: asyncpg.Connection) -> None:
    await _enrol(database, always_open=True)
    assert await database.fetchval("SELECT count(opens_at) FROM merchant") == 0


async def test_where_the_money_has_still_to_come_families_have_nothing_until_it_is_there(
    database: asyncpg.Connection, database_url: str
) -> None:
    """Then each has its entitlement, once, and the books are those of any other programme."""
    how: dict[str, Any] = {"actor": "Dinsos", "now": datetime(2024, 9, 30, tzinfo=UTC), "chance": os.urandom}
    settings, unfunded = Settings(), await _enrol(database, is_funded=False)
    assert (unfunded.funded_rupiah, unfunded.granted_rupiah) == (0, 0)
    assert await database.fetchval("SELECT count(*) FROM transfer") == 0
    assert await database.fetchval("SELECT sum(available_rupiah) FROM wallet") == 0
    with pytest.raises(NothingToGrant, match=r"^Rp1.776.600.000 is not there for 987 families: Rp0 is unallocated.$"):
        await grant_entitlements(database, settings, unfunded.programme_id, **how)
    await book(database, EDITION, funded(TransferId("trf_1"), CONTROL_TOTAL_RUPIAH, how["now"], "SP2D-7"))
    other = await asyncpg.connect(database_url)
    done = await asyncio.gather(
        *(grant_entitlements(each, settings, unfunded.programme_id, **how) for each in (database, other))
    )
    await other.close()
    assert sorted((each.families, each.amount_rupiah) for each in done) == [(0, 0), (987, CONTROL_TOTAL_RUPIAH)]
    orders = await database.fetch("SELECT actor, detail FROM office_order WHERE kind = 'entitlements_granted'")
    assert [(actor, orjson.loads(detail)) for actor, detail in orders] == [
        ("Dinsos", {"families": 987, "amount_rupiah": CONTROL_TOTAL_RUPIAH})
    ]
    assert await database.fetchval("SELECT count(*) FROM wallet WHERE available_rupiah = 1800000") == 987
    # Whoever decided about a family before decides again.
    assert await database.fetchval("SELECT min(version) FROM wallet") > 1
    findings = await check(database, EDITION, now=datetime(2024, 10, 1, tzinfo=UTC))
    assert [each.invariant.name for each in findings if each.violations] == []


async def test_enrolling_twice_is_refused_and_writes_nothing(
    database: asyncpg.Connection, enrolment: Enrolment
) -> None:
    before = await _rows(database)
    with pytest.raises(AlreadyEnrolled, match=r"^The programme samarinda-2024 is enrolled already"):
        await _enrol(database, seed=2)
    assert await _rows(database) == before


async def test_of_two_enrolments_at_once_one_is_refused(database: asyncpg.Connection, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    results = await asyncio.gather(_enrol(database), _enrol(other), return_exceptions=True)
    await other.close()
    assert {type(result) for result in results} == {AlreadyEnrolled, Enrolment}
    assert await database.fetchval("SELECT count(*) FROM wallet") == 987


async def test_an_enrolment_that_breaks_off_leaves_nothing(database: asyncpg.Connection) -> None:
    before = await _rows(database)

    def break_off(table: str, _done: int, _total: int) -> None:
        if table == "wallet":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await _enrol(database, progress=break_off)
    assert await _rows(database) == before


async def test_progress_ends_at_the_total(database: asyncpg.Connection) -> None:
    seen: list[tuple[int, int]] = []
    await _enrol(database, progress=lambda _table, done, total: seen.append((done, total)))
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(seen))
    assert seen[-1][0] == seen[-1][1]


SPOILED = [
    ("programme.toml", "1_776_600_000", "1_776_599_999", "does not cover the grants Rp1.776.600.000"),
    ("programme.toml", "month_cap_rupiah", "monthly_cap_rupiah", "monthly_cap_rupiah"),
    ("programme.toml", "Asia/Makassar", "Asia/Samarinda", "zone"),
    (
        "programme.toml",
        "\ndays = [",
        "\npayout_limit_rupiah = 999_999\ndays = [",
        "payout_limit_rupiah: Input should be gr",
    ),
    ("programme.toml", '"tunai",', '"tunai", "beras",', "beras is permitted and cash"),
    ("programme.toml", "least = 6, most = 8", "least = 600, most = 601", "cannot be shared out by 600 to 601"),
    ("kecamatan.csv", "Palaran,118", "Palaran,119", "the kecamatan have 988 families, the programme 987"),
    ("merchants.csv", "KUBE Mawar Sejahtera,64.72.01", "KUBE Mawar,64.72.11", "KUBE Mawar is in no listed kecamatan"),
    ("products.csv", "kg,beras", "kg,padi", "has no category"),
    ("price_ceilings.csv", "gula pasir,kg", "gula pasir,ons", "gula pasir"),
    ("price_ceilings.csv", "17500", "17500.5", "price_ceiling_rupiah"),
]


@pytest.mark.parametrize("spoiled", SPOILED)
async def test_an_edition_that_does_not_add_up_is_refused(
    database: asyncpg.Connection, own_edition: Path, spoiled: tuple[str, str, str, str]
) -> None:
    file, good, bad, said = spoiled
    text = (own_edition / file).read_text(encoding="utf-8")
    (own_edition / file).write_text(text.replace(good, bad, 1), encoding="utf-8")
    before = await _rows(database)
    with pytest.raises(EditionUnusable, match=re.escape(said)):
        await _enrol(database, str(own_edition))
    assert await _rows(database) == before


async def test_an_edition_of_ones_own_is_a_folder(database: asyncpg.Connection, own_edition: Path) -> None:
    enrolment = await _enrol(database, str(own_edition))
    assert enrolment.programme_id == "own-edition"


async def test_an_unknown_edition_names_those_that_there_are(database: asyncpg.Connection) -> None:
    with pytest.raises(EditionUnusable, match=r"There is no edition balikpapan; there is: samarinda-2024\."):
        await _enrol(database, "balikpapan")


@pytest.mark.parametrize(
    "differently",
    [{"programme_id": "../../etc"}, {"programme_id": "a b"}, {"starts_on": date(2025, 1, 1)}],
    ids=["path", "space", "dates"],
)
async def test_an_impossible_programme_is_refused(database: asyncpg.Connection, differently: dict[str, Any]) -> None:
    with pytest.raises(EnrolmentRefused):
        await _enrol(database, **differently)
    assert await database.fetchval("SELECT count(*) FROM reference") == 0


async def test_the_file_of_tills_is_for_its_owner_alone_and_reads_back(
    database: asyncpg.Connection, enrolment: Enrolment, tmp_path: Path
) -> None:
    path = enrolment.tills.write(tmp_path / "var")
    assert path.name == "sandbox-samarinda-2024.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert SandboxTills.load(path) == enrolment.tills
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def _secrets(tills: SandboxTills) -> set[str]:
    keys = {each.key for each in tills.terminals} | {each.key for each in tills.companions}
    return keys | {each.key for each in tills.operators} | {card.beneficiary_id for card in tills.cards}
