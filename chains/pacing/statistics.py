"""What a paced run has done so far: the account, and the figures of one moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.table import EventTable

# How late events were: a histogram of constant size with two digits of precision at any scale.


FINE = 64
"""Buckets in each power of two: a bucket is at most 1/64 of its value wide."""
BUCKETS = 50 * FINE
BARS = np.array([0, 8, 16, 32, *(FINE * octave + part for octave in range(1, 50) for part in (0, 12, 27, 44))])
"""The first bucket of each bar of a chart: four bars for each doubling, as wide as each other on a logarithmic axis."""


class LagHistogram:
    """Counts of microseconds in log-linear buckets (as HdrHistogram has them)."""

    def __init__(self, counts: Integers | None = None) -> None:
        self._counts = np.zeros(BUCKETS, np.int64) if counts is None else counts
        #: The longest, exactly.
        self.maximum = 0

    def add(self, lags: Integers) -> None:
        """Count some lags, microseconds; negative ones as 0."""
        if lags.size:
            lags = np.maximum(lags, 0)
            self.maximum = max(self.maximum, int(lags.max()))
            self._counts += np.bincount(_bucket(lags), minlength=BUCKETS)

    def quantile(self, share: float) -> int:
        """The lag that this share of all does not exceed (the upper end of its bucket); 0 when there are none."""
        reached = self._counts.cumsum()
        if not reached[-1]:
            return 0
        bucket = int(reached.searchsorted(share * reached[-1]))
        return min(_upper_end(bucket), self.maximum)

    def bars(self) -> list[tuple[int, int, int]]:
        """For a chart: from, up to, and how many; from the first bar with something in it to the last."""
        counts = np.add.reduceat(self._counts, BARS)
        some = np.flatnonzero(counts)
        if not some.size:
            return []
        ends = [_upper_end(bucket - 1) + 1 for bucket in [*BARS.tolist(), BUCKETS]][int(some[0]) : int(some[-1]) + 2]
        shown = counts[some[0] : some[-1] + 1].tolist()
        return list(zip(ends[:-1], ends[1:], shown, strict=True))


class LagHistograms:
    """Several histograms, counted together in one go."""

    def __init__(self, number: int) -> None:
        self._counts = np.zeros((number, BUCKETS), np.int64)
        self._maxima = np.zeros(number, np.int64)
        self._each = [LagHistogram(row) for row in self._counts]

    def add(self, which: Integers, lags: Integers) -> None:
        """Count some lags, microseconds and none below 0, each in its histogram."""
        places = which * BUCKETS + _bucket(lags)
        self._counts += np.bincount(places, minlength=self._counts.size).reshape(self._counts.shape)
        np.maximum.at(self._maxima, which, lags)

    def each(self) -> list[LagHistogram]:
        """The histograms; they go on being counted."""
        for histogram, maximum in zip(self._each, self._maxima.tolist(), strict=True):
            histogram.maximum = maximum
        return self._each


def _bucket(lags: Integers) -> Integers:
    """The upper seven bits of each number, after as many shifts as make them the only ones."""
    lags = np.minimum(lags, (1 << 50) - 1)
    shift = np.maximum(np.frexp(lags)[1].astype(np.int64) - 7, 0)
    bucket: Integers = shift * FINE + (lags >> shift)
    return bucket


def _upper_end(bucket: int) -> int:
    shift = max(bucket // FINE - 1, 0)
    return ((bucket - shift * FINE + 1) << shift) - 1


# Counts over time that need the same little memory however long a run is.


SECOND = 1_000_000
QUARTER = 900 * SECOND
"""Of an hour, microseconds: every time zone is a whole number of them away from UTC."""


class TimeBins:
    """Counts in bins of equal width, which doubles whenever there would be too many.

    Args:
        width: of the first bins, microseconds.
        most: bins; an even number.
        rows: how many things are counted, in the same bins.
    """

    def __init__(self, width: int = SECOND // 4, most: int = 128, rows: int = 1) -> None:
        self.width = width
        #: Where the first bin begins, microseconds since the Unix epoch.
        self.origin: int | None = None
        #: The latest time counted.
        self.last = 0
        self._counts = np.zeros((rows, most), np.int64)
        self._used = 0

    @property
    def counts(self) -> Integers:
        """Shape (rows, bins), up to the last bin with something in it."""
        return self._counts[:, : self._used]

    def add(self, times: Integers, row: int = 0) -> None:
        """Count ascending times, microseconds since the Unix epoch; none before the first ever counted."""
        if not times.size:
            return
        self._widen(int(times[0]))
        self._widen(int(times[-1]))
        first, last = self._bin(int(times[0])), self._bin(int(times[-1]))
        edges = (self.origin or 0) + np.arange(first + 1, last + 1) * self.width
        self._counts[row, first : last + 1] += np.diff(times.searchsorted(edges), prepend=0, append=times.size)
        self._used, self.last = max(self._used, last + 1), max(self.last, int(times[-1]))

    def count(self, number: int, time: int, row: int = 0) -> None:
        """Count so many at one time."""
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
    """Counts by quarters of an hour, from which hours of the day follow in any time zone."""

    def __init__(self) -> None:
        #: By quarters of an hour since the Unix epoch.
        self.counts: Counter[int] = Counter()

    def add(self, times: Integers) -> None:
        """Count times, microseconds since the Unix epoch."""
        quarters, counts = np.unique(times // QUARTER, return_counts=True)
        for quarter, count in zip(quarters.tolist(), counts.tolist(), strict=True):
            self.counts[quarter] += count


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


class RunCounters:
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
