"""Statistics without a library: the incomplete gamma function, tests of fit, and the distributions of delays.

The distributions of delays are defined here instead of being taken from the samplers, because `verification`
tests the samplers with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.catalog.model.delays import CELLS, OPEN_END

# The incomplete gamma function.


PRECISION = 1e-15
"""Relative size of a term that no longer changes a sum."""
MAX_TERMS = 10_000
TINY = 1e-300


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x)."""
    if x <= 0:
        return 1.0
    return 1 - _lower(a, x) if x < a + 1 else _upper(a, x)


def _lower(a: float, x: float) -> float:
    """P(a, x) by its power series (DLMF 8.7.1); converges quickly for x < a + 1."""
    term = total = 1 / a
    for n in range(1, MAX_TERMS):
        term *= x / (a + n)
        total += term
        if term < total * PRECISION:
            break
    return total * _scale(a, x)


def _upper(a: float, x: float) -> float:
    """Q(a, x) by its continued fraction (DLMF 8.9.2), for x >= a + 1.

    Evaluated with Lentz's method, as in Press et al., Numerical Recipes, §6.2.
    """
    b = x + 1 - a
    c, d = 1 / TINY, 1 / b
    value = d
    for n in range(1, MAX_TERMS):
        numerator = n * (a - n)
        b += 2
        d = 1 / _not_zero(numerator * d + b)
        c = _not_zero(b + numerator / c)
        value *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return value * _scale(a, x)


def _scale(a: float, x: float) -> float:
    return math.exp(a * math.log(x) - x - math.lgamma(a))


def _not_zero(number: float) -> float:
    return number if abs(number) > TINY else TINY


# The quantile function of the gamma distribution, for arrivals in bursts.


NEGLIGIBLE_GAP = 1e-9
"""Quantiles below this part of the mean are 0."""
ROUNDING = 1e6
"""Quantiles are rounded to a millionth of the mean, much more coarsely than C libraries differ."""


def gamma_quantile(cv: float) -> Callable[[float], float]:
    """The quantile function of a gamma distribution with mean 1.

    Args:
        cv: coefficient of variation, the standard deviation divided by the mean; the shape is 1 / cv².
    """
    exact = cache(GammaDistribution(1 / (cv * cv)).quantile)
    mean = _table_mean(exact)
    return lambda probability: round(exact(probability) / mean * ROUNDING) / ROUNDING


def _table_mean(quantile: Callable[[float], float]) -> float:
    """The mean of a `QuantileTable`, which interpolates linearly and cuts the tail."""
    body = [quantile(cell / CELLS) for cell in range(CELLS)]
    tail = [*(quantile(1 - (1 - cell / CELLS) / CELLS) for cell in range(CELLS)), quantile(OPEN_END)]
    inner = math.fsum(body) - (body[0] + body[-1]) / 2
    outer = math.fsum(tail) - (tail[0] + tail[-1]) / 2
    return (inner + outer / CELLS) / CELLS


class GammaDistribution:
    """The gamma distribution with scale 1."""

    def __init__(self, shape: float) -> None:
        self._shape = shape

    def quantile(self, probability: float) -> float:
        """Inverts the distribution function with Halley's method."""
        x = self._guess(probability) if probability > 0 else 0.0
        if x < self._shape * NEGLIGIBLE_GAP:
            return 0.0
        for _ in range(30):
            step = self._excess(x, probability) / self._density(x)
            step /= 1 - min(1.0, step * ((self._shape - 1) / x - 1)) / 2
            x, previous = (x - step if x > step else x / 2), x
            if abs(x - previous) <= 1e-14 * x:
                break
        return x

    def _guess(self, probability: float) -> float:
        """A first approximation: by Wilson and Hilferty, or for a small shape by the first term of the series."""
        shape = self._shape
        if shape > 1:
            z = NormalDist().inv_cdf(probability)
            return max(shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3, 1e-3)
        border = 1 - shape * (0.253 + shape * 0.12)
        if probability < border:
            return float((probability / border) ** (1 / shape))
        return 1 - math.log1p(-(probability - border) / (1 - border))

    def _excess(self, x: float, probability: float) -> float:
        """The distribution function at x, minus a probability; computed from the smaller tail."""
        if x < self._shape + 1:
            return _lower(self._shape, x) - probability
        return (1 - probability) - _upper(self._shape, x)

    def _density(self, x: float) -> float:
        return _scale(self._shape, x) / x


# Tests of fit.


def chi_square(observed: Sequence[float], expected: Sequence[float]) -> float:
    """The p-value of Pearson's chi-square test.

    Args:
        observed: counts.
        expected: counts with the same sum, each large enough for the test (see `pooled`).
    """
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return upper_gamma((len(observed) - 1) / 2, statistic / 2)


def pooled(observed: Sequence[float], expected: Sequence[float], minimum: float) -> tuple[list[float], list[float]]:
    """Merges the rarest cells until at least `minimum` counts are expected in each (Cochran's rule)."""
    pairs = sorted(zip(expected, observed, strict=True))
    while len(pairs) > 1 and pairs[0][0] < minimum:
        (e1, o1), (e2, o2), *larger = pairs
        pairs = sorted([(e1 + e2, o1 + o2), *larger])
    return [o for _, o in pairs], [e for e, _ in pairs]


def kolmogorov(distance: float, size: int) -> float:
    """The p-value of the Kolmogorov–Smirnov test.

    Computed by Kolmogorov's limiting series at the argument that Stephens gives for finite samples (M. A. Stephens,
    "Use of the Kolmogorov–Smirnov, Cramér–von Mises and related statistics without extensive tables", Journal of the
    Royal Statistical Society B 32, 1970).

    Args:
        distance: between the empirical and the expected distribution function (see `ks_distance`).
        size: of the sample.
    """
    root = math.sqrt(size)
    z = (root + 0.12 + 0.11 / root) * distance
    if z < 0.2:  # the series converges slowly there, and 1 is correct to 12 digits
        return 1.0
    total = sum(math.copysign(math.exp(-2 * (j * z) ** 2), j % 2 - 0.5) for j in range(1, 101))
    return min(max(2 * total, 0.0), 1.0)


# The distributions of delays.


FloatColumn = npt.NDArray[np.float64]
DistributionFunction = Callable[[float], float]


def ks_distance(delays: Sequence[int], components: Sequence[tuple[float, Delay]]) -> float:
    """The Kolmogorov–Smirnov statistic of a sample against a mixture of delay distributions.

    Times are whole microseconds, so a measured delay may differ by 1 µs from the drawn one; the statistic allows it.

    Args:
        delays: microseconds.
        components: weights and delays of the mixture.
    """
    ordered = np.sort(np.array(delays, np.float64)) / 1000
    ranks = np.arange(ordered.size + 1) / ordered.size
    above, below = (mixture(ordered + shift, components) for shift in (0.001, -0.001))
    return float(max((ranks[1:] - above).max(), (below - ranks[:-1]).max(), 0.0))


def mixture(ms: FloatColumn, components: Sequence[tuple[float, Delay]]) -> FloatColumn:
    """The distribution function of a mixture of delays, at some milliseconds."""
    total = sum(weight for weight, _ in components)
    parts = [
        weight / total * np.fromiter(map(cdf(delay), ms.tolist()), np.float64, ms.size) for weight, delay in components
    ]
    shares: FloatColumn = np.sum(parts, axis=0)
    return shares


def cdf(delay: Delay) -> DistributionFunction:
    """The distribution function of a delay in milliseconds, truncated to the delay's bounds."""
    if isinstance(delay, Fixed):
        return lambda ms: float(ms >= delay.value)
    untruncated = _untruncated(delay)
    low, high = untruncated(delay.minimum), 1.0 if delay.maximum is None else untruncated(delay.maximum)
    if high <= low:
        return lambda ms: float(ms >= delay.minimum)
    return lambda ms: min(max((untruncated(ms) - low) / (high - low), 0.0), 1.0)


def _untruncated(delay: Uniform | Exponential | LogNormal) -> DistributionFunction:
    match delay:
        case Uniform():
            return lambda ms: ms
        case Exponential(mean=mean):
            return lambda ms: -math.expm1(-max(ms, 0.0) / mean)
        case LogNormal(median=median, p95=p95):
            normal = NormalDist(math.log(median), math.log(p95 / median) / NormalDist().inv_cdf(0.95))
            return lambda ms: normal.cdf(math.log(ms)) if ms > 0 else 0.0
