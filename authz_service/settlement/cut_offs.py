"""When a programme's batches are due: a wall clock of its zone on some days of the week, but not on holidays. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """`days` are ISO weekdays, Monday is 1; there is at least one."""

    at: time
    days: frozenset[int]

    def __str__(self) -> str:
        return f"{self.at:%H:%M} on {days_in_words(sorted(self.days))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`first` is that of enrolment; `changes` have the first day of each later one. None: batches are closed by hand
    alone. No cut-off is before the programme begins."""

    zone: ZoneInfo
    starts_at: datetime
    first: CutOff | None
    changes: Mapping[date, CutOff | None] = field(default_factory=dict)
    holidays: Collection[date] = frozenset()

    def cut_off_of(self, day: date) -> CutOff | None:
        """As it is ordered for that day, whether or not a batch is due on it."""
        since = max((each for each in self.changes if each <= day), default=None)
        return self.first if since is None else self.changes[since]

    def last_before(self, now: datetime) -> datetime | None:
        """The last cut-off that has passed; at its very instant it has. None before the first one."""
        day, first_day = now.astimezone(self.zone).date(), self.starts_at.astimezone(self.zone).date()
        while day >= first_day:
            cut_off_at = self._due_on(day)
            if cut_off_at is not None and cut_off_at <= now:
                return cut_off_at if cut_off_at >= self.starts_at else None
            day -= timedelta(days=1)
        return None

    def has(self, instant: datetime) -> bool:
        """It is one of the programme's cut-offs, past or to come."""
        here = instant.astimezone(self.zone)
        due_at = self._due_on(here.date())
        return due_at is not None and here.time() == due_at.time() and instant >= self.starts_at

    def _due_on(self, day: date) -> datetime | None:
        cut_off = self.cut_off_of(day)
        if cut_off is None or day.isoweekday() not in cut_off.days or day in self.holidays:
            return None
        return datetime.combine(day, cut_off.at, tzinfo=self.zone)


def days_in_words(days: Sequence[int]) -> str:
    """`Monday to Friday` where they follow each other, else each by name. `days` are sorted."""
    names = [DAY_NAMES[day - 1] for day in days]
    follow = list(days) == list(range(days[0], days[0] + len(days)))
    return f"{names[0]} to {names[-1]}" if follow and len(days) > 1 else ", ".join(names)
