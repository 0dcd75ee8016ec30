"""What the processes have in memory, what the tables have on disk, and what was written to the log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from authz_service.database import Connection
from loadtests.books import GROWN, PROGRAMME

_DISK: Final = """
-- Heap, TOAST with its index, and every index of a table, in bytes.
SELECT c.relname AS name, pg_relation_size(c.oid) AS heap,
       coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) AS toast,
       (SELECT coalesce(json_object_agg(i.indexrelid::regclass, pg_relation_size(i.indexrelid)), '{}')
          FROM pg_index i WHERE i.indrelid = c.oid)::text AS indexes
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname = ANY ($1::text[])
 ORDER BY pg_total_relation_size(c.oid) DESC
"""
_COUNTS: Final = """
SELECT (SELECT count(*) FROM authorisation WHERE programme_id = $1) AS authorisations,
       (SELECT count(*) FROM transfer WHERE programme_id = $1) AS transfers,
       (SELECT count(*) FROM transfer WHERE programme_id = $1 AND authorisation_id IS NOT NULL) AS of_purchases
"""
_WAL_POSITION: Final = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
_WAL_READER: Final = "CREATE EXTENSION IF NOT EXISTS pg_walinspect"
_FPI: Final = """
-- The pages that were written whole between two places of the log. (pg_stat_wal counts them too, but a backend tells it
-- of its last second only after ten idle ones.)
SELECT count(*) AS fpi, coalesce(sum(block_fpi_length), 0)::bigint AS fpi_bytes
  FROM pg_get_wal_block_info('0/0'::pg_lsn + $1::numeric, '0/0'::pg_lsn + $2::numeric, false)
 WHERE block_fpi_length > 0
"""
OF_PURCHASES: Final = ("authorisation", "request_key", "hold", "allowance", "transfer")
"""What an authorisation writes to; of the transfers only its own part counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of all processes of one kind together, in bytes; PSS shares out what several of them have in common."""

    processes: int
    rss: int
    pss: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Of the tables that grow, in bytes."""

    tables: list[dict[str, Any]]
    authorisations: int
    bytes_an_authorisation: dict[str, float]
    """By table, with heap, TOAST and indexes."""

    @property
    def bytes_in_all(self) -> int:
        return sum(table["heap"] + table["toast"] + sum(table["indexes"].values()) for table in self.tables)


def memory_of(processes: Iterable[int]) -> Memory:
    rollups = [rollup for process in processes if (rollup := _rollup(process))]
    return Memory(
        processes=len(rollups), rss=sum(each["Rss"] for each in rollups), pss=sum(each["Pss"] for each in rollups)
    )


def servers_of(launcher: int) -> Mapping[str, list[int]]:
    """The processes of the embedded servers, which `launcher` started, by the name of the program."""
    children = _children()
    found: dict[str, list[int]] = {"postgres": [], "valkey": []}
    for child in children.get(launcher, []):
        name = Path(f"/proc/{child}/comm").read_text().strip()
        if name == "postgres":
            found["postgres"] += [child, *children.get(child, [])]
        elif name.startswith("valkey"):
            found["valkey"].append(child)
    return found


async def disk_of(connection: Connection) -> Disk:
    rows = await connection.fetch(_DISK, list(GROWN))
    counts = await connection.fetchrow(_COUNTS, PROGRAMME)
    if counts is None:
        raise RuntimeError("a count always has a row")
    tables = [{**row, "indexes": _parsed(row["indexes"])} for row in rows]
    share = {"transfer": counts["of_purchases"] / max(counts["transfers"], 1)}
    by_table = {
        table["name"]: (table["heap"] + table["toast"] + sum(table["indexes"].values()))
        * share.get(table["name"], 1.0)
        / max(counts["authorisations"], 1)
        for table in tables
        if table["name"] in OF_PURCHASES
    }
    return Disk(tables=tables, authorisations=counts["authorisations"], bytes_an_authorisation=by_table)


async def wal_position(url: str) -> int:
    """Where the log of the server ends, in bytes."""
    connection = await asyncpg.connect(url)
    try:
        position: int = await connection.fetchval(_WAL_POSITION)
    finally:
        await connection.close()
    return position


async def written_whole(url: str, began_at: int, ended_at: int) -> tuple[int | None, int | None]:
    """Pages that were written whole between two places of the log, and their bytes; None if the log is gone already."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_WAL_READER)
        row = await connection.fetchrow(_FPI, began_at, ended_at)
    except asyncpg.PostgresError:
        return None, None
    finally:
        await connection.close()
    return (row["fpi"], row["fpi_bytes"]) if row else (None, None)


def _parsed(indexes: str) -> dict[str, int]:
    parsed: dict[str, int] = orjson.loads(indexes)
    return parsed


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(process.name))
    return children


def _rollup(process: int) -> dict[str, int]:
    """Bytes by name; nothing if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}
