"""Every row of the list of incidents that this project answers for has its tests, by number."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = {*range(1, 21), 22}
"""21 is in `test_workers.py`."""
ELSEWHERE = {14: HERE.parent / "test_lists.py"}


Test = ast.FunctionDef | ast.AsyncFunctionDef


def all_of(*modules: Path) -> list[Test]:
    return [
        each
        for module in modules
        if module.exists()
        for each in ast.walk(ast.parse(module.read_text()))
        if isinstance(each, Test) and each.name.startswith("test_")
    ]


def row_of(test: Test) -> int | None:
    """Of what is called `test_<row>_<what went wrong>`."""
    named = re.match(r"test_(\d\d)_[a-z]", test.name)
    return int(named[1]) if named else None


def all_here() -> list[Test]:
    return all_of(*(module for module in HERE.glob("test_*.py") if module != Path(__file__)))


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_has_tests_in_its_place(row: int) -> None:
    tests = all_of(ELSEWHERE[row]) if row in ELSEWHERE else all_here()
    assert any(row_of(each) == row for each in tests), f"no test of row {row}"


def test_each_says_which_row_it_is_of_and_there_are_no_others() -> None:
    tests = all_here()
    assert {row_of(each) for each in tests} == ROWS - ELSEWHERE.keys()
    assert len({each.name for each in tests}) == len(tests)
    for each in tests:
        assert f"Row {row_of(each)}" in (ast.get_docstring(each) or ""), each.name
