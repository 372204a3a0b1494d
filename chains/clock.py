"""The clock of a paced run, as an argument: the system's, or one that a test moves by hand."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class AsyncClock(Protocol):
    """Tells the time and sleeps."""

    def time_us(self) -> int:
        """Microseconds since the Unix epoch; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep at least about this long; 0 yields to other tasks."""
        ...


class WallClock:
    """The system time when the clock was made, advanced by the monotonic clock: unaffected by clock adjustments."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def time_us(self) -> int:
        return (time.monotonic_ns() + self._offset_ns) // 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
