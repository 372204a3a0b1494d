"""Tasks that wait until something changes in the broker; they run on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection


class Watchers:
    """Tasks waiting under keys: topics, groups, members. `notify` wakes those of a key; a notification is not stored.

    A waiter misses nothing if it checks its condition and then calls `wait` without an `await` in between.
    """

    def __init__(self) -> None:
        self._futures: dict[str, set[asyncio.Future[None]]] = {}

    def notify(self, key: str) -> None:
        """Wake all tasks waiting under this key."""
        for future in self._futures.pop(key, ()):
            if not future.done() and not future.get_loop().is_closed():
                future.set_result(None)

    async def wait(self, keys: Collection[str], timeout: float | None = None) -> None:
        """Wait until one of the keys is notified, or for `timeout` seconds."""
        future = asyncio.get_running_loop().create_future()
        for key in keys:
            self._futures.setdefault(key, set()).add(future)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            pass
        finally:
            for key in keys:
                self._discard(key, future)

    def _discard(self, key: str, future: asyncio.Future[None]) -> None:
        futures = self._futures.get(key)
        if futures is not None:
            futures.discard(future)
            if not futures:
                del self._futures[key]

    def __len__(self) -> int:
        """Number of keys that tasks are waiting under."""
        return len(self._futures)
