"""Clocks for paced runs that take no time."""

from __future__ import annotations

import asyncio

from eventbus.event import now_us


class ManualClock:
    """Time passes only in `sleep`, at once, and as much as was asked for.

    Args:
        oversleep: seconds that every wait takes longer.
    """

    def __init__(self, oversleep: float = 0.0) -> None:
        self.now = now_us()
        self.oversleep = oversleep
        self.waits = 0

    def time_us(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        if seconds:
            self.advance(seconds + self.oversleep)
            self.waits += 1
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)
