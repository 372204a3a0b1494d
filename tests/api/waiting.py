"""Waiting in tests: for what is meant to happen, never for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody else work until the condition holds; a test in which it never does fails."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the point is to watch from outside, without a hook in the code
            await asyncio.sleep(0)
