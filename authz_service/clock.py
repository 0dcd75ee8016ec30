"""The only place that asks what time it is, and that takes chance from the system in large portions.

Decisions use the database's clock, read with the facts; a `Clock` may shift it. The demo and the tests shift it by
eight bytes in a file that they write and every worker has mapped: October to December 2024 then pass in seconds.
"""

import mmap
import os
import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol
from weakref import WeakSet
from zoneinfo import ZoneInfo

_OFFSET_BYTES: Final = 8
_PORTION_BYTES: Final = 4096
monotonic_seconds = time.monotonic
epoch_seconds = time.time


class Clock(Protocol):
    """Turns the database's time into the service's."""

    def at(self, database_now: datetime) -> datetime:
        """The instant of a batch whose facts the database read at `database_now`."""

    def estimate(self) -> datetime:
        """This machine's idea of the same clock; good for choosing what to read, never for a decision."""


class SystemClock:
    """The database's time as it is."""

    def at(self, database_now: datetime) -> datetime:
        return database_now

    def estimate(self) -> datetime:
        return datetime.now(UTC)


class ShiftedClock:
    """The database's time plus the microseconds that stand in a file of eight bytes."""

    def __init__(self, path: Path) -> None:
        # One word, written and read whole: `struct` would write zeroes first, and others would see today for a moment.
        with path.open("r+b") as file:
            self._offset = memoryview(mmap.mmap(file.fileno(), _OFFSET_BYTES)).cast("q")

    def at(self, database_now: datetime) -> datetime:
        return database_now + timedelta(microseconds=self._offset[0])

    def estimate(self) -> datetime:
        return self.at(datetime.now(UTC))

    def set_to(self, instant: datetime) -> None:
        """From now on the clock goes on from `instant`."""
        self._offset[0] = (instant - datetime.now(UTC)) // timedelta(microseconds=1)

    @staticmethod
    def create(path: Path, instant: datetime) -> "ShiftedClock":
        """A new file beside the running system, set to `instant`."""
        path.write_bytes(bytes(_OFFSET_BYTES))
        clock = ShiftedClock(path)
        clock.set_to(instant)
        return clock


def clock_from(offset_file: Path | None) -> Clock:
    return SystemClock() if offset_file is None else ShiftedClock(offset_file)


class ChanceInPortions:
    """Bytes of `os.urandom`, each given once, from a portion that was taken together: a sale needs thirty of them, and
    to ask the system each time takes longer than to write the id. A forked process begins with a portion of its own."""

    def __init__(self) -> None:
        self.drop()
        _IN_PORTIONS.add(self)

    def drop(self) -> None:
        """What is left of the portion is given to nobody."""
        self._portion = b""
        self._given = 0

    def __call__(self, count: int) -> bytes:
        start, end = self._given, self._given + count
        if end > len(self._portion):
            self._portion, start, end = os.urandom(max(count, _PORTION_BYTES)), 0, count
        self._given = end
        return self._portion[start:end]


_IN_PORTIONS: Final[WeakSet[ChanceInPortions]] = WeakSet()


def _drop_what_the_parent_has_too() -> None:
    for each in _IN_PORTIONS:
        each.drop()


# Workers are spawned and copy nothing; this holds also where somebody forks one day.
os.register_at_fork(after_in_child=_drop_what_the_parent_has_too)


def month_of(instant: datetime, zone: ZoneInfo) -> date:
    """The first day of the calendar month in which `instant` falls in the programme's zone."""
    return instant.astimezone(zone).date().replace(day=1)


@lru_cache(maxsize=64)
def month_end(month: date, zone: ZoneInfo) -> datetime:
    """The first instant that is no longer in `month`."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=zone)
