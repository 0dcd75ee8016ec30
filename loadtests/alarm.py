"""A clock that wakes an event loop to the microsecond: the loop's own timers are a millisecond coarse (Linux only)."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

_CLOCK_MONOTONIC: Final = 1
_NONBLOCK: Final = os.O_NONBLOCK
_ABSOLUTE: Final = 1
_NANOSECONDS: Final = 1_000_000_000
_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Moment), ("value", _Moment))


class Alarm:
    """`ring` is called at once, and from then on at each moment (of `time.monotonic`) that it returns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], float | None]) -> None:
        self._loop = loop
        self._ring = ring
        self._file = _libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def __enter__(self) -> Self:
        self._loop.add_reader(self._file, self._woken)
        self._set(self._ring())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._file, 8)
        self._set(self._ring())

    def _set(self, moment: float | None) -> None:
        if moment is None:
            return
        seconds, fraction = divmod(moment, 1)
        value = _Moment(int(seconds), int(fraction * _NANOSECONDS))
        if _libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(_Setting(_Moment(0, 0), value)), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
