"""Distributions of delays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Evenly between two bounds, milliseconds."""

    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Always the same, milliseconds."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Exponential with a mean, milliseconds, truncated to the bounds in quantile space."""

    mean: float
    minimum: float = 0.0
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """Log-normal given by its median and 95th percentile, milliseconds, truncated in quantile space."""

    median: float
    p95: float
    minimum: float = 0.0
    maximum: float | None = None


Delay = Uniform | Fixed | Exponential | LogNormal


def scale(delay: Delay, factor: float) -> Delay:
    """The same distribution, each delay multiplied with a factor."""
    if isinstance(delay, Fixed):
        return Fixed(value=delay.value * factor)
    low, high = delay.minimum * factor, None if delay.maximum is None else delay.maximum * factor
    if isinstance(delay, Exponential):
        return Exponential(mean=delay.mean * factor, minimum=low, maximum=high)
    if isinstance(delay, LogNormal):
        return LogNormal(median=delay.median * factor, p95=delay.p95 * factor, minimum=low, maximum=high)
    return Uniform(minimum=low, maximum=delay.maximum * factor)


MIN_PROBABILITY = 1e-9
"""Less of a distribution than this cannot be drawn from."""


def truncate(delay: Delay, bound: float) -> tuple[float, Delay]:
    """The probability that a delay is at most a bound (milliseconds), and the distribution of those that are.

    With a probability of 0 the second is the delay itself, without meaning.
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
    low = _reached(delay, delay.minimum)
    inside = _reached(delay, bound) - low
    high = 1.0 if delay.maximum is None else _reached(delay, delay.maximum)
    return (inside / (high - low), replace(delay, maximum=bound)) if inside > MIN_PROBABILITY else (0.0, delay)


def _reached(delay: Exponential | LogNormal, bound: float) -> float:
    """The probability of at most a bound, without truncation."""
    if isinstance(delay, Exponential):
        return -math.expm1(-bound / delay.mean)
    sigma = math.log(delay.p95 / delay.median) / NormalDist().inv_cdf(0.95)
    return NormalDist(math.log(delay.median), sigma).cdf(math.log(bound)) if bound > 0 else 0.0
