"""Events of one plan as text: the engine decides, the renderer writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from eventbus.chains.arrivals.compiled import Arrivals
from eventbus.chains.arrivals.users import Closed
from eventbus.chains.engine import Engine
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.plan import Plan
from eventbus.chains.table import EventTable
from eventbus.chains.writing.block import Block
from eventbus.chains.writing.render import Renderer
from eventbus.chains.writing.text import Memory

RENDERED, ROOM = 8192, 8 << 20
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
        self, plan: Plan, arrivals: Arrivals | Closed, *, root: int, start: int, block: int | None = None
    ) -> None:
        self.plan = plan
        #: Events written at a time.
        self.together = max(1, min(RENDERED, ROOM // plan.widest))
        #: Bytes that writing them may need: the last one may spill over its end.
        self.largest = (self.together + 1) * plan.widest
        self._start = start
        self._engine = Engine(plan, arrivals, root=root, start=start)
        self._renderer = Renderer(plan.emitters, root=root, tenancy=plan.tenancy)
        #: Of its blocks.
        self.cutter = self._renderer.cutter
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
