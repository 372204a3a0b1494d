"""The part of a virtual run that is wanted: a number of chains, an interval of time, or a single chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from eventbus.chains.generator import ChainGenerator
from eventbus.chains.rendering import JSON, Format
from eventbus.chains.rendering.block import Block
from eventbus.chains.table import SECOND
from eventbus.event import microseconds


@dataclass(frozen=True, kw_only=True)
class RunWindow:
    """Which events of a run are wanted; without any bound the run never ends."""

    chains: int | None = None
    """How many chains the run has; None: no bound."""
    duration: float | None = None
    """Seconds of virtual time in which chains begin; None: no bound."""
    since: datetime | None = None
    """No earlier event; None: from the beginning."""
    until: datetime | None = None
    """Only earlier events; None: to the end of the run."""
    index: int | None = None
    """Only the chain with this index, counted from 0, as in a run of the duration; the other bounds are ignored."""
    workers: int = 1
    """Processes that generate the events; the bytes do not depend on their number."""

    @property
    def is_whole(self) -> bool:
        """Whether the window contains the whole run."""
        return self.since is None and self.until is None and self.index is None

    def blocks(self, generator: ChainGenerator, format: Format = JSON) -> Iterator[Block]:
        """The events in the window.

        Raises:
            InvalidSetting: a bound is out of range, or has no time zone.
        """
        if self.index is not None:
            return iter([generator.alone(self.index, duration=self.duration, format=format)])
        return generator.window(
            self.since,
            self.until,
            chains=self.chains,
            duration=self.duration,
            workers=self.workers,
            format=format,
        )

    def arrival_span(self, generator: ChainGenerator, last_arrival: int) -> tuple[int, int]:
        """The interval in which chains of the window can begin, in microseconds since the Unix epoch.

        Args:
            last_arrival: when the last chain began; the end of a window that is bounded by a number of chains.
        """
        start = microseconds(generator.start)
        since = start if self.since is None else max(start, microseconds(self.since))
        ends = [
            last_arrival + 1 if self.chains is not None or self.index is not None else None,
            None if self.until is None else microseconds(self.until),
            None if self.duration is None else start + round(self.duration * SECOND),
        ]
        return since, max(since, min(end for end in ends if end is not None))
