"""All that a report tells of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from eventbus.chains import RunStatistics
from eventbus.chains.pacing.summary import RunSummary

SECOND = 1_000_000

Expected = Callable[[int, int], float]
"""Chains that should begin between two virtual times, microseconds since the Unix epoch."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a run's clock and its virtual time belong together."""

    began: int
    """By the clock, microseconds since the Unix epoch."""
    speed: float
    """Infinite: there is no connection."""
    statistics: RunStatistics


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One run, when it is over."""

    command: str
    """As it was typed."""
    seed: int
    digest: str | None
    """SHA-256."""
    census: RunSummary
    seconds: float
    """That it took."""
    since: int
    """Virtual time when chains could begin, microseconds since the Unix epoch."""
    until: int
    """Virtual time from which none began."""
    expected: Expected | None = None
    zone: tzinfo = UTC
    """Of the hours of the day."""
    pace: Pace | None = None
    """None: the run was not paced, and its events are counted by their own times."""
    sinks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The account of each sink by its name."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """How many of each kind were injected."""

    @property
    def events_per_chain(self) -> float:
        """On average."""
        begun = sum(chain.begun for chain in self.census.chains().values())
        return self.census.events / begun if begun else 0.0

    def expected_events(self, begin: int, end: int) -> float | None:
        """Events that should come between two times of `census.over_time`."""
        if self.expected is None or (self.pace and not self.pace.speed < float("inf")):
            return None
        first, last = (min(max(self._virtual(time), self.since), self.until) for time in (begin, end))
        return self.expected(first, last) * self.events_per_chain

    def _virtual(self, time: int) -> int:
        if self.pace is None:
            return time
        return self.since + round((time - self.pace.began) * self.pace.speed)
