"""Whether every mutant that no test kills has a written reason, and every reason its mutant: the end of `make mutants`.

mutmut numbers the mutants of a function, and the numbers shift with every line. So a mutant is known here by its
function and the lines that it changes.
"""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Final

import typer

Mutant = tuple[str, str]
"""The function; and the changed lines without their indentation, `-` before what was and `+` before what is."""

REASONS: Final = Path(__file__).with_name("mutants_with_a_reason.toml")
MUTMUT: Final = Path(sys.executable).with_name("mutmut")
NAME: Final = re.compile(r"(?P<module>[\w.]+)\.x(?:_|ǁ(?P<owner>\w+)ǁ)(?P<function>\w+)__mutmut_[0-9]+")
"""`package.module.x_function__mutmut_7`, `package.module.xǁClassǁmethod__mutmut_7`."""


def main() -> int:
    """0 when survivors and reasons are the same."""
    verdicts = dict(line.strip().split(": ", 1) for line in _mutmut("results", "--all", "true"))
    survivors = Counter(_mutant(name) for name, verdict in verdicts.items() if verdict != "killed")
    why = _reasons()
    reasons = Counter(mutant for mutant, _ in why)
    unexplained, stale = survivors - reasons, reasons - survivors
    for mutant, reason in why:
        typer.echo(_shown(mutant, "DOES NOT SURVIVE: take its reason out." if mutant in stale else reason))
    for mutant in unexplained.elements():
        typer.echo(_shown(mutant, "SURVIVES WITHOUT A REASON: kill it with a test, or write the reason down."))
    typer.echo(
        f"{len(verdicts)} mutants: {len(verdicts) - survivors.total()} killed, {(survivors & reasons).total()} survive"
        f" with a reason, {unexplained.total()} without; {stale.total()} reasons are stale."
    )
    return 1 if unexplained or stale else 0


def _reasons() -> list[tuple[Mutant, str]]:
    """What survives in several functions alike is explained once."""
    written = tomllib.loads(REASONS.read_text())["survivor"]
    return [((function, _changes(each["diff"])), each["why"]) for each in written for function in each["functions"]]


def _mutant(name: str) -> Mutant:
    parts = NAME.fullmatch(name)
    if parts is None:
        raise ValueError(f"mutmut names its mutants in a new way: {name}")
    heading, _, _, *diff = _mutmut("show", name)
    if not heading.startswith("# "):
        raise ValueError(f"mutmut shows its mutants in a new way: {heading}")
    return ".".join(filter(None, parts.group("module", "owner", "function"))), _changes("\n".join(diff))


def _changes(diff: str) -> str:
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in diff.splitlines() if line.startswith(("-", "+")))


def _shown(mutant: Mutant, remark: str) -> str:
    function, changes = mutant
    return "\n".join([function, *(f"    {line}" for line in changes.splitlines()), f"    {remark}", ""])


def _mutmut(*arguments: str) -> list[str]:
    return subprocess.run([MUTMUT, *arguments], capture_output=True, check=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
