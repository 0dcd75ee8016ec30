"""Whose keys and cards there are: one sandbox file. It holds secrets of synthetic people only."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from authz_service.demo.goods import Stall, load_goods
from authz_service.demo.market import SENDS_ALL_DETAILS
from authz_service.enrolment.sandbox import SandboxCard, SandboxTerminal, SandboxTills


def _given_tills() -> SandboxTills:
    path = Path(os.environ.get("AUTHZ_TILLS") or "(nothing)")
    if not path.is_file():
        raise SystemExit(
            f"AUTHZ_TILLS names {path}: give the sandbox file that `make demo` or `authz enrol` has written."
        )
    return SandboxTills.load(path)


TILLS: Final = _given_tills()
CHANCE: Final = Random()  # noqa: S311 - who comes when, not a secret
_GOODS: Final = load_goods()


def stall_of(terminal: SandboxTerminal) -> Stall:
    """The shelf of its shop, at the same prices whoever asks and in every run."""
    chance = Random(terminal.merchant_id)  # noqa: S311
    return Stall(_GOODS, chance, sends_all_details=chance.random() < SENDS_ALL_DETAILS)


def families_in_turn() -> Iterator[SandboxCard]:
    """Each family comes once, in no order, before one comes again."""
    cards = list(TILLS.cards)
    while True:
        CHANCE.shuffle(cards)
        yield from cards


def terminals_in_turn() -> Iterator[SandboxTerminal]:
    """Every till has a cashier before one has two. Each process begins somewhere else."""
    terminals = TILLS.terminals
    start = CHANCE.randrange(len(terminals))
    while True:
        yield from islice(terminals, start, None)
        start = 0


def busiest_shop() -> tuple[SandboxTerminal, ...]:
    """All tills of the merchant that has most of them; the first one where several have."""
    shops: dict[str, list[SandboxTerminal]] = {}
    for each in TILLS.terminals:
        shops.setdefault(each.merchant_id, []).append(each)
    most = max(map(len, shops.values()))
    return next(tuple(tills) for tills in shops.values() if len(tills) == most)


def operator_key() -> str:
    """AUTHZ_OPERATOR_KEY, which `authz key issue --operator` prints; else the sandbox's first operator's."""
    given = os.environ.get("AUTHZ_OPERATOR_KEY")
    if not given and not TILLS.operators:
        raise SystemExit("Give AUTHZ_OPERATOR_KEY: the sandbox file names no operator.")
    return given or TILLS.operators[0].key


FAMILIES: Final = families_in_turn()
TERMINALS: Final = terminals_in_turn()
