"""When chains begin: gaps between arrivals in whole nanoseconds, so that sums do not depend on where blocks begin."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from catalog import Exponential
from chains.delays import sampler
from chains.errors import InvalidSetting
from chains.randomness import Integers, Words, draw, purpose

GAP_PURPOSE = purpose("arrival")
SLOWEST, FASTEST = 1e-3, 1e7


class Arrivals(Protocol):
    """The gaps before chains; an arrival is the sum of all gaps up to its own."""

    rate: float
    """Chains per second in the long run."""

    def gaps(self, chain: Integers, keys: Words) -> Integers:
        """Nanoseconds between each chain's predecessor (for chain 0: the start) and the chain.

        Args:
            chain: indices of the chains.
            keys: their random keys.
        """
        ...


class Poisson:
    """Independent arrivals.

    Args:
        rate: chains per second.

    Raises:
        InvalidSetting: the rate is outside 0.001 to 10,000,000 chains per second.
    """

    def __init__(self, rate: float) -> None:
        if not SLOWEST <= rate <= FASTEST:
            raise InvalidSetting(f"expected a rate of {SLOWEST} to {FASTEST:,.0f} chains per second, got {rate}")
        self.rate = rate
        self._gap = sampler(Exponential(mean=1e9 / rate), unit=1)

    def gaps(self, chain: Integers, keys: Words) -> Integers:
        return self._gap.at(draw(keys, GAP_PURPOSE))


class Regular:
    """One chain every `interval` seconds; the first of them one interval after the start.

    Raises:
        InvalidSetting: the interval is outside 0.1 µs to 1,000 s.
    """

    def __init__(self, interval: float) -> None:
        if not 1 / FASTEST <= interval <= 1 / SLOWEST:
            raise InvalidSetting(f"expected an interval of {1 / FASTEST} to {1 / SLOWEST:,.0f} seconds, got {interval}")
        self.rate = 1 / interval
        self._gap = round(interval * 1e9)

    def gaps(self, chain: Integers, keys: Words) -> Integers:
        return np.full(chain.size, self._gap, np.int64)


class AtOnce:
    """Some chains all at the start, the others as `then` says.

    Args:
        count: how many begin at once.
    """

    def __init__(self, count: int, then: Arrivals) -> None:
        if count < 0:
            raise InvalidSetting(f"expected at least 0 initial chains, got {count}")
        self.rate = then.rate
        self._count = count
        self._then = then

    def gaps(self, chain: Integers, keys: Words) -> Integers:
        gaps = self._then.gaps(chain, keys)
        gaps[chain < self._count] = 0
        return gaps
