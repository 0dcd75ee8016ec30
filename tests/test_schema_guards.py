"""PostgreSQL itself keeps what is written, and notices every change that a decision must not miss."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from authz_service.enrolment.enrol import enrol
from authz_service.keys import Keys

PROGRAMME = "samarinda-2024"
ENROLLED_AT = datetime(2024, 9, 20, tzinfo=UTC)


@pytest.fixture
async def books(enrolled_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The enrolled programme beside another one, and one declined authorisation."""
    connection = await asyncpg.connect(enrolled_url)
    await enrol(
        connection, Keys("a root key of the tests"), PROGRAMME, seed=1, at=ENROLLED_AT, programme_id="bystander"
    )
    await connection.execute("""
        INSERT INTO authorisation (programme_id, authorisation_id, created_at, merchant_id, terminal_id, month, reason,
                                   amount_rupiah, approved_rupiah, reduction_rupiah, request_id, journal, answer)
        VALUES ('samarinda-2024', 'auth_1', now(), 'mrc_1', 'trm_1', '2024-10-01', 'card_unknown',
                1, 0, 0, 'req_1', '{}', '')""")
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfer SET amount_rupiah = amount_rupiah + 1",
        "UPDATE transfer SET recorded_at = recorded_at",
        "DELETE FROM transfer",
        "TRUNCATE transfer",
        "UPDATE authorisation SET reason = 'card_blocked'",
        "DELETE FROM authorisation",
        "TRUNCATE authorisation",
    ],
)
async def test_transfers_and_authorisations_are_never_changed_or_removed(
    books: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="are never changed or removed"):
        await books.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE programme SET month_cap_rupiah = 500000 WHERE programme_id = $1",
        "UPDATE merchant SET status = 'suspended' WHERE programme_id = $1",
        "UPDATE terminal SET status = 'unbound' WHERE programme_id = $1",
        "UPDATE companion SET label = 'Q' || label WHERE programme_id = $1",
        "INSERT INTO category VALUES ($1, 'tahu', 'tahu', 8)",
        "INSERT INTO product VALUES ($1, 'beras ketan', 'kg', 'beras', NULL)",
        "UPDATE price_ceiling SET price_rupiah = price_rupiah + 100 WHERE programme_id = $1",
        "DELETE FROM price_ceiling WHERE programme_id = $1 AND product = 'gula pasir'",
        "UPDATE district SET name = upper(name) WHERE programme_id = $1",
    ],
)
async def test_a_change_of_reference_data_raises_its_programmes_version(
    books: asyncpg.Connection, statement: str
) -> None:
    before = await _versions(books)
    await books.execute(statement, PROGRAMME)
    after = await _versions(books)
    assert after == {"bystander": before["bystander"], PROGRAMME: before[PROGRAMME] + 1}


async def test_a_change_that_touches_no_row_leaves_the_version(books: asyncpg.Connection) -> None:
    before = await _versions(books)
    await books.execute("UPDATE merchant SET status = 'suspended' WHERE merchant_id = 'mrc_nobody'")
    assert await _versions(books) == before


async def test_a_change_of_two_programmes_raises_both_versions_once(books: asyncpg.Connection) -> None:
    before = await _versions(books)
    await books.execute("UPDATE merchant SET status = 'suspended'")
    assert await _versions(books) == {name: version + 1 for name, version in before.items()}


NEW_VOUCHER = """
    INSERT INTO voucher (programme_id, voucher_id, beneficiary_id, companion_id, month, extra_rupiah, extra_packages,
                         used_rupiah, packages_used, reason, created_at, expires_at)
    SELECT programme_id, 'vch_1', beneficiary_id, companion_id, '2024-10-01', 300000, 1, 0, 0, 'sakit',
           '2024-10-05T00:00:00Z', '2024-10-31T16:00:00Z' FROM beneficiary WHERE beneficiary_id = $1"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE card SET status = 'lost' WHERE beneficiary_id = $1",
        "UPDATE card SET expires_on = '2024-11-30' WHERE beneficiary_id = $1",
        "DELETE FROM card WHERE beneficiary_id = $1",
        "UPDATE beneficiary SET status = 'suspended' WHERE beneficiary_id = $1",
        "UPDATE beneficiary SET companion_id = 'cmp_other' WHERE beneficiary_id = $1",
        NEW_VOUCHER,
    ],
)
async def test_a_change_of_a_card_or_a_family_raises_its_wallets_version(
    books: asyncpg.Connection, statement: str
) -> None:
    family = await _a_family(books)
    await books.execute(statement, family)
    assert await _changed_wallets(books) == {family: 2}


@pytest.mark.parametrize(
    "statement",
    ["UPDATE voucher SET revoked_at = now()", "UPDATE voucher SET extra_rupiah = 200000", "DELETE FROM voucher"],
)
async def test_a_change_of_a_voucher_raises_its_wallets_version(books: asyncpg.Connection, statement: str) -> None:
    family = await _a_family(books)
    await books.execute(NEW_VOUCHER, family)
    await books.execute(statement)
    assert await _changed_wallets(books) == {family: 3}


async def test_a_voucher_that_a_purchase_uses_leaves_the_version_to_the_purchase(books: asyncpg.Connection) -> None:
    family = await _a_family(books)
    await books.execute(NEW_VOUCHER, family)
    await books.execute("UPDATE voucher SET used_rupiah = 1000, packages_used = 1")
    assert await _changed_wallets(books) == {family: 2}


async def test_a_card_that_moves_raises_the_versions_of_both_wallets(books: asyncpg.Connection) -> None:
    """A merge or a mended mistake: neither family may be decided on what it had before."""
    giver, taker = await books.fetch("SELECT beneficiary_id FROM wallet WHERE programme_id = 'bystander' LIMIT 2")
    await books.execute("UPDATE card SET status = 'replaced' WHERE beneficiary_id = $1", taker[0])
    await books.execute("UPDATE card SET beneficiary_id = $2 WHERE beneficiary_id = $1", giver[0], taker[0])
    assert await _changed_wallets(books) == {giver[0]: 2, taker[0]: 3}


async def _versions(connection: asyncpg.Connection) -> dict[str, int]:
    rows = await connection.fetch("SELECT programme_id, version FROM reference")
    return {row["programme_id"]: row["version"] for row in rows}


async def _a_family(connection: asyncpg.Connection) -> str:
    family: str = await connection.fetchval("SELECT max(beneficiary_id) FROM wallet")
    return family


async def _changed_wallets(connection: asyncpg.Connection) -> dict[str, int]:
    rows = await connection.fetch("SELECT beneficiary_id, version FROM wallet WHERE version > 1")
    return {row["beneficiary_id"]: row["version"] for row in rows}
