"""Which station of a sale a stack of py-spy belongs to: that of its innermost frame whose file has one. Pure.

py-spy writes a stack in a line, `function (file:line);function (file:line);… count`, the outermost first.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

LOOP: Final = "the loop, uvicorn, the socket"
BACKGROUND: Final = "what is no sale"
STATIONS: Final = {
    LOOP: ("asyncio/", "uvloop/", "uvicorn/", "authz_service/main.py", "authz_service/api/whole.py"),
    "the door": (
        *("authz_service/api/pos.py", "authz_service/api/arrival.py", "authz_service/problems.py"),
        *("authz_service/tracing.py", "authz_service/personal_numbers.py"),
        *("authz_service/metrics.py", "authz_service/metric_kinds.py"),
    ),
    "body and fingerprint": (
        *("authz_service/api/bodies.py", "authz_service/requests.py", "authz_service/keys.py", "pydantic/"),
        "fingerprint (authz_service/idempotency.py)",
    ),
    "waiting and lanes": ("authz_service/waiting.py", "authz_service/lanes.py"),
    "rules": ("authz_service/rules/", "authz_service/declines.py"),
    "family, ids, records": (
        *("authz_service/authorisation.py", "authz_service/desk.py", "authz_service/families.py"),
        *("authz_service/holds.py", "authz_service/later_calls.py", "authz_service/ledger/postings.py"),
        *("authz_service/ledger/accounts.py", "authz_service/vocabulary.py", "authz_service/clock.py"),
    ),
    "answer": ("authz_service/answers.py",),
    "receipt": ("authz_service/receipts.py", "authz_service/paper.py"),
    "asyncpg": ("asyncpg/", "authz_service/ledger/book.py", "authz_service/ledger/statements.py"),
    "Redis": ("redis/", "authz_service/idempotency.py"),
}
"""Station → its files and folders; a function of a file goes before the file."""
OFF_THE_PATH: Final = (
    *("authz_service/catalogue.py", "authz_service/history.py", "authz_service/database.py"),
    *("authz_service/registry.py", "authz_service/settings.py", "authz_service/slo.py"),
)
"""What the door and the lanes import and no sale calls, but for a look-up."""
_LINE: Final = re.compile(r":[0-9]+\)")
"""Of a function its first line, which moves with every change."""
_BEGINS: Final = "Runner.run (asyncio/runners.py)"
_PLACES: Final = {place: station for station, places in STATIONS.items() for place in places}


def of_the_loop(stacks: Iterable[str]) -> Counter[str]:
    """The stacks of the thread that decides, from its loop inwards."""
    counts: Counter[str] = Counter()
    for line in stacks:
        with_lines, _, count = line.rpartition(" ")
        stack = _LINE.sub(")", with_lines)
        before, begins, rest = stack.partition(_BEGINS)
        if begins and (not before or before.endswith(";")):
            counts[begins + rest] += int(count)
    return counts


def station_of(stack: str) -> str:
    """`BACKGROUND` where a frame further in is of a file that has none and is ours."""
    for frame in reversed(stack.split(";")):
        file = frame.rpartition("(")[2].removesuffix(")")
        found = _PLACES.get(frame) or station_of_file(file)
        if found is not None:
            return found
        if file.startswith("authz_service/"):
            return BACKGROUND
    return BACKGROUND


def station_of_file(file: str) -> str | None:
    folders = [place for place in _PLACES if place.endswith("/") and file.startswith(place)]
    return _PLACES.get(file) or (_PLACES[folders[0]] if folders else None)


def by_station(stacks: Counter[str]) -> dict[str, int]:
    """Samples of each station, in the order of the line."""
    counts = dict.fromkeys((*STATIONS, BACKGROUND), 0)
    for stack, count in stacks.items():
        counts[station_of(stack)] += count
    return counts


def folded(stacks: Counter[str], limit_bytes: int) -> list[str]:
    """The stacks as lines, the rarest ones shortened until all fit: no sample is lost and none changes its station."""
    least = 1
    while True:
        lines = [f"{stack} {count}" for stack, count in sorted(stacks.items())]
        if sum(map(len, lines)) + len(lines) <= limit_bytes:
            return lines
        shorter: Counter[str] = Counter()
        for stack, count in stacks.items():
            above = stack.rpartition(";")[0]
            keeps = count <= least and above and station_of(above) == station_of(stack)
            shorter[above if keeps else stack] += count
        # One that cannot be shortened without another station is kept, so the bound rises until the rest fits.
        least, stacks = (least if shorter != stacks else least * 2), shorter
        if least > shorter.total():
            return lines
