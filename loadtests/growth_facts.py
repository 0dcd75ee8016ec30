"""What the machine is, what the processes have in memory, and what the tables have on disk."""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from authz_service.database import Connection
from loadtests.books import GROWN, PROGRAMME
from loadtests.machine import PACKAGES

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


def machine() -> dict[str, Any]:
    """Whatever makes one machine's figures differ from another's."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().splitlines()[0]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout  # noqa: S607
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "memory": memory.partition(":")[2].strip(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "load_average": os.getloadavg(),
        "commit": commit.strip(),
    }


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
