"""A clock that stands still until it is told to move."""

from __future__ import annotations

import time

import pytest

from eventbus import ManualClock, SystemClock


def test_a_manual_clock_moves_by_hand() -> None:
    """It shows the start, and then what was added."""
    clock = ManualClock(1000)
    clock.advance(500)
    clock.advance(0)
    assert clock.now_ms() == 1500
    assert repr(clock) == "<ManualClock 1500 ms>"


def test_time_does_not_go_back() -> None:
    """A negative step is a mistake, and changes nothing."""
    clock = ManualClock(1000)
    with pytest.raises(ValueError, match="at least 0 ms, got -1"):
        clock.advance(-1)
    assert clock.now_ms() == 1000


def test_the_system_clock_counts_milliseconds_since_1970() -> None:
    """It lies between two looks at the machine's own."""
    before = time.time_ns() // 1_000_000
    assert before <= SystemClock().now_ms() <= time.time_ns() // 1_000_000
