"""Publishes events when their time has come: virtual time meets a clock here, and only here.

Deadlines are absolute, so waits do not add up; whatever is due goes out together; the bus pushes back by making
`publish_many` wait. Work that comes too late is counted, or, beyond a bound, dropped by whole chains and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np

from eventbus.bus import EventBus, TopicStrategy
from eventbus.chains.clock import AsyncClock
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.faults.inject import ENDLESS, Middleware, PassThrough
from eventbus.chains.faults.splice import FaultyBlock
from eventbus.chains.pacing.observers import Observer, PublishedBatch
from eventbus.chains.pacing.statistics import RunCounters, RunStatistics
from eventbus.chains.plan import Plan
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.block import Block
from eventbus.chains.table import EventTable

# Those who look on while a run is published: they count, digest or print, and change nothing.


# The SHA-256 of what was published: two runs with the same one had the same events in the same order.


BATCH = 5000
"""Events published together at most: they fill the batches of a Kafka producer, and soon hear a cancellation."""
SECOND = 1_000_000

OnProgress = Callable[[RunStatistics], None]


class Pacer:
    """One paced run, that begins now.

    Args:
        plan: of the events to come.
        speed: virtual seconds in a second of the clock; infinite: without waiting.
        late_after: seconds after its intended time from which an event counts as late.
        max_lag: seconds; a chain that would begin later than this after its intended time is dropped. None: never.
        on_progress: is given the figures, ten times a second at most, and at the end.
        start: virtual time of the beginning, microseconds since the Unix epoch. None: the clock's.
        observers: are told of everything that the bus has taken.
        stage: through which events go when their time has come; closed at the end, whatever ends the run.

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
        stage: Middleware | None = None,
    ) -> None:
        if not speed > 0:
            raise InvalidSetting(f"expected a speed above 0, got {speed}")
        if late_after < 0 or (max_lag is not None and max_lag < 0):
            raise InvalidSetting(f"expected bounds of at least 0 s, got late_after={late_after}, max_lag={max_lag}")
        self._bus = bus
        self._clock = clock
        self._topics = plan.topics(topic_strategy)
        self._speed = speed
        #: Microseconds; without deadlines nothing is late.
        self._max_lag = None if max_lag is None or math.isinf(speed) else round(max_lag * SECOND)
        self._on_progress = on_progress
        self._observers = observers
        self._stage = stage or PassThrough()
        self._account = RunCounters(round(late_after * SECOND))
        #: Indices of chains that are left out and may still have events to come.
        self._left_out = np.empty(0, np.int64)
        #: The clock's time of the beginning, microseconds since the Unix epoch.
        self.began = clock.time_us()
        #: Virtual time of the beginning.
        self.start = self.began if start is None else start
        self._reported = self.began
        self._end: int | None = None

    async def run(self, blocks: Iterator[Block]) -> None:
        """Publish blocks that begin at `start`. Errors of the bus and cancellation go to the caller."""
        try:
            for block in blocks:
                await self._publish_in_time(block)
            await self._publish_rest()
        finally:
            self._end = self._clock.time_us()
            self._stage.close()
            self._report()

    def statistics(self) -> RunStatistics:
        """The figures of now, or of the end."""
        now = self._clock.time_us() if self._end is None else self._end
        return self._account.statistics((now - self.began) / SECOND, start=self.start, began=self.began)

    async def _publish_in_time(self, block: Block) -> None:
        deadlines = self._deadlines(block.table.time)
        done, last = 0, len(block) - 1
        while done < len(block):
            now = self._clock.time_us()
            due = min(int(deadlines.searchsorted(now, side="right")), done + BATCH)
            until = min(int(block.table.time[min(due, last)]) - 1, self._reached(now))
            if due > done or self._is_held(until):
                await self._publish(block[done:due], deadlines[done:due], now, until)
                done = due
            await self._wait(int(deadlines[min(done, last)]))

    async def _publish_rest(self) -> None:
        """What is still held comes in its time, too."""
        self._stage.finish()
        while (held := self._stage.next_due) is not None:
            await self._wait(None)
            rest = self._stage.release(max(self._reached(self._clock.time_us()), held))
            self._account.scheduled(len(rest))
            await self._send(rest, EventTable.concatenate([]))

    async def _publish(self, block: Block, deadlines: Integers, now: int, until: int) -> None:
        kept = self._kept(block.table, deadlines, now)
        left = len(block) - kept.size
        if left:
            block = block.take(kept)
        staged = self._stage.inject(block, until)
        self._account.scheduled(len(staged) + left)
        await self._send(staged, block.table)

    async def _send(self, staged: Block | FaultyBlock, events: EventTable) -> None:
        records = list(chain.from_iterable(staged.records(self._topics)))
        taken = await self._bus.publish_many(records) if records else 0
        lags = self._lags(self._deadlines(staged.due))
        self._account.acknowledged(taken, events, lags)
        for observer in self._observers:
            observer.published(PublishedBatch(records, staged.emitters, events, lags, self._clock.time_us()))
        if self._clock.time_us() - self._reported >= SECOND // 10:
            self._report()

    def _is_held(self, until: int) -> bool:
        """Whether something that is held is due by a virtual time."""
        held = self._stage.next_due
        return held is not None and held <= until

    async def _wait(self, deadline: int | None) -> None:
        """Until a deadline, or the first one of what is held."""
        held = self._stage.next_due
        times = [] if held is None else [int(self._deadlines(np.array([held]))[0])]
        first = min(times if deadline is None else [deadline, *times])
        await self._clock.sleep(max(0, first - self._clock.time_us()) / SECOND)

    def _kept(self, events: EventTable, deadlines: Integers, now: int) -> Integers:
        """The rows to publish: all but those of chains that began, or would begin, too late."""
        if self._max_lag is not None:
            too_late = (events.step == 0) & (now - deadlines > self._max_lag)
            self._left_out = np.union1d(self._left_out, events.chain[too_late])
        if not self._left_out.size:
            return np.arange(len(events))
        out = np.isin(events.chain, self._left_out)
        left = events.take(np.flatnonzero(out))
        self._account.dropped(left)
        self._left_out = np.setdiff1d(self._left_out, left.chain[left.terminal > 0])
        return np.flatnonzero(~out)

    def _deadlines(self, times: Integers) -> Integers:
        """When virtual times come by the clock, microseconds."""
        if self._speed == 1:
            return times + (self.began - self.start)
        return self.began + ((times - self.start) / self._speed).astype(np.int64)

    def _reached(self, now: int) -> int:
        """The last virtual time whose deadline has come."""
        if math.isinf(self._speed):
            return ENDLESS
        if self._speed == 1:
            return self.start + now - self.began
        return self.start + int((now - self.began + 1) * self._speed)

    def _lags(self, deadlines: Integers) -> Integers:
        """How long ago deadlines were; none when there are no deadlines."""
        return deadlines[:0] if math.isinf(self._speed) else self._clock.time_us() - deadlines

    def _report(self) -> None:
        self._reported = self._clock.time_us()
        if self._on_progress:
            self._on_progress(self.statistics())
