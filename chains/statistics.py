"""The delays of a catalog as cumulative distributions, written down anew: nothing here comes from the sampler."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.chains.sampling import CELLS, OPEN_END

# Two tests of fit, without a library of statistics: Pearson's chi-square and Kolmogorov–Smirnov.


PRECISION, TERMS = 1e-15, 10_000
TINY = 1e-300


def chi_square(observed: Sequence[float], expected: Sequence[float]) -> float:
    """The probability of counts at least so far from those expected, by chance (Pearson's test).

    Args:
        observed: counts.
        expected: of the same sum, each large enough (see `pooled`).
    """
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return upper_gamma((len(observed) - 1) / 2, statistic / 2)


def pooled(observed: Sequence[float], expected: Sequence[float], least: float) -> tuple[list[float], list[float]]:
    """The same counts with the rarest ones together, so that `least` or more are expected of each (Cochran's rule)."""
    pairs = sorted(zip(expected, observed, strict=True))
    while len(pairs) > 1 and pairs[0][0] < least:
        (e, o), (other_e, other_o), *rest = pairs
        pairs = sorted([(e + other_e, o + other_o), *rest])
    return [o for _, o in pairs], [e for e, _ in pairs]


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x).

    By the power series of P = 1 − Q below x = a + 1 (DLMF 8.7.1), and above by the continued fraction (DLMF 8.9.2) with
    Lentz's method, as in Press et al., Numerical Recipes, §6.2.
    """
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1 - scale * _series(a, x) if x < a + 1 else scale * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, TERMS):
        term *= x / (a + n)
        total += term
        if term < total * PRECISION:
            break
    return total


def _fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = 1 / TINY, 1 / b
    value = d
    for n in range(1, TERMS):
        factor = n * (a - n)
        b += 2
        d = 1 / _not_zero(factor * d + b)
        c = _not_zero(b + factor / c)
        value *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return value


def _not_zero(number: float) -> float:
    return number if abs(number) > TINY else TINY


def kolmogorov(distance: float, size: int) -> float:
    """The probability of a largest distance at least so great between a sample's distribution and its own, by chance.

    Kolmogorov's limiting series at the argument that Stephens gives for finite samples (M. A. Stephens, "Use of the
    Kolmogorov–Smirnov, Cramér–von Mises and related statistics without extensive tables", Journal of the Royal
    Statistical Society B 32, 1970).
    """
    root = math.sqrt(size)
    z = (root + 0.12 + 0.11 / root) * distance
    if z < 0.2:  # the series converges too slowly there, and 1 is right to 12 digits
        return 1.0
    total = sum(math.copysign(math.exp(-2 * (j * z) ** 2), j % 2 - 0.5) for j in range(1, 101))
    return min(max(2 * total, 0.0), 1.0)


# The quantile function of the gamma distribution, for gaps that come in bursts.


ENOUGH = 1e-15
"""Relative size of a term that changes a sum no more."""
MOST_TERMS = 10_000
NOTHING = 1e-9
"""Part of the mean that is as good as no gap at all."""
GRAIN = 1e6
"""Quantiles are rounded to a millionth of the mean, far more coarsely than C libraries differ in."""


def quantile(cv: float) -> Callable[[float], float]:
    """From probability to gap, as part of the mean gap.

    Args:
        cv: coefficient of variation, standard deviation divided by mean; the shape is 1 / cv².
    """
    exact = cache(Gamma(1 / (cv * cv)).quantile)
    mean = _mean(exact)
    return lambda probability: round(exact(probability) / mean * GRAIN) / GRAIN


def _mean(at: Callable[[float], float]) -> float:
    """Of what is drawn by a table of the quantiles, with straight lines between them and an end (see `delays`)."""
    body = [at(cell / CELLS) for cell in range(CELLS)]
    tail = [*(at(1 - (1 - cell / CELLS) / CELLS) for cell in range(CELLS)), at(OPEN_END)]
    inner = math.fsum(body) - (body[0] + body[-1]) / 2
    outer = math.fsum(tail) - (tail[0] + tail[-1]) / 2
    return (inner + outer / CELLS) / CELLS


class Gamma:
    """The gamma distribution whose scale is 1."""

    def __init__(self, shape: float) -> None:
        self._shape = shape
        self._norm = math.lgamma(shape)

    def quantile(self, probability: float) -> float:
        """Where the distribution function reaches a probability: by Halley's method, from near."""
        x = self._guess(probability) if probability > 0 else 0.0
        if x < self._shape * NOTHING:
            return 0.0
        for _ in range(30):
            step = self._distance(x, probability) / self._density(x)
            step /= 1 - min(1.0, step * ((self._shape - 1) / x - 1)) / 2
            x, before = (x - step if x > step else x / 2), x
            if abs(x - before) <= 1e-14 * x:
                break
        return x

    def _guess(self, probability: float) -> float:
        """By Wilson and Hilferty, or by the first term of the series, or by the tail."""
        shape = self._shape
        if shape > 1:
            z = NormalDist().inv_cdf(probability)
            return max(shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3, 1e-3)
        border = 1 - shape * (0.253 + shape * 0.12)
        if probability < border:
            return float((probability / border) ** (1 / shape))
        return 1 - math.log1p(-(probability - border) / (1 - border))

    def _distance(self, x: float, probability: float) -> float:
        """Of the distribution function at x to a probability; of the upper part where that is small."""
        if x < self._shape + 1:
            return self._series(x) * self._factor(x) - probability
        return (1 - probability) - self._fraction(x) * self._factor(x)

    def _factor(self, x: float) -> float:
        return math.exp(self._shape * math.log(x) - x - self._norm)

    def _density(self, x: float) -> float:
        return self._factor(x) / x

    def _series(self, x: float) -> float:
        """Of the lower incomplete gamma function."""
        term = total = 1 / self._shape
        for n in range(1, MOST_TERMS):
            term *= x / (self._shape + n)
            total += term
            if term < total * ENOUGH:
                break
        return total

    def _fraction(self, x: float) -> float:
        """Of the upper incomplete gamma function, by Lentz's method."""
        b = x + 1 - self._shape
        c, fraction = 1e300, 1 / b
        d = fraction
        for n in range(1, MOST_TERMS):
            weight, b = -n * (n - self._shape), b + 2
            d = 1 / ((weight * d + b) or 1e-300)
            c = (b + weight / c) or 1e-300
            fraction *= d * c
            if abs(d * c - 1) < ENOUGH:
                break
        return fraction


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
