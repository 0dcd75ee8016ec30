"""Draws `docs/hold-states.md` from `authz_service/holds.py`, by asking its functions; `make docs` runs this.

Nothing here knows what an event does. Each is tried on every hold that the events before it can make of a purchase,
until no new one comes; what is drawn is what came out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from authz_service.authorisation import placed_hold
from authz_service.holds import Change, Hold, Refused, capture, expire, refund, reverse, void
from authz_service.rules.decide import decide
from authz_service.vocabulary import AuthorisationId, HoldStatus, TransferKind
from tests.builders import a_purchase, facts

PAGE: Final = Path(__file__).parent.parent / "docs" / "hold-states.md"
PART: Final = 50_000
"""A third of the purchase, so that there is room for a part, another, and the rest."""
EVENTS: Final[dict[str, Callable[[Hold], Change | Refused]]] = {
    "capture of a part (more to come)": lambda hold: capture(hold, PART, final=False),
    "capture of a part (final)": lambda hold: capture(hold, PART, final=True),
    "capture of all": lambda hold: capture(hold, None, final=True),
    "void": void,
    "expire": expire,
    "reverse": lambda hold: reverse(hold, captured_at_once=False),
    "reverse (captured at once)": lambda hold: reverse(hold, captured_at_once=True),
    "refund of a part": lambda hold: refund(hold, PART),
    "refund of all": lambda hold: refund(hold, max(1, _refundable(hold))),
    "capture of more than is held": lambda hold: capture(hold, hold.held_rupiah + 1, final=True),
    "refund of more than was captured": lambda hold: refund(hold, _refundable(hold) + 1),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One event that one hold allowed."""

    event: str
    before: HoldStatus
    after: HoldStatus
    moves: tuple[TransferKind, ...]
    goes_back: str
    packages: int


def beginnings() -> dict[str, Hold | None]:
    """What an authorise request makes of a purchase; a decline has no hold."""
    made = {}
    for event, amount, at_once in (
        ("authorise, approved", 3 * PART, False),
        ("authorise with capture, approved", 3 * PART, True),
        ("authorise, declined", 300_001, False),
    ):
        seen = facts()
        made[event] = placed_hold(
            AuthorisationId("auth_1"), seen, decide(a_purchase(amount=amount), seen), captured=at_once
        )
    return made


def outcomes() -> Iterator[tuple[str, HoldStatus, Step | None]]:
    """Event and state before it, for every hold that can come to be; None where it was refused."""
    for event, first in beginnings().items():
        at_once = "with capture" in event
        todo, known = [first] if first else [], {first}
        while todo:
            hold = todo.pop()
            for name, happens in EVENTS.items():
                if _is_another_event(name, hold, at_once=at_once):
                    continue
                outcome = happens(hold)
                if not isinstance(outcome, Change):
                    yield name, hold.status, None
                    continue
                yield name, hold.status, _step(name, hold, outcome)
                if outcome.hold not in known:
                    known.add(outcome.hold)
                    todo.append(outcome.hold)


def _is_another_event(event: str, hold: Hold, *, at_once: bool) -> bool:
    """A part that is all there is is no part, and a purchase was captured at once or it was not."""
    if event.startswith("reverse"):
        return ("at once" in event) is not at_once
    there_is = _refundable(hold) if event.startswith("refund") else hold.held_rupiah
    return "of a part" in event and 0 < there_is <= PART


def _refundable(hold: Hold) -> int:
    return hold.captured_rupiah - hold.refunded_rupiah


def _step(event: str, hold: Hold, change: Change) -> Step:
    *_, last = change.moves
    goes_back = {TransferKind.RELEASE: "what is still held", TransferKind.REFUND: "what is refunded"}.get(last.kind)
    if change.returned_rupiah != (last.amount_rupiah if goes_back else 0):
        raise ValueError(f"{event} gives back what none of its transfers says")
    return Step(
        event=event,
        before=hold.status,
        after=change.hold.status,
        moves=tuple(move.kind for move in change.moves),
        goes_back=goes_back or "nothing",
        packages=change.returned_packages,
    )


def page() -> str:
    """The whole of `docs/hold-states.md`."""
    tried = list(outcomes())
    steps = list(dict.fromkeys(step for _, _, step in tried if step is not None))
    return "\n".join([*_HEAD, "```mermaid", *_diagram(steps), "```", *_BETWEEN, *_table(steps), *_refusals(tried), ""])


_HEAD: Final = (
    "# The states of a hold",
    "",
    "Made by `make docs`, which asks the functions of `authz_service/holds.py`; a test compares. Do not edit it here.",
    "",
)
_BETWEEN: Final = (
    "",
    "What goes back returns to the entitlement and to the month that was charged, there to its vouchers first.",
    "",
)


def _diagram(steps: list[Step]) -> Iterator[str]:
    yield "stateDiagram-v2"
    begun = {event: hold.status if hold else HoldStatus.DECLINED for event, hold in beginnings().items()}
    for event, state in begun.items():
        yield f"    [*] --> {state}: {event}"
    arrows: dict[tuple[HoldStatus, HoldStatus], list[str]] = {}
    for step in sorted(steps, key=_place):
        events = arrows.setdefault((step.before, step.after), [])
        events += [step.event] if step.event not in events else []
    for (before, after), events in arrows.items():
        yield f"    {before} --> {after}: {', '.join(events)}"
    states = dict.fromkeys([*begun.values(), *(step.after for step in steps)])
    for state in sorted(states, key=list(HoldStatus).index):
        if all(after is state for before, after in arrows if before is state):
            yield f"    {state} --> [*]"


def _table(steps: list[Step]) -> Iterator[str]:
    yield "| event | from | to | transfers | goes back | the package |"
    yield "|---|---|---|---|---|---|"
    rows: dict[tuple[str, ...], set[int]] = {}
    for step in sorted(steps, key=_place):
        transfers = ", ".join(f"`{kind}`" for kind in step.moves)
        row: tuple[str, ...] = (step.event, step.before, step.after, transfers, step.goes_back)
        rows.setdefault(row, set()).add(step.packages)
    for row, packages in rows.items():
        yield f"| {' | '.join(row)} | {_of_the_package(packages)} |"


def _of_the_package(packages: set[int]) -> str:
    if packages == {0}:
        return "stays used"
    return "goes back" if packages == {1} else "goes back if all of it was refunded"


def _refusals(tried: list[tuple[str, HoldStatus, Step | None]]) -> Iterator[str]:
    allowed = {(event, before) for event, before, step in tried if step is not None}
    yield from ("", "Refused in every case, and nothing changes:", "", "| event | in |", "|---|---|")
    for event in EVENTS:
        states = {before for name, before, _ in tried if name == event and (event, before) not in allowed}
        yield f"| {event} | {', '.join(state for state in HoldStatus if state in states)} |"


def _place(step: Step) -> tuple[int, int, int]:
    states, events = list(HoldStatus), list(EVENTS)
    return states.index(step.before), states.index(step.after), events.index(step.event)


if __name__ == "__main__":
    PAGE.write_text(page())
