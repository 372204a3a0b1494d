"""Clocks: the system's, and one that a test advances."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of the wall time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class SystemClock:
    """The system's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only by `advance`."""

    def __init__(self, start_ms: int = 0) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> None:
        """Move the clock forward.

        Raises:
            ValueError: `ms` is negative.
        """
        if ms < 0:
            raise ValueError(f"expected a step of at least 0 ms, got {ms}")
        self._now_ms += ms

    def __repr__(self) -> str:
        return f"<ManualClock {self._now_ms} ms>"
