"""The figures of a run: counters, histograms of lags, and counts over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.table import SECOND, EventTable

FINE = 64
"""Buckets per power of two: the width of a bucket is at most 1/64 of its values."""
BUCKETS = 50 * FINE
BARS = np.array([0, 8, 16, 32, *(FINE * octave + part for octave in range(1, 50) for part in (0, 12, 27, 44))])
"""The first bucket of each bar of a chart: four bars per power of two, of equal width on a logarithmic axis."""


class LagHistogram:
    """Counts of microseconds in log-linear buckets, like an HdrHistogram: constant size, two significant digits."""

    def __init__(self, counts: Integers | None = None) -> None:
        self._counts = np.zeros(BUCKETS, np.int64) if counts is None else counts
        #: The longest lag, exactly.
        self.maximum = 0

    def add(self, lags: Integers) -> None:
        """Counts lags in microseconds; negative ones count as 0."""
        if lags.size:
            lags = np.maximum(lags, 0)
            self.maximum = max(self.maximum, int(lags.max()))
            self._counts += np.bincount(_bucket(lags), minlength=BUCKETS)

    def quantile(self, share: float) -> int:
        """The upper end of the quantile's bucket; 0 if there are no lags."""
        reached = self._counts.cumsum()
        if not reached[-1]:
            return 0
        bucket = int(reached.searchsorted(share * reached[-1]))
        return min(_upper_end(bucket), self.maximum)

    def bars(self) -> list[tuple[int, int, int]]:
        """The bars of a chart as (from, to, count), from the first bar that is not empty to the last."""
        counts = np.add.reduceat(self._counts, BARS)
        filled = np.flatnonzero(counts)
        if not filled.size:
            return []
        first, last = int(filled[0]), int(filled[-1])
        ends = [_upper_end(bucket - 1) + 1 for bucket in [*BARS.tolist(), BUCKETS]][first : last + 2]
        return list(zip(ends[:-1], ends[1:], counts[first : last + 1].tolist(), strict=True))


class LagHistograms:
    """Several histograms that are updated together."""

    def __init__(self, number: int) -> None:
        self._counts = np.zeros((number, BUCKETS), np.int64)
        self._maxima = np.zeros(number, np.int64)
        self._each = [LagHistogram(row) for row in self._counts]

    def add(self, which: Integers, lags: Integers) -> None:
        """Counts lags in microseconds, none below 0, each in the histogram of its number."""
        buckets = which * BUCKETS + _bucket(lags)
        self._counts += np.bincount(buckets, minlength=self._counts.size).reshape(self._counts.shape)
        np.maximum.at(self._maxima, which, lags)

    def each(self) -> list[LagHistogram]:
        """The histograms; later updates change them."""
        for histogram, maximum in zip(self._each, self._maxima.tolist(), strict=True):
            histogram.maximum = maximum
        return self._each


def _bucket(lags: Integers) -> Integers:
    """The bucket of each number: its upper seven bits, and how many bits follow them."""
    lags = np.minimum(lags, (1 << 50) - 1)
    shift = np.maximum(np.frexp(lags)[1].astype(np.int64) - 7, 0)
    bucket: Integers = shift * FINE + (lags >> shift)
    return bucket


def _upper_end(bucket: int) -> int:
    shift = max(bucket // FINE - 1, 0)
    return ((bucket - shift * FINE + 1) << shift) - 1


# Counts over time in constant memory.


QUARTER = 900 * SECOND
"""A quarter of an hour, microseconds: the offset of every time zone from UTC is a multiple of it."""


class TimeBins:
    """Counts in bins of equal width, which doubles whenever there would be too many bins.

    Args:
        width: of the first bins, microseconds.
        max_bins: an even number.
        rows: series that are counted in the same bins.
    """

    def __init__(self, width: int = SECOND // 4, max_bins: int = 128, rows: int = 1) -> None:
        self.width = width
        #: Where the first bin begins, microseconds since the Unix epoch.
        self.origin: int | None = None
        #: The latest time counted.
        self.last = 0
        self._counts = np.zeros((rows, max_bins), np.int64)
        self._used = 0

    @property
    def counts(self) -> Integers:
        """Shape (rows, bins), up to the last bin that is not empty."""
        return self._counts[:, : self._used]

    def add(self, times: Integers, row: int = 0) -> None:
        """Counts ascending times, microseconds since the Unix epoch, none before the first one that was counted."""
        if not times.size:
            return
        self._widen(int(times[0]))
        self._widen(int(times[-1]))
        first, last = self._bin(int(times[0])), self._bin(int(times[-1]))
        edges = (self.origin or 0) + np.arange(first + 1, last + 1) * self.width
        self._counts[row, first : last + 1] += np.diff(times.searchsorted(edges), prepend=0, append=times.size)
        self._used, self.last = max(self._used, last + 1), max(self.last, int(times[-1]))

    def count(self, number: int, time: int, row: int = 0) -> None:
        """Adds a number to the bin of one time."""
        if number:
            self._widen(time)
            self._counts[row, self._bin(time)] += number
            self._used, self.last = max(self._used, self._bin(time) + 1), max(self.last, time)

    def _bin(self, time: int) -> int:
        if self.origin is None:
            self.origin = time
        return max(time - self.origin, 0) // self.width

    def _widen(self, time: int) -> None:
        while self._bin(time) >= self._counts.shape[1]:
            halved = self._counts[:, ::2] + self._counts[:, 1::2]
            self._counts = np.concatenate([halved, np.zeros_like(halved)], axis=1)
            self._used //= 2
            self.width *= 2


class QuarterHours:
    """Counts by quarter of an hour, from which the counts by hour follow in any time zone."""

    def __init__(self) -> None:
        #: By quarter of an hour since the Unix epoch.
        self.counts: Counter[int] = Counter()

    def add(self, times: Integers) -> None:
        """Counts times, microseconds since the Unix epoch."""
        quarters, counts = np.unique(times // QUARTER, return_counts=True)
        for quarter, count in zip(quarters.tolist(), counts.tolist(), strict=True):
            self.counts[quarter] += count


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """Figures of a paced run at one moment: scheduled = emitted + dropped + not yet acknowledged by the bus."""

    start: int = 0
    """Virtual time of the beginning, microseconds since the Unix epoch."""
    began: int = 0
    """The same moment by the run's clock."""
    elapsed: float = 0.0
    """Seconds since then."""
    scheduled: int = 0
    """Events that were due."""
    emitted: int = 0
    """Events that the bus has acknowledged."""
    late: int = 0
    """Emitted events that were acknowledged more than `late_after` after their intended time."""
    dropped: int = 0
    """Events of chains that were dropped because they would have begun too late."""
    chains: int = 0
    """Chains whose first event is emitted."""
    chains_finished: int = 0
    """Chains whose last event is emitted."""
    chains_dropped: int = 0
    lag_p50_ms: float = 0.0
    """From the intended time to the acknowledgement; 0 at unlimited speed, which has no intended times."""
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0

    @property
    def chains_in_flight(self) -> int:
        return self.chains - self.chains_finished


class RunCounters:
    """The counters behind `RunStatistics`.

    Args:
        late_after: microseconds after its intended time from which an event is late.
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
        """Counts events that the bus has acknowledged.

        Args:
            count: their number, as reported by the bus.
            lags: microseconds after their intended times.
        """
        self._emitted += count
        self._late += int(np.count_nonzero(lags > self._late_after))
        self._lags.add(lags)
        self._begun += _roots(events)
        self._finished += int(np.count_nonzero(events.terminal))

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
