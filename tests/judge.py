"""Were these answers, and are these books, those of some order in which the calls can have come?"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.model import WITA, Answer, Call, Id, Model
from tests.stage import Books, Heard

Known = dict[object, Any]
"""What tills have heard: name → the id that the service gave to it, and ("bytes", name) → the answer of that name."""
Asked = Sequence[tuple[Call, Heard]]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def in_some_order(model: Model, known: Known, asked: Asked, books: Mapping[str, Books]) -> tuple[Model, Known] | None:
    """The model after an order of calls that explains every answer and then the books; None where there is none."""
    if not asked:
        return (model, known) if all(books_of(model, each, known) == books[each] for each in books) else None
    for n, (call, heard) in enumerate(asked):
        after, now_known = model.copy(), known.copy()
        if fits(after.answer(call), heard, now_known):
            found = in_some_order(after, now_known, [*asked[:n], *asked[n + 1 :]], books)
            if found is not None:
                return found
    return None


def why_not(model: Model, known: Known, asked: Asked, books: Mapping[str, Books]) -> str:
    """What came, and what the model would have said and kept in the order in which it was sent."""
    model, known = model.copy(), known.copy()
    lines = [f"at {model.now.isoformat()} no order of these {len(asked)} calls explains the answers and the books"]
    for call, heard in asked:
        answer = model.answer(call)
        mark = "as in the model" if fits(answer, heard, known) else f"NOT {answer}"
        lines += [f"{call}", f"    {heard}", f"    {mark}"]
    for family, found in books.items():
        kept = books_of(model, family, known)
        lines += [f"{family}: {found}", f"    {'as in the model' if kept == found else f'NOT {kept}'}"]
    return "\n".join(lines)


def fits(answer: Answer, heard: Heard, known: Known) -> bool:
    """A request that had to be repeated may have been decided the first time."""
    if heard.status != answer.status or not (heard.repeated or heard.replayed == answer.replayed):
        return False
    if answer.bytes_of is not None and known.setdefault(("bytes", answer.bytes_of), heard.raw) != heard.raw:
        return False
    return _agrees(answer.says, heard.said, known)


def books_of(model: Model, family: str, known: Known) -> Books:
    return Books(
        wallet=model.wallet(family),
        months={month.isoformat(): [*charge] for month, charge in model.months(family).items()},
        vouchers={known[each]: [*model.used_of(each)] for each, (of, *_) in model.vouchers.items() if of == family},
        holds={
            known.get(name, ""): [
                sale.status,
                sale.events[0][1],
                *sale.amounts,
                int(sale.used > 0),
                sale.month.isoformat(),
                (sale.expires_at - _EPOCH) // timedelta(microseconds=1),
                len(sale.events),
            ]
            for name, sale in model.sales.items()
            if sale.family == family
        },
    )


def _agrees(expected: Any, said: Any, known: Known) -> bool:
    """Members that the model does not speak of may be anything; events of one instant may come in any order."""
    match expected:
        case Id():
            return said is not None and known.setdefault(expected.name, said) == said
        case datetime():
            return said is not None and datetime.fromisoformat(said) == _to_the_millisecond(expected)
        case {"events": events, **rest}:
            return _agrees(rest, said, known) and _sorted(said["events"]) == _sorted(events)
        case dict():
            return isinstance(said, dict) and all(
                _agrees(each, said.get(name), known) for name, each in expected.items()
            )
        case list():
            return len(expected) == len(said) and all(
                _agrees(each, other, known) for each, other in zip(expected, said, strict=True)
            )
        case _:
            return type(expected) is type(said) and bool(expected == said)


def _to_the_millisecond(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _sorted(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    return sorted((_shown(event["created_at"]), event["type"], event["amount"]) for event in events)


def _shown(instant: datetime | str) -> str:
    return instant if isinstance(instant, str) else instant.astimezone(WITA).isoformat(timespec="milliseconds")
