"""What tills, offices and banks may count on: one list, from which metrics, alerts, dashboard and `docs/slo.md` come.

Two things are promised of each group of calls: that nearly every one is answered, which no 5xx is, and that nearly
every answer comes in time. A decline is an answer. Calls that come seldom stand in one group, so that a share of them
means something: a city of a thousand families asks for six sales in an hour.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Of all answers to `calls` within WINDOW_DAYS, `availability` are no 5xx and `in_time` come in `limit_seconds`."""

    name: str
    calls: tuple[str, ...]
    availability: float
    in_time: float
    limit_seconds: float
    pages: bool
    """Somebody stands at a counter: a fast burn wakes people. Otherwise it is the next day's work."""
    reason: str

    @property
    def available(self) -> "Promise":
        return Promise(slo=f"{self.name}_availability", of=self, ratio=self.availability, limit_seconds=None)

    @property
    def timely(self) -> "Promise":
        return Promise(slo=f"{self.name}_latency", of=self, ratio=self.in_time, limit_seconds=self.limit_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One of the two things, by the value that the label `slo` has for it."""

    slo: str
    of: Objective
    ratio: float
    limit_seconds: float | None
    """None: that there is an answer at all."""


WINDOW_DAYS: Final = 30
OBJECTIVES: Final = (
    Objective(
        name="sale",
        calls=("authorise",),
        availability=0.999,
        in_time=0.99,
        limit_seconds=0.25,
        pages=True,
        reason="A family waits at the counter. The contract gives up at 1,5 s; a poor mobile line needs most of that.",
    ),
    Objective(
        name="later",
        calls=("capture", "void", "refund", "reverse"),
        availability=0.999,
        in_time=0.99,
        limit_seconds=0.25,
        pages=True,
        reason="What was promised at the counter is kept, or given back, while the family still stands there.",
    ),
    Objective(
        name="inquiry",
        calls=("balance_inquiry", "get_authorisation", "catalogue"),
        availability=0.995,
        in_time=0.99,
        limit_seconds=0.25,
        pages=False,
        reason="Asked before a sale; a till that gets no answer can still ask for the sale itself.",
    ),
    Objective(
        name="office",
        calls=(
            *("vouch", "list_vouchers", "get_voucher", "revoke_voucher", "approve_voucher", "list_beneficiaries"),
            *("list_authorisations", "explain_authorisation", "console"),
        ),
        availability=0.995,
        in_time=0.95,
        limit_seconds=1.0,
        pages=False,
        reason="Companions and officers wait for a page, nobody at a counter; lists of a busy month read much.",
    ),
    Objective(
        name="bank",
        calls=("access_token", "debit_notify", "bank_method"),
        availability=0.999,
        in_time=0.99,
        limit_seconds=1.0,
        pages=False,
        reason="A bank tells again what was not taken, and has patience for seconds; but not told is not booked.",
    ),
)
"""The only list. A limit is a bucket of the histogram (`metrics.py`), or it could not be measured."""


def promises() -> Iterator[Promise]:
    """Both of each objective, in the list's order."""
    for objective in OBJECTIVES:
        yield objective.available
        yield objective.timely
