"""The quantile function of the gamma distribution, for gaps that come in bursts."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist

from eventbus.chains.delays import CELLS, OPEN_END

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
