"""What a decision is made of cannot be changed afterwards, and no chance is given twice."""

import os

import pytest
from msgspec import Struct

from authz_service import answers, desk, holds
from authz_service.api import arrival
from authz_service.clock import ChanceInPortions
from authz_service.ledger import book, postings
from authz_service.rules import basket, decide, facts, money
from tests.builders import a_hold, a_purchase
from tests.builders import facts as some_facts

MODULES = (answers, arrival, basket, book, decide, desk, facts, holds, money, postings)
VALUES = [
    each
    for module in MODULES
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, Struct) and each.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_value_is_frozen_and_made_by_name(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen
    with pytest.raises(TypeError):
        kind(*[None] * len(kind.__struct_fields__))


def test_nothing_of_a_decision_can_be_changed_or_added() -> None:
    known = some_facts()
    for value in (known, known.programme, a_hold(), decide.decide(a_purchase(), known)):
        with pytest.raises(AttributeError):
            setattr(value, value.__struct_fields__[0], None)
        with pytest.raises(AttributeError):
            value.more = 1  # type: ignore[union-attr]


def test_every_byte_of_chance_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def numbered(count: int) -> bytes:
        asked.append(count)
        return bytes([len(asked)]) * count

    monkeypatch.setattr("os.urandom", numbered)
    chance = ChanceInPortions()
    given = [chance(10) for _ in range(1000)]
    assert all(len(each) == 10 for each in given)
    assert all(len(set(each)) == 1 for each in given), "a piece is of one portion"
    for portion, size in enumerate(asked, start=1):
        assert sum(each.count(portion) for each in given) <= size
    assert len(asked) < 10
    assert len(chance(100_000)) == 100_000


def test_a_forked_process_is_given_no_byte_that_its_parent_is_given_too() -> None:
    """Both go on after a portion was taken: from the same one they would draw the same ids."""
    chance = ChanceInPortions()
    chance(16)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, chance(16))
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        of_the_child = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert len(of_the_child) == 16
    assert of_the_child != chance(16)
