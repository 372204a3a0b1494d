"""Distributions of delays, in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Uniform between two bounds."""

    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Always the same."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Exponential with a mean; truncated to its bounds, whose mass is redistributed between them."""

    mean: float
    minimum: float = 0.0
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """Log-normal, given by its median and 95th percentile before it is truncated to its bounds."""

    median: float
    p95: float
    minimum: float = 0.0
    maximum: float | None = None


Delay = Uniform | Fixed | Exponential | LogNormal

MIN_PROBABILITY = 1e-9
"""`truncate` treats a smaller share of a distribution as none."""


def scale(delay: Delay, factor: float) -> Delay:
    """The distribution of a delay multiplied by a factor."""
    if isinstance(delay, Fixed):
        return Fixed(value=delay.value * factor)
    low, high = delay.minimum * factor, None if delay.maximum is None else delay.maximum * factor
    if isinstance(delay, Exponential):
        return Exponential(mean=delay.mean * factor, minimum=low, maximum=high)
    if isinstance(delay, LogNormal):
        return LogNormal(median=delay.median * factor, p95=delay.p95 * factor, minimum=low, maximum=high)
    return Uniform(minimum=low, maximum=delay.maximum * factor)


def truncate(delay: Delay, bound: float) -> tuple[float, Delay]:
    """The probability that a delay is at most a bound, and the distribution of the delays that are.

    If the probability is 0, the second value is the delay unchanged and has no meaning.
    """
    if isinstance(delay, Fixed):
        return float(delay.value <= bound), delay
    if delay.maximum is not None and delay.maximum <= bound:
        return 1.0, delay
    if bound <= delay.minimum:
        return 0.0, delay
    if isinstance(delay, Uniform):
        share = (bound - delay.minimum) / (delay.maximum - delay.minimum)
        return share, replace(delay, maximum=bound)
    low, high = _bounds(delay)
    inside = _cdf(delay, bound) - low
    return (inside / (high - low), replace(delay, maximum=bound)) if inside > MIN_PROBABILITY else (0.0, delay)


# Quantiles of skewed distributions, which the generator samples through a table of their values.

Quantile = Callable[[float], float]

CELLS = 4096
"""Equally probable cells of the table; the last one, the tail, is divided into another 4,096."""
OPEN_END = 1 - 2.0**-25
"""The quantile at which a distribution without an upper bound is cut."""
BELOW_ONE = 1 - 2.0**-53
"""The largest probability that has a quantile."""
MAX_FACTOR = 100.0
"""The largest 95th percentile of speed factors."""


def quantile(delay: Exponential | LogNormal) -> Quantile:
    """The quantile function of a delay, truncated to its bounds, which must leave `mass` (see there)."""
    low, high = _bounds(delay)

    def share(p: float) -> float:
        return min(low + (high - low) * p, BELOW_ONE)

    if isinstance(delay, Exponential):
        mean = delay.mean
        return lambda p: -mean * math.log1p(-share(p))
    normal = _logarithm(delay)
    return lambda p: _exp(normal.inv_cdf(q)) if (q := share(p)) > 0 else 0.0


def speed_factor(p95: float) -> LogNormal:
    """The distribution of the factors by which the items of a list are slower or faster; its median is 1."""
    return LogNormal(median=1.0, p95=p95)


def mass(delay: Exponential | LogNormal) -> float:
    """The share of a distribution that its bounds leave."""
    low, high = _bounds(delay)
    return high - low


def longest(delay: Delay) -> float:
    """The longest delay that the generator samples."""
    if isinstance(delay, Fixed):
        return delay.value
    return delay.maximum if isinstance(delay, Uniform) else quantile(delay)(OPEN_END)


def widest_cell(delay: Exponential | LogNormal) -> float:
    """The largest difference between the edges of a cell of the table.

    The density of both distributions has one peak, so the widest cells are the first or the last ones.
    """
    at = quantile(delay)
    last, tail = 1 - 1 / CELLS, 1 - 1 / CELLS**2
    edges = ((0.0, 1 / CELLS), (last - 1 / CELLS, last), (last, last + 1 / CELLS**2), (tail - 1 / CELLS**2, tail))
    return max(at(high) - at(low) for low, high in edges)


def _bounds(delay: Exponential | LogNormal) -> tuple[float, float]:
    """The cumulative probabilities of the bounds of a delay."""
    return _cdf(delay, delay.minimum), 1.0 if delay.maximum is None else _cdf(delay, delay.maximum)


def _cdf(delay: Exponential | LogNormal, bound: float) -> float:
    """The cumulative distribution function of a delay, without truncation."""
    if isinstance(delay, Exponential):
        return -math.expm1(-bound / delay.mean)
    return _logarithm(delay).cdf(math.log(bound)) if bound > 0 else 0.0


def _exp(power: float) -> float:
    try:
        return math.exp(power)
    except OverflowError:
        return math.inf


def _logarithm(delay: LogNormal) -> NormalDist:
    """The normal distribution of a delay's logarithm."""
    return NormalDist(math.log(delay.median), math.log(delay.p95 / delay.median) / NormalDist().inv_cdf(0.95))
