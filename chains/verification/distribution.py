"""The delays of a catalog as cumulative distributions, written down anew: nothing here comes from the sampler."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform

Floats = npt.NDArray[np.float64]
Share = Callable[[float], float]


def distance(delays: Sequence[int], ways: Sequence[tuple[float, Delay]]) -> float:
    """The largest distance between the distribution of a sample and that of a mixture of delays.

    Times are whole microseconds, so each may be one off the delay that was drawn, either way.

    Args:
        delays: microseconds.
        ways: weights and delays.
    """
    ordered = np.sort(np.array(delays, np.float64)) / 1000
    ranks = np.arange(ordered.size + 1) / ordered.size
    above, below = (mixture(ordered + shift, ways) for shift in (0.001, -0.001))
    return float(max((ranks[1:] - above).max(), (below - ranks[:-1]).max(), 0.0))


def mixture(ms: Floats, ways: Sequence[tuple[float, Delay]]) -> Floats:
    """The share of delays that are not longer."""
    total = sum(weight for weight, _ in ways)
    parts = [weight / total * np.fromiter(map(cdf(delay), ms.tolist()), np.float64, ms.size) for weight, delay in ways]
    shares: Floats = np.sum(parts, axis=0)
    return shares


def cdf(delay: Delay) -> Share:
    """From milliseconds to the share of delays that are not longer, truncated to the delay's bounds."""
    if isinstance(delay, Fixed):
        return lambda ms: float(ms >= delay.value)
    share = _unbounded(delay)
    low, high = share(delay.minimum), 1.0 if delay.maximum is None else share(delay.maximum)
    if high <= low:
        return lambda ms: float(ms >= delay.minimum)
    return lambda ms: min(max((share(ms) - low) / (high - low), 0.0), 1.0)


def _unbounded(delay: Uniform | Exponential | LogNormal) -> Share:
    match delay:
        case Uniform():
            return lambda ms: ms
        case Exponential(mean=mean):
            return lambda ms: -math.expm1(-max(ms, 0.0) / mean)
        case LogNormal(median=median, p95=p95):
            normal = NormalDist(math.log(median), math.log(p95 / median) / NormalDist().inv_cdf(0.95))
            return lambda ms: normal.cdf(math.log(ms)) if ms > 0 else 0.0
