"""The quarter of 2024 twice: with a bank that behaves, and with one that misbehaves in every way: `make test-quarters`.

Both by the reader's own command, with the bank in a process of its own. Some minutes, so not part of `make test`.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from authz_service.database import asyncpg_dsn
from authz_service.demo.manners import MISBEHAVE, Manners
from authz_service.embedded import embedded_servers
from authz_service.simulation.misbehaviour import Misbehaviour, behaviour_of

QUARTER_SECONDS: Final = 900
pytestmark = [
    pytest.mark.skipif("AUTHZ_TEST_QUARTERS" not in os.environ, reason="make test-quarters"),
    pytest.mark.timeout(2 * QUARTER_SECONDS + 60),
]
BOOKS: Final = (
    # What each account has: families, shops, the money at the bank, clearing.
    """
    SELECT a.account_id, sum(CASE a.account_id WHEN t.credit_account_id THEN t.amount_rupiah
                                               ELSE -t.amount_rupiah END)::bigint
      FROM account a JOIN transfer t ON t.programme_id = a.programme_id
                                    AND a.account_id IN (t.debit_account_id, t.credit_account_id)
     WHERE t.kind NOT IN ('hold', 'release') GROUP BY 1 ORDER BY 1
    """,
    # What each shop sold to each family and took back.
    """
    SELECT kind, debit_account_id, credit_account_id, count(*), sum(amount_rupiah)::bigint
      FROM transfer WHERE kind IN ('post', 'refund') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """,
    # What each shop was paid and has kept.
    """
    SELECT i.merchant_id, sum(i.amount_rupiah)::bigint
      FROM payout_instruction i
     WHERE EXISTS (SELECT FROM payout_event e WHERE e.instruction_id = i.instruction_id AND e.event = 'settled')
       AND NOT EXISTS (SELECT FROM payout_event e WHERE e.instruction_id = i.instruction_id AND e.event = 'returned')
     GROUP BY 1 ORDER BY 1
    """,
    "SELECT sum(amount_rupiah)::bigint FROM transfer WHERE kind = 'fund'",
    """
    SELECT (SELECT closing_rupiah FROM bank_statement ORDER BY to_on DESC, read_at DESC LIMIT 1),
           (SELECT count(*) FROM reconciliation_exception WHERE closed_at IS NULL),
           (SELECT count(*) FROM notice_standing WHERE standing IN ('new', 'parked'))
    """,
)
CLEARING_AND_SHOPS: Final = """
SELECT coalesce(sum(abs(has)), 0)::bigint
  FROM (SELECT sum(CASE a.account_id WHEN t.credit_account_id THEN t.amount_rupiah ELSE -t.amount_rupiah END) AS has
          FROM account a JOIN transfer t ON t.programme_id = a.programme_id
                                        AND a.account_id IN (t.debit_account_id, t.credit_account_id)
         WHERE a.kind IN ('merchant', 'clearing') AND t.kind NOT IN ('hold', 'release') GROUP BY a.account_id) account
"""
HAPPENED: Final = """
SELECT (SELECT count(*) FROM notice_standing WHERE reason = 'amount_differs') AS wrong,
       (SELECT count(*) FROM payout_event WHERE event = 'failed') AS failed,
       (SELECT count(*) FROM payout_event WHERE event = 'returned') AS returned,
       (SELECT count(*) FROM payout_event WHERE event = 'settled' AND source = 'statement') AS by_statement
"""


async def played(directory: Path, manners: Manners) -> tuple[list[Any], dict[str, int]]:
    """What the books say at last of that quarter, and what happened on the way."""
    command = [sys.executable, "-m", "authz_service.cli", "demo", "--no-serve", "--bank", manners]
    here = {**os.environ, "AUTHZ_DATA_DIR": str(directory)}
    done = subprocess.run(command, env=here, capture_output=True, text=True, timeout=QUARTER_SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "The books are in order" in done.stdout
    with embedded_servers(directory / "demo") as servers:
        connection = await asyncpg.connect(asyncpg_dsn(servers.database_url))
        try:
            books = [[tuple(row) for row in await connection.fetch(query)] for query in BOOKS]
            assert await connection.fetchval(CLEARING_AND_SHOPS) == 0
            happened = await connection.fetchrow(HAPPENED)
        finally:
            await connection.close()
    assert happened is not None
    return books, dict(happened)


async def test_the_quarter_with_a_misbehaving_bank_ends_in_the_same_books_as_with_a_good_one(tmp_path: Path) -> None:
    assert set(behaviour_of(MISBEHAVE[Manners.BADLY], 1).shares) == set(Misbehaviour)
    good, of_the_good = await played(tmp_path / "well", Manners.WELL)
    bad, of_the_bad = await played(tmp_path / "badly", Manners.BADLY)
    for well, badly in zip(good, bad, strict=True):
        assert badly == well
        assert well
    assert of_the_good["wrong"] == 0 < of_the_bad["wrong"]
    for each in (of_the_good, of_the_bad):
        assert min(each["failed"], each["returned"]) > 0
    assert of_the_bad["by_statement"] > 50
