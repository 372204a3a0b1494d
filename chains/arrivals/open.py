"""When chains begin in the open model: at a rate, whatever became of the chains before.

A chain's place is a whole number on a scale of its own, so that sums do not depend on where blocks begin. At a rate
that never changes, the places are nanoseconds themselves; else they are what the rate has to integrate to, and the
times follow from them (see `rates`).
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np

from eventbus.catalog import Exponential
from eventbus.catalog.errors import format_path
from eventbus.catalog.model import Arrivals as Model
from eventbus.catalog.model import ConstantRate, OpenWorkload, Spacing, Stages
from eventbus.catalog.validation.workload import arrivals_problems
from eventbus.chains.arrivals.closed import ClosedArrivals
from eventbus.chains.arrivals.rates import CHAIN, ArrivalRate, CalendarRate, PiecewiseLinearRate
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import HALF, Integers, Words, draw, purpose
from eventbus.chains.sampling import ConstantSampler, QuantileTable, Sampler, sampler
from eventbus.chains.statistics import quantile

# How chains lie on a scale of their own: by chance, regularly, evenly, or in bursts.


GAP_PURPOSE = purpose("arrival")


class ArrivalSpacing(Protocol):
    """How places follow each other."""

    def after(self, place: int, first: int, keys: Words) -> Integers:
        """As for `arrivals.Arrivals`."""
        ...


class IndependentGaps:
    """Each chain lies a gap beyond the one before; gaps are drawn independently."""

    def __init__(self, gap: Sampler) -> None:
        self._gap = gap

    def after(self, place: int, first: int, keys: Words) -> Integers:
        gaps = self._gap.at(draw(keys, GAP_PURPOSE))
        return gaps.cumsum(out=gaps)


class StratifiedGaps:
    """Each chain lies somewhere in a share of the scale that is all its own."""

    def after(self, place: int, first: int, keys: Words) -> Integers:
        places = draw(keys, GAP_PURPOSE) >> HALF
        places *= np.uint64(CHAIN)
        places >>= HALF
        inside = places.view(np.int64)
        inside += np.arange(keys.size) * CHAIN
        inside += first * CHAIN - place
        return inside


def compile_spacing(spacing: Spacing) -> ArrivalSpacing:
    """Steps whose mean is a chain."""
    match spacing.name:
        case "poisson":
            return IndependentGaps(sampler(Exponential(mean=CHAIN), unit=1))
        case "regular":
            return IndependentGaps(ConstantSampler(CHAIN))
        case "even":
            return StratifiedGaps()
        case "gamma":
            return IndependentGaps(_gamma(spacing.cv))


@cache
def _gamma(cv: float) -> Sampler:
    gap = quantile(cv)
    return QuantileTable(lambda probability: gap(probability) * CHAIN, 1)


SLOWEST, FASTEST = 1e-3, 1e7
INITIAL_CHAINS = 20
DAY, SOME = 86_400.0, 1e9
"""Seconds, and chains at most, in a cycle of a rate that never changes."""


class OpenArrivals(Protocol):
    """Where chains lie, and when that is."""

    rate: float
    """Chains per second, when there are many."""
    at_once: int
    """Chains that begin at the start."""

    def after(self, place: int, first: int, keys: Words) -> Integers:
        """How far consecutive chains lie beyond the one before them.

        Args:
            place: of the chain before them; 0: the start.
            first: index of the first of them.
            keys: their random keys.
        """
        ...

    def times(self, place: int, beyond: Integers) -> Integers:
        """Nanoseconds from the start to chains that lie as far beyond a place; `NEVER` if they do not begin."""
        ...

    def expected(self, time: int) -> float:
        """How many chains begin in so many nanoseconds from the start, on average."""
        ...


class HomogeneousArrivals:
    """One rate for ever: places are nanoseconds.

    Args:
        rate: chains per second.
    """

    def __init__(self, gap: Sampler, rate: float) -> None:
        self.rate, self.at_once = rate, 0
        self._steps = IndependentGaps(gap)

    def after(self, place: int, first: int, keys: Words) -> Integers:
        return self._steps.after(place, first, keys)

    def times(self, place: int, beyond: Integers) -> Integers:
        return beyond + place

    def expected(self, time: int) -> float:
        return max(time, 0) / 1e9 * self.rate


class InhomogeneousArrivals:
    """A rate that changes: places are billionths of a chain."""

    def __init__(self, steps: ArrivalSpacing, rate: ArrivalRate) -> None:
        self.rate, self.at_once = rate.peak, 0
        self._steps = steps
        self._course = rate

    def after(self, place: int, first: int, keys: Words) -> Integers:
        return self._steps.after(place, first, keys)

    def times(self, place: int, beyond: Integers) -> Integers:
        return self._course.times(place, beyond)

    def expected(self, time: int) -> float:
        return self._course.place(time) / CHAIN if time > 0 else 0.0


class InitialBurst:
    """Some chains all at the start, the others as `then` says.

    Args:
        count: how many begin at once.
    """

    def __init__(self, count: int, then: OpenArrivals) -> None:
        if count < 0:
            raise InvalidSetting(f"expected at least 0 initial chains, got {count}")
        self.rate, self.at_once = then.rate, count
        self._then = then

    def after(self, place: int, first: int, keys: Words) -> Integers:
        early = min(max(self.at_once - first, 0), keys.size)
        if early == keys.size:
            return np.zeros(early, np.int64)
        later = self._then.after(place, max(first - self.at_once, 0), keys[early:])
        return np.concatenate([np.zeros(early, np.int64), later])

    def times(self, place: int, beyond: Integers) -> Integers:
        return self._then.times(place, beyond)

    def expected(self, time: int) -> float:
        return self._then.expected(time) + (self.at_once if time > 0 else 0)


def poisson(rate: float) -> OpenArrivals:
    """Chains that begin independently of each other.

    Args:
        rate: chains per second.

    Raises:
        InvalidSetting: the rate is outside 0.001 to 10,000,000 chains per second.
    """
    if not SLOWEST <= rate <= FASTEST:
        raise InvalidSetting(f"expected a rate of {SLOWEST} to {FASTEST:,.0f} chains per second, got {rate}")
    return HomogeneousArrivals(sampler(Exponential(mean=1e9 / rate), unit=1), rate)


def constant(interval: float) -> OpenArrivals:
    """One chain every `interval` seconds; the first of them one interval after the start.

    Raises:
        InvalidSetting: the interval is outside 0.1 µs to 1,000 s.
    """
    if not 1 / FASTEST <= interval <= 1 / SLOWEST:
        raise InvalidSetting(f"expected an interval of {1 / FASTEST} to {1 / SLOWEST:,.0f} seconds, got {interval}")
    return HomogeneousArrivals(ConstantSampler(round(interval * 1e9)), 1 / interval)


def compile_arrivals(arrivals: Model, start: int) -> OpenArrivals | ClosedArrivals:
    """Arrivals of the catalog, ready to be worked out.

    Args:
        start: of the run, nanoseconds since the Unix epoch.

    Raises:
        InvalidSetting: the arrivals make no sense.
    """
    for place, problem in arrivals_problems(arrivals):
        raise InvalidSetting(f"arrivals: {format_path(place)}: {problem}")
    if not isinstance(arrivals, OpenWorkload):
        return ClosedArrivals(arrivals)
    rate, spacing = arrivals.rate, arrivals.spacing
    match rate:
        case ConstantRate(rate=number) if spacing.name == "poisson" and number >= SLOWEST:
            return poisson(number)
        case ConstantRate(rate=number):
            return InhomogeneousArrivals(
                compile_spacing(spacing), PiecewiseLinearRate([(min(DAY, SOME / number), number, number)], repeat=True)
            )
        case Stages(stages=stages, repeat=repeat):
            stretches = [(stage.duration, stage.begin, stage.end) for stage in stages]
            return InhomogeneousArrivals(compile_spacing(spacing), PiecewiseLinearRate(stretches, repeat=repeat))
        case _:
            return InhomogeneousArrivals(compile_spacing(spacing), CalendarRate(rate, start))


def compile_paced_arrivals(
    model: Model | None, start: int, *, initial_chains: int | None, interval: float, rate: float | None
) -> OpenArrivals | ClosedArrivals:
    """The arrivals of a paced run (arguments: see `ChainGenerator.run`)."""
    if model is None:
        then = constant(interval) if rate is None else poisson(rate)
        return InitialBurst(INITIAL_CHAINS if initial_chains is None else initial_chains, then)
    open_or_closed = compile_arrivals(model, start)
    if not isinstance(open_or_closed, ClosedArrivals):
        return InitialBurst(initial_chains or 0, open_or_closed)
    if initial_chains:
        raise InvalidSetting(f"expected no initial chains where there are users, got {initial_chains}")
    return open_or_closed
