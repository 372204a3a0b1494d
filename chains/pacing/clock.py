"""The time that a paced run lives by, as an argument."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time, and waits."""

    def time_us(self) -> int:
        """Microseconds since the Unix epoch; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least about this long; 0 lets other tasks run."""
        ...


class WallClock:
    """The machine's time at the moment of making, moved on by its monotonic clock: corrections do not make it jump."""

    def __init__(self) -> None:
        self._ahead = time.time_ns() - time.monotonic_ns()

    def time_us(self) -> int:
        return (time.monotonic_ns() + self._ahead) // 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
