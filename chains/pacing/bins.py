"""Counts over time that need the same little memory however long a run is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from eventbus.chains.randomness import Integers

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
