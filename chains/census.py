"""What a run consists of: its events by type, its chains by outcome and duration, and how both spread over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from chains.bins import QuarterHours, TimeBins
from chains.lag import LagHistogram
from chains.observer import Published
from chains.places import Place
from chains.randomness import Integers
from chains.table import EventTable

ABANDONED = "abandoned"
"""The outcome of chains that stop in a state which is not an end."""


@dataclass(slots=True)
class ChainCount:
    """The chains of one name."""

    begun: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    durations: LagHistogram = field(default_factory=LagHistogram)
    """From the first event to the last, microseconds."""

    @property
    def active(self) -> int:
        return self.begun - self.outcomes.total()


class Census:
    """Counts the events of a run as they come, in columns; names come in when somebody asks.

    Args:
        places: of the emitters of the run's plan.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._names = list(dict.fromkeys(place.chain for place in places))
        self._name_of = np.array([self._names.index(place.chain) for place in places])
        self._kinds = np.zeros(len(places), np.int64)
        self._ends = np.zeros(len(places), np.int64)
        self._durations = [LagHistogram() for _ in self._names]
        #: Events by time: of their timestamps, or by the clock of a paced run.
        self.over_time = TimeBins()
        #: First events of chains by their timestamps.
        self.arrivals = QuarterHours()
        self.lags = LagHistogram()

    def published(self, batch: Published) -> None:
        """Count events that are published, by the clock."""
        self._count(batch.events)
        self.over_time.count(len(batch.events), batch.at)
        self.lags.add(batch.lags)

    def add(self, events: EventTable) -> None:
        """Count events by their timestamps; they ascend."""
        self._count(events)
        self.over_time.add(events.time)

    @property
    def events(self) -> int:
        return int(self._kinds.sum())

    def types(self) -> dict[str, int]:
        """Events by type, the most frequent first; a type that has none is not there."""
        found: Counter[str] = Counter()
        for place, count in zip(self._places, self._kinds.tolist(), strict=True):
            found[place.event_type] += count
        return {name: count for name, count in found.most_common() if count}

    def chains(self) -> dict[str, ChainCount]:
        """Chains by name, in the order of the catalog; those of which none has begun are not there."""
        found = {name: ChainCount(durations=lasted) for name, lasted in zip(self._names, self._durations, strict=True)}
        counts = zip(self._places, self._kinds.tolist(), self._ends.tolist(), strict=True)
        for place, events, ends in counts:
            chain = found[place.chain]
            chain.begun += events if place.is_root else 0
            if ends:
                chain.outcomes[place.outcome or ABANDONED] += ends
        return {name: chain for name, chain in found.items() if chain.begun or chain.outcomes}

    def outcomes(self) -> Counter[str]:
        """All chains that have ended, by outcome."""
        return sum((chain.outcomes for chain in self.chains().values()), Counter())

    def _count(self, events: EventTable) -> None:
        self._kinds += np.bincount(events.kind, minlength=self._kinds.size)
        self.arrivals.add(events.time[events.step == 0])
        ended = np.flatnonzero(events.last)
        if ended.size:
            self._count_ended(events.kind[ended], events.time[ended] - events.began[ended])

    def _count_ended(self, kinds: Integers, durations: Integers) -> None:
        self._ends += np.bincount(kinds, minlength=self._ends.size)
        names = self._name_of[kinds]
        for name in np.unique(names).tolist():
            self._durations[name].add(durations[names == name])
