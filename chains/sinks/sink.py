"""The protocol of sinks, which take the records of a stream and count what becomes of each, and what sinks share.

A new sink implements `Sink`; `eventbus.cli.options.sinks` makes it from a value of `--to`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from eventbus.record import ProducerRecord


@dataclass(slots=True, kw_only=True)
class SinkStatistics:
    """What became of the records: accepted = written + omitted + dead + failed + pending."""

    accepted: int = 0
    """Records taken."""
    written: int = 0
    """Records that the destination has."""
    omitted: int = 0
    """Records that the destination does not take by its own rules."""
    dead: int = 0
    """Records that could not be written and are kept in the dead-letter file."""
    failed: int = 0
    """Records that could not be written, or whose arrival is unknown, and that are kept nowhere."""
    retried: int = 0
    """Further attempts: records times attempts after the first."""
    dropped: int = 0
    """Records that were not accepted because the queue before the sink was full."""
    waited_seconds: float = 0.0
    """For how long the whole stream waited for the queue before the sink."""
    last_error: str | None = None

    @property
    def pending(self) -> int:
        """Records accepted whose outcome is open."""
        return self.accepted - self.written - self.omitted - self.dead - self.failed

    @property
    def lost(self) -> int:
        """Records that the destination should have and does not have."""
        return self.dead + self.failed + self.dropped

    def settle(self, records: int, error: BaseException | None) -> None:
        """Count accepted records as written, or as failed."""
        if error is None:
            self.written += records
        else:
            self.failed += records
            self.last_error = str(error)

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "accepted": self.accepted,
            "written": self.written,
            "omitted": self.omitted,
            "dead": self.dead,
            "failed": self.failed,
            "pending": self.pending,
            "retried": self.retried,
            "dropped": self.dropped,
            "waited_seconds": round(self.waited_seconds, 3),
            "last_error": self.last_error,
        }


class Sink(Protocol):
    """A destination. Once it is open, errors are counted, not raised: one sink does not end a stream."""

    @property
    def name(self) -> str:
        """Shown beside its statistics."""
        ...

    async def open(self) -> None:
        """Get ready.

        Raises:
            SinkUnusable, EventBusError: nothing can be written there.
        """
        ...

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        """Accept records; waits while there is no room for them. If cancelled, they are counted all the same."""
        ...

    async def flush(self) -> None:
        """Wait until nothing is pending."""
        ...

    async def close(self) -> None:
        """Stop; what is still pending becomes failed or dead."""
        ...

    async def reject(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records as accepted and not written, and keep them if there is a dead-letter file."""
        ...

    def statistics(self) -> SinkStatistics:
        """A copy of the current figures."""
        ...


class CountingSink:
    """Base of the sinks: a name and the statistics."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._counts = SinkStatistics()

    async def reject(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records as failed."""
        if records:
            self._counts.accepted += len(records)
            self._counts.failed += len(records)
            self._counts.last_error = reason

    def statistics(self) -> SinkStatistics:
        """A copy of the current figures."""
        return replace(self._counts)


Deliver = Callable[[list[ProducerRecord]], Awaitable[None]]


class BoundedQueue:
    """A queue of records, in order, and the one task that delivers them in batches.

    Args:
        deliver: takes over a batch: it counts what becomes of the records, also when it is cancelled.
        capacity: records that wait for delivery, at most.
        batch: records delivered together, at most.
    """

    def __init__(self, deliver: Deliver, *, capacity: int, batch: int) -> None:
        self._deliver = deliver
        self._capacity = capacity
        self._batch = batch
        self._waiting: deque[ProducerRecord] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        #: What ended the task; raised to whoever uses the queue afterwards.
        self._failure: Exception | None = None

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def offer(self, records: Sequence[ProducerRecord]) -> Sequence[ProducerRecord]:
        """Enqueue as many as fit; returns the others.

        Raises:
            Exception: the one that `deliver` raised, which it should not.
        """
        self._check()
        free = max(self._capacity - len(self._waiting), 0)
        self.put(records[:free])
        return records[free:]

    def put(self, records: Sequence[ProducerRecord]) -> None:
        """Enqueue records beyond the capacity, if need be."""
        self._waiting.extend(records)
        if self._waiting:
            self._idle.clear()
            self._filled.set()

    async def wait_until_free(self) -> None:
        """Wait until a record fits."""
        while len(self._waiting) >= self._capacity:
            self._emptied.clear()
            await self._emptied.wait()
            self._check()

    async def join(self) -> None:
        """Wait until everything is delivered."""
        await self._idle.wait()
        self._check()

    async def close(self) -> list[ProducerRecord]:
        """Cancel delivery; returns the records that were not taken over."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        remaining = list(self._waiting)
        self._waiting.clear()
        self._idle.set()
        return remaining

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


class DeadLetters:
    """A file of records that no server took, a JSON object a line; it is created with the first of them.

    A line has `sink`, `reason`, the record's `topic` and `key`, and `event`, or `value` as text if that is not JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def put(self, sink: str, records: Sequence[ProducerRecord], reason: str) -> bool:
        """Append records; returns whether that worked."""
        lines = b"".join(orjson.dumps(_letter(sink, record, reason)) + b"\n" for record in records)
        try:
            self._file = self._file or self.path.open("ab")
            self._file.write(lines)
            self._file.flush()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file:
            with suppress(OSError):
                self._file.close()


def _letter(sink: str, record: ProducerRecord, reason: str) -> dict[str, Any]:
    letter = {"sink": sink, "reason": reason, "topic": record.topic, "key": _text(record.key)}
    try:
        return {**letter, "event": orjson.loads(record.value or b"")}
    except orjson.JSONDecodeError:
        return {**letter, "value": _text(record.value)}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
