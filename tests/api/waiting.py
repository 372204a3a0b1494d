"""Waiting for a condition, rather than for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Yield to the event loop until the condition holds; otherwise the test times out."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the point is to watch from outside, without a hook in the code
            await asyncio.sleep(0)
