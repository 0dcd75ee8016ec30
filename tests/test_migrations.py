"""The migrations make the schema that `schema/` says, safely, and a wrong database is one clear sentence."""

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from authz_service.database import (
    REVISION,
    DatabaseUnusable,
    connect_hot,
    migrate,
    migration_config,
    open_office_pool,
    require_schema,
)
from authz_service.schema import metadata
from authz_service.settings import Settings

CATALOG = {
    "tables": """
        SELECT relname, relpersistence::text, reloptions
          FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'""",
    "columns": """
        SELECT relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, collname,
               pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
          FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
          LEFT JOIN pg_collation ON pg_collation.oid = attcollation
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, tgenabled::text, pg_get_triggerdef(oid)
          FROM pg_trigger WHERE NOT tgisinternal""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
    "types": """
        SELECT typname, attnum, attname, format_type(atttypid, atttypmod)
          FROM pg_type JOIN pg_class ON pg_class.oid = typrelid JOIN pg_attribute ON attrelid = typrelid
         WHERE typnamespace = 'public'::regnamespace AND relkind = 'c'""",
    "sequences": "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'",
}


@pytest.fixture
async def migrated(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def _catalog(connection: asyncpg.Connection, name: str) -> list[str]:
    """What the database says it consists of, line by line, without alembic's own table."""
    lines = [str(tuple(row)) for row in await connection.fetch(CATALOG[name])]
    return sorted(line for line in lines if "alembic_version" not in line)


async def test_the_migrations_and_the_metadata_make_the_same_database(
    migrated: asyncpg.Connection, empty: asyncpg.Connection, empty_database_url: str
) -> None:
    creator = partial(asyncpg.connect, empty_database_url)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    for name in CATALOG:
        assert await _catalog(migrated, name) == await _catalog(empty, name), name
    assert len(await _catalog(migrated, "tables")) == len(metadata.tables)


async def test_the_program_asks_for_the_newest_migration() -> None:
    scripts = ScriptDirectory.from_config(migration_config("postgresql://nowhere/none"))
    assert scripts.get_heads() == [REVISION]


async def test_every_migration_limits_its_wait_for_locks_first() -> None:
    scripts = ScriptDirectory.from_config(migration_config("postgresql://nowhere/none"))
    for script in scripts.walk_revisions():
        upgrade = Path(script.path).read_text(encoding="utf-8").partition("def upgrade")[2]
        first_statement = upgrade.partition("op.execute(")[2]
        assert first_statement.startswith('"SET LOCAL lock_timeout'), script.revision


async def test_a_migration_does_not_change_when_the_service_does() -> None:
    scripts = ScriptDirectory.from_config(migration_config("postgresql://nowhere/none"))
    for script in scripts.walk_revisions():
        assert "authz_service" not in Path(script.path).read_text(encoding="utf-8"), script.revision


async def test_migrating_a_migrated_database_changes_nothing(migrated: asyncpg.Connection, database_url: str) -> None:
    before = [await _catalog(migrated, name) for name in CATALOG]
    migrate(database_url)
    assert [await _catalog(migrated, name) for name in CATALOG] == before


async def test_two_instances_that_migrate_at_once_make_one_schema(
    empty: asyncpg.Connection, empty_database_url: str
) -> None:
    script = "import sys; from authz_service.database import migrate; migrate(sys.argv[1])"
    instances = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", script, empty_database_url) for _ in range(2)
    ]
    assert [await instance.wait() for instance in instances] == [0, 0]
    await require_schema(empty)


async def test_a_migration_says_that_it_does_not_downgrade(migrated: asyncpg.Connection, database_url: str) -> None:
    with pytest.raises(NotImplementedError, match="does not downgrade"):
        await asyncio.to_thread(command.downgrade, migration_config(database_url), "base")
    await require_schema(migrated)


async def test_a_database_without_a_schema_is_refused(empty: asyncpg.Connection) -> None:
    with pytest.raises(DatabaseUnusable, match="no schema yet: run `authz migrate`"):
        await require_schema(empty)


@pytest.mark.parametrize(("revision", "said"), [("0000", "run `authz migrate`"), ("9999", "newer than this program's")])
async def test_a_database_of_another_revision_is_refused(
    migrated: asyncpg.Connection, revision: str, said: str
) -> None:
    await migrated.execute("UPDATE alembic_version SET version_num = $1", revision)
    with pytest.raises(DatabaseUnusable, match=f"{revision}.*{said}"):
        await require_schema(migrated)


async def test_a_database_that_does_not_exist_is_named(database_url: str) -> None:
    base, _, name = database_url.partition("?")[0].rpartition("/")
    nowhere = database_url.replace(f"{base}/{name}", f"{base}/{name}_that_is_not")
    for use in (connect_hot, open_office_pool):
        with pytest.raises(DatabaseUnusable, match=f"{name}_that_is_not"):
            await use(Settings(), nowhere)
    with pytest.raises(DatabaseUnusable, match=f"{name}_that_is_not"):
        migrate(nowhere)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://authz:s3cr3t@127.0.0.1:1/authz",
        "postgresql://authz:s3cr3t/with?all#of@it@127.0.0.1:1/authz",
        "postgresql://127.0.0.1:1/authz?user=authz&password=s3cr3t@x",
        "postgresql://authz:s3cr3t@127.0.0.1:port/authz",
        "mysql://authz:s3cr3t@127.0.0.1/authz",
        "authz:s3cr3t",
        "",
    ],
)
async def test_an_address_that_leads_nowhere_is_one_sentence_without_the_password(url: str) -> None:
    for attempt in (connect_hot(Settings(), url), open_office_pool(Settings(), url), asyncio.to_thread(migrate, url)):
        with pytest.raises(DatabaseUnusable) as refused:
            await attempt
        said = str(refused.value)
        assert "s3cr3t" not in said
        assert said.endswith(".")
        assert "\n" not in said


async def test_the_hot_connection_waits_for_no_lock_longer_than_its_limit(database_url: str) -> None:
    settings = Settings(hot_lock_timeout_ms=50)
    connection = await connect_hot(settings, database_url)
    shown = {name: await connection.fetchval(f"SHOW {name}") for name in ("lock_timeout", "jit", "application_name")}
    await connection.close()
    assert shown == {"lock_timeout": "50ms", "jit": "off", "application_name": "authz-hot"}


async def test_the_office_pool_gives_up_when_no_connection_comes_free(database_url: str) -> None:
    pool = await open_office_pool(Settings(office_pool_size=1), database_url)
    async with pool.lent() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "5s"
        with pytest.raises(TimeoutError):
            async with pool.lent(0.05):
                pass
    await pool.close()
