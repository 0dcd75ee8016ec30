"""Runs the migrations on the database whose address the caller put into `config.attributes["url"]`.

For the `alembic` command itself it is DATABASE_URL. `--sql` needs no database.
"""

import asyncio
from functools import partial

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from authz_service.database import connect_to_migrate
from authz_service.schema import metadata
from authz_service.settings import settings_from_environment

ONE_AT_A_TIME = text("SELECT pg_advisory_lock(64722024)")


def print_sql() -> None:
    context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


async def migrate() -> None:
    creator = partial(connect_to_migrate, settings_from_environment(), _url())
    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(ONE_AT_A_TIME)
        await connection.commit()
        await connection.run_sync(_run)


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def _url() -> str:
    given: str | None = context.config.attributes.get("url")
    if given is not None:
        return given
    secret = settings_from_environment().database_url
    if secret is None:
        raise SystemExit("alembic: set DATABASE_URL, or run `authz migrate`")
    return secret.get_secret_value()


if context.is_offline_mode():
    print_sql()
else:
    asyncio.run(migrate())
