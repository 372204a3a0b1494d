"""How late events were: a histogram of constant size with two digits of precision at any scale."""

from __future__ import annotations

import numpy as np

from eventbus.chains.randomness import Integers

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
