"""How probable it is that a delay stays within a bound, and what it is like when it does."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

from eventbus.catalog.model import Delay, Exponential, Fixed, LogNormal, Uniform

NOTHING = 1e-9
"""Less of a distribution than this cannot be drawn from."""


def within(delay: Delay, bound: float) -> tuple[float, Delay]:
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
    return (inside / (high - low), replace(delay, maximum=bound)) if inside > NOTHING else (0.0, delay)


def _reached(delay: Exponential | LogNormal, bound: float) -> float:
    """The probability of at most a bound, without truncation."""
    if isinstance(delay, Exponential):
        return -math.expm1(-bound / delay.mean)
    sigma = math.log(delay.p95 / delay.median) / NormalDist().inv_cdf(0.95)
    return NormalDist(math.log(delay.median), sigma).cdf(math.log(bound)) if bound > 0 else 0.0
