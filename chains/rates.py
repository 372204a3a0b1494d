"""A rate that changes with time, in pieces, and where its integral reaches a number.

The n-th chain begins when as many chains are due: where the area under the rate is n. Places on that scale are counted
in billionths of a chain, so that a rate of one chain a second makes one a nanosecond. Each piece is a straight line,
so its area is a quadratic function that a square root inverts. The operations used are rounded correctly by every CPU
and never fall as their argument rises: the times are the same everywhere, and in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from chains.batches import NEVER
from chains.randomness import Integers

Reals = npt.NDArray[np.float64]

CHAIN = 10**9
"""Places in a chain."""
MOST = 1 << 60
"""Places in a piece: sums of a few stay below 2^63."""
NEARLY_STEADY = 2.0**-20
"""Of its rate: a change below it would be lost in rounding, and moves no chain by a millionth of the piece."""


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

    def moved(self, place: int, time: int) -> Piece:
        return self._replace(place=self.place + place, time=self.time + time)


class Rate(Protocol):
    """A rate as pieces without gaps; after the last one no chain begins."""

    peak: float
    """Chains per second, hardly ever exceeded."""

    def from_place(self, place: int) -> Iterator[Piece]:
        """The pieces from the one in which a place lies."""
        ...

    def from_time(self, time: int) -> Iterator[Piece]:
        """The pieces from the one in which a time lies, nanoseconds since the start."""
        ...


class Segments:
    """Stretches of time one after the other, once or for ever.

    Args:
        stretches: seconds, and chains per second at their beginning and end.
    """

    def __init__(self, stretches: Sequence[tuple[float, float, float]], *, repeat: bool) -> None:
        self.peak = max(max(begin, end) for _, begin, end in stretches)
        self._repeat = repeat
        self._pieces: list[Piece] = []
        self._place = self._time = 0
        for duration, begin, end in stretches:
            self._add(round(duration * 1e9), begin, end)

    def from_place(self, place: int) -> Iterator[Piece]:
        return self._from(place // self._place, bisect_right([p.place for p in self._pieces], place % self._place))

    def from_time(self, time: int) -> Iterator[Piece]:
        return self._from(time // self._time, bisect_right([p.time for p in self._pieces], time % self._time))

    def _from(self, cycle: int, after: int) -> Iterator[Piece]:
        while self._repeat or not cycle:
            for piece in self._pieces[after - 1 :]:
                yield piece.moved(cycle * self._place, cycle * self._time)
            cycle, after = cycle + 1, 1

    def _add(self, lasts: int, begin: float, end: float) -> None:
        """Adds a stretch, in parts that are not too large to count with."""
        parts = int(max(begin, end) * lasts) // MOST + 1
        borders = [(lasts * part // parts, begin + (end - begin) * part / parts) for part in range(parts + 1)]
        for (since, low), (until, high) in pairwise(borders):
            piece = Piece(self._place, self._time, until - since, low, high)
            self._pieces.append(piece)
            self._place, self._time = self._place + piece.amount, self._time + piece.lasts


def times(rate: Rate, base: int, beyond: Integers) -> Integers:
    """When the integral of a rate reaches places.

    Args:
        base: what the places are counted from.
        beyond: the places, in order.

    Returns:
        Nanoseconds since the start, `NEVER` for places that are not reached.
    """
    pieces = list(_covering(rate, base, base + int(beyond[-1])))
    place, begins_at, lasts = np.array([(p.place - base, p.time, p.lasts) for p in pieces], np.int64).T
    begin, end = np.array([(p.begin, p.end) for p in pieces]).T
    slope = (end - begin) / np.maximum(lasts, 1)
    steady = abs(end - begin) <= NEARLY_STEADY * (begin + end)
    mean = np.where(steady & (begin + end > 0), (begin + end) / 2, 1.0)
    row = place.searchsorted(beyond, side="right") - 1
    inside = (beyond - place.take(row)).astype(np.float64)
    passed = inside / mean.take(row)
    bent = np.flatnonzero(~steady.take(row))
    if bent.size:
        passed[bent] = _inverted(inside.take(bent), begin.take(row.take(bent)), slope.take(row.take(bent)))
    whole: Integers = np.minimum(passed, lasts.take(row)).astype(np.int64)
    whole += begins_at.take(row)
    return whole


def place_at(rate: Rate, time: int) -> int:
    """The integral of a rate from the start to a time, nanoseconds since then."""
    for piece in rate.from_time(time):
        return piece.at(time)
    return max((piece.place + piece.amount for piece in rate.from_place(0)), default=0)


def _covering(rate: Rate, base: int, end: int) -> Iterator[Piece]:
    """The pieces in which places lie, and the end of all time if they run out."""
    last = None
    for piece in rate.from_place(base):
        if piece.place > end:
            return
        if piece.amount:
            yield (last := piece)
    place = base if last is None else last.place + last.amount
    if place <= end:
        yield Piece(place, NEVER, 0, 0.0, 0.0)


def _inverted(inside: Reals, begin: Reals, slope: Reals) -> Reals:
    """Where the area under a line that is `begin` high at its beginning is `inside`."""
    root = np.sqrt(np.maximum(begin * begin + (slope * 2) * inside, 0.0))
    return (root - begin) / slope
