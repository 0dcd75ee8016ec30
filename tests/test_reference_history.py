"""What the history says was in force at a version is what decisions of that version saw, however often it changed."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import asyncpg
import pytest
from alembic import command

from authz_service.database import migrate, migration_config, open_office_pool
from authz_service.explanation.explain import seen_at
from authz_service.registry import Reference, Registry
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME

A_PROGRAMME = """
INSERT INTO programme (programme_id, name, operator_name, zone, starts_at, ends_at, entitlement_rupiah, package_rupiah,
                       month_cap_rupiah, month_packages, package_counting, above_ceiling, details_required,
                       hold_seconds, cash_categories)
VALUES ('p', 'P', 'Dinsos', 'Asia/Makassar', '2024-10-01T00:00+08', '2025-01-01T00:00+08', 1800000, 300000, 600000, 2,
        'per_purchase', 'decline', 'where_ceiling', 86400, '{tunai,pulsa}')
"""
CHANGES = (
    "UPDATE programme SET month_cap_rupiah = CASE WHEN month_cap_rupiah IS NULL THEN 500000 END",
    "UPDATE programme SET month_packages = 1 + month_packages, name = name || '!'",
    "UPDATE programme SET ends_at = ends_at + interval '1 hour', cash_categories = cash_categories || '{bon}'",
    "UPDATE programme SET zone = CASE zone WHEN 'Asia/Jakarta' THEN 'Asia/Makassar' ELSE 'Asia/Jakarta' END",
    """INSERT INTO month_cap VALUES (:programme, '2024-11-01', 400000, 1), (:programme, '2024-12-01', NULL, NULL)
           ON CONFLICT (programme_id, valid_from) DO UPDATE SET cap_rupiah = 300000""",
    """UPDATE month_cap SET valid_from = valid_from + interval '1 month'
        WHERE valid_from = (SELECT max(valid_from) FROM month_cap)""",
    "DELETE FROM month_cap WHERE valid_from = (SELECT min(valid_from) FROM month_cap)",
    "UPDATE merchant SET opens_at = '06:30', closes_at = '23:00', leaves_on = '2024-12-01'",
    "UPDATE merchant SET opens_at = NULL, closes_at = NULL, name = name || ' baru' WHERE merchant_id = :shop",
    "UPDATE merchant SET status = 'suspended' WHERE merchant_id = :shop",
    "UPDATE category SET position = 100 - position, name = upper(name)",
    "UPDATE price_ceiling SET price_rupiah = price_rupiah + 100, source = 'a letter'",
    "UPDATE price_ceiling SET valid_from = valid_from + 1 WHERE product LIKE 'beras%'",
    "UPDATE price_ceiling SET district_code = '64.72.05' WHERE product LIKE 'telur%' AND district_code = ''",
    "DELETE FROM price_ceiling WHERE ctid = (SELECT min(ctid) FROM price_ceiling)",
    "DELETE FROM product p WHERE NOT EXISTS (SELECT FROM price_ceiling c WHERE c.product = p.name AND c.unit = p.unit)",
    "INSERT INTO product VALUES (:programme, 'beras ketan', 'kg', 'beras', '8991002101234') ON CONFLICT DO NOTHING",
    "UPDATE product SET name = (SELECT 'beras ketan ' || count(*) FROM reference_history) WHERE name = 'beras ketan'",
    "UPDATE product SET gtin = NULL",
)
"""Some move a row to another key, some take it away; :programme is the programme, :shop a shop."""


@pytest.fixture
async def reference(enrolled_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(enrolled_url)
    yield connection
    await connection.close()


@pytest.fixture
async def registry(enrolled_url: str) -> AsyncIterator[Registry]:
    async with await open_office_pool(Settings(), enrolled_url) as pool:
        yield Registry(pool, 0)


async def change(connection: asyncpg.Connection, statement: str, merchant_id: str) -> None:
    await connection.execute(statement.replace(":programme", f"'{PROGRAMME}'").replace(":shop", f"'{merchant_id}'"))


@pytest.mark.parametrize("seed", range(4))
async def test_each_version_of_the_history_is_what_decisions_of_that_version_saw(
    reference: asyncpg.Connection, registry: Registry, seed: int
) -> None:
    chance = Random(seed)
    shops = [row[0] for row in await reference.fetch("SELECT merchant_id FROM merchant ORDER BY 1 LIMIT 3")]
    seen: list[Reference] = []
    for statement in [None, *chance.choices(CHANGES, k=25)]:
        if statement is not None:
            await change(reference, statement, chance.choice(shops))
        await registry.load()
        seen.append(registry.reference(ProgrammeId(PROGRAMME)))
    assert len({each.version for each in seen}) > 12
    for then in seen:
        for merchant_id in shops:
            found = await seen_at(reference, PROGRAMME, then.version, merchant_id)
            assert found is not None
            assert found.programme == then.programme, then.version
            assert found.shop == then.shops[merchant_id]
            assert list(found.programme.categories) == list(then.programme.categories)
            assert {key[:2] for key in found.ceiling_sources} == {
                (product.name, product.unit) for product in then.programme.products.values() if product.ceilings
            }


async def test_a_row_that_takes_another_key_is_gone_under_its_old_one(reference: asyncpg.Connection) -> None:
    await reference.execute(
        "INSERT INTO month_cap VALUES ($1, '2024-11-01', 1, 1), ($1, '2024-12-01', 2, 2)", PROGRAMME
    )
    await reference.execute("UPDATE month_cap SET valid_from = '2025-01-01' WHERE valid_from = '2024-11-01'")
    rows = await reference.fetch(
        "SELECT operation, key[1] FROM reference_history WHERE relation = 'month_cap' ORDER BY version, place"
    )
    assert [tuple(row) for row in rows] == [
        ("INSERT", "2024-11-01"),
        ("INSERT", "2024-12-01"),
        ("DELETE", "2024-11-01"),
        ("UPDATE", "2025-01-01"),
    ]


async def test_a_shop_that_was_deleted_is_in_force_before_and_not_after(reference: asyncpg.Connection) -> None:
    merchant_id = await reference.fetchval("SELECT min(merchant_id) FROM merchant")
    before = await reference.fetchval("SELECT version FROM reference WHERE programme_id = $1", PROGRAMME)
    await reference.execute("DELETE FROM terminal WHERE merchant_id = $1", merchant_id)
    await reference.execute("ALTER TABLE payout_account DROP CONSTRAINT payout_account_programme_id_merchant_id_fkey")
    await reference.execute("DELETE FROM merchant WHERE merchant_id = $1", merchant_id)
    then, after = [await seen_at(reference, PROGRAMME, version, merchant_id) for version in (before, before + 2)]
    assert then is not None
    assert then.shop is not None
    assert after is not None
    assert after.shop is None


async def test_nothing_is_known_of_a_version_before_the_history_and_of_another_programme(
    reference: asyncpg.Connection,
) -> None:
    first = await reference.fetchval("SELECT min(version) FROM reference_history WHERE relation = 'programme'")
    assert await seen_at(reference, PROGRAMME, first - 1, "mrc_1") is None
    assert await seen_at(reference, "another", first, "mrc_1") is None
    assert await seen_at(reference, PROGRAMME, first, "mrc_1") is not None


async def test_a_shop_among_thousands_is_found_by_its_key_and_not_by_reading_them_all(
    reference: asyncpg.Connection,
) -> None:
    await reference.execute(
        "INSERT INTO merchant SELECT $1, 'mrc_' || n, '64.72.05', 'KUBE ' || n, 'active', '2024-09-01'"
        " FROM generate_series(1, 5000) n",
        PROGRAMME,
    )
    await reference.execute("ANALYZE reference_history")
    plan = await reference.fetch(
        "EXPLAIN SELECT operation, row FROM reference_history WHERE programme_id = $1 AND relation = 'merchant'"
        " AND key = $3 AND version <= $2 ORDER BY version DESC, place DESC LIMIT 1".replace("$1", f"'{PROGRAMME}'")
        .replace("$2", "1000000")
        .replace("$3", "'{mrc_77}'")
    )
    assert "reference_history_key_idx" in "".join(row[0] for row in plan)


async def test_a_history_that_was_written_before_it_had_keys_is_found_by_them(empty_database_url: str) -> None:
    await asyncio.to_thread(command.upgrade, migration_config(empty_database_url), "0002")
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("INSERT INTO reference VALUES ('p', 1)")
    await connection.execute(A_PROGRAMME)
    await connection.execute("INSERT INTO district VALUES ('p', '1', 'Satu')")
    await connection.execute("INSERT INTO merchant VALUES ('p', 'mrc_1', '1', 'KUBE Satu', 'active', '2024-09-01')")
    migrate(empty_database_url)
    await connection.execute("UPDATE merchant SET merchant_id = 'mrc_2'")
    now = await connection.fetchval("SELECT version FROM reference")
    moments = ((now - 1, "mrc_1"), (now, "mrc_1"), (now, "mrc_2"), (1, "mrc_1"))
    found = [await seen_at(connection, "p", *at) for at in moments]
    await connection.close()
    assert [each and each.shop and each.shop.merchant_id for each in found] == ["mrc_1", None, "mrc_2", None]
