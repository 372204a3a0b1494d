"""The summary of a run: events by type, chains by outcome and duration, and both over time."""

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
"""The first event of a visitor session."""
EVENTS, ENDED, FAILED = range(3)
"""Rows of the counts over time: events, chains that reached an outcome, and chains that failed."""
COUNTED_TOGETHER = 1 << 16
"""Events whose chains are counted together."""
ABANDONED = "abandoned"
"""The outcome of chains that stop before an end."""


@dataclass(slots=True)
class ChainSummary:
    """The chains of one name."""

    is_session: bool = False
    """Whether they are visitor sessions."""
    begun: int = 0
    ended: int = 0
    """Chains whose last event has come, those of triggered chains included."""
    outcomes: Counter[str] = field(default_factory=Counter)
    durations: LagHistogram = field(default_factory=LagHistogram)
    """From the first event to the one with the outcome, microseconds."""

    @property
    def active(self) -> int:
        return max(self.begun - self.ended, 0)  # a window of a run contains ends without beginnings


class RunSummary:
    """Counts the events of a run.

    Events are counted by emitter, in columns; names are looked up when the figures are read.

    Args:
        emitters: of the run's plan.
    """

    def __init__(self, emitters: Sequence[EmitterInfo]) -> None:
        self._emitters = emitters
        roots = [emitter for emitter in emitters if emitter.is_root]
        self._names = list(dict.fromkeys(emitter.chain for emitter in roots))
        self._sessions = {emitter.chain for emitter in roots if emitter.event_type == SESSION}
        self._owners = list(_owners(emitters))
        self._name_of = np.array([self._names.index(owner) for owner in self._owners])
        owned = zip(emitters, self._owners, strict=True)
        self._has_outcome = np.array(
            [emitter.outcome is not None and emitter.chain == owner for emitter, owner in owned]
        )
        self._fails = np.array([emitter.outcome == "failed" for emitter in emitters])
        #: By emitter: events that are not the last of their chain, and events that are.
        self._counts = np.zeros((len(emitters), 2), np.int64)
        self._durations = LagHistograms(len(self._names))
        self._arrivals = QuarterHours()
        self._last_arrival = 0
        self._pending: list[tuple[Integers, Integers, Integers]] = []
        self._pending_rows = 0
        #: From the intended time to the acknowledgement, microseconds.
        self.lags = LagHistogram()
        #: The rows EVENTS, ENDED and FAILED, by timestamp, or by the clock of a paced run.
        self.over_time = TimeBins(rows=3)

    def published(self, batch: PublishedBatch) -> None:
        """Counts published events, by the clock."""
        self.lags.add(batch.lags)
        with_outcome = self._take(batch.events)
        for row, times in enumerate((batch.events.time, *self._ends(batch.events, with_outcome))):
            self.over_time.count(times.size, batch.at, row)

    def add(self, events: EventTable) -> None:
        """Counts ordered events, by their timestamps."""
        with_outcome = self._take(events)
        for row, times in enumerate((events.time, *self._ends(events, with_outcome))):
            self.over_time.add(times, row)

    @property
    def event_types(self) -> list[str]:
        """The type of each emitter."""
        return [emitter.event_type for emitter in self._emitters]

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
        """Number of events by type, the most frequent first; types without events are absent."""
        types: Counter[str] = Counter()
        for emitter, count in zip(self._emitters, self._counts.sum(axis=1).tolist(), strict=True):
            types[emitter.event_type] += count
        return {name: count for name, count in types.most_common() if count}

    def chains(self) -> dict[str, ChainSummary]:
        """Chains by name, in the order of the catalog; chains that never began are absent."""
        self._count()
        chains = {
            name: ChainSummary(name in self._sessions, durations=durations)
            for name, durations in zip(self._names, self._durations.each(), strict=True)
        }
        rows = zip(self._emitters, self._owners, self._has_outcome.tolist(), self._counts.tolist(), strict=True)
        for emitter, owner, has_outcome, (inner, last) in rows:
            chain = chains[owner]
            chain.begun += inner + last if emitter.is_root else 0
            chain.ended += last
            if has_outcome and inner + last:
                chain.outcomes[str(emitter.outcome)] += inner + last
        for chain in chains.values():
            if chain.ended > chain.outcomes.total():
                chain.outcomes[ABANDONED] = chain.ended - chain.outcomes.total()
        return {name: chain for name, chain in chains.items() if chain.begun or chain.ended}

    def outcomes(self) -> Counter[str]:
        """Number of chains that have ended, by outcome."""
        return sum((chain.outcomes for chain in self.chains().values()), Counter())

    def _ends(self, events: EventTable, with_outcome: Integers) -> tuple[Integers, Integers]:
        """The times of the events with an outcome, and of those with a failure."""
        failed = with_outcome.take(np.flatnonzero(self._fails.take(events.emitter.take(with_outcome))))
        return events.time.take(with_outcome), events.time.take(failed)

    def _take(self, events: EventTable) -> Integers:
        """Counts events; what costs more per call than per event is deferred until many events are pending.

        Returns the rows of events with an outcome.
        """
        counts = np.bincount(2 * events.emitter + events.terminal, minlength=self._counts.size)
        self._counts += counts.reshape(self._counts.shape)
        with_outcome = np.flatnonzero(self._has_outcome.take(events.emitter))
        durations = events.time.take(with_outcome) - events.began.take(with_outcome)
        roots = events.time.take(np.flatnonzero(events.step == 0))
        self._pending.append((roots, events.emitter.take(with_outcome), durations))
        self._pending_rows += len(events)
        if self._pending_rows >= COUNTED_TOGETHER:
            self._count()
        return with_outcome

    def _count(self) -> None:
        """Counts what is pending."""
        if not self._pending:
            return
        roots, emitters, durations = map(np.concatenate, zip(*self._pending, strict=True))
        self._pending.clear()
        self._pending_rows = 0
        if roots.size:
            self._arrivals.add(roots)
            self._last_arrival = int(roots[-1])
        self._durations.add(self._name_of.take(emitters), durations)


def _owners(emitters: Sequence[EmitterInfo]) -> Iterator[str]:
    """The chain of each emitter, or the one that triggers it; a plan has the emitter of a root before the others."""
    owner = ""
    for emitter in emitters:
        owner = emitter.chain if emitter.is_root else owner
        yield owner
