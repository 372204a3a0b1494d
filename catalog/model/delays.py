"""Distributions of delays, in milliseconds."""

from __future__ import annotations

import math
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
    low = _cdf(delay, delay.minimum)
    inside = _cdf(delay, bound) - low
    high = 1.0 if delay.maximum is None else _cdf(delay, delay.maximum)
    return (inside / (high - low), replace(delay, maximum=bound)) if inside > MIN_PROBABILITY else (0.0, delay)


def _cdf(delay: Exponential | LogNormal, bound: float) -> float:
    """The cumulative distribution function of a delay, without truncation."""
    if isinstance(delay, Exponential):
        return -math.expm1(-bound / delay.mean)
    sigma = math.log(delay.p95 / delay.median) / NormalDist().inv_cdf(0.95)
    return NormalDist(math.log(delay.median), sigma).cdf(math.log(bound)) if bound > 0 else 0.0
