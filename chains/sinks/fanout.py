"""Writes one stream into several sinks, each with a queue of its own: a slow one delays the others only if told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eventbus.chains.clock import AsyncClock, WallClock
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.rendering.json import Convert
from eventbus.chains.sinks.sink import STREAM_ENDED, BoundedQueue, Sink, SinkStatistics
from eventbus.chains.table import SECOND
from eventbus.event import Event, domain_of
from eventbus.record import ProducerRecord, record_of

WhenFull = Literal["wait", "drop"]
"""What happens if a queue is full: the whole stream waits, or the sink does not get the records, and keeps them as dead
letters if it has a file for them. Both are counted."""

CAPACITY = 20_000
"""Records that wait for each sink at most: some 10 MB."""
BATCH = 5000


@dataclass(slots=True)
class Overflow:
    """Records that did not fit into a queue."""

    records: Sequence[ProducerRecord]


class Channel:
    """The queue before one sink.

    Args:
        convert: gives records the form that the sink writes. None: they stay as they are.
        capacity: records that wait for the sink at most.
    """

    def __init__(
        self,
        sink: Sink,
        when_full: WhenFull,
        clock: AsyncClock,
        *,
        convert: Convert | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self.sink = sink
        self._convert = convert
        self._when_full = when_full
        self._clock = clock
        self._capacity = capacity
        self._queue = BoundedQueue(self._deliver, capacity=capacity, batch=BATCH)
        self._offered = self._dropped = self._waited = 0

    async def open(self) -> None:
        await self.sink.open()
        self._queue.start()

    def offer(self, records: Sequence[ProducerRecord]) -> Sequence[ProducerRecord]:
        """Enqueue what fits; returns the rest, which is for `overflow`."""
        self._offered += len(records)
        return self._queue.offer(records)

    async def overflow(self, rest: Overflow) -> None:
        """Drop the rest, or enqueue it as the queue empties."""
        if self._when_full == "drop":
            records, rest.records = rest.records, ()
            await self._drop(records)
            return
        begin = self._clock.time_us()
        try:
            while rest.records:
                await self._queue.wait_until_free()
                rest.records = self._queue.offer(rest.records)
        finally:
            self._waited += self._clock.time_us() - begin

    def put(self, rest: Overflow) -> None:
        """Enqueue the rest beyond the capacity: its publisher was cancelled, and nothing follows."""
        self._queue.put(rest.records)

    async def flush(self) -> None:
        await self.sink.flush(self._queue.join())

    async def close(self) -> None:
        remaining = await self._queue.close()
        await self.sink.reject(self._converted(remaining), STREAM_ENDED)
        await self.sink.close()

    def statistics(self) -> SinkStatistics:
        """The sink's figures with those of the queue; what waits in it is pending."""
        return replace(
            self.sink.statistics(),
            accepted=self._offered - self._dropped,
            dropped=self._dropped,
            waited_seconds=self._waited / SECOND,
        )

    async def _drop(self, records: Sequence[ProducerRecord]) -> None:
        if self.sink.keeps_rejected:
            await self.sink.reject(self._converted(records), f"{self._capacity:,} events were waiting before it")
        else:
            self._dropped += len(records)

    async def _deliver(self, records: list[ProducerRecord]) -> None:
        await self.sink.write(self._converted(records))

    def _converted(self, records: Sequence[ProducerRecord]) -> Sequence[ProducerRecord]:
        return records if self._convert is None else list(map(self._convert, records))


class FanOut:
    """Gives every record to every sink; a generator publishes into it as into a bus.

    Args:
        channels: at least one.

    Raises:
        SinkUnusable: two sinks have the same name, and so would share their statistics.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        names = [channel.sink.name for channel in channels]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise SinkUnusable(f"expected each sink once, got {repeated[0]} twice")
        self._channels = channels
        self._open: list[Channel] = []

    @classmethod
    def to(
        cls, *sinks: Sink, when_full: WhenFull = "wait", capacity: int = CAPACITY, clock: AsyncClock | None = None
    ) -> FanOut:
        """Write into these sinks, each behind a queue of this capacity."""
        clock = clock or WallClock()
        return cls([Channel(sink, when_full, clock, capacity=capacity) for sink in sinks])

    async def open(self) -> None:
        """Open all sinks; if one cannot be opened, close the others.

        Raises:
            SinkUnusable, EventBusError: from the first sink that cannot be opened.
        """
        try:
            for channel in self._channels:
                await channel.open()
                self._open.append(channel)
        except BaseException:
            await self.close()
            raise

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        """Enqueue records for all sinks; returns how many. Waits for full queues as their policy says.

        If cancelled, it enqueues what still waits all the same: every record is counted.
        """
        records = [
            record_of(event, domain_of(event.event_type)) if isinstance(event, Event) else event for event in events
        ]
        rests = [(channel, Overflow(channel.offer(records))) for channel in self._channels]
        full = [(channel, rest) for channel, rest in rests if rest.records]
        if not full:
            await asyncio.sleep(0)
            return len(records)
        try:
            await asyncio.gather(*(channel.overflow(rest) for channel, rest in full))
        finally:
            for channel, rest in full:
                channel.put(rest)
        return len(records)

    async def flush(self) -> None:
        """Wait until all sinks have written what they were given."""
        await asyncio.gather(*(channel.flush() for channel in self._open))

    async def close(self) -> None:
        """Stop at once; what is pending becomes failed or dead."""
        channels, self._open = self._open, []
        await asyncio.gather(*(channel.close() for channel in channels))

    def statistics(self) -> dict[str, SinkStatistics]:
        """By the name of the sink."""
        return {channel.sink.name: channel.statistics() for channel in self._channels}
