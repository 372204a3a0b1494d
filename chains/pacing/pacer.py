"""Publishes events when they are due, by a clock.

Deadlines are absolute, so that delays do not accumulate. All events that are due are published together. The bus
applies backpressure by making `publish_many` wait. Events that are published too late are counted; beyond `max_lag`,
whole chains are dropped and counted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Protocol

import numpy as np

from eventbus.bus import ColumnBus, EventBus, TopicStrategy
from eventbus.chains.clock import AsyncClock
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.faults.inject import ENDLESS, Middleware, PassThrough
from eventbus.chains.faults.splice import FaultyBlock
from eventbus.chains.pacing.observers import Observer, PublishedBatch
from eventbus.chains.pacing.statistics import RunCounters, RunStatistics
from eventbus.chains.plan import Plan
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.block import Block
from eventbus.chains.table import SECOND, EventTable
from eventbus.record import ProducerRecord

MAX_BATCH = 5000
"""Events published together at most: they fill a Kafka producer's batches, and a cancellation is noticed soon."""


class Ending(Protocol):
    """Completes what a run that is stopped leaves open."""

    def add(self, events: EventTable) -> None:
        """The next events have been published."""
        ...

    def blocks(self, time: int) -> Iterator[Block]:
        """The events from a virtual time on that complete the run; microseconds since the Unix epoch."""
        ...


OnProgress = Callable[[RunStatistics], None]


class Pacer:
    """One paced run, which begins when the pacer is created.

    Args:
        plan: of the events.
        speed: virtual seconds per second of the clock; infinite: without waiting.
        late_after: seconds after its intended time from which an event counts as late.
        max_lag: seconds; a chain that would begin later than this after its intended time is dropped. None: never.
        on_progress: is called with the figures, at most ten times a second, and at the end.
        start: virtual time of the beginning, microseconds since the Unix epoch. None: the time of the clock.
        observers: are called with every published batch.

    Raises:
        InvalidSetting: an argument is out of range.
    """

    def __init__(
        self,
        plan: Plan,
        bus: EventBus,
        clock: AsyncClock,
        *,
        topic_strategy: TopicStrategy = "domain",
        speed: float = 1.0,
        late_after: float = 0.1,
        max_lag: float | None = None,
        on_progress: OnProgress | None = None,
        start: int | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        if not speed > 0:
            raise InvalidSetting(f"expected a speed above 0, got {speed}")
        if not (0 <= late_after < math.inf and (max_lag is None or 0 <= max_lag < math.inf)):
            raise InvalidSetting(f"expected bounds of at least 0 s, got late_after={late_after}, max_lag={max_lag}")
        self._bus = bus
        self._clock = clock
        self._topics = plan.topics(topic_strategy)
        self._speed = speed
        #: Microseconds; without deadlines no chain is dropped.
        self._max_lag = None if max_lag is None or math.isinf(speed) else round(max_lag * SECOND)
        self._on_progress = on_progress
        self._observers = observers
        # observers get the records, as tuples
        self._column_bus = bus if isinstance(bus, ColumnBus) and not observers else None
        self._middleware: Middleware = PassThrough()
        self._counters = RunCounters(round(late_after * SECOND))
        #: Indices of dropped chains that may have further events.
        self._dropped_chains = np.empty(0, np.int64)
        #: When the run began by the clock, microseconds since the Unix epoch.
        self.began = clock.time_us()
        #: Virtual time of the beginning.
        self.start = self.began if start is None else start
        self._reported = self.began
        self._end: int | None = None
        self._ending: Ending | None = None
        #: Whether the run is to stop; the task that sleeps until the next event is due.
        self._stopping = False
        #: When sessions ended because the run was stopped, microseconds since the Unix epoch.
        self._stopped_at: int | None = None
        #: Time of the last event that was published or dropped.
        self._published_until = self.start
        self._sleeper: asyncio.Task[None] | None = None

    async def run(
        self, blocks: Iterator[Block], middleware: Middleware | None = None, ending: Ending | None = None
    ) -> None:
        """Publishes blocks that begin at `start`; raises errors of the bus, and cancellation.

        Args:
            middleware: changes, drops or delays events when they are due; it is closed at the end, also after an error.
            ending: completes what a stopped run leaves open. None: nothing.
        """
        self._ending = ending
        self._middleware = middleware or self._middleware
        try:
            for block in blocks:
                left = await self._publish_when_due(block)
                if left is not None:
                    await self._publish_ending(left)
                    return
            await self._publish_held()
        finally:
            self._end = self._clock.time_us()
            self._middleware.close(self._stopped_at)
            self._report()

    def stop(self) -> None:
        """Ends the run now: events that are being published are published, then what is open is completed at once."""
        if self._stopping:
            return
        self._stopping = True
        if self._sleeper:
            self._sleeper.cancel()

    def statistics(self) -> RunStatistics:
        """The current figures, or those of the end."""
        now = self._clock.time_us() if self._end is None else self._end
        return self._counters.statistics((now - self.began) / SECOND, start=self.start, began=self.began)

    async def _publish_when_due(self, block: Block) -> int | None:
        """Publishes a block; if the run stops before its end, returns the time of the first event that is left."""
        deadlines = self._deadlines(block.table.time)
        published, last = 0, len(block) - 1
        while published < len(block):
            if self._stopping:
                return await self._publish_tied(block[published:])
            now = self._clock.time_us()
            due = min(int(deadlines.searchsorted(now, side="right")), published + MAX_BATCH)
            until = min(int(block.table.time[min(due, last)]) - 1, self._virtual_now(now))
            if due > published or self._is_held(until):
                await self._publish(block[published:due], deadlines[published:due], now, until)
                published = due
            await self._wait(int(deadlines[min(published, last)]))
        return None

    async def _publish_tied(self, block: Block) -> int:
        """Publishes the events at the time of the last one that was published; returns the time of the next one."""
        tied = int(block.table.time.searchsorted(self._published_until, side="right"))
        if tied:
            await self._publish_now(block[:tied])
        return self._published_until + 1 if tied == len(block) else int(block.table.time[tied])

    async def _publish_ending(self, left: int) -> None:
        """Publishes at once what completes a stopped run.

        Args:
            left: time of the first event that is not published; sessions end then, or now if that is earlier.
        """
        if self._ending is None:
            return
        self._stopped_at = min(self._virtual_now(self._clock.time_us()) + 1, left)
        for block in self._ending.blocks(self._stopped_at):
            for first in range(0, len(block), MAX_BATCH):
                await self._publish_now(block[first : first + MAX_BATCH])

    async def _publish_now(self, block: Block) -> None:
        times = block.table.time
        await self._publish(block, self._deadlines(times), self._clock.time_us(), int(times[-1]) - 1)

    async def _publish_held(self) -> None:
        """Publishes what the middleware still holds, when it is due."""
        self._middleware.finish()
        while not self._stopping and (held := self._middleware.next_due) is not None:
            await self._wait(None)
            released = self._middleware.release(max(self._virtual_now(self._clock.time_us()), held))
            self._counters.scheduled(len(released))
            await self._send(released, EventTable.concatenate([]))

    async def _publish(self, block: Block, deadlines: Integers, now: int, until: int) -> None:
        self._published_until = int(block.table.time[-1]) if len(block) else self._published_until
        rows = self._rows_to_publish(block.table, deadlines, now)
        dropped = len(block) - rows.size
        if dropped:
            block = block.take(rows)
        output = self._middleware.inject(block, until)
        self._counters.scheduled(len(output) + dropped)
        await self._send(output, block.table)

    async def _send(self, block: Block | FaultyBlock, events: EventTable) -> None:
        records: list[ProducerRecord] = []
        if self._column_bus:
            acknowledged = await self._column_bus.publish_columns(block.columns_by_topic(self._topics))
        else:
            records = list(chain.from_iterable(block.records(self._topics)))
            acknowledged = await self._bus.publish_many(records) if records else 0
        lags = self._lags(self._deadlines(block.due))
        self._counters.acknowledged(acknowledged, events, lags)
        if self._ending:
            self._ending.add(events)
        for observer in self._observers:
            observer.published(PublishedBatch(records, block.emitters, events, lags, self._clock.time_us()))
        if self._clock.time_us() - self._reported >= SECOND // 10:
            self._report()

    def _is_held(self, until: int) -> bool:
        """Whether the middleware holds something that is due by a virtual time."""
        held = self._middleware.next_due
        return held is not None and held <= until

    async def _wait(self, deadline: int | None) -> None:
        """Sleeps until a deadline, or until the first held event is due."""
        held = self._middleware.next_due
        held_deadlines = [] if held is None else [int(self._deadlines(np.array([held]))[0])]
        first = min(held_deadlines if deadline is None else [deadline, *held_deadlines])
        await self._sleep(max(0, first - self._clock.time_us()) / SECOND)

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, or returns at once when the run is to stop."""
        if self._stopping:
            return
        self._sleeper = asyncio.current_task()
        try:
            await self._clock.sleep(seconds)
        except asyncio.CancelledError:
            if not self._stopping or self._sleeper is None or self._sleeper.uncancel():
                raise  # the caller has cancelled the run
        finally:
            self._sleeper = None

    def _rows_to_publish(self, events: EventTable, deadlines: Integers, now: int) -> Integers:
        """All rows but those of chains that are dropped because they would begin too late."""
        if self._max_lag is not None:
            too_late = (events.step == 0) & (now - deadlines > self._max_lag)
            self._dropped_chains = np.union1d(self._dropped_chains, events.chain[too_late])
        if not self._dropped_chains.size:
            return np.arange(len(events))
        is_dropped = np.isin(events.chain, self._dropped_chains)
        dropped = events.take(np.flatnonzero(is_dropped))
        self._counters.dropped(dropped)
        self._dropped_chains = np.setdiff1d(self._dropped_chains, dropped.chain[dropped.terminal > 0])
        return np.flatnonzero(~is_dropped)

    def _deadlines(self, times: Integers) -> Integers:
        """The clock's times of virtual times, microseconds."""
        if self._speed == 1:
            return times + (self.began - self.start)
        return self.began + ((times - self.start) / self._speed).astype(np.int64)

    def _virtual_now(self, now: int) -> int:
        """The last virtual time whose deadline has passed."""
        if math.isinf(self._speed):
            return ENDLESS
        if self._speed == 1:
            return self.start + now - self.began
        return self.start + int((now - self.began + 1) * self._speed)

    def _lags(self, deadlines: Integers) -> Integers:
        """Time since the deadlines, microseconds; empty at unlimited speed."""
        return deadlines[:0] if math.isinf(self._speed) else self._clock.time_us() - deadlines

    def _report(self) -> None:
        self._reported = self._clock.time_us()
        if self._on_progress:
            self._on_progress(self.statistics())
