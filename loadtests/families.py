"""The books of a run: a database of its own, copied from one in which the families are enrolled already.

Enrolling a hundred thousand families takes longer than a phase of the benchmark, so what enrolment wrote is kept and
copied. What a run wrote stays until the next one begins.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import asyncpg

import authz_service
from authz_service.database import REVISION, Connection, migrate
from authz_service.embedded import Servers
from authz_service.enrolment.enrol import enrol
from authz_service.enrolment.sandbox import SandboxTerminal, SandboxTills
from authz_service.keys import Keys
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import MerchantId

PROGRAMME: Final = "bench"
BOOKS: Final = "bench"
UNFINISHED: Final = "enrolling"
_NAMES: Final = "SELECT datname FROM pg_database"
_WRITTEN: Final = """
-- The tables in which enrolment found, when it analysed them, that it had written rows.
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 0
"""
_BIND: Final = """
-- A till stands in another shop from now on.
UPDATE terminal SET merchant_id = $1 WHERE programme_id = $2 AND terminal_id = ANY($3)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """A database, and what plays its tills."""

    database_url: str
    cards: tuple[str, ...]
    spread: tuple[SandboxTerminal, ...]
    """Each in a shop of its own."""
    busy: tuple[SandboxTerminal, ...]
    """As many, all in one shop."""


async def fresh_books(servers: Servers, edition: Path, data_dir: Path) -> Families:
    """Nothing but the enrolment stands in the database."""
    enrolled = f"enrolled_{_fingerprint(edition)}"
    connection = await asyncpg.connect(servers.database_url)
    try:
        names = [row["datname"] for row in await connection.fetch(_NAMES)]
        for name in names:
            if name in {BOOKS, UNFINISHED} or (name.startswith("enrolled_") and name != enrolled):
                await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        if enrolled not in names or not SandboxTills.path(data_dir, PROGRAMME).exists():
            await connection.execute(f"DROP DATABASE IF EXISTS {enrolled}")
            await connection.execute(f"CREATE DATABASE {UNFINISHED}")
            tills = await _enrol(url_of(servers, UNFINISHED), edition)
            tills.write(data_dir)
            await connection.execute(f"ALTER DATABASE {UNFINISHED} RENAME TO {enrolled}")
        await connection.execute(f"CREATE DATABASE {BOOKS} TEMPLATE {enrolled}")
    finally:
        await connection.close()
    tills = SandboxTills.load(SandboxTills.path(data_dir, PROGRAMME))
    half = len(tills.terminals) // 2
    return Families(
        database_url=url_of(servers, BOOKS),
        cards=tuple(card.card_number for card in tills.cards),
        spread=tills.terminals[:half],
        busy=tills.terminals[half:],
    )


def url_of(servers: Servers, database: str) -> str:
    """The address of another database on the same server."""
    return re.sub(r"/authz\?", f"/{database}?", servers.database_url)


async def _enrol(url: str, edition: Path) -> SandboxTills:
    migrate(url)
    connection = await asyncpg.connect(url)
    try:
        enrolment = await enrol(
            connection,
            Keys(SANDBOX_ROOT_KEY),
            str(edition),
            seed=1,
            at=datetime.now(UTC),
            programme_id=PROGRAMME,
            always_open=True,
        )
        tills = await _with_one_busy_shop(connection, enrolment.tills)
        # Not the tables that are still empty: vacuumed, they would pass for tables that stay so, and the service's
        # statements, prepared before the first sale, would read them from end to end (tried: a twentieth of the rate).
        written = [row["relname"] for row in await connection.fetch(_WRITTEN)]
        await connection.execute(f"VACUUM (FREEZE, ANALYZE) {', '.join(written)}")
    finally:
        await connection.close()
    return tills


async def _with_one_busy_shop(connection: Connection, tills: SandboxTills) -> SandboxTills:
    """The second half of the tills stands in the shop of the first of them."""
    half = len(tills.terminals) // 2
    shop: MerchantId = tills.terminals[half].merchant_id
    moved = tuple(replace(till, merchant_id=shop) for till in tills.terminals[half:])
    await connection.execute(_BIND, shop, PROGRAMME, [till.terminal_id for till in moved])
    return replace(tills, terminals=(*tills.terminals[:half], *moved))


def _fingerprint(edition: Path) -> str:
    """Another one as soon as anything that enrolment reads, or the schema, is another one."""
    package = Path(authz_service.__file__).parent
    read = [*sorted(edition.iterdir()), *sorted((package / "enrolment").glob("*.py"))]
    read += [
        *sorted((package / "schema").glob("*.py")),
        *sorted(package.parent.glob("alembic/versions/*.py")),
        package / "keys.py",
        Path(__file__),
    ]
    digest = sha256(REVISION.encode())
    for file in read:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
