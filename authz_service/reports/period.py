"""Which days a report is about: whole days of the programme's zone, so that a month is its days and nothing more."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from authz_service.vocabulary import time_part

_SLACK = timedelta(seconds=1)
"""An id counts whole milliseconds, cut off in floating point: by so much its range is wider than the period."""

FIRST_DAY: Final = date(1970, 2, 1)
"""Ids begin with the milliseconds since 1970: nothing is before it, in no zone."""
LAST_DAY: Final = date(2999, 12, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From the midnight that begins `first` up to the midnight that ends `last`, in `zone`."""

    first: date
    last: date
    zone: ZoneInfo

    @classmethod
    def day(cls, day: date, zone: ZoneInfo) -> Self:
        return cls(first=day, last=day, zone=zone)

    @classmethod
    def month(cls, month: date, zone: ZoneInfo) -> Self:
        """The whole calendar month in which `month` is."""
        first = month.replace(day=1)
        return cls(first=first, last=(first + timedelta(days=31)).replace(day=1) - timedelta(days=1), zone=zone)

    @property
    def starts_at(self) -> datetime:
        return datetime.combine(self.first, time(), tzinfo=self.zone)

    @property
    def ends_at(self) -> datetime:
        """The first instant that is no longer in it."""
        return datetime.combine(self.last + timedelta(days=1), time(), tzinfo=self.zone)

    @property
    def is_one_day(self) -> bool:
        return self.first == self.last

    @property
    def ids(self) -> tuple[str, str]:
        """With what the ids of its rows begin: from the first of these, and before the second."""
        return time_part(self.starts_at - _SLACK), time_part(self.ends_at + _SLACK)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m-%d}" if self.is_one_day else f"{self.first:%Y-%m}"
