"""What closing a batch costs beside a million sales that earlier batches have: `python -m loadtests.settling`.

The sales are made in the database, each a hold and a post as the service writes them; then three batches are closed:
one with all of them, one with a day's sales, one with nothing. The books are checked, and the raw result is kept.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from authz_service.clock import SystemClock, monotonic_seconds
from authz_service.database import connect_office, migrate
from authz_service.embedded import embedded_servers
from authz_service.enrolment.enrol import enrol
from authz_service.keys import Keys
from authz_service.ledger.audit import check, statement
from authz_service.ledger.invariants.given import given_arguments
from authz_service.ledger.invariants.settlement import SETTLEMENT
from authz_service.settings import SANDBOX_ROOT_KEY, Settings
from authz_service.settlement.batches import close_batch
from authz_service.vocabulary import ProgrammeId
from loadtests.machine import machine_facts

PROGRAMME: Final = ProgrammeId("samarinda-2024")
A_DAY: Final = 5_000
"""Sales; the quarter of Samarinda has about sixty a day."""
RESULTS: Final = Path(__file__).parent / "results"
_SELL: Final = """
-- $2 sales from the $1-th on, by all families at all shops in turn.
WITH family AS (SELECT array_agg(beneficiary_id ORDER BY beneficiary_id) AS ids FROM beneficiary),
     shop AS (SELECT array_agg(merchant_id ORDER BY merchant_id) AS ids FROM merchant)
INSERT INTO transfer (programme_id, transfer_id, kind, cause, debit_account_id, credit_account_id, amount_rupiah,
                      authorisation_id, created_at)
SELECT 'samarinda-2024', format('%s_%s', CASE kind WHEN 'post' THEN 'cap' ELSE 'trf' END, md5(kind || n)), kind,
       'authorise', family.ids[1 + n % cardinality(family.ids)], shop.ids[1 + n % cardinality(shop.ids)],
       1000 + n % 1000, 'auth_' || md5(n::text), now()
  FROM family, shop, generate_series($1::int, $1::int + $2::int - 1) n, (VALUES ('hold'), ('post')) AS each(kind)
"""
_SIZES: Final = """
SELECT relname AS name, pg_table_size(oid) AS table_bytes, pg_indexes_size(oid) AS index_bytes
  FROM pg_class WHERE relname IN ('transfer', 'settlement_item') ORDER BY relname
"""


async def measured(url: str, sales: int) -> dict[str, Any]:
    """Seconds of each close and of each invariant of settlement, and bytes of the two tables."""
    settings = Settings()
    migrate(url)
    connection = await connect_office(settings, url)
    try:
        at = datetime.now(UTC) - timedelta(days=1)
        await enrol(connection, Keys(SANDBOX_ROOT_KEY), str(PROGRAMME), seed=1, at=at)
        closes = []
        for first, number in ((0, sales), (sales, A_DAY), (0, 0)):
            await connection.execute(_SELL, first, number)
            await connection.execute("VACUUM ANALYZE transfer, settlement_item")
            closes.append({"sales": number, "seconds": await _closed(connection, settings)})
        return {
            "closes": closes,
            "invariants": await _checked(connection),
            "sizes": [dict(row) for row in await connection.fetch(_SIZES)],
        }
    finally:
        await connection.close()


async def _closed(connection: "asyncpg.Connection[asyncpg.Record]", settings: Settings) -> float:
    started = monotonic_seconds()
    await close_batch(
        *(connection, settings, PROGRAMME), cut_off_at=None, actor="loadtest", clock=SystemClock(), chance=os.urandom
    )
    return monotonic_seconds() - started


async def _checked(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, float]:
    """Each holds; what else is wrong with sales that no till made is not looked at."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    findings = await check(connection, PROGRAMME, now=now)
    broken = [each.invariant.name for each in findings if each.violations and each.invariant in SETTLEMENT]
    if broken:
        raise SystemExit(f"Settlement is not right: {broken}")
    seconds = {}
    for each in SETTLEMENT:
        started = monotonic_seconds()
        await connection.fetchrow(statement(each), PROGRAMME, now, *given_arguments())
        seconds[each.name] = monotonic_seconds() - started
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=1_000_000)
    sales = parser.parse_args(arguments).sales
    load_average = os.getloadavg()
    with tempfile.TemporaryDirectory() as directory, embedded_servers(Path(directory)) as servers:
        addresses = {"database_url": servers.database_url, "redis_url": servers.redis_url}
        facts = asyncio.run(machine_facts(**addresses, load_average=load_average))
        result = asyncio.run(measured(servers.database_url, sales))
    document = {"machine": facts, "sales": sales, **result, "load_average_after": os.getloadavg()}
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-settling.json"
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    for each in result["closes"]:
        print(f"{each['sales']:>9} new sales: {each['seconds']:.2f} s")
    print(f"Raw result: {path}")


if __name__ == "__main__":
    main()
