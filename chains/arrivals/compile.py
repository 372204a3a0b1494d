"""Compiles the arrivals of a catalog or scenario: how chains are spaced, at which rate, or which users begin them."""

from __future__ import annotations

import math
from functools import cache
from typing import Protocol

import numpy as np

from eventbus.catalog import Exponential
from eventbus.catalog.errors import format_path
from eventbus.catalog.model import Arrivals, ConstantRate, OpenWorkload, Spacing, Stages
from eventbus.catalog.validation.workload import arrivals_problems
from eventbus.chains.arrivals.process import ClosedArrivals, OpenArrivals
from eventbus.chains.arrivals.rates import CHAIN, ArrivalRate, CalendarRate, PiecewiseLinearRate
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import HALF, Integers, Words, draw, purpose
from eventbus.chains.sampling import ConstantSampler, QuantileTable, Sampler, sampler
from eventbus.chains.statistics import gamma_quantile

# Spacing: the offsets of chains on the scale of positions, on average one `CHAIN` apart.


GAP_PURPOSE = purpose("arrival")


class ArrivalSpacing(Protocol):
    """How positions follow each other."""

    def offsets(self, position: int, first: int, keys: Words) -> Integers:
        """As for `process.OpenArrivals`."""
        ...


class IndependentGaps:
    """Gaps between consecutive chains are drawn independently (a renewal process)."""

    def __init__(self, gap: Sampler) -> None:
        self._gap = gap

    def offsets(self, position: int, first: int, keys: Words) -> Integers:
        gaps = self._gap.at(draw(keys, GAP_PURPOSE))
        return gaps.cumsum(out=gaps)


class Stratified:
    """Exactly one arrival, uniformly placed, in each unit of the cumulative rate."""

    def offsets(self, position: int, first: int, keys: Words) -> Integers:
        words = draw(keys, GAP_PURPOSE) >> HALF
        words *= np.uint64(CHAIN)
        words >>= HALF
        offsets = words.view(np.int64)
        offsets += np.arange(keys.size) * CHAIN
        offsets += first * CHAIN - position
        return offsets


def compile_spacing(spacing: Spacing) -> ArrivalSpacing:
    """The spacing of a name."""
    match spacing.name:
        case "poisson":
            return IndependentGaps(sampler(Exponential(mean=CHAIN), unit=1))
        case "regular":
            return IndependentGaps(ConstantSampler(CHAIN))
        case "even":
            return Stratified()
        case "gamma":
            return IndependentGaps(_gamma_gaps(spacing.cv))


@cache
def _gamma_gaps(cv: float) -> Sampler:
    quantile = gamma_quantile(cv)
    return QuantileTable(lambda probability: quantile(probability) * CHAIN, 1)


# Arrivals: a spacing at a rate.


MIN_RATE, MAX_RATE = 1e-3, 1e7
INITIAL_CHAINS = 20
CYCLE_SECONDS, CYCLE_CHAINS = 86_400.0, 1e9
"""Maximum length of a cycle by which a constant rate is represented."""


class HomogeneousArrivals:
    """A constant rate: positions are nanoseconds.

    Args:
        gap: between two chains, nanoseconds.
        rate: chains per second.
        dispersion: as for `process.OpenArrivals`.
    """

    def __init__(self, gap: Sampler, rate: float, dispersion: float) -> None:
        self.rate, self.initial_chains, self.dispersion = rate, 0, dispersion
        self._spacing = IndependentGaps(gap)

    def offsets(self, position: int, first: int, keys: Words) -> Integers:
        return self._spacing.offsets(position, first, keys)

    def times(self, position: int, offsets: Integers) -> Integers:
        return offsets + position

    def expected(self, time: int) -> float:
        return max(time, 0) / 1e9 * self.rate


class InhomogeneousArrivals:
    """A rate that changes over time: positions are billionths of the expected number of chains."""

    def __init__(self, spacing: Spacing, rate: ArrivalRate) -> None:
        self.rate, self.initial_chains, self.dispersion = rate.peak, 0, spacing.dispersion
        self._spacing = compile_spacing(spacing)
        self._rate = rate

    def offsets(self, position: int, first: int, keys: Words) -> Integers:
        return self._spacing.offsets(position, first, keys)

    def times(self, position: int, offsets: Integers) -> Integers:
        return self._rate.times(position, offsets)

    def expected(self, time: int) -> float:
        return self._rate.cumulative(time) / CHAIN if time > 0 else 0.0


class InitialBurst:
    """Some chains at the start, followed by other arrivals.

    Args:
        count: chains that begin at the start.
    """

    def __init__(self, count: int, following: OpenArrivals) -> None:
        if count < 0:
            raise InvalidSetting(f"expected at least 0 initial chains, got {count}")
        self.rate, self.initial_chains, self.dispersion = following.rate, count, following.dispersion
        self._following = following

    def offsets(self, position: int, first: int, keys: Words) -> Integers:
        initial = min(max(self.initial_chains - first, 0), keys.size)
        if initial == keys.size:
            return np.zeros(initial, np.int64)
        following = self._following.offsets(position, max(first - self.initial_chains, 0), keys[initial:])
        return np.concatenate([np.zeros(initial, np.int64), following])

    def times(self, position: int, offsets: Integers) -> Integers:
        return self._following.times(position, offsets)

    def expected(self, time: int) -> float:
        return self._following.expected(time) + (self.initial_chains if time > 0 else 0)


def poisson(rate: float) -> OpenArrivals:
    """A Poisson process: chains begin independently of each other.

    Args:
        rate: chains per second.

    Raises:
        InvalidSetting: the rate is outside 0.001 to 10,000,000 chains per second.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InvalidSetting(f"expected a rate of {MIN_RATE} to {MAX_RATE:,.0f} chains per second, got {rate}")
    return HomogeneousArrivals(sampler(Exponential(mean=1e9 / rate), unit=1), rate, 1.0)


def constant(interval: float) -> OpenArrivals:
    """One chain every `interval` seconds; the first of them one interval after the start.

    Raises:
        InvalidSetting: the interval is outside 0.1 µs to 1,000 s.
    """
    if not 1 / MAX_RATE <= interval <= 1 / MIN_RATE:
        raise InvalidSetting(f"expected an interval of {1 / MAX_RATE} to {1 / MIN_RATE:,.0f} seconds, got {interval}")
    return HomogeneousArrivals(ConstantSampler(round(interval * 1e9)), 1 / interval, 0.0)


def compile_arrivals(arrivals: Arrivals, start: int) -> OpenArrivals | ClosedArrivals:
    """The compiled form of arrivals.

    Args:
        start: of the run, nanoseconds since the Unix epoch.

    Raises:
        InvalidSetting: the arrivals are invalid.
    """
    for path, problem in arrivals_problems(arrivals):
        raise InvalidSetting(f"arrivals: {format_path(path)}: {problem}")
    if not isinstance(arrivals, OpenWorkload):
        return ClosedArrivals(arrivals)
    rate, spacing = arrivals.rate, arrivals.spacing
    match rate:
        case ConstantRate(rate=number) if spacing.name == "poisson" and number >= MIN_RATE:
            return poisson(number)
        case ConstantRate(rate=number):
            cycle = [(min(CYCLE_SECONDS, CYCLE_CHAINS / number), number, number)]
            return InhomogeneousArrivals(spacing, PiecewiseLinearRate(cycle, repeat=True))
        case Stages(stages=stages, repeat=repeat):
            segments = [(stage.duration, stage.begin, stage.end) for stage in stages]
            return InhomogeneousArrivals(spacing, PiecewiseLinearRate(segments, repeat=repeat))
        case _:
            return InhomogeneousArrivals(spacing, CalendarRate(rate, start))


def compile_paced_arrivals(
    *, start: int, initial_chains: int, arrivals: Arrivals | None, rate: float | None, interval: float | None
) -> OpenArrivals | ClosedArrivals:
    """The arrivals of a paced run: some chains at once, then as one of the other arguments says.

    Args:
        start: of the run, nanoseconds since the Unix epoch.
        initial_chains: chains that begin at once.
        rate: further chains per second, as a Poisson process.
        interval: seconds between further chains.

    Raises:
        InvalidSetting: an argument is out of range, or users are to have chains that begin at once.
    """
    if arrivals is not None:
        compiled = compile_arrivals(arrivals, start)
    elif rate is not None:
        compiled = poisson(rate)
    else:
        assert interval is not None
        compiled = constant(interval)
    if not isinstance(compiled, ClosedArrivals):
        return InitialBurst(initial_chains, compiled)
    if initial_chains:
        raise InvalidSetting(
            f"initial_chains and users contradict each other: each user has one chain at a time, got {initial_chains}"
            " initial chains"
        )
    return compiled


# Exclusive variables: how many chains may begin while another one lasts.


DEVIATIONS, SPARE = 8, 30
"""Standard deviations by which the number of chains in some time may exceed its mean, and a number for the skewness of
rare arrivals: it exceeds both in fewer than one of 10^12 times."""


def concurrent_chains(arrivals: OpenArrivals | ClosedArrivals, longest: float) -> int:
    """A number such that, of as many consecutive chains, the first is over before the next one begins.

    In the closed model these are chains of one user; in the open one it is all but certain, and certain for arrivals at
    even distances.

    Args:
        longest: duration of the longest chain, seconds.
    """
    if isinstance(arrivals, ClosedArrivals):
        return arrivals.users
    mean, dispersion = arrivals.rate * longest, arrivals.dispersion
    return (
        math.ceil(mean + DEVIATIONS * math.sqrt(mean * dispersion) + SPARE * dispersion) + 2 + arrivals.initial_chains
    )
