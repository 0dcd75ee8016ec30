"""The clock that the demo and the tests set, and that other processes have mapped."""

import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from authz_service.clock import ShiftedClock

ROUNDS = 100_000
PUT_ASIDE = timedelta(minutes=5)
HERE, THERE = datetime(2024, 10, 6, 6, 0, tzinfo=UTC), datetime(2024, 10, 6, 7, 0, tzinfo=UTC)


def _set_again_and_again(path: Path) -> None:
    clock = ShiftedClock(path)
    for _ in range(ROUNDS):
        clock.set_to(HERE)
        clock.set_to(THERE)


def test_who_reads_the_clock_while_it_is_set_sees_the_old_time_or_the_new_one(tmp_path: Path) -> None:
    """Never anything between: a till's hold would be over at once, as of a day that has not come."""
    clock = ShiftedClock.create(tmp_path / "clock", HERE)
    writer = multiprocessing.get_context("spawn").Process(target=_set_again_and_again, args=(tmp_path / "clock",))
    writer.start()
    reads = 0
    while writer.is_alive() or not reads:
        seen = clock.estimate()
        # A process may be put aside between its look at one clock and at the other.
        assert HERE - PUT_ASIDE < seen < THERE + PUT_ASIDE
        reads += 1
    writer.join()
    assert writer.exitcode == 0
    assert reads > 1_000
