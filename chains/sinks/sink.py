"""What every destination of a stream offers: records in, and an account that adds up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from eventbus.record import ProducerRecord

# A bounded queue of records and the one task that empties it, in batches.


Deliver = Callable[[list[ProducerRecord]], Awaitable[None]]


class BoundedQueue:
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


# Where records are kept that no server took: one JSON object a line, each with the reason.


class DeadLetters:
    """A file to which dead letters are appended; it is made for the first of them.

    A line has `sink`, `reason`, and the record: its `topic` and `key`, and `event`, or `value` as text if that is not
    JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def put(self, sink: str, records: Sequence[ProducerRecord], reason: str) -> bool:
        """Keep records; whether that worked."""
        lines = b"".join(orjson.dumps(_letter(sink, record, reason)) + b"\n" for record in records)
        try:
            self._file = self._file or self.path.open("ab")
            self._file.write(lines)
            self._file.flush()
        except OSError:
            return False
        return True

    def close(self) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatistics:
    """Figures of one moment: accepted = written + omitted + dead + failed + pending."""

    accepted: int = 0
    """Records taken."""
    written: int = 0
    """Records that the destination has."""
    omitted: int = 0
    """Records that the destination has no form for, by its own rules."""
    dead: int = 0
    """Records that could not be written and are kept in the dead-letter file."""
    failed: int = 0
    """Records that could not be written, or whose arrival is unknown, and that are kept nowhere."""
    retried: int = 0
    """Further attempts: records times attempts after the first."""
    dropped: int = 0
    """Records that were not taken, because the queue before the sink was full."""
    waited: float = 0.0
    """Seconds in which the whole stream waited for room in the queue before the sink."""
    trouble: str | None = None
    """What went wrong last."""

    @property
    def pending(self) -> int:
        return self.accepted - self.written - self.omitted - self.dead - self.failed

    @property
    def lost(self) -> int:
        """Records that the destination should have and does not."""
        return self.dead + self.failed + self.dropped

    def to_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "accepted": self.accepted,
            "written": self.written,
            "omitted": self.omitted,
            "dead": self.dead,
            "failed": self.failed,
            "pending": self.pending,
            "retried": self.retried,
            "dropped": self.dropped,
            "waited_seconds": round(self.waited, 3),
            "trouble": self.trouble,
        }


@dataclass(slots=True)
class Tally:
    """The same figures while they are counted."""

    accepted: int = 0
    written: int = 0
    omitted: int = 0
    dead: int = 0
    failed: int = 0
    retried: int = 0
    trouble: str | None = None

    def give_up(self, records: int, reason: str) -> None:
        """Records that nothing more is done about."""
        if records:
            self.accepted += records
            self.failed += records
            self.trouble = reason

    def statistics(self) -> SinkStatistics:
        return SinkStatistics(
            accepted=self.accepted,
            written=self.written,
            omitted=self.omitted,
            dead=self.dead,
            failed=self.failed,
            retried=self.retried,
            trouble=self.trouble,
        )


class Sink(Protocol):
    """A destination. Once it is open, what goes wrong is counted, never raised: one sink does not end a stream."""

    @property
    def name(self) -> str:
        """What it is called in an account."""
        ...

    async def open(self) -> None:
        """Get ready.

        Raises:
            SinkUnusable, EventBusError: nothing can be written there.
        """
        ...

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        """Take records, and wait while there is no room for them. A cancellation leaves them accounted for."""
        ...

    async def flush(self) -> None:
        """Wait until nothing is pending."""
        ...

    async def close(self) -> None:
        """Stop; afterwards nothing is pending: what was has failed, or is dead."""
        ...

    async def give_up(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records as not written, and keep them if there is a place for that."""
        ...

    def statistics(self) -> SinkStatistics: ...
