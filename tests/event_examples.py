"""Draws the list of types in docs/events.md from the code: `python -m tests.event_examples`. A test compares."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import orjson

from authz_service.events.deliveries import body_of
from authz_service.events.kinds import KINDS, Event
from authz_service.events.outbox import document
from tests.world import PROGRAMME, WITA

PAGE: Final = Path(__file__).parent.parent / "docs" / "events.md"
BEGIN, END = "<!-- drawn from the code: python -m tests.event_examples -->\n", "<!-- end -->\n"
AT: Final = datetime(2024, 12, 2, 15, 0, 3, 250_000, tzinfo=WITA)
_TAIL: Final = "06795kp2ra0000000000000000"
_KNOWN: Final[dict[str, Any]] = {
    **{f"{name}_id": f"{prefix}_{_TAIL}" for name, prefix in (("batch", "set"), ("instruction", "pay"))},
    **{f"{name}_id": f"{prefix}_{_TAIL}" for name, prefix in (("merchant", "mrc"), ("beneficiary", "ben"))},
    **{f"{name}_id": f"{prefix}_{_TAIL}" for name, prefix in (("authorization", "auth"), ("notice", "ntc"))},
    **{f"{name}_id": f"{prefix}_{_TAIL}" for name, prefix in (("exception", "exc"), ("dispute", "dsp"))},
    **{f"{name}_id": f"{prefix}_{_TAIL}" for name, prefix in (("card", "crd"), ("companion", "cmp"))},
    "survivor_id": "ben_06795kp2ra0000000000000001",
    "former_companion_id": "cmp_06795kp2ra0000000000000001",
    "transfer_id": f"cap_{_TAIL}",
    "account_ref": f"acc_{_TAIL}",
    "partner_id": "BANKALTIMTARA",
    "reference": "SP2D-2024-0117",
    "batch_number": 41,
    "items": 63,
    "payouts": 19,
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "chain": "transfers",
    "blocks": 2_117,
    "rows": 6_201,
    "root": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "source": "notice",
    "told": "success",
    "reason": "amount_differs",
    "kind": "missing_there",
    "closed_by": "two_people",
    "outcome": "explained",
    "change": "remove",
    "status": "active",
    "cause": "capture",
    "amount": 287_500,
    "brought_amount": 0,
    "captured_amount": 4_150_000,
    "refunded_amount": 25_000,
    "returned_amount": 300_000,
    "instructed_amount": 4_425_000,
    "carried_amount": 0,
    "granted_amount": 1_800_000,
    "held_amount": 0,
    "our_amount": 287_500,
    "their_amount": 287_500,
}


def example(kind: type[Event]) -> Event:
    """One of that type, every field filled."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name != "type"}
    return kind(**{name: _value(name, hint) for name, hint in hints.items()})


def _value(name: str, hint: Any) -> Any:
    if hint is datetime:
        return AT
    if hint is date:
        return AT.date()
    value = _KNOWN[name]
    base = next(iter(get_args(hint)), hint)
    assert isinstance(value, getattr(base, "__supertype__", base)), name
    return value


def example_body(kind: type[Event], number: int) -> dict[str, Any]:
    """What is sent of it."""
    body: dict[str, Any] = orjson.loads(
        body_of(PROGRAMME, number, kind.type, AT, WITA.key, document(example(kind), WITA))
    )
    return body


def section() -> str:
    parts = [BEGIN]
    for number, kind in enumerate(KINDS, start=1):
        says = " ".join((kind.__doc__ or "").split())
        parts.append(f"### `{kind.type}`\n\n{says}\n\n```json\n{json.dumps(example_body(kind, number))}\n```\n")
    return "\n".join(parts) + "\n" + END


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    PAGE.write_text(head + section() + rest.partition(END)[2], encoding="utf-8")
