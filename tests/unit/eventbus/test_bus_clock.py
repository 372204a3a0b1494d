"""The clock that a test advances, and the system's."""

from __future__ import annotations

import time

import pytest

from eventbus import ManualClock, SystemClock


def test_a_manual_clock_moves_by_advance() -> None:
    """It shows the start plus all advances."""
    clock = ManualClock(1000)
    clock.advance(500)
    clock.advance(0)
    assert clock.now_ms() == 1500
    assert repr(clock) == "<ManualClock 1500 ms>"


def test_time_does_not_go_back() -> None:
    """A negative step is an error and changes nothing."""
    clock = ManualClock(1000)
    with pytest.raises(ValueError, match="at least 0 ms, got -1"):
        clock.advance(-1)
    assert clock.now_ms() == 1000


def test_the_system_clock_counts_milliseconds_since_1970() -> None:
    """Its time lies between two readings of the system's time."""
    before = time.time_ns() // 1_000_000
    assert before <= SystemClock().now_ms() <= time.time_ns() // 1_000_000
