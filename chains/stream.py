"""Events of one plan as text: the engine decides, the renderer writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import numpy as np

from eventbus.chains.arrivals.batch import ArrivalProcess, RunBounds
from eventbus.chains.arrivals.closed import ClosedArrivalProcess, ClosedArrivals
from eventbus.chains.arrivals.open import OpenArrivals
from eventbus.chains.arrivals.process import OpenArrivalProcess
from eventbus.chains.errors import InvalidSetting, UnknownEvent
from eventbus.chains.plan import Plan
from eventbus.chains.randomness import Integers, chain_keys
from eventbus.chains.rendering.block import Block, decoded
from eventbus.chains.rendering.columns import Memory
from eventbus.chains.rendering.render import Renderer
from eventbus.chains.table import EventTable
from eventbus.event import Event

# The engine: which events happen when, in virtual time, for any number of overlapping chains.
#
# It makes chains in batches. A batch says up to when all is made: what lies before that is final and can be ordered;
# the rest is carried over. Nothing here waits, and nothing is text.


class Engine:
    """Chains of a plan, arriving in virtual time.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, plan: Plan, arrivals: OpenArrivals | ClosedArrivals, *, root: int, start: int) -> None:
        self.plan = plan
        self._root = root
        self._start = start // 1000
        self._beginnings: ArrivalProcess
        if isinstance(arrivals, ClosedArrivals):
            self._beginnings = ClosedArrivalProcess(arrivals, root=root, start=start)
        else:
            self._beginnings = OpenArrivalProcess(arrivals, root=root, start=start)

    def blocks(
        self, chains: int | None = None, until: int | None = None, size: int = 4096, since: int | None = None
    ) -> Iterator[EventTable]:
        """Events by time, in tables; all chains run to their end.

        Args:
            chains: how many; None: endless.
            until: no chain begins at or after this time, nanoseconds since the Unix epoch.
            size: chains in a block; changes no event.
            since: leave out chains that are over by this time, microseconds since the Unix epoch.
        """
        longest = 0 if since is None else int(self.plan.spans.max())
        carried = EventTable.concatenate([])
        for made, complete in self._beginnings.batches(self.expand, RunBounds(chains, until, since, longest, size)):
            ready, carried = EventTable.concatenate([carried, made]).split(complete)
            if len(ready):
                yield ready.ordered()

    def window(
        self,
        since: int | None,
        until: int | None,
        chains: int | None = None,
        end: int | None = None,
        size: int = 4096,
    ) -> Iterator[EventTable]:
        """The events of a stretch of time, as in the run, without making those of earlier chains.

        Args:
            since: no earlier event, microseconds since the Unix epoch; None: from the beginning.
            until: only earlier events; None: to the end.
            chains: how many the run has; None: endless.
            end: no chain of the run begins at or after this time, nanoseconds since the Unix epoch.
            size: chains in a block; changes no event.
        """
        for table in self.blocks(chains, end, size, since):
            inside = table.between(since, until)
            if len(inside):
                yield inside
            if until is not None and table.time[-1] >= until:
                return

    def one(self, index: int) -> EventTable:
        """The events of one chain, as in the run.

        Raises:
            InvalidSetting: the run has no such chain.
        """
        begin = self._beginnings.one(self.expand, index)
        return self.expand(np.array([index]), np.array([begin])).ordered()

    def expected(self, time: int) -> float:
        """How many chains begin before a time, microseconds since the Unix epoch, on average."""
        return self._beginnings.expected(self.expand, time)

    def expand(self, chain: Integers, begins: Integers, since: int | None = None) -> EventTable:
        """All events of chains, in no order.

        Args:
            chain: indices of the chains.
            begins: when they do, microseconds since the Unix epoch.
            since: leave out chains that are surely over by this time.
        """
        roots = EventTable.roots(chain, begins)
        chosen = self.plan.choose(chain_keys(self._root, roots.chain), begins - self._start)
        if since is not None:
            alive = np.flatnonzero(begins >= since - self.plan.spans.take(chosen))
            roots, chosen = roots.take(alive), chosen.take(alive)
        made: list[EventTable] = []
        for number, walker in enumerate(self.plan.walkers):
            rows = np.flatnonzero(chosen == number)
            if rows.size:
                made += walker.events(roots.take(rows), self._root)
        return EventTable.concatenate(made)


ROWS_PER_BLOCK, BYTES_PER_BLOCK = 8192, 8 << 20
"""Events, and bytes at most, written at a time: usually some 4 MB, which stay near the CPU."""
SMALLEST_BLOCK, LARGEST_BLOCK = 8192, 65_536


class Extent(NamedTuple):
    """How long a run is, and which part of its events is wanted."""

    chains: int | None = None
    """How many; None: no bound."""
    duration: float | None = None
    """Seconds in which chains begin; None: no bound."""
    since: int | None = None
    """Microseconds since the Unix epoch: no earlier event. None: from the beginning."""
    until: int | None = None
    """Only earlier events. None: to the end."""


class ChainStream:
    """Chains that arrive from a moment on.

    Args:
        root: the random key of the run.
        start: nanoseconds since the Unix epoch.
        block: chains worked on together; None: what suits the rate.
    """

    def __init__(
        self, plan: Plan, arrivals: OpenArrivals | ClosedArrivals, *, root: int, start: int, block: int | None = None
    ) -> None:
        self.plan = plan
        #: Events written at a time.
        self.together = max(1, min(ROWS_PER_BLOCK, BYTES_PER_BLOCK // plan.widest))
        #: Bytes that writing them may need: the last one may spill over its end.
        self.largest = (self.together + 1) * plan.widest
        self._start = start
        self._engine = Engine(plan, arrivals, root=root, start=start)
        self._renderer = Renderer(plan.emitters, root=root, tenancy=plan.tenancy)
        #: Of its blocks.
        self.slicer = self._renderer.slicer
        # a block that spans less than the chains last would look at the same unfinished events again and again
        self._block = block or min(max(int(arrivals.rate), SMALLEST_BLOCK), LARGEST_BLOCK)

    def blocks(self, extent: Extent) -> Iterator[Block]:
        """The events by time, as text. Consume a block before asking for the next.

        Raises:
            InvalidSetting: a bound is negative.
        """
        return map(self.render, self.tables(extent))

    def tables(self, extent: Extent) -> Iterator[EventTable]:
        """The same events as integers, as many at a time as are written together.

        Raises:
            InvalidSetting: a bound is negative.
        """
        for bound in (extent.chains, extent.duration):
            if bound is not None and bound < 0:
                raise InvalidSetting(f"expected at least 0 chains and 0 seconds, got {bound}")
        end = None if extent.duration is None else self._start + round(extent.duration * 1e9)
        return self._cut(self._engine.window(extent.since, extent.until, extent.chains, end, self._block))

    def render(self, events: EventTable, memory: Memory | None = None) -> Block:
        """The text of ordered events.

        Args:
            memory: to write to, of `largest` bytes; None: one that is used again by the next call.
        """
        return self._renderer.render(events, memory)

    def one(self, index: int) -> Block:
        """One chain, as in the run."""
        return self.render(self._engine.one(index))

    def expected(self, time: int) -> float:
        """How many chains begin before a time, microseconds since the Unix epoch, on average."""
        return self._engine.expected(time)

    def _cut(self, tables: Iterator[EventTable]) -> Iterator[EventTable]:
        for table in tables:
            for first in range(0, len(table), self.together):
                yield table[first : first + self.together]


# Where an event comes from, found from its id alone: the id has its time, and the run can be made around that.


MILLISECOND = 1000
LATEST = (1 << 63) // 1_000_000
"""Milliseconds since the Unix epoch; virtual time goes no further (see `generator.LATEST`)."""


class ExplainedStep(NamedTuple):
    """One event of a chain, as it was meant."""

    state: str
    delay: timedelta
    """Since the causing event."""
    event: Event
    cause: int | None
    """Place of the causing event in the path; None: it is the first."""


@dataclass(frozen=True)
class Explanation:
    """An event's place in its run."""

    index: int
    """Of the chain in the run, from 0."""
    chain: str
    step: int
    """Place of the event in the path, from 0."""
    path: tuple[ExplainedStep, ...]
    """The whole chain, by time."""


def explain(stream: ChainStream, event_id: str) -> Explanation:
    """The place of an event.

    Raises:
        InvalidSetting: this is no UUID of version 7.
        UnknownEvent: the run has no such event.
    """
    known = _version_7(event_id)
    since = (known.int >> 80) * MILLISECOND
    if known.int >> 80 < LATEST:
        head = b'{"event_id":"%b"' % str(known).encode()
        for block in stream.blocks(Extent(since=since, until=since + MILLISECOND)):
            lines = [line for some in block.lines() for line in some]
            for row, line in enumerate(lines):
                if line.startswith(head):
                    return _explanation(stream, int(block.table.chain[row]), int(block.table.step[row]))
    raise UnknownEvent(f"the run has no event {known}; were its seed, start, rate, chains and catalog the same?")


def _version_7(event_id: str) -> UUID:
    try:
        known = UUID(event_id)
    except ValueError:
        raise InvalidSetting(f"expected an event id (a UUID), got {event_id!r}") from None
    if known.version != 7:
        raise InvalidSetting(f"expected an event id with its time in it (a UUID of version 7), got {event_id!r}")
    return known


def _explanation(stream: ChainStream, index: int, step: int) -> Explanation:
    block = stream.one(index)
    events = [event for lines in block.lines() for event in decoded(lines)]
    emitters = [stream.plan.emitters[kind] for kind in block.table.emitter.tolist()]
    place = {known: number for number, known in enumerate(block.table.step.tolist())}
    causes = [None, *(place[cause] for cause in block.table.cause.tolist()[1:])]
    delays = [timedelta(microseconds=delay) for delay in block.table.delay.tolist()]
    states = [emitter.state.name for emitter in emitters]
    return Explanation(index, emitters[0].chain, place[step], tuple(map(ExplainedStep, states, delays, events, causes)))
