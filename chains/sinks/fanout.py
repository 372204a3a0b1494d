"""Several sinks at once, each with a queue of its own: a slow or dead one is seen, and does not stop the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eventbus.chains.clock import AsyncClock, WallClock
from eventbus.chains.sinks.sink import BoundedQueue, Sink, SinkStatistics
from eventbus.chains.table import SECOND
from eventbus.event import Event, domain_of
from eventbus.record import ProducerRecord, record_of

WhenFull = Literal["wait", "drop"]
"""What happens at a full queue: the whole stream waits for this sink, or the sink goes without. Both are counted."""

Convert = Callable[[ProducerRecord], ProducerRecord]

ROOM = 20_000
"""Records before each sink: some 10 MB."""
BATCH = 5000


@dataclass(slots=True)
class Rest:
    """Records that wait for room."""

    records: Sequence[ProducerRecord]


class Channel:
    """The queue before one sink.

    Args:
        convert: gives records the form that the sink shall write. None: as they are.
        room: records.
    """

    def __init__(
        self, sink: Sink, when_full: WhenFull, clock: AsyncClock, *, convert: Convert | None = None, room: int = ROOM
    ) -> None:
        self.sink = sink
        self._convert = convert
        self._when_full = when_full
        self._clock = clock
        self._mailbox = BoundedQueue(self._deliver, room=room, batch=BATCH)
        self._offered = self._dropped = self._waited = 0

    async def open(self) -> None:
        await self.sink.open()
        self._mailbox.start()

    def offer(self, records: Sequence[ProducerRecord]) -> Sequence[ProducerRecord]:
        """Take what there is room for; returns what must wait for more."""
        self._offered += len(records)
        rest = self._mailbox.take(records)
        if rest and self._when_full == "drop":
            self._dropped += len(rest)
            return ()
        return rest

    async def wait_for(self, rest: Rest) -> None:
        """Take the rest as room is made."""
        begin = self._clock.time_us()
        try:
            while rest.records:
                await self._mailbox.room()
                rest.records = self._mailbox.take(rest.records)
        finally:
            self._waited += self._clock.time_us() - begin

    def put(self, rest: Rest) -> None:
        """Take the rest whether there is room or not: its publisher ends, and nothing comes behind it."""
        self._mailbox.put(rest.records)

    async def flush(self) -> None:
        await self._mailbox.idle()
        await self.sink.flush()

    async def close(self) -> None:
        left = await self._mailbox.close()
        await self.sink.give_up(left, "the stream ended before its turn came")
        await self.sink.close()

    def statistics(self) -> SinkStatistics:
        """The sink's figures, and the queue's: what waits in it is pending."""
        return replace(
            self.sink.statistics(),
            accepted=self._offered - self._dropped,
            dropped=self._dropped,
            waited=self._waited / SECOND,
        )

    async def _deliver(self, records: list[ProducerRecord]) -> None:
        await self.sink.write(records if self._convert is None else list(map(self._convert, records)))


class FanOut:
    """Gives every record to every sink; the generator publishes into it as into a bus.

    Args:
        channels: at least one.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = channels
        self._open: list[Channel] = []

    @classmethod
    def to(
        cls, *sinks: Sink, when_full: WhenFull = "wait", room: int = ROOM, clock: AsyncClock | None = None
    ) -> FanOut:
        """Into these sinks, each with room for so many records before it."""
        clock = clock or WallClock()
        return cls([Channel(sink, when_full, clock, room=room) for sink in sinks])

    async def open(self) -> None:
        """Open all sinks; those already open are closed when one cannot be.

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
        """Put records before all sinks; returns how many. Waits for room as each queue's policy says.

        When this is cancelled, what still waits for room is taken all the same: every record is accounted for.
        """
        records = [record_of(one, domain_of(one.event_type)) if isinstance(one, Event) else one for one in events]
        rests = [(channel, Rest(channel.offer(records))) for channel in self._channels]
        full = [(channel, rest) for channel, rest in rests if rest.records]
        if not full:
            await asyncio.sleep(0)
            return len(records)
        try:
            await asyncio.gather(*(channel.wait_for(rest) for channel, rest in full))
        finally:
            for channel, rest in full:
                channel.put(rest)
        return len(records)

    async def flush(self) -> None:
        """Wait until all sinks have written what was given to them."""
        await asyncio.gather(*(channel.flush() for channel in self._open))

    async def close(self) -> None:
        """Stop at once: what is pending has failed, or is dead."""
        channels, self._open = self._open, []
        await asyncio.gather(*(channel.close() for channel in channels))

    def statistics(self) -> dict[str, SinkStatistics]:
        """The figures of each sink by its name."""
        return {channel.sink.name: channel.statistics() for channel in self._channels}
