"""A rate that changes with time, in straight lines, and where its integral reaches a number.

The n-th chain begins when as many chains are due: where the area under the rate is n. Places on that scale are counted
in billionths of a chain, so that a rate of one chain a second makes one a nanosecond. The area under a straight line is
a quadratic function, which a square root inverts. The operations used are rounded correctly by every CPU and never fall
as their argument rises: the times are the same everywhere, and in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from eventbus.chains.arrivals.batches import NEVER
from eventbus.chains.randomness import Integers

Reals = npt.NDArray[np.float64]

CHAIN = 10**9
"""Places in a chain."""
MOST = 1 << 60
"""Places in a cycle, or in an hour of a profile: sums of a few stay below 2^63."""
NEARLY_STEADY = 2.0**-20
"""Of its rate: a change below it would be lost in rounding, and moves no chain by a millionth of the piece."""


class Rate(Protocol):
    """Chains per second, as it changes."""

    peak: float
    """Chains per second, hardly ever exceeded."""

    def times(self, base: int, beyond: Integers) -> Integers:
        """When the integral reaches places.

        Args:
            base: what the places are counted from.
            beyond: the places, in order.

        Returns:
            Nanoseconds since the start; `NEVER` for places that are not reached.
        """
        ...

    def place(self, time: int) -> int:
        """The integral from the start to a time, nanoseconds since then."""
        ...


class Piece(NamedTuple):
    """A stretch of time in which the rate is a straight line."""

    place: int
    """Where the integral is at its beginning."""
    time: int
    """Of its beginning, nanoseconds since the start."""
    lasts: int
    """Nanoseconds."""
    begin: float
    """Places per nanosecond, which are chains per second."""
    end: float

    @property
    def amount(self) -> int:
        """Places in it."""
        return int((self.begin + self.end) / 2 * self.lasts)

    def at(self, time: int) -> int:
        """The place at a time inside."""
        passed = time - self.time
        return self.place + int((self.begin + (self.end - self.begin) * passed / self.lasts / 2) * passed)


class Lines:
    """Pieces of a rate, one after the other, to be looked up together."""

    def __init__(self, pieces: Sequence[Piece], base: int = 0) -> None:
        #: Places are counted from the base.
        self._place = np.array([piece.place - base for piece in pieces])
        self._time = np.array([piece.time for piece in pieces])
        self._lasts = np.array([piece.lasts for piece in pieces])
        self._begin, end = np.array([(piece.begin, piece.end) for piece in pieces], np.float64).T
        self._steady = abs(end - self._begin) <= NEARLY_STEADY * (self._begin + end)
        self._mean = np.where(self._steady & (self._begin + end > 0), (self._begin + end) / 2, 1.0)
        self._slope = (end - self._begin) / np.maximum(self._lasts, 1)

    def times(self, places: Integers) -> Integers:
        """When the integral reaches places, which are not before the first piece."""
        row = self._place.searchsorted(places, side="right") - 1
        inside = (places - self._place.take(row)).astype(np.float64)
        passed = inside / self._mean.take(row)
        bent = np.flatnonzero(~self._steady.take(row))
        if bent.size:
            rows = row.take(bent)
            passed[bent] = _inverted(inside.take(bent), self._begin.take(rows), self._slope.take(rows))
        times: Integers = np.minimum(passed, self._lasts.take(row)).astype(np.int64)
        times += self._time.take(row)
        return times


class Segments:
    """Stretches of time one after the other, once or for ever.

    Args:
        stretches: seconds, and chains per second at their beginning and end; less than `MOST` places in all.
    """

    def __init__(self, stretches: Sequence[tuple[float, float, float]], *, repeat: bool) -> None:
        self.peak = max(max(begin, end) for _, begin, end in stretches)
        self._repeat = repeat
        self._pieces: list[Piece] = []
        self._places = self._time = 0
        for duration, begin, end in stretches:
            piece = Piece(self._places, self._time, round(duration * 1e9), begin, end)
            self._pieces.append(piece)
            self._places, self._time = self._places + piece.amount, self._time + piece.lasts
        self._lines = Lines([piece for piece in self._pieces if piece.amount])

    def times(self, base: int, beyond: Integers) -> Integers:
        cycle, inside = divmod(base, self._places)
        cycles, places = np.divmod(beyond + inside, self._places)
        times = self._lines.times(places)
        if not self._repeat:
            times[cycles + cycle > 0] = NEVER
            return times
        times += cycles * self._time
        times += cycle * self._time
        return times

    def place(self, time: int) -> int:
        cycle, inside = divmod(time, self._time)
        if cycle and not self._repeat:
            return self._places
        piece = self._pieces[bisect_right(self._pieces, inside, key=lambda piece: piece.time) - 1]
        return cycle * self._places + piece.at(inside)


def _inverted(inside: Reals, begin: Reals, slope: Reals) -> Reals:
    """Where the area under a line that is `begin` high at its beginning is `inside`."""
    root = np.sqrt(np.maximum(begin * begin + (slope * 2) * inside, 0.0))
    inverted: Reals = (root - begin) / slope
    return inverted
