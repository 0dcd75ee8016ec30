"""Whatever README.md and the pages in docs/ tell people to type can be typed: command, options, what it wants."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests import runbooks

TOP: Final = Path(__file__).parent.parent
PAGES: Final = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
_BLOCK: Final = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REST: Final = re.compile(r"\s(?:>|\||\d>).*")
"""Where the line goes on for another program."""


def commands(page: str) -> Iterator[list[str]]:
    """The words after `authz` of each command in a block, of which a backslash continues the line."""
    for block in _BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.sub(r"\s#.*", "", line).split(";"):
                found = re.fullmatch(r"\s*(?:\w+=\$\()?(?:\.venv/bin/)?authz (.*?)\)?\s*", part)
                if found:
                    yield shlex.split(_REST.sub("", found[1]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_can_be_typed(page: Path) -> None:
    faults = [(words, fault) for words in commands(page.read_text()) if (fault := runbooks.fault(words))]
    assert faults == []


def test_the_pages_have_commands() -> None:
    assert sum(1 for page in PAGES for _ in commands(page.read_text())) > 100
