"""Delays from random words with integers alone, so that the same seed gives the same times on every machine.

A delay is a table of its quantile function, made once when a catalog is compiled; drawing is a look-up and a linear
interpolation. Logarithms are taken only here, and the rounding to whole units hides the last bit, in which C
libraries differ. Vectorised logarithms at run time would not be safe: their last bit depends on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from chains.errors import InvalidSetting
from chains.randomness import Integers, Words

CELLS = 4096
CELL_SHIFT = np.uint64(52)
"""The upper 12 bits of a word choose the cell, ..."""
INSIDE_SHIFT, INSIDE_BITS = np.uint64(32), 20
"""... the next 20 the place inside it ..."""
TAIL_BITS = 8
"""... of which, in the last cell, 12 choose a cell of the tail and 8 the place inside that."""
WIDEST = 1 << 43
"""A cell's width in units; more would overflow 63 bits when multiplied with the place."""
OPEN_END = 1 - 2.0**-25
"""Where a distribution without upper bound is cut."""

Quantile = Callable[[float], float]


class DelayTable:
    """A distribution of delays in whole units (microseconds for delays, nanoseconds for gaps between arrivals).

    Args:
        delay: the distribution, in milliseconds.
        unit: units in a millisecond.

    Raises:
        InvalidSetting: the delay is longer than the table can hold.
    """

    def __init__(self, delay: Delay, unit: int = 1000) -> None:
        self.fixed = round(delay.value * unit) if isinstance(delay, Fixed) else None
        quantile = _quantile(delay)
        has_tail = isinstance(delay, Exponential | LogNormal)
        end = round(quantile(OPEN_END if has_tail else 1.0) * unit)
        cells = 1 if self.fixed is not None else CELLS
        self.edges, self.widths = _cells([*(round(quantile(i / cells) * unit) for i in range(cells)), end])
        self.tail: tuple[Integers, Integers] | None = None
        if has_tail:
            self.tail = _cells([*(round(quantile(1 - (1 - i / cells) / cells) * unit) for i in range(cells)), end])
        self.maximum = end
        widest = max(self.widths[: cells - has_tail].max(initial=0), self.tail[1].max() if self.tail else 0)
        if not 0 <= widest < WIDEST:
            raise InvalidSetting(f"expected delays whose spread is below {WIDEST // unit:,} ms, got {delay}")

    def at(self, words: Words) -> Integers:
        """The delay of each random word."""
        if self.fixed is not None:
            return np.full(words.size, self.fixed, np.int64)
        cell = (words >> CELL_SHIFT).view(np.int64)
        inside = (words >> INSIDE_SHIFT).view(np.int64)
        inside &= (1 << INSIDE_BITS) - 1
        delays = self.widths.take(cell)
        delays *= inside
        delays >>= INSIDE_BITS
        delays += self.edges.take(cell)
        if self.tail is not None:
            last = np.flatnonzero(cell == CELLS - 1)
            if last.size:
                delays[last] = self._in_tail(*self.tail, inside.take(last))
        return delays

    @staticmethod
    def _in_tail(edges: Integers, widths: Integers, inside: Integers) -> Integers:
        cell = inside >> TAIL_BITS
        delays = widths.take(cell) * (inside & ((1 << TAIL_BITS) - 1))
        delays >>= TAIL_BITS
        return edges.take(cell) + delays


def _cells(edges: list[int]) -> tuple[Integers, Integers]:
    every = np.array(edges, np.int64)
    return every[:-1].copy(), np.diff(every)


def _quantile(delay: Delay) -> Quantile:
    """From probability to milliseconds; bounds cut the probability, so that one draw is always enough."""
    match delay:
        case Fixed(value=value):
            return lambda p: value
        case Uniform(minimum=low, maximum=high):
            return lambda p: low + (high - low) * p
        case Exponential(mean=mean):
            return _truncated(delay, lambda p: -mean * math.log1p(-p), lambda x: -math.expm1(-x / mean))
        case LogNormal(median=median, p95=p95):
            if p95 <= median:
                raise InvalidSetting(f"expected a 95th percentile above the median, got {delay}")
            normal = NormalDist(math.log(median), math.log(p95 / median) / NormalDist().inv_cdf(0.95))
            return _truncated(
                delay,
                lambda p: math.exp(normal.inv_cdf(p)) if p > 0 else 0.0,
                lambda x: normal.cdf(math.log(x)) if x > 0 else 0.0,
            )


def _truncated(delay: Exponential | LogNormal, quantile: Quantile, probability: Quantile) -> Quantile:
    low = probability(delay.minimum)
    high = 1.0 if delay.maximum is None else probability(delay.maximum)
    if high - low < 1e-9:
        raise InvalidSetting(f"expected bounds that leave some of the distribution, got {delay}")
    return lambda p: quantile(low + (high - low) * p)
