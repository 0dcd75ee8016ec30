"""Whether the bank's statements go on from each other, so that nothing between two of them is missing. Pure.

A statement's opening balance less all bookings before its first day is what the account had before the first booking
of all. It is the same in every statement, in whatever order they are read and however they overlap, unless bookings
between two of them are in neither, or one begins in the middle of a day: then an equal booking of that day may hide
behind one that an earlier file has. Each is compared with those before it that reach furthest, not with any earlier
one: what is missing in one place may come back in another.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, groupby
from typing import Final

from authz_service.reconciliation.findings import Finding, State
from authz_service.reconciliation.statement_lines import StatementLine
from authz_service.vocabulary import in_rupiah

_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The days of a statement, the balance before the first of them and the one after the last."""

    from_on: date
    to_on: date
    opening_rupiah: int
    closing_rupiah: int


def breaks_between(
    spans: Iterable[Span], lines: Iterable[StatementLine], is_working_day: Callable[[date], bool]
) -> list[Finding]:
    """A finding for each statement that does not go on from those before it, and for working days that none has."""
    in_order = sorted(spans, key=lambda span: (span.from_on, span.to_on))
    return [*_that_do_not_join(in_order, lines), *_days_missing(in_order, is_working_day)]


def _that_do_not_join(spans: Sequence[Span], lines: Iterable[StatementLine]) -> Iterator[Finding]:
    booked = sorted((line.booked_on, line.amount_rupiah) for line in lines)
    days = [day for day, _ in booked]
    moved = [0, *accumulate(amount for _, amount in booked)]
    until: date | None = None
    bases: list[int] = []
    """Of those that end last; several where one of them begins in the middle of that day."""
    for _, same_days in groupby(spans, key=lambda span: (span.from_on, span.to_on)):
        of_these = [(span.opening_rupiah - moved[bisect_left(days, span.from_on)], span) for span in same_days]
        # Of a whole day and its afternoon the whole day goes on from the day before, whichever was read first.
        for base, span in sorted(of_these, key=lambda each: bool(bases) and each[0] not in bases):
            if bases and base not in bases:
                expected = bases[0] + span.opening_rupiah - base
                yield _finding(
                    State.STATEMENTS_DO_NOT_JOIN,
                    (span.from_on, span.to_on),
                    detail=f"It opens with {in_rupiah(span.opening_rupiah)}, and those before it end with"
                    f" {in_rupiah(expected)}: bookings in between are missing, or it begins in the middle of a day.",
                    ours_rupiah=expected,
                    theirs_rupiah=span.opening_rupiah,
                )
            if until is None or span.to_on > until:
                until, bases = span.to_on, []
            if span.to_on == until:
                bases.append(base)


def _days_missing(spans: Sequence[Span], is_working_day: Callable[[date], bool]) -> Iterator[Finding]:
    """Weekends and holidays have no statement of their own at many banks; what was booked then is in a balance."""
    covered_until: date | None = None
    for span in spans:
        if covered_until is not None:
            number = (span.from_on - covered_until).days - 1
            working = [day for n in range(number) if is_working_day(day := covered_until + (n + 1) * _A_DAY)]
            if working:
                days = (working[0], working[-1])
                yield _finding(State.DAYS_MISSING, days, detail="No statement that was read has these working days.")
        covered_until = span.to_on if covered_until is None else max(covered_until, span.to_on)


def _finding(
    state: State,
    days: tuple[date, date],
    *,
    detail: str,
    ours_rupiah: int | None = None,
    theirs_rupiah: int | None = None,
) -> Finding:
    named = f"{days[0]}/{days[1]}"
    return Finding(
        state=state,
        subject=named,
        reference=named,
        ours_rupiah=ours_rupiah,
        theirs_rupiah=theirs_rupiah,
        since_on=days[0],
        detail=detail,
    )
