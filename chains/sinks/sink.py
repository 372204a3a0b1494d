"""The protocol of sinks, which take the records of a stream and count what becomes of each, and what sinks share.

A new sink implements `Sink`; `eventbus.cli.options.sinks` makes it from a value of `--to`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

from eventbus.record import ProducerRecord


@dataclass(slots=True, kw_only=True)
class SinkStatistics:
    """What became of the records: accepted = written + omitted + dead + failed + pending."""

    accepted: int = 0
    """Records taken."""
    written: int = 0
    """Records that the destination has."""
    omitted: int = 0
    """Records that the destination is not to have, by its own rules."""
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
    down_seconds: float = 0.0
    """For how long the destination has been down; 0 while it is up."""
    last_error: str | None = None
    failures: dict[str, int] = field(default_factory=dict)
    """Failed requests by what failed: a status, or the network. Most of them are repeated."""
    omissions: dict[str, int] = field(default_factory=dict)
    """Records that are omitted, by kind."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Records that are dead or failed, by the kind of reason."""

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
            self.count_reason(getattr(error, "strerror", None) or type(error).__name__, records)

    def count_reason(self, kind: str, records: int) -> None:
        """Count records that are dead or failed under a kind of reason."""
        self.reasons[kind] = self.reasons.get(kind, 0) + records

    def copy(self) -> SinkStatistics:
        """The figures of this moment, which stay as they are."""
        return replace(self, failures=dict(self.failures), omissions=dict(self.omissions), reasons=dict(self.reasons))

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
            "down_seconds": round(self.down_seconds, 3),
            "last_error": self.last_error,
            "failures": dict(self.failures),
            "omissions": dict(self.omissions),
            "reasons": dict(self.reasons),
        }


class Sink(Protocol):
    """A destination. Once it is open, errors are counted, not raised: one sink does not end a stream."""

    @property
    def name(self) -> str:
        """Shown beside its statistics."""
        ...

    @property
    def keeps_rejected(self) -> bool:
        """Whether `reject` keeps records in a dead-letter file."""
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

    async def flush(self, after: Awaitable[object] | None = None) -> None:
        """Wait until nothing is pending, for a limited time if the destination is down.

        Args:
            after: awaited before, in the same limited time: it writes the last records.
        """
        ...

    async def close(self) -> None:
        """Stop; what is still pending becomes failed or dead."""
        ...

    async def reject(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records that are not to be sent as accepted, and keep them if there is a dead-letter file.

        Args:
            reason: follows the words "never sent: ".
        """
        ...

    def statistics(self) -> SinkStatistics:
        """A copy of the current figures."""
        ...


NEVER_SENT = "never sent"
"""Begins the reason of records that were not even tried."""
STREAM_ENDED = "the stream ended"
"""Why records were given up that still waited at the end."""


class CountingSink:
    """Base of the sinks: a name and the statistics."""

    def __init__(self, name: str, *, keeps_rejected: bool = False) -> None:
        self.name = name
        self.keeps_rejected = keeps_rejected
        self._counts = SinkStatistics()

    async def flush(self, after: Awaitable[object] | None = None) -> None:
        """Nothing is held back: `write` waits until the destination has the records."""
        if after:
            await after

    async def reject(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records as failed."""
        if records:
            self._counts.accepted += len(records)
            self._counts.failed += len(records)
            self._counts.last_error = f"{NEVER_SENT}: {reason}"
            self._counts.count_reason(NEVER_SENT, len(records))

    def statistics(self) -> SinkStatistics:
        """A copy of the current figures."""
        return self._counts.copy()


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
