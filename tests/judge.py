"""Were these answers, and are these books, those of some order in which the calls can have come?"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.calls import Answer, Call, Document, Id
from tests.model import Model
from tests.stage import Books, Heard
from tests.tally import ENDS, WITA, Sale

Known = dict[object, Any]
"""What was heard: name → the id that the service gave to it, ("bytes", name) → the answer of that name, and
("said", name of a sale) → what was said of it when it was decided."""
Asked = Sequence[tuple[Call, Heard]]
CREATED: Final = 201
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def in_some_order(model: Model, known: Known, asked: Asked, books: Mapping[str, Books]) -> tuple[Model, Known] | None:
    """The model after an order of calls that explains every answer and then the books; None where there is none."""
    if not asked:
        return (model, known) if all(books_of(model, each, known) == books[each] for each in books) else None
    for n, (call, heard) in enumerate(asked):
        after, now_known = model.copy(), known.copy()
        if fits(after, call, after.answer(call), heard, now_known):
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
        mark = "as in the model" if fits(model, call, answer, heard, known) else f"NOT {answer}"
        lines += [f"{call}", f"    {heard}", f"    {mark}"]
    for family, found in books.items():
        kept = books_of(model, family, known) if family in model.families else None
        lines += [f"{family}: {found}", f"    {'as in the model' if kept == found else f'NOT {kept}'}"]
    return "\n".join(lines)


def fits(model: Model, call: Call, answer: Answer, heard: Heard, known: Known) -> bool:
    """A request that had to be repeated may have been decided the first time."""
    if heard.status != answer.status or not (heard.repeated or heard.replayed == answer.replayed):
        return False
    if answer.bytes_of is not None and known.setdefault(("bytes", answer.bytes_of), heard.raw) != heard.raw:
        return False
    if answer.replayed:
        # The same bytes were judged when they came first.
        return True
    if call.kind == "vouch" and answer.status == CREATED and not _is_the_latest(model, call, heard, known):
        return False
    if not _agrees(_document(model, call, answer, known), heard.said, known):
        return False
    if call.kind == "authorise" and answer.sale is not None:
        known["said", call.name] = heard.said
    return True


def books_of(model: Model, family: str, known: Known) -> Books:
    """As `stage.books` reads them."""
    whose = model.families[family]
    return Books(
        status=[whose.status, whose.companion, known.get(whose.merged_into, whose.merged_into or None)],
        cards=sorted(status for of, status in model.cards.values() if of == family),
        wallet=model.wallet(family),
        months={month.isoformat(): [*charge] for month, charge in model.months(family).items()},
        vouchers={
            known[name]: [*model.covered_by(name), bool(each.approved), each.revoked]
            for name, each in model.vouchers.items()
            if each.family == family
        },
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


# --- How the contract writes what the model says ---


def _document(model: Model, call: Call, answer: Answer, known: Known) -> Document:
    match call.kind, answer.sale:
        case "balance", None:
            return _decision(model, answer.says, approved=not answer.says["reasons"])
        case (("authorise" | "dry_run"), Sale() as sale):
            says = _decision(model, answer.says, approved=bool(answer.says["approved_amount"]))
            lines = _lines(call, says.pop("parts"), says["reasons"])
            return says | _standing(sale) | {"lines": lines, "id": Id(call.name) if call.kind == "authorise" else None}
        case "get", Sale() as sale:
            return _as_it_stands(sale, call, known) | {"events": sale.events}
        case "void", Sale() as sale:
            return _as_it_stands(sale, call, known)
        case _, Sale() as sale:
            moved = {"amount": answer.says["amount"], "created_at": model.now}
            return {call.kind: moved, "authorization": _as_it_stands(sale, call, known)}
        case _:
            return answer.says


def _decision(model: Model, says: Document, *, approved: bool) -> Document:
    """With the months' ends, and the reason that a till shows."""
    reasons, left = says["reasons"], says["remaining"]
    next_month = model.month + timedelta(days=31)
    ends = {"month_ends_at": datetime(next_month.year, next_month.month, 1, tzinfo=WITA), "programme_ends_at": ENDS}
    return says | {
        "decision": "approved" if approved else "declined",
        "reason": "approved" if approved else reasons[0][0],
        "reasons": [{"reason": reason, "line": line or None} for reason, line in reasons],
        "remaining": None if left is None else left | ends,
        "created_at": model.now,
    }


def _lines(call: Call, parts: list[int], reasons: list[Document]) -> list[Document]:
    """A line of which less is paid than it costs was cut, or its price was reduced; the model says which was cut."""
    cut = {each["line"] for each in reasons}
    lines = []
    for n, (part, line) in enumerate(zip(parts, call.body["lines"], strict=True), 1):
        whole = "accepted" if part == line["amount"] else "price_reduced"
        action = ("partly_funded" if n in cut else whole) if part else "rejected"
        lines.append({"line": n, "action": action, "approved_amount": part})
    return lines


def _standing(sale: Sale) -> Document:
    uses = [{"voucher_id": Id(name), "amount": use[0], "packages": use[1]} for name, use in sale.covered.items()]
    amounts = zip(("held_amount", "captured_amount", "refunded_amount"), sale.amounts, strict=True)
    return {"status": sale.status, "vouchers_used": uses, **dict(amounts)}


def _as_it_stands(sale: Sale, call: Call, known: Known) -> Document:
    """What was decided stays as it was said, to the letter; but for a receipt, which was for that moment."""
    said: Document = known["said", call.about]
    return said | _standing(sale) | {"receipt": None}


def _is_the_latest(model: Model, call: Call, heard: Heard, known: Known) -> bool:
    """On the stage a voucher's id is above those that the family had before: the order of use shows in the ids."""
    mine = [name for name, each in model.vouchers.items() if each.family == call.body["family"]]
    return all(known[name] < heard.said["id"] for name in mine if name in known)


def _agrees(expected: Any, said: Any, known: Known) -> bool:
    """Members that the model does not speak of may be anything; events of one instant may come in any order."""
    match expected:
        case Id():
            return said is not None and known.setdefault(expected.name, said) == said
        case datetime():
            return said is not None and datetime.fromisoformat(said) == _to_the_millisecond(expected)
        case {"events": events, **rest}:
            return _agrees(rest, said, known) and _sorted(said["events"]) == sorted(map(_event, events))
        case dict():
            return isinstance(said, dict) and all(
                _agrees(each, said.get(name), known) for name, each in expected.items()
            )
        case list():
            return (
                isinstance(said, list)
                and len(expected) == len(said)
                and all(_agrees(each, other, known) for each, other in zip(expected, said, strict=True))
            )
        case _:
            return type(expected) is type(said) and bool(expected == said)


def _to_the_millisecond(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _sorted(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    return sorted((event["created_at"], event["type"], event["amount"]) for event in events)


def _event(event: tuple[str, int, datetime]) -> tuple[str, str, int]:
    name, rupiah, at = event
    return at.astimezone(WITA).isoformat(timespec="milliseconds"), name, rupiah
