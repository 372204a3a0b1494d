"""From recorded delays to the distribution of a catalog that fits them best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.chains.randomness import Integers
from eventbus.chains.statistics import chi_square, distance

# Numbers as a person would write them: as round as what was measured allows.


def roundest(low: float, high: float) -> float:
    """The number between two bounds that has the fewest digits; 0 if it is among them."""
    if low <= 0 <= high:
        return 0.0
    if high < 0:
        return -roundest(-high, -low)
    for digits in range(math.ceil(math.log10(high)) + 1, -16, -1):
        step = 10.0**digits
        for multiple in (step, step / 2):
            found = math.ceil(low / multiple * (1 - 1e-15)) * multiple
            if low <= found <= high:
                return round(found, max(0, 1 - digits))
    return (low + high) / 2


def percentages(counts: Sequence[int]) -> list[float]:
    """Shares that sum to 100, with as many decimals as so many observations can tell (the largest remainder method)."""
    total = sum(counts)
    decimals = max(math.ceil(math.log10(total) / 2) - 1, 0)
    while decimals < 12 and min(counts) * 10**decimals * 100 < total:  # nothing that was seen becomes impossible
        decimals += 1
    units = 100 * 10**decimals
    shares = [count * units // total for count in counts]
    rest = sorted(range(len(counts)), key=lambda i: (-(counts[i] * units % total), i))
    for index in rest[: units - sum(shares)]:
        shares[index] += 1
    return [round(share / 10**decimals, decimals) for share in shares]


MOST_COPIES = 60
"""Items of a list that shows shares by repetition, beside one of each."""


CHANCE = 1e-4
"""Values are taken for evenly drawn unless chance alone makes them so uneven with this probability."""


def repetitions(counts: Sequence[int]) -> list[int]:
    """How often to list each value so that a draw from the list has about the shares that were observed.

    Each once, if that is within what chance makes of it.
    """
    total = sum(counts)
    if len(counts) == 1 or chi_square(counts, [total / len(counts)] * len(counts)) > CHANCE:
        return [1] * len(counts)
    sizes = range(len(counts), len(counts) + MOST_COPIES + 1)
    tries = [[max(1, round(count * size / total)) for count in counts] for size in sizes]
    return min(tries, key=lambda copies: (_off(copies, counts), sum(copies)))


def _off(copies: Sequence[int], counts: Sequence[int]) -> float:
    """The largest difference of shares, but no less than what chance makes of them."""
    total, size = sum(counts), sum(copies)
    worst = max(abs(copy / size - count / total) for copy, count in zip(copies, counts, strict=True))
    return max(worst, 0.5 / math.sqrt(total), 0.005)


Floats = npt.NDArray[np.float64]

COMPARED = 2048
"""Delays of a sample, evenly spaced by rank, with which candidates are compared."""
SPACINGS = 4.0
"""A bound is looked for beyond the outermost delay by as much as so many delays there lie apart."""
GOOD = 1.2
"""A simpler distribution is taken if its distance is below so many times 1/√n, which chance makes of a right one ..."""
NEARLY = 1.1
"""... or not much above the best one's."""
OUTER, FEWEST, BETTER = (0.01, 0.03), 100, 1.2
"""Where nothing fits, a few delays may be wrong: such a share is left out at either end, if enough remain, and if that
makes the distance so many times smaller, squared."""
MOSTLY = 0.8
"""Delays are fixed if so many of them are the same."""
PART = 1e-6
"""So much of a distribution has to lie between its bounds."""
P95 = NormalDist().inv_cdf(0.95)
PERCENTS = np.arange(1, 100) / 100
NORMAL = np.array([NormalDist().inv_cdf(share) for share in PERCENTS.tolist()])


class Fit(NamedTuple):
    """A distribution, and how well it fits."""

    delay: Delay
    distance: float
    """The largest one between its cumulative shares and those of the sample (Kolmogorov–Smirnov)."""
    size: int
    trimmed: bool = False
    """Its bounds leave out the outermost delays."""

    @property
    def is_good(self) -> bool:
        """Whether chance alone may well make such a distance."""
        return self.distance <= GOOD / math.sqrt(self.size)


def fit(delays: Integers) -> Fit:
    """The simplest of the distributions that fit well, or else the one that fits best.

    Args:
        delays: microseconds; at least one.
    """
    ordered = np.sort(delays)
    if ordered[-1] - ordered[0] <= 2:  # times are whole microseconds
        only = Fixed(value=_ms(float(np.median(ordered))))
        return Fit(only, distance(ordered[:: -(-ordered.size // COMPARED)].tolist(), [(1, only)]), ordered.size)
    ranks = np.linspace(0, ordered.size - 1, min(ordered.size, COMPARED)).astype(np.int64)
    sample = ordered[ranks].tolist()

    def tried(part: Integers, *, trimmed: bool = False) -> Iterator[Fit]:
        for one in _candidates(part / 1000):
            yield Fit(one, distance(sample, [(1, one)]), ordered.size, trimmed)

    found = _simplest(tried(ordered))
    if found.is_good:
        return found
    for outer in OUTER:
        inner = ordered[math.ceil(outer * ordered.size) : -math.ceil(outer * ordered.size)]
        if inner.size >= FEWEST and inner[-1] - inner[0] > 2:
            other = _simplest(tried(inner, trimmed=True))
            found = min(found, other, key=lambda one: one.distance * (BETTER if one.trimmed else 1 / BETTER))
    return found


def _simplest(fits: Iterable[Fit]) -> Fit:
    """The first that is good, or else nearly the best."""
    tried: list[Fit] = []
    for one in fits:
        tried.append(one)
        if one.is_good:
            return one
    enough = NEARLY * min(one.distance for one in tried)
    return next(one for one in tried if one.distance <= enough)


def _candidates(ms: Floats) -> Iterator[Delay]:
    """The simplest first."""
    middle = float(np.median(ms))
    if np.mean(np.abs(ms - middle) <= 0.002) > MOSTLY:
        yield Fixed(value=_ms(1000 * middle))
    spread = SPACINGS * (ms[-1] - ms[0]) / ms.size
    low, high = _lower(ms[0], spread), _upper(ms[-1], spread)
    yield Uniform(minimum=low, maximum=high)
    yield from filter(None, (_exponential(ms, None), _exponential(ms, high)))
    yield from filter(None, (_lognormal(ms, None), _lognormal(ms, high)))


def _exponential(ms: Floats, high: float | None) -> Exponential | None:
    above = float(ms.mean() - ms[0])  # memoryless: what is above any bound has the same mean
    low = _lower(ms[0], SPACINGS * above / ms.size)
    mean = above if high is None else _mean_below(float(ms.mean()) - low, high - low)
    if mean is None or mean <= 0 or math.exp(-low / mean) * -math.expm1(-((high or math.inf) - low) / mean) < PART:
        return None
    error = mean / math.sqrt(ms.size) / 2
    return Exponential(mean=roundest(mean - error, mean + error), minimum=low, maximum=high)


def _mean_below(observed: float, width: float) -> float | None:
    """The mean of the exponential distribution whose part below a width has the mean that was observed."""
    if observed >= width / 2:  # at a half the distribution is even, and beyond it rises
        return None
    return _root(lambda mean: mean - width / math.expm1(width / mean) - observed, width / 500, width * 500)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0, by bisection."""
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return low


def _lognormal(ms: Floats, high: float | None) -> LogNormal | None:
    logs = np.log(np.maximum(ms, 0.0005))
    low = 0.0
    # a straight line through the percentiles, which a few odd delays do not move
    deviation, mean = map(float, np.polyfit(NORMAL, np.quantile(logs, PERCENTS), 1))
    if high is not None:
        low = _lower(ms[0], SPACINGS * float(ms[ms.size // 20] - ms[0]) / max(ms.size / 20, 1))
        found = _normal_between(logs, math.log(max(low, 0.0005)), math.log(high))
        if found is None:
            return None
        mean, deviation = found
    if not 1e-4 < deviation < 20 or abs(mean) > 40:
        return None
    normal = NormalDist(mean, deviation)
    if (1.0 if high is None else normal.cdf(math.log(high))) - normal.cdf(math.log(low or 1e-9)) < PART:
        return None
    error = deviation / math.sqrt(ms.size) / 2
    median = roundest(math.exp(mean - error), math.exp(mean + error))
    top = mean + P95 * deviation
    p95 = roundest(math.exp(top - 2 * error), math.exp(top + 2 * error))
    return LogNormal(median=median, p95=p95, minimum=low, maximum=high) if p95 > median else None


def _normal_between(values: Floats, low: float, high: float) -> tuple[float, float] | None:
    """Mean and deviation of the normal distribution whose part between bounds is the likeliest source of the values.

    Newton's method on the two natural parameters: the moments of the part have to be those of the values.
    """
    centre, scale = float(values.mean()), float(values.std()) or 1.0
    grid = np.linspace((low - centre) / scale, (high - centre) / scale, 2001)
    powers = np.stack([grid, grid**2])
    observed = np.array([0.0, 1.0])
    natural = np.array([0.0, -0.5])
    for _ in range(100):
        exponent = natural @ powers
        weights = np.exp(exponent - exponent.max())
        weights /= weights.sum()
        moments = powers @ weights
        covariance = (powers * weights) @ powers.T - np.outer(moments, moments)
        step = np.linalg.lstsq(covariance, observed - moments, rcond=None)[0]
        natural = natural + step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    if not natural[1] < -1e-3:
        return None
    deviation = math.sqrt(-0.5 / natural[1])
    return centre + scale * natural[0] * deviation**2, scale * deviation


def _lower(ms: float, spread: float) -> float:
    return _ms(1000 * roundest(max(ms - spread, 0.0), ms)) if ms > 0 else 0.0


def _upper(ms: float, spread: float) -> float:
    return _ms(1000 * roundest(ms, ms + max(spread, 0.001)))


def _ms(microseconds: float) -> float:
    return round(microseconds) / 1000
