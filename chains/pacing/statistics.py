"""What a paced run has done so far: the account, and the figures of one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eventbus.chains.pacing.lag import LagHistogram
from eventbus.chains.randomness import Integers
from eventbus.chains.table import EventTable


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """Figures of one moment: scheduled = emitted + dropped + what the bus has not acknowledged."""

    start: int = 0
    """Virtual time of the beginning, microseconds since the Unix epoch."""
    began: int = 0
    """The same moment by the run's clock."""
    elapsed: float = 0.0
    """Seconds since then."""
    scheduled: int = 0
    """Events whose time has come."""
    emitted: int = 0
    """Events that the bus has acknowledged."""
    late: int = 0
    """Emitted events that were acknowledged later after their intended time than is allowed."""
    dropped: int = 0
    """Events of chains that were left out because they would have begun too late."""
    chains: int = 0
    """Chains begun: their first event is emitted."""
    chains_finished: int = 0
    """Of these, those whose last event is emitted."""
    chains_dropped: int = 0
    lag_p50_ms: float = 0.0
    """From the intended time to the acknowledgement; 0 when there is no intended time (unlimited speed)."""
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0

    @property
    def chains_in_flight(self) -> int:
        return self.chains - self.chains_finished


class Account:
    """Counts what happens to events.

    Args:
        late_after: microseconds.
    """

    def __init__(self, late_after: int) -> None:
        self._late_after = late_after
        self._lags = LagHistogram()
        self._scheduled = self._emitted = self._late = self._dropped = 0
        self._begun = self._finished = self._chains_dropped = 0

    def scheduled(self, events: int) -> None:
        self._scheduled += events

    def dropped(self, events: EventTable) -> None:
        self._dropped += len(events)
        self._chains_dropped += _roots(events)

    def acknowledged(self, count: int, events: EventTable, lags: Integers) -> None:
        """The bus has taken events.

        Args:
            count: how many, by its own word.
            lags: microseconds after their intended times.
        """
        self._emitted += count
        self._late += int(np.count_nonzero(lags > self._late_after))
        self._lags.add(lags)
        self._begun += _roots(events)
        self._finished += int(np.count_nonzero(events.last))

    def statistics(self, elapsed: float, *, start: int, began: int) -> RunStatistics:
        return RunStatistics(
            start=start,
            began=began,
            elapsed=elapsed,
            scheduled=self._scheduled,
            emitted=self._emitted,
            late=self._late,
            dropped=self._dropped,
            chains=self._begun,
            chains_finished=self._finished,
            chains_dropped=self._chains_dropped,
            lag_p50_ms=self._lags.quantile(0.5) / 1000,
            lag_p99_ms=self._lags.quantile(0.99) / 1000,
            lag_max_ms=self._lags.maximum / 1000,
        )


def _roots(events: EventTable) -> int:
    return int(np.count_nonzero(events.step == 0))
