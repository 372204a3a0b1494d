"""What a run consists of: its events by type, its chains by outcome and duration, and how both spread over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from eventbus.chains.pacing.observers import PublishedBatch
from eventbus.chains.pacing.statistics import LagHistogram, LagHistograms, QuarterHours, TimeBins
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers
from eventbus.chains.table import EventTable

SESSION = "omninode.visitor.session.created.v1"
"""The first event of a visitor's session."""
EVENTS, ENDED, FAILED = range(3)
"""Rows of what is counted over time: events, chains whose outcome was told, and those of them that failed."""
TOGETHER = 1 << 16
"""Events whose chains are counted at a time."""
ABANDONED = "abandoned"
"""The outcome of chains that stop in a state which is not an end."""


@dataclass(slots=True)
class ChainCounts:
    """The chains of one name."""

    is_session: bool = False
    """Whether they are visitors' sessions."""
    begun: int = 0
    ended: int = 0
    """Their last event has come, that of the chains which they cause included."""
    outcomes: Counter[str] = field(default_factory=Counter)
    durations: LagHistogram = field(default_factory=LagHistogram)
    """From the first event to the one that tells the outcome, microseconds."""

    @property
    def active(self) -> int:
        return max(self.begun - self.ended, 0)  # a window of a run has ends without their beginnings


class RunSummary:
    """Counts the events of a run as they come, in columns; names come in when somebody asks.

    Args:
        places: of the emitters of the run's plan.
    """

    def __init__(self, places: Sequence[EmitterInfo]) -> None:
        self._places = places
        roots = [place for place in places if place.is_root]
        self._names = list(dict.fromkeys(place.chain for place in roots))
        self._sessions = {place.chain for place in roots if place.event_type == SESSION}
        self._owners = list(_owners(places))
        self._name_of = np.array([self._names.index(owner) for owner in self._owners])
        owned = zip(places, self._owners, strict=True)
        self._tells = np.array([place.outcome is not None and place.chain == owner for place, owner in owned])
        self._fails = np.array([place.outcome == "failed" for place in places])
        #: By emitter: the events after which more of their chains come, and the last ones.
        self._counts = np.zeros((len(places), 2), np.int64)
        self._durations = LagHistograms(len(self._names))
        self._arrivals = QuarterHours()
        self._last_arrival = 0
        self._waiting: list[tuple[Integers, Integers, Integers]] = []
        self._rows = 0
        #: From the intended times to the acknowledgements, microseconds.
        self.lags = LagHistogram()
        #: What comes in EVENTS, ENDED and FAILED, by timestamps, or by the clock of a paced run.
        self.over_time = TimeBins(rows=3)

    def published(self, batch: PublishedBatch) -> None:
        """Count events that are published, by the clock."""
        self.lags.add(batch.lags)
        told = self._take(batch.events)
        for row, times in enumerate((batch.events.time, *self._ends(batch.events, told))):
            self.over_time.count(times.size, batch.at, row)

    def add(self, events: EventTable) -> None:
        """Count events by their timestamps; they ascend."""
        told = self._take(events)
        for row, times in enumerate((events.time, *self._ends(events, told))):
            self.over_time.add(times, row)

    @property
    def event_types(self) -> list[str]:
        """The type of each emitter."""
        return [place.event_type for place in self._places]

    @property
    def events(self) -> int:
        return int(self._counts.sum())

    @property
    def arrivals(self) -> QuarterHours:
        """First events of chains by their timestamps."""
        self._count()
        return self._arrivals

    @property
    def last_arrival(self) -> int:
        """When the last chain began, microseconds since the Unix epoch."""
        self._count()
        return self._last_arrival

    def types(self) -> dict[str, int]:
        """Events by type, the most frequent first; a type that has none is not there."""
        found: Counter[str] = Counter()
        for place, count in zip(self._places, self._counts.sum(axis=1).tolist(), strict=True):
            found[place.event_type] += count
        return {name: count for name, count in found.most_common() if count}

    def chains(self) -> dict[str, ChainCounts]:
        """Chains by name, in the order of the catalog; those of which none has begun are not there."""
        self._count()
        found = {
            name: ChainCounts(name in self._sessions, durations=lasted)
            for name, lasted in zip(self._names, self._durations.each(), strict=True)
        }
        emitters = zip(self._places, self._owners, self._tells.tolist(), self._counts.tolist(), strict=True)
        for place, owner, tells, (others, last) in emitters:
            chain = found[owner]
            chain.begun += others + last if place.is_root else 0
            chain.ended += last
            if tells and others + last:
                chain.outcomes[str(place.outcome)] += others + last
        for chain in found.values():
            if chain.ended > chain.outcomes.total():
                chain.outcomes[ABANDONED] = chain.ended - chain.outcomes.total()
        return {name: chain for name, chain in found.items() if chain.begun or chain.ended}

    def outcomes(self) -> Counter[str]:
        """All chains that have ended, by outcome."""
        return sum((chain.outcomes for chain in self.chains().values()), Counter())

    def _ends(self, events: EventTable, told: Integers) -> tuple[Integers, Integers]:
        """When outcomes were told, and when they were failures."""
        failed = told.take(np.flatnonzero(self._fails.take(events.emitter.take(told))))
        return events.time.take(told), events.time.take(failed)

    def _take(self, events: EventTable) -> Integers:
        """Count what is quickly counted; the rest waits until there is enough for the work to cost next to nothing.

        Returns the rows that tell an outcome.
        """
        counts = np.bincount(2 * events.emitter + events.terminal, minlength=self._counts.size)
        self._counts += counts.reshape(self._counts.shape)
        told = np.flatnonzero(self._tells.take(events.emitter))
        lasted = events.time.take(told) - events.began.take(told)
        roots = events.time.take(np.flatnonzero(events.step == 0))
        self._waiting.append((roots, events.emitter.take(told), lasted))
        self._rows += len(events)
        if self._rows >= TOGETHER:
            self._count()
        return told

    def _count(self) -> None:
        """Count what waits."""
        if not self._waiting:
            return
        roots, kinds, lasted = map(np.concatenate, zip(*self._waiting, strict=True))
        self._waiting.clear()
        self._rows = 0
        if roots.size:
            self._arrivals.add(roots)
            self._last_arrival = int(roots[-1])
        self._durations.add(self._name_of.take(kinds), lasted)


def _owners(places: Sequence[EmitterInfo]) -> Iterator[str]:
    """By emitter: the chain, or the one that causes it. A plan has the root's emitter before all others of a chain."""
    owner = ""
    for place in places:
        owner = place.chain if place.is_root else owner
        yield owner
