"""By when a dispute must be raised and answered: days of the programme's zone, half-open at midnight. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SATURDAY: Final = 6
_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeClocks:
    """As the programme's row has them; `holidays` are no working days, beside Saturday and Sunday."""

    zone: ZoneInfo
    claim_days: int
    answer_days: int
    holidays: Collection[date] = field(default_factory=frozenset)

    def claim_ends_at(self, purchased_at: datetime) -> datetime:
        """The last day itself still counts."""
        day = purchased_at.astimezone(self.zone).date()
        return self._end_of(day + timedelta(days=self.claim_days))

    def answer_due_at(self, claimed_at: datetime) -> datetime:
        """The end of the last working day; the day of the claim is not counted."""
        day, left = claimed_at.astimezone(self.zone).date(), self.answer_days
        while left:
            day += _A_DAY
            left -= is_working_day(day, self.holidays)
        return self._end_of(day)

    def _end_of(self, day: date) -> datetime:
        return datetime.combine(day + _A_DAY, time(), tzinfo=self.zone)


def is_working_day(day: date, holidays: Collection[date]) -> bool:
    """Monday to Friday, and no holiday."""
    return day.isoweekday() < _SATURDAY and day not in holidays
