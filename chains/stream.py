"""Events of one plan as text: the engine decides, the renderer writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chains.arrivals import Arrivals
from chains.block import Block
from chains.engine import Engine
from chains.errors import InvalidSetting
from chains.plan import Plan
from chains.render import Renderer
from chains.table import EventTable

RENDERED, ROOM = 8192, 8 << 20
"""Events, and bytes at most, written at a time: usually some 4 MB, which stay near the CPU."""
SMALLEST_BLOCK, LARGEST_BLOCK = 8192, 65_536


class ChainStream:
    """Chains that arrive from a moment on.

    Args:
        root: the random key of the run.
        start: nanoseconds since the Unix epoch.
        block: chains worked on together; None: what suits the rate.
    """

    def __init__(self, plan: Plan, arrivals: Arrivals, *, root: int, start: int, block: int | None = None) -> None:
        self.plan = plan
        self._start = start
        self._engine = Engine(plan, arrivals, root=root, start=start)
        self._renderer = Renderer(plan.emitters, root=root)
        self._together = max(1, min(RENDERED, ROOM // max(emitter.width for emitter in plan.emitters)))
        # a block that spans less than the chains last would look at the same unfinished events again and again
        self._block = block or min(max(int(arrivals.rate), SMALLEST_BLOCK), LARGEST_BLOCK)

    def blocks(self, chains: int | None = None, duration: float | None = None) -> Iterator[Block]:
        """All events by time; every chain runs to its end. Consume a block before asking for the next.

        Args:
            chains: how many; None: no bound.
            duration: seconds in which chains begin; None: no bound.

        Raises:
            InvalidSetting: a bound is negative.
        """
        for bound in (chains, duration):
            if bound is not None and bound < 0:
                raise InvalidSetting(f"expected at least 0 chains and 0 seconds, got {bound}")
        until = None if duration is None else self._start + round(duration * 1e9)
        return self._rendered(self._engine.blocks(chains, until, self._block))

    def _rendered(self, tables: Iterable[EventTable]) -> Iterator[Block]:
        for table in tables:
            for first in range(0, len(table), self._together):
                yield self._renderer.render(table[first : first + self._together])

    def one(self, index: int) -> Block:
        """One chain, as in the run."""
        return self._renderer.render(self._engine.one(index))
