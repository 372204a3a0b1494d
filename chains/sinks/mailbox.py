"""A bounded queue of records and the one task that empties it, in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from eventbus.record import ProducerRecord

Deliver = Callable[[list[ProducerRecord]], Awaitable[None]]


class Mailbox:
    """Keeps the order, and at most `room` records that nobody has begun to deliver.

    Args:
        deliver: is given records until they are its own: it counts what becomes of them, also when cancelled.
        room: records.
        batch: records delivered together at most.
    """

    def __init__(self, deliver: Deliver, *, room: int, batch: int) -> None:
        self._deliver = deliver
        self._room = room
        self._batch = batch
        self._waiting: deque[ProducerRecord] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        #: What ended the task; whoever uses the mailbox then hears of it, instead of waiting for ever.
        self._failure: Exception | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def take(self, records: Sequence[ProducerRecord]) -> Sequence[ProducerRecord]:
        """Take as many as there is room for; returns the others.

        Raises:
            Exception: the one that `deliver` raised, which it should not.
        """
        self._check()
        room = max(self._room - len(self._waiting), 0)
        self.put(records[:room])
        return records[room:]

    def put(self, records: Sequence[ProducerRecord]) -> None:
        """Take records, whether there is room or not."""
        self._waiting.extend(records)
        if self._waiting:
            self._idle.clear()
            self._filled.set()

    async def room(self) -> None:
        """Wait until there is room for a record."""
        while len(self._waiting) >= self._room:
            self._emptied.clear()
            await self._emptied.wait()
            self._check()

    async def idle(self) -> None:
        """Wait until all is delivered."""
        await self._idle.wait()
        self._check()

    async def close(self) -> list[ProducerRecord]:
        """Stop delivering; returns what nobody has begun to deliver."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        left = list(self._waiting)
        self._waiting.clear()
        self._idle.set()
        return left

    def _check(self) -> None:
        if self._failure:
            raise self._failure

    async def _run(self) -> None:
        try:
            await self._deliver_all()
        except Exception as error:
            self._failure = error
            self._emptied.set()
            self._idle.set()

    async def _deliver_all(self) -> None:
        while True:
            await self._filled.wait()
            while self._waiting:
                batch = list(islice(self._waiting, self._batch))
                for _ in batch:
                    self._waiting.popleft()
                self._emptied.set()
                await self._deliver(batch)
            self._filled.clear()
            self._idle.set()
