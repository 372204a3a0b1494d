"""Waking tasks that wait for news: the one place where the in-process bus sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Collection


class Notices:
    """Tasks wait under names, and are woken when one of the names is called. Nothing is remembered.

    Look first, then wait, with no `await` between: then no news can be missed, because all run on one event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def call(self, name: str) -> None:
        """Wake everybody who waits under this name."""
        for future in self._waiting.pop(name, ()):
            if not future.done() and not future.get_loop().is_closed():
                future.set_result(None)

    async def wait(self, names: Collection[str], timeout: float | None = None) -> None:
        """Sleep until one of the names is called, or for `timeout` seconds."""
        future = asyncio.get_running_loop().create_future()
        for name in names:
            self._waiting.setdefault(name, set()).add(future)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            pass
        finally:
            for name in names:
                self._forget(name, future)

    def _forget(self, name: str, future: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[name]

    def __len__(self) -> int:
        """How many names somebody waits under."""
        return len(self._waiting)
