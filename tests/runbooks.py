"""What the pages of docs/runbooks tell people to type, for the test that compares it with what there is."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from authz_service.cli import app

FOLDER: Final = Path(__file__).parent.parent / "docs" / "runbooks"
_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`(authz [^`]+)`")


def pages() -> dict[str, str]:
    """Each page by the alert that it is named after."""
    return {page.stem: page.read_text(encoding="utf-8") for page in sorted(FOLDER.glob("*.md"))}


def typed(page: str) -> Iterator[list[str]]:
    """The words of each `authz …` on the page, in a block or in a sentence."""
    blocks = [line for language, block in _FENCED.findall(page) if language == "sh" for line in block.splitlines()]
    for line in (*blocks, *_INLINE.findall(_FENCED.sub("", page))):
        words = shlex.split(line, comments=True)
        if words and words[0] == "authz":
            yield words[1:]


def looked_for_in_the_log(page: str) -> set[str]:
    """The events for which the page looks through the service's log."""
    searched = re.findall(r"logs [^\n|]*authz \| grep (?:-\w \d+ )?(?:-E )?'?([a-z_|]+)'?", page)
    return {event for each in searched for event in each.split("|")}


def asked_of_prometheus(page: str) -> Iterator[str]:
    """Each line of PromQL that the page gives to be asked."""
    below = page.partition("<!-- end -->")[2]
    for language, block in _FENCED.findall(below):
        if language == "promql":
            yield from (line for line in block.splitlines() if line.strip())


def fault(words: list[str]) -> str | None:
    """Why this cannot be typed, or None: the command, each option, what it must have, the number of arguments."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return f"no such command: {' '.join(words)}"
        command, words = command.commands[words[0]], words[1:]
    options = {name: each for each in command.params for name in (*each.opts, *each.secondary_opts)}
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    missing = {each.opts[0] for each in command.params if each.required and each.param_type_name != "argument"}
    missing = {name for name in missing if options[name].envvar is None} - set(words)
    if missing:
        return f"{command.name} wants {' and '.join(sorted(missing))}"
    given = 0
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            given += 1
        elif word not in options:
            return f"{command.name} has no {word}"
        elif not options[word].is_flag and None in [next(rest, None) for _ in range(options[word].nargs)]:
            return f"{word} wants something after it"
    least = sum(1 for each in arguments if each.required)
    most = 1_000 if any(each.nargs == -1 for each in arguments) else len(arguments)
    return None if least <= given <= most else f"{command.name} takes {least} to {most} arguments, not {given}"
