"""Where a run took place: whatever its figures depend on and the code does not say."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import asyncpg
import redis

from authz_service.settings import Settings
from loadtests.shots import WRK

PACKAGES: Final = ("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "asyncpg", "redis", "orjson")
DURABILITY: Final = ("fsync", "synchronous_commit", "full_page_writes")
POSTGRES_SETTINGS: Final = (
    *DURABILITY,
    *("wal_sync_method", "wal_compression", "max_wal_size", "checkpoint_timeout", "shared_buffers", "jit"),
)


QUIET_LOAD: Final = 0.5
"""A load average above it is somebody else's work on the same cores."""


class NotDurableError(RuntimeError):
    """PostgreSQL may lose what it has confirmed: nothing that is measured so counts."""


Load = tuple[float, float, float]
"""Of the last one, five and fifteen minutes, read before the run does anything itself."""


def disturbances(load_average: Load) -> list[str]:
    """Why a run on this machine says less than it seems to."""
    if load_average[0] <= QUIET_LOAD:
        return []
    return [f"the load average was {load_average[0]:.1f} when the run began, more than {QUIET_LOAD}"]


async def machine_facts(*, database_url: str, redis_url: str, load_average: Load) -> dict[str, Any]:
    """NotDurableError, if a commit would not be on the disk when it returns."""
    postgres = await _postgres(database_url)
    require_durable(postgres)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _line_of("/proc/cpuinfo", "model name"),
        "memory": _line_of("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "load_average_at_start": load_average,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "postgres": postgres,
        "valkey": _valkey(redis_url),
        "wrk": _said((WRK, "-v")).split(" Copyright")[0] if WRK else None,
        "commit": _said(("git", "rev-parse", "HEAD")),
        "changed_since": _said(("git", "status", "--porcelain", "--untracked-files=no")).splitlines(),
        "settings": Settings().model_dump(mode="json", exclude={"database_url", "redis_url", "root_key"}),
    }


def generator(machine: Mapping[str, Any]) -> str:
    """Who sends as fast as it is answered."""
    return machine["wrk"] or "loadtests/driver.py"


def require_durable(postgres: Mapping[str, str]) -> None:
    """NotDurableError, unless a commit waits for the disk and a page that was half written can be mended."""
    if missing := [f"{name} is {postgres[name]}" for name in DURABILITY if postgres[name] != "on"]:
        raise NotDurableError(f"PostgreSQL is not durable: {', '.join(missing)}.")


async def _postgres(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name",
            ["server_version", *POSTGRES_SETTINGS],
        )
    finally:
        await connection.close()
    return {row["name"]: row["value"] for row in rows}


def _valkey(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        server = client.info("server")
    return f"{server.get('server_name', 'redis')} {server.get('valkey_version', server['redis_version'])}"


def _line_of(file: str, name: str) -> str:
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _said(command: tuple[str, ...]) -> str:
    """wrk ends with 1 after it has said its version."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n\n")[0].strip()
