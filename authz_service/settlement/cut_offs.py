"""When a programme's batches are due: a wall clock of its zone on some days of the week. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_A_WEEK: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`days` are ISO weekdays, Monday is 1; there is at least one. No cut-off is before the programme begins."""

    zone: ZoneInfo
    starts_at: datetime
    cut_off: time
    days: frozenset[int]

    def last_before(self, now: datetime) -> datetime | None:
        """The last cut-off that has passed; at its very instant it has. None before the first one."""
        today = now.astimezone(self.zone).date()
        for days_ago in range(_A_WEEK + 1):
            day = today - timedelta(days=days_ago)
            cut_off_at = datetime.combine(day, self.cut_off, tzinfo=self.zone)
            if day.isoweekday() in self.days and cut_off_at <= now:
                return cut_off_at if cut_off_at >= self.starts_at else None
        return None

    def has(self, instant: datetime) -> bool:
        """It is one of the programme's cut-offs, past or to come."""
        here = instant.astimezone(self.zone)
        return here.time() == self.cut_off and here.isoweekday() in self.days and instant >= self.starts_at

    def __str__(self) -> str:
        return f"{self.cut_off:%H:%M} on {days_in_words(sorted(self.days))}"


def days_in_words(days: Sequence[int]) -> str:
    """`Monday to Friday` where they follow each other, else each by name. `days` are sorted."""
    names = [DAY_NAMES[day - 1] for day in days]
    follow = list(days) == list(range(days[0], days[0] + len(days)))
    return f"{names[0]} to {names[-1]}" if follow and len(days) > 1 else ", ".join(names)
