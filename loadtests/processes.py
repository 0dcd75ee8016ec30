"""Who used the processor: what the kernel has counted for each process, by its part in the benchmark (Linux only)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _OWN_AND_ENDED_CHILDREN = 1, slice(11, 15)
"""Fields of /proc/<pid>/stat after the name; of the time four: user and system, its own and of children that ended."""


def cpu_seconds(pid: int) -> float:
    """Of the process, of all that descend from it, and of those of them that have ended."""
    stats = _stats()
    if pid not in stats:
        return 0.0
    ticks, family = 0, [pid]
    while family:
        one = family.pop()
        ticks += sum(map(int, stats[one][_OWN_AND_ENDED_CHILDREN]))
        family += [child for child, fields in stats.items() if int(fields[_PARENT]) == one]
    return ticks / _TICKS_A_SECOND


def child_named(name: str) -> int:
    """The only child of this process that has the name."""
    ours = [pid for pid, fields in _stats().items() if int(fields[_PARENT]) == os.getpid()]
    named = [pid for pid in ours if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith(name)]
    if len(named) != 1:
        raise LookupError(f"{len(named)} children are called {name}")
    return named[0]


def _stats() -> Mapping[int, list[str]]:
    """Every process there is; one that ends meanwhile is counted with its parent."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            found[int(entry.name)] = text.rpartition(")")[2].split()
    return found
