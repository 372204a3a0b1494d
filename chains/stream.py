"""The events of a run: which events happen when, their rendering in blocks, and the origin of single events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain as flatten
from typing import NamedTuple
from uuid import UUID

import numpy as np

from eventbus.catalog.model.workload import AtEnd
from eventbus.chains.arrivals.process import (
    ArrivalProcess,
    ClosedArrivalProcess,
    ClosedArrivals,
    OpenArrivalProcess,
    OpenArrivals,
    RunBounds,
)
from eventbus.chains.errors import InvalidSetting, UnknownEvent
from eventbus.chains.plan import Plan
from eventbus.chains.randomness import Integers, chain_keys
from eventbus.chains.rendering.block import Block, decoded
from eventbus.chains.rendering.columns import Memory
from eventbus.chains.rendering.objects import EventBuilder
from eventbus.chains.rendering.render import Renderer
from eventbus.chains.simulation.ending import LONGEST_ENDING, OpenSessions
from eventbus.chains.table import EventTable
from eventbus.event import Event

# The engine: which events happen when, in virtual time, for any number of overlapping chains.


ChangeEvents = Callable[[EventTable], EventTable]
"""Changes the events of whole chains, in no order; they do not end later, and do not depend on other chains."""


class Engine:
    """Simulates the chains of a plan in virtual time, without waiting and without rendering.

    Chains are made in batches. Events before the time at which a batch is complete are final and can be sorted; the
    others are carried over to the next batch.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, plan: Plan, arrivals: OpenArrivals | ClosedArrivals, *, root: int, start: int) -> None:
        self.plan = plan
        self._root = root
        self._start = start // 1000
        self._arrivals: ArrivalProcess
        if isinstance(arrivals, ClosedArrivals):
            self._arrivals = ClosedArrivalProcess(arrivals, root=root, start=start)
        else:
            self._arrivals = OpenArrivalProcess(arrivals, root=root, start=start)

    def tables(
        self,
        chains: int | None = None,
        until: int | None = None,
        size: int = 4096,
        since: int | None = None,
        change: ChangeEvents | None = None,
    ) -> Iterator[EventTable]:
        """Tables of events in order.

        Args:
            chains: how many; None: no bound.
            until: no chain begins at or after this time, nanoseconds since the Unix epoch.
            size: chains in a batch; does not change the events.
            since: leave out chains that are over by this time, microseconds since the Unix epoch.
            change: changes the events of whole chains. None: all chains run to their end.
        """
        longest = 0 if since is None else int(self.plan.spans.max())
        carried = EventTable.concatenate([])
        for events, complete in self._arrivals.batches(self.expand, RunBounds(chains, until, since, longest, size)):
            changed = change(events) if change else events
            ready, carried = EventTable.concatenate([carried, changed]).split(complete)
            if len(ready):
                yield ready.ordered()

    def window(
        self,
        since: int | None,
        until: int | None,
        *,
        chains: int | None = None,
        end: int | None = None,
        size: int = 4096,
        change: ChangeEvents | None = None,
    ) -> Iterator[EventTable]:
        """Tables of the events in a window of time, as in the run, without making chains that are over before it.

        Args:
            since: no earlier event, microseconds since the Unix epoch; None: from the beginning.
            until: only earlier events; None: to the end.
            chains: how many the run has; None: no bound.
            end: no chain of the run begins at or after this time, nanoseconds since the Unix epoch.
            size: chains in a batch; does not change the events.
            change: as for `tables`.
        """
        for table in self.tables(chains, end, size, since, change):
            inside = table.between(since, until)
            if len(inside):
                yield inside
            if until is not None and table.time[-1] >= until:
                return

    def chain(self, index: int) -> EventTable:
        """The events of one chain, as in the run.

        Raises:
            InvalidSetting: the run has no such chain.
        """
        begin = self._arrivals.arrival(self.expand, index)
        return self.expand(np.array([index]), np.array([begin])).ordered()

    def expected(self, time: int) -> float:
        """The expected number of chains that begin before a time, microseconds since the Unix epoch."""
        return self._arrivals.expected(self.expand, time)

    def throughput(self) -> float | None:
        """Estimates the events per second of the closed model in the long run; None in the open one."""
        return self._arrivals.throughput(self.expand) if isinstance(self._arrivals, ClosedArrivalProcess) else None

    def expand(self, chain: Integers, begins: Integers, since: int | None = None) -> EventTable:
        """All events of some chains, in no order.

        Args:
            chain: indices of the chains.
            begins: when the chains begin, microseconds since the Unix epoch.
            since: leave out chains that are certainly over by this time.
        """
        roots = EventTable.roots(chain, begins)
        chosen = self.plan.choose(chain_keys(self._root, roots.chain), begins - self._start)
        if since is not None:
            active = np.flatnonzero(begins >= since - self.plan.spans.take(chosen))
            roots, chosen = roots.take(active), chosen.take(active)
        tables: list[EventTable] = []
        for number, simulator in enumerate(self.plan.simulators):
            rows = np.flatnonzero(chosen == number)
            if rows.size:
                tables += simulator.events(roots.take(rows), self._root)
        return EventTable.concatenate(tables)


# The stream: the engine's events, rendered.


ROWS_PER_BLOCK, BYTES_PER_BLOCK = 16_384, 16 << 20
"""Events, and bytes at most, that are rendered together. Each rendering makes a thousand calls whatever its size:
fewer events would spend their time on calls, more would not stay in the CPU's cache."""
SMALLEST_BATCH, LARGEST_BATCH = 16_384, 65_536


def keep_freed_memory() -> None:
    """Makes glibc keep the memory of freed arrays for the next ones; elsewhere it has no effect.

    By default it returns each one to the system, and touching the pages of the next one takes a tenth of the time of a
    run. It stops doing so up to the size of the largest mapped chunk that was freed (mallopt(3), M_MMAP_THRESHOLD).
    """
    np.empty(16 << 20, np.uint8)  # freed at once, and never touched


class Extent(NamedTuple):
    """The length of a run, and the window of it that is wanted."""

    chains: int | None = None
    """How many; None: no bound."""
    duration: float | None = None
    """Seconds; no chain begins later. None: no bound."""
    since: int | None = None
    """No earlier event, microseconds since the Unix epoch. None: from the beginning."""
    until: int | None = None
    """Only earlier events. None: to the end."""
    at_end: AtEnd = "finish"
    """What happens at the end of the duration to chains that are under way."""
    stopped_at: int | None = None
    """When the run was stopped, microseconds since the Unix epoch: sessions end then, other chains break off."""


WHOLE = Extent()


class ChainStream:
    """The rendered events of chains that arrive from a moment on.

    Args:
        root: the random key of the run.
        start: nanoseconds since the Unix epoch.
        block: chains in a batch; None: depends on the rate.
    """

    def __init__(
        self, plan: Plan, arrivals: OpenArrivals | ClosedArrivals, *, root: int, start: int, block: int | None = None
    ) -> None:
        self.plan = plan
        #: Maximum number of events in a block.
        self.max_rows = max(1, min(ROWS_PER_BLOCK, BYTES_PER_BLOCK // plan.widest))
        #: Bytes of memory that a block may need: rendering may write beyond the end of the last event.
        self.max_bytes = (self.max_rows + 1) * plan.widest
        self._root = root
        self._start = start
        self._engine = Engine(plan, arrivals, root=root, start=start)
        self._renderer = Renderer(plan.emitters, root=root, tenancy=plan.tenancy)
        #: Of the stream's blocks.
        self.slicer = self._renderer.slicer
        # a batch that spans less time than the chains last would carry the same events over again and again
        self._batch = block or min(max(int(arrivals.rate), SMALLEST_BATCH), LARGEST_BATCH)

    def blocks(self, extent: Extent) -> Iterator[Block]:
        """Blocks of events in order. Their memory is reused: consume a block before the next one, or keep it.

        Raises:
            InvalidSetting: a bound is negative or not finite.
        """
        return map(self.render, self.tables(extent))

    def tables(self, extent: Extent) -> Iterator[EventTable]:
        """The unrendered events of the same blocks.

        Raises:
            InvalidSetting: a bound is negative or not finite.
        """
        for bound in (extent.chains, extent.duration):
            if bound is not None and not 0 <= bound < math.inf:
                raise InvalidSetting(f"expected at least 0 chains and 0 seconds, got {bound}")
        keep_freed_memory()
        end, change = self._end(extent)
        window = self._engine.window(
            extent.since, extent.until, chains=extent.chains, end=end, size=self._batch, change=change
        )
        return self._split(window)

    def events(self, extent: Extent) -> Iterator[list[Event]]:
        """Lists of the same events as objects.

        Raises:
            InvalidSetting: a bound is negative or not finite.
        """
        builder = EventBuilder(self.plan.emitters, root=self._root, envelope=self.plan.envelope)
        return map(builder.events, self.tables(extent))

    def render(self, events: EventTable, memory: Memory | None = None) -> Block:
        """Renders ordered events.

        Args:
            memory: to write to, of `max_bytes` bytes; None: memory that the next call reuses.
        """
        return self._renderer.render(events, memory)

    def chain(self, index: int, extent: Extent = WHOLE) -> Block:
        """One chain, as in a run of some length.

        Raises:
            InvalidSetting: the run has no such chain.
        """
        events, (end, change) = self._engine.chain(index), self._end(extent)
        if end is not None and int(events.time[0]) * 1000 >= end:
            raise InvalidSetting(f"the run ends before chain {index:,} begins")
        return self.render(change(events).ordered() if change else events)

    def throughput(self) -> float | None:
        """Estimates the events per second of the closed model in the long run; None in the open one."""
        return self._engine.throughput()

    def ended(self, begun: EventTable, time: int) -> Iterator[Block]:
        """The events from a time on of sessions that end then.

        Args:
            begun: their first events.
            time: microseconds since the Unix epoch.
        """
        events = self.plan.endings.end_at(self._engine.expand(begun.chain, begun.time), time)
        return map(self.render, self._split(iter([events.split(time)[1].ordered()])))

    def ending(self) -> StreamEnding | None:
        """Completes the sessions of a run that is stopped; None: there are none."""
        return StreamEnding(self) if self.plan.endings.has_sessions else None

    def expected(self, time: int) -> float:
        """The expected number of chains that begin before a time, microseconds since the Unix epoch."""
        return self._engine.expected(time)

    def _end(self, extent: Extent) -> tuple[int | None, ChangeEvents | None]:
        """When the last chain may begin, nanoseconds since the Unix epoch, and what the end of the run changes."""
        if extent.stopped_at is not None:
            return extent.stopped_at * 1000, partial(self.plan.endings.stop_at, time=extent.stopped_at)
        if extent.duration is None:
            return None, None
        end = self._start + round(extent.duration * 1e9)
        if extent.at_end == "finish":
            return end, None
        if extent.at_end == "cut":
            return end, partial(_cut, time=-(-end // 1000))
        time = max(end // 1000 - LONGEST_ENDING, self._start // 1000)
        return time * 1000, partial(self.plan.endings.end_at, time=time)

    def _split(self, tables: Iterator[EventTable]) -> Iterator[EventTable]:
        """Cuts tables into even parts of at most `max_rows` events; a small remainder would take as long to render."""
        for table in tables:
            parts = -(-len(table) // self.max_rows) or 1
            size = -(-len(table) // parts) or 1
            for first in range(0, len(table), size):
                yield table[first : first + size]


class StreamEnding:
    """Follows a run, to complete its open sessions when it is stopped, as if it had this length from the start."""

    def __init__(self, stream: ChainStream) -> None:
        self._stream = stream
        self._open = OpenSessions(stream.plan.endings)

    def add(self, events: EventTable) -> None:
        """The next events of the run have happened."""
        self._open.add(events)

    def blocks(self, time: int) -> Iterator[Block]:
        """The events that are left when the open sessions end at a time, microseconds since the Unix epoch."""
        return self._stream.ended(self._open.begun(), time)


# Explanations: an event id contains its time, so that only the run around this time needs to be made again.


MILLISECOND = 1000
LATEST_MS = (1 << 63) // 1_000_000
"""Milliseconds since the Unix epoch; virtual time ends before (see `generator.LATEST`)."""


class ExplainedStep(NamedTuple):
    """One event of an explained chain."""

    state: str
    delay: timedelta
    """Since the causing event."""
    event: Event
    cause: int | None
    """Position of the causing event in the path; None: it is the first one."""


@dataclass(frozen=True)
class Explanation:
    """The origin of an event."""

    index: int
    """Of the chain in the run, from 0."""
    chain: str
    step: int
    """Position of the event in the path, from 0."""
    path: tuple[ExplainedStep, ...]
    """The whole chain, in order."""


def explain(stream: ChainStream, event_id: str, extent: Extent = WHOLE) -> Explanation:
    """Finds the chain and the step of an event.

    Args:
        extent: of the run.

    Raises:
        InvalidSetting: the id is not a UUID of version 7.
        UnknownEvent: the run has no such event.
    """
    uuid = _version_7(event_id)
    milliseconds = uuid.int >> 80
    since = milliseconds * MILLISECOND
    if milliseconds < LATEST_MS:
        head = b'{"event_id":"%b"' % str(uuid).encode()
        for block in stream.blocks(extent._replace(since=since, until=since + MILLISECOND)):
            for row, line in enumerate(flatten.from_iterable(block.lines())):
                if line.startswith(head):
                    return _explanation(stream, int(block.table.chain[row]), int(block.table.step[row]), extent)
    raise UnknownEvent(f"the run has no event {uuid}; were its seed, start, rate, chains and catalog the same?")


def _cut(events: EventTable, time: int) -> EventTable:
    """The events before a time, microseconds since the Unix epoch."""
    return events.split(time)[0]


def _version_7(event_id: str) -> UUID:
    try:
        uuid = UUID(event_id)
    except ValueError:
        raise InvalidSetting(f"expected an event id (a UUID), got {event_id!r}") from None
    if uuid.version != 7:
        raise InvalidSetting(f"expected an event id that contains its time (a UUID of version 7), got {event_id!r}")
    return uuid


def _explanation(stream: ChainStream, index: int, step: int, extent: Extent) -> Explanation:
    block = stream.chain(index, extent)
    events = [event for lines in block.lines() for event in decoded(lines)]
    emitters = [stream.plan.emitters[number] for number in block.table.emitter.tolist()]
    position = {number: row for row, number in enumerate(block.table.step.tolist())}
    causes = [None, *(position[cause] for cause in block.table.cause.tolist()[1:])]
    delays = [timedelta(microseconds=delay) for delay in block.table.delay.tolist()]
    states = [emitter.state.name for emitter in emitters]
    path = tuple(map(ExplainedStep, states, delays, events, causes))
    return Explanation(index, emitters[0].chain, position[step], path)
