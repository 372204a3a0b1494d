"""Two tests of fit, without a library of statistics: Pearson's chi-square and Kolmogorov–Smirnov."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
